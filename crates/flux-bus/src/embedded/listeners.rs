//! Who listens now: messages at most once, from queue to queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::bus::Subscription;
use crate::message::Message;
use crate::subject::Pattern;

#[derive(Debug, Default)]
pub(super) struct Listeners {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    list: BTreeMap<u64, Listener>,
}

#[derive(Debug)]
struct Listener {
    pattern: Pattern,
    queue: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

struct UntilDropped {
    table: Arc<Mutex<Table>>,
    number: u64,
}

impl Drop for UntilDropped {
    fn drop(&mut self) {
        self.table.lock().list.remove(&self.number);
    }
}

impl Listeners {
    pub(super) fn subscribe(&self, pattern: Pattern, queue_messages_max: usize) -> Subscription {
        let (queue, receiver) = mpsc::channel(queue_messages_max.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let mut table = self.table.lock();
        let number = table.next;
        table.next += 1;
        table.list.insert(number, Listener { pattern, queue, dropped: dropped.clone() });
        Subscription::new(receiver, dropped, UntilDropped { table: self.table.clone(), number })
    }

    /// Gives it to all who listen; how many do, whether their queue had room or not.
    pub(super) fn send(&self, message: &Message) -> usize {
        let table = self.table.lock();
        let listening = table.list.values().filter(|it| it.pattern.matches(&message.subject));
        let mut count = 0;
        for listener in listening {
            count += 1;
            if let Err(TrySendError::Full(_)) = listener.queue.try_send(message.clone()) {
                listener.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        count
    }

    /// Nobody hears anything any more.
    pub(super) fn close(&self) {
        self.table.lock().list.clear();
    }
}
