//! What an `io_tcp` client of a rack sends to: a host that keeps each message and acknowledges it.

use flux_world::World;
use flux_world::net::{ListenOptions, Stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::frames::{Frames, framed};
use crate::house::house;

pub(super) const HOST: &str = "peer";

/// Where it listens.
pub(crate) const ADDRESS: &str = "peer:7000";

/// What it says of each message.
const ACKNOWLEDGEMENT: &[u8] = b"+";

/// For the gear at this place.
pub(super) async fn run(world: World, gear: usize, hears: watch::Receiver<bool>) {
    let (_, port) = ADDRESS.split_at(HOST.len());
    let listening = world.net.listen(port, &ListenOptions::default()).await;
    let mut listener = listening.expect("nobody else listens on a simulated host");
    let mut sessions = JoinSet::new();
    loop {
        while sessions.try_join_next().is_some() {}
        if let Ok(stream) = listener.accept().await {
            house(|house| house.ledger.connected());
            sessions.spawn(session(stream, gear, hears.clone()));
        }
    }
}

async fn session(stream: Stream, gear: usize, mut is_deaf: watch::Receiver<bool>) {
    let Stream { read, mut write, .. } = stream;
    let mut frames = Frames::of(read);
    while is_deaf.wait_for(|is_deaf| !is_deaf).await.is_ok() {
        let Some(message) = frames.next().await else { return };
        house(|house| house.arrives(gear, None, &message));
        if write.write_all(&framed(ACKNOWLEDGEMENT)).await.is_err() {
            return;
        }
    }
}
