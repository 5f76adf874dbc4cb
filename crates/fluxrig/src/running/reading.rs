//! Reads what a rack was started with once more, beside the rack: whatever a file system does, it can be asked and stopped.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use flux_rack::Remains;
use flux_scenario::edition::ContentHash;
use flux_world::{Clock, Disk, Instant};
use serde_json::Value as Json;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    control::Answer,
    plan::{Plan, PlanOptions},
};

/// Longest wait for the files. Reading, checking and trying gears takes milliseconds, on a disk that is there.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// A version that is to go live, or to be compared with the one that does.
pub(super) struct Wanted {
    pub(super) because: &'static str,
    pub(super) is_dry_run: bool,
    pub(super) remains: Remains,
    /// The orders of the Mixer that it follows from, where it does.
    pub(super) orders: Option<Option<ContentHash>>,
    /// Who asked for it, where somebody waits.
    pub(super) answer: Option<oneshot::Sender<Answer<Json>>>,
}

impl Wanted {
    /// Nobody waits for it.
    pub(super) fn unasked(because: &'static str) -> Wanted {
        Wanted { because, is_dry_run: false, remains: Remains::Delivered, orders: None, answer: None }
    }

    /// Somebody does.
    pub(super) fn asked(is_dry_run: bool, remains: Remains, answer: oneshot::Sender<Answer<Json>>) -> Wanted {
        Wanted { is_dry_run, remains, answer: Some(answer), ..Wanted::unasked("asked") }
    }
}

/// Reads one version after the other, each once it is asked for.
pub(super) struct Reader {
    options: PlanOptions,
    /// How they are read.
    read: Read,
    within: Duration,
    disk: Disk,
    clock: Clock,
    /// In the order asked for; bounded by the clients of the control socket, who wait, and one for each other cause.
    wanted: VecDeque<Wanted>,
    reading: Option<Reading>,
}

type Read = fn(&PlanOptions) -> anyhow::Result<Plan>;

struct Reading {
    task: JoinHandle<Result<Plan, String>>,
    due: Instant,
    /// Nobody waits for it any more. A read cannot be cancelled, so its thread is left where it is.
    is_given_up: bool,
}

impl Reader {
    pub(super) fn new(options: PlanOptions, disk: Disk, clock: Clock) -> Reader {
        Reader {
            options,
            read: PlanOptions::read,
            within: READ_WITHIN,
            disk,
            clock,
            wanted: VecDeque::new(),
            reading: None,
        }
    }

    /// Has it read. One that waits to be read says as much as two, where nobody waits for an answer.
    pub(super) fn want(&mut self, wanted: Wanted) {
        // The first is being read, and may have been before what is new was there.
        let waits = |other: &&mut Wanted| other.answer.is_none() && other.because == wanted.because;
        match self.wanted.iter_mut().skip(1).find(waits) {
            Some(waiting) if wanted.answer.is_none() => *waiting = wanted,
            _ => self.wanted.push_back(wanted),
        }
    }

    /// From now on it reads another file.
    pub(super) fn turn_to(&mut self, file: PathBuf) {
        self.options.file = file;
    }

    /// The next that was read, or why it could not be. Cancel-safe.
    pub(super) async fn next(&mut self) -> (Wanted, Result<Plan, String>) {
        if self.wanted.is_empty() {
            std::future::pending::<()>().await;
        }
        let read = self.read().await;
        let wanted = self.wanted.pop_front().expect("there is one");
        (wanted, read)
    }

    async fn read(&mut self) -> Result<Plan, String> {
        let file = self.options.file.display().to_string();
        if self.reading.as_ref().is_some_and(|reading| reading.is_given_up && !reading.task.is_finished()) {
            return Err(format!("`{file}`, or what it names, is still being read since an earlier attempt"));
        }
        let under_way = self.reading.take().filter(|reading| !reading.is_given_up);
        let reading = under_way.unwrap_or_else(|| begin(self));
        let reading = self.reading.insert(reading);
        match self.clock.timeout_at(reading.due, &mut reading.task).await {
            Ok(read) => {
                self.reading = None;
                read.unwrap_or_else(|why| std::panic::resume_unwind(why.into_panic()))
            }
            Err(_) => {
                reading.is_given_up = true;
                Err(format!("`{file}`, or what it names, cannot be read within {:?}", self.within))
            }
        }
    }
}

fn begin(reader: &Reader) -> Reading {
    let (options, on, read) = (reader.options.clone(), reader.disk.clone(), reader.read);
    let due = reader.clock.now() + reader.within;
    let read = async move { on.offload(move || read(&options)).await.map_err(|why| format!("{why:#}")) };
    Reading { task: tokio::spawn(read), due, is_given_up: false }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    static IS_THERE: AtomicBool = AtomicBool::new(false);

    fn read(_: &PlanOptions) -> anyhow::Result<Plan> {
        while !IS_THERE.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Err(anyhow::anyhow!("it was read"))
    }

    #[tokio::test]
    async fn a_disk_that_does_not_answer_is_waited_for_by_one_thread_and_for_so_long() {
        let options = PlanOptions { file: "t.yaml".into(), by: Default::default() };
        let within = Duration::from_millis(20);
        let mut reader = Reader { read, within, ..Reader::new(options, Disk::real(), Clock::real()) };
        (0..9).for_each(|_| reader.want(Wanted::unasked("SIGHUP")));
        assert_eq!(reader.wanted.len(), 2, "one that is read, one for all that came since");
        tokio::select! {
            biased;
            _ = reader.next() => panic!("nothing was read"),
            () = tokio::task::yield_now() => {}
        }
        let why = reader.next().await.1.err().unwrap();
        assert_eq!(why, "`t.yaml`, or what it names, cannot be read within 20ms");
        let why = reader.next().await.1.err().unwrap();
        assert_eq!(why, "`t.yaml`, or what it names, is still being read since an earlier attempt");
        IS_THERE.store(true, Ordering::Release);
        while reader.reading.as_ref().is_some_and(|reading| !reading.task.is_finished()) {
            tokio::task::yield_now().await;
        }
        reader.want(Wanted::unasked("SIGHUP"));
        assert_eq!(reader.next().await.1.err().unwrap(), "it was read");
    }
}
