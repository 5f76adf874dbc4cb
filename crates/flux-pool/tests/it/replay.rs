//! The pool keeps to the rules of the simulation: a seed replays it, event by event.

use std::time::Duration;

use flux_pool::PeerConfig;
use flux_world::sim::Sim;

use crate::kit::{FarEnd, MS, config, issuer, listen, pool, short};

/// Twenty peers, a far end that drops them at random, a partition and a reset.
fn eventful_run(seed: u64) -> Vec<String> {
    Sim::run(seed, async |sim| {
        let world = sim.world();
        let mut listener = listen(&sim).await;
        let (pool, mut inbox) = pool(&sim);
        let mut events = pool.events();
        for n in 0..20 {
            let impatient = PeerConfig { idle_timeout: Some(50 * MS), dial_timeout: 100 * MS, ..config() };
            pool.dial(format!("p-{n:02}"), issuer(), impatient).unwrap();
        }
        let (far_world, faults) = (world.clone(), sim.clone());
        let far_ends = tokio::spawn(async move {
            loop {
                let mut far = FarEnd::accept(&mut listener).await;
                let world = far_world.clone();
                tokio::spawn(async move {
                    for _ in 0..world.entropy.below(5) {
                        world.clock.sleep(Duration::from_micros(world.entropy.below(80_000))).await;
                        let hello = crate::kit::framed(b"hello");
                        if tokio::io::AsyncWriteExt::write_all(&mut far.stream.write, &hello).await.is_err() {
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
                }
            }
        }
        weather.await.unwrap();
        let report = pool.close(Duration::from_secs(1)).await;
        far_ends.abort();
        sim.note(&format!("{report:?} {:?}", pool.stats()));
        sim.trace()
    })
}

#[test]
fn a_seed_replays_the_pool_and_another_seed_is_another_run() {
    let first = eventful_run(42);
    assert!(first.len() > 500, "the run was eventful: {} lines", first.len());
    assert_eq!(first, eventful_run(42));
    assert_ne!(first, eventful_run(43));
}
