//! What the tests share: a simulated pool with a far end to play, and assertions that wait for events.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flux_pool::framing::{LengthPrefixed, Width};
use flux_pool::{
    Batch, Consumer, Delivery, Event, EventKind, Events, Inbox, PeerConfig, PeerHandle, PeerPool,
};
use flux_world::sim::{Link, Sim};
use flux_world::{BackoffPolicy, ListenOptions, Listener, Stream, Target, World};
use tokio::io::AsyncWriteExt;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Where the far end listens.
pub(crate) fn issuer() -> Target {
    "issuer:8583".parse().unwrap()
}

/// A length-framed peer which comes back fast.
pub(crate) fn config() -> PeerConfig {
    PeerConfig {
        backoff: BackoffPolicy { base: 100 * MS, cap: SECOND, ..BackoffPolicy::default() },
        ..PeerConfig::new(LengthPrefixed::big_endian(Width::Two, 1024))
    }
}

/// Runs a test in the world of one seed, with a latency of exactly 1 ms.
pub(crate) fn run<T>(body: impl AsyncFnOnce(Sim) -> T) -> T {
    Sim::run(1, async |sim| {
        sim.set_default_link(Link { latency_min: MS, latency_max: MS, ..Link::default() });
        body(sim).await
    })
}

/// The far end: a listener on the host `issuer`.
pub(crate) async fn listen(sim: &Sim) -> Listener {
    sim.host("issuer").net.listen("0.0.0.0:8583", &ListenOptions::default()).await.unwrap()
}

/// A pool on the host `rack`.
pub(crate) fn pool(sim: &Sim) -> (PeerPool, Inbox) {
    PeerPool::builder(sim.host("rack")).inbox()
}

/// A pool, its inbox, and a session with the far end of which the test has the other side.
pub(crate) struct Connected {
    pub(crate) pool: PeerPool,
    pub(crate) inbox: Inbox,
    pub(crate) events: Events,
    pub(crate) peer: PeerHandle,
    pub(crate) listener: Listener,
    pub(crate) far: FarEnd,
}

pub(crate) async fn connected(sim: &Sim, config: PeerConfig) -> Connected {
    let mut listener = listen(sim).await;
    let (pool, inbox) = pool(sim);
    let mut events = pool.events();
    let peer = pool.dial("issuer-1", issuer(), config).unwrap();
    let far = FarEnd::accept(&mut listener).await;
    assert_eq!(next(&mut events).await, "connected issuer-1");
    Connected { pool, inbox, events, peer, listener, far }
}

/// The other side of a session, with two-byte length framing, played by hand.
pub(crate) struct FarEnd {
    pub(crate) stream: Stream,
    buffer: BytesMut,
}

impl FarEnd {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub(crate) async fn accept(listener: &mut Listener) -> Self {
        Self::new(listener.accept().await.unwrap())
    }

    /// Hangs up and takes the next connection.
    pub(crate) async fn accept_next(self, listener: &mut Listener) -> Self {
        drop(self);
        Self::accept(listener).await
    }

    pub(crate) async fn dial(world: &World, target: &Target) -> Self {
        Self::new(world.net.connect(target, &flux_world::ConnectOptions::default()).await.unwrap())
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        self.stream.write.write_all(&framed(payload)).await.unwrap();
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        assert!(self.write_if_open(bytes).await, "the connection is open");
    }

    pub(crate) async fn write_if_open(&mut self, bytes: &[u8]) -> bool {
        self.stream.write.write_all(bytes).await.is_ok()
    }

    /// The next frame, or `None` at the end of the stream.
    pub(crate) async fn recv(&mut self) -> Option<Bytes> {
        loop {
            if self.buffer.len() >= 2 {
                let length = usize::from(u16::from_be_bytes([self.buffer[0], self.buffer[1]]));
                if self.buffer.len() >= 2 + length {
                    return Some(self.buffer.split_to(2 + length).freeze().slice(2..));
                }
            }
            self.buffer.reserve(4096);
            if self.stream.read.read(&mut self.buffer).await.unwrap() == 0 {
                assert!(self.buffer.is_empty(), "the stream ended within a frame");
                return None;
            }
        }
    }
}

pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u16).to_be_bytes(), payload].concat()
}

/// The next event in short, within an hour of simulated time.
pub(crate) async fn next(events: &mut Events) -> String {
    let event = tokio::time::timeout(3600 * SECOND, events.recv()).await;
    short(&event.expect("an event within the hour").expect("the pool lives"))
}

pub(crate) fn short(event: &Event) -> String {
    match &event.kind {
        EventKind::Connected { peer, .. } => format!("connected {peer}"),
        EventKind::Disconnected { peer, reason } => format!("disconnected {peer}: {}", reason.class()),
        EventKind::DialFailed { peer, error } => format!("dial failed {peer}: {}", error.class()),
        EventKind::Retired { peer, reason } => format!("retired {peer}: {}", reason.class()),
        EventKind::Overflowing { peer, queue } => format!("overflowing {peer}: {queue:?}"),
        EventKind::Refusing { .. } => "refusing".to_owned(),
        EventKind::AcceptFailed { .. } => "accept failed".to_owned(),
    }
}

/// The next frame in the inbox as text, with who sent it, within an hour of simulated time.
pub(crate) async fn received(inbox: &mut Inbox) -> (String, Vec<String>) {
    let received = tokio::time::timeout(3600 * SECOND, inbox.recv()).await;
    let (peer, batch) = received.expect("a batch within the hour").expect("the pool lives");
    (
        peer.id().to_string(),
        batch.frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect(),
    )
}

/// Waits, without time passing for the peers, until what was begun has settled.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A consumer which never takes anything from the peers it dislikes.
pub(crate) struct Picky {
    pub(crate) disliked: &'static str,
    pub(crate) taken: tokio::sync::mpsc::UnboundedSender<(String, Bytes)>,
}

impl Consumer for Picky {
    fn deliver<'a>(&'a self, peer: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
        if peer.id().as_str() == self.disliked {
            return Delivery::Wait(Box::pin(std::future::pending()));
        }
        for frame in batch.frames.drain(..) {
            self.taken.send((peer.id().to_string(), frame)).unwrap();
        }
        Delivery::Done
    }
}

/// A pool with a picky consumer and what it took.
pub(crate) fn picky_pool(
    sim: &Sim,
    disliked: &'static str,
) -> (PeerPool, tokio::sync::mpsc::UnboundedReceiver<(String, Bytes)>) {
    let (sender, taken) = tokio::sync::mpsc::unbounded_channel();
    let consumer = Arc::new(Picky { disliked, taken: sender });
    (PeerPool::builder(sim.host("rack")).consumer(consumer), taken)
}
