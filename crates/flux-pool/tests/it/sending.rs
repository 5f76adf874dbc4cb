//! Sending: bounded queues, their policies while full and while away, and what a sender is told.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flux_pool::{
    CloseReason, Follower, OutboundConfig, PeerConfig, PeerPool, PoolConfig, SendError, TrySendError,
    WhenDown, WhenFull,
};
use flux_world::sim::{Link, Sim};

use crate::kit::{Connected, FarEnd, MS, SECOND, config, connected, issuer, listen, next, pool, run, settle};

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn outbound(when_full: WhenFull, when_down: WhenDown) -> PeerConfig {
    PeerConfig {
        outbound: OutboundConfig { frames_max: count(3), when_full, when_down, ..OutboundConfig::default() },
        ..config()
    }
}

const BLOCK: WhenFull = WhenFull::Block { at_most: Some(SECOND) };

/// A session of which the far end takes nothing for now: what is sent piles up behind one frame being written.
async fn stuck(sim: &Sim, config: PeerConfig) -> Connected {
    sim.set_default_link(Link { latency_min: MS, latency_max: MS, buffer_bytes_max: 2, ..Link::default() });
    let it = connected(sim, config).await;
    it.peer.try_send("first".into()).unwrap();
    settle().await;
    it
}

async fn all(far: &mut FarEnd, n: usize) -> Vec<Bytes> {
    let mut frames = Vec::new();
    for _ in 0..n {
        frames.push(far.recv().await.unwrap());
    }
    frames
}

#[test]
fn frames_arrive_framed_and_in_order() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        it.peer.try_send("0200".into()).unwrap();
        it.peer.send(vec![7; 1024].into()).await.unwrap();
        it.peer.send_confirmed("".into()).await.unwrap();
        assert_eq!(all(&mut it.far, 3).await, [Bytes::from("0200"), vec![7; 1024].into(), "".into()]);
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_accepted, counts.frames_out, counts.bytes_out), (3, 3, 1028));
    });
}

#[test]
fn a_batch_is_queued_up_to_the_first_that_is_not() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        let mut batch = ["second", "third", "fourth", "fifth"].map(Bytes::from).into();
        assert_eq!(it.peer.try_send_batch(&mut batch), Err(TrySendError::Full("fourth".into())));
        assert_eq!(batch, ["fifth"]);
        assert_eq!(all(&mut it.far, 3).await, ["first", "second", "third"]);
        assert_eq!(it.peer.try_send_batch(&mut batch), Ok(()));
        assert_eq!(all(&mut it.far, 1).await, ["fifth"]);
    });
}

/// Notes what became of a frame.
#[derive(Debug)]
struct Fate(&'static str, Arc<Mutex<Vec<String>>>);

impl Follower for Fate {
    fn written(self: Box<Self>) {
        self.1.lock().unwrap().push(format!("{} written", self.0));
    }

    fn refused(self: Box<Self>) {
        self.1.lock().unwrap().push(format!("{} refused", self.0));
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(format!("{} let go", self.0));
    }
}

#[test]
fn who_follows_a_frame_is_told_what_becomes_of_it() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        let fates = Arc::new(Mutex::new(Vec::new()));
        let follow = |name| Box::new(Fate(name, fates.clone()));
        for name in ["second", "third"] {
            it.peer.try_send_followed(name.into(), follow(name)).unwrap();
        }
        assert_eq!(
            it.peer.try_send_followed("fourth".into(), follow("fourth")),
            Err(TrySendError::Full("fourth".into()))
        );
        assert_eq!(all(&mut it.far, 3).await, ["first", "second", "third"]);
        settle().await;
        let told = |fates: &Mutex<Vec<String>>| std::mem::take(&mut *fates.lock().unwrap());
        let want = [
            "fourth refused",
            "fourth let go",
            "second written",
            "second let go",
            "third written",
            "third let go",
        ];
        assert_eq!(told(&fates), want);
    });
}

#[test]
fn who_follows_a_frame_that_is_lost_is_let_go_without_a_word() {
    run(async |sim| {
        let it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        let fates = Arc::new(Mutex::new(Vec::new()));
        it.peer.send_followed("lost".into(), Box::new(Fate("lost", fates.clone()))).await.unwrap();
        drop(it.far);
        it.peer.disconnect(CloseReason::Local);
        sim.world().clock.sleep(30 * SECOND).await;
        assert_eq!(*fates.lock().unwrap(), ["lost let go"]);
    });
}

#[test]
fn who_breaks_off_the_wait_for_room_has_the_frame_still() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        for name in ["second", "third"] {
            it.peer.try_send(name.into()).unwrap();
        }
        let fates = Arc::new(Mutex::new(Vec::new()));
        let waiting = it.peer.send_followed("fourth".into(), Box::new(Fate("fourth", fates.clone())));
        assert!(sim.world().clock.timeout(SECOND / 10, waiting).await.is_err());
        assert_eq!(*fates.lock().unwrap(), ["fourth refused", "fourth let go"]);
        assert_eq!(all(&mut it.far, 3).await, ["first", "second", "third"]);
    });
}

