//! Dialled peers: registering, attempts, back-off, giving up.

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flux_pool::{
    AddError, BoxFuture, DialError, Dialer, EventKind, NetDialer, PeerConfig, PeerPool, PeerState, PoolConfig,
};
use flux_world::sim::Sim;
use flux_world::{BackoffPolicy, Target, World};

use crate::kit::{FarEnd, MS, SECOND, config, connected, issuer, listen, next, pool, run, settle};

/// Fails so many times, then dials; counts.
#[derive(Debug, Default)]
struct Scripted {
    failures: usize,
    dials: AtomicUsize,
}

impl Dialer for Scripted {
    fn dial<'a>(
        &'a self,
        world: &'a World,
        target: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<flux_pool::transport::Link, DialError>> {
        Box::pin(async move {
            match self.dials.fetch_add(1, Ordering::Relaxed) {
                n if n < self.failures => Err(io::Error::other("scripted").into()),
                _ => NetDialer.dial(world, target, config).await,
            }
        })
    }
}

#[test]
fn dialling_registers_at_once_and_connects() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let before = sim.world().clock.now();
        let peer = pool.dial("issuer-1", issuer(), config()).unwrap();
        assert_eq!(peer.state(), PeerState::Idle);
        assert_eq!(pool.peers()[0].id().as_str(), "issuer-1");
        assert_eq!(sim.world().clock.now(), before, "nothing was waited for");
        let far = FarEnd::accept(&mut listener).await;
        let event = events.recv().await.unwrap();
        assert_eq!(event.at, before + 2 * MS);
        let EventKind::Connected { peer: id, link } = event.kind else { panic!("{event:?}") };
        assert_eq!((id.as_str(), link.peer), ("issuer-1", far.stream.local));
        assert_eq!(peer.link(), Some(link));
        assert!(peer.is_up() && peer.wait_up().await);
    });
}

#[test]
fn a_name_is_taken_once() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        pool.dial("a", issuer(), config()).unwrap();
        let second = pool.dial("a", issuer(), config());
        assert_eq!(second.unwrap_err(), AddError::Exists("a".into()));
        pool.dial("b", issuer(), config()).unwrap();
        assert_eq!(pool.len(), 2, "the same address under another name is another peer");
    });
}

#[test]
fn a_pool_has_its_peers_and_not_one_more() {
    run(async |sim| {
        let limits = PoolConfig { peers_max: 1, ..PoolConfig::default() };
        let (pool, _inbox) = PeerPool::builder(sim.world()).config(limits).inbox();
        pool.dial("a", issuer(), config()).unwrap();
        assert_eq!(pool.dial("b", issuer(), config()).unwrap_err(), AddError::Full(1));
    });
}

#[test]
fn settings_that_make_no_sense_are_all_told() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let nonsense =
            PeerConfig { write_timeout: Duration::ZERO, idle_timeout: Some(Duration::ZERO), ..config() };
        let error = pool.dial("a", issuer(), nonsense).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the settings make no sense: write_timeout is 0; idle_timeout is 0, use none to turn it off"
        );
        assert!(pool.is_empty());
    });
}

#[test]
fn a_dialer_of_ones_own_is_used_and_retried() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let dialer = Arc::new(Scripted { failures: 2, ..Scripted::default() });
        pool.dial_with("a", issuer(), config(), dialer.clone()).unwrap();
        let _far = FarEnd::accept(&mut listener).await;
        assert_eq!(next(&mut events).await, "dial failed a: connect");
        assert_eq!(next(&mut events).await, "dial failed a: connect");
        assert_eq!(next(&mut events).await, "connected a");
        assert_eq!(dialer.dials.load(Ordering::Relaxed), 3);
        assert_eq!(pool.stats().counts.dials_failed, 2);
    });
}

/// Fails with the very error it was given.
#[derive(Debug)]
struct Failing(DialError);

impl Dialer for Failing {
    fn dial<'a>(
        &'a self,
        _: &'a World,
        _: &'a Target,
        _: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<flux_pool::transport::Link, DialError>> {
        Box::pin(std::future::ready(Err(self.0.clone())))
    }
}

#[test]
fn a_failed_attempt_is_told_with_its_own_error_and_the_last_one_retires_the_peer() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let error = DialError::from(io::Error::other("mine"));
        let once = PeerConfig { attempts_max: NonZeroU32::new(1), ..config() };
        let peer = pool.dial_with("a", issuer(), once, Arc::new(Failing(error.clone()))).unwrap();
        let failed = events.recv().await.unwrap();
        assert_eq!(failed.kind, EventKind::DialFailed { peer: "a".into(), error });
        assert_eq!(next(&mut events).await, "retired a: given_up");
        assert!(pool.is_empty());
        assert!(pool.remove("a", SECOND).await.is_err());
        assert!(!peer.wait_up().await);
        assert!(events.try_recv().is_none(), "neither connected nor disconnected");
        assert_eq!(pool.stats().counts.dials_failed, 1, "a pool remembers those that are gone");
    });
}

