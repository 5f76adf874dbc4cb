//! Has dead letters tried again: each goes to the port where it failed, as the message it was.

use std::sync::Arc;

use flux_gear::{Held, OutPort};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use crate::{
    assembly::port_number,
    custody::JournalError,
    dead_letters::{Filter, Letter, search},
    draft::partition_key,
    durable::Lines,
    rack::Rack,
    routes::Target,
};

/// What became of a request to replay or to drop dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Letters that were handed over, or dropped.
    pub letters: u64,
    /// Why others were not, each with how many.
    pub refused: Vec<(String, u64)>,
}

/// Where a letter is tried again.
enum Destination {
    /// At an input: it enters the queue of a wire there.
    Input(Lines),
    /// At an output: it takes the wires that leave it now.
    Output(Vec<Target>),
}

impl Rack {
    /// Replays the letters on disk that match, oldest first, at most `limit`. They are handed over in a task of the rack, as
    /// there is room; each is a dead letter until it has come to an end.
    pub async fn replay(&mut self, filter: &Filter, limit: usize) -> Result<Handled, JournalError> {
        let _still = self.keep_letters_still().await;
        let letters = self.find(filter, limit).await?;
        Ok(self.replay_letters(letters))
    }

    /// Drops the letters on disk that match, oldest first, at most `limit`. Returns those that it dropped.
    pub async fn drop_letters(&self, filter: &Filter, limit: usize) -> Result<Vec<Letter>, JournalError> {
        let _still = self.keep_letters_still().await;
        let mut letters = self.find(filter, limit).await?;
        let Some(disk) = self.shared.dead_letters.disk() else { return Ok(Vec::new()) };
        let sequences: Vec<u64> = letters.iter().map(|letter| letter.sequence).collect();
        let dropped = disk.remove(&sequences).await?;
        letters.retain(|letter| dropped.binary_search(&letter.sequence).is_ok());
        Ok(letters)
    }

    /// Replays what it was told to while it did not run.
    pub(crate) async fn replay_marked(&mut self, marked: Vec<u64>) -> Result<(), JournalError> {
        if marked.is_empty() {
            return Ok(());
        }
        let mut letters = self.find(&Filter::default(), usize::MAX).await?;
        letters.retain(|letter| marked.binary_search(&letter.sequence).is_ok());
        let Handled { letters, refused } = self.replay_letters(letters);
        tracing::info!(letters, "dead letters are replayed");
        for (why, letters) in refused {
            tracing::warn!(letters, why, "dead letters cannot be replayed");
        }
        if let Some(disk) = self.shared.dead_letters.disk() {
            disk.have_been_replayed();
        }
        Ok(())
    }

    /// What was found is where it was found for as long as this is held.
    async fn keep_letters_still(&self) -> Option<OwnedMutexGuard<()>> {
        match self.shared.dead_letters.disk() {
            Some(disk) => Some(disk.keep_still().await),
            None => None,
        }
    }

    async fn find(&self, filter: &Filter, limit: usize) -> Result<Vec<Letter>, JournalError> {
        let Some(disk) = self.shared.dead_letters.disk() else { return Ok(Vec::new()) };
        disk.all_safe().await;
        let (world, state_dir, filter) =
            (self.shared.world.clone(), disk.site().state_dir.clone(), filter.clone());
        let searched =
            self.shared.world.disk.offload(move || search(&world, &state_dir, &filter, limit)).await?;
        Ok(searched.letters)
    }

    fn replay_letters(&mut self, letters: Vec<Letter>) -> Handled {
        let mut handled = Handled::default();
        let mut ready = Vec::new();
        for letter in letters {
            match self.prepare(&letter) {
                Ok(prepared) => ready.extend(prepared),
                Err(why) => handled.refuse(why),
            }
        }
        handled.letters = ready.len() as u64;
        if !ready.is_empty() {
            self.replaying.spawn(async move {
                for (held, destination) in ready {
                    destination.take(held).await;
                }
            });
        }
        handled
    }

    /// The message of a letter on its lease, and where it goes; `None` when it is on its way already.
    fn prepare(&self, letter: &Letter) -> Result<Option<(Held, Arc<Destination>)>, String> {
        let destination = self.destination(&letter.gear, &letter.port)?;
        let mut msg = letter.message().map_err(|why| format!("its message cannot be read: {why}"))?;
        let Some(lease) = self.shared.dead_letters.disk().and_then(|disk| disk.replay(letter.sequence))
        else {
            return Ok(None);
        };
        msg = letter.again(msg);
        msg.attach_lease(lease);
        Ok(Some((Held::new(msg), Arc::new(destination))))
    }

    fn destination(&self, gear: &str, port: &str) -> Result<Destination, String> {
        let circuit = &self.assembly.circuit;
        let at = self.assembly.gear(gear).ok_or_else(|| format!("there is no gear `{gear}` any more"))?;
        let declared = &circuit.gears[at];
        if let Some(input) = declared.inputs.iter().position(|input| input == port) {
            let wire = circuit.wires.iter().position(|wire| wire.to.here() == Some((at, input)));
            let wire = wire.ok_or_else(|| format!("no wire leads to `{gear}.{port}` any more"))?;
            let key = partition_key(declared).map_err(|why| why.to_string())?;
            return Ok(Destination::Input(Lines::to(self.assembly.wires[wire].clone(), key)));
        }
        let output = declared.outputs.iter().position(|output| output == port);
        let output = output.ok_or_else(|| format!("`{gear}` has no port `{port}` any more"))?;
        let targets = self.assembly.routes(at).targets(OutPort::at(port_number(output))).to_vec();
        if targets.is_empty() {
            return Err(format!("no wire leaves `{gear}.{port}`"));
        }
        Ok(Destination::Output(targets))
    }
}

impl Destination {
    /// Waits for room. A closed queue gives the message up: it stays a letter.
    async fn take(&self, held: Held) {
        match self {
            Destination::Input(lines) => {
                let wire = &lines.wires[lines.shard(held.msg())];
                let _ = wire.push(&mut vec![held]).await;
            }
            Destination::Output(targets) => {
                let msg = held.release();
                for target in targets {
                    let copy = Held::new(msg.clone());
                    let _ = target.push(target.shard(&msg), &mut vec![copy]).await;
                }
            }
        }
    }
}

impl Handled {
    fn refuse(&mut self, why: String) {
        match self.refused.iter_mut().find(|(other, _)| *other == why) {
            Some((_, letters)) => *letters += 1,
            None => self.refused.push((why, 1)),
        }
    }
}
