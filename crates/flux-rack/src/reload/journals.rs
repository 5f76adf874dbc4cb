//! The journals of durable wires across reloads: opened before anything moves, kept for as long as the rack runs.

use std::{collections::BTreeSet, sync::Arc};

use flux_mesh::{Line, MeshWire};
use flux_scenario::circuit::{Circuit, CircuitWire};

use crate::{
    draft::partition_key,
    durable::{Durable, DurableParts, End, Gate, Lines, MeshEnd, journal_of},
    rack::{ChangeError, Rack},
};

impl Rack {
    /// Opens the journals of durable wires that are not open. Returns whose they are; on an error none of them is.
    pub(super) async fn open_journals(&mut self, circuit: &Circuit) -> Result<Vec<String>, ChangeError> {
        let mut opened = Vec::new();
        for wire in &circuit.wires {
            let opened_or_not = match self.carrier(wire) {
                Ok(carrier) => self.open_journal(circuit, wire, carrier).await,
                Err(why) => Err(why),
            };
            match opened_or_not {
                Ok(journal) => opened.extend(journal),
                Err(why) => {
                    self.close_journals(opened).await;
                    return Err(why);
                }
            }
        }
        Ok(opened)
    }

    /// What carries a mesh wire.
    fn carrier(&self, wire: &CircuitWire) -> Result<Option<(MeshWire, Line)>, ChangeError> {
        let Some(mesh) = &wire.mesh else { return Ok(None) };
        let error = |why| ChangeError::Mesh { wire: wire.id.clone(), why };
        let Some(line) = self.workshop.surroundings.mesh.clone() else {
            return Err(error(
                "it leads to another rack, and there is no bus: name one with `bus.url` or --bus".into(),
            ));
        };
        let route = MeshWire::new(&mesh.from, &mesh.to, &mesh.wire).map_err(|why| error(why.to_string()))?;
        Ok(Some((route, line)))
    }

    /// Opens the journal of a wire that needs one and has none yet, and says which.
    async fn open_journal(
        &mut self,
        circuit: &Circuit,
        wire: &CircuitWire,
        carrier: Option<(MeshWire, Line)>,
    ) -> Result<Option<String>, ChangeError> {
        let (Some(durability), Some(journal)) = (wire.durable, journal_of(wire)) else { return Ok(None) };
        if let Some(open) = self.durables.get(&journal) {
            open.set_gate(Gate::Open);
            return Ok(None);
        }
        let store = &self.shared.store;
        let site = store.site(&[&journal], durability.ack, &self.shared.settings);
        let (from, to) = both_ends(circuit, wire);
        let durable = Durable::open(DurableParts {
            name: wire.id.clone(),
            durability,
            from,
            to,
            end: carrier.map(|(route, line)| (route, line, MeshEnd::of(wire))),
            site,
            dead_letters: self.shared.dead_letters.clone(),
            tuning: self.shared.settings.clone(),
            dedupe_messages: store.settings.dedupe_messages.get() as usize,
        });
        let durable = durable
            .await
            .map_err(|source| ChangeError::Journal { of: format!("wire `{}`", wire.id), source })?;
        self.durables.insert(journal.clone(), Arc::new(durable));
        Ok(Some(journal))
    }

    /// Closes journals of wires that are not part of what runs.
    pub(super) async fn close_journals(&mut self, ids: Vec<String>) {
        for id in ids {
            if let Some(durable) = self.durables.remove(&id) {
                durable.close().await;
            }
        }
    }

    /// Has the durable wires of the assembly deliver into its queues, and no other.
    pub(crate) fn feed(&self) {
        let circuit = &self.assembly.circuit;
        self.others().for_each(|durable| durable.halt());
        for (wire, queues) in circuit.wires.iter().zip(&self.assembly.wires) {
            let Some(durable) = journal_of(wire).and_then(|journal| self.durables.get(&journal)) else {
                continue;
            };
            let key = wire
                .to
                .gear()
                .and_then(|receiver| partition_key(&circuit.gears[receiver]).expect("the draft has read it"));
            durable.promise(wire.durable.expect("it is durable"));
            let (from, to) = both_ends(circuit, wire);
            durable.feed_into(Lines { wires: queues.clone(), key, from, to });
        }
    }

    /// Stops what delivers for wires that are no more. What waits stays on disk, and what still comes is added to it: a
    /// wire of this id may come back.
    pub(super) async fn stop_feeding_others(&self) {
        for durable in self.others() {
            durable.stop_feeding().await;
            let messages = durable.stats().unsettled;
            if messages > 0 {
                tracing::warn!(
                    wire = durable.name,
                    messages,
                    "messages wait in the journal of a wire that is no more: they stay until there is a wire of this id again"
                );
            }
        }
    }

    /// The journals whose wires are not in the circuit.
    pub(super) fn others(&self) -> impl Iterator<Item = &Arc<Durable>> {
        let used: BTreeSet<String> = self.assembly.circuit.wires.iter().filter_map(journal_of).collect();
        self.durables.iter().filter(move |(journal, _)| !used.contains(*journal)).map(|(_, durable)| durable)
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        // Gears may hold them for longer than there is a rack.
        self.durables.values().for_each(|durable| durable.let_go());
        if let Some(letters) = self.shared.dead_letters.disk() {
            letters.let_go();
        }
    }
}

fn both_ends(circuit: &Circuit, wire: &CircuitWire) -> (End, End) {
    let [sender, output, receiver, input] = circuit.ends(wire).map(str::to_owned);
    (End { gear: sender, port: output }, End { gear: receiver, port: input })
}
