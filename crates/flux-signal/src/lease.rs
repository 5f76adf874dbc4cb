//! A message on loan from a wire, followed through everything derived from it.
//!
//! Every message made from a leased message carries the same lease. When the last of them is gone (written to a
//! durable wire, accepted by a sink, dead-lettered, or filtered out on purpose) the lease ends as
//! [`LeaseEnd::Settled`]. Whoever gives up a message without such an end says so with [`Lease::abandon`].

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Every descendant reached its end: the source may forget the message.
    Settled,
    /// Some descendant was given up: the source must deliver the message again.
    Abandoned,
}

/// A share in the fate of one loaned message. Clones are shares of the same lease.
#[derive(Clone)]
pub struct Lease(Arc<Shared>);

struct Shared {
    abandoned: AtomicBool,
    /// Leases joined into this one: they end when it ends, in the same way.
    parents: Vec<Lease>,
    on_end: Mutex<Option<OnEnd>>,
}

type OnEnd = Box<dyn FnOnce(LeaseEnd) + Send>;

impl Lease {
    /// A lease whose owner is told once, by the last holder, how it ended. `on_end` must not block.
    pub fn new(on_end: impl FnOnce(LeaseEnd) + Send + 'static) -> Lease {
        Lease::with(Vec::new(), Some(Box::new(on_end)))
    }

    /// One lease that stands for both: for a message derived from two others.
    pub fn join(a: Lease, b: Lease) -> Lease {
        if a.is_same(&b) { a } else { Lease::with(vec![a, b], None) }
    }

    /// Whether both are shares of one lease.
    pub fn is_same(&self, other: &Lease) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Says that this holder gives its message up undelivered.
    pub fn abandon(self) {
        self.0.abandoned.store(true, Ordering::Release);
    }

    fn with(parents: Vec<Lease>, on_end: Option<OnEnd>) -> Lease {
        Lease(Arc::new(Shared { abandoned: AtomicBool::new(false), parents, on_end: Mutex::new(on_end) }))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let abandoned = *self.abandoned.get_mut();
        for parent in self.parents.drain(..) {
            if abandoned {
                parent.abandon();
            }
        }
        let on_end = match self.on_end.get_mut() {
            Ok(on_end) => on_end.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        if let Some(on_end) = on_end {
            on_end(if abandoned { LeaseEnd::Abandoned } else { LeaseEnd::Settled });
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} shares)", Arc::strong_count(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn lease() -> (Lease, mpsc::Receiver<LeaseEnd>) {
        let (tx, rx) = mpsc::channel();
        (Lease::new(move |end| tx.send(end).unwrap()), rx)
    }

    #[test]
    fn the_last_share_settles() {
        let (lease, ended) = lease();
        let other = lease.clone();
        drop(lease);
        assert!(ended.try_recv().is_err());
        drop(other);
        assert_eq!(ended.try_recv(), Ok(LeaseEnd::Settled));
    }

    #[test]
    fn one_abandoned_share_spoils_the_lease_but_does_not_end_it() {
        let (lease, ended) = lease();
        let other = lease.clone();
        lease.abandon();
        assert!(ended.try_recv().is_err());
        drop(other);
        assert_eq!(ended.try_recv(), Ok(LeaseEnd::Abandoned));
    }

    #[test]
    fn a_joined_lease_ends_both_parents_alike() {
        let ((a, a_ended), (b, b_ended)) = (lease(), lease());
        Lease::join(a, b).abandon();
        assert_eq!(
            (a_ended.try_recv(), b_ended.try_recv()),
            (Ok(LeaseEnd::Abandoned), Ok(LeaseEnd::Abandoned))
        );
    }
}
