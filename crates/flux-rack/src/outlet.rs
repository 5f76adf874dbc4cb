//! The emitting half of a gear: from its own tasks into the wires, in the task that emits.

use std::{future::Future, pin::Pin, sync::Arc};

use flux_gear::{EmitError, FluxMsg, OutPort, Outlet};

use crate::{
    dead_letters::DeadLetter,
    rack::Shared,
    routes::{Patchbay, Target},
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
            match self.send_by(routes.targets(port), port, msgs).await {
                Ok(()) => break,
                // A reload took the wire away: what is left goes where the port leads now.
                Err(Closed) if !Arc::ptr_eq(&routes, &self.patchbay.load()) => {}
                Err(Closed) => return Err(EmitError::Stopping),
            }
        }
        self.counters.emitted.add(emitted);
        Ok(())
    }

    async fn send_by(
        &self,
        targets: &[Target],
        port: OutPort,
        msgs: &mut Vec<FluxMsg>,
    ) -> Result<(), Closed> {
        match targets {
            [] => self.bury(port, msgs).await,
            [target] if target.shards() == 1 => target.push(0, msgs).await?,
            targets => {
                while let Some(msg) = msgs.first() {
                    for target in targets {
                        self.send_one(port, target, msg).await?;
                    }
                    msgs.remove(0);
                }
            }
        }
        Ok(())
    }

    /// Sends one of several copies. Of a wire that a reload took away, it goes to the one in its place, if there is one.
    async fn send_one(&self, port: OutPort, target: &Target, msg: &FluxMsg) -> Result<(), Closed> {
        let mut msg = vec![msg.clone()];
        let Err(Closed) = target.push(target.shard(&msg[0]), &mut msg).await else { return Ok(()) };
        let routes = self.patchbay.load_full();
        let place = routes.targets(port);
        match place.iter().find(|other| other.wires[0].name == target.wires[0].name) {
            Some(other) if Arc::ptr_eq(&other.wires[0], &target.wires[0]) => Err(Closed),
            Some(other) => other.push(other.shard(&msg[0]), &mut msg).await,
            None => Ok(()),
        }
    }

    fn first_over_limit(&self, msgs: &[FluxMsg]) -> Option<usize> {
        msgs.iter().position(|msg| self.shared.limits.check(msg).is_err())
    }

    /// A port that no wire leaves: the messages are kept as dead letters.
    async fn bury(&self, port: OutPort, msgs: &mut Vec<FluxMsg>) {
        let port = self.outputs.get(port.place()).cloned().unwrap_or_default();
        for msg in msgs.drain(..) {
            self.counters.dead_lettered.add(1);
            let letter = DeadLetter::stray(msg, &self.name, &port, self.shared.world.clock.unix_ns());
            self.shared.dead_letters.keep(letter).await;
        }
    }
}
