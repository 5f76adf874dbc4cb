//! `io_tcp` that acknowledges what is safe, and that keeps what is not acknowledged.

use flux_gear::{
    Discards, FluxMsg, Gear, Held, Lease, LeaseEnd,
    mock::{Mock, MockGear},
};
use flux_gears::io_tcp::IoTcp;
use flux_world::{ListenOptions, World};
use serde_json::{Value as Json, json};
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
    let discards = Discards::default();
    let mut gear = started::<IoTcp>(Mock::new().discards(discards.clone()), config).await;
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
    // What is left when the gear is drained with nobody there is given back, and goes to nobody who comes then.
    drop((far, listener));
    connections(&gear, 0).await;
    let mut left = tracked(&mut gear, b"left").await;
    send(&mut gear, None, b"lost").await.unwrap();
    within(gear.gear.drain()).await;
    let mut listener = World::real().net.listen(&addr.to_string(), &ListenOptions::default()).await.unwrap();
    let mut far = FarEnd::accept(&mut listener).await;
    connections(&gear, 1).await;
    gear.stop().await;
    far.ended().await;
    assert_eq!(within(&mut left).await.unwrap(), LeaseEnd::Returned);
    // Nobody delivers the other one again.
    assert_eq!(discards.take().into_values().collect::<Vec<_>>(), [1]);
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
    let (second, end) = lent(&gear, b"two");
    {
        let mut waiting = std::pin::pin!(gear.process_msg("in", second.clone()));
        assert!(tokio::select! { biased; _ = &mut waiting => false, () = tokio::task::yield_now() => true });
    }
    // Whoever broke off the wait has the message still, and tries again.
    {
        let mut waiting = std::pin::pin!(gear.process_msg("in", second));
        assert!(tokio::select! { biased; _ = &mut waiting => false, () = tokio::task::yield_now() => true });
        far.write(&framed(b"")).await;
        waiting.await.unwrap();
    }
    far.expect(&framed(b"two")).await;
    far.write(&framed(b"")).await;
    assert_eq!(within(end).await.unwrap(), LeaseEnd::Settled);
    drop((far, listener));
    gear.stop().await;
}

#[tokio::test]
async fn what_a_client_has_in_hand_is_sent_by_the_one_in_its_place_before_anything_new() {
    let (mut listener, addr) = listener().await;
    let config = |timeout| {
        json!({
            "mode": "client", "connect": addr.to_string(), "framing": "length_prefix2", "await_acknowledgement": true,
            "connect_timeout": timeout, "max_queued_messages": 9, "reconnect_wait": "5ms", "reconnect_wait_max": "20ms",
        })
    };
    let mut gear = started::<IoTcp>(Mock::new(), config("1s")).await;
    let mut far = FarEnd::accept(&mut listener).await;
    connections(&gear, 1).await;
    let mut ends = vec![tracked(&mut gear, b"one").await, tracked(&mut gear, b"two").await];
    far.expect(&[framed(b"one"), framed(b"two")].concat()).await;

    // The connection sends nothing new, and ends once all it sent is acknowledged.
    let mut next = in_place_of(&mut gear, config("2s")).await;
    tokio::task::yield_now().await;
    ends.push(tracked(&mut next, b"three").await);
    far.write(&[framed(b""), framed(b"")].concat()).await;
    for end in &mut ends[..2] {
        assert_eq!(within(end).await.unwrap(), LeaseEnd::Settled);
    }
    far.ended().await;
    drop(far);
    let mut far = FarEnd::accept(&mut listener).await;
    far.expect(&framed(b"three")).await;

    // Connections that are lost meanwhile: the next one sends all of it.
    let mut last = in_place_of(&mut next, config("3s")).await;
    ends.push(tracked(&mut last, b"four").await);
    drop(far);
    let mut far = FarEnd::accept(&mut listener).await;
    far.expect(&[framed(b"three"), framed(b"four")].concat()).await;

    // A reload that fails gives it back, as often as that may be.
    let legacy = last.gear.hand_over().unwrap();
    assert!(next.gear.take_over(legacy).is_none());
    next.start().await.unwrap();
    ends.push(tracked(&mut next, b"five").await);
    far.write(&[framed(b""), framed(b"")].concat()).await;
    far.ended().await;
    let mut far = FarEnd::accept(&mut listener).await;
    far.expect(&framed(b"five")).await;
    far.write(&framed(b"")).await;
    for end in &mut ends[2..] {
        assert_eq!(within(end).await.unwrap(), LeaseEnd::Settled);
    }
    drop((far, listener));
    for gear in [gear, next, last] {
        gear.stop().await;
    }
}

#[tokio::test]
async fn a_client_whose_frames_are_others_leaves_nothing_to_the_next() {
    let config = |framing| json!({ "mode": "client", "connect": "127.0.0.1:9", "framing": framing, "await_acknowledgement": true });
    let mut gear = started::<IoTcp>(Mock::new(), config("length_prefix4")).await;
    let mut next = Mock::new().build::<IoTcp>(config("length_prefix2")).unwrap();
    let legacy = gear.gear.hand_over().unwrap();
    let refused = next.gear.take_over(legacy).expect("it has no use for that");
    assert!(gear.gear.take_over(refused).is_none());
    gear.start().await.unwrap();
    gear.stop().await;
    next.stop().await;
}

/// The gear that a reload puts in the place of another, started.
async fn in_place_of(gear: &mut MockGear<IoTcp>, config: Json) -> MockGear<IoTcp> {
    let mut next = Mock::new().build::<IoTcp>(config).unwrap();
    let legacy = gear.gear.hand_over().unwrap();
    assert!(next.gear.take_over(legacy).is_none());
    next.start().await.unwrap();
    next
}

/// Sends a message, and how it ends.
async fn tracked(gear: &mut MockGear<IoTcp>, payload: &[u8]) -> oneshot::Receiver<LeaseEnd> {
    let (msg, ended) = lent(gear, payload);
    within(gear.process_msg("in", msg)).await.unwrap();
    ended
}

/// A message, and how it ends.
fn lent(gear: &MockGear<IoTcp>, payload: &[u8]) -> (FluxMsg, oneshot::Receiver<LeaseEnd>) {
    let (tell, ended) = oneshot::channel();
    let mut msg = gear.ctx.message(payload.to_vec());
    msg.attach_lease(Lease::new(move |end| {
        let _ = tell.send(end);
    }));
    (msg, ended)
}
