//! Consumers that are slow, absent or deaf to events: whom they delay, and whom they do not.

use std::num::NonZeroUsize;
use std::sync::Arc;

use flux_pool::framing::Raw;
use flux_pool::{InboundConfig, PeerConfig, PeerPool, PoolConfig, WhenFull};
use flux_world::Target;

use crate::kit::{
    FarEnd, MS, SECOND, config, connected, framed, issuer, listen, next, picky_pool, received, run, settle,
};

fn inbound(frames_max: usize, when_full: WhenFull) -> PeerConfig {
    let frames_max = NonZeroUsize::new(frames_max).unwrap();
    PeerConfig { inbound: InboundConfig { frames_max, when_full, ..InboundConfig::default() }, ..config() }
}

#[test]
fn a_consumer_slow_for_one_peer_delays_no_other() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, mut taken) = picky_pool(&sim, "slow");
        let slow = pool.dial("slow", issuer(), config()).unwrap();
        let mut slow_far = FarEnd::accept(&mut listener).await;
        pool.dial("fast", issuer(), config()).unwrap();
        let mut fast_far = FarEnd::accept(&mut listener).await;
        slow_far.send(b"stuck").await;
        for n in 0..100_u8 {
            let sent_at = sim.world().clock.now();
            fast_far.send(&[n]).await;
            let (peer, frame) = taken.recv().await.unwrap();
            assert_eq!((peer.as_str(), &frame[..]), ("fast", &[n][..]));
            assert_eq!(sim.world().clock.now() - sent_at, MS, "the latency of the network and nothing more");
        }
        slow.try_send("writing goes on".into()).unwrap();
        assert_eq!(slow_far.recv().await.unwrap(), "writing goes on");
    });
}

#[test]
fn back_pressure_reaches_the_socket_of_that_peer() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, _taken) = picky_pool(&sim, "slow");
        let peer = pool.dial("slow", issuer(), config()).unwrap();
        let mut far = FarEnd::accept(&mut listener).await;
        let flood = async {
            loop {
                far.send(&[0; 1000]).await;
            }
        };
        assert!(tokio::time::timeout(60 * SECOND, flood).await.is_err(), "the far end's writes wait");
        let counts = peer.stats().counts;
        assert!(counts.frames_in < 200, "one batch was read and no more: {counts:?}");
    });
}

#[test]
fn one_lane_of_the_inbox_being_full_delays_no_other() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, mut inbox) = PeerPool::builder(sim.host("rack")).inbox();
        let full = pool.dial("full", issuer(), inbound(2, WhenFull::Block { at_most: None })).unwrap();
        let mut full_far = FarEnd::accept(&mut listener).await;
        pool.dial("other", issuer(), config()).unwrap();
        let mut other_far = FarEnd::accept(&mut listener).await;
        full_far.write(&framed(b"x").repeat(100)).await;
        settle().await;
        other_far.send(b"hello").await;
        sim.world().clock.sleep(SECOND).await;
        assert_eq!((full.stats().queued_in_frames, full.stats().counts.frames_in), (2, 100));
        // In turn: two of the one, one of the other, then two and two of the one as it is let in.
        assert_eq!(received(&mut inbox).await, ("full".to_owned(), vec!["x".to_owned(); 2]));
        assert_eq!(received(&mut inbox).await, ("other".to_owned(), vec!["hello".to_owned()]));
        let mut rest = 0;
        while rest < 98 {
            rest += received(&mut inbox).await.1.len();
        }
        let counts = full.stats().counts;
        assert_eq!((counts.frames_delivered, counts.frames_in_dropped), (100, 0));
    });
}

#[test]
fn the_inbox_serves_peers_in_turn() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, mut inbox) = PeerPool::builder(sim.host("rack")).inbox();
        let mut far = Vec::new();
        for id in ["a", "b", "c"] {
            pool.dial(id, issuer(), config()).unwrap();
            far.push(FarEnd::accept(&mut listener).await);
        }
        for (n, far) in far.iter_mut().enumerate() {
            for _ in 0..3 - n {
                far.send(b"x").await;
                sim.world().clock.sleep(10 * MS).await;
            }
        }
        let mut order = String::new();
        while let Some((peer, _)) = inbox.try_recv() {
            order += peer.id().as_str();
        }
        assert_eq!(order, "abcaba");
    });
}

#[test]
fn a_full_lane_drops_by_its_policy_and_counts() {
    run(async |sim| {
        let mut it = connected(&sim, inbound(2, WhenFull::DropOldest)).await;
        for frame in [b"1", b"2", b"3", b"4"] {
            it.far.send(frame).await;
            sim.world().clock.sleep(10 * MS).await;
        }
        it.far.write(&[framed(b"5"), framed(b"6"), framed(b"7")].concat()).await;
        sim.world().clock.sleep(10 * MS).await;
        let (_, batch) = it.inbox.recv().await.unwrap();
        assert_eq!((batch.seq, &batch.frames[..]), (5, &["6".into(), "7".into()][..]));
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_in, counts.frames_delivered, counts.frames_in_dropped), (7, 2, 5));
        assert_eq!(next(&mut it.events).await, "overflowing issuer-1: Inbound");
        assert!(it.events.try_recv().is_none(), "once per episode");
    });
    run(async |sim| {
        let mut it = connected(&sim, inbound(2, WhenFull::DropNewest)).await;
        it.far.write(&[framed(b"1"), framed(b"2"), framed(b"3")].concat()).await;
        assert_eq!(received(&mut it.inbox).await.1, ["1", "2"]);
        assert_eq!(it.peer.stats().counts.frames_in_dropped, 1);
    });
}