#[test]
fn attempts_are_counted_anew_after_each_session() {
    run(async |sim| {
        let twice = PeerConfig { attempts_max: NonZeroU32::new(2), ..config() };
        let mut it = connected(&sim, twice).await;
        for _ in 0..3 {
            sim.set_refusing("issuer", true);
            drop(it.far);
            assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");
            assert_eq!(next(&mut it.events).await, "dial failed issuer-1: connect");
            sim.set_refusing("issuer", false);
            it.far = FarEnd::accept(&mut it.listener).await;
            assert_eq!(next(&mut it.events).await, "connected issuer-1");
        }
        sim.set_refusing("issuer", true);
        drop(it.far);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");
        assert_eq!(next(&mut it.events).await, "dial failed issuer-1: connect");
        assert_eq!(next(&mut it.events).await, "dial failed issuer-1: connect");
        assert_eq!(next(&mut it.events).await, "retired issuer-1: given_up");
    });
}

#[test]
fn removing_a_peer_which_is_giving_up_is_safe() {
    for seed in 0..50 {
        Sim::run(seed, async |sim| {
            sim.host("issuer");
            let (pool, _inbox) = pool(&sim);
            let once = PeerConfig { attempts_max: NonZeroU32::new(1), ..config() };
            pool.dial("a", issuer(), once).unwrap();
            let world = sim.world();
            world.clock.sleep(world.entropy.below(1_200) as u32 * MS / 1_000).await;
            // Either it was still there or it was gone already; in the end it is gone.
            let _ = pool.remove("a", SECOND).await;
            assert!(pool.is_empty());
        });
    }
}

#[test]
fn stopping_within_an_attempt_or_a_pause_is_prompt_and_no_failure() {
    run(async |sim| {
        let clock = sim.world().clock;
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        sim.host("issuer");
        sim.partition("rack", "issuer");
        pool.dial("dialling", issuer(), config()).unwrap();
        let patient = BackoffPolicy { base: 3600 * SECOND, cap: 3600 * SECOND, ..BackoffPolicy::default() };
        let patient = PeerConfig { backoff: patient, ..config() };
        pool.dial("pausing", "rack:1".parse().unwrap(), patient).unwrap();
        assert_eq!(next(&mut events).await, "dial failed pausing: connect");
        let before = clock.now();
        for id in ["dialling", "pausing"] {
            let report = pool.remove(id, SECOND).await.unwrap();
            assert_eq!(report, flux_pool::CloseReport::default());
        }
        assert_eq!(clock.now(), before);
        assert_eq!(
            events.try_recv(),
            None,
            "an attempt we broke off did not fail, a removed peer did not retire"
        );
    });
}

#[test]
fn an_attempt_has_its_time() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        sim.host("issuer");
        sim.partition("rack", "issuer");
        let before = sim.world().clock.now();
        pool.dial("a", issuer(), PeerConfig { dial_timeout: 3 * SECOND, ..config() }).unwrap();
        let failed = events.recv().await.unwrap();
        assert_eq!(failed.kind, EventKind::DialFailed { peer: "a".into(), error: DialError::TimedOut });
        assert_eq!(failed.at, before + 3 * SECOND);
    });
}

#[test]
fn a_name_is_looked_up_at_each_attempt() {
    run(async |sim| {
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        pool.dial("a", issuer(), config()).unwrap();
        assert_eq!(next(&mut events).await, "dial failed a: connect");
        let mut listener = listen(&sim).await;
        let _far = FarEnd::accept(&mut listener).await;
        while next(&mut events).await != "connected a" {}
    });
}

#[test]
fn a_kick_ends_the_pause() {
    run(async |sim| {
        let clock = sim.world().clock;
        sim.host("issuer");
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let patient = BackoffPolicy { base: 3600 * SECOND, cap: 3600 * SECOND, ..BackoffPolicy::default() };
        let peer = pool.dial("a", issuer(), PeerConfig { backoff: patient, ..config() }).unwrap();
        assert_eq!(next(&mut events).await, "dial failed a: connect");
        let _listener = listen(&sim).await;
        settle().await;
        assert!(matches!(peer.state(), PeerState::Backoff { failures: 1, .. }), "{:?}", peer.state());
        let before = clock.now();
        peer.kick();
        assert_eq!(next(&mut events).await, "connected a");
        assert_eq!(clock.now() - before, 2 * MS);
    });
}

