//! One session, whoever opened it: what comes in, what proves a peer alive, and why it ends.

use std::sync::Arc;

use bytes::Bytes;
use flux_pool::framing::Delimited;
use flux_pool::{Batch, CloseReason, Consumer, Delivery, PeerConfig, PeerHandle, PeerPool, Probe};
use flux_world::sim::Link;

use crate::kit::{
    FarEnd, MS, SECOND, config, connected, framed, issuer, listen, next, picky_pool, received, run, settle,
};

fn strings(batch: &Batch) -> Vec<String> {
    batch.frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect()
}

#[test]
fn the_frames_of_one_read_are_one_batch_with_sender_time_and_number() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        let sent_at = sim.world().clock.now();
        it.far
            .write(&[framed(b"one"), framed(b""), framed(b"three"), framed(b"fo")[..3].to_vec()].concat())
            .await;
        let (peer, batch) = it.inbox.recv().await.unwrap();
        assert_eq!(peer.id().as_str(), "issuer-1");
        assert_eq!(strings(&batch), ["one", "", "three"]);
        assert_eq!((batch.seq, batch.received_at), (0, sent_at + MS));
        it.far.write(b"o").await;
        let (peer, batch) = it.inbox.recv().await.unwrap();
        let messages: Vec<_> = batch.messages(peer.id()).collect();
        assert_eq!((messages[0].peer.as_str(), messages[0].seq), ("issuer-1", 3));
        assert_eq!(messages[0].bytes, "fo");
    });
}

#[test]
fn order_holds_and_nothing_is_lost_or_doubled() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        let entropy = sim.world().entropy;
        let stream: Vec<u8> = (0..5_000_u32).flat_map(|n| framed(&n.to_be_bytes())).collect();
        let writer = async {
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at((entropy.below(900) as usize + 1).min(rest.len()));
                it.far.write(now).await;
                rest = later;
            }
        };
        let reader = async {
            let mut expected = 0_u32;
            while expected < 5_000 {
                let (_, batch) = it.inbox.recv().await.unwrap();
                assert_eq!(batch.seq, u64::from(expected));
                for frame in &batch.frames {
                    assert_eq!(frame[..], expected.to_be_bytes());
                    expected += 1;
                }
            }
        };
        tokio::join!(writer, reader);
        let counts = it.peer.stats().counts;
        assert_eq!((counts.frames_in, counts.frames_delivered, counts.bytes_in), (5_000, 5_000, 20_000));
    });
}

#[test]
fn whatever_comes_in_proves_a_peer_alive_and_silence_does_not() {
    run(async |sim| {
        let mut it = connected(&sim, PeerConfig { idle_timeout: Some(60 * MS), ..config() }).await;
        for _ in 0..20 {
            sim.world().clock.sleep(20 * MS).await;
            it.far.send(b"tick").await;
            received(&mut it.inbox).await;
        }
        assert!(it.events.try_recv().is_none());
        let silent_since = sim.world().clock.now();
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: idle");
        assert_eq!(sim.world().clock.now() - silent_since, 60 * MS);
        let _far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
    });
}

#[test]
fn sending_proves_nothing() {
    run(async |sim| {
        let mut it = connected(&sim, PeerConfig { idle_timeout: Some(60 * MS), ..config() }).await;
        sim.unplug("rack", "issuer");
        for _ in 0..6 {
            it.peer.send_confirmed("into the void".into()).await.unwrap();
            sim.world().clock.sleep(10 * MS).await;
        }
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: idle");
        assert_eq!(it.peer.stats().counts.frames_out, 6);
    });
}

#[test]
fn silence_of_our_own_making_does_not_count() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, _taken) = picky_pool(&sim, "slow");
        let mut events = pool.events();
        let peer =
            pool.dial("slow", issuer(), PeerConfig { idle_timeout: Some(SECOND), ..config() }).unwrap();
        let mut far = FarEnd::accept(&mut listener).await;
        assert_eq!(next(&mut events).await, "connected slow");
        far.send(b"held up by the consumer").await;
        sim.world().clock.sleep(10 * SECOND).await;
        peer.send_confirmed("the session lives".into()).await.unwrap();
        assert!(events.try_recv().is_none());
    });
}

#[test]
fn a_peer_that_goes_is_told_by_how_it_went() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        drop(it.far);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");

        let mut far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
        far.write(&framed(b"cut short")[..5]).await;
        drop(far);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: truncated");

        let _far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
        sim.reset("rack", "issuer");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_error");

        let closes = it.peer.stats().closes;
        assert_eq!(
            closes.into_iter().collect::<Vec<_>>(),
            [("peer_clean", 1), ("peer_error", 1), ("truncated", 1)]
        );
    });
}

#[test]
fn a_frame_above_the_limit_ends_the_session_after_those_before_it() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        it.far.write(&[framed(b"fine"), 1025_u16.to_be_bytes().to_vec()].concat()).await;
        assert_eq!(received(&mut it.inbox).await.1, ["fine"]);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: frame_too_large");
        assert_eq!(it.far.recv().await, None);
    });
}

