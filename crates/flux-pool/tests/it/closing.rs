//! Endings: bounded in time, with an account of what became of the frames.

use std::num::NonZeroUsize;
use std::sync::Arc;

use flux_pool::{
    AddError, BoxFuture, CloseReason, CloseReport, ConfigError, DialFactory, NetDialer, OutboundConfig,
    PeerConfig, PeerId, PeerPool, PeerState, PoolPlugin, WhenDown, Worker, WorkerFactory,
};
use flux_world::sim::Link;

use crate::kit::{
    FarEnd, MS, SECOND, config, connected, issuer, listen, next, picky_pool, pool, run, settle,
};

#[test]
fn closing_writes_what_is_queued_says_goodbye_and_tells() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        for frame in ["one", "two"] {
            it.peer.try_send(frame.into()).unwrap();
        }
        let far = tokio::spawn(async move {
            let frames = [it.far.recv().await.unwrap(), it.far.recv().await.unwrap()];
            assert_eq!(it.far.recv().await, None);
            frames
        });
        let begin = sim.world().clock.now();
        let report = it.pool.close(10 * SECOND).await;
        assert_eq!(report, CloseReport { frames_flushed: 2, ..CloseReport::default() });
        assert_eq!(far.await.unwrap(), ["one", "two"]);
        assert_eq!(sim.world().clock.now() - begin, 2 * MS, "there and back");
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: local");
        assert!(it.inbox.recv().await.is_none());
        assert_eq!(it.pool.dial("again", issuer(), config()).unwrap_err(), AddError::Closed);
        assert_eq!(it.pool.close(SECOND).await, CloseReport::default(), "once is enough");
        drop(it.pool);
        drop(it.peer);
        assert!(it.events.recv().await.is_none());
    });
}

#[test]
fn what_was_received_before_the_end_can_be_taken_after_it() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        it.far.send(b"just in time").await;
        sim.world().clock.sleep(10 * MS).await;
        drop(it.far);
        it.pool.close(SECOND).await;
        assert_eq!(it.pool.stats().counts.frames_delivered, 0);
        assert_eq!(crate::kit::received(&mut it.inbox).await.1, ["just in time"]);
        assert!(it.inbox.recv().await.is_none());
        assert_eq!(it.pool.stats().counts.frames_delivered, 1, "counted although the peer is gone");
    });
}

#[test]
fn a_consumer_that_never_returns_does_not_hold_up_the_end() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, _taken) = picky_pool(&sim, "slow");
        let mut events = pool.events();
        pool.dial("slow", issuer(), config()).unwrap();
        let mut far = FarEnd::accept(&mut listener).await;
        assert_eq!(next(&mut events).await, "connected slow");
        far.send(b"one").await;
        sim.world().clock.sleep(10 * MS).await;
        let begin = sim.world().clock.now();
        let report = pool.close(2 * SECOND).await;
        assert!(sim.world().clock.now() - begin <= 2 * SECOND);
        let expected = CloseReport {
            frames_undelivered: 1,
            peers_aborted: vec!["slow".into()],
            ..CloseReport::default()
        };
        assert_eq!(report, expected);
        assert_eq!(next(&mut events).await, "disconnected slow: local");
    });
}

#[test]
fn a_peer_that_takes_nothing_does_not_hold_up_the_end() {
    run(async |sim| {
        sim.set_default_link(Link { buffer_bytes_max: 2, ..Link::default() });
        let it = connected(&sim, config()).await;
        for _ in 0..5 {
            it.peer.try_send("frame".into()).unwrap();
        }
        let begin = sim.world().clock.now();
        let report = it.pool.close(SECOND).await;
        assert!(sim.world().clock.now() - begin <= SECOND);
        let expected = CloseReport {
            frames_dropped: 5,
            peers_aborted: vec!["issuer-1".into()],
            ..CloseReport::default()
        };
        assert_eq!(report, expected);
    });
}

#[test]
fn a_peer_that_does_not_say_goodbye_gets_its_time_and_no_more() {
    run(async |sim| {
        let it = connected(&sim, config()).await;
        let begin = sim.world().clock.now();
        assert_eq!(it.pool.close(10 * SECOND).await, CloseReport::default());
        assert_eq!(sim.world().clock.now() - begin, SECOND, "the close timeout");
        drop(it.far);
    });
}

#[test]
fn a_removed_peer_is_gone_and_its_name_free_when_remove_returns() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        let far = tokio::spawn(async move { while it.far.recv().await.is_some() {} });
        it.pool.remove("issuer-1", SECOND).await.unwrap();
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: local");
        assert!(it.pool.is_empty() && it.events.try_recv().is_none(), "removed is not retired");
        assert_eq!(it.peer.state(), PeerState::Ended(CloseReason::Local));
        far.await.unwrap();
        assert_eq!(it.pool.remove("issuer-1", SECOND).await.unwrap_err().0, PeerId::from("issuer-1"));
        it.pool.dial("issuer-1", issuer(), config()).unwrap();
        let _far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
        assert_eq!(it.pool.stats().counts.sessions, 2);
    });
}

