//! `io_tcp` as a proxy: one connection to the remote for each that comes in.

use flux_gear::{Control, Gear, mock::Mock, mock::MockGear};
use flux_gears::io_tcp::IoTcp;
use flux_world::Listener;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::kit::{FarEnd, address, framed, listener, nobody, send, started, until, within};

const GUIDE: &str = include_str!("../../../../docs/guide/connections.md");

#[test]
fn the_proxy_of_the_guide_is_a_scenario() {
    let example = GUIDE
        .split("```yaml\n")
        .find(|it| it.starts_with("gears:") && it.contains("per_source"))
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let text = format!("meta: {{name: proxy, version: 1.0.0}}\n{example}");
    let loaded = flux_scenario::load("guide.yaml", &text);
    assert_eq!(loaded.check(&flux_gears::builtin().catalog()).render(false), "");
}

/// A server and a client, wired to each other.
struct Proxy {
    control: Control,
    addr: std::net::SocketAddr,
    errors: mpsc::UnboundedReceiver<String>,
    running: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn proxy(upstream: std::net::SocketAddr) -> Proxy {
    let control = Control::default();
    let mock = |name| Mock::new().named(name).control(control.clone());
    let framing = "length_prefix2";
    let config = json!({ "mode": "server", "bind": "127.0.0.1:0", "framing": framing });
    let front = started::<IoTcp>(mock("front"), config).await;
    let config = json!({
        "mode": "client", "connect": upstream.to_string(), "framing": framing, "connections": "per_source",
    });
    let back = started::<IoTcp>(mock("back"), config).await;
    let addr = address(&front);
    let (failed, errors) = mpsc::unbounded_channel();
    Proxy { control, addr, errors, running: tokio::spawn(pump(front, back, failed)) }
}

/// Carries messages both ways, as wires do.
async fn pump(mut front: MockGear<IoTcp>, mut back: MockGear<IoTcp>, failed: mpsc::UnboundedSender<String>) {
    loop {
        let ((port, msg), to) = tokio::select! {
            biased;
            emitted = front.emitted() => (emitted, &mut back),
            emitted = back.emitted() => (emitted, &mut front),
        };
        let outcome = match port.as_str() {
            "error" => Some(msg.metadata.get("error.reason").unwrap().to_owned()),
            _ => to.process_msg("in", msg).await.err().map(|fault| fault.reason_word().into()),
        };
        outcome.into_iter().for_each(|reason| failed.send(reason).unwrap());
    }
}

/// A connection through the proxy: both of its ends.
async fn through(proxy: &Proxy, upstream: &mut Listener, first: &[u8]) -> (FarEnd, FarEnd) {
    let mut near = FarEnd::connect(proxy.addr).await;
    near.write(&framed(first)).await;
    let mut far = FarEnd::accept(upstream).await;
    far.expect(&framed(first)).await;
    (near, far)
}

#[tokio::test]
async fn each_source_has_a_connection_of_its_own() {
    let (mut upstream, addr) = listener().await;
    let proxy = proxy(addr).await;
    let (mut near_1, mut far_1) = through(&proxy, &mut upstream, b"one").await;
    let (mut near_2, mut far_2) = through(&proxy, &mut upstream, b"two").await;
    far_2.write(&framed(b"for two")).await;
    far_1.write(&framed(b"for one")).await;
    near_1.expect(&framed(b"for one")).await;
    near_2.expect(&framed(b"for two")).await;
    near_1.write(&[framed(b"a"), framed(b"b")].concat()).await;
    far_1.expect(&[framed(b"a"), framed(b"b")].concat()).await;
}

#[tokio::test]
async fn the_end_of_a_source_ends_its_connection() {
    let (mut upstream, addr) = listener().await;
    let proxy = proxy(addr).await;
    let (_near_1, mut far_1) = through(&proxy, &mut upstream, b"one").await;
    let (mut near_2, mut far_2) = through(&proxy, &mut upstream, b"two").await;
    near_2.write(&framed(b"last")).await;
    drop(near_2);
    far_2.expect(&framed(b"last")).await;
    far_2.ended().await;
    let back = proxy.control.link("back");
    until(|| back.connections() == 1).await;
    far_1.write(&framed(b"x")).await;
}

#[tokio::test]
async fn the_end_of_the_remote_ends_the_source_after_its_last_word() {
    let (mut upstream, addr) = listener().await;
    let proxy = proxy(addr).await;
    let (mut near, mut far) = through(&proxy, &mut upstream, b"one").await;
    let words: Vec<u8> = (0..200_u8).flat_map(|n| framed(&[n; 500])).collect();
    far.write(&words).await;
    drop(far);
    near.expect(&words).await;
    near.ended().await;
    // Another one is served as before.
    let (mut near, mut far) = through(&proxy, &mut upstream, b"next").await;
    far.write(&framed(b"ok")).await;
    near.expect(&framed(b"ok")).await;
}

#[tokio::test]
async fn a_remote_that_is_not_there_ends_the_source_and_loses_nothing() {
    let mut proxy = proxy(nobody().await).await;
    let mut near = FarEnd::connect(proxy.addr).await;
    near.write(&[framed(b"1"), framed(b"2")].concat()).await;
    near.ended().await;
    assert_eq!(proxy.errors.recv().await.as_deref(), Some("no_connection"));
    assert_eq!(proxy.errors.recv().await.as_deref(), Some("no_connection"));
    let front = proxy.control.link("front");
    until(|| front.connections() == 0).await;
}

#[tokio::test]
async fn draining_waits_for_the_connections_being_opened() {
    let config = json!({
        "mode": "client", "connect": nobody().await.to_string(), "connections": "per_source", "max_buffered_messages": 1,
    });
    let mut gear = started::<IoTcp>(Mock::new(), config).await;
    send(&mut gear, Some("terminals:1"), b"1").await.unwrap();
    let full = send(&mut gear, Some("terminals:1"), b"2").await.expect_err("one is all that may wait");
    assert_eq!(full.reason_word(), "buffer_full");
    let without = send(&mut gear, None, b"3").await.expect_err("whose connection would it be");
    assert_eq!(without.reason_word(), "no_source");
    within(gear.gear.drain()).await;
    let (port, msg) = within(gear.emitted()).await;
    assert_eq!((port.as_str(), &msg.payload[..]), ("error", &b"1"[..]));
    gear.stop().await;
}
