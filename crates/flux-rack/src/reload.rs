//! From the circuit that runs to another one, while messages flow. Booting is the same from nothing.
//!
//! ```text
//! draw up   every new gear is made                                          a failure changes nothing
//! start     gears that are new are started beside the others                a failure stops them again
//! pause     segments that change stop at the end of a batch; wires fill     a failure lets them go on
//! replace   what a gear has in hand passes to the one in its place          a failure passes it back
//! cut over  wires lead where they are to lead; segments go on
//! retire    gears that left finish what they have, behind the scenes
//! ```
//! A wire that is in both circuits stays, with what is in it. What is in one that goes is left to its receiver, which
//! runs it before anything else.

mod cut_over;
mod going;
mod journals;
mod retire;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use flux_scenario::{
    circuit::Circuit,
    plan::{Plan, Step},
};
use flux_world::planted;
use serde::Serialize;

use crate::{
    cell::{Bequest, Cell},
    draft::Draft,
    rack::{ChangeError, Rack},
};

use going::Ebb;
pub use going::Remains;
pub(crate) use retire::Visitor;

/// What a reload did.
#[derive(Debug, Clone, Serialize)]
pub struct Reloaded {
    /// What happened to each gear and wire.
    pub plan: Plan,
    /// How long gears that the change concerns did not process.
    pub paused: Duration,
    /// How long it took altogether.
    pub took: Duration,
}

/// Gears out of their segments, by name and number of the instance.
type Standing = BTreeMap<(String, usize), Cell>;

impl Rack {
    /// Becomes another circuit. Gears that are the same in both go on with what they have, and so do their connections;
    /// after an error all of them do. Once begun it must be polled to its end: gears stand still meanwhile.
    pub async fn reload(&mut self, circuit: Circuit, remains: Remains) -> Result<Reloaded, ChangeError> {
        let clock = self.shared.world.clock;
        let began = clock.now();
        let going = self.going(&circuit);
        let to_be_empty = if remains == Remains::Delivered { going.clone() } else { Vec::new() };
        let mut ebb = Ebb::new(to_be_empty, self.shared.settings.process_timeout, clock);
        let result = match ebb.run_empty().await {
            Ok(()) => self.open_and_become(circuit, &mut ebb).await,
            Err(why) => Err(why),
        };
        match result {
            Ok((plan, paused)) => {
                self.end_going(&going);
                self.stop_feeding_others().await;
                Ok(Reloaded { plan, paused, took: clock.now().saturating_duration_since(began) })
            }
            Err(why) => {
                ebb.call_off();
                Err(why)
            }
        }
    }

    async fn open_and_become(
        &mut self,
        circuit: Circuit,
        ebb: &mut Ebb,
    ) -> Result<(Plan, Duration), ChangeError> {
        let opened = self.open_journals(&circuit).await?;
        let result = self.become_circuit(circuit, ebb).await;
        if result.is_err() {
            self.close_journals(opened).await;
        }
        result
    }

    async fn become_circuit(
        &mut self,
        circuit: Circuit,
        ebb: &mut Ebb,
    ) -> Result<(Plan, Duration), ChangeError> {
        let clock = self.shared.world.clock;
        let mut draft = Draft::new(&self.assembly, &self.workshop, circuit, &self.durables)?;
        if let Err(why) = self.start_added(&mut draft).await {
            self.abandon(draft).await;
            return Err(why);
        }
        let paused_at = clock.now();
        let standing = match self.pause_and_replace(&mut draft, ebb).await {
            Ok(standing) => standing,
            Err(why) => {
                self.abandon(draft).await;
                return Err(why);
            }
        };
        let plan = draft.plan.clone();
        let strays = self.cut_over(draft, standing).await;
        let paused = clock.now().saturating_duration_since(paused_at);
        for stray in strays {
            self.shared.dead_letters.keep(stray).await;
        }
        Ok((plan, paused))
    }

    /// Starts the gears that are new, sinks first. What they emit waits in their wires.
    async fn start_added(&mut self, draft: &mut Draft) -> Result<(), ChangeError> {
        for gear in draft.gears(Step::Add) {
            let kind = draft.assembly.circuit.gears[gear].kind.clone();
            for (number, cell) in draft.cells(gear) {
                self.move_in(cell, number, &kind);
                self.start(cell).await?;
            }
        }
        Ok(())
    }

    async fn start(&self, cell: &mut Cell) -> Result<(), ChangeError> {
        let started = cell.start(&self.shared).await;
        started.map_err(|source| ChangeError::Start { gear: cell.name.clone(), source })
    }

