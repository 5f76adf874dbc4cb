//! Makes gears, with all that a gear is given, and the wires between them.

use std::{collections::BTreeMap, sync::Arc};

use flux_gear::{Emitter, GearContext, GearParts, IdSource, InitError};
use flux_scenario::circuit::CircuitGear;
use flux_world::Backoff;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cell::{Cell, CellParts, Make},
    outlet::RackOutlet,
    rack::{Shared, Surroundings},
    routes::Patchbay,
    stats::GearCounters,
    storage::DiskStorage,
    wire::Wire,
};

/// What it takes to make the parts of a rack.
pub(crate) struct Workshop {
    pub(crate) surroundings: Surroundings,
    shared: Arc<Shared>,
    ids: Arc<IdSource>,
    storage: Arc<DiskStorage>,
}

impl Workshop {
    pub(crate) fn new(surroundings: Surroundings, shared: Arc<Shared>) -> Workshop {
        let ids = Arc::new(IdSource::new(&surroundings.world));
        let storage = Arc::new(DiskStorage::new(surroundings.world.clone(), surroundings.state_dir.clone()));
        Workshop { surroundings, shared, ids, storage }
    }

    /// A queue of the wire with this name.
    pub(crate) fn wire(&self, name: &str) -> Arc<Wire> {
        Arc::new(Wire::new(name.to_owned(), &self.shared.settings, self.shared.world.clock))
    }

    /// Makes a gear, which is not started yet. Pure, as `init` is.
    pub(crate) fn cell(
        &self,
        gear: &CircuitGear,
        bindings: BTreeMap<String, String>,
        counters: Arc<GearCounters>,
        patchbay: Arc<Patchbay>,
    ) -> Result<Cell, InitError> {
        let outlet = RackOutlet {
            name: gear.name.clone(),
            outputs: gear.outputs.clone(),
            counters: counters.clone(),
            patchbay,
            shared: self.shared.clone(),
        };
        Cell::new(CellParts {
            name: gear.name.clone(),
            inputs: gear.inputs.clone(),
            outputs: gear.outputs.clone(),
            counters,
            emitter: Emitter::new(Arc::new(outlet)),
            make: self.make(gear, bindings),
            backoff: Backoff::new(self.shared.settings.restart_backoff),
        })
    }

    /// What makes a gear, now and after it failed.
    pub(crate) fn make(&self, gear: &CircuitGear, bindings: BTreeMap<String, String>) -> Make {
        let gear = gear.clone();
        let (surroundings, control) = (self.surroundings.clone(), self.shared.control.clone());
        let (ids, limits) = (self.ids.clone(), self.shared.limits);
        let (discards, storage) = (self.shared.discards.clone(), self.storage.clone());
        let id = ids.next(surroundings.world.clock.unix_ms());
        Arc::new(move || {
            let ctx = GearContext::new(GearParts {
                name: gear.name.clone(),
                id,
                inputs: gear.inputs.clone(),
                outputs: gear.outputs.clone(),
                bindings: bindings.clone(),
                world: surroundings.world.clone(),
                ids: ids.clone(),
                control: control.clone(),
                files: surroundings.files.clone(),
                storage: storage.clone(),
                discards: discards.clone(),
                limits,
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            });
            Ok((surroundings.registry.init(&gear.kind, gear.config.clone(), &ctx)?, ctx))
        })
    }
}
