//! Tickets against a naive model of them.

use std::{collections::BTreeMap, time::Duration};

use flux_world::{Clock, Instant};
use proptest::prelude::*;

use super::*;

const LIFETIMES_MS: [u64; 2] = [30, 70];
const RETENTION_MS: u64 = 20;
const OPEN_MAX: usize = 4;
const RETAINED_MAX: usize = 3;

fn valet(retention_ms: u64) -> Valet<u32, u32> {
    Valet::new(settings(retention_ms, [0, 1]))
}

/// With the lifetimes in this order.
fn settings(retention_ms: u64, order: [usize; 2]) -> Settings {
    Settings {
        lifetimes: order.map(|at| Duration::from_millis(LIFETIMES_MS[at])).into(),
        retention: Duration::from_millis(retention_ms),
        open_max: OPEN_MAX,
        retained_max: RETAINED_MAX,
        destinations: 2,
        hash_seed: 7,
    }
}

/// The same, written to be obviously right: every operation looks at everything.
#[derive(Default)]
struct Model {
    open: BTreeMap<u8, Open>,
    /// Oldest first.
    closed: Vec<(u8, u32, u64)>,
}

struct Open {
    request: u32,
    ends_ms: u64,
    destination: u16,
}

impl Model {
    fn tidy(&mut self, now_ms: u64) {
        self.closed.retain(|&(_, _, ends_ms)| ends_ms > now_ms);
    }

    fn standing(&mut self, key: u8) -> Standing<'_, u32, u32> {
        match self.closed.iter().find(|(closed, ..)| *closed == key) {
            Some((_, outcome, _)) => Standing::Closed(outcome),
            None => {
                self.open.get_mut(&key).map_or(Standing::Absent, |open| Standing::Open(&mut open.request))
            }
        }
    }

    fn park(&mut self, key: u8, request: u32, lifetime: usize, destination: u16, now_ms: u64) {
        let ends_ms = now_ms + LIFETIMES_MS[lifetime];
        self.open.insert(key, Open { request, ends_ms, destination });
    }

    fn redeem(&mut self, key: u8, outcome: u32, now_ms: u64) -> Redeemed<u32> {
        match self.standing(key) {
            Standing::Closed(_) => return Redeemed::Again,
            Standing::Open(request) if !is_fit(*request) => return Redeemed::Unfit,
            Standing::Open(_) | Standing::Absent => {}
        }
        let Some(open) = self.open.remove(&key) else { return Redeemed::Unmatched };
        if self.closed.len() == RETAINED_MAX {
            self.closed.remove(0);
        }
        self.closed.push((key, outcome, now_ms + RETENTION_MS));
        Redeemed::Request(open.request)
    }

    fn next_wake_ms(&self) -> Option<u64> {
        let last_retained = self.closed.last().map(|&(_, _, ends_ms)| ends_ms);
        self.open.values().map(|open| open.ends_ms).min().into_iter().chain(last_retained).min()
    }

    fn in_flight(&self) -> [u32; 2] {
        [0, 1].map(|at| self.open.values().filter(|open| open.destination == at).count() as u32)
    }
}

#[derive(Debug, Clone)]
enum Op {
    Pass {
        ms: u64,
    },
    Park {
        key: u8,
        lifetime: u16,
        destination: u16,
    },
    Redeem {
        key: u8,
    },
    Expire,
    /// Lifetimes and destinations change their places.
    Resettle,
    /// The process ends, and another one finds the tickets.
    PutBack,
    /// Keys are written otherwise from now on.
    Rekey,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..40_u64).prop_map(|ms| Op::Pass { ms }),
        (0..8_u8, 0..2_u16, 0..2_u16).prop_map(|(key, lifetime, destination)| Op::Park {
            key,
            lifetime,
            destination
        }),
        (0..8_u8).prop_map(|key| Op::Redeem { key }),
        Just(Op::Expire),
        Just(Op::Resettle),
        Just(Op::PutBack),
        Just(Op::Rekey),
    ]
}

/// One request in five gets no outcome that is fit for it.
fn is_fit(request: u32) -> bool {
    !request.is_multiple_of(5)
}

/// Keys of different lengths, so that a reused buffer shows; `style` is how they are written.
fn styled(key: u8, style: u8) -> Vec<u8> {
    let mut bytes = vec![key; usize::from(key) * 3];
    bytes.push(style);
    bytes
}