#[test]
fn a_frame_begun_must_be_completed_in_time() {
    run(async |sim| {
        let mut it = connected(&sim, PeerConfig { read_timeout: Some(SECOND), ..config() }).await;
        sim.world().clock.sleep(10 * SECOND).await;
        let begin = sim.world().clock.now();
        for byte in &framed(b"a byte at a time")[..5] {
            it.far.write(&[*byte]).await;
            sim.world().clock.sleep(190 * MS).await;
        }
        assert_eq!(it.far.recv().await, None);
        assert_eq!(
            sim.world().clock.now() - begin,
            SECOND + 2 * MS,
            "a second from its first byte, there and back"
        );
        drop(it.far);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: read_timeout");
    });
}

#[test]
fn each_frame_has_its_own_time() {
    run(async |sim| {
        let mut it = connected(&sim, PeerConfig { read_timeout: Some(SECOND), ..config() }).await;
        let stream = framed(b"abcdefghij").repeat(10);
        // Always within some frame, never longer than a second within the same one.
        for piece in stream.chunks(7) {
            it.far.write(piece).await;
            sim.world().clock.sleep(400 * MS).await;
        }
        assert!(it.events.try_recv().is_none());
        assert_eq!(it.peer.stats().counts.frames_in, 10);
    });
}

#[test]
fn a_probe_tells_the_silent_from_the_dead() {
    run(async |sim| {
        let probe = Probe { every: SECOND, answer_within: 200 * MS, frame: Some("0800".into()) };
        let mut it = connected(&sim, PeerConfig { probe: Some(probe), ..config() }).await;
        let begin = sim.world().clock.now();
        for _ in 0..5 {
            assert_eq!(it.far.recv().await.unwrap(), "0800");
            it.far.send(b"0810").await;
            received(&mut it.inbox).await;
        }
        let each = (sim.world().clock.now() - begin) / 5;
        assert!((900 * MS..=1_110 * MS).contains(&each), "jittered by 10 %: {each:?}");
        assert!(it.events.try_recv().is_none());
        assert_eq!(it.far.recv().await.unwrap(), "0800");
        let asked_at = sim.world().clock.now();
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: idle");
        assert_eq!(sim.world().clock.now() - asked_at, 199 * MS, "the question took a millisecond to arrive");
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_after_the_write_timeout() {
    run(async |sim| {
        sim.set_default_link(Link { buffer_bytes_max: 100, ..Link::default() });
        let mut it = connected(&sim, PeerConfig { write_timeout: SECOND, ..config() }).await;
        it.peer.try_send(vec![0; 500].into()).unwrap();
        let sent_at = sim.world().clock.now();
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: write_timeout");
        assert_eq!(sim.world().clock.now() - sent_at, SECOND);
        assert_eq!(it.peer.stats().counts.frames_out_dropped, 1);
    });
}

#[test]
fn a_session_is_closed_on_command_and_comes_back() {
    run(async |sim| {
        // What is queued cannot all be on its way when the order comes.
        sim.set_default_link(Link {
            latency_min: MS,
            latency_max: MS,
            buffer_bytes_max: 2,
            ..Link::default()
        });
        let mut it = connected(&sim, config()).await;
        it.peer.try_send("last words".into()).unwrap();
        it.peer.disconnect(CloseReason::Protocol("not a 0810".into()));
        assert_eq!(it.far.recv().await.unwrap(), "last words");
        assert_eq!(it.far.recv().await, None);
        drop(it.far);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: protocol");
        let _far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
        sim.world().clock.sleep(10 * SECOND).await;
        assert!(it.events.try_recv().is_none(), "the order was for that session only");
    });
}

#[test]
fn who_ends_the_stream_first_may_still_get_its_answers() {
    run(async |sim| {
        let mut it = connected(&sim, PeerConfig { half_close_linger: SECOND, ..config() }).await;
        it.far.send(b"question").await;
        tokio::io::AsyncWriteExt::shutdown(&mut it.far.stream.write).await.unwrap();
        received(&mut it.inbox).await;
        sim.world().clock.sleep(500 * MS).await;
        it.peer.try_send("answer".into()).unwrap();
        assert_eq!(it.far.recv().await.unwrap(), "answer");
        assert_eq!(it.far.recv().await, None);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");
    });
}

#[test]
fn an_end_within_a_frame_keeps_the_answers_to_those_before_it() {
    run(async |sim| {
        let mut it = connected(&sim, PeerConfig { half_close_linger: SECOND, ..config() }).await;
        it.far.write(&[framed(b"question"), framed(b"cut short")[..5].to_vec()].concat()).await;
        tokio::io::AsyncWriteExt::shutdown(&mut it.far.stream.write).await.unwrap();
        received(&mut it.inbox).await;
        sim.world().clock.sleep(500 * MS).await;
        it.peer.try_send("answer".into()).unwrap();
        assert_eq!(it.far.recv().await.unwrap(), "answer");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: truncated");
    });
}

#[test]
fn who_ends_the_stream_and_is_owed_nothing_is_gone_at_once() {
    run(async |sim| {
        for is_answered in [false, true] {
            let mut it = connected(&sim, PeerConfig { half_close_linger: 60 * SECOND, ..config() }).await;
            if is_answered {
                it.far.send(b"question").await;
                received(&mut it.inbox).await;
                it.peer.send_confirmed("answer".into()).await.unwrap();
                assert_eq!(it.far.recv().await.unwrap(), "answer");
            }
            let ended_at = sim.world().clock.now();
            drop(it.far);
            assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");
            assert_eq!(sim.world().clock.now() - ended_at, MS, "the way there");
        }
    });
}

#[test]
fn a_batch_in_hand_is_delivered_although_the_session_closes() {
    /// Takes its time.
    struct Slow(flux_world::Clock);
    impl Consumer for Slow {
        fn deliver<'a>(&'a self, _: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
            Delivery::Wait(Box::pin(async {
                self.0.sleep(60 * SECOND).await;
                batch.frames.clear();
            }))
        }
    }
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let clock = sim.world().clock;
        let pool = PeerPool::builder(sim.host("rack")).consumer(Arc::new(Slow(clock)));
        let mut events = pool.events();
        let peer = pool.dial("a", issuer(), config()).unwrap();
        for close in [
            (|peer, _far| peer.disconnect(CloseReason::Local)) as fn(&PeerHandle, FarEnd),
            |peer, _far| peer.disconnect(CloseReason::Idle),
            |_peer, far| drop(far),
        ] {
            let mut far = FarEnd::accept(&mut listener).await;
            assert_eq!(next(&mut events).await, "connected a");
            let sent_at = clock.now();
            far.send(b"in hand").await;
            clock.sleep(10 * MS).await;
            close(&peer, far);
            assert!(next(&mut events).await.starts_with("disconnected a"));
            assert_eq!(clock.now() - sent_at, 60 * SECOND + MS);
        }
        let counts = peer.stats().counts;
        assert_eq!((counts.frames_delivered, counts.frames_in_dropped), (3, 0));
    });
}