#[test]
fn fifty_senders_at_once_lose_nothing() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        let mut senders = tokio::task::JoinSet::new();
        for n in 0..50_u8 {
            let peer = it.peer.clone();
            senders.spawn(async move {
                for m in 0..100_u8 {
                    peer.send(vec![n, m].into()).await.unwrap();
                }
            });
        }
        let mut next_of = [0_u8; 50];
        for _ in 0..5_000 {
            let frame = it.far.recv().await.unwrap();
            assert_eq!(frame[1], next_of[usize::from(frame[0])], "order holds per sender");
            next_of[usize::from(frame[0])] += 1;
        }
        while senders.join_next().await.is_some() {}
    });
}

#[test]
fn nobody_there_and_nothing_held_is_told_at_once() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let peer = pool.dial("a", issuer(), config()).unwrap();
        assert_eq!(peer.try_send("x".into()), Err(TrySendError::Disconnected("x".into())));
        let error = peer.send("x".into()).await.unwrap_err();
        assert_eq!(error, SendError::NotQueued(TrySendError::Disconnected("x".into())));
        assert_eq!(peer.stats().counts.frames_rejected, 2);
    });
}

#[test]
fn a_frame_above_the_limit_is_refused() {
    run(async |sim| {
        let it = connected(&sim, config()).await;
        let frame = Bytes::from(vec![0; 1025]);
        assert_eq!(it.peer.try_send(frame.clone()), Err(TrySendError::TooLarge(frame)));
        it.peer.send_confirmed(vec![0; 1024].into()).await.unwrap();
    });
}

#[test]
fn a_full_queue_makes_senders_wait_and_not_for_ever() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        it.peer.try_send("second".into()).unwrap();
        it.peer.try_send("third".into()).unwrap();
        assert_eq!(it.peer.try_send("fourth".into()), Err(TrySendError::Full("fourth".into())));
        let before = sim.world().clock.now();
        assert_eq!(it.peer.send("fourth".into()).await, Err(SendError::TimedOut("fourth".into())));
        assert_eq!(sim.world().clock.now() - before, SECOND);
        let (sent, frames) = tokio::join!(it.peer.send("fifth".into()), all(&mut it.far, 4));
        sent.unwrap();
        assert_eq!(frames, ["first", "second", "third", "fifth"]);
    });
}

#[test]
fn a_full_queue_drops_by_its_policy() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(WhenFull::DropOldest, WhenDown::Reject)).await;
        for frame in ["second", "third", "fourth", "fifth"] {
            it.peer.try_send(frame.into()).unwrap();
        }
        assert_eq!(all(&mut it.far, 3).await, ["first", "fourth", "fifth"]);
        assert_eq!(it.peer.stats().counts.frames_out_dropped, 2);
    });
    run(async |sim| {
        let mut it = stuck(&sim, outbound(WhenFull::DropNewest, WhenDown::Reject)).await;
        let sent: Vec<_> = ["second", "third", "fourth"].map(|frame| it.peer.try_send(frame.into())).into();
        assert_eq!(sent, [Ok(()), Ok(()), Err(TrySendError::Dropped)]);
        assert_eq!(all(&mut it.far, 3).await, ["first", "second", "third"]);
    });
}

#[test]
fn a_full_queue_may_cost_the_session() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(WhenFull::Disconnect, WhenDown::Reject)).await;
        let sent: Vec<_> = ["second", "third", "fourth"].map(|frame| it.peer.try_send(frame.into())).into();
        assert_eq!(sent, [Ok(()), Ok(()), Err(TrySendError::Overflowed)]);
        assert_eq!(next(&mut it.events).await, "overflowing issuer-1: Outbound");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: slow_consumer");
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_accepted, counts.frames_out, counts.frames_out_dropped), (4, 0, 4));
    });
}

#[test]
fn an_overflow_is_told_once_until_the_queue_ran_empty() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(WhenFull::DropNewest, WhenDown::Reject)).await;
        for _ in 0..2 {
            for _ in 0..10 {
                let _ = it.peer.try_send("x".into());
            }
            assert_eq!(next(&mut it.events).await, "overflowing issuer-1: Outbound");
            assert!(it.events.try_recv().is_none());
            all(&mut it.far, 3).await;
            it.peer.try_send("first".into()).unwrap();
            settle().await;
        }
    });
}

#[test]
fn what_waits_for_an_absent_peer_goes_out_when_it_comes() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let newest = outbound(BLOCK, WhenDown::HoldNewest(count(2)));
        let peer = pool.dial("a", issuer(), newest).unwrap();
        for frame in ["one", "two", "three"] {
            peer.try_send(frame.into()).unwrap();
        }
        let mut listener = listen(&sim).await;
        let mut far = FarEnd::accept(&mut listener).await;
        assert_eq!(all(&mut far, 2).await, ["two", "three"]);
        let counts = peer.stats().counts;
        assert_eq!((counts.frames_accepted, counts.frames_out, counts.frames_out_dropped), (3, 2, 1));
    });
}