#[test]
fn while_a_peer_is_on_its_way_out_its_name_is_not_free() {
    run(async |sim| {
        let it = connected(&sim, config()).await;
        let pool = it.pool.clone();
        let removing = tokio::spawn(async move { pool.remove("issuer-1", SECOND).await });
        settle().await;
        let again = it.pool.dial("issuer-1", issuer(), config());
        assert_eq!(again.unwrap_err(), AddError::Exists("issuer-1".into()));
        removing.await.unwrap().unwrap();
        drop(it.far);
    });
}

#[test]
fn the_newest_of_a_name_wins_and_sessions_do_not_overlap() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        let dialer = Arc::new(NetDialer);
        let newer = || DialFactory { target: issuer(), config: config(), dialer: dialer.clone() };
        let new = it.pool.replace("issuer-1", newer(), 100 * MS).await.unwrap();
        assert_eq!(it.peer.state(), PeerState::Ended(CloseReason::Replaced));
        let _far = FarEnd::accept(&mut it.listener).await;
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: replaced");
        assert_eq!(next(&mut it.events).await, "connected issuer-1");
        assert!(new.is_up() && it.pool.len() == 1);
        it.pool.replace("unheard-of", newer(), SECOND).await.unwrap();
        assert_eq!(it.pool.len(), 2);
        it.pool.close(100 * MS).await;
        assert_eq!(it.pool.replace("issuer-1", newer(), SECOND).await.unwrap_err(), AddError::Closed);
    });
}

#[test]
fn without_its_pool_nothing_goes_on() {
    run(async |sim| {
        let mut it = connected(&sim, config()).await;
        drop(it.pool);
        assert_eq!(it.far.recv().await, None);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: local");
        assert!(it.inbox.recv().await.is_none());
        settle().await;
        assert!(matches!(it.peer.state(), PeerState::Ended(_)));
    });
}

#[test]
fn frames_held_for_an_absent_peer_are_accounted_for() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let hold = OutboundConfig {
            when_down: WhenDown::HoldNewest(NonZeroUsize::new(10).unwrap()),
            ..OutboundConfig::default()
        };
        let peer = pool.dial("a", issuer(), PeerConfig { outbound: hold, ..config() }).unwrap();
        for _ in 0..3 {
            peer.try_send("x".into()).unwrap();
        }
        assert_eq!(pool.close(SECOND).await, CloseReport { frames_dropped: 3, ..CloseReport::default() });
    });
}

/// A worker that does not listen.
struct Stubborn {
    config: PeerConfig,
}

impl WorkerFactory for Stubborn {
    fn config(&self) -> &PeerConfig {
        &self.config
    }

    fn build(self, _: &PeerId) -> Result<Box<dyn Worker>, ConfigError> {
        Ok(Box::new(self))
    }
}

impl Worker for Stubborn {
    fn start(self: Box<Self>, _: PoolPlugin) -> BoxFuture<'static, CloseReason> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_worker_that_ignores_its_orders_is_aborted() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        pool.register("stubborn", Stubborn { config: config() }).unwrap();
        let begin = sim.world().clock.now();
        let report = pool.close(SECOND).await;
        assert!(sim.world().clock.now() - begin <= SECOND);
        assert_eq!(report.peers_aborted, [PeerId::from("stubborn")]);
        assert!(pool.is_empty());
    });
}

/// A worker that panics, one that ends, and a factory that refuses.
enum Odd {
    Panics,
    Ends,
    Refuses,
}

struct OddFactory(Odd, PeerConfig);

impl WorkerFactory for OddFactory {
    fn config(&self) -> &PeerConfig {
        &self.1
    }

    fn build(self, _: &PeerId) -> Result<Box<dyn Worker>, ConfigError> {
        match self.0 {
            Odd::Refuses => Err(ConfigError { problems: vec!["as asked"] }),
            odd => Ok(Box::new(odd)),
        }
    }
}

impl Worker for Odd {
    fn start(self: Box<Self>, plugin: PoolPlugin) -> BoxFuture<'static, CloseReason> {
        Box::pin(async move {
            plugin.world.clock.sleep(SECOND).await;
            assert!(matches!(*self, Self::Ends), "as asked");
            CloseReason::Local
        })
    }
}

#[test]
fn a_worker_leaves_the_pool_however_it_ends() {
    run(async |sim| {
        let (pool, _inbox) = PeerPool::builder(sim.world()).inbox();
        let mut events = pool.events();
        pool.register("ends", OddFactory(Odd::Ends, config())).unwrap();
        pool.register("panics", OddFactory(Odd::Panics, config())).unwrap();
        let refused = pool.register("refused", OddFactory(Odd::Refuses, config()));
        assert_eq!(refused.unwrap_err().to_string(), "the settings make no sense: as asked");
        assert_eq!(pool.len(), 2);
        assert_eq!(next(&mut events).await, "retired ends: local");
        assert_eq!(next(&mut events).await, "retired panics: panicked");
        assert!(pool.is_empty());
    });
}
