//! What a rack is connected to: a host by a line that fails, with a peer that it sends to or a client that sends to it.

use std::time::Duration;

use flux_world::sim::{Link, Sim};
use flux_world::{Clock, Instant, World};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::plan::{GearPlan, LineFault, Plan};
use crate::run::HOST;

mod client;
mod frames;
mod peer;

pub(crate) use client::PORT;
pub(crate) use peer::ADDRESS;

/// Until the operating system of a host notices that a connection is half open. The rack does so before, by itself.
const NOTICED_AFTER_MS: u32 = 5_000;

/// The other end of one gear's line during one life of the rack, and that line.
pub(crate) struct FarEnd {
    sim: Sim,
    clock: Clock,
    host: String,
    /// Whether it reads nothing.
    is_deaf: watch::Sender<bool>,
    heals_at: Option<Instant>,
    is_unplugged: bool,
    task: JoinHandle<()>,
}

impl FarEnd {
    /// All that a plan has.
    pub(crate) fn all(sim: &Sim, plan: &Plan) -> Vec<FarEnd> {
        let gears = plan.gears.iter().enumerate();
        gears
            .filter_map(|(gear, kind)| match kind {
                GearPlan::Peer => {
                    Some(FarEnd::begin(sim, peer::HOST, |world, hears| peer::run(world, gear, hears)))
                }
                GearPlan::Server(_) => {
                    Some(FarEnd::begin(sim, client::HOST, |world, hears| client::run(world, gear, hears)))
                }
                GearPlan::Feed(_)
                | GearPlan::Caller(_)
                | GearPlan::Work { .. }
                | GearPlan::Fork
                | GearPlan::Shelf => None,
            })
            .collect()
    }

    fn begin<F: Future<Output = ()> + Send + 'static>(
        sim: &Sim,
        host: &str,
        runs: impl FnOnce(World, watch::Receiver<bool>) -> F,
    ) -> FarEnd {
        let (is_deaf, hears) = watch::channel(false);
        let world = sim.host(host);
        let clock = world.clock;
        let task = tokio::spawn(runs(world, hears));
        let far_end = FarEnd {
            sim: sim.clone(),
            clock,
            host: host.to_owned(),
            is_deaf,
            heals_at: None,
            is_unplugged: false,
            task,
        };
        far_end.heal();
        far_end
    }

    pub(crate) fn suffer(&mut self, fault: LineFault) {
        let (sim, host) = (&self.sim, &self.host);
        let lasts = match fault {
            LineFault::Reset => return sim.reset(HOST, host),
            LineFault::Unplug => {
                sim.unplug(HOST, host);
                self.is_unplugged = true;
                NOTICED_AFTER_MS
            }
            LineFault::Part(ms) => {
                sim.partition(HOST, host);
                ms
            }
            LineFault::Refuse(ms) => {
                self.set_refusing(true);
                sim.reset(HOST, host);
                ms
            }
            LineFault::Deaf(ms) => {
                self.is_deaf.send_replace(true);
                ms
            }
            LineFault::Slow(ms) => {
                let latency = Duration::from_millis(ms.into());
                let link = Link { latency_min: latency, latency_max: 2 * latency, ..Link::default() };
                sim.set_link(HOST, host, link);
                ms * 20
            }
        };
        self.heals_at = Some(self.clock.now() + Duration::from_millis(lasts.into()));
    }

    /// What is wrong with the line ends in its time.
    pub(crate) fn tend(&mut self) {
        if self.heals_at.take_if(|at| *at <= self.clock.now()).is_some() {
            self.heal();
            if std::mem::take(&mut self.is_unplugged) {
                self.sim.reset(HOST, &self.host);
            }
        }
    }

    /// Whether neither end lets the other in: one of them is who connects.
    fn set_refusing(&self, is_refusing: bool) {
        self.sim.set_refusing(HOST, is_refusing);
        self.sim.set_refusing(&self.host, is_refusing);
    }

    fn heal(&self) {
        self.sim.heal(HOST, &self.host);
        self.set_refusing(false);
        self.sim.set_link(HOST, &self.host, Link::default());
        self.is_deaf.send_replace(false);
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}