proptest! {
    #[test]
    fn the_valet_does_what_the_model_does(ops in prop::collection::vec(op(), 0..200)) {
        let (mut valet, mut model) = (valet(RETENTION_MS), Model::default());
        let began: Instant = Clock::real().now();
        let (mut now_ms, mut order, mut style) = (0, [0, 1], 0);
        for (at, op) in (0_u32..).zip(ops) {
            let now = began + Duration::from_millis(now_ms);
            model.tidy(now_ms);
            let bytes = |key| styled(key, style);
            match op {
                Op::Pass { ms } => now_ms += ms,
                Op::Park { key, lifetime, destination } => {
                    let mut standing = valet.standing(&bytes(key), now);
                    let mut expected = model.standing(key);
                    prop_assert_eq!(&standing, &expected);
                    if let (Standing::Open(waiting), Standing::Open(expected)) = (&mut standing, &mut expected) {
                        (**waiting, **expected) = (at, at);
                    }
                    if standing == Standing::Absent {
                        prop_assert_eq!(valet.is_full(), model.open.len() == OPEN_MAX);
                        if !valet.is_full() {
                            valet.park(&bytes(key), at, lifetime, destination, now);
                            model.park(key, at, order[usize::from(lifetime)], destination, now_ms);
                        }
                    }
                }
                Op::Redeem { key } => {
                    let redeemed = valet.redeem(&bytes(key), now, |request| is_fit(*request), |_| at);
                    prop_assert_eq!(redeemed, model.redeem(key, at, now_ms));
                    // Outcomes of one instant may be forgotten in either order once they were put back.
                    now_ms += 1;
                }
                Op::Resettle => {
                    order.reverse();
                    valet.resettle(settings(RETENTION_MS, order), |destination| 1 - destination);
                    model.open.values_mut().for_each(|open| open.destination = 1 - open.destination);
                }
                Op::PutBack => {
                    let found = valet.all().map(|(key, known, destination, ends_at)| {
                        let known = match known {
                            Known::Open(request) => Known::Open(*request),
                            Known::Closed(outcome) => Known::Closed(*outcome),
                        };
                        Left { key: key.to_vec(), known, destination, ends_at }
                    });
                    let mut next = Valet::new(settings(RETENTION_MS, order));
                    next.put_back(found.collect(), now);
                    valet = next;
                }
                Op::Rekey => {
                    style += 1;
                    valet.rekey(|_, key| *key.last_mut().unwrap() = style);
                }
                Op::Expire => {
                    let expired = valet.expire(now);
                    prop_assert_eq!(expired.is_some(), model.open.values().any(|open| open.ends_ms <= now_ms));
                    // Tickets of different lifetimes that end in one instant may expire in either order.
                    if let Some(request) = expired {
                        let earliest = model.open.values().map(|open| open.ends_ms).min().unwrap();
                        let its = model.open.values().find(|open| open.request == request).unwrap().ends_ms;
                        prop_assert_eq!(its, earliest);
                        model.open.retain(|_, open| open.request != request);
                    }
                }
            }
            valet.forget(began + Duration::from_millis(now_ms), usize::MAX);
            model.tidy(now_ms);
            prop_assert_eq!(valet.open(), model.open.len());
            prop_assert_eq!(valet.in_flight(), model.in_flight());
            prop_assert_eq!(
                valet.next_wake(),
                model.next_wake_ms().map(|ms| began + Duration::from_millis(ms))
            );
            prop_assert!(valet.slots.len() <= OPEN_MAX + RETAINED_MAX, "slots are reused");
            prop_assert_eq!(valet.table.len() + valet.free.len(), valet.slots.len());
        }
    }
}

#[test]
fn without_retention_a_second_reply_is_unmatched() {
    let (mut valet, now) = (valet(0), Clock::real().now());
    valet.park(b"k", 1, 0, 0, now);
    assert_eq!(valet.redeem(b"k", now, |_| true, |_| 2), Redeemed::Request(1));
    assert_eq!(valet.redeem(b"k", now, |_| true, |_| 3), Redeemed::Unmatched);
    assert_eq!(valet.standing(b"k", now), Standing::Absent);
    assert_eq!(valet.next_wake(), None);
}

#[test]
fn an_outcome_that_is_over_is_absent_even_behind_many_others() {
    let mut valet: Valet<u32, u32> = Valet::new(Settings {
        lifetimes: vec![Duration::from_secs(1)],
        retention: Duration::from_millis(5),
        open_max: 100,
        retained_max: 100,
        destinations: 1,
        hash_seed: 0,
    });
    let now = Clock::real().now();
    for key in 0..100_u8 {
        valet.park(&[key], 0, 0, 0, now);
        valet.redeem(&[key], now, |_| true, |_| 1);
    }
    let later = now + Duration::from_millis(5);
    assert_eq!(valet.standing(&[99], later), Standing::Absent);
    assert_eq!(valet.redeem(&[98], later, |_| true, |_| 2), Redeemed::Unmatched);
}
