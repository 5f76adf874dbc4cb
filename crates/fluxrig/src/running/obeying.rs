//! What the Mixer of a rack wants of it: another scenario or none, another level of its log, its end.

use std::time::Duration;

use flux_scenario::edition::ContentHash;
use flux_world::{Clock, Instant};
use tokio::sync::watch;

use super::{Running, reading::Wanted};
use crate::{mixer::Wish, terminal};

/// How soon what was refused is tried again: what waits on a wire that goes may be delivered by then.
const AGAIN: Duration = Duration::from_secs(10);

/// Waits until something is wanted, or is to be tried again. Cancel-safe.
pub(super) async fn wanted(wishes: &mut Option<watch::Receiver<Wish>>, again: Option<Instant>, clock: Clock) {
    let changed = async {
        match wishes {
            Some(wishes) => wishes.changed().await.is_ok(),
            None => false,
        }
    };
    let changed = async {
        if !changed.await {
            std::future::pending::<()>().await;
        }
    };
    match again {
        None => changed.await,
        Some(at) => tokio::select! {
            biased;
            () = changed => {}
            () = clock.sleep_until(at) => {}
        },
    }
}

impl Running {
    /// Begins what is wanted now.
    pub(super) async fn obey(&mut self) {
        let Some(wish) = self.wishes.as_mut().map(|wishes| wishes.borrow_and_update().clone()) else {
            return;
        };
        self.obey_at = None;
        terminal::set_log_level(wish.log_level);
        if let Some(way) = &self.way {
            // What it may do on the bus is in what it was given with the wish.
            way.renew().await;
        }
        self.options.file.clone_from(&wish.file);
        self.reader.turn_to(wish.file);
        self.reader.want(Wanted {
            remains: wish.remains,
            orders: Some(wish.digest),
            ..Wanted::unasked("the Mixer")
        });
    }

    /// Whether the Mixer wants an end of it.
    pub(super) fn is_over(&self) -> bool {
        self.wishes.as_ref().is_some_and(|wishes| wishes.borrow().is_over)
    }

    /// What came of it.
    pub(super) fn note_obedience(&mut self, orders: Option<ContentHash>, is_refused: bool) {
        match is_refused {
            true => self.obey_at = Some(self.plan.world.clock.now() + AGAIN),
            false => drop(self.vitals.obeyed.send_replace(orders)),
        }
    }
}
