//! The journals of durable wires across reloads: opened before anything moves, kept for as long as the rack runs.

use std::sync::Arc;

use flux_scenario::circuit::{Circuit, CircuitWire};

use crate::{
    assembly::ends,
    custody::JournalError,
    draft::partition_key,
    durable::{Durable, DurableParts, End, Gate, Lines, directory_name},
    rack::{ChangeError, Rack},
};

/// The directory of the journals of wires, in the state directory.
pub(super) const WIRES_DIRECTORY: &str = "wires";

impl Rack {
    /// Opens the journals of durable wires that are not open. Returns whose they are; on an error none of them is.
    pub(super) async fn open_journals(&mut self, circuit: &Circuit) -> Result<Vec<String>, ChangeError> {
        let mut opened = Vec::new();
        for wire in &circuit.wires {
            match self.open_journal(circuit, wire).await {
                Ok(true) => opened.push(wire.id.clone()),
                Ok(false) => {}
                Err(source) => {
                    self.close_journals(opened).await;
                    return Err(ChangeError::Journal { of: format!("wire `{}`", wire.id), source });
                }
            }
        }
        Ok(opened)
    }

    /// Whether the wire needed one.
    async fn open_journal(&mut self, circuit: &Circuit, wire: &CircuitWire) -> Result<bool, JournalError> {
        let Some(durability) = wire.durable else { return Ok(false) };
        if let Some(open) = self.durables.get(&wire.id) {
            open.set_gate(Gate::Open);
            return Ok(false);
        }
        let store = &self.shared.store;
        let path = [WIRES_DIRECTORY, &directory_name(&wire.id)];
        let site = store.site(&path, durability.ack, &self.shared.settings);
        let (from, to) = both_ends(circuit, wire);
        let durable = Durable::open(DurableParts {
            name: wire.id.clone(),
            durability,
            from,
            to,
            site,
            dead_letters: self.shared.dead_letters.clone(),
            tuning: self.shared.settings.clone(),
            dedupe_messages: store.settings.dedupe_messages.get() as usize,
        });
        self.durables.insert(wire.id.clone(), Arc::new(durable.await?));
        Ok(true)
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
        self.others().for_each(|(_, durable)| durable.halt());
        for (wire, queues) in circuit.wires.iter().zip(&self.assembly.wires) {
            let Some(durable) = wire.durable.and_then(|_| self.durables.get(&wire.id)) else { continue };
            let key = partition_key(&circuit.gears[wire.to.0]).expect("the draft has read it");
            durable.promise(wire.durable.expect("it is durable"));
            let (from, to) = both_ends(circuit, wire);
            durable.feed_into(Lines { wires: queues.clone(), key, from, to });
        }
    }

    /// Stops what delivers for wires that are no more. What waits stays on disk, and what still comes is added to it: a
    /// wire of this id may come back.
    pub(super) async fn stop_feeding_others(&self) {
        for (id, durable) in self.others() {
            durable.stop_feeding().await;
            let messages = durable.stats().unsettled;
            if messages > 0 {
                tracing::warn!(
                    wire = id,
                    messages,
                    "messages wait in the journal of a wire that is no more: they stay until there is a wire of this id again"
                );
            }
        }
    }

    /// The journals whose wires are not in the circuit.
    pub(super) fn others(&self) -> impl Iterator<Item = (&String, &Arc<Durable>)> {
        let wires = &self.assembly.circuit.wires;
        let is_used = |id: &String| wires.iter().any(|wire| wire.durable.is_some() && wire.id == *id);
        self.durables.iter().filter(move |(id, _)| !is_used(id))
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
    let [sender, output, receiver, input] = ends(circuit, wire).map(str::to_owned);
    (End { gear: sender, port: output }, End { gear: receiver, port: input })
}
