//! Accepted peers: names, limits, a listener in trouble, and handing it over.

use std::num::NonZeroUsize;

use flux_pool::transport::{Link, Transport};
use flux_pool::{AcceptConfig, BoxFuture, DialError, ListenError, PeerConfig, PeerState, Role};
use flux_world::{Stream, Target};

use crate::kit::{FarEnd, MS, SECOND, config, next, pool, received, run, settle};

fn rack() -> Target {
    "rack:8583".parse().unwrap()
}

#[test]
fn connections_become_peers_which_can_be_answered() {
    run(async |sim| {
        let (pool, mut inbox) = pool(&sim);
        let mut events = pool.events();
        let listening = pool.listen("0.0.0.0:8583", config()).await.unwrap();
        assert_eq!(listening.local_addr().port(), 8583);
        let mut one = FarEnd::dial(&sim.host("terminal-1"), &rack()).await;
        let mut two = FarEnd::dial(&sim.host("terminal-2"), &rack()).await;
        assert_eq!(next(&mut events).await, "connected c-000000000001");
        assert_eq!(next(&mut events).await, "connected c-000000000002");
        one.send(b"from one").await;
        two.send(b"from two").await;
        for _ in 0..2 {
            let (id, frames) = received(&mut inbox).await;
            pool.peer(&id).unwrap().try_send(format!("to {}", &frames[0][5..]).into()).unwrap();
        }
        assert_eq!(one.recv().await.unwrap(), "to one");
        assert_eq!(two.recv().await.unwrap(), "to two");
        let peer = pool.peer("c-000000000001").unwrap();
        assert_eq!(*peer.role(), Role::Acceptor(listening.local_addr()));
        drop(one);
        assert_eq!(next(&mut events).await, "disconnected c-000000000001: peer_clean");
        assert_eq!(next(&mut events).await, "retired c-000000000001: peer_clean");
        assert!(pool.peer("c-000000000001").is_none() && pool.len() == 1);
        assert!(matches!(peer.state(), PeerState::Ended(_)));
    });
}

#[test]
fn how_an_accepted_peer_went_is_told() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let idle = PeerConfig { idle_timeout: Some(SECOND), ..config() };
        let _listening = pool.listen("0.0.0.0:8583", idle).await.unwrap();
        let terminal = sim.host("terminal");
        let mut far = FarEnd::dial(&terminal, &rack()).await;
        far.write(&u16::MAX.to_be_bytes()).await;
        let _silent = FarEnd::dial(&terminal, &rack()).await;
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(next(&mut events).await);
        }
        assert_eq!(
            told,
            [
                "connected c-000000000001",
                "connected c-000000000002",
                "disconnected c-000000000001: frame_too_large",
                "retired c-000000000001: frame_too_large",
                "disconnected c-000000000002: idle",
                "retired c-000000000002: idle",
            ]
        );
    });
}

#[test]
fn one_connection_above_the_limit_is_closed_and_counted() {
    run(async |sim| {
        let (pool, mut inbox) = pool(&sim);
        let mut events = pool.events();
        let limited = AcceptConfig { connections_max: NonZeroUsize::new(2).unwrap(), ..config().into() };
        let _listening = pool.listen("0.0.0.0:8583", limited).await.unwrap();
        let terminal = sim.host("terminal");
        let one = FarEnd::dial(&terminal, &rack()).await;
        let _two = FarEnd::dial(&terminal, &rack()).await;
        for _ in 0..3 {
            assert_eq!(FarEnd::dial(&terminal, &rack()).await.recv().await, None);
        }
        assert_eq!((pool.stats().accepted, pool.stats().refused), (2, 3));
        drop(one);
        settle().await;
        sim.world().clock.sleep(10 * MS).await;
        let mut again = FarEnd::dial(&terminal, &rack()).await;
        again.send(b"hello").await;
        assert_eq!(received(&mut inbox).await.0, "c-000000000003");
        let mut told = Vec::new();
        while let Some(event) = events.try_recv() {
            told.push(crate::kit::short(&event));
        }
        assert_eq!(told.iter().filter(|event| *event == "refusing").count(), 1, "{told:?}");
    });
}

#[test]
fn a_listener_at_its_limit_says_so_once_in_ten_seconds() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let limited = AcceptConfig { connections_max: NonZeroUsize::new(1).unwrap(), ..config().into() };
        let _listening = pool.listen("0.0.0.0:8583", limited).await.unwrap();
        let (terminal, clock) = (sim.host("terminal"), sim.world().clock);
        let mut told = Vec::new();
        // It has a place and has none, five times a second for 25 seconds.
        for _ in 0..125 {
            let one = FarEnd::dial(&terminal, &rack()).await;
            assert_eq!(FarEnd::dial(&terminal, &rack()).await.recv().await, None);
            drop(one);
            clock.sleep(200 * MS).await;
            while let Some(event) = events.try_recv() {
                told.push(crate::kit::short(&event));
            }
        }
        assert_eq!((pool.stats().accepted, pool.stats().refused), (125, 125));
        assert_eq!(told.iter().filter(|event| *event == "refusing").count(), 3);
    });
}

