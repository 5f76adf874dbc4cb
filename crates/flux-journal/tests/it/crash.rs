//! Crashes at random points, on a disk that loses, tears and reorders what was not synced: nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use flux_journal::{Ack, AppendError, Config, Journal, Key, Keys, Receipt, Start, check};
use flux_world::sim::{DiskLatency, Sim, SimDisk};
use flux_world::{Entropy, World};

use crate::setup::{DIRECTORY, body, small};

/// What must hold across the lives of one journal.
#[derive(Default)]
struct Ledger {
    /// Each record that was ever taken under this sequence; the later ones only if the earlier were not acknowledged.
    taken: BTreeMap<u64, Vec<u64>>,
    batches: Vec<Range<u64>>,
    /// All before it were acknowledged.
    acked: u64,
    settled: BTreeSet<u64>,
    numbers: u64,
}

struct Life {
    sim: Sim,
    world: World,
    disk: SimDisk,
    chance: Entropy,
    config: Config,
    keys: Keys,
}

impl Life {
    fn new(sim: Sim, seed: u64) -> Self {
        let chance = Entropy::seeded(seed ^ 0x5eed);
        let (world, disk) = (sim.world(), sim.disk("local"));
        let sync = Duration::from_micros(chance.below(3_000));
        disk.set_latency(DiskLatency { sync, ..DiskLatency::default() });
        let keys = match chance.below(3) {
            0 => Keys::new(vec![Key { id: 7, secret: [7; 32] }]),
            _ => Keys::none(),
        };
        Self { sim, world, disk, chance, config: small(), keys }
    }

    /// Opens the journal; a crash may come in the middle of that too. Whoever knows what was acknowledged may give up the
    /// rest.
    fn open(&self, acked: u64) -> Journal {
        if self.chance.below(4) == 0 {
            self.disk.stop_after(self.chance.below(12));
            drop(Journal::open(&self.world, Path::new(DIRECTORY), self.config.clone(), self.keys.clone()));
            self.disk.crash();
        }
        let unsafe_from = if self.chance.below(3) == 0 { acked } else { u64::MAX };
        let (config, keys) = (self.config.clone(), self.keys.clone());
        let opened = Journal::reopen(&self.world, Path::new(DIRECTORY), config, keys, unsafe_from);
        let (journal, found) = opened.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.damages, [], "a crash is not damage");
        journal
    }

    /// Everything that is there must be what was taken, in order, and no less than what was acknowledged.
    async fn verify(&self, journal: &Journal, ledger: &mut Ledger) {
        let next = journal.stats().next;
        assert!(next >= ledger.acked, "acknowledged up to {}, there up to {next}", ledger.acked);
        for batch in &ledger.batches {
            assert!(
                !(batch.start + 1..batch.end).contains(&next),
                "half of the batch {batch:?} is there, up to {next}"
            );
        }
        ledger.batches.retain(|batch| batch.end <= next);
        ledger.taken.retain(|sequence, _| *sequence < next);
        let mut consumer = journal.consumer("verify", Start::Oldest).unwrap();
        let mut expected = journal.stats().first.max(consumer.low());
        while expected < next {
            for record in consumer.next(50).await.unwrap().records {
                assert_eq!(record.sequence, expected);
                let numbers = &ledger.taken[&expected];
                let number = numbers.iter().find(|number| record.body == body(**number));
                ledger.taken.insert(expected, vec![*number.expect("it is one that was taken")]);
                expected += 1;
            }
        }
    }

    /// Appends, consumes and settles for a while; then the machine stops, between any two writes.
    async fn live(&self, journal: &Journal, ledger: &mut Ledger) {
        let mut consumer = journal.consumer("wire", Start::Oldest).unwrap();
        let low = consumer.low();
        assert!((0..low).all(|sequence| ledger.settled.contains(&sequence)), "{low} was not settled");
        let mut receipts: Vec<Receipt> = Vec::new();
        for step in 0..self.chance.below(120) {
            if step == 10 {
                self.disk.stop_after(self.chance.below(60));
            }
            match self.chance.below(8) {
                0..=3 => receipts.extend(self.append(journal, ledger, 1).await.ok()),
                4 => receipts.extend(self.append(journal, ledger, 2 + self.chance.below(30)).await.ok()),
                5 => self.world.clock.sleep(Duration::from_micros(self.chance.below(5_000))).await,
                6 => {
                    if let Some(receipt) = receipts.pop() {
                        let _ = self.world.clock.timeout(Duration::from_millis(20), receipt.wait()).await;
                    }
                }
                _ => {
                    let next = self.world.clock.timeout(Duration::from_millis(1), consumer.next(20)).await;
                    for record in next.into_iter().flatten().flat_map(|batch| batch.records) {
                        assert!(record.sequence < journal.stats().next, "only what is safe is given out");
                        if self.chance.below(5) > 0 {
                            ledger.settled.insert(record.sequence);
                            consumer.settle(record.sequence);
                        }
                    }
                }
            }
        }
        ledger.acked = journal.stats().next;
    }

    async fn append(
        &self,
        journal: &Journal,
        ledger: &mut Ledger,
        count: u64,
    ) -> Result<Receipt, AppendError> {
        let numbers = ledger.numbers..ledger.numbers + count;
        ledger.numbers += count;
        let bodies: Vec<Vec<u8>> = numbers.clone().map(body).collect();
        let receipt = journal.append_batch(&bodies).await?;
        for (sequence, number) in receipt.sequences().zip(numbers) {
            ledger.taken.entry(sequence).or_default().push(number);
        }
        ledger.batches.push(receipt.sequences());
        Ok(receipt)
    }
}

