//! `io_tcp` over real sockets: framing, routing, limits, and what happens when a peer is slow or away.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use flux_gear::{Control, FaultClass, Lease, mock::Mock};
use flux_gears::io_tcp::IoTcp;
use serde_json::{Value as Json, json};

use crate::kit::{
    FarEnd, address, conn_id, connections, framed, link, listener, nobody, reason, received, send, started,
    until, within,
};

/// A length-framed server with other options.
fn server(options: Json) -> Json {
    merged(json!({ "mode": "server", "bind": "127.0.0.1:0", "framing": "length_prefix2" }), options)
}

/// A length-framed client of `addr` with other options.
fn client(addr: std::net::SocketAddr, options: Json) -> Json {
    let config = json!({
        "mode": "client", "connect": addr.to_string(), "framing": "length_prefix2",
        "reconnect_wait": "5ms", "reconnect_wait_max": "20ms",
    });
    merged(config, options)
}

fn merged(mut config: Json, options: Json) -> Json {
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    config
}

/// Sends `wire` in, and the payloads that came of it out again.
async fn check(options: Json, wire: &[u8], payloads: &[&[u8]], echoed: &[u8]) {
    let mut gear = started::<IoTcp>(Mock::new(), server(options)).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    // In two parts, so that a frame straddles reads.
    let (first, second) = wire.split_at(wire.len() / 2);
    far.write(first).await;
    far.write(second).await;
    for payload in payloads {
        let msg = received(&gear).await;
        assert_eq!(msg.payload.escape_ascii().to_string(), payload.escape_ascii().to_string());
        let conn = conn_id(&msg).to_owned();
        send(&mut gear, Some(&conn), payload).await.unwrap();
    }
    far.expect(echoed).await;
    drop(far);
    gear.stop().await;
}

#[tokio::test]
async fn every_framing_works_both_ways() {
    let delimiter = |options: Json| merged(json!({ "framing": "delimiter" }), options);
    check(json!({}), b"\0\x03abc\0\0\0\x02de", &[b"abc", b"", b"de"], b"\0\x03abc\0\0\0\x02de").await;
    let four = json!({ "framing": "length_prefix4" });
    check(four, b"\0\0\0\x03abc\0\0\0\x01d", &[b"abc", b"d"], b"\0\0\0\x03abc\0\0\0\x01d").await;
    // Lines, as they are by default: taken off and not put back.
    check(delimiter(json!({})), b"ab\r\ncd\n", &[b"ab", b"cd"], b"abcd").await;
    check(delimiter(json!({ "delimiter_append": true })), b"ab\r\ncd\n", &[b"ab", b"cd"], b"ab\ncd\n").await;
    let kept = json!({ "delimiter": "\\x03", "delimiter_include": true });
    check(delimiter(kept), b"ab\x03cd\x03", &[b"ab\x03", b"cd\x03"], b"ab\x03cd\x03").await;
    let before = json!({ "delimiter": "<>", "delimiter_position": "prefix", "delimiter_append": true });
    check(delimiter(before), b"<>ab<>c<>", &[b"ab", b"c"], b"<>ab<>c").await;
}

#[tokio::test]
async fn raw_bytes_pass_as_they_come() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({ "framing": "raw" }))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(b"any \0 bytes").await;
    let mut bytes = Vec::new();
    while bytes.len() < 11 {
        bytes.extend_from_slice(&received(&gear).await.payload);
    }
    assert_eq!(bytes, b"any \0 bytes");
    send(&mut gear, None, b"back").await.unwrap();
    far.expect(b"back").await;
    gear.stop().await;
}

#[tokio::test]
async fn what_comes_in_says_where_it_came_from() {
    let gear = started::<IoTcp>(Mock::new().named("pos"), server(json!({}))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&framed(b"x")).await;
    let msg = received(&gear).await;
    assert!(conn_id(&msg).starts_with("pos:"), "{}", conn_id(&msg));
    assert_eq!(msg.metadata.get("peer.ip"), Some("127.0.0.1"));
    assert_eq!(msg.metadata.get("peer.port"), Some(far.0.local.port().to_string()).as_deref());
    assert_eq!(msg.metadata.get("flux.source"), Some("pos"));
    assert_eq!(msg.source, Some(gear.ctx.id()));
    gear.stop().await;
}

#[tokio::test]
async fn a_reply_goes_to_its_connection_and_to_no_other() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({}))).await;
    let (mut one, mut two) = (FarEnd::connect(address(&gear)).await, FarEnd::connect(address(&gear)).await);
    one.write(&framed(b"1")).await;
    let first = received(&gear).await;
    two.write(&framed(b"2")).await;
    let second = received(&gear).await;
    send(&mut gear, Some(conn_id(&second)), b"to two").await.unwrap();
    send(&mut gear, Some(conn_id(&first)), b"to one").await.unwrap();
    one.expect(&framed(b"to one")).await;
    two.expect(&framed(b"to two")).await;

    assert_eq!(reason(send(&mut gear, None, b"to whom?").await), "ambiguous");
    drop(two);
    connections(&gear, 1).await;
    assert_eq!(reason(send(&mut gear, Some(conn_id(&second)), b"too late").await), "no_connection");
    assert_eq!(reason(send(&mut gear, Some("stranger"), b"x").await), "no_connection");
    send(&mut gear, None, b"to the only one").await.unwrap();
    one.expect(&framed(b"to the only one")).await;
    gear.stop().await;
}

