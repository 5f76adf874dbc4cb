//! Looks at what a rack lives on, again and again: room on the disk, the clock, descriptors, memory.

use std::{io, path::PathBuf, time::Duration};

use flux_world::{
    Clock, Disk,
    resources::{self, Usage},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{alarms::Alarm, control};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Room on the disk below which it counts as full: what is written next may not fit.
const DISK_FREE_BYTES_MIN: u64 = 16 << 20;
/// Share of the descriptors, or of the memory, below which they count as used up.
const LEFT_PERCENT_MIN: u64 = 5;
/// How far the clock may be behind what it once showed: a time server sets it by less.
const BEHIND_MIN: Duration = Duration::from_secs(2);
/// File by which it is found out whether the disk takes anything.
const PROBE_FILE: &str = "probe";

/// What is found: of each alarm, why there is cause for it now, if there is.
pub(crate) type Findings = Vec<(Alarm, Option<String>)>;

/// Looks from a task of its own until it is dropped.
pub(crate) struct Watchman {
    found: mpsc::Receiver<Findings>,
    task: JoinHandle<()>,
}

impl Watchman {
    /// Looks at the disk that `state_dir` is on, where there is one, and at the clock, which was at `latest_unix_ms`
    /// before.
    pub(crate) fn new(disk: Disk, clock: Clock, state_dir: Option<PathBuf>, latest_unix_ms: u64) -> Watchman {
        let (tell, found) = mpsc::channel(1);
        let mut round = Round { disk, clock, state_dir, latest_unix_ms };
        let task = tokio::spawn(async move {
            loop {
                let findings;
                (round, findings) = round.look().await;
                if tell.send(findings).await.is_err() {
                    return;
                }
                clock.sleep(LOOK_EVERY).await;
            }
        });
        Watchman { found, task }
    }

    /// What the next look finds. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Findings {
        match self.found.recv().await {
            Some(findings) => findings,
            // The task ends only with this.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Round {
    disk: Disk,
    clock: Clock,
    state_dir: Option<PathBuf>,
    /// The latest time the clock ever showed.
    latest_unix_ms: u64,
}

impl Round {
    async fn look(mut self) -> (Round, Findings) {
        let now = self.clock.unix_ms();
        let behind = Duration::from_millis(self.latest_unix_ms.saturating_sub(now));
        self.latest_unix_ms = self.latest_unix_ms.max(now);
        let disk = self.disk.clone();
        // A disk that hangs must not hang the messages.
        disk.offload(move || {
            let mut findings = vec![
                (Alarm::Clock, clock_problem(behind)),
                (Alarm::Descriptors, descriptor_problem(resources::descriptors())),
                (Alarm::Memory, memory_problem(resources::memory())),
            ];
            findings.extend(self.disk_problems());
            (self, findings)
        })
        .await
    }

    fn disk_problems(&self) -> Findings {
        let Some(state_dir) = &self.state_dir else { return Vec::new() };
        let shown = state_dir.display();
        let room = self.disk.free_bytes(state_dir).ok().filter(|&free| free < DISK_FREE_BYTES_MIN);
        let full = room.map(|free| format!("{} KiB are left on the disk of `{shown}`", free >> 10));
        let probe = state_dir.join(PROBE_FILE);
        // Without a sync, which others would wait for. What a process before us left behind goes too.
        let written = self.disk.create(&probe).and_then(|file| file.write_at(0, b"?"));
        let removed = self.disk.remove(&probe);
        let is_told_otherwise =
            |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::AlreadyExists);
        let why = written.and(removed).err().filter(|why| !is_told_otherwise(why.kind()));
        let unwritable = why.map(|why| format!("nothing can be written to `{shown}`: {why}"));
        let gone =
            (!control::is_there(state_dir)).then(|| format!("the control socket in `{shown}` is gone"));
        vec![(Alarm::DiskFull, full), (Alarm::DiskUnwritable, unwritable), (Alarm::ControlSocket, gone)]
    }
}

fn clock_problem(behind: Duration) -> Option<String> {
    (behind > BEHIND_MIN).then(|| format!("the clock is {} s behind what it showed before", behind.as_secs()))
}

fn descriptor_problem(usage: io::Result<Usage>) -> Option<String> {
    match usage {
        Ok(usage) if usage.left_percent() >= LEFT_PERCENT_MIN => None,
        Ok(Usage { used, max }) => Some(format!("{used} of {max} file descriptors are in use")),
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => Some(format!("file descriptors cannot be counted: {why}")),
    }
}

fn memory_problem(usage: io::Result<Usage>) -> Option<String> {
    let usage = usage.ok().filter(|usage| usage.left_percent() < LEFT_PERCENT_MIN)?;
    Some(format!("{} of {} MiB of memory are in use", usage.used >> 20, usage.max >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scarce_is_told() {
        let usage = |used, max| Ok(Usage { used, max });
        assert_eq!(descriptor_problem(usage(95, 100)), None);
        assert_eq!(descriptor_problem(usage(96, 100)).unwrap(), "96 of 100 file descriptors are in use");
        assert_eq!(descriptor_problem(Err(io::ErrorKind::NotFound.into())), None);
        let none_left = io::Error::from_raw_os_error(24);
        assert!(
            descriptor_problem(Err(none_left)).unwrap().starts_with("file descriptors cannot be counted: ")
        );
        assert_eq!(memory_problem(usage(950 << 20, 1000 << 20)), None);
        assert_eq!(
            memory_problem(usage(951 << 20, 1000 << 20)).unwrap(),
            "951 of 1000 MiB of memory are in use"
        );
        assert_eq!(clock_problem(BEHIND_MIN), None);
        assert_eq!(clock_problem(BEHIND_MIN * 2).unwrap(), "the clock is 4 s behind what it showed before");
    }
}
