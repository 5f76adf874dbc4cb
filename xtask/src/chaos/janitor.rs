//! Cleans up behind a run, however it ends: a process that outlives it, and is told beforehand what there will be.

use std::{
    io::{BufRead, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// The process. Dropped, it has cleaned up.
pub(super) struct Janitor(Child);

impl Janitor {
    pub(super) fn hire() -> Result<Janitor> {
        let mut command = Command::new(std::env::current_exe()?);
        // In a group of its own, so that Ctrl-C ends the run and not this.
        command.arg("chaos-janitor").stdin(Stdio::piped()).process_group(0);
        Ok(Janitor(command.spawn().context("cannot start the one who cleans up")?))
    }

    /// There will be a network namespace of this name.
    pub(super) fn expect_namespace(&mut self, name: &str) -> Result<()> {
        self.tell("namespace", name)
    }

    /// There will be a file system here.
    pub(super) fn expect_mount(&mut self, path: &str) -> Result<()> {
        self.tell("mount", path)
    }

    fn tell(&mut self, what: &str, name: &str) -> Result<()> {
        let input = self.0.stdin.as_mut().context("it has input until it is dropped")?;
        writeln!(input, "{what} {name}").context("the one who cleans up is gone")
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The process itself: waits for the end of its input, and then takes away all it was told of.
pub(crate) fn clean_up() -> Result<()> {
    let told: Vec<String> = std::io::stdin().lock().lines().map_while(Result::ok).collect();
    for line in told.iter().rev() {
        match line.split_once(' ') {
            Some(("namespace", name)) => {
                for process in quietly("ip", &["netns", "pids", name]).lines() {
                    quietly("kill", &["-s", "KILL", process]);
                }
                quietly("ip", &["netns", "del", name]);
            }
            Some(("mount", path)) => drop(quietly("umount", &["--lazy", path])),
            _ => {}
        }
    }
    Ok(())
}

/// What a program prints; it may fail, for what it takes away may never have come to be.
fn quietly(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
