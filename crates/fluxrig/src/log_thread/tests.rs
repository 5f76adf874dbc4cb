//! Sinks that stall, fail and recover.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// What the sink does with the next text, and where it says what it took.
struct Told {
    orders: Receiver<Order>,
    taken: Sender<String>,
}

enum Order {
    Take,
    /// Take so many bytes, and fail at the rest.
    Tear(usize),
    Fail,
}

impl Write for Told {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let end = match self.orders.recv().unwrap_or(Order::Take) {
            Order::Take => text.len(),
            Order::Tear(end) => end,
            Order::Fail => return Err(ErrorKind::StorageFull.into()),
        };
        let _ = self.taken.send(String::from_utf8_lossy(&text[..end]).into_owned());
        Ok(end)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start() -> (LogThread, LogLines, Sender<Order>, Receiver<String>) {
    let ((order, orders), (taken, texts)) = (channel(), channel());
    let notice = |lines| format!("{lines} missing\n");
    let thread = LogThread::start(Told { orders, taken }, notice).unwrap();
    let lines = thread.lines();
    (thread, lines, order, texts)
}

/// All that the sink took until the thread ended.
fn rest(thread: LogThread, order: Sender<Order>, texts: Receiver<String>) -> String {
    drop(order);
    drop(thread);
    texts.into_iter().collect()
}

#[test]
fn lines_arrive_in_order_and_the_last_ones_at_the_end() {
    let (thread, mut lines, order, texts) = start();
    for number in 0..1000 {
        // A line is written at once, as the subscriber does.
        lines.write_all(format!("{number}\n").as_bytes()).unwrap();
    }
    let wanted: String = (0..1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(rest(thread, order, texts), wanted);
}

#[test]
fn a_stalled_sink_stops_nobody_and_what_is_missing_is_counted_where_it_is_missing() {
    let (thread, mut lines, order, texts) = start();
    let line = format!("{}\n", "x".repeat(1023));
    let room = QUEUE_BYTES_MAX / line.len();
    // The first is with the sink, or still waits with the others.
    for _ in 0..2 * room + 1 {
        lines.write_all(line.as_bytes()).unwrap();
    }
    order.send(Order::Take).unwrap();
    let text = rest(thread, order, texts);
    let missing = text.lines().filter_map(|line| line.strip_suffix(" missing"));
    let missing: usize = missing.map(|count| count.parse::<usize>().unwrap()).sum();
    let kept = text.lines().filter(|kept| line.trim_end() == *kept).count();
    assert!(missing > 0 && kept >= room, "{kept} kept, {missing} missing");
    assert_eq!(kept + missing, 2 * room + 1);
}

#[test]
fn what_a_failing_sink_lost_is_told_once_it_works_again() {
    let (thread, mut lines, order, texts) = start();
    for (orders, line) in [
        (vec![Order::Fail], "lost 1\n"),
        (vec![Order::Tear(2), Order::Fail], "torn\n"),
        // The end of the torn line, the line, and the notice.
        (vec![Order::Take, Order::Take, Order::Fail], "kept\n"),
        (vec![Order::Take, Order::Take], "kept too\n"),
    ] {
        lines.write_all(line.as_bytes()).unwrap();
        // The next line is another text only once this one is out of the queue.
        orders.into_iter().for_each(|each| order.send(each).unwrap());
        while !thread.0.state.lock().text.is_empty() {
            thread::yield_now();
        }
    }
    assert_eq!(rest(thread, order, texts), "to\nkept\nkept too\n2 missing\n");
}
