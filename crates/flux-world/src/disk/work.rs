//! A thread of its own for whoever waits for the disk all day; a task in a simulated world.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[cfg(feature = "sim")]
use tokio::sync::Notify;

#[cfg(feature = "sim")]
use crate::sim::SimDisk;

/// What a worker does each time its bell rings, in two steps, so that a simulated disk can take its time in between.
pub trait Work: Send + 'static {
    /// Does all that waits now; blocks as long as the disk does. Nobody is told yet.
    fn work(&mut self);

    /// Tells whom it concerns what was done, and says when to go on.
    fn report(&mut self) -> Rest;

    /// Tells whom it concerns that nothing will be done any more: a step panicked.
    fn give_up(&mut self);
}

/// When a worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// At once: there is more to do, also when it is asked to end.
    None,
    /// When the bell rings.
    UntilRung,
    /// When the bell rings, or after this time.
    For(Duration),
    /// Never.
    ForGood,
}

/// Wakes a worker; a clone rings the same bell. Ringing while it works makes it look again.
#[derive(Clone, Debug)]
pub struct Bell {
    kind: BellKind,
}

#[derive(Clone, Debug)]
enum BellKind {
    Thread(thread::Thread),
    #[cfg(feature = "sim")]
    Task(Arc<Notify>),
}

impl Bell {
    /// Wakes the worker; a few nanoseconds when it is awake.
    pub fn ring(&self) {
        match &self.kind {
            BellKind::Thread(thread) => thread.unpark(),
            #[cfg(feature = "sim")]
            BellKind::Task(notify) => notify.notify_one(),
        }
    }
}

/// Owns a worker's thread. When dropped it lets the worker do what already waits, and waits for the thread to end. A
/// simulated one comes to the same end, and is not waited for.
#[derive(Debug)]
pub struct Worker {
    bell: Bell,
    is_ending: Arc<AtomicBool>,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    Thread(Option<JoinHandle<()>>),
    #[cfg(feature = "sim")]
    Task,
}

impl Worker {
    pub(super) fn on_thread(name: &str, work: impl Work) -> io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let seen_by_thread = is_ending.clone();
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(move || run(work, &seen_by_thread))?;
        let bell = Bell { kind: BellKind::Thread(thread.thread().clone()) };
        Ok(Self { bell, is_ending, handle: Handle::Thread(Some(thread)) })
    }

    #[cfg(feature = "sim")]
    pub(super) fn on_task(disk: SimDisk, work: impl Work) -> Self {
        let is_ending = Arc::new(AtomicBool::new(false));
        let notify = Arc::new(Notify::new());
        // It ends by itself when its handle is dropped, or with its runtime.
        drop(tokio::spawn(run_simulated(disk, work, notify.clone(), is_ending.clone())));
        let bell = Bell { kind: BellKind::Task(notify) };
        Self { bell, is_ending, handle: Handle::Task }
    }

    /// The bell of this worker.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        match &mut self.handle {
            Handle::Thread(thread) => {
                self.bell.ring();
                // The last handle may be dropped by the worker itself, which cannot wait for its own end.
                let other = thread.take().filter(|thread| thread.thread().id() != thread::current().id());
                // A panic of the worker was told by `give_up`.
                let _ = other.map(JoinHandle::join);
            }
            #[cfg(feature = "sim")]
            Handle::Task => self.bell.ring(),
        }
    }
}

/// One round of work; `None` when it panicked.
fn guarded<W: Work, T>(work: &mut W, step: impl FnOnce(&mut W) -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(|| step(work)));
    if done.is_err() {
        work.give_up();
    }
    done.ok()
}

fn run<W: Work>(mut work: W, is_ending: &AtomicBool) {
    loop {
        let rest = guarded(&mut work, |work| {
            work.work();
            work.report()
        });
        match rest {
            None | Some(Rest::ForGood) => return,
            Some(Rest::None) => {}
            Some(Rest::UntilRung | Rest::For(_)) if is_ending.load(Ordering::Acquire) => return,
            Some(Rest::UntilRung) => thread::park(),
            Some(Rest::For(duration)) => thread::park_timeout(duration),
        }
    }
}

#[cfg(feature = "sim")]
async fn run_simulated<W: Work>(disk: SimDisk, mut work: W, bell: Arc<Notify>, is_ending: Arc<AtomicBool>) {
    let boot = disk.boot();
    loop {
        if guarded(&mut work, W::work).is_none() {
            return;
        }
        disk.take_time().await;
        if disk.boot() != boot {
            // The machine crashed meanwhile: nobody is left to be told.
            return;
        }
        match guarded(&mut work, W::report) {
            None | Some(Rest::ForGood) => return,
            Some(Rest::None) => {}
            Some(Rest::UntilRung | Rest::For(_)) if is_ending.load(Ordering::Acquire) => return,
            Some(Rest::UntilRung) => bell.notified().await,
            Some(Rest::For(duration)) => {
                let _ = tokio::time::timeout(duration, bell.notified()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::Disk;

    struct Counts {
        rounds: u32,
        told: mpsc::Sender<u32>,
    }

    impl Work for Counts {
        fn work(&mut self) {
            self.rounds += 1;
            assert!(self.rounds < 4, "the fourth round is one too many");
        }

        fn report(&mut self) -> Rest {
            self.told.send(self.rounds).unwrap();
            Rest::UntilRung
        }

        fn give_up(&mut self) {
            self.told.send(0).unwrap();
        }
    }

    /// Takes a while, and says when somebody was told of it.
    #[cfg(feature = "sim")]
    struct Tells(mpsc::Sender<()>);

    #[cfg(feature = "sim")]
    impl Work for Tells {
        fn work(&mut self) {
            self.give_up();
        }

        fn report(&mut self) -> Rest {
            self.give_up();
            Rest::UntilRung
        }

        fn give_up(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    #[cfg(feature = "sim")]
    #[test]
    fn a_simulated_worker_that_is_dropped_at_work_still_tells_what_it_did() {
        crate::sim::Sim::run(1, async |sim| {
            let (told, hears) = mpsc::channel();
            let (world, disk) = (sim.world(), sim.disk("local"));
            let second = Duration::from_secs(1);
            disk.set_latency(crate::sim::DiskLatency { sync: second, ..Default::default() });
            world.disk.make_dir(std::path::Path::new("/data")).unwrap();
            world.disk.write_atomic(std::path::Path::new("/data/a"), b"x").unwrap();
            let worker = world.disk.employ("tells", Tells(told)).unwrap();
            world.clock.sleep(second / 2).await;
            assert_eq!(hears.try_iter().count(), 1, "it is at work");
            drop(worker);
            world.clock.sleep(second * 9).await;
            assert_eq!(hears.try_iter().count(), 1, "it told of it, and began nothing else");
            assert!(hears.recv().is_err(), "it is gone");
        });
    }

    #[test]
    fn a_worker_works_when_rung_and_says_so_when_it_panics() {
        let (told, hears) = mpsc::channel();
        let worker = Disk::real().employ("counts", Counts { rounds: 0, told }).unwrap();
        for round in [1, 2, 3, 0] {
            assert_eq!(hears.recv().unwrap(), round);
            worker.bell().ring();
        }
        drop(worker);
        assert!(hears.recv().is_err(), "the thread is gone, and the work with it");
    }
}
