//! The `tls` block of a gear: files and names in, a transport of the pool out.

use std::sync::Arc;

use flux_gear::{Bytes, Fault, GearContext};
use flux_pool::{
    tls::{self, Identity, TlsClient, TlsError, TlsServer},
    transport::{Plain, Transport},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Encryption of the connections of a gear. Files are PEM, relative to the scenario.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whether connections are encrypted; `false` keeps the block and turns it off.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Our certificate, followed by those of its issuers. A server needs one; a client presents it when asked.
    #[serde(default)]
    #[schemars(extend("x-flux-file" = true))]
    pub cert_file: Option<String>,
    /// The private key of our certificate.
    #[serde(default)]
    #[schemars(extend("x-flux-file" = true))]
    pub key_file: Option<String>,
    /// Issuers that we trust. A client needs them to know the server; a server that has them asks clients for a
    /// certificate.
    #[serde(default)]
    #[schemars(extend("x-flux-file" = true))]
    pub ca_file: Option<String>,
    /// The name the server's certificate must be for; without it, the host of `connect`.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Whether a server insists on the certificate it asks clients for.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// Whether a server that has a `ca_file` lets clients in without a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// No.
    #[default]
    Required,
    /// Yes; one that is presented must be valid.
    Optional,
}

fn yes() -> bool {
    true
}

impl Tls {
    /// The transport of a server.
    pub(crate) fn server(tls: Option<&Tls>, ctx: &GearContext) -> Result<Arc<dyn Transport>, Fault> {
        let Some(tls) = tls.filter(|tls| tls.enabled) else { return Ok(Arc::new(Plain)) };
        let Some((certificates, key)) = tls.identity(ctx)? else {
            return Err(config("a server with `tls` needs `cert_file` and `key_file`"));
        };
        let roots = tls.roots(ctx)?;
        let client_auth = match (&roots, tls.client_auth) {
            (None, _) => tls::ClientAuth::None,
            (Some(roots), ClientAuth::Optional) => tls::ClientAuth::Optional(roots),
            (Some(roots), ClientAuth::Required) => tls::ClientAuth::Required(roots),
        };
        let identity = Identity { certificates: &certificates, key: &key };
        let server = TlsServer::new(identity, client_auth, ctx.world().clock).map_err(unusable)?;
        Ok(Arc::new(server))
    }

    /// The transport of a client.
    pub(crate) fn client(tls: Option<&Tls>, ctx: &GearContext) -> Result<Arc<dyn Transport>, Fault> {
        let Some(tls) = tls.filter(|tls| tls.enabled) else { return Ok(Arc::new(Plain)) };
        let Some(roots) = tls.roots(ctx)? else {
            return Err(config("a client with `tls` needs `ca_file`, to know the server by"));
        };
        let own = tls.identity(ctx)?;
        let identity = own.as_ref().map(|(certificates, key)| Identity { certificates, key });
        let client = TlsClient::new(&roots, identity, tls.server_name.as_deref(), ctx.world().clock);
        Ok(Arc::new(client.map_err(unusable)?))
    }

    fn identity(&self, ctx: &GearContext) -> Result<Option<(Bytes, Bytes)>, Fault> {
        match (&self.cert_file, &self.key_file) {
            (None, None) => Ok(None),
            (Some(certificates), Some(key)) => Ok(Some((ctx.read_file(certificates)?, ctx.read_file(key)?))),
            _ => Err(config("`cert_file` and `key_file` belong together")),
        }
    }

    fn roots(&self, ctx: &GearContext) -> Result<Option<Bytes>, Fault> {
        self.ca_file.as_deref().map(|path| ctx.read_file(path)).transpose()
    }
}

fn config(problem: &str) -> Fault {
    Fault::fatal(problem).reason("config")
}

fn unusable(why: TlsError) -> Fault {
    Fault::fatal("cannot use the `tls` block").reason("tls").caused_by(why)
}