/// Panics at the word.
struct Fragile;

impl Consumer for Fragile {
    fn deliver<'a>(&'a self, _: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
        assert!(!batch.frames.contains(&Bytes::from_static(b"panic")), "as asked");
        batch.frames.clear();
        Delivery::Done
    }
}

#[test]
fn a_panic_of_the_consumer_ends_one_session() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let pool = PeerPool::builder(sim.host("rack")).consumer(Arc::new(Fragile));
        let mut events = pool.events();
        pool.dial("a", issuer(), config()).unwrap();
        let mut far = FarEnd::accept(&mut listener).await;
        assert_eq!(next(&mut events).await, "connected a");
        far.send(b"panic").await;
        assert_eq!(next(&mut events).await, "disconnected a: panicked");
        let mut far = FarEnd::accept(&mut listener).await;
        assert_eq!(next(&mut events).await, "connected a");
        far.send(b"fine").await;
        settle().await;
        sim.world().clock.sleep(SECOND).await;
        let counts = pool.stats().counts;
        assert_eq!((counts.frames_in, counts.frames_delivered, counts.frames_in_dropped), (2, 1, 1));
    });
}

#[test]
fn a_consumer_hears_of_sessions_before_and_after_their_frames() {
    #[derive(Default)]
    struct Diary(parking_lot::Mutex<Vec<String>>);
    impl Consumer for Diary {
        fn deliver<'a>(&'a self, peer: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
            self.0.lock().extend(batch.frames.drain(..).map(|f| format!("{} {f:?}", peer.id())));
            Delivery::Done
        }
        fn up(&self, peer: &PeerHandle) {
            self.0.lock().push(format!("{} up", peer.id()));
            peer.try_send("hello".into()).unwrap();
        }
        fn down(&self, peer: &PeerHandle, reason: &CloseReason) {
            self.0.lock().push(format!("{} down: {}", peer.id(), reason.class()));
        }
    }
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let diary = Arc::new(Diary::default());
        let pool = PeerPool::builder(sim.host("rack")).consumer(diary.clone());
        let mut events = pool.events();
        let lines = PeerConfig { framing: Arc::new(Delimited::lines(100)), ..config() };
        pool.dial("a", issuer(), lines).unwrap();
        let mut far = FarEnd::accept(&mut listener).await;
        far.write(b"one\r\ntwo\nthr").await;
        drop(far);
        while next(&mut events).await != "disconnected a: truncated" {}
        // The last line has no end: nobody knows whether all of it came.
        assert_eq!(*diary.0.lock(), ["a up", r#"a b"one""#, r#"a b"two""#, "a down: truncated"]);
    });
}
