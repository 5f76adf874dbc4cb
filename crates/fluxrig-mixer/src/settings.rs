//! `fluxrig-mixer.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use anyhow::{Context, anyhow, bail, ensure};
use flux_bus::Name;
use flux_mixer::limits::WIRE_STREAM_BYTES_MAX;
use flux_scenario::units::{ByteSize, Duration};
use flux_world::Disk;
use serde::{Deserialize, Serialize};

/// Longest file of settings.
const BYTES_MAX: usize = 1 << 20;

/// Port of the API.
const API_PORT: u16 = 8090;
/// Port of the bus.
const BUS_PORT: u16 = 4222;

/// All settings.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) base: Base,
    pub(crate) api: Api,
    pub(crate) bus: BusSettings,
    pub(crate) cluster: Cluster,
    pub(crate) keyring: KeyringSettings,
    pub(crate) enrolment: Enrolment,
    pub(crate) mixer: MixerSection,
}

/// What it is, and where it keeps everything.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Base {
    pub(crate) name: String,
    pub(crate) state_dir: PathBuf,
    /// Host names and addresses under which Racks and people reach it; the first is told to Racks.
    pub(crate) names: Vec<String>,
}

/// The HTTP API.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Api {
    pub(crate) listen: String,
    /// Plain HTTP, and nobody is asked who they are: on loopback alone.
    pub(crate) insecure: bool,
}

/// The bus that Racks are on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BusSettings {
    pub(crate) listen: String,
    /// Where leaf nodes connect to; nowhere where nothing is said.
    pub(crate) listen_leaf: Option<String>,
    /// What Racks are told to connect to, where that is not the first name and the port.
    pub(crate) urls: Vec<String>,
    pub(crate) server: ServerChoice,
    /// Most that all streams may take on disk.
    pub(crate) store_bytes_max: ByteSize,
}

/// Which server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "String", into = "String")]
pub(crate) enum ServerChoice {
    /// The first one that is found.
    #[default]
    Auto,
    /// None: no Rack on another machine has a bus.
    None,
    /// This program.
    Program(PathBuf),
}

/// A bus that somebody else runs, in the place of a server of ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cluster {
    /// Addresses of its servers, with commas between them; none: the Mixer runs a server.
    pub(crate) url: Option<String>,
    /// Who the Mixer is there: a JWT with its seed, or the seed of an NKey.
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) nkey_file: Option<PathBuf>,
    /// Who vouches for it; Racks are told, too.
    pub(crate) root_ca_file: Option<PathBuf>,
    pub(crate) tls_cert_file: Option<PathBuf>,
    pub(crate) tls_key_file: Option<PathBuf>,
    /// The seed of the account of the fleet, or of one of its signing keys: with it the Mixer makes identities.
    pub(crate) account_seed_file: Option<PathBuf>,
    /// The account, where that is a signing key.
    pub(crate) account: Option<String>,
    /// Servers that keep a copy of each stream that the Mixer makes.
    pub(crate) replicas: u8,
}

/// What the keyring is sealed with.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeyringSettings {
    pub(crate) key_file: Option<PathBuf>,
}

/// What Racks are given.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Enrolment {
    pub(crate) certificate_lifetime: Duration,
    pub(crate) heartbeat: Duration,
}

/// What the fleet runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MixerSection {
    pub(crate) startup_scenario: Option<PathBuf>,
}

impl Default for Base {
    fn default() -> Base {
        Base { name: "fluxrig-mixer".into(), state_dir: "./data".into(), names: Vec::new() }
    }
}

impl Default for Api {
    fn default() -> Api {
        Api { listen: format!("0.0.0.0:{API_PORT}"), insecure: false }
    }
}

impl Default for BusSettings {
    fn default() -> BusSettings {
        BusSettings {
            listen: format!("0.0.0.0:{BUS_PORT}"),
            listen_leaf: None,
            urls: Vec::new(),
            server: ServerChoice::Auto,
            store_bytes_max: ByteSize(16 << 30),
        }
    }
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            url: None,
            credentials_file: None,
            nkey_file: None,
            root_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            account_seed_file: None,
            account: None,
            replicas: 1,
        }
    }
}

impl Default for Enrolment {
    fn default() -> Enrolment {
        Enrolment {
            certificate_lifetime: Duration(StdDuration::from_hours(30 * 24)),
            heartbeat: Duration(StdDuration::from_secs(10)),
        }
    }
}

impl From<String> for ServerChoice {
    fn from(word: String) -> ServerChoice {
        match word.as_str() {
            "auto" => ServerChoice::Auto,
            "none" => ServerChoice::None,
            _ => ServerChoice::Program(word.into()),
        }
    }
}

impl From<ServerChoice> for String {
    fn from(choice: ServerChoice) -> String {
        match choice {
            ServerChoice::Auto => "auto".into(),
            ServerChoice::None => "none".into(),
            ServerChoice::Program(path) => path.display().to_string(),
        }
    }
}

impl Settings {
    /// Reads a file of settings.
    ///
    /// # Errors
    /// With file, line and key.
    pub(crate) fn read(disk: &Disk, path: &Path) -> anyhow::Result<Settings> {
        let shown = path.display();
        let text = disk.read(path, BYTES_MAX).with_context(|| format!("cannot read `{shown}`"))?;
        let text = std::str::from_utf8(&text).map_err(|_| anyhow!("`{shown}` is not UTF-8 text"))?;
        let settings: Settings =
            toml::from_str(text).map_err(|why| anyhow!("`{shown}`: {}", why.to_string().trim_end()))?;
        settings.check().with_context(|| format!("`{shown}`"))?;
        Ok(settings)
    }

