//! A message on loan from a wire, followed through everything derived from it.
//!
//! Every message made from a leased message carries the same lease. When the last of them is gone (written to a
//! durable wire, accepted by a sink, dead-lettered, or filtered out on purpose) the lease ends as
//! [`LeaseEnd::Settled`]. Whoever gives up a message without such an end says so with [`Lease::abandon`], or with
//! [`Lease::give_back`] where the message is not to blame.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

/// How a lease ended: as the worst of its shares did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseEnd {
    /// Every descendant reached its end: the source may forget the message.
    Settled,
    /// Some descendant came to no end, and it is not the message's fault: the source must deliver it again, however often
    /// that happens.
    Returned,
    /// Some descendant was given up: the source must deliver the message again.
    Abandoned,
}

/// A share in the fate of one loaned message. Clones are shares of the same lease.
#[derive(Clone)]
pub struct Lease(Arc<Shared>);

struct Shared {
    /// The worst end said so far.
    end: AtomicU8,
    /// Whether its source can wait for as long as it takes.
    is_patient: bool,
    /// Leases joined into this one: they end when it ends, in the same way.
    parents: Vec<Lease>,
    on_end: Mutex<Option<OnEnd>>,
}

type OnEnd = Box<dyn FnOnce(LeaseEnd) + Send>;

impl Lease {
    /// A lease whose owner is told once, by the last holder, how it ended. `on_end` must not block.
    pub fn new(on_end: impl FnOnce(LeaseEnd) + Send + 'static) -> Lease {
        Lease::with(Vec::new(), false, Some(Box::new(on_end)))
    }

    /// The same, from a source that keeps the message on disk and can wait for as long as it takes.
    pub fn patient(on_end: impl FnOnce(LeaseEnd) + Send + 'static) -> Lease {
        Lease::with(Vec::new(), true, Some(Box::new(on_end)))
    }

    /// One lease that stands for both: for a message derived from two others. It is as patient as the less patient of them.
    pub fn join(a: Lease, b: Lease) -> Lease {
        let is_patient = a.is_patient() && b.is_patient();
        if a.is_same(&b) { a } else { Lease::with(vec![a, b], is_patient, None) }
    }

    /// Whether its source can wait for as long as it takes.
    pub fn is_patient(&self) -> bool {
        self.0.is_patient
    }

    /// The same lease for a message that cannot wait.
    pub(crate) fn hurried(self) -> Lease {
        if self.is_patient() { Lease::with(vec![self], false, None) } else { self }
    }

    /// Whether both are shares of one lease.
    pub fn is_same(&self, other: &Lease) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Says that this holder gives its message up undelivered.
    pub fn abandon(self) {
        self.say(LeaseEnd::Abandoned);
    }

    /// The same, where the world is at fault and not the message.
    pub fn give_back(self) {
        self.say(LeaseEnd::Returned);
    }

    fn say(&self, end: LeaseEnd) {
        self.0.end.fetch_max(end as u8, Ordering::AcqRel);
    }

    fn with(parents: Vec<Lease>, is_patient: bool, on_end: Option<OnEnd>) -> Lease {
        let end = AtomicU8::new(LeaseEnd::Settled as u8);
        Lease(Arc::new(Shared { end, is_patient, parents, on_end: Mutex::new(on_end) }))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let said = *self.end.get_mut();
        let ends = [LeaseEnd::Returned, LeaseEnd::Abandoned];
        let end = ends.into_iter().find(|end| *end as u8 == said).unwrap_or(LeaseEnd::Settled);
        self.parents.drain(..).for_each(|parent| parent.say(end));
        let on_end = match self.on_end.get_mut() {
            Ok(on_end) => on_end.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        if let Some(on_end) = on_end {
            on_end(end);
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
    fn what_was_given_back_is_not_to_blame_unless_some_share_of_it_was_given_up() {
        let (lease, ended) = lease();
        lease.clone().give_back();
        lease.give_back();
        assert_eq!(ended.try_recv(), Ok(LeaseEnd::Returned));
        let (lease, ended) = self::lease();
        lease.clone().abandon();
        lease.give_back();
        assert_eq!(ended.try_recv(), Ok(LeaseEnd::Abandoned));
    }

    #[test]
    fn a_joined_lease_is_as_patient_as_the_less_patient() {
        let patient = || Lease::patient(|_| {});
        assert!(Lease::join(patient(), patient()).is_patient());
        assert!(!Lease::join(patient(), lease().0).is_patient());
        let (told, ended) = mpsc::channel();
        let hurried = Lease::patient(move |end| told.send(end).unwrap()).hurried();
        assert!(!hurried.is_patient());
        hurried.give_back();
        assert_eq!(ended.try_recv(), Ok(LeaseEnd::Returned));
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
