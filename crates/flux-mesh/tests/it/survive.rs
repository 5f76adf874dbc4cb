//! Every machine stops, at any moment, and the bus forgets: what was accepted arrives, once and in order.

use flux_journal::Journal;
use flux_mesh::{Receiver, Sender};
use flux_world::Entropy;
use flux_world::sim::Sim;

use crate::house::{End, House, body, numbers};

struct Story {
    house: House,
    chance: Entropy,
    north: Option<End<Sender>>,
    south: Option<End<Receiver>>,
    /// Every number that was handed over, and whether it is known to be safe.
    sent: Vec<bool>,
    /// The first of them since the sender was started.
    life_first: usize,
}

impl Story {
    async fn tell(&mut self) {
        for _ in 0..30 {
            self.append().await;
            let pause = [0, 3, 50, 400, 3_000][self.chance.below(5) as usize];
            self.house.pause(pause).await;
            match self.chance.below(12) {
                0 => self.restart_north().await,
                1 => self.restart_south().await,
                2 => {
                    self.house.stop_bus().await;
                    self.append().await;
                    self.house.pause(self.chance.below(20_000)).await;
                    self.house.start_bus().await;
                }
                3 => self.house.wipe_bus().await,
                4 => {
                    // Between any two writes.
                    let machine = ["north", "south"][self.chance.below(2) as usize];
                    self.house.disk(machine).stop_after(self.chance.below(60));
                    self.append().await;
                    self.house.pause(500).await;
                    self.restart_north().await;
                    self.restart_south().await;
                }
                _ => {}
            }
        }
    }

    fn outbox(&self) -> Journal {
        self.north.as_ref().unwrap().journal.clone()
    }

    /// Some numbers, of which most are waited for.
    async fn append(&mut self) {
        let (clock, outbox) = (self.house.world("north").clock, self.outbox());
        for _ in 0..self.chance.below(200) {
            let number = self.sent.len() as u64;
            self.sent.push(false);
            let Ok(receipt) = outbox.append(&body(number)).await else { return };
            if self.chance.below(10) == 0 {
                let wait = clock.timeout(std::time::Duration::from_secs(1), receipt.wait()).await;
                if let Ok(Ok(())) = wait {
                    let until = self.sent.len();
                    self.mark_safe(until);
                }
            }
        }
    }

    /// What was appended before in this life is safe with the last.
    fn mark_safe(&mut self, until: usize) {
        self.sent[self.life_first..until].fill(true);
    }

    async fn restart_north(&mut self) {
        let end = self.north.take().unwrap();
        self.house.crash("north", end).await;
        self.north = Some(self.house.sender("w"));
        self.life_first = self.sent.len();
    }

    async fn restart_south(&mut self) {
        let end = self.south.take().unwrap();
        self.house.crash("south", end).await;
        self.south = Some(self.house.receiver("w"));
    }

    async fn end(self) {
        let Story { house, north, south, sent, .. } = self;
        let (north, south) = (north.unwrap(), south.unwrap());
        north.journal.sync().await.unwrap();
        house
            .until("the outbox is empty", || {
                let (_, low) = north.journal.consumers().pop().unwrap();
                low == north.journal.stats().next
            })
            .await;
        let arrived = numbers(&south.journal).await;
        assert!(arrived.is_sorted_by(|a, b| a < b), "once, and in order: {arrived:?}");
        let known = sent.iter().enumerate().filter(|(_, is_safe)| **is_safe).map(|(number, _)| number as u64);
        let lost: Vec<u64> = known.filter(|number| arrived.binary_search(number).is_err()).collect();
        assert!(lost.is_empty(), "{lost:?}");
        assert!(house.letters.0.lock().is_empty());
        assert_eq!(south.what.status().gone, 0);
    }
}

#[test]
fn what_was_accepted_arrives_once_and_in_order_whatever_stops() {
    for seed in 0..60 {
        let outcome = std::panic::catch_unwind(|| {
            Sim::run(seed, async |sim| {
                let house = House::new(sim).await;
                let (north, south) = (Some(house.sender("w")), Some(house.receiver("w")));
                let chance = Entropy::seeded(seed);
                let mut story = Story { house, chance, north, south, sent: Vec::new(), life_first: 0 };
                story.tell().await;
                story.end().await;
            })
        });
        if let Err(panic) = outcome {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
