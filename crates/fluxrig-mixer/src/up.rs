//! A workstation: the Mixer with one Rack in its process, on a bus in its process too where there is no server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use flux_bus::{Bus, EmbeddedBus, Name, Settings};
use flux_journal::{Key, Keys};
use flux_mixer::Keyring;
use flux_world::World;
use fluxrig::Guest;
use tokio::sync::{oneshot, watch};

/// What is brought up beside the Mixer.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    /// What the Rack is called.
    pub(crate) rack: Name,
    /// What it is to run from now on; what was active, where none is said.
    pub(crate) scenario: Option<PathBuf>,
}

/// The Rack, on a thread of its own. It ends when this is dropped.
pub(crate) struct Beside {
    thread: JoinHandle<anyhow::Result<ExitCode>>,
    until: watch::Sender<()>,
    up: oneshot::Receiver<()>,
    ended: oneshot::Receiver<()>,
}

/// What a Rack is made from.
pub(crate) struct Origin {
    pub(crate) mixer: String,
    pub(crate) token: flux_identity::Token,
    pub(crate) state_dir: PathBuf,
    pub(crate) bus: Option<Arc<dyn Bus>>,
}

impl Beside {
    pub(crate) fn start(rack: Name, origin: Origin) -> anyhow::Result<Beside> {
        let Origin { mixer, token, state_dir, bus } = origin;
        let (until, ends) = watch::channel(());
        let ((told, up), (ending, ended)) = (oneshot::channel(), oneshot::channel());
        let guest = Guest { mixer, token, rack, state_dir, bus, up: told, until: ends };
        let run = move || {
            let code = guest.run();
            drop::<oneshot::Sender<()>>(ending);
            code
        };
        let thread = std::thread::Builder::new().name("rack".into()).spawn(run).context("the rack")?;
        Ok(Beside { thread, until, up, ended })
    }

    /// Waits until the Rack is up. False where it ended before. Cancel-safe.
    pub(crate) async fn is_up(&mut self) -> bool {
        (&mut self.up).await.is_ok()
    }

    /// Waits until it has ended. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.ended).await;
    }

    /// Has it end, and says how it did.
    pub(crate) async fn end(self) -> anyhow::Result<ExitCode> {
        let Beside { thread, until, .. } = self;
        drop(until);
        // It has deadlines of its own.
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        ended.map_err(anyhow::Error::from)?.map_err(|_| anyhow!("the rack failed; the log says where"))?
    }
}

/// The bus of one machine.
pub(crate) async fn bus(
    world: &World,
    state_dir: &std::path::Path,
    keyring: &Keyring,
) -> anyhow::Result<Arc<EmbeddedBus>> {
    let keys = Keys::new(vec![Key { id: 1, secret: keyring.store_key }]);
    let directory = state_dir.join("bus").join("embedded");
    let opened = EmbeddedBus::open(world, &directory, Settings::default(), keys).await;
    Ok(Arc::new(opened.with_context(|| format!("the bus in `{}`", directory.display()))?))
}