#[test]
fn a_flood_of_kicks_makes_one_attempt() {
    run(async |sim| {
        sim.host("issuer");
        let (pool, _inbox) = pool(&sim);
        let mut events = pool.events();
        let patient = BackoffPolicy { base: 3600 * SECOND, cap: 3600 * SECOND, ..BackoffPolicy::default() };
        let dialer = Arc::new(Scripted { failures: usize::MAX, ..Scripted::default() });
        let config = PeerConfig { backoff: patient, ..config() };
        let peer = pool.dial_with("a", issuer(), config, dialer.clone()).unwrap();
        assert_eq!(next(&mut events).await, "dial failed a: connect");
        settle().await;
        (0..100).for_each(|_| peer.kick());
        assert_eq!(next(&mut events).await, "dial failed a: connect");
        settle().await;
        assert_eq!(dialer.dials.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_flapping_peer_keeps_backing_off_until_it_was_stable() {
    run(async |sim| {
        let clock = sim.world().clock;
        let mut it = connected(&sim, config()).await;
        for failures in 1..=8 {
            clock.sleep(SECOND).await;
            drop(it.far);
            assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");
            settle().await;
            let PeerState::Backoff { failures: counted, until } = it.peer.state() else { panic!("no pause") };
            assert_eq!(counted, failures, "a second up is not stable");
            assert!(until <= clock.now() + SECOND, "the cap holds");
            it.far = FarEnd::accept(&mut it.listener).await;
            assert_eq!(next(&mut it.events).await, "connected issuer-1");
        }
        clock.sleep(30 * SECOND).await;
        drop(it.far);
        assert_eq!(next(&mut it.events).await, "disconnected issuer-1: peer_clean");
        settle().await;
        assert!(matches!(it.peer.state(), PeerState::Backoff { failures: 1, .. }));
    });
}

/// Waits a second per dial and remembers how many did at the same time.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Dialer for Crowd {
    fn dial<'a>(
        &'a self,
        world: &'a World,
        _: &'a Target,
        _: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<flux_pool::transport::Link, DialError>> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            world.clock.sleep(SECOND).await;
            self.now.fetch_sub(1, Ordering::Relaxed);
            Err(DialError::TimedOut)
        })
    }
}

#[test]
fn only_so_many_dial_at_a_time() {
    run(async |sim| {
        let limits = PoolConfig { dials_max: NonZeroUsize::new(5).unwrap(), ..PoolConfig::default() };
        let (pool, _inbox) = PeerPool::builder(sim.world()).config(limits).inbox();
        let crowd = Arc::new(Crowd::default());
        let mut events = pool.events();
        for n in 0..40 {
            pool.dial_with(format!("p-{n}"), issuer(), config(), crowd.clone()).unwrap();
        }
        for _ in 0..40 {
            next(&mut events).await;
        }
        assert_eq!(crowd.most.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn a_thousand_peers_which_lost_the_same_server_do_not_come_back_in_step() {
    run(async |sim| {
        let mut listener = listen(&sim).await;
        let limits = PoolConfig {
            dials_max: NonZeroUsize::new(1000).unwrap(),
            dials_per_s_max: NonZeroU32::new(100_000).unwrap(),
            events_max: NonZeroUsize::new(10_000).unwrap(),
            ..PoolConfig::default()
        };
        let (pool, _inbox) = PeerPool::builder(sim.host("rack")).config(limits).inbox();
        let cap = 10 * SECOND;
        let backoff = BackoffPolicy { base: cap, cap, ..BackoffPolicy::default() };
        let mut events = pool.events();
        for n in 0..1000 {
            pool.dial(format!("p-{n}"), issuer(), PeerConfig { backoff, ..config() }).unwrap();
        }
        let mut far = Vec::new();
        for _ in 0..1000 {
            far.push(FarEnd::accept(&mut listener).await);
        }
        for _ in 0..1000 {
            assert!(next(&mut events).await.starts_with("connected"));
        }
        let lost_at = sim.world().clock.now();
        drop(far);
        let mut per_second = [0; 11];
        let mut again = Vec::new();
        for _ in 0..1000 {
            again.push(FarEnd::accept(&mut listener).await);
            per_second[(sim.world().clock.now() - lost_at).as_secs() as usize] += 1;
        }
        assert!(per_second[..10].iter().all(|n| (60..=140).contains(n)), "{per_second:?}");
    });
}

#[test]
fn nothing_is_left_of_two_thousand_sessions() {
    run(async |sim| {
        let backoff = BackoffPolicy { base: MS, cap: MS, ..BackoffPolicy::default() };
        let mut it = connected(&sim, PeerConfig { backoff, ..config() }).await;
        settle().await;
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = metrics.num_alive_tasks();
        for _ in 0..2_000 {
            it.far = FarEnd::accept_next(it.far, &mut it.listener).await;
            while next(&mut it.events).await != "connected issuer-1" {}
        }
        settle().await;
        assert_eq!(metrics.num_alive_tasks(), before);
        assert_eq!(it.peer.stats().counts.sessions, 2_001);
        assert_eq!(sim.open_lanes(), 2);
    });
}
