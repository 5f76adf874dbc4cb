//! The way to other racks: a connection to the bus for what is sent, and one for what is said of it, made when first needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flux_bus::Bus;
use flux_mesh::Line;
use flux_nats::NatsBus;
use flux_scenario::{Circuit, Settings};
use flux_world::World;

/// Where the bus is, and who this rack is on it.
#[derive(Clone, Debug)]
pub(crate) struct BusOptions {
    /// In place of the address in the settings.
    pub(crate) url: Option<String>,
    /// What the Mixer of an enrolled rack gave it; an address of its own wins.
    pub(crate) given: Option<Given>,
    /// The settings it was started with.
    pub(crate) settings: Settings,
    /// What their files are relative to.
    pub(crate) directory: PathBuf,
}

/// The bus that a Mixer gives a rack.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// On a server, by these settings.
    Server(Box<flux_nats::Settings>),
    /// In the process of both.
    Here(Arc<dyn Bus>),
}

/// The way to other racks, and the connections that it goes by.
pub(crate) struct Way {
    pub(crate) line: Line,
    connections: Vec<Arc<NatsBus>>,
}

impl Way {
    /// Connects anew, with what the files say now of who this rack is.
    pub(crate) async fn renew(&self) {
        for connection in &self.connections {
            connection.renew().await;
        }
    }
}

/// Whether a circuit has wires to other racks.
pub(crate) fn is_needed(circuit: &Circuit) -> bool {
    circuit.wires.iter().any(|wire| wire.mesh.is_some())
}

impl BusOptions {
    /// The way to the bus, for a circuit that needs one. The bus may be away.
    pub(crate) async fn way(&self, world: &World, circuit: &Circuit) -> anyhow::Result<Option<Way>> {
        match is_needed(circuit) {
            true => nats::connect(world, self).await.map(Some),
            false => Ok(None),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(Path::new(file))
    }
}

mod nats {
    use std::sync::Arc;

    use anyhow::{Context, ensure};
    use flux_mesh::Line;
    use flux_nats::{Credentials, NatsBus, Settings, Tls};
    use flux_world::World;

    use super::{BusOptions, Given, Way};

    /// Longest file of credentials.
    const CREDENTIALS_BYTES_MAX: usize = 64 << 10;

    pub(super) async fn connect(world: &World, options: &BusOptions) -> anyhow::Result<Way> {
        let settings = match (&options.given, &options.url) {
            (Some(Given::Here(bus)), None) => {
                return Ok(Way { line: Line::one(bus.clone()), connections: Vec::new() });
            }
            (Some(Given::Server(given)), None) => (**given).clone(),
            _ => settings(world, options)?,
        };
        let connect = async |what| {
            let settings = Settings { name: format!("{} {what}", settings.name), ..settings.clone() };
            anyhow::Ok(Arc::new(NatsBus::connect_later(world, settings).await?))
        };
        let (data, control) = (connect("data").await?, connect("control").await?);
        Ok(Way {
            line: Line { data: data.clone(), control: control.clone() },
            connections: vec![data, control],
        })
    }

    fn settings(world: &World, options: &BusOptions) -> anyhow::Result<Settings> {
        let (base, snake) = (&options.settings.base, &options.settings.snake);
        let url = options.url.as_ref().unwrap_or(&snake.url);
        ensure!(
            !url.contains('@'),
            "the address of the bus holds a name or a password: put them into a file, and name it with `snake.credentials_file` \
             or `snake.nkey_file`"
        );
        let servers: Vec<String> = url.split(',').map(|server| server.trim().to_owned()).collect();
        let mut settings = Settings::new(servers);
        settings.name = match base.name.as_str() {
            "" => "fluxrig".into(),
            name => format!("fluxrig {name}"),
        };
        settings.request_deadline = snake.operation_timeout.0;
        settings.replicas = snake.replicas;
        settings.credentials = credentials(world, options)?;
        settings.tls = tls(options)?;
        if let Some(domain) = &snake.jetstream_domain {
            settings.domain = Some(domain.parse().context("`snake.jetstream_domain`")?);
        }
        if settings.tls.is_none() && !settings.servers.iter().all(|server| is_near(server)) {
            tracing::warn!(
                "the bus is on another machine, and what is sent to it is not encrypted: name who vouches for it with `snake.root_ca_file`"
            );
        }
        Ok(settings)
    }

