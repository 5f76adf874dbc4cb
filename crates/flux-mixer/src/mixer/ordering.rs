//! What Racks are told to do. It is in the next passport of each, and stands for one that is away until it is back.

use std::collections::BTreeMap;

use flux_bus::Name;
use flux_identity::{Duty, LogLevel, RackState, RackView};

use super::{Actor, Mixer};
use crate::refusal::Refusal;
use crate::registry::Record;

impl Mixer {
    /// Has a Rack run what it has, or nothing.
    ///
    /// # Errors
    /// When there is no such Rack, or it does not belong.
    pub(crate) async fn set_duty(&self, actor: &Actor, rack: &Name, duty: Duty) -> Result<RackView, Refusal> {
        self.order(actor, "rack.duty", rack, duty.word(), |record| record.duty = duty).await
    }

    /// Has a Rack log so, or as it is set itself.
    ///
    /// # Errors
    /// When there is no such Rack, or it does not belong.
    pub(crate) async fn set_log_level(
        &self,
        actor: &Actor,
        rack: &Name,
        level: Option<LogLevel>,
    ) -> Result<RackView, Refusal> {
        let detail = level.map_or("its own", LogLevel::word);
        self.order(actor, "rack.log-level", rack, detail, |record| record.log_level = level).await
    }

    /// Has the process of a Rack end; it drains first.
    ///
    /// # Errors
    /// When there is no such Rack, or it does not belong.
    pub(crate) async fn shut_down(&self, actor: &Actor, rack: &Name) -> Result<RackView, Refusal> {
        self.order(actor, "rack.shutdown", rack, "", |record| record.shutdowns += 1).await
    }

    /// Has all Racks with these labels that are in the scope of whoever asks run what they have, or nothing: the switch for
    /// everything. Returns who was told.
    ///
    /// # Errors
    /// When it cannot be kept; it is so for those before it.
    pub(crate) async fn set_duty_of_all(
        &self,
        actor: &Actor,
        labels: &BTreeMap<String, String>,
        duty: Duty,
    ) -> Result<Vec<Name>, Refusal> {
        let is_meant = |of: &BTreeMap<String, String>| {
            actor.scope.covers(of) && labels.iter().all(|(key, value)| of.get(key) == Some(value))
        };
        let meant = self.registry.members().into_iter().filter(|(_, labels)| is_meant(labels));
        let mut told = Vec::new();
        for (rack, _) in meant {
            match self.set_duty(actor, &rack, duty).await {
                // It went meanwhile.
                Err(Refusal::Missing(_) | Refusal::Conflict(_)) => {}
                Err(why) => return Err(why),
                Ok(_) => told.push(rack),
            }
        }
        Ok(told)
    }

    async fn order(
        &self,
        actor: &Actor,
        what: &str,
        rack: &Name,
        detail: &str,
        change: impl Fn(&mut Record),
    ) -> Result<RackView, Refusal> {
        let check = |state: RackState| match state {
            RackState::Active | RackState::Suspended => Ok(()),
            RackState::Pending | RackState::Revoked => {
                Err(Refusal::Conflict(format!("rack {rack} is {state}, and so is told nothing")))
            }
        };
        check(self.in_scope(actor, what, rack).await?.state)?;
        self.done(actor, what, rack.as_str(), detail).await?;
        let changed = self.registry.change(rack, |record| {
            check(record.state)?;
            change(record);
            Ok(())
        });
        let record = changed.await?;
        self.tell(what, rack.as_str());
        self.tell_orders(rack, self.desired().orders(&record)).await;
        self.rack(rack)
    }
}
