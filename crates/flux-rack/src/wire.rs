//! A hot wire: a bounded queue in memory that is filled and emptied in batches.
//!
//! Room is a semaphore, so that senders who wait are served in the order they came; the queue itself is a short
//! critical section for a whole batch. Nothing is encoded: a hop in memory moves the message.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flux_gear::Held;
use flux_world::{Clock, Instant, planted};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore, TryAcquireError};

use crate::{stats::WireCounters, tuning::Tuning};

/// An edge of the running graph, into one input port of one gear. It outlives both: a reload may put other gears at its
/// ends, and what is in it stays.
pub(crate) struct Wire {
    pub(crate) name: String,
    pub(crate) counters: WireCounters,
    queue: Mutex<Queue>,
    /// Length of the queue, readable without the lock.
    len: AtomicUsize,
    room: Semaphore,
    capacity: usize,
    /// Rings each time the queue becomes empty.
    emptied: Notify,
    clock: Clock,
    /// A sender who waits longer says so.
    alarm_after: Duration,
}

struct Queue {
    messages: VecDeque<Held>,
    /// What was here before and comes again, by its number in the journal it is from. It needs no room.
    returned: VecDeque<(u64, Held)>,
    /// Wakes the receiving segment. Shared by all wires into it.
    bell: Arc<Notify>,
    is_closed: bool,
    /// Messages in it that there was no room for.
    excess: usize,
    /// Messages taken since the wire was made.
    taken: u64,
    /// How many will have been taken when the last of those that must be run before a cut-over is.
    owed_until: u64,
    /// One message at a time is timed on its way: its number, and when it entered.
    timed: Option<(u64, Instant)>,
}

/// The rack is stopping, or a reload has taken the wire away.
pub(crate) struct Closed;

impl Wire {
    /// An empty wire. It wakes nobody until it is connected.
    pub(crate) fn new(name: String, tuning: &Tuning, clock: Clock) -> Wire {
        let capacity = tuning.lane_queue_size;
        let queue = Queue {
            messages: VecDeque::new(),
            returned: VecDeque::new(),
            bell: Arc::default(),
            is_closed: false,
            excess: 0,
            owed_until: 0,
            taken: 0,
            timed: None,
        };
        Wire {
            name,
            alarm_after: tuning.lane_send_timeout,
            counters: WireCounters::default(),
            queue: Mutex::new(queue),
            len: AtomicUsize::new(0),
            room: Semaphore::new(capacity),
            capacity,
            emptied: Notify::new(),
            clock,
        }
    }

    /// Moves what there is room for from the front of `msgs` into the queue, without waiting.
    pub(crate) fn try_push<M: Into<Held>>(&self, msgs: &mut Vec<M>) -> Result<(), Closed> {
        while !msgs.is_empty() {
            let n = self.room.available_permits().min(msgs.len());
            if n == 0 {
                return if self.room.is_closed() { Err(Closed) } else { Ok(()) };
            }
            let permits = u32::try_from(n).unwrap_or(u32::MAX);
            match self.room.try_acquire_many(permits) {
                Ok(permits) => permits.forget(),
                Err(TryAcquireError::Closed) => return Err(Closed),
                // Another sender was faster: look again.
                Err(TryAcquireError::NoPermits) => continue,
            }
            self.append(msgs, n)?;
        }
        Ok(())
    }

    /// Moves all of `msgs` into the queue and waits for room as often as it takes.
    pub(crate) async fn push<M: Into<Held>>(&self, msgs: &mut Vec<M>) -> Result<(), Closed> {
        self.try_push(msgs)?;
        if msgs.is_empty() {
            return Ok(());
        }
        self.counters.blocked();
        while !msgs.is_empty() {
            let n = msgs.len().min(self.capacity);
            self.wait_for_room(u32::try_from(n).unwrap_or(u32::MAX)).await?;
            self.append(msgs, n)?;
        }
        Ok(())
    }

    /// Waits as long as it takes, and says so when it takes long: waiting is the back-pressure, a stuck receiver is
    /// somebody's problem.
    async fn wait_for_room(&self, permits: u32) -> Result<(), Closed> {
        let room = self.room.acquire_many(permits);
        tokio::pin!(room);
        let permit = match self.clock.timeout(self.alarm_after, &mut room).await {
            Ok(permit) => permit,
            Err(_) => {
                tracing::warn!(wire = self.name, blocked_for = ?self.alarm_after, "wire is full: its receiver is slow or stuck");
                room.await
            }
        };
        permit.map_err(|_| Closed)?.forget();
        Ok(())
    }

    /// Moves all of `msgs` into the queue, room or not, closed or not: what is run out of wires that end is bounded, and
    /// nobody may wait for it.
    pub(crate) fn force<M: Into<Held>>(&self, msgs: &mut Vec<M>) {
        let mut queue = self.queue.lock();
        queue.excess += msgs.len();
        queue.owed_until = queue.taken + (queue.messages.len() + msgs.len()) as u64;
        self.put(queue, msgs, msgs.len());
    }