#[tokio::test]
async fn messages_wait_while_nobody_is_connected() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({ "max_buffered_messages": 2 }))).await;
    send(&mut gear, None, b"1").await.unwrap();
    send(&mut gear, None, b"2").await.unwrap();
    assert_eq!(reason(send(&mut gear, None, b"3").await), "buffer_full");
    let mut far = FarEnd::connect(address(&gear)).await;
    far.expect(&[framed(b"1"), framed(b"2")].concat()).await;
    send(&mut gear, None, b"4").await.unwrap();
    far.expect(&framed(b"4")).await;
    gear.stop().await;
}

#[tokio::test]
async fn what_waits_when_draining_goes_to_the_error_port() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({}))).await;
    send(&mut gear, None, b"1").await.unwrap();
    within(flux_gear::Gear::drain(&mut gear.gear)).await;
    let (port, msg) = within(gear.emitted()).await;
    assert_eq!((port.as_str(), &msg.payload[..]), ("error", &b"1"[..]));
    assert_eq!(msg.metadata.get("error.reason"), Some("no_connection"));
    assert_eq!(reason(send(&mut gear, None, b"2").await), "no_connection");
    gear.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed() {
    let gear = started::<IoTcp>(Mock::new(), server(json!({ "max_connections": 1 }))).await;
    let mut one = FarEnd::connect(address(&gear)).await;
    connections(&gear, 1).await;
    FarEnd::connect(address(&gear)).await.ended().await;
    one.write(&framed(b"still here")).await;
    assert_eq!(received(&gear).await.payload, &b"still here"[..]);
    gear.stop().await;
}

#[tokio::test]
async fn frames_over_the_limit_end_the_connection_and_are_counted() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({ "frame_bytes_max": 4 }))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&[framed(b"good"), framed(b"too large")].concat()).await;
    assert_eq!(received(&gear).await.payload, &b"good"[..]);
    far.ended().await;
    connections(&gear, 0).await;
    assert_eq!(link(&gear).frames_refused(), 1);
    assert_eq!(reason(send(&mut gear, None, b"large").await), "frame_too_large");
    gear.stop().await;
}

#[tokio::test]
async fn an_unfinished_last_message_is_counted_and_not_delivered() {
    let gear = started::<IoTcp>(Mock::new(), server(json!({ "framing": "delimiter" }))).await;
    let mut events = gear.ctx.control().subscribe();
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(b"whole\nunfinis").await;
    drop(far);
    assert_eq!(received(&gear).await.payload, &b"whole"[..]);
    let reason = within(async {
        loop {
            if let flux_gear::ControlEvent::ConnDown { reason, .. } = events.recv().await.unwrap() {
                return reason;
            }
        }
    });
    assert_eq!(reason.await, "truncated");
    assert_eq!(link(&gear).frames_refused(), 1);
    gear.stop().await;
}

#[tokio::test]
async fn a_client_comes_back() {
    let (mut listener, addr) = listener().await;
    let mut gear = started::<IoTcp>(Mock::new(), client(addr, json!({}))).await;
    // Sent before anybody could be there: the attempt under way is waited for.
    let (sent, mut far) = tokio::join!(send(&mut gear, None, b"early"), FarEnd::accept(&mut listener));
    sent.unwrap();
    far.expect(&framed(b"early")).await;
    far.write(&framed(b"1")).await;
    let before = conn_id(&received(&gear).await).to_owned();
    drop(far);
    let mut far = FarEnd::accept(&mut listener).await;
    far.write(&framed(b"2")).await;
    let after = received(&gear).await;
    assert_ne!(conn_id(&after), before);
    assert_eq!(reason(send(&mut gear, Some(&before), b"late").await), "no_connection");
    send(&mut gear, Some(conn_id(&after)), b"back").await.unwrap();
    send(&mut gear, Some("somebody else's"), b"on").await.unwrap();
    far.expect(&[framed(b"back"), framed(b"on")].concat()).await;
    gear.stop().await;
}

#[tokio::test]
async fn without_anybody_there_a_message_fails() {
    let mut gear = started::<IoTcp>(Mock::new(), client(nobody().await, json!({}))).await;
    assert_eq!(reason(send(&mut gear, None, b"x").await), "no_connection");
    assert!(!link(&gear).is_up());
    gear.stop().await;
}

