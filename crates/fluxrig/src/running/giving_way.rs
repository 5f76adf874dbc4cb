//! A rack ends in favour of another process, or goes on because that one could not take over.

use std::{os::fd::AsFd, process::ExitCode, time::Duration};

use flux_rack::Rack;
use flux_scenario::settings::STATE_DIR;
use tokio::net::UnixStream;

use super::{Running, surroundings};
use crate::{alarms::Alarm, state_dir::StateDir, take_over::Successor};

/// What came of it.
pub(super) enum GaveWay {
    /// The rack is another process's, or nobody's: then it is told why, and the process fails.
    Gone(ExitCode),
    /// It goes on here.
    GoesOn(Box<Running>),
}

impl Running {
    /// Leaves the rack to whoever is at the other end, if that one can have it.
    pub(super) async fn give_way(mut self, within: Duration, stream: UnixStream) -> GaveWay {
        let clock = self.plan.world.clock;
        let shared = self.state_dir.as_ref().map(StateDir::share);
        let successor = stream.into_std().and_then(Successor::new);
        let (successor, lock) = match (successor, shared) {
            (Ok(successor), Some(Ok(lock))) => (successor, lock),
            (Ok(successor), _) => {
                successor.refuse("the lock of its state directory cannot be shared");
                return GaveWay::GoesOn(Box::new(self));
            }
            (Err(_), _) => return GaveWay::GoesOn(Box::new(self)),
        };
        let began = clock.now();
        tracing::info!("another process takes over");
        let estate = match Box::pin(self.rack.move_out(within)).await {
            Ok(estate) => estate,
            Err((rack, why)) => {
                self.rack = *rack;
                self.goes_on(&why.to_string());
                successor.refuse(&why.to_string());
                return GaveWay::GoesOn(Box::new(self));
            }
        };
        let handed = self.plan.world.disk.offload(move || {
            let handed = successor.hand(lock.as_fd(), &estate);
            (handed, estate)
        });
        let (handed, estate) = handed.await;
        let why = match handed {
            Ok(pid) => {
                tracing::info!(pid, took = ?clock.now().saturating_duration_since(began), "another process has taken over");
                if let Some(control) = self.control {
                    control.leave();
                }
                return GaveWay::Gone(ExitCode::SUCCESS);
            }
            Err(why) => why,
        };
        let circuit = self.plan.circuit.clone().expect("it ran");
        let kept_in = self.state_dir.as_ref().map_or(STATE_DIR.as_ref(), StateDir::path);
        let mut surroundings =
            surroundings(&self.plan, kept_in, self.files.clone(), self.state_dir.is_some());
        surroundings.mesh = self.way.as_ref().map(|way| way.line.clone());
        match Box::pin(Rack::boot_with(circuit, surroundings, estate)).await {
            Ok(mut rack) => {
                rack.resume().await;
                self.rack = rack;
            }
            Err(why) => {
                tracing::error!(error = %why, "the rack cannot go on after another process failed to take over");
                return GaveWay::Gone(ExitCode::FAILURE);
            }
        }
        if let Some(state_dir) = &self.state_dir {
            state_dir.note(&self.plan.world.disk);
        }
        self.goes_on(&why);
        GaveWay::GoesOn(Box::new(self))
    }

    fn goes_on(&mut self, why: &str) {
        tracing::error!(why, "another process could not take over; this one goes on");
        self.alarms.set(Alarm::Reload, Some(format!("another process could not take over: {why}")));
    }
}
