//! The transport seam carries a transport that has frames of its own, as WebSocket does, with pings and a close frame.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flux_pool::framing::FramingError;
use flux_pool::transport::{FrameRead, FrameWrite, Link, Transport};
use flux_pool::{BoxFuture, CloseReason, DialError, LinkInfo, PeerConfig, Probe};
use flux_world::{Stream, Target};
use parking_lot::Mutex;

use crate::kit::{MS, SECOND, config, issuer, listen, next, pool, received, run, settle};

/// What goes over the wire of this transport.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Frame(Bytes),
    Ping,
    Pong,
    Close,
}

#[derive(Debug, Default)]
struct Wire {
    incoming: VecDeque<Item>,
    reader: Option<Waker>,
    outgoing: Vec<Item>,
}

/// A transport whose wire the test holds in its hands.
#[derive(Clone, Debug, Default)]
struct ByHand {
    wire: Arc<Mutex<Wire>>,
}

impl ByHand {
    fn arrives(&self, item: Item) {
        let mut wire = self.wire.lock();
        wire.incoming.push_back(item);
        if let Some(reader) = wire.reader.take() {
            reader.wake();
        }
    }

    fn sent(&self) -> Vec<Item> {
        std::mem::take(&mut self.wire.lock().outgoing)
    }
}

impl Transport for ByHand {
    fn connect<'a>(
        &'a self,
        stream: Stream,
        _: &'a Target,
        _: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        let info = LinkInfo { local: stream.local, peer: stream.peer, tls: None };
        let write = Box::new(HandWrite { wire: self.wire.clone(), batch: Vec::new() });
        let read = Box::new(HandRead { wire: self.wire.clone() });
        Box::pin(std::future::ready(Ok(Link { info, read, write })))
    }

    fn accept<'a>(&'a self, _: Stream, _: &'a PeerConfig) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::ready(Err(DialError::TimedOut)))
    }
}

struct HandRead {
    wire: Arc<Mutex<Wire>>,
}

impl FrameRead for HandRead {
    fn poll_read(&mut self, cx: &mut Context<'_>, frames: &mut Vec<Bytes>) -> Poll<Result<(), CloseReason>> {
        let mut wire = self.wire.lock();
        match wire.incoming.pop_front() {
            Some(Item::Frame(frame)) => frames.push(frame),
            Some(Item::Ping | Item::Pong) => {}
            Some(Item::Close) => return Poll::Ready(Err(CloseReason::PeerClean)),
            None => {
                wire.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn is_within_frame(&self) -> bool {
        false
    }
}

struct HandWrite {
    wire: Arc<Mutex<Wire>>,
    batch: Vec<Item>,
}

impl FrameWrite for HandWrite {
    fn begin(&mut self) {
        self.batch.clear();
    }

    fn load(&mut self, frame: &Bytes) -> Result<(), FramingError> {
        if frame == "unspeakable" {
            return Err(FramingError::Malformed("as asked"));
        }
        self.batch.push(Item::Frame(frame.clone()));
        Ok(())
    }

    fn load_ping(&mut self) {
        self.batch.push(Item::Ping);
    }

    fn poll_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.lock().outgoing.extend(self.batch.iter().cloned());
        Poll::Ready(Ok(()))
    }

    fn frames_written(&self) -> usize {
        self.batch.iter().filter(|item| matches!(item, Item::Frame(_))).count()
    }

    fn is_within_frame(&self) -> bool {
        false
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.lock().outgoing.push(Item::Close);
        Poll::Ready(Ok(()))
    }
}

#[test]
fn frames_pings_and_the_goodbye_are_the_transports_own() {
    run(async |sim| {
        let _listener = listen(&sim).await;
        let (pool, mut inbox) = pool(&sim);
        let mut events = pool.events();
        let hands = ByHand::default();
        let probe = Probe { every: SECOND, answer_within: 100 * MS, frame: None };
        let config = PeerConfig { transport: Arc::new(hands.clone()), probe: Some(probe), ..config() };
        let peer = pool.dial("a", issuer(), config).unwrap();
        assert_eq!(next(&mut events).await, "connected a");

        hands.arrives(Item::Frame("hello".into()));
        assert_eq!(received(&mut inbox).await.1, ["hello"]);
        for frame in ["one", "unspeakable", "two"] {
            peer.try_send(frame.into()).unwrap();
        }
        settle().await;
        assert_eq!(hands.sent(), [Item::Frame("one".into()), Item::Frame("two".into())]);
        let counts = peer.stats().counts;
        assert_eq!((counts.frames_out, counts.frames_out_dropped), (2, 1));

        sim.world().clock.sleep(1_150 * MS).await;
        assert_eq!(hands.sent(), [Item::Ping]);
        assert_eq!(next(&mut events).await, "disconnected a: idle");
        assert_eq!(next(&mut events).await, "connected a");
        sim.world().clock.sleep(900 * MS).await;
        hands.arrives(Item::Pong);
        sim.world().clock.sleep(800 * MS).await;
        assert!(events.try_recv().is_none(), "a pong is a sign of life");

        let closing = tokio::spawn(async move { pool.close(10 * SECOND).await });
        settle().await;
        assert_eq!(hands.sent(), [Item::Close]);
        hands.arrives(Item::Close);
        closing.await.unwrap();
        assert_eq!(next(&mut events).await, "disconnected a: local");
    });
}
