//! `io_iso8583` over real sockets: lengths, headers, what is no message, network management, pools.

use std::net::SocketAddr;

use expect_test::{Expect, expect};
use flux_gear::{FluxMsg, mock::Mock};
use flux_gears::io_iso8583::IoIso8583;
use serde_json::{Value as Json, json};

use crate::kit::{
    FarEnd, address, conn_id, connections, framed, link, listener, reason, received, send, started, until,
    within,
};

/// An 0800 that ends after its bitmap, and one with field 11.
const BARE: &[u8] = b"08000000000000000000";
const SIGN_ON: &[u8] = b"08000020000000000000000042";

fn server(options: Json) -> Json {
    with(json!({ "mode": "server", "bind": "127.0.0.1:0" }), options)
}

fn client(addr: SocketAddr, options: Json) -> Json {
    with(json!({ "mode": "client", "connect": addr.to_string(), "reconnect_wait": "5ms" }), options)
}

fn with(mut config: Json, options: Json) -> Json {
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    config
}

/// The metadata of a message that its frame's header made.
fn header_metadata(msg: &FluxMsg) -> String {
    let of_header = msg.metadata.iter().filter(|(key, _)| key.starts_with("iso8583."));
    of_header.map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// Sends a frame to a server, shows what its header became, and returns the message as it came: the reply.
async fn check(options: Json, sent: &[u8], metadata: Expect, replied: &[u8]) {
    let mut gear = started::<IoIso8583>(Mock::new(), server(options)).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(sent).await;
    let msg = received(&gear).await;
    assert_eq!(msg.payload, BARE);
    metadata.assert_eq(&header_metadata(&msg));
    within(gear.process_msg("in", msg)).await.unwrap();
    far.expect(replied).await;
    drop(far);
    gear.stop().await;
}

/// A frame of a header and the bare message, behind a length of two bytes.
fn frame(header: &[u8]) -> Vec<u8> {
    framed(&[header, BARE].concat())
}

#[tokio::test]
async fn every_kind_of_length() {
    let echoed = async |options: Json, length: &[u8]| {
        let frame = [length, BARE].concat();
        check(options, &frame, expect![""], &frame).await;
    };
    echoed(json!({}), &[0, 20]).await;
    echoed(json!({ "frame_includes_header": true }), &[0, 22]).await;
    echoed(json!({ "frame_length_endian": "little" }), &[20, 0]).await;
    echoed(json!({ "frame_length_size": 4 }), &[0, 0, 0, 20]).await;
    let all =
        json!({ "frame_length_size": 4, "frame_length_endian": "little", "frame_includes_header": true });
    echoed(all, &[24, 0, 0, 0]).await;
}

#[tokio::test]
async fn four_bytes_of_length_carry_more_than_two_could() {
    let options = json!({ "frame_length_size": 4 });
    let mut gear = started::<IoIso8583>(Mock::new(), server(options)).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    let large = [BARE, &[b'x'; 100_000]].concat();
    let frame = [&u32::try_from(large.len()).unwrap().to_be_bytes()[..], &large].concat();
    far.write(&frame).await;
    let msg = received(&gear).await;
    assert_eq!(msg.payload.len(), large.len());
    send(&mut gear, Some(conn_id(&msg)), &large).await.unwrap();
    far.expect(&frame).await;
    gear.stop().await;
}

#[tokio::test]
async fn a_tpdu_is_turned_round_on_the_reply() {
    let tpdu = [0x60, 0x00, 0x01, 0x80, 0x22];
    let shown = || {
        expect![[r#"
            iso8583.raw_header=hex:6000018022
        "#]]
    };
    let on = json!({ "tpdu_enabled": true });
    check(on.clone(), &frame(&tpdu), shown(), &frame(&[0x60, 0x80, 0x22, 0x00, 0x01])).await;
    check(with(on, json!({ "tpdu_swap": false })), &frame(&tpdu), shown(), &frame(&tpdu)).await;
}

#[tokio::test]
async fn terminals_behind_a_concentrator_each_get_their_own_tpdu_back() {
    let mut gear = started::<IoIso8583>(Mock::new(), server(json!({ "tpdu_enabled": true }))).await;
    let mut concentrator = FarEnd::connect(address(&gear)).await;
    let [one, two] = [[0x60, 0, 1, 0, 0x11], [0x60, 0, 1, 0, 0x22]];
    concentrator.write(&[frame(&one), frame(&two), frame(&one)].concat()).await;
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(received(&gear).await);
    }
    requests.swap(0, 1);
    for request in requests {
        within(gear.process_msg("in", request)).await.unwrap();
    }
    let [one, two] = [[0x60, 0, 0x11, 0, 1], [0x60, 0, 0x22, 0, 1]];
    concentrator.expect(&[frame(&two), frame(&one), frame(&one)].concat()).await;
    gear.stop().await;
}

#[tokio::test]
async fn a_client_passes_a_tpdu_on_and_makes_one_where_there_is_none() {
    let (mut listener, addr) = listener().await;
    let options = json!({ "tpdu_enabled": true, "tpdu": "6000030004" });
    let mut gear = started::<IoIso8583>(Mock::new(), client(addr, options)).await;
    let mut far = FarEnd::accept(&mut listener).await;
    send(&mut gear, None, BARE).await.unwrap();
    far.expect(&frame(&[0x60, 0, 3, 0, 4])).await;
    let mut forwarded = gear.ctx.message(BARE);
    forwarded.metadata.set("conn.id", "of a terminal");
    forwarded.metadata.set("iso8583.raw_header", "hex:6000018022");
    within(gear.process_msg("in", forwarded)).await.unwrap();
    far.expect(&frame(&[0x60, 0, 1, 0x80, 0x22])).await;
    // What the network asks is answered by the way it came, turned round.
    far.write(&frame(&[0x60, 0, 9, 0, 8])).await;
    let asked = received(&gear).await;
    within(gear.process_msg("in", asked)).await.unwrap();
    far.expect(&frame(&[0x60, 0, 8, 0, 9])).await;
    gear.stop().await;
}

#[tokio::test]
async fn an_unknown_header_is_put_back_when_asked() {
    let header = [1, 2, 3];
    let kept = json!({ "protocol_header_size": 3, "preserve_headers": true });
    let shown = expect![[r#"
        iso8583.raw_header=hex:010203
    "#]];
    check(kept, &frame(&header), shown, &frame(&header)).await;
    check(json!({ "protocol_header_size": 3 }), &frame(&header), expect![""], &frame(&[0; 3])).await;
}

#[tokio::test]
async fn a_visa_header_is_told_and_built() {
    let mut header = [0; 22];
    header[..12].copy_from_slice(&[22, 1, 2, 0, 42, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x80]);
    header[17] = 7;
    let shown = expect![[r#"
        iso8583.dst_id=111111
        iso8583.src_id=222222
        iso8583.raw_header=hex:160102002a1111112222228000000000000700000000
        iso8583.visa.flags=0000
        iso8583.visa.user_info=00
        iso8583.visa.round_trip=80
        iso8583.visa.text_format=02
        iso8583.visa.batch_number=7
        iso8583.visa.status_flags=000000
        iso8583.visa.header_format=01
        iso8583.visa.header_length=22
        iso8583.visa.message_length=42
    "#]];
    let mut reply = [0; 22];
    reply[..11].copy_from_slice(&[22, 1, 2, 0, 42, 0x22, 0x22, 0x22, 0x11, 0x11, 0x11]);
    check(json!({ "variant": "visa" }), &frame(&header), shown, &frame(&reply)).await;

    let (mut listener, addr) = listener().await;
    let options = json!({ "variant": "visa", "visa_src_id": "123456", "visa_dst_id": "abcdef" });
    let mut gear = started::<IoIso8583>(Mock::new(), client(addr, options)).await;
    let mut far = FarEnd::accept(&mut listener).await;
    send(&mut gear, None, BARE).await.unwrap();
    reply[5..11].copy_from_slice(&[0xab, 0xcd, 0xef, 0x12, 0x34, 0x56]);
    far.expect(&frame(&reply)).await;
    gear.stop().await;
}

#[tokio::test]
async fn a_server_closes_a_connection_that_talks_nonsense() {
    let mut gear = started::<IoIso8583>(Mock::new(), server(json!({}))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&[framed(BARE), framed(b"GET / HTTP/1.1"), framed(BARE)].concat()).await;
    let first = received(&gear).await;
    far.ended().await;
    connections(&gear, 0).await;
    assert_eq!(link(&gear).frames_refused(), 2, "the one after it counts too");
    assert_eq!(reason(send(&mut gear, Some(conn_id(&first)), BARE).await), "no_connection");
    gear.stop().await;
}

#[tokio::test]
async fn a_client_skips_what_is_no_message() {
    let (mut listener, addr) = listener().await;
    let gear = started::<IoIso8583>(Mock::new(), client(addr, json!({}))).await;
    let mut far = FarEnd::accept(&mut listener).await;
    far.write(&[framed(b"GET / HTTP/1.1"), framed(b""), framed(BARE)].concat()).await;
    assert_eq!(received(&gear).await.payload, BARE);
    assert_eq!(link(&gear).frames_refused(), 1, "an empty frame is a sign of life");
    assert!(link(&gear).is_up());
    gear.stop().await;
}

#[tokio::test]
async fn without_the_heuristic_any_frame_is_a_message() {
    let gear = started::<IoIso8583>(Mock::new(), server(json!({ "heuristic_validation": false }))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&framed(b"?")).await;
    assert_eq!(received(&gear).await.payload, &b"?"[..]);
    gear.stop().await;
}

#[tokio::test]
async fn network_management_is_answered_on_the_spot_when_asked() {
    let options = json!({ "answer_network_management": true, "spec": "iso87ascii", "tpdu_enabled": true });
    let gear = started::<IoIso8583>(Mock::new(), server(options)).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    let request = [&[0x60, 0, 1, 0, 2], SIGN_ON].concat();
    let purchase = [&[0x60, 0, 1, 0, 2][..], b"02000020000000000000000042"].concat();
    far.write(&[framed(&request), framed(&purchase)].concat()).await;
    assert_eq!(&received(&gear).await.payload[..4], b"0200", "anything else is passed on");
    far.expect(&framed(&[&[0x60, 0, 2, 0, 1][..], b"0810002000000200000000004200"].concat())).await;
    // One that the spec cannot read is passed on, too.
    far.write(&framed(&[&[0x60, 0, 1, 0, 2][..], SIGN_ON, b"left over"].concat())).await;
    assert_eq!(&received(&gear).await.payload[..4], b"0800");
    gear.stop().await;
}

#[tokio::test]
async fn replies_come_back_by_any_connection_of_a_pool() {
    let (mut listener, addr) = listener().await;
    let mut gear = started::<IoIso8583>(Mock::new(), client(addr, json!({ "pool_size": 2 }))).await;
    let (mut one, mut two) = (FarEnd::accept(&mut listener).await, FarEnd::accept(&mut listener).await);
    connections(&gear, 2).await;
    send(&mut gear, None, BARE).await.unwrap();
    send(&mut gear, None, BARE).await.unwrap();
    one.expect(&framed(BARE)).await;
    two.expect(&framed(BARE)).await;
    two.write(&framed(b"08100000000000000000")).await;
    two.write(&framed(b"08100000000000000000")).await;
    let (first, second) = (received(&gear).await, received(&gear).await);
    assert_eq!(conn_id(&first), conn_id(&second));
    // One is enough to go on.
    drop(one);
    drop(listener);
    connections(&gear, 1).await;
    send(&mut gear, None, BARE).await.unwrap();
    two.expect(&framed(BARE)).await;
    gear.stop().await;
}

#[tokio::test]
async fn only_when_told_so_a_reply_goes_to_a_stranger() {
    let options = json!({ "strict_connection_routing": false });
    let mut gear = started::<IoIso8583>(Mock::new(), server(options)).await;
    assert_eq!(reason(send(&mut gear, Some("gone"), BARE).await), "no_connection");
    let (mut one, _two) = (FarEnd::connect(address(&gear)).await, FarEnd::connect(address(&gear)).await);
    connections(&gear, 2).await;
    send(&mut gear, Some("gone"), BARE).await.unwrap();
    one.expect(&framed(BARE)).await;
    assert_eq!(reason(send(&mut gear, None, BARE).await), "ambiguous");
    assert_eq!(reason(send(&mut gear, None, b"").await), "no_payload");
    gear.stop().await;
}

#[tokio::test]
async fn a_server_that_drains_still_answers() {
    let mut gear = started::<IoIso8583>(Mock::new(), server(json!({}))).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(&framed(BARE)).await;
    let request = received(&gear).await;
    within(flux_gear::Gear::drain(&mut gear.gear)).await;
    far.write(&framed(BARE)).await;
    until(|| link(&gear).frames_refused() == 1).await;
    send(&mut gear, Some(conn_id(&request)), BARE).await.unwrap();
    far.expect(&framed(BARE)).await;
    gear.stop().await;
    far.ended().await;
}
