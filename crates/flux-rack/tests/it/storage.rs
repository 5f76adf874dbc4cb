//! What gears keep on disk: crashes at random points lose nothing that was safe, bring nothing back, and the disk stays small.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use flux_gear::{
    Bytes,
    storage::{Backlog, Bounds, Saved, Storage, StorageError, Table},
};
use flux_rack::DiskStorage;
use flux_world::{
    Entropy, World,
    sim::{DiskLatency, Sim, SimDisk},
};

const STATE: &str = "/var/lib/flux";
const BOUNDS: Bounds = Bounds { entries_max: 40, bytes_max: 1 << 20 };

fn storage(world: &World) -> DiskStorage {
    DiskStorage::new(world.clone(), STATE.into())
}

async fn table(world: &World) -> Result<Table, StorageError> {
    storage(world).table("coats", "parked", BOUNDS).await
}

/// What a key held, change after change; each is safe or not known to be.
#[derive(Default)]
struct Model {
    /// By key: the changes that may be the last one, of which only the first is known to be safe.
    possible: BTreeMap<u64, Vec<Option<Vec<u8>>>>,
    /// Changes that were made and not yet found to be safe, in order.
    pending: Vec<(Saved, u64, Option<Vec<u8>>)>,
}

impl Model {
    fn changed(&mut self, saved: Saved, key: u64, value: Option<Vec<u8>>) {
        self.possible.entry(key).or_insert_with(|| vec![None]).push(value.clone());
        self.pending.push((saved, key, value));
    }

    /// Drops what a safe change has replaced.
    fn settle(&mut self) {
        let safe = self.pending.iter().take_while(|(saved, ..)| saved.is_safe()).count();
        for (_, key, value) in self.pending.drain(..safe) {
            let possible = self.possible.get_mut(&key).unwrap();
            let at = possible.iter().skip(1).position(|other| *other == value).unwrap() + 1;
            possible.drain(..at);
        }
    }

    /// What the table holds after a crash must be one of the possible values of each key. From then on it is the only one.
    fn verify(&mut self, table: &Table) {
        let held: BTreeMap<u64, Vec<u8>> = table
            .page(None, usize::MAX)
            .into_iter()
            .map(|(key, entry)| (u64::from_be_bytes(key[..].try_into().unwrap()), entry.value.to_vec()))
            .collect();
        assert!(held.keys().all(|key| self.possible.contains_key(key)), "a key that was never put");
        for (key, possible) in &mut self.possible {
            let found = held.get(key).cloned();
            assert!(possible.contains(&found), "key {key}: not one of {} possible values", possible.len());
            *possible = vec![found];
        }
        self.pending.clear();
    }
}

struct Life {
    world: World,
    disk: SimDisk,
    chance: Entropy,
    /// Makes each value another.
    values: u64,
}

impl Life {
    /// A crash may come in the middle of opening too.
    async fn open(&self) -> Table {
        if self.chance.below(4) == 0 {
            self.disk.stop_after(self.chance.below(30));
            drop(table(&self.world).await);
            self.disk.crash();
            self.world.clock.sleep(Duration::from_millis(1)).await;
        }
        table(&self.world).await.unwrap_or_else(|why| panic!("{why}"))
    }

    async fn live(&mut self, table: &Table, model: &mut Model) {
        let changes = self.chance.below(400);
        let crash_at = self.chance.below(400);
        for change in 0..changes {
            if change == crash_at {
                self.disk.stop_after(self.chance.below(40));
            }
            let key = self.chance.below(60);
            match self.chance.below(10) {
                0..=5 => {
                    self.values += 1;
                    let mut value = self.values.to_le_bytes().to_vec();
                    value.resize(8 + self.chance.below(9_000) as usize, 7);
                    if let Ok(saved) = table.put(&key.to_be_bytes(), value.clone(), None) {
                        model.changed(saved, key, Some(value));
                    }
                }
                6..=8 => {
                    if let Ok(Some((_, saved))) = table.delete(&key.to_be_bytes()) {
                        model.changed(saved, key, None);
                    }
                }
                _ => self.world.clock.sleep(Duration::from_micros(self.chance.below(4_000))).await,
            }
        }
        model.settle();
    }
}

