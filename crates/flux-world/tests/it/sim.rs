//! The simulated network: it behaves like one, its faults are faults, and a seed replays it.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::BytesMut;
use flux_world::sim::{Link, Sim};
use flux_world::{ConnectOptions, ListenOptions, Listener, Stream, Target};
use tokio::io::AsyncWriteExt;

const SECOND: Duration = Duration::from_secs(1);

fn issuer() -> Target {
    "issuer:8583".parse().unwrap()
}

async fn listen(sim: &Sim) -> Listener {
    sim.host("issuer").net.listen("0.0.0.0:8583", &ListenOptions::default()).await.unwrap()
}

async fn connect(sim: &Sim) -> std::io::Result<Stream> {
    sim.host("terminal").net.connect(&issuer(), &ConnectOptions::default()).await
}

async fn pair(sim: &Sim) -> (Stream, Stream) {
    let mut listener = listen(sim).await;
    let near = connect(sim).await.unwrap();
    (near, listener.accept().await.unwrap())
}

async fn read(stream: &mut Stream) -> std::io::Result<BytesMut> {
    let mut buffer = BytesMut::with_capacity(1024);
    stream.read.read(&mut buffer).await?;
    Ok(buffer)
}

#[test]
fn bytes_arrive_in_order_after_the_latency_and_then_the_end() {
    Sim::run(1, async |sim| {
        let latency = Duration::from_millis(10);
        sim.set_default_link(Link { latency_min: latency, latency_max: latency, ..Link::default() });
        let world = sim.world();
        let (mut near, mut far) = pair(&sim).await;
        assert_eq!((near.local, near.peer), (far.peer, far.local));
        let sent_at = world.clock.now();
        near.write.write_all(b"one").await.unwrap();
        near.write.write_all(b"two").await.unwrap();
        near.write.shutdown().await.unwrap();
        assert_eq!(read(&mut far).await.unwrap(), "one");
        assert_eq!(world.clock.now() - sent_at, latency);
        assert_eq!(read(&mut far).await.unwrap(), "two");
        assert_eq!(read(&mut far).await.unwrap(), "");
        assert_eq!(near.write.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn nobody_listening_and_refusing_are_refused_and_an_unknown_host_is_not_found() {
    Sim::run(1, async |sim| {
        sim.host("issuer");
        assert_eq!(connect(&sim).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let _listener = listen(&sim).await;
        assert!(connect(&sim).await.is_ok());
        sim.set_refusing("issuer", true);
        assert_eq!(connect(&sim).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let nowhere = "nowhere:1".parse().unwrap();
        let error = sim.world().net.connect(&nowhere, &ConnectOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_partition_holds_everything_back_until_it_heals() {
    Sim::run(1, async |sim| {
        let clock = sim.world().clock;
        let (mut near, mut far) = pair(&sim).await;
        let _listener = listen(&sim).await;
        sim.partition("terminal", "issuer");
        near.write.write_all(b"late").await.unwrap();
        assert!(clock.timeout(60 * SECOND, read(&mut far)).await.is_err());
        assert!(clock.timeout(60 * SECOND, connect(&sim)).await.is_err());
        sim.heal("terminal", "issuer");
        assert_eq!(read(&mut far).await.unwrap(), "late");
        assert!(connect(&sim).await.is_ok());
    });
}

#[test]
fn an_unplugged_connection_swallows_a_buffer_full_and_then_stalls() {
    Sim::run(1, async |sim| {
        let clock = sim.world().clock;
        sim.set_default_link(Link { buffer_bytes_max: 8, ..Link::default() });
        let (mut near, mut far) = pair(&sim).await;
        sim.unplug("terminal", "issuer");
        near.write.write_all(b"12345678").await.unwrap();
        assert!(clock.timeout(SECOND, near.write.write_all(b"9")).await.is_err());
        assert!(clock.timeout(SECOND, read(&mut far)).await.is_err());
    });
}

#[test]
fn a_reset_reaches_both_ends() {
    Sim::run(1, async |sim| {
        let (mut near, mut far) = pair(&sim).await;
        let waiting = tokio::spawn(async move { read(&mut far).await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        sim.reset("terminal", "issuer");
        assert_eq!(waiting.await.unwrap(), ErrorKind::ConnectionReset);
        assert_eq!(near.write.write_all(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_full_buffer_and_the_throughput_slow_the_writer_down() {
    Sim::run(1, async |sim| {
        let latency = Duration::ZERO;
        let slow = Link {
            latency_min: latency,
            latency_max: latency,
            bytes_per_s: Some(1000),
            buffer_bytes_max: 500,
        };
        sim.set_default_link(slow);
        let clock = sim.world().clock;
        let (mut near, mut far) = pair(&sim).await;
        let started = clock.now();
        let writer = tokio::spawn(async move {
            near.write.write_all(&[7; 2000]).await.unwrap();
            near
        });
        let mut received = 0;
        while received < 2000 {
            received += read(&mut far).await.unwrap().len();
        }
        assert_eq!(clock.now() - started, 2 * SECOND);
        writer.await.unwrap();
    });
}

#[test]
fn a_failing_accept_leaves_the_listener_usable() {
    Sim::run(1, async |sim| {
        let mut listener = listen(&sim).await;
        sim.fail_accepts("issuer", 2);
        let near = connect(&sim).await.unwrap();
        assert!(listener.accept().await.is_err());
        assert!(listener.accept().await.is_err());
        assert_eq!(listener.accept().await.unwrap().peer, near.local);
    });
}

/// Ten clients, random pauses, a partition and a reset: what a run leaves in the trace.
fn eventful_run(seed: u64) -> Vec<String> {
    Sim::run(seed, async |sim| {
        let mut listener = listen(&sim).await;
        let server = tokio::spawn(async move {
            let mut echoes = tokio::task::JoinSet::new();
            for _ in 0..10 {
                let mut far = listener.accept().await.unwrap();
                echoes.spawn(async move {
                    while let Ok(bytes) = read(&mut far).await
                        && !bytes.is_empty()
                        && far.write.write_all(&bytes).await.is_ok()
                    {}
                });
            }
            while echoes.join_next().await.is_some() {}
        });
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..10 {
            let sim = sim.clone();
            clients.spawn(async move {
                let world = sim.world();
                let mut near = connect(&sim).await.unwrap();
                for _ in 0..5 {
                    world.clock.sleep(Duration::from_micros(world.entropy.below(5_000))).await;
                    let sent = near.write.write_all(b"0800").await.is_ok();
                    let answer = read(&mut near).await;
                    sim.note(&format!("client {client} sent {sent}, got {:?}", answer.map(|b| b.len()).ok()));
                }
            });
        }
        let clock = sim.world().clock;
        clock.sleep(Duration::from_millis(5)).await;
        sim.partition("terminal", "issuer");
        clock.sleep(Duration::from_millis(5)).await;
        sim.heal("terminal", "issuer");
        clock.sleep(Duration::from_millis(3)).await;
        sim.reset("terminal", "issuer");
        while clients.join_next().await.is_some() {}
        server.await.unwrap();
        sim.note(&format!("wall clock {}", sim.world().clock.unix_ns()));
        sim.trace()
    })
}

#[test]
fn a_seed_replays_the_world_and_another_seed_is_another_world() {
    let first = eventful_run(42);
    assert!(first.len() > 100, "the run was eventful: {} lines", first.len());
    assert_eq!(first, eventful_run(42));
    assert_ne!(first, eventful_run(43));
}