    /// What is in the queue now has to be run before a cut-over.
    pub(crate) fn owe(&self) {
        let mut queue = self.queue.lock();
        queue.owed_until = queue.taken + queue.messages.len() as u64;
    }

    /// Whether some of that, or of what was forced in since, is still in the queue.
    pub(crate) fn owes(&self) -> bool {
        let queue = self.queue.lock();
        queue.taken < queue.owed_until && !queue.messages.is_empty()
    }

    /// Moves the first `n` messages, for which there is room, into the queue.
    fn append<M: Into<Held>>(&self, msgs: &mut Vec<M>, n: usize) -> Result<(), Closed> {
        let queue = self.queue.lock();
        if queue.is_closed {
            return Err(Closed);
        }
        self.put(queue, msgs, n);
        Ok(())
    }

    fn put<M: Into<Held>>(&self, mut queue: MutexGuard<'_, Queue>, msgs: &mut Vec<M>, n: usize) {
        if queue.timed.is_none() && queue.messages.is_empty() {
            queue.timed = Some((queue.taken, self.clock.now()));
        }
        let bell = queue.is_empty().then(|| queue.bell.clone());
        queue.messages.extend(msgs.drain(..n).map(Into::into));
        self.len.fetch_add(n, Ordering::Release);
        drop(queue);
        self.counters.passed(n);
        if let Some(bell) = bell {
            bell.notify_one();
        }
    }

    /// Moves up to `max` messages to the end of `into`; returns how many.
    pub(crate) fn take(&self, max: usize, into: &mut VecDeque<Held>) -> usize {
        if self.len() == 0 {
            return 0;
        }
        let (again, n, repaid, entered, is_empty) = {
            let mut queue = self.queue.lock();
            let again = queue.returned.len().min(max);
            if again > 0 {
                into.extend(queue.returned.drain(..again).map(|(_, held)| held));
            }
            let n = queue.messages.len().min(max - again);
            if n == queue.messages.len() && into.is_empty() {
                std::mem::swap(&mut queue.messages, into);
            } else {
                into.extend(queue.messages.drain(..n));
            }
            queue.taken += n as u64;
            let repaid = queue.excess.min(n);
            queue.excess -= repaid;
            let taken = queue.taken;
            let entered = queue.timed.take_if(|(number, _)| *number < taken).map(|(_, entered)| entered);
            self.len.fetch_sub(again + n, Ordering::Release);
            (again, n, repaid, entered, queue.is_empty())
        };
        if let Some(entered) = entered {
            self.counters.waited(self.clock.now().saturating_duration_since(entered));
        }
        self.room.add_permits(n - repaid);
        if is_empty {
            self.emptied.notify_waiters();
        }
        again + n
    }

    /// Puts a message that was here before in front of all that were not, in the order of their numbers. A closed wire
    /// does not ask for it.
    pub(crate) fn put_back(&self, number: u64, held: impl FnOnce() -> Held) -> Result<(), Closed> {
        let bell = {
            let mut queue = self.queue.lock();
            if queue.is_closed {
                return Err(Closed);
            }
            let bell = queue.is_empty().then(|| queue.bell.clone());
            let at = queue.returned.partition_point(|(other, _)| *other < number);
            queue.returned.insert(at, (number, held()));
            self.len.fetch_add(1, Ordering::Release);
            bell
        };
        if let Some(bell) = bell {
            bell.notify_one();
        }
        Ok(())
    }

    /// Takes out what was here before and came again.
    pub(crate) fn take_returned(&self) -> VecDeque<Held> {
        let mut queue = self.queue.lock();
        let returned: VecDeque<Held> = queue.returned.drain(..).map(|(_, held)| held).collect();
        self.len.fetch_sub(returned.len(), Ordering::Release);
        let is_empty = queue.is_empty();
        drop(queue);
        if is_empty {
            self.emptied.notify_waiters();
        }
        returned
    }

    /// Takes out all that waits.
    pub(crate) fn recall(&self) -> VecDeque<Held> {
        let mut all = VecDeque::new();
        self.take(usize::MAX, &mut all);
        all
    }

    /// Messages in the queue.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether it is closed and empty: nothing will ever come out of it.
    pub(crate) fn is_finished(&self) -> bool {
        let queue = self.queue.lock();
        queue.is_closed && queue.is_empty()
    }

    /// Ends when the queue is empty.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Has the wire wake another segment from now on.
    pub(crate) fn connect(&self, bell: &Arc<Notify>) {
        let mut queue = self.queue.lock();
        queue.bell = bell.clone();
        if !planted("reload_wakes_nobody") && !queue.is_empty() {
            bell.notify_one();
        }
    }

