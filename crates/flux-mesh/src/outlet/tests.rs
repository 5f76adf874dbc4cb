//! What is sent again, and when; and that a receiver has everything once and in order in the end, whatever is lost between.

use flux_world::{Clock, Entropy};
use proptest::prelude::*;

use super::*;
use crate::inlet::{Inlet, Taken};
use crate::mark::mark_of;

const BODY_BYTES: usize = 1_024;

fn record(sequence: u64, bytes: usize) -> Record {
    Record { sequence, time_ns: sequence as i64, body: vec![sequence as u8; bytes].into() }
}

fn records(sequences: std::ops::Range<u64>) -> Vec<Record> {
    sequences.map(|sequence| record(sequence, 100)).collect()
}

fn report(epoch: u64, next: u64, state: State) -> Report {
    Report { mark: Mark { epoch, next }, state }
}

#[test]
fn records_are_cut_where_a_pack_is_full_and_where_some_are_missing() {
    let mut outlet = Outlet::new(9, 0, 3);
    let mut all = records(3..5);
    all.extend(records(7..20));
    all.push(record(20, 2_000));
    let packs = outlet.cut(&all, BODY_BYTES);
    let cut: Vec<String> = packs.iter().map(|pack| format!("{pack:?}")).collect();
    expect_test::expect![[r#"
        9: 2 records from 3 after 3
        9: 9 records from 7 after 5
        9: 4 records from 16 after 16
        9: bytes 0 to 952 of 2000 from 20 after 20
        9: bytes 952 to 1904 of 2000 from 20 after 20
        9: bytes 1904 to 2000 of 2000 from 20 after 20"#]]
    .assert_eq(&cut.join("\n"));
    assert!(packs.iter().all(|pack| pack.encode().len() <= BODY_BYTES));
    assert_eq!(outlet.unacknowledged(), (18, Some(3)));
}

#[test]
fn what_the_receiver_has_is_forgotten_and_what_it_misses_is_sent_again_once() {
    let now = Clock::real().now();
    let mut outlet = Outlet::new(9, 0, 0);
    outlet.cut(&records(0..50), BODY_BYTES);
    let mut hear =
        |next, state, after: f32| outlet.hear(&report(9, next, state), 50, now + STALL.mul_f32(after));
    assert_eq!(hear(9, State::Busy, 0.0), Wish::Forget(9));
    assert_eq!(hear(9, State::Missing, 0.0), Wish::Again(9));
    outlet.begin_again(9, now);
    outlet.cut(&records(9..50), BODY_BYTES);
    let mut hear =
        |next, state, after: f32| outlet.hear(&report(9, next, state), 50, now + STALL.mul_f32(after));
    assert_eq!(hear(9, State::Missing, 0.5), Wish::Forget(9), "it was said of what was sent before");
    assert_eq!(hear(9, State::Missing, 1.1), Wish::Again(9));
    assert_eq!(hear(20, State::Missing, 1.1), Wish::Again(20), "it is another place");
}

#[test]
fn a_receiver_that_has_nothing_to_do_and_not_everything_is_sent_it_again() {
    let now = Clock::real().now();
    let mut outlet = Outlet::new(9, 0, 0);
    outlet.cut(&records(0..50), BODY_BYTES);
    let mut hear =
        |next, state, after: f32| outlet.hear(&report(9, next, state), 50, now + STALL.mul_f32(after));
    assert_eq!(hear(18, State::Idle, 0.0), Wish::Forget(18));
    assert_eq!(hear(18, State::Idle, 0.9), Wish::Forget(18), "it may be on its way");
    assert_eq!(hear(18, State::Busy, 1.0), Wish::Forget(18));
    assert_eq!(hear(18, State::Idle, 1.1), Wish::Forget(18));
    assert_eq!(hear(18, State::Idle, 2.2), Wish::Again(18));
    assert_eq!(hear(50, State::Idle, 9.0), Wish::Forget(50));
    assert_eq!(hear(50, State::Idle, 19.0), Wish::Forget(50), "it has all there is");
    assert_eq!(outlet.unacknowledged(), (0, None));
}

#[test]
fn a_receiver_that_has_another_outbox_is_told_what_this_one_begins_with() {
    let now = Clock::real().now();
    let mut outlet = Outlet::new(9, 0, 30);
    outlet.cut(&records(30..50), BODY_BYTES);
    assert_eq!(outlet.hear(&report(8, 44, State::Missing), 50, now), Wish::Again(0));
    outlet.begin_again(0, now);
    let packs = outlet.cut(&records(30..31), BODY_BYTES);
    assert_eq!((packs[0].after, packs[0].first), (0, 30));
    assert_eq!(outlet.hear(&report(10, 0, State::Idle), 50, now), Wish::Anew(10));
    assert_eq!(outlet.hear(&report(9, 51, State::Idle), 50, now), Wish::Anew(9), "more than there is");
}

/// A stream between a sender and a receiver, where packs are lost, come twice, and either end is started anew.
struct Line {
    chance: Entropy,
    outbox: Vec<Record>,
    /// Records that the outbox has forgotten.
    low: u64,
    outlet: Outlet,
    read: u64,
    stream: VecDeque<Pack>,
    inlet: Inlet,
    /// The inbox: what it holds, by stamp.
    inbox: Vec<Vec<u8>>,
    now: Instant,
}

impl Line {
    fn new(seed: u64) -> Line {
        let chance = Entropy::seeded(seed);
        let count = chance.below(200) + 1;
        let long = |at: u64| {
            if chance.below(20) == 0 { 1_000 + at as usize * 7 } else { chance.below(300) as usize + 1 }
        };
        let outbox = (0..count).map(|at| record(at, long(at))).collect();
        Line {
            outbox,
            low: 0,
            outlet: Outlet::new(1, 0, 0),
            read: 0,
            stream: VecDeque::new(),
            inlet: Inlet::new(Mark::default()),
            inbox: Vec::new(),
            now: Clock::real().now(),
            chance,
        }
    }

    fn is_one_in(&self, n: u64) -> bool {
        self.chance.below(n) == 0
    }

    fn send(&mut self) {
        let until = (self.read + 1 + self.chance.below(30)).min(self.outbox.len() as u64);
        let packs = self.outlet.cut(&self.outbox[self.read as usize..until as usize], BODY_BYTES);
        self.read = until;
        self.stream.extend(packs);
    }

    fn receive(&mut self) {
        for _ in 0..self.chance.below(6) {
            let Some(pack) = self.stream.pop_front() else { break };
            if let Taken::New(new) = self.inlet.take(pack) {
                assert_eq!(new.gone, 0);
                self.inbox.extend(new.records);
            }
        }
        let is_idle = self.stream.is_empty();
        self.hear(&match self.inlet.misses() {
            Some(mark) if is_idle || self.inlet.is_lost() => Report { mark, state: State::Missing },
            _ => Report { mark: self.inlet.mark(), state: if is_idle { State::Idle } else { State::Busy } },
        });
    }

    fn hear(&mut self, report: &Report) {
        match self.outlet.hear(report, self.outbox.len() as u64, self.now) {
            Wish::Forget(mark) => self.low = self.low.max(mark),
            Wish::Again(mark) => {
                self.low = self.low.max(mark);
                self.outlet.begin_again(mark, self.now);
                self.read = self.low;
            }
            Wish::Anew(_) => panic!("nothing of the outbox is lost"),
        }
    }

    fn harm(&mut self) {
        match self.chance.below(6) {
            0 => self.stream.clear(),
            1 if !self.stream.is_empty() => {
                let at = self.chance.below(self.stream.len() as u64) as usize;
                let pack = self.stream.remove(at).unwrap();
                if self.is_one_in(2) {
                    self.stream.push_back(pack);
                }
            }
            2 => self.stream.extend(self.stream.front().cloned()),
            5 if self.stream.len() > 1 => {
                let at = self.chance.below(self.stream.len() as u64 - 1) as usize;
                self.stream.swap(at, at + 1);
            }
            3 => {
                self.outlet = Outlet::new(1, 0, self.low);
                self.read = self.low;
            }
            4 => {
                self.inlet = Inlet::new(self.inbox.last().and_then(|last| mark_of(last)).unwrap_or_default())
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_receiver_has_everything_once_and_in_order(seed: u64) {
        let mut line = Line::new(seed);
        for step in 0u32.. {
            if step < 300 && line.is_one_in(4) {
                line.harm();
            }
            line.now += Duration::from_millis(line.chance.below(1_500));
            line.send();
            line.receive();
            if line.low == line.outbox.len() as u64 && step >= 300 {
                break;
            }
            prop_assert!(step < 5_000, "it comes to an end");
        }
        let had: Vec<_> = line.inbox.iter().map(|record| mark_of(record).unwrap().next - 1).collect();
        prop_assert_eq!(had, (0..line.outbox.len() as u64).collect::<Vec<_>>());
        for (record, inbox) in line.outbox.iter().zip(&line.inbox) {
            prop_assert_eq!(&record.body[..], &inbox[crate::mark::STAMP_BYTES..]);
        }
    }
}
