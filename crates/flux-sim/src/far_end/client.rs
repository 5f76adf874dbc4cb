//! What an `io_tcp` server of a rack is sent to by: a host that keeps each message until it is acknowledged, and sends it again
//! by the next connection.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use flux_world::net::{ConnectOptions, Stream, Target, WriteHalf};
use flux_world::{Clock, World};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, watch};

use super::frames::{Frames, framed};
use crate::house::house;
use crate::payload::Label;
use crate::plan::FeedPlan;
use crate::rules::Rule;
use crate::run::HOST as RACK;

pub(super) const HOST: &str = "client";

/// The port at which the rack listens.
pub(crate) const PORT: u16 = 7001;

/// Messages it sends before the first of them is acknowledged.
const UNACKNOWLEDGED_MAX: usize = 200;

/// Until it connects again.
const COMES_BACK_AFTER: Duration = Duration::from_millis(50);

/// Sends the messages of the gear at this place, in order.
pub(super) async fn run(world: World, gear: usize, hears: watch::Receiver<bool>) {
    let target = Target::new(RACK, PORT).expect("the name of a host");
    let plan = house(|house| house.plan.feed(gear).cloned()).expect("a server brings something in");
    loop {
        if let Ok(stream) = world.net.connect(&target, &ConnectOptions::default()).await {
            let session = Session {
                gear,
                plan: &plan,
                clock: world.clock,
                sent: Mutex::default(),
                room: Notify::new(),
            };
            session.run(stream, hears.clone()).await;
        }
        world.clock.sleep(COMES_BACK_AFTER).await;
    }
}

/// One connection.
struct Session<'a> {
    gear: usize,
    plan: &'a FeedPlan,
    clock: Clock,
    /// Numbers of messages that are not acknowledged, in order.
    sent: Mutex<VecDeque<u32>>,
    /// Rings when one is.
    room: Notify,
}

impl Session<'_> {
    async fn run(&self, stream: Stream, hears: watch::Receiver<bool>) {
        let Stream { read, write, .. } = stream;
        tokio::select! {
            biased;
            () = self.hear(Frames::of(read), hears) => {}
            () = self.send(write) => {}
        }
    }

    /// Sends what was not acknowledged before, then what is new. Ends with the connection.
    async fn send(&self, mut write: WriteHalf) {
        let gear = self.gear;
        let (again, begun) = house(|house| (house.ledger.starts(gear, true), house.ledger.begun(gear)));
        let numbers: Vec<u32> = again.into_iter().chain(begun..self.plan.messages).collect();
        for burst in numbers.chunks(self.plan.burst.max(1) as usize) {
            for &n in burst {
                self.has_room().await;
                self.sent.lock().expect("nobody panics with it").push_back(n);
                house(|house| house.emits(gear, n));
                let message = Label::new(gear, self.plan, n).payload(self.plan);
                if write.write_all(&framed(&message)).await.is_err() {
                    return;
                }
            }
            self.clock.sleep(Duration::from_micros(self.plan.pause_us.into())).await;
        }
        std::future::pending().await
    }

    async fn has_room(&self) {
        while self.sent.lock().expect("nobody panics with it").len() >= UNACKNOWLEDGED_MAX {
            self.room.notified().await;
        }
    }

    /// Takes acknowledgements. Ends with the connection.
    async fn hear(&self, mut frames: Frames, mut is_deaf: watch::Receiver<bool>) {
        while is_deaf.wait_for(|is_deaf| !is_deaf).await.is_ok() {
            let Some(_) = frames.next().await else { return };
            let oldest = self.sent.lock().expect("nobody panics with it").pop_front();
            house(|house| match oldest {
                Some(n) => house.settled(self.gear, n),
                None => house.ledger.violate(Rule::RightEnd, format!("g{} acknowledged nothing", self.gear)),
            });
            self.room.notify_one();
        }
    }
}