    /// Whom it wakes.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        self.queue.lock().bell.clone()
    }

    /// Has the wire wake again whom it woke before, unless it was connected to somebody else since.
    pub(crate) fn reconnect(&self, from: &Arc<Notify>, before: &Arc<Notify>) {
        if Arc::ptr_eq(&self.bell(), from) {
            self.connect(before);
        }
    }

    /// Refuses everything from now on; senders who wait are told. What is in the queue can still be taken.
    pub(crate) fn close(&self) {
        self.queue.lock().is_closed = true;
        self.room.close();
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.returned.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxMsg;
    use flux_scenario::settings::RackSettings;
    use flux_signal::FluxId;
    use flux_world::World;

    use super::*;

    fn wire(capacity: usize) -> Wire {
        let mut tuning = Tuning::from(&RackSettings::default());
        tuning.lane_queue_size = capacity;
        Wire::new("a.out -> b.in".into(), &tuning, World::real().clock)
    }

    fn bell_of(wire: &Wire) -> Arc<Notify> {
        wire.queue.lock().bell.clone()
    }

    fn msgs(numbers: std::ops::Range<u8>) -> Vec<FluxMsg> {
        numbers.map(|n| FluxMsg::new(FluxId::v7(1, n.into()), 0, vec![n])).collect()
    }

    fn taken(wire: &Wire, max: usize) -> Vec<u8> {
        let mut into = VecDeque::new();
        wire.take(max, &mut into);
        into.into_iter().map(|held| held.release().payload[0]).collect()
    }

    #[test]
    fn a_full_wire_takes_what_fits_and_keeps_order() {
        let wire = wire(3);
        let mut batch = msgs(0..5);
        assert!(wire.try_push(&mut batch).is_ok());
        assert_eq!(batch.len(), 2);
        assert_eq!(taken(&wire, 2), [0, 1]);
        assert!(wire.try_push(&mut batch).is_ok());
        assert_eq!(taken(&wire, 9), [2, 3, 4]);
        assert_eq!(wire.len(), 0);
    }

    #[test]
    fn what_was_forced_in_takes_no_room_from_those_who_wait_for_it() {
        let wire = wire(2);
        let mut forced: Vec<Held> = msgs(0..5).into_iter().map(Held::new).collect();
        wire.force(&mut forced);
        assert!(wire.try_push(&mut msgs(5..7)).is_ok());
        assert_eq!(taken(&wire, 6), [0, 1, 2, 3, 4, 5]);
        let mut batch = msgs(7..9);
        assert!(wire.try_push(&mut batch).is_ok());
        assert_eq!((batch.len(), taken(&wire, 9)), (1, vec![6, 7]));
    }

    #[test]
    fn what_comes_again_comes_first_in_its_own_order_and_needs_no_room() {
        let wire = wire(2);
        let mut batch = msgs(7..9);
        assert!(wire.try_push(&mut batch).is_ok());
        for n in [3, 5, 1] {
            let msg = msgs(n..n + 1).remove(0);
            assert!(wire.put_back(n.into(), || msg.into()).is_ok());
        }
        assert_eq!(wire.len(), 5);
        assert_eq!(taken(&wire, 2), [1, 3]);
        assert_eq!(taken(&wire, 9), [5, 7, 8]);
        let mut batch = msgs(0..9);
        assert!(wire.try_push(&mut batch).is_ok());
        assert_eq!(
            (batch.len(), wire.recall().len(), wire.len()),
            (7, 2, 0),
            "there is room for two as before"
        );
    }

    #[tokio::test]
    async fn a_sender_waits_for_room_and_a_batch_may_be_larger_than_the_wire() {
        let wire = Arc::new(wire(2));
        let sender = tokio::spawn({
            let wire = wire.clone();
            async move { wire.push(&mut msgs(0..7)).await.is_ok() }
        });
        let mut seen = Vec::new();
        let bell = bell_of(&wire);
        while seen.len() < 7 {
            bell.notified().await;
            seen.extend(taken(&wire, 2));
        }
        assert!(sender.await.unwrap());
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_closed_wire_with_room_refuses_at_once() {
        let wire = wire(3);
        wire.close();
        let mut batch = msgs(0..1);
        assert!(wire.try_push(&mut batch).is_err());
        assert_eq!(batch.len(), 1);
    }

    #[tokio::test]
    async fn closing_wakes_a_waiting_sender() {
        let wire = Arc::new(wire(1));
        let sender = tokio::spawn({
            let wire = wire.clone();
            async move { wire.push(&mut msgs(0..2)).await.is_err() }
        });
        bell_of(&wire).notified().await;
        wire.close();
        assert!(sender.await.unwrap());
        assert_eq!(taken(&wire, 9), [0]);
    }
}
