//! The pool under weather: a seed replays it event by event, and whatever happens every frame is accounted for.

use std::num::NonZeroUsize;
use std::time::Duration;

use flux_pool::{Counts, InboundConfig, OutboundConfig, PeerConfig, PeerPool, PeerState, WhenDown, WhenFull};
use flux_world::World;
use flux_world::sim::Sim;

use crate::kit::{FarEnd, MS, config, issuer, listen, pool, short};

const FEW: NonZeroUsize = NonZeroUsize::new(6).unwrap();

/// Dials a peer, with policies by its number, and sends to it at random for as long as it lives.
fn dial_and_talk(pool: &PeerPool, world: &World, n: usize) {
    let when_full = [
        WhenFull::Block { at_most: Some(30 * MS) },
        WhenFull::DropOldest,
        WhenFull::DropNewest,
        WhenFull::Disconnect,
    ][n % 4];
    let when_down = [WhenDown::Reject, WhenDown::HoldNewest(FEW), WhenDown::HoldFor(40 * MS)][n % 3];
    let config = PeerConfig {
        outbound: OutboundConfig { frames_max: FEW, when_full, when_down, ..OutboundConfig::default() },
        inbound: InboundConfig { frames_max: FEW, when_full, ..InboundConfig::default() },
        idle_timeout: Some(50 * MS),
        dial_timeout: 100 * MS,
        ..config()
    };
    let peer = pool.dial(format!("p-{n:02}"), issuer(), config).unwrap();
    let world = world.clone();
    tokio::spawn(async move {
        while !matches!(peer.state(), PeerState::Ended(_)) {
            world.clock.sleep(Duration::from_micros(world.entropy.below(20_000))).await;
            let _ = peer.send(vec![7; world.entropy.below(1_000) as usize].into()).await;
        }
    });
}

/// Twenty peers that are sent to, a far end that talks and drops them at random, a partition and a reset: the trace, and
/// what the pool counted in the end.
fn eventful_run(seed: u64) -> (Vec<String>, Counts) {
    Sim::run(seed, async |sim| {
        let world = sim.world();
        let mut listener = listen(&sim).await;
        let (pool, mut inbox) = pool(&sim);
        let mut events = pool.events();
        (0..20).for_each(|n| dial_and_talk(&pool, &world, n));
        let (far_world, faults) = (world.clone(), sim.clone());
        let far_ends = tokio::spawn(async move {
            loop {
                let mut far = FarEnd::accept(&mut listener).await;
                let world = far_world.clone();
                tokio::spawn(async move {
                    for _ in 0..world.entropy.below(8) {
                        world.clock.sleep(Duration::from_micros(world.entropy.below(80_000))).await;
                        let hello = crate::kit::framed(b"hello").repeat(world.entropy.below(9) as usize);
                        if !far.write_if_open(&hello).await {
                            return;
                        }
                    }
                });
            }
        });
        let weather = tokio::spawn(async move {
            world.clock.sleep(300 * MS).await;
            faults.partition("rack", "issuer");
            world.clock.sleep(300 * MS).await;
            faults.heal("rack", "issuer");
            world.clock.sleep(100 * MS).await;
            faults.reset("rack", "issuer");
        });
        let clock = sim.world().clock;
        let until = clock.now() + Duration::from_secs(1);
        loop {
            tokio::select! {
                biased;
                () = clock.sleep_until(until) => break,
                event = events.recv() => sim.note(&short(&event.unwrap())),
                batch = inbox.recv() => {
                    let (peer, batch) = batch.unwrap();
                    sim.note(&format!("{} sent {}", peer.id(), batch.frames.len()));
                    clock.sleep(2 * MS).await;
                }
            }
        }
        weather.await.unwrap();
        let report = pool.close(Duration::from_secs(1)).await;
        far_ends.abort();
        while inbox.recv().await.is_some() {}
        let counts = pool.stats().counts;
        sim.note(&format!("{report:?} {counts:?}"));
        (sim.trace(), counts)
    })
}

#[test]
fn a_seed_replays_the_pool_and_another_seed_is_another_run() {
    let (first, _) = eventful_run(42);
    assert!(first.len() > 500, "the run was eventful: {} lines", first.len());
    assert_eq!(first, eventful_run(42).0);
    assert_ne!(first, eventful_run(43).0);
}

#[test]
fn whatever_happens_every_frame_is_accounted_for() {
    let mut all = Counts::default();
    for seed in 0..8 {
        let (_, counts) = eventful_run(seed);
        assert_eq!(counts.frames_in, counts.frames_delivered + counts.frames_in_dropped, "seed {seed}");
        assert_eq!(counts.frames_accepted, counts.frames_out + counts.frames_out_dropped, "seed {seed}");
        all += counts;
    }
    let happened = [all.frames_delivered, all.frames_in_dropped, all.frames_out, all.frames_out_dropped];
    assert!(happened.iter().all(|count| *count > 100), "{all:?}");
}