#[tokio::test]
async fn what_a_durable_wire_keeps_is_for_later_while_nobody_is_there() {
    let mut gear = started::<IoTcp>(Mock::new(), client(nobody().await, json!({}))).await;
    for gear_is_connecting in [true, false] {
        until(|| gear_is_connecting || !link(&gear).is_up()).await;
        let mut msg = gear.ctx.message(&b"x"[..]);
        msg.attach_lease(Lease::patient(|_| {}));
        let fault = within(gear.process_msg("in", msg)).await.expect_err("nobody is there");
        assert_eq!((fault.class(), fault.reason_word()), (FaultClass::Transient, "no_connection"));
    }
    gear.stop().await;
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({"max_buffered_messages": 0}))).await;
    let mut msg = gear.ctx.message(&b"x"[..]);
    msg.attach_lease(Lease::patient(|_| {}));
    let fault = within(gear.process_msg("in", msg.clone())).await.expect_err("nobody is there");
    assert_eq!(fault.class(), FaultClass::Transient);
    // A connection that is gone never comes back.
    msg.metadata.set("conn.id", "somebody");
    let fault = within(gear.process_msg("in", msg)).await.expect_err("it is gone");
    assert_eq!(fault.class(), FaultClass::Invalid);
    gear.stop().await;
}

#[tokio::test]
async fn pooled_connections_are_used_in_turn() {
    let (mut listener, addr) = listener().await;
    let mut gear = started::<IoTcp>(Mock::new(), client(addr, json!({ "pool_size": 2 }))).await;
    let (mut one, mut two) = (FarEnd::accept(&mut listener).await, FarEnd::accept(&mut listener).await);
    connections(&gear, 2).await;
    for n in 0..4 {
        send(&mut gear, None, &[n]).await.unwrap();
    }
    let mut first = vec![0; 6];
    within(tokio::io::AsyncReadExt::read_exact(&mut one.0.read, &mut first)).await.unwrap();
    let (of_one, of_two): (&[u8], &[u8]) = if first[2] == 0 {
        (b"\0\x01\0\0\x01\x02", b"\0\x01\x01\0\x01\x03")
    } else {
        (b"\0\x01\x01\0\x01\x03", b"\0\x01\0\0\x01\x02")
    };
    assert_eq!(first, of_one);
    two.expect(of_two).await;
    gear.stop().await;
}

#[tokio::test]
async fn a_pooled_connection_that_overflows_costs_no_message_while_another_has_room() {
    let (mut listener, addr) = listener().await;
    let options = json!({ "pool_size": 2, "when_queue_full": "disconnect", "framing": "length_prefix4" });
    let mut gear = started::<IoTcp>(Mock::new(), client(addr, options)).await;
    let (_deaf, mut other) = (FarEnd::accept(&mut listener).await, FarEnd::accept(&mut listener).await);
    connections(&gear, 2).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let reader = tokio::spawn({
        let taken = taken.clone();
        async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(n @ 1..) = tokio::io::AsyncReadExt::read(&mut other.0.read, &mut buffer).await {
                taken.fetch_add(n, Ordering::Relaxed);
            }
        }
    });
    let payload = vec![7; 512 << 10];
    let mut sent = 0;
    while link(&gear).connections() == 2 {
        assert_eq!(send(&mut gear, None, &payload).await.map_err(|why| why.to_string()), Ok(()), "{sent}");
        // The other one gets every second message, and keeps up.
        until(|| taken.load(Ordering::Relaxed) >= sent / 2 * payload.len()).await;
        sent += 1;
        assert!(sent < 200, "half of that is more than sockets and queue hold of one who does not read");
    }
    gear.stop().await;
    reader.await.unwrap();
}

#[tokio::test]
async fn a_client_that_ended_its_sending_still_gets_its_replies() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({ "half_close_timeout": "5s" }))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&framed(b"q")).await;
    far.half_close().await;
    let msg = received(&gear).await;
    send(&mut gear, Some(conn_id(&msg)), b"a").await.unwrap();
    far.expect(&framed(b"a")).await;
    gear.stop().await;
    far.ended().await;
}

#[tokio::test]
async fn draining_accepts_nothing_new_and_still_writes_replies() {
    let mut gear = started::<IoTcp>(Mock::new(), server(json!({}))).await;
    let addr = address(&gear);
    let mut far = FarEnd::connect(addr).await;
    far.write(&framed(b"1")).await;
    let msg = received(&gear).await;
    within(flux_gear::Gear::drain(&mut gear.gear)).await;
    assert_eq!(link(&gear).listening(), None);
    let world = gear.ctx.world().clone();
    assert!(world.net.connect(&addr.into(), &Default::default()).await.is_err(), "nobody listens");

    far.write(&framed(b"2")).await;
    until(|| link(&gear).frames_refused() == 1).await;
    send(&mut gear, Some(conn_id(&msg)), b"reply").await.unwrap();
    far.expect(&framed(b"reply")).await;
    gear.stop().await;
    far.ended().await;
}

#[tokio::test]
async fn a_connection_is_closed_on_command() {
    let control = Control::default();
    let mut gear = started::<IoTcp>(Mock::new().control(control.clone()), server(json!({}))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&framed(b"1")).await;
    let msg = received(&gear).await;
    send(&mut gear, Some(conn_id(&msg)), b"farewell").await.unwrap();
    control.close_conn("nobody's", "test");
    control.close_conn(conn_id(&msg), "test");
    far.expect(&framed(b"farewell")).await;
    far.ended().await;
    connections(&gear, 0).await;
    gear.stop().await;
}