async fn survive(life: Life) -> Vec<String> {
    let mut ledger = Ledger::default();
    for _ in 0..5 {
        let journal = life.open(ledger.acked);
        life.verify(&journal, &mut ledger).await;
        life.live(&journal, &mut ledger).await;
        life.sim.note(&format!("acknowledged up to {}", ledger.acked));
        life.disk.crash();
        drop(journal);
        life.world.clock.sleep(Duration::from_millis(1)).await;
    }
    life.disk.crash();
    let journal = life.open(ledger.acked);
    life.verify(&journal, &mut ledger).await;
    journal.close().await.unwrap();
    let report = check(&life.world, Path::new(DIRECTORY)).unwrap();
    assert!(report.is_clean() && report.torn.is_none(), "{report:?}");
    life.sim.trace()
}

fn seeds() -> Range<u64> {
    0..100
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    for seed in seeds() {
        let outcome =
            std::panic::catch_unwind(|| Sim::run(seed, async |sim| survive(Life::new(sim, seed)).await));
        if let Err(panic) = outcome {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn at_the_level_os_a_crash_leaves_a_prefix() {
    for seed in seeds() {
        Sim::run(seed, async |sim| {
            let mut life = Life::new(sim, seed);
            life.config.ack = Ack::Os;
            let mut ledger = Ledger::default();
            for _ in 0..4 {
                let journal = life.open(ledger.acked);
                // Power loss takes what was not synced, and what it took was not acknowledged for that.
                ledger.acked = 0;
                life.verify(&journal, &mut ledger).await;
                let next = journal.stats().next;
                ledger.settled = (0..next).collect();
                life.live(&journal, &mut ledger).await;
                life.disk.crash();
            }
        });
    }
}

/// No guarantee is made for a disk that lies; but what is served is never anything else than what was appended.
#[test]
fn a_lying_disk_loses_records_and_never_invents_one() {
    let mut lost = 0;
    for seed in seeds() {
        Sim::run(seed, async |sim| {
            let life = Life::new(sim, seed);
            let (journal, _) =
                Journal::open(&life.world, Path::new(DIRECTORY), small(), life.keys.clone()).unwrap();
            life.disk.set_lying(true);
            let mut ledger = Ledger::default();
            for _ in 0..300 {
                let _ = life.append(&journal, &mut ledger, 1).await;
            }
            journal.sync().await.unwrap();
            life.disk.crash();
            life.disk.set_lying(false);
            drop(journal);
            let opened = Journal::open(&life.world, Path::new(DIRECTORY), small(), life.keys.clone());
            let Ok((journal, found)) = opened else {
                lost += 1;
                return;
            };
            lost += u32::from(found.next < 300 || !found.damages.is_empty());
            let mut consumer = journal.consumer("all", Start::Oldest).unwrap();
            let mut before = None;
            while let Ok(Ok(batch)) =
                life.world.clock.timeout(Duration::from_secs(1), consumer.next(50)).await
            {
                for record in batch.records {
                    assert!(before < Some(record.sequence));
                    assert_eq!(record.body, body(record.sequence));
                    before = Some(record.sequence);
                }
            }
        });
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn a_seed_replays_itself() {
    let run = || Sim::run(11, async |sim| survive(Life::new(sim, 11)).await);
    assert_eq!(run(), run());
}