#[test]
fn a_listener_in_trouble_is_tried_again_at_a_doubling_pace() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let _listening = pool.listen("0.0.0.0:8583", config()).await.unwrap();
        let terminal = sim.host("terminal");
        let begin = sim.world().clock.now();
        sim.fail_accepts("rack", 10);
        let _far = FarEnd::dial(&terminal, &rack()).await;
        assert_eq!(next(&mut events).await, "accept failed");
        assert_eq!(next(&mut events).await, "connected c-000000000001");
        // 5 + 10 + 20 + 40 + 80 + 160 + 320 + 640 + 1000 + 1000 ms
        assert_eq!(sim.world().clock.now() - begin, 3_275 * MS);
        assert_eq!(pool.stats().accepts_failed, 10);
        sim.world().clock.sleep(10 * SECOND).await;
        let again = sim.world().clock.now();
        sim.fail_accepts("rack", 1);
        let _far = FarEnd::dial(&terminal, &rack()).await;
        assert_eq!(next(&mut events).await, "accept failed");
        assert_eq!(next(&mut events).await, "connected c-000000000002");
        assert_eq!(sim.world().clock.now() - again, 5 * MS, "the pace starts over");
    });
}

#[test]
fn a_listener_is_handed_from_pool_to_pool_and_nobody_is_turned_away() {
    run(async |sim| {
        let (old, mut old_inbox) = pool(&sim);
        let (new, mut new_inbox) = pool(&sim);
        let terminal = sim.host("terminal");
        let listening = old.listen("0.0.0.0:8583", config()).await.unwrap();
        let mut early = FarEnd::dial(&terminal, &rack()).await;
        let listener = listening.release().await.unwrap();
        let mut late = FarEnd::dial(&terminal, &rack()).await;
        late.send(b"late").await;
        let _listening = new.adopt(listener, config()).unwrap();
        assert_eq!(received(&mut new_inbox).await.1, ["late"]);
        early.send(b"early").await;
        assert_eq!(received(&mut old_inbox).await.1, ["early"]);
    });
}

#[test]
fn a_closed_listener_leaves_its_peers_and_frees_its_address() {
    run(async |sim| {
        let (pool, mut inbox) = pool(&sim);
        let listening = pool.listen("0.0.0.0:8583", config()).await.unwrap();
        let taken = pool.listen("0.0.0.0:8583", config()).await.unwrap_err();
        assert!(matches!(taken, ListenError::Io { .. }), "{taken}");
        let mut far = FarEnd::dial(&sim.host("terminal"), &rack()).await;
        settle().await;
        listening.close().await;
        far.send(b"still here").await;
        assert_eq!(received(&mut inbox).await.1, ["still here"]);
        pool.listen("0.0.0.0:8583", config()).await.unwrap();
        pool.close(SECOND).await;
        assert!(matches!(pool.listen("0.0.0.0:1", config()).await.unwrap_err(), ListenError::Closed));
    });
}

/// Never gets to shaking hands.
#[derive(Debug)]
struct Shy;

impl Transport for Shy {
    fn connect<'a>(
        &'a self,
        _: Stream,
        _: &'a Target,
        _: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::pending())
    }

    fn accept<'a>(&'a self, _: Stream, _: &'a PeerConfig) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_handshake_has_its_time_and_holds_up_nobody() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let shy =
            PeerConfig { transport: std::sync::Arc::new(Shy), handshake_timeout: 3 * SECOND, ..config() };
        let _listening = pool.listen("0.0.0.0:8583", shy).await.unwrap();
        let begin = sim.world().clock.now();
        let terminal = sim.host("terminal");
        let _far = [FarEnd::dial(&terminal, &rack()).await, FarEnd::dial(&terminal, &rack()).await];
        settle().await;
        assert_eq!(pool.peers().iter().filter(|peer| peer.state() == PeerState::Handshaking).count(), 2);
        assert_eq!(next(&mut events).await, "retired c-000000000001: handshake_timeout");
        assert_eq!(sim.world().clock.now() - begin, 3 * SECOND + MS);
        assert_eq!(next(&mut events).await, "retired c-000000000002: handshake_timeout");
        assert_eq!(pool.stats().handshakes_failed, 2);
    });
}