    fn credentials(world: &World, options: &BusOptions) -> anyhow::Result<Credentials> {
        let snake = &options.settings.snake;
        let read = |key: &str, file: &str| {
            let path = options.path(file);
            let bytes = world.disk.read_input(&path, CREDENTIALS_BYTES_MAX);
            let bytes = bytes.with_context(|| format!("`snake.{key}`: {}", path.display()))?;
            String::from_utf8(bytes.to_vec())
                .map_err(|_| anyhow::anyhow!("`snake.{key}`: {} is no text", path.display()))
        };
        Ok(match (&snake.credentials_file, &snake.nkey_file) {
            (None, None) => Credentials::None,
            (Some(file), None) => {
                // Read for each connection; that it can be is found out now.
                read("credentials_file", file)?;
                Credentials::JwtFile(options.path(file))
            }
            (None, Some(file)) => Credentials::NKey(read("nkey_file", file)?.trim().to_owned()),
            (Some(_), Some(_)) => {
                anyhow::bail!(
                    "`snake.credentials_file` and `snake.nkey_file` both say who this rack is: remove one"
                )
            }
        })
    }

    fn tls(options: &BusOptions) -> anyhow::Result<Option<Tls>> {
        let snake = &options.settings.snake;
        let identity = match (&snake.tls_cert_file, &snake.tls_key_file) {
            (Some(certificate), Some(key)) => Some((options.path(certificate), options.path(key))),
            (None, None) => None,
            _ => anyhow::bail!(
                "`snake.tls_cert_file` and `snake.tls_key_file` go together: the other is missing"
            ),
        };
        match &snake.root_ca_file {
            Some(roots) => Ok(Some(Tls { roots: options.path(roots), identity })),
            None => {
                ensure!(
                    identity.is_none(),
                    "`snake.tls_cert_file` needs `snake.root_ca_file`: who vouches for the bus"
                );
                Ok(None)
            }
        }
    }

    /// Whether a server is on this machine.
    fn is_near(server: &str) -> bool {
        let host = server.split_once("://").map_or(server, |(_, host)| host);
        ["localhost", "127.", "[::1]"].iter().any(|near| host.starts_with(near))
    }

    #[cfg(test)]
    mod tests {
        use std::io::Write;

        use flux_scenario::load_settings;

        use super::*;

        fn options(text: &str) -> BusOptions {
            let (settings, report) = load_settings("fluxrig.toml", text.as_bytes());
            assert!(!report.has_errors(), "{}", report.render(false));
            BusOptions { url: None, given: None, settings, directory: "/etc/fluxrig".into() }
        }

        fn refusal(text: &str) -> String {
            format!("{:#}", settings(&World::real(), &options(text)).unwrap_err())
        }

        #[test]
        fn what_cannot_be_is_refused_and_shows_no_secret() {
            for (text, wanted) in [
                ("[snake]\nurl = 'nats://me:hunter2@h:1'", "holds a name or a password"),
                ("[snake]\nnkey_file = 'a'\ncredentials_file = 'b'", "remove one"),
                ("[snake]\nnkey_file = 'no-such'", "`snake.nkey_file`: /etc/fluxrig/no-such"),
                ("[snake]\ntls_cert_file = 'a'", "go together"),
                ("[snake]\ntls_cert_file = 'a'\ntls_key_file = 'b'", "needs `snake.root_ca_file`"),
                ("[snake]\njetstream_domain = 'a.b'", "`snake.jetstream_domain`"),
            ] {
                let why = refusal(text);
                assert!(why.contains(wanted) && !why.contains("hunter2"), "{text}: {why}");
            }
        }

        #[test]
        fn what_is_said_is_what_is_connected_with() {
            let mut seed = tempfile::NamedTempFile::new().unwrap();
            writeln!(seed, "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY").unwrap();
            let text = format!(
                "[base]\nname = 'north'\n[snake]\nurl = 'tls://a:4222, b:4222'\nnkey_file = '{}'\nroot_ca_file = 'ca.pem'\n\
                 jetstream_domain = 'hub'\noperation_timeout = '2s'",
                seed.path().display()
            );
            let settings = settings(&World::real(), &options(&text)).unwrap();
            assert_eq!(settings.servers, ["tls://a:4222", "b:4222"]);
            assert_eq!(settings.name, "fluxrig north");
            assert!(matches!(&settings.credentials, Credentials::NKey(seed) if seed.len() == 58));
            assert_eq!(settings.tls.unwrap().roots, std::path::Path::new("/etc/fluxrig/ca.pem"));
            assert_eq!(settings.domain.unwrap().as_str(), "hub");
            assert_eq!(settings.request_deadline.as_secs(), 2);
        }
    }
}
