//! Looks at files again and again, and says when what is in them is no longer what a rack runs by.

use std::{path::Path, time::Duration};

use flux_scenario::limits::FILE_BYTES_MAX;
use flux_world::{Clock, Disk};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::files::{Contents, digest_of};

/// Time between two looks. A change counts when two looks in a row see the same: an editor that writes in pieces is
/// waited for. Files are compared by content, so it does not matter how they are replaced, or on what file system.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files under watch, by a task of its own until it is dropped.
pub(crate) struct Watch {
    known: watch::Sender<Contents>,
    changed: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Watches these files, and whether they become other than they are here.
    pub(crate) fn new(known: Contents, disk: Disk, clock: Clock) -> Watch {
        let (known, seen) = watch::channel(known);
        let (tell, changed) = mpsc::channel(1);
        let task = tokio::spawn(look(seen, disk, clock, tell));
        Watch { known, changed, task }
    }

    /// From now on it is these files, as they are here.
    pub(crate) fn know(&self, contents: Contents) {
        self.known.send_replace(contents);
    }

    /// The next change. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if self.changed.recv().await.is_none() {
            // The task ends only when it is aborted.
            std::future::pending().await
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(mut known: watch::Receiver<Contents>, disk: Disk, clock: Clock, tell: mpsc::Sender<()>) {
    let mut before = known.borrow_and_update().clone();
    let mut told = before.clone();
    loop {
        clock.sleep(LOOK_EVERY).await;
        if known.has_changed().unwrap_or(false) {
            told = known.borrow_and_update().clone();
        }
        let (names, on) = (told.clone(), disk.clone());
        let now = disk.offload(move || contents(&on, names)).await;
        if now != told && now == before {
            told = now.clone();
            // One that waits says as much as two.
            let _ = tell.try_send(());
        }
        before = now;
    }
}

/// The same files as they are now.
fn contents(disk: &Disk, names: Contents) -> Contents {
    let digest = |name: &str| {
        let content = disk.read_start(Path::new(name), FILE_BYTES_MAX + 1).ok()?;
        Some(digest_of(&content))
    };
    let again = |name: String| {
        let digest = digest(&name);
        (name, digest)
    };
    names.into_keys().map(again).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_change_is_told_once_and_a_file_that_is_only_touched_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.yaml");
        let name = path.to_str().unwrap().to_owned();
        fs::write(&path, "one").unwrap();
        let is = |text: &str| Contents::from([(name.clone(), Some(digest_of(text.as_bytes())))]);
        let clock = Clock::real();
        let mut watch = Watch::new(is("one"), Disk::real(), clock);
        let tells = async |watch: &mut Watch| clock.timeout(LOOK_EVERY * 4, watch.changed()).await.is_ok();
        fs::write(&path, "one").unwrap();
        assert!(!tells(&mut watch).await);
        fs::remove_file(&path).unwrap();
        assert!(tells(&mut watch).await, "it is gone");
        fs::write(&path, "two").unwrap();
        assert!(tells(&mut watch).await);
        assert!(!tells(&mut watch).await, "told once, though nobody made it known");
        watch.know(is("one"));
        assert!(tells(&mut watch).await, "what runs is not what is there");
    }
}
