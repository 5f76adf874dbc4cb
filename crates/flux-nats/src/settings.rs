//! What a connection to NATS is made from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use flux_bus::Name;

/// The settings of a bus on NATS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where servers are: `host:port` or `nats://`, `tls://`, `ws://` addresses of the same cluster.
    pub servers: Vec<String>,
    /// What the connection is called on the server.
    pub name: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Encrypted, and with whom.
    pub tls: Option<Tls>,
    /// The JetStream domain, when it is not the server's own: a leaf node reaches the streams of its hub by it.
    pub domain: Option<Name>,
    /// Answers come to subjects that begin so, and to no other: `_INBOX` where nothing is said.
    pub inbox_prefix: Option<String>,
    /// Copies of what is made, in a cluster.
    pub replicas: u8,
    /// How long a request may take.
    pub request_deadline: Duration,
    /// How often a watch makes sure that it was told of everything; with a domain, where nothing is heard across it, that is how
    /// long it takes.
    pub verify_every: Duration,
}

/// Who we are, to the server. `Debug` shows no secret.
#[derive(Clone)]
pub enum Credentials {
    /// Anybody.
    None,
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// The seed of an NKey: it signs what the server asks, and does not travel.
    NKey(String),
    /// A JWT and the seed that goes with it, as `nsc` writes them into one text.
    Jwt(String),
    /// The same in a file, which is read for each connection: whoever replaces it renews them.
    JwtFile(PathBuf),
}

/// With whom to speak encrypted.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificates of those who may vouch for the server, PEM.
    pub roots: PathBuf,
    /// Our own certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Settings {
    /// Servers, and nothing said about the rest.
    pub fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            name: "fluxrig".into(),
            credentials: Credentials::None,
            tls: None,
            domain: None,
            inbox_prefix: None,
            replicas: 1,
            request_deadline: Duration::from_secs(5),
            verify_every: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "none",
            Credentials::Password { .. } => "password",
            Credentials::NKey(_) => "nkey",
            Credentials::Jwt(_) | Credentials::JwtFile(_) => "jwt",
        })
    }
}
