//! Connections that take the place of others: those end first, once nothing is under way by them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flux_gear::{Drain, GearContext};
use flux_pool::{AddError, PeerConfig, PeerPool};
use flux_world::{Clock, Target, planted};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{CLOSE_TIMEOUT, Dialect, dialled::Dialled};

/// Time for what is under way by the connections before; then it is sent again by the next.
const PARTS_WITHIN: Duration = Duration::from_secs(5);

/// What is to be done.
pub(super) struct Redial<D> {
    pub(super) pool: PeerPool,
    pub(super) dialect: Arc<D>,
    pub(super) clock: Clock,
    pub(super) target: Target,
    pub(super) connections: u16,
    pub(super) config: PeerConfig,
}

impl<D: Dialect> Redial<D> {
    /// Has a task of the gear do it, until what this returns is dropped. The dialect is parting for as long as it is not done.
    pub(super) fn begin(self, ctx: &GearContext) -> DropGuard {
        let broken_off = CancellationToken::new();
        let until = broken_off.clone().drop_guard();
        let (gear, parted) = (ctx.name().to_owned(), self.dialect.part());
        ctx.spawn(async move {
            tokio::select! {
                biased;
                () = broken_off.cancelled() => {}
                Err(why) = self.run(parted) => tracing::error!(gear, error = %why, "cannot connect anew"),
                else => {}
            }
        });
        until
    }

    async fn run(self, mut parted: Drain) -> Result<(), AddError> {
        loop {
            if !planted("parted_too_soon") {
                // What takes longer is sent again.
                let _ = self.clock.timeout(PARTS_WITHIN, parted).await;
            }
            for peer in self.pool.peers() {
                // It may have ended by itself.
                let _ = self.pool.remove(peer.id().as_str(), CLOSE_TIMEOUT).await;
            }
            self.dialect.meet();
            let none = &mut BTreeMap::new();
            match Dialled::dial(&self.pool, &self.target, self.connections, &self.config, none) {
                Ok(_) => return Ok(()),
                // Whoever was to do this before was in the middle of it.
                Err(AddError::Exists(_) | AddError::Full(_)) => parted = self.dialect.part(),
                Err(why @ (AddError::Closed | AddError::Config(_))) => return Err(why),
            }
        }
    }
}
