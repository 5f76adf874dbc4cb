//! The log's own thread: lines wait in a bounded queue, so that nobody who reads the log can stop those who write it.

use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// Text that may wait to be written. A line that finds no room is dropped and counted.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Longest wait for the last lines when the program ends.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);
/// Wait before a sink that was not ready (standard error may be a pipe that does not block) is tried again.
const NOT_READY_PAUSE: Duration = Duration::from_millis(10);

/// The thread that writes the log. Dropping it writes what waits, for a moment at most.
pub(crate) struct LogThread(Arc<Queue>);

/// Where log lines are put, a line at a time; it neither waits nor fails.
#[derive(Clone)]
pub(crate) struct LogLines(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    /// Lines that came after `text` and found no room.
    dropped: u64,
    is_closed: bool,
    is_finished: bool,
}

impl LogThread {
    /// Writes lines to `sink` from now on. Lines that could not be written are counted; once the sink works again,
    /// `notice` says how many there were.
    pub(crate) fn start<S, N>(sink: S, notice: N) -> io::Result<LogThread>
    where
        S: Write + Send + 'static,
        N: Fn(u64) -> String + Send + 'static,
    {
        let queue = Arc::new(Queue::default());
        let writer = Writer { queue: queue.clone(), sink, notice, lost: 0, is_torn: false };
        thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
        Ok(LogThread(queue))
    }

    /// Where to put lines.
    pub(crate) fn lines(&self) -> LogLines {
        LogLines(self.0.clone())
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        self.0.changed.notify_all();
        self.0.changed.wait_while_for(&mut state, |state| !state.is_finished, LAST_LINES_TIMEOUT);
    }
}

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        // After a gap nothing is taken until it can be told: lines stay in order around it.
        if state.dropped > 0 || state.text.len() + line.len() > QUEUE_BYTES_MAX {
            state.dropped += 1;
        } else {
            state.text.extend_from_slice(line);
        }
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    /// The text that waits, and how many lines are missing after it. Waits for some; `None` after the last.
    fn take(&self) -> Option<(Vec<u8>, u64)> {
        let mut state = self.state.lock();
        self.changed
            .wait_while(&mut state, |state| state.text.is_empty() && state.dropped == 0 && !state.is_closed);
        let taken = (mem::take(&mut state.text), mem::take(&mut state.dropped));
        (taken != (Vec::new(), 0)).then_some(taken)
    }
}

struct Writer<S, N> {
    queue: Arc<Queue>,
    sink: S,
    notice: N,
    /// Lines that nobody was told about yet.
    lost: u64,
    /// Whether the last line that was written lacks its end.
    is_torn: bool,
}

impl<S: Write, N: Fn(u64) -> String> Writer<S, N> {
    fn run(mut self) {
        while let Some((text, dropped)) = self.queue.take() {
            let written = self.write(&text);
            self.lost += dropped + lines(&text[written..]);
            if self.lost > 0 && written == text.len() {
                let notice = (self.notice)(self.lost);
                if self.write(notice.as_bytes()) == notice.len() {
                    self.lost = 0;
                }
            }
        }
        self.queue.state.lock().is_finished = true;
        self.queue.changed.notify_all();
    }

    /// Writes as much of a text as the sink takes; says how much.
    fn write(&mut self, text: &[u8]) -> usize {
        if self.is_torn && self.sink.write_all(b"\n").is_err() {
            return 0;
        }
        self.is_torn = false;
        let mut written = 0;
        while written < text.len() {
            match self.sink.write(&text[written..]) {
                Ok(0) => break,
                Ok(n) => written += n,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => thread::sleep(NOT_READY_PAUSE),
                Err(_) => break,
            }
        }
        self.is_torn = text[..written].last().is_some_and(|&end| end != b'\n');
        written
    }
}

fn lines(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
