//! A rack while it runs: what it is asked, and its end.

use std::{path::PathBuf, process::ExitCode};

use flux_rack::Rack;
use flux_scenario::{Circuit, settings::STATE_DIR};
use flux_world::Instant;

use crate::{
    alarms::{Alarm, Alarms, millis},
    control::{Answer, Asked, ControlSocket, Request},
    plan::Plan,
    state_dir::{self, StateDir},
    status::{GearStatus, RackStatus, WireStatus},
    stop::StopSignal,
};

/// A rack and what is around it in this process.
pub(crate) struct Running {
    plan: Plan,
    circuit: Circuit,
    rack: Rack,
    began: Instant,
    alarms: Alarms,
    control: Option<ControlSocket>,
    /// Ours until the rack is down.
    _state_dir: Option<StateDir>,
}

impl Running {
    /// Boots what was planned. It gets a state directory if one is named, here or in the settings, or else if it needs
    /// one.
    ///
    /// # Errors
    /// When the state directory cannot be had, and when a gear cannot start. Nothing is left running.
    pub(crate) async fn boot(
        plan: Plan,
        circuit: Circuit,
        named: Option<PathBuf>,
    ) -> anyhow::Result<Running> {
        let world = plan.world.clone();
        let named = named.or_else(|| plan.settings.base.state_dir.clone().map(PathBuf::from));
        let path = named.or_else(|| state_dir::is_needed(&circuit).then(|| STATE_DIR.into()));
        let state_dir = path.map(|path| StateDir::take(&world.disk, &path)).transpose()?;
        let kept_in = state_dir.as_ref().map_or(STATE_DIR.as_ref(), StateDir::path);
        let rack = Rack::boot(circuit.clone(), plan.surroundings(kept_in)).await;
        let rack = rack.map_err(|why| anyhow::anyhow!("{}: {why}", plan.place(why.gear())))?;
        let began = world.clock.now();
        tracing::info!(scenario = plan.name(), gears = circuit.gears.len(), "rack is up");
        let alarms = Alarms::new(world.clock);
        let mut running =
            Running { plan, circuit, rack, began, alarms, control: None, _state_dir: state_dir };
        running.open_control();
        Ok(running)
    }

    /// Answers until it is told to stop, then drains.
    pub(crate) async fn run(mut self, mut stop: StopSignal) -> ExitCode {
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => break,
                asked = next(&mut self.control) => self.answer(asked),
            }
        }
        tracing::info!("draining; signal again to stop at once");
        let Running { rack, control, _state_dir, .. } = self;
        drop(control);
        tokio::select! {
            biased;
            report = rack.shut_down() => {
                if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            () = stop.wait() => ExitCode::FAILURE,
        }
    }

    fn open_control(&mut self) {
        let Some(state_dir) = &self._state_dir else { return };
        match ControlSocket::open(state_dir.path(), self.plan.world.clock) {
            Ok(socket) => self.control = Some(socket),
            Err(why) => {
                let why = format!("cannot make the control socket: {why}");
                self.alarms.set(Alarm::ControlSocket, Some(why));
            }
        }
    }

    fn answer(&mut self, Asked { request, answer }: Asked) {
        let told = match request {
            Request::Status {} => serde_json::to_value(self.status()),
        };
        let told = told.map_or_else(|why| Answer::Error(why.to_string()), Answer::Ok);
        // Whoever asked may have left.
        let _ = answer.send(told);
    }

    fn status(&self) -> RackStatus {
        let stats = self.rack.stats();
        let uptime_ms = millis(self.plan.world.clock.now().saturating_duration_since(self.began));
        let gears = stats.gears.into_iter().map(|gear| GearStatus {
            gear: gear.name,
            kind: gear.kind,
            uptime_ms,
            processed: gear.processed,
            emitted: gear.emitted,
            invalid: gear.invalid,
            restarted: gear.restarted,
            dead_lettered: gear.dead_lettered,
        });
        let wires = stats.wires.into_iter().zip(&self.circuit.wires).map(|(wire, of)| WireStatus {
            wire: wire.name,
            lane: of.lane.word().into(),
            depth: wire.depth,
            passed: wire.passed,
            blocked: wire.blocked,
        });
        RackStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            scenario: self.plan.name().into(),
            uptime_ms,
            alarms: self.alarms.list(),
            gears: gears.collect(),
            wires: wires.collect(),
            dead_letters: stats.dead_letters,
        }
    }
}

/// The next request; none ever where there is no socket.
async fn next(control: &mut Option<ControlSocket>) -> Asked {
    match control {
        Some(control) => control.next().await,
        None => std::future::pending().await,
    }
}
