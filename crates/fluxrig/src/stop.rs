//! When to stop: a signal, or the end of whoever started us.

use std::{io::Read, time::Duration};

use clap::Args;
use flux_world::Clock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What stops a command that would run for ever.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct StopOptions {
    /// Stop, as on SIGTERM, when standard input ends too: whoever holds its other end cannot leave us behind
    #[arg(long)]
    until_stdin_ends: bool,
}

/// A file has reached its greatest size (`ulimit -f`): the same number on Linux and macOS, but for MIPS.
const SIGXFSZ: i32 = 25;

/// How long a process may take to end that was told so twice.
const ENDS_WITHIN: Duration = Duration::from_millis(500);

/// SIGTERM, SIGINT, or the end of whoever started us, where that was asked for.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
    starter: Option<watch::Receiver<()>>,
}

impl StopSignal {
    /// Listens from now on. A log that reaches the limit of a file's size is no reason to stop: with a handler for that
    /// signal the write fails, as on a full disk.
    pub(crate) fn new(options: StopOptions) -> std::io::Result<StopSignal> {
        StopSignal::with(options.until_stdin_ends.then(watch_stdin))
    }

    /// The same; a reason to stop is also that the other end of `starter` is gone.
    pub(crate) fn with(starter: Option<watch::Receiver<()>>) -> std::io::Result<StopSignal> {
        drop(signal(SignalKind::from_raw(SIGXFSZ))?);
        insist()?;
        Ok(StopSignal {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            starter,
        })
    }

    /// The next reason to stop; the end of whoever started us counts once.
    pub(crate) async fn wait(&mut self) {
        let starter = &mut self.starter;
        let starter_ends = async {
            match starter {
                Some(open) => while open.changed().await.is_ok() {},
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = starter_ends => self.starter = None,
        }
    }
}

/// Ends the process some time after the second signal, where it has not ended by itself: on a thread that waits for
/// nothing else, so that no disk, no gear and nobody who takes over can keep it.
fn insist() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Listens before this returns.
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let insisting = async move {
        for _ in 0..2 {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        Clock::real().sleep(ENDS_WITHIN).await;
    };
    std::thread::Builder::new().name("second signal".into()).spawn(move || {
        runtime.block_on(insisting);
        std::process::exit(1);
    })?;
    Ok(())
}

/// Reads standard input to its end on a thread of its own, since a read of it cannot be cancelled; the thread ends with
/// the input or with the process.
fn watch_stdin() -> watch::Receiver<()> {
    let (open, watched) = watch::channel(());
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while std::io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
        drop(open);
    });
    watched
}