    /// As for a workstation: on loopback, and nobody is asked who they are.
    pub(crate) fn make_dev(&mut self) {
        let to_loopback = |address: &mut String| {
            if let Some(port) = address.strip_prefix("0.0.0.0:") {
                *address = format!("127.0.0.1:{port}");
            }
        };
        to_loopback(&mut self.api.listen);
        to_loopback(&mut self.bus.listen);
        self.api.insecure = true;
    }

    /// What no type says.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        Name::new(&self.base.name).context("base.name")?;
        let Enrolment { certificate_lifetime, heartbeat } = &self.enrolment;
        let is_within = |time: &Duration, least: u64, most: u64| {
            (StdDuration::from_secs(least)..=StdDuration::from_secs(most)).contains(&time.0)
        };
        ensure!(
            is_within(certificate_lifetime, 10, 366 * 86_400),
            "enrolment.certificate_lifetime: between 10 seconds and a year, as `30d`"
        );
        ensure!(
            is_within(heartbeat, 1, 3_600),
            "enrolment.heartbeat: between a second and an hour, as `10s`"
        );
        ensure!(
            self.bus.store_bytes_max.0 >= WIRE_STREAM_BYTES_MAX,
            "bus.store_bytes_max: at least 64MiB, what the stream of one wire between Racks may take"
        );
        self.cluster.check(&self.bus)?;
        for url in &self.bus.urls {
            if !url.starts_with("tls://") {
                bail!("bus.urls: `{url}` does not begin with `tls://`: Racks speak encrypted alone");
            }
            ensure!(
                !url.contains('@'),
                "bus.urls: a user and a password have no place there: Racks have their own"
            );
        }
        Ok(())
    }
}

impl Cluster {
    fn check(&self, bus: &BusSettings) -> anyhow::Result<()> {
        let Cluster { credentials_file, nkey_file, root_ca_file, tls_cert_file, tls_key_file, .. } = self;
        ensure!(matches!(self.replicas, 1 | 3), "cluster.replicas: 1 or 3");
        ensure!(
            tls_cert_file.is_some() == tls_key_file.is_some(),
            "cluster.tls_cert_file and cluster.tls_key_file go together: the other is missing"
        );
        ensure!(
            tls_cert_file.is_none() || root_ca_file.is_some(),
            "cluster.tls_cert_file needs cluster.root_ca_file: who vouches for the bus"
        );
        ensure!(
            credentials_file.is_none() || nkey_file.is_none(),
            "cluster.credentials_file and cluster.nkey_file both say who the Mixer is: remove one"
        );
        ensure!(
            self.account.is_none() || self.account_seed_file.is_some(),
            "cluster.account says whose key `cluster.account_seed_file` has, which is missing"
        );
        let Some(url) = &self.url else { return Ok(()) };
        ensure!(
            !url.contains('@'),
            "cluster.url, or --bus, holds a name or a password: put credentials into a file, and name it with \
             `cluster.credentials_file` or `cluster.nkey_file`"
        );
        ensure!(
            bus.server == ServerChoice::Auto && bus.listen_leaf.is_none(),
            "`bus.server` and `bus.listen_leaf` are about a server of the Mixer's own, and cluster.url, or --bus, says that there \
             is another: keep one"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Settings> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fluxrig-mixer.toml");
        std::fs::write(&path, text).unwrap();
        Settings::read(&Disk::real(), &path)
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let why = |text: &str| format!("{:#}", read(text).unwrap_err());
        let told = why("[api]\nlisten = \"127.0.0.1:1\"\nport = 8090\n");
        assert!(
            told.contains("fluxrig-mixer.toml")
                && told.contains("line 3")
                && told.contains("unknown field `port`"),
            "{told}"
        );
        assert!(
            why("[enrolment]\nheartbeat = \"0s\"")
                .contains("enrolment.heartbeat: between a second and an hour")
        );
        assert!(why("[bus]\nurls = [\"nats://x\"]").contains("does not begin with `tls://`"));
        assert!(why("[base]\nname = \"a.b\"").contains("base.name"));
    }

    #[test]
    fn servers_are_words_or_paths() {
        let server = |word: &str| read(&format!("[bus]\nserver = {word:?}")).unwrap().bus.server;
        assert_eq!(server("auto"), ServerChoice::Auto);
        assert_eq!(server("none"), ServerChoice::None);
        assert_eq!(server("/opt/nats-server"), ServerChoice::Program("/opt/nats-server".into()));
    }

    #[test]
    fn what_of_a_cluster_cannot_be_is_refused() {
        for (text, wanted) in [
            ("url = 'nats://me:hunter2@h:1'", "holds a name or a password"),
            ("url = 'h:1'\nreplicas = 2", "1 or 3"),
            ("url = 'h:1'\nnkey_file = 'a'\ncredentials_file = 'b'", "remove one"),
            ("url = 'h:1'\ntls_key_file = 'a'", "go together"),
            ("url = 'h:1'\ntls_key_file = 'a'\ntls_cert_file = 'b'", "needs cluster.root_ca_file"),
            ("url = 'h:1'\naccount = 'A'", "which is missing"),
            ("url = 'h:1'\n[bus]\nserver = '/x'", "keep one"),
        ] {
            let why = format!("{:#}", read(&format!("[cluster]\n{text}")).unwrap_err());
            assert!(why.contains(wanted) && !why.contains("hunter2"), "{text}: {why}");
        }
    }

    #[test]
    fn a_workstation_listens_to_itself() {
        let mut settings = read("[bus]\nlisten = \"10.0.0.1:4222\"").unwrap();
        settings.make_dev();
        assert_eq!((settings.api.listen.as_str(), settings.api.insecure), ("127.0.0.1:8090", true));
        assert_eq!(settings.bus.listen, "10.0.0.1:4222", "what was said is not changed");
    }
}
