//! What depends on time, on the simulated world: silence, slowness, and coming back.

use std::time::Duration;

use flux_gear::{
    Gear,
    mock::{Mock, MockGear},
};
use flux_gears::{io_iso8583::IoIso8583, io_tcp::IoTcp};
use flux_world::{
    ListenOptions, Listener,
    sim::{Link, Sim},
};
use serde_json::{Value as Json, json};

use crate::kit::{FarEnd, conn_id, connections, framed, link, reason, received, send, started};

const MS: Duration = Duration::from_millis(1);
const BARE: &[u8] = b"08000000000000000000";

/// Runs a test in a world with a latency of exactly 1 ms.
fn run(body: impl AsyncFnOnce(Sim)) {
    Sim::run(1, async |sim| {
        sim.set_default_link(Link { latency_min: MS, latency_max: MS, ..Link::default() });
        body(sim).await;
    });
}

/// A server on the host `rack`.
async fn server<G: Gear>(sim: &Sim, options: Json) -> MockGear<G> {
    let mut config = json!({ "mode": "server", "bind": "0.0.0.0:9000" });
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    started(Mock::new().world(sim.host("rack")), config).await
}

/// A client of the host `issuer`.
async fn client(sim: &Sim, options: Json) -> MockGear<IoTcp> {
    sim.host("issuer");
    let mut config = json!({ "mode": "client", "connect": "issuer:8583", "framing": "length_prefix2" });
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    started(Mock::new().world(sim.host("rack")), config).await
}

async fn issuer(sim: &Sim) -> Listener {
    sim.host("issuer").net.listen("0.0.0.0:8583", &ListenOptions::default()).await.unwrap()
}

async fn terminal(sim: &Sim, name: &str) -> FarEnd {
    FarEnd::connect_from(&sim.host(name), &"rack:9000".parse().unwrap()).await
}

#[test]
fn silence_ends_a_connection_and_a_sign_of_life_keeps_it() {
    run(async |sim| {
        let gear = server::<IoIso8583>(&sim, json!({ "idle_timeout": "200ms" })).await;
        let mut far = terminal(&sim, "terminal").await;
        let clock = sim.world().clock;
        for _ in 0..6 {
            clock.sleep(150 * MS).await;
            far.write(&[0, 0]).await;
        }
        let began = clock.now();
        far.ended().await;
        // A millisecond to get there, another for the end to come back.
        assert_eq!(clock.now() - began, 202 * MS);
        connections(&gear, 0).await;
        gear.stop().await;
    });
}

#[test]
fn a_client_that_waits_for_its_acknowledgement_may_be_silent() {
    run(async |sim| {
        let options = json!({ "idle_timeout": "100ms", "acknowledge": "ok", "delimiter_append": true });
        let gear = server::<IoTcp>(&sim, options).await;
        let mut far = terminal(&sim, "terminal").await;
        far.write(b"one\ntwo\n").await;
        let (one, two) = (received(&gear).await, received(&gear).await);
        let clock = sim.world().clock;
        clock.sleep(500 * MS).await;
        drop(one);
        far.expect(b"ok\n").await;
        clock.sleep(500 * MS).await;
        drop(two);
        far.expect(b"ok\n").await;
        // From here on its silence is its own.
        let began = clock.now();
        far.ended().await;
        assert!((90 * MS..110 * MS).contains(&(clock.now() - began)), "{:?}", clock.now() - began);
        gear.stop().await;
    });
}

#[test]
fn what_we_send_is_no_sign_of_life() {
    run(async |sim| {
        let mut gear = server::<IoTcp>(&sim, json!({ "idle_timeout": "100ms", "framing": "raw" })).await;
        let mut far = terminal(&sim, "terminal").await;
        connections(&gear, 1).await;
        let clock = sim.world().clock;
        clock.sleep(60 * MS).await;
        send(&mut gear, None, b"hello?").await.unwrap();
        far.expect(b"hello?").await;
        let heard = clock.now();
        far.ended().await;
        assert!(clock.now() - heard < 50 * MS, "{:?}", clock.now() - heard);
        gear.stop().await;
    });
}

#[test]
fn a_frame_begun_must_end_in_time() {
    run(async |sim| {
        let gear = server::<IoIso8583>(&sim, json!({ "read_timeout": "50ms" })).await;
        let mut far = terminal(&sim, "terminal").await;
        far.write(&framed(BARE)[..10]).await;
        let clock = sim.world().clock;
        let began = clock.now();
        far.ended().await;
        assert_eq!(clock.now() - began, 52 * MS);
        connections(&gear, 0).await;
        gear.stop().await;
    });
}