#[test]
fn a_full_lane_may_cost_the_session_at_once_or_after_a_wait() {
    run(async |sim| {
        let mut it = connected(&sim, inbound(2, WhenFull::Disconnect)).await;
        it.far.write(&framed(b"x").repeat(3)).await;
        assert_eq!(next(&mut it.events).await, "overflowing issuer-1: Inbound");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: slow_consumer");
        assert_eq!(received(&mut it.inbox).await.1, ["x", "x"], "what was queued is still delivered");
    });
    run(async |sim| {
        let mut it = connected(&sim, inbound(2, WhenFull::Block { at_most: Some(3 * SECOND) })).await;
        it.far.write(&framed(b"x").repeat(3)).await;
        let sent_at = sim.world().clock.now();
        assert_eq!(next(&mut it.events).await, "overflowing issuer-1: Inbound");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: slow_consumer");
        assert_eq!(sim.world().clock.now() - sent_at, 3 * SECOND + MS);
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_in, counts.frames_in_dropped), (3, 1));
    });
}

#[test]
fn the_pools_byte_budget_holds_for_what_comes_in() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let limits = PoolConfig { bytes_max: 50_000, ..PoolConfig::default() };
        let (pool, mut inbox) = PeerPool::builder(sim.host("rack")).config(limits).inbox();
        let mut far = Vec::new();
        for n in 0..4 {
            pool.dial(format!("p-{n}"), issuer(), config()).unwrap();
            far.push(FarEnd::accept(&mut listener).await);
        }
        for far in &mut far {
            far.write(&framed(&[0; 1000]).repeat(30)).await;
        }
        sim.world().clock.sleep(SECOND).await;
        assert!(pool.stats().queued_bytes <= 50_000);
        let mut frames = 0;
        while frames < 120 {
            frames += received(&mut inbox).await.1.len();
        }
        assert_eq!(pool.stats().counts.frames_in_dropped, 0, "who found no room waited for it");
    });
}

#[test]
fn an_absent_consumer_is_told_by_the_counters() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        it.far.send(b"queued").await;
        sim.world().clock.sleep(10 * MS).await;
        drop(it.inbox);
        it.far.send(b"late").await;
        sim.world().clock.sleep(10 * MS).await;
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_in, counts.frames_in_dropped), (2, 2));
    });
}

#[test]
fn events_nobody_reads_delay_nothing_and_are_counted() {
    run(async |sim| {
        let limits = PoolConfig { events_max: NonZeroUsize::new(4).unwrap(), ..PoolConfig::default() };
        let (pool, mut inbox) = PeerPool::builder(sim.host("rack")).config(limits).inbox();
        let mut unread = pool.events();
        let _listening = pool.listen("0.0.0.0:8583", config()).await.unwrap();
        let rack: Target = "rack:8583".parse().unwrap();
        for n in 1..=20 {
            let mut far = FarEnd::dial(&sim.host("terminal"), &rack).await;
            far.send(b"hello").await;
            assert_eq!(received(&mut inbox).await.0, format!("c-{n:012}"));
        }
        sim.world().clock.sleep(SECOND).await;
        let mut read = 0;
        while unread.try_recv().is_some() {
            read += 1;
        }
        assert_eq!((read, pool.stats().events_lagged), (4, 56), "three events per connection");
    });
}

#[test]
fn one_slow_among_a_thousand_does_not_raise_the_latency_of_the_others() {
    run(async |sim| {
        let limits = PoolConfig { events_max: NonZeroUsize::new(4096).unwrap(), ..PoolConfig::default() };
        let (sender, mut taken) = tokio::sync::mpsc::unbounded_channel();
        let consumer = Arc::new(crate::kit::Picky { disliked: "c-000000000001", taken: sender });
        let pool = PeerPool::builder(sim.host("rack")).config(limits).consumer(consumer);
        let raw = PeerConfig::new(Raw { frame_bytes_max: 1024 });
        let _listening = pool.listen("0.0.0.0:8583", raw).await.unwrap();
        let rack: Target = "rack:8583".parse().unwrap();
        let terminal = sim.host("terminal");
        let mut far = Vec::new();
        for _ in 0..1000 {
            far.push(FarEnd::dial(&terminal, &rack).await);
        }
        for round in 0..5_u8 {
            let sent_at = sim.world().clock.now();
            for far in &mut far {
                far.write(&[round]).await;
            }
            for _ in 0..999 {
                assert_eq!(&taken.recv().await.unwrap().1[..], [round]);
                assert_eq!(sim.world().clock.now() - sent_at, MS);
            }
        }
    });
}