#[test]
fn what_was_safe_survives_every_crash_and_nothing_comes_back() {
    for seed in 0..40 {
        let outcome = std::panic::catch_unwind(|| {
            Sim::run(seed, async |sim| {
                let chance = Entropy::seeded(!seed);
                let (world, disk) = (sim.world(), sim.disk("local"));
                disk.set_latency(DiskLatency {
                    sync: Duration::from_micros(chance.below(2_000)),
                    ..DiskLatency::default()
                });
                let mut life = Life { world, disk, chance, values: 0 };
                let mut model = Model::default();
                for _ in 0..8 {
                    let table = life.open().await;
                    model.verify(&table);
                    life.live(&table, &mut model).await;
                    life.disk.crash();
                    drop(table);
                    life.world.clock.sleep(Duration::from_millis(1)).await;
                }
                model.verify(&life.open().await);
            });
        });
        if let Err(panic) = outcome {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_table_that_changes_all_day_stays_small_on_disk() {
    Sim::run(1, async |sim| {
        let world = sim.world();
        let table = table(&world).await.unwrap();
        table.put(b"old", "stays", None).unwrap().wait().await.unwrap();
        for n in 0..40_000_u32 {
            let key = (n % 20).to_be_bytes();
            let saved = table.put(&key, vec![n as u8; 2_000], None).unwrap();
            if n % 50 == 0 {
                saved.wait().await.unwrap();
            }
            if n % 7 == 0 {
                let _ = table.delete(&key).unwrap();
            }
        }
        let files = world.disk.list(&Path::new(STATE).join("tables/coats/parked")).unwrap();
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        assert!(bytes < 20 << 20, "80 MB were written, {bytes} bytes are there");
        drop(table);
        world.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(self::table(&world).await.unwrap().get(b"old").unwrap().value, "stays");
    });
}

#[test]
fn time_to_live_goes_on_while_nobody_is_there() {
    Sim::run(2, async |sim| {
        let world = sim.world();
        let ttl = |seconds| Some(Duration::from_secs(seconds));
        let open = table(&world).await.unwrap();
        for (key, ttl) in [("a", ttl(10)), ("b", ttl(60)), ("c", None)] {
            open.put(key.as_bytes(), key, ttl).unwrap().wait().await.unwrap();
        }
        drop(open);
        world.clock.sleep(Duration::from_secs(30)).await;
        let open = table(&world).await.unwrap();
        let due: Vec<_> = open.due(9).into_iter().map(|(key, _)| key).collect();
        assert_eq!((due, open.len()), (vec!["a".into()], 3));
        assert_eq!(open.next_due(), Some(world.clock.now()));
        let left = open.get(b"b").unwrap().ends_at.unwrap() - world.clock.now();
        assert_eq!(left, Duration::from_secs(30));
    });
}

#[test]
fn who_asks_again_gets_the_same_table() {
    Sim::run(3, async |sim| {
        let storage = storage(&sim.world());
        let one = storage.table("g", "t", BOUNDS).await.unwrap();
        let two = storage.table("g", "t", BOUNDS).await.unwrap();
        one.put(b"k", "v", None).unwrap().wait().await.unwrap();
        assert_eq!(two.get(b"k").unwrap().value, "v");
        assert_eq!(storage.table("g", "other", BOUNDS).await.unwrap().len(), 0);
    });
}

/// W64: what gears keep is sealed.
#[test]
fn values_and_keys_are_sealed_at_rest() {
    Sim::run(4, async |sim| {
        let world = sim.world();
        let open = table(&world).await.unwrap();
        open.put(b"5555444433332222", "4111111111111111", None).unwrap().wait().await.unwrap();
        let directory = Path::new(STATE).join("tables/coats/parked");
        for file in world.disk.list(&directory).unwrap() {
            let bytes = world.disk.read(&directory.join(file.name), 1 << 30).unwrap();
            let digits: BTreeSet<_> =
                bytes.windows(16).filter(|w| w.iter().all(u8::is_ascii_digit)).collect();
            assert!(digits.is_empty(), "{digits:?}");
        }
        drop(open);
        world.clock.sleep(Duration::from_secs(1)).await;
        let key = world.disk.read(&Path::new(STATE).join("storage.key"), 99).unwrap();
        assert_eq!((key.len(), &key[..2]), (67, &b"1:"[..]));
        let other = format!("1:{}\n", "ab".repeat(32));
        world.disk.write_atomic(&Path::new(STATE).join("storage.key"), other.as_bytes()).unwrap();
        let why = table(&world).await.unwrap_err().to_string();
        assert!(why.contains("key 1 (offset 12) is not the key this was sealed with"), "{why}");
        // A lost one is not replaced in silence by another of the same name.
        let file = Path::new(STATE).join("storage.key");
        world.disk.remove(&file).unwrap();
        let why = table(&world).await.unwrap_err().to_string();
        assert!(why.contains("storage.key is gone, and ") && why.contains(" is sealed with key 1"), "{why}");
        assert!(!world.disk.exists(&file));
        world.disk.write_atomic(&file, &key).unwrap();
        table(&world).await.unwrap();
    });
}

#[test]
fn a_key_that_is_no_key_says_where() {
    Sim::run(5, async |sim| {
        let world = sim.world();
        world.disk.make_dir(Path::new(STATE)).unwrap();
        for (content, want) in [("", "holds no key"), ("1:12\n", "line 1: not `ID:64")] {
            world.disk.write_atomic(&Path::new(STATE).join("storage.key"), content.as_bytes()).unwrap();
            let why = table(&world).await.unwrap_err().to_string();
            assert!(why.contains("storage.key: ") && why.contains(want), "{why}");
        }
    });
}

#[test]
fn a_full_disk_changes_nothing_and_ends_by_itself() {
    Sim::run(6, async |sim| {
        let (world, disk) = (sim.world(), sim.disk("local"));
        let table = table(&world).await.unwrap();
        disk.set_capacity(Some(1 << 20));
        let mut taken = 0;
        let refused = loop {
            match table.put(b"k", vec![0; 100_000], None) {
                Ok(_) => taken += 1,
                Err(why) => break why,
            }
            world.clock.sleep(Duration::from_millis(1)).await;
            assert!(taken < 1_000, "a megabyte is full by now");
        };
        assert!(matches!(&refused, StorageError::Busy(why) if why.contains("full")), "{refused}");
        disk.set_capacity(None);
        world.clock.sleep(Duration::from_secs(1)).await;
        table.put(b"k", "fits", None).unwrap().wait().await.unwrap();
    });
}

#[test]
fn a_log_is_read_on_from_where_it_was_settled() {
    Sim::run(7, async |sim| {
        let (world, disk) = (sim.world(), sim.disk("local"));
        let (log, mut backlog) = storage(&world).log("gear", "outbox").await.unwrap();
        for n in 0..5_u8 {
            log.append(&[n]).unwrap().wait().await.unwrap();
        }
        let got = read(&mut backlog, 5).await;
        assert_eq!(got.iter().map(|(_, body)| body[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        for (place, body) in &got {
            if [0, 1, 3].contains(&body[0]) {
                backlog.settle(*place);
            }
        }
        world.clock.sleep(Duration::from_secs(1)).await;
        disk.crash();
        drop((log, backlog));
        world.clock.sleep(Duration::from_millis(1)).await;
        let (_, mut backlog) = storage(&world).log("gear", "outbox").await.unwrap();
        let got = read(&mut backlog, 2).await;
        assert_eq!(got.iter().map(|(_, body)| body[0]).collect::<Vec<_>>(), [2, 4]);
    });
}

async fn read(backlog: &mut Backlog, records: usize) -> Vec<(u64, Bytes)> {
    let mut got = Vec::new();
    while got.len() < records {
        got.extend(backlog.next(9).await.unwrap());
    }
    got
}