#[test]
fn a_slow_reader_delays_others_once_at_most_and_only_when_its_queue_is_full() {
    run(async |sim| {
        let options = json!({ "max_queued_messages": 4, "max_buffered_messages": 4, "write_timeout": "300ms", "framing": "length_prefix4" });
        let mut gear = server::<IoTcp>(&sim, options).await;
        let mut slow = terminal(&sim, "slow").await;
        slow.write(b"\0\0\0\x01s").await;
        let to_slow = conn_id(&received(&gear).await).to_owned();
        let mut quick = terminal(&sim, "quick").await;
        quick.write(b"\0\0\0\x01q").await;
        let to_quick = conn_id(&received(&gear).await).to_owned();
        // More than is under way at a time, so that writing the first one does not end.
        let (large, clock) = (vec![b'x'; 100_000], sim.world().clock);
        let (mut failed, mut waits) = (None, Vec::new());
        for n in 0_u8..10 {
            let began = clock.now();
            let sent = send(&mut gear, Some(&to_slow), &large).await;
            waits.push(clock.now() - began);
            if let Err(fault) = sent {
                failed = Some((n, fault.reason_word()));
                break;
            }
            send(&mut gear, Some(&to_quick), &[n]).await.unwrap();
            quick.expect(&[0, 0, 0, 1, n]).await;
        }
        assert_eq!(failed.map(|(n, _)| n), Some(4), "four are queued and the fifth waits");
        assert!(waits[..4].iter().all(Duration::is_zero), "{waits:?}");
        assert!(waits[4] <= 300 * MS, "{waits:?}");
        connections(&gear, 1).await;
        assert_eq!(reason(send(&mut gear, Some(&to_slow), b"x").await), "no_connection");
        send(&mut gear, Some(&to_quick), b"!").await.unwrap();
        quick.expect(b"\0\0\0\x01!").await;
        gear.stop().await;
    });
}

#[test]
fn a_reader_that_is_only_slow_is_waited_for() {
    run(async |sim| {
        let options = json!({ "max_queued_messages": 1, "max_buffered_messages": 1, "framing": "raw", "frame_bytes_max": 100_000 });
        let mut gear = server::<IoTcp>(&sim, options).await;
        let mut far = terminal(&sim, "slow").await;
        connections(&gear, 1).await;
        let large = vec![b'x'; 100_000];
        send(&mut gear, None, &large).await.unwrap();
        let (sent, ()) = tokio::join!(send(&mut gear, None, b"!"), async {
            sim.world().clock.sleep(2000 * MS).await;
            far.expect(&large).await;
        });
        sent.unwrap();
        far.expect(b"!").await;
        gear.stop().await;
    });
}

#[test]
fn attempts_to_come_back_are_spread_out_and_grow_apart() {
    run(async |sim| {
        let options = json!({ "reconnect_wait": "1s", "reconnect_wait_max": "4s" });
        let gear = client(&sim, options).await;
        let clock = sim.world().clock;
        clock.sleep(60_000 * MS).await;
        // Refused each time: nobody listens.
        let times: Vec<Duration> =
            sim.trace().iter().filter(|line| line.contains("is refused")).map(|line| at(line)).collect();
        let waits: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.len() > 15, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 4003 * MS), "{waits:?}");
        assert!(waits[0] <= 1003 * MS && waits[1] <= 2003 * MS, "{waits:?}");
        assert!(
            waits.iter().any(|wait| *wait < 1000 * MS) && waits.iter().any(|wait| *wait > 2000 * MS),
            "{waits:?}"
        );
        // Somebody does at last.
        let mut listener = issuer(&sim).await;
        FarEnd::accept(&mut listener).await.write(&framed(b"x")).await;
        assert_eq!(received(&gear).await.payload, &b"x"[..]);
        gear.stop().await;
    });
}

/// The time of a line of the trace.
fn at(line: &str) -> Duration {
    let text = line.split_whitespace().next().unwrap();
    let seconds: f64 = text.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("a time in {line:?}"));
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_client_that_reads_no_responses_discards_them_and_stays() {
    run(async |sim| {
        let mut listener = issuer(&sim).await;
        let mut gear = client(&sim, json!({ "read_responses": false, "idle_timeout": "50ms" })).await;
        let mut far = FarEnd::accept(&mut listener).await;
        // No frame, were it looked at.
        far.write(b"\xff\xff nonsense").await;
        connections(&gear, 1).await;
        send(&mut gear, None, b"1").await.unwrap();
        far.expect(&framed(b"1")).await;
        let clock = sim.world().clock;
        assert!(clock.timeout(10_000 * MS, gear.emitted()).await.is_err(), "nothing comes of it");
        assert!(link(&gear).is_up(), "its silence does not count");
        gear.stop().await;
    });
}

#[test]
fn a_message_waits_for_the_attempt_under_way_and_for_no_other() {
    run(async |sim| {
        let mut gear = client(&sim, json!({ "connect_timeout": "3s" })).await;
        sim.partition("rack", "issuer");
        let clock = sim.world().clock;
        let began = clock.now();
        assert_eq!(reason(send(&mut gear, None, b"1").await), "no_connection");
        assert_eq!((clock.now() - began).as_secs(), 3);
        // Between attempts it fails at once.
        let began = clock.now();
        assert_eq!(reason(send(&mut gear, None, b"2").await), "no_connection");
        assert_eq!(clock.now(), began);
        gear.stop().await;
    });
}
