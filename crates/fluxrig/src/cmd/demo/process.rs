//! One process of the demo: this same program under another command, which cannot outlive us.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use anyhow::Context;
use flux_world::Clock;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Time for a process to say that it is ready, and to leave when it is asked to.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A running process. Dropped, it is killed; and should we be killed ourselves, its standard input ends, at which it
/// leaves by itself.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `fluxrig` with these words; what it logs goes to `NAME.log` in the directory.
    pub(super) fn start(name: &'static str, words: &[&str], directory: &Path) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(directory.join(format!("{name}.log")))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .arg("--until-stdin-ends")
            .env_remove("FLUXRIG_CONFIG")
            .env_remove("FLUXRIG_LOG")
            .env_remove("FLUXRIG_STATE_DIR")
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            // Ctrl-C is for us: we end the demo in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdin = child.stdin.take().expect("standard input is a pipe");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        Ok(Process { name, child, stdin, stdout: BufReader::new(stdout).lines() })
    }

    /// The next line of its standard output.
    pub(super) async fn line(&mut self, clock: Clock) -> anyhow::Result<String> {
        let name = self.name;
        let line = clock.timeout(PATIENCE, self.stdout.next_line()).await;
        line.with_context(|| format!("{name} says nothing"))??.with_context(|| format!("{name} has ended"))
    }

    /// Waits for its end, which nobody asked for.
    pub(super) async fn misfortune(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("{} has ended: {status}", self.name),
            Err(why) => anyhow::anyhow!("{} cannot be watched: {why}", self.name),
        }
    }

    /// Kills it, as a power cut would.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks it to finish what it has in hand, and waits for that.
    pub(super) async fn leave(self, clock: Clock) -> anyhow::Result<()> {
        let Process { name, mut child, stdin, stdout: _open } = self;
        drop(stdin);
        let left = clock.timeout(PATIENCE, child.wait()).await;
        let status = left.with_context(|| format!("{name} does not leave"))??;
        anyhow::ensure!(status.success(), "{name} did not leave in order: {status}");
        Ok(())
    }
}