    async fn pause_and_replace(&mut self, draft: &mut Draft, ebb: &mut Ebb) -> Result<Standing, ChangeError> {
        let mut standing = self.pause_empty(&draft.untouched, ebb).await?;
        match self.replace(draft, &mut standing).await {
            Ok(()) => Ok(standing),
            Err(why) => {
                if planted("refused_reload_stands_still") {
                    return Err(why);
                }
                self.reseat(standing);
                Err(why)
            }
        }
    }

    /// Pauses with nothing left on wires that go. What a segment had in hand for one is delivered first.
    async fn pause_empty(
        &mut self,
        untouched: &[Option<usize>],
        ebb: &mut Ebb,
    ) -> Result<Standing, ChangeError> {
        loop {
            ebb.let_segments_in();
            let standing = self.pause_with(untouched, ebb).await?;
            match ebb.is_over() {
                Ok(()) => return Ok(standing),
                // Its sender was called back after its receiver: once more, as long as there is time.
                Err(why) => {
                    self.reseat(standing);
                    if !ebb.has_time() {
                        return Err(why);
                    }
                    ebb.run_empty().await?;
                }
            }
        }
    }

    /// Has all segments leave their gears.
    pub(crate) async fn pause(&mut self, untouched: Vec<Option<usize>>) -> Result<Standing, ChangeError> {
        let mut none = Ebb::new(Vec::new(), Duration::ZERO, self.shared.world.clock);
        self.pause_with(&untouched, &mut none).await
    }

    /// Has the segments that change leave their gears, sources first, so that whoever has to cross to the next one can.
    async fn pause_with(
        &mut self,
        untouched: &[Option<usize>],
        ebb: &mut Ebb,
    ) -> Result<Standing, ChangeError> {
        let untouched: BTreeSet<usize> = untouched.iter().copied().flatten().collect();
        let now = &self.assembly;
        let rank = |gear: usize| now.circuit.drain_order.iter().position(|&other| other == gear);
        let mut changed: Vec<usize> = (0..now.layout.len()).filter(|at| !untouched.contains(at)).collect();
        changed.sort_by_key(|&at| now.layout[at].iter().map(|member| rank(member.gear)).min());
        // One message may take that long, and its last attempt again.
        let waited = 2 * self.shared.settings.process_timeout;
        let mut standing = Standing::new();
        for at in changed {
            let names: Vec<_> =
                self.assembly.layout[at].iter().map(|&member| self.assembly.name(member)).collect();
            let receivers: Vec<String> = names.iter().map(|(gear, _)| gear.clone()).collect();
            let called_back = standing.keys().map(|(gear, _)| gear.clone()).collect();
            if let Err(why) = ebb.run_empty_into(&receivers, &called_back).await {
                self.reseat(standing);
                return Err(why);
            }
            let Some(cells) = self.segments[at].leave(&self.shared.world, waited).await else {
                self.reseat(standing);
                return Err(ChangeError::Busy { gear: names[0].0.clone(), waited });
            };
            standing.extend(names.into_iter().zip(cells));
        }
        Ok(standing)
    }

    /// Puts gears back where they were.
    fn reseat(&mut self, mut standing: Standing) {
        for at in 0..self.assembly.layout.len() {
            if let Some(segment) = self.spawn(at, &mut standing) {
                self.segments[at] = segment;
            }
        }
    }

    /// Has every gear that changes leave what it has to the one in its place, and starts that, sinks first.
    async fn replace(&self, draft: &mut Draft, standing: &mut Standing) -> Result<(), ChangeError> {
        let gears = draft.gears(Step::Replace);
        for (done, &gear) in gears.iter().enumerate() {
            if let Err(why) = self.replace_one(draft, gear, standing).await {
                for &gear in gears[..=done].iter().rev() {
                    self.put_back(draft, gear, standing).await;
                }
                return Err(why);
            }
        }
        Ok(())
    }

    async fn replace_one(
        &self,
        draft: &mut Draft,
        gear: usize,
        standing: &mut Standing,
    ) -> Result<(), ChangeError> {
        for (number, heir) in draft.cells(gear) {
            if let Some(cell) = standing.get_mut(&(heir.name.clone(), number))
                && cell.bequeath(heir) == Bequest::Refused
            {
                self.go_on(cell).await;
            }
            self.start(heir).await?;
        }
        Ok(())
    }

    async fn put_back(&self, draft: &mut Draft, gear: usize, standing: &mut Standing) {
        for (number, heir) in draft.cells(gear) {
            if let Some(cell) = standing.get_mut(&(heir.name.clone(), number)) {
                heir.bequeath(cell);
                self.go_on(cell).await;
            }
        }
    }

    /// Starts a gear again that has its legacy back; should it fail, it is made again as after any failure.
    async fn go_on(&self, cell: &mut Cell) {
        if let Err(fault) = cell.start(&self.shared).await {
            cell.fail(&fault, &self.shared).await;
        }
    }
}
