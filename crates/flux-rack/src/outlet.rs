//! The emitting half of a gear: from its own tasks into the wires, in the task that emits.

use std::{future::Future, pin::Pin, sync::Arc};

use flux_gear::{EmitError, FluxMsg, OutPort, Outlet};

use crate::{
    dead_letters::DeadLetter,
    rack::Shared,
    routes::{Patchbay, Routes, Target},
    stats::GearCounters,
    wire::Closed,
};

/// What an [`flux_gear::Emitter`] sends through.
pub(crate) struct RackOutlet {
    pub(crate) name: String,
    pub(crate) outputs: Vec<String>,
    pub(crate) counters: Arc<GearCounters>,
    pub(crate) patchbay: Arc<Patchbay>,
    pub(crate) shared: Arc<Shared>,
}

impl From<Closed> for EmitError {
    fn from(_: Closed) -> EmitError {
        EmitError::Stopping
    }
}

impl Outlet for RackOutlet {
    fn try_send(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError> {
        let routes = self.patchbay.load();
        // Only the common case is worth a shortcut: one wire, every message within limits.
        match routes.targets(port) {
            [target] if target.shards() == 1 && self.first_over_limit(msgs).is_none() => {
                let before = msgs.len();
                // A closed wire is for `send` to find out about.
                let _ = target.try_push(0, msgs);
                self.counters.emitted.add((before - msgs.len()) as u64);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send<'a>(
        &'a self,
        port: OutPort,
        msgs: &'a mut Vec<FluxMsg>,
    ) -> Pin<Box<dyn Future<Output = Result<(), EmitError>> + Send + 'a>> {
        Box::pin(self.send_all(port, msgs))
    }
}

impl RackOutlet {
    async fn send_all(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError> {
        let refused = self.first_over_limit(msgs);
        let mut rest = refused.map(|at| msgs.split_off(at)).unwrap_or_default();
        let sent = self.send_within_limits(port, msgs).await;
        msgs.append(&mut rest);
        sent?;
        match msgs.first() {
            Some(over) => Ok(self.shared.limits.check(over)?),
            None => Ok(()),
        }
    }

    async fn send_within_limits(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) -> Result<(), EmitError> {
        let emitted = msgs.len() as u64;
        loop {
            let routes = self.patchbay.load_full();
            match self.send_by(&routes, port, msgs).await {
                Ok(()) => break,
                // A reload took the wire away: what is left goes where the port leads now.
                Err(Closed) if self.has_changed(&routes) => {}
                Err(Closed) => return Err(EmitError::Stopping),
            }
        }
        self.counters.emitted.add(emitted);
        Ok(())
    }

    fn has_changed(&self, routes: &Arc<Routes>) -> bool {
        !Arc::ptr_eq(routes, &self.patchbay.load())
    }

    async fn send_by(
        &self,
        routes: &Arc<Routes>,
        port: OutPort,
        msgs: &mut Vec<FluxMsg>,
    ) -> Result<(), Closed> {
        match routes.targets(port) {
            [] => self.bury(port, msgs).await,
            [target] if target.shards() == 1 => target.push(0, msgs).await?,
            targets => {
                while let Some(msg) = msgs.first() {
                    for (sent, target) in targets.iter().enumerate() {
                        let (shard, mut copy) = (target.shard(msg), vec![msg.clone()]);
                        match target.push(shard, &mut copy).await {
                            // The others have theirs: this one, too, goes where it went before the reload.
                            Err(Closed) if sent > 0 && self.has_changed(routes) => {
                                self.send_late(port, target, shard, &mut copy).await?;
                            }
                            pushed => pushed?,
                        }
                    }
                    msgs.remove(0);
                }
            }
        }
        Ok(())
    }

    /// Sends what a reload has overtaken, room or not: by the wire that leads there now, where the messages behind it follow
    /// it, else by the one that led there.
    async fn send_late(
        &self,
        port: OutPort,
        led: &Target,
        shard: usize,
        msgs: &mut Vec<FluxMsg>,
    ) -> Result<(), Closed> {
        let routes = self.patchbay.load_full();
        let leads = routes.targets(port).iter().find(|target| target.is_to_the_same(led));
        match leads {
            Some(Target { durable: Some(durable), .. }) => return durable.push(msgs).await,
            Some(target) => target.wires[target.shard(&msgs[0])].force(msgs),
            None => match &led.durable {
                Some(durable) => return durable.append(msgs).await,
                None => led.wires[shard].force(msgs),
            },
        }
        Ok(())
    }

    fn first_over_limit(&self, msgs: &[FluxMsg]) -> Option<usize> {
        msgs.iter().position(|msg| self.shared.limits.check(msg).is_err())
    }

    /// A port that no wire leaves: the messages are kept as dead letters.
    async fn bury(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) {
        let port = self.outputs.get(port.place()).cloned().unwrap_or_default();
        // One at a time: whoever is broken off meanwhile has the others still.
        while !msgs.is_empty() {
            let now = self.shared.world.clock.unix_ns();
            let letter = DeadLetter::stray(msgs.remove(0), &self.name, &port, now);
            self.shared.dead_letters.keep(letter).await;
            self.counters.dead_lettered.add(1);
        }
    }
}
