//! `io_tcp` that acknowledges what is safe, and that keeps what is not acknowledged.

use flux_gear::{
    Held, Lease, LeaseEnd,
    mock::{Mock, MockGear},
};
use flux_gears::io_tcp::IoTcp;
use serde_json::json;
use tokio::sync::oneshot;

use crate::kit::{FarEnd, address, connections, framed, listener, received, send, started, within};

#[tokio::test]
async fn a_server_acknowledges_what_came_to_its_end_in_order_and_nothing_else() {
    let config = json!({ "mode": "server", "bind": "127.0.0.1:0", "acknowledge": "ok\\x21", "delimiter_append": true });
    let gear = started::<IoTcp>(Mock::new(), config).await;
    let mut far = FarEnd::connect(address(&gear)).await;
    far.write(b"one\ntwo\nthree\nfour\n").await;
    let mut msgs = Vec::new();
    for _ in 0..4 {
        msgs.push(received(&gear).await);
    }
    let [one, two, three, four] = msgs.try_into().unwrap();
    drop(two);
    drop(three);
    drop(one);
    far.expect(b"ok!\nok!\nok!\n").await;
    // Given up: what is not acknowledged is to be sent again.
    drop(Held::new(four));
    far.ended().await;
    let mut again = FarEnd::connect(address(&gear)).await;
    again.write(b"four\n").await;
    drop(received(&gear).await);
    again.expect(b"ok!\n").await;
    gear.stop().await;
}

#[tokio::test]
async fn a_client_sends_again_what_was_not_acknowledged() {
    let (mut listener, addr) = listener().await;
    let config = json!({
        "mode": "client", "connect": addr.to_string(), "framing": "length_prefix2", "await_acknowledgement": true,
        "max_queued_messages": 3, "max_buffered_messages": 0, "reconnect_wait": "5ms", "reconnect_wait_max": "20ms",
    });
    let mut gear = started::<IoTcp>(Mock::new(), config).await;
    let mut far = FarEnd::accept(&mut listener).await;
    connections(&gear, 1).await;
    let mut ends = Vec::new();
    for payload in [b"one", b"two"] {
        ends.push(tracked(&mut gear, payload).await);
    }
    far.expect(&[framed(b"one"), framed(b"two")].concat()).await;
    assert!(ends.iter_mut().all(|end| end.try_recv().is_err()), "nothing is acknowledged");
    far.write(&framed(b"ok")).await;
    assert_eq!(within(&mut ends[0]).await.unwrap(), LeaseEnd::Settled);
    drop(far);
    connections(&gear, 0).await;
    // Kept, though nobody is connected.
    ends.push(tracked(&mut gear, b"three").await);
    let mut far = FarEnd::accept(&mut listener).await;
    far.expect(&[framed(b"two"), framed(b"three")].concat()).await;
    far.write(&[framed(b""), framed(b"")].concat()).await;
    for end in &mut ends[1..] {
        assert_eq!(within(end).await.unwrap(), LeaseEnd::Settled);
    }
    // An acknowledgement of nothing is no answer to anything.
    far.write(&framed(b"")).await;
    far.ended().await;
    // What is left when the gear stops is given up.
    drop(listener);
    connections(&gear, 0).await;
    let mut left = tracked(&mut gear, b"left").await;
    gear.stop().await;
    assert_eq!(within(&mut left).await.unwrap(), LeaseEnd::Abandoned);
}

#[tokio::test]
async fn a_client_with_as_much_as_it_may_keep_waits() {
    let (mut listener, addr) = listener().await;
    let config = json!({
        "mode": "client", "connect": addr.to_string(), "framing": "length_prefix2", "await_acknowledgement": true,
        "max_queued_messages": 1, "max_buffered_messages": 0,
    });
    let mut gear = started::<IoTcp>(Mock::new(), config).await;
    let mut far = FarEnd::accept(&mut listener).await;
    connections(&gear, 1).await;
    send(&mut gear, None, b"one").await.unwrap();
    far.expect(&framed(b"one")).await;
    let mut is_sent = false;
    {
        let mut second = std::pin::pin!(send(&mut gear, None, b"two"));
        tokio::select! {
            biased;
            _ = &mut second => is_sent = true,
            () = tokio::task::yield_now() => {}
        }
        assert!(!is_sent);
        far.write(&framed(b"")).await;
        second.await.unwrap();
    }
    far.expect(&framed(b"two")).await;
    drop((far, listener));
    gear.stop().await;
}

/// Sends a message, and how it ends.
async fn tracked(gear: &mut MockGear<IoTcp>, payload: &[u8]) -> oneshot::Receiver<LeaseEnd> {
    let (tell, ended) = oneshot::channel();
    let mut msg = gear.ctx.message(payload.to_vec());
    msg.attach_lease(Lease::new(move |end| {
        let _ = tell.send(end);
    }));
    within(gear.process_msg("in", msg)).await.unwrap();
    ended
}