#[test]
fn what_waits_too_long_is_dropped() {
    run(async |sim| {
        let clock = sim.world().clock;
        sim.host("issuer");
        let (pool, _inbox) = pool(&sim);
        let peer = pool.dial("a", issuer(), outbound(BLOCK, WhenDown::HoldFor(5 * SECOND))).unwrap();
        peer.try_send("stale".into()).unwrap();
        clock.sleep(4 * SECOND).await;
        peer.try_send("fresh".into()).unwrap();
        let confirmed = tokio::spawn({
            let peer = peer.clone();
            async move { peer.send_confirmed("fresher".into()).await }
        });
        settle().await;
        clock.sleep(2 * SECOND).await;
        let mut listener = listen(&sim).await;
        let mut far = FarEnd::accept(&mut listener).await;
        assert_eq!(all(&mut far, 2).await, ["fresh", "fresher"]);
        assert_eq!(confirmed.await.unwrap(), Ok(()));
        assert_eq!(peer.stats().counts.frames_out_dropped, 1);
    });
}

#[test]
fn what_the_last_session_did_not_write_the_next_one_does_and_nothing_twice() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::HoldNewest(count(9)))).await;
        it.peer.try_send("second".into()).unwrap();
        it.peer.try_send("third".into()).unwrap();
        sim.reset("rack", "issuer");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_error");
        let mut far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(
            all(&mut far, 2).await,
            ["second", "third"],
            "of the first one the peer may have got a part"
        );
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_accepted, counts.frames_out, counts.frames_out_dropped), (3, 2, 1));
    });
}

#[test]
fn a_confirmation_is_for_what_was_written() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        let confirmed = tokio::spawn({
            let peer = it.peer.clone();
            async move { peer.send_confirmed("second".into()).await }
        });
        settle().await;
        sim.reset("rack", "issuer");
        assert_eq!(confirmed.await.unwrap(), Err(SendError::NotWritten));
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_error");
    });
}

#[test]
fn no_sender_hangs_when_the_peer_goes() {
    run(async |sim| {
        let forever = WhenFull::Block { at_most: None };
        let it = stuck(&sim, outbound(forever, WhenDown::Reject)).await;
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let peer = it.peer.clone();
            senders.spawn(async move { peer.send("x".into()).await });
        }
        settle().await;
        it.pool.remove("issuer-1", 100 * MS).await.unwrap();
        let mut given_back = 0;
        while let Some(sent) = senders.join_next().await {
            given_back += usize::from(sent.unwrap() == Err(TrySendError::Closed("x".into()).into()));
        }
        assert_eq!(given_back, 8, "two had found room");
        assert_eq!(it.peer.try_send("x".into()), Err(TrySendError::Closed("x".into())));
    });
}

#[test]
fn bytes_are_bounded_per_peer_and_per_pool() {
    run(async |sim| {
        let limits = PoolConfig { bytes_max: 100_000, ..PoolConfig::default() };
        let (pool, _inbox) = PeerPool::builder(sim.host("rack")).config(limits).inbox();
        let roomy = |bytes_max| PeerConfig {
            outbound: OutboundConfig {
                frames_max: count(100_000),
                bytes_max,
                when_full: BLOCK,
                when_down: WhenDown::HoldFor(Duration::MAX),
            },
            ..config()
        };
        let frame = Bytes::from(vec![0; 1000]);
        let fill =
            |peer: &flux_pool::PeerHandle| (0..).take_while(|_| peer.try_send(frame.clone()).is_ok()).count();
        let small = pool.dial("small", issuer(), roomy(10_500)).unwrap();
        assert_eq!(fill(&small), 10, "its own limit");
        let large = pool.dial("large", issuer(), roomy(10_000_000)).unwrap();
        let filled = fill(&large);
        assert!((70..=90).contains(&filled), "the pool's limit: {filled}");
        assert!(pool.stats().queued_bytes <= 100_000);
        pool.remove("large", SECOND).await.unwrap();
        pool.remove("small", SECOND).await.unwrap();
        assert_eq!(pool.stats().queued_bytes, 0);
        assert_eq!(pool.stats().counts.frames_out_dropped as usize, filled + 10);
    });
}

#[test]
fn a_disconnected_session_drops_what_it_does_not_hold() {
    run(async |sim| {
        let mut it = stuck(&sim, outbound(BLOCK, WhenDown::Reject)).await;
        it.peer.try_send("second".into()).unwrap();
        it.peer.disconnect(CloseReason::Idle);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: idle");
        let mut far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
        it.peer.try_send("new".into()).unwrap();
        assert_eq!(far.recv().await.unwrap(), "new");
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_accepted, counts.frames_out, counts.frames_out_dropped), (3, 1, 2));
    });
}
