//! At most once: publish, subscribe, request.

use std::time::Duration;

use super::{Ground, SOON, WHILE, good, pattern, subject};
use crate::bus::answer;
use crate::error::Error;
use crate::message::Message;

pub(super) async fn check(on: &Ground) {
    who_listens_is_told(on).await;
    a_full_queue_counts_what_it_drops(on).await;
    a_request_is_answered(on).await;
    what_is_too_long_is_refused(on).await;
}

async fn who_listens_is_told(on: &Ground) {
    let mut all = good(on.bus.subscribe(pattern("m1.>"), 16).await, "a subscription");
    let mut one = good(on.bus.subscribe(pattern("m1.*.x"), 16).await, "a subscription");
    for text in ["m1.a", "m1.b.x", "m2.c"] {
        let message = good(Message::new(subject(text), text.to_owned()).with("Flux-A", "b c"), "a header");
        good(on.bus.publish(message).await, "it is published");
    }
    for want in ["m1.a", "m1.b.x"] {
        let got = on.within(all.next(), "it is heard").await.expect("the bus is open");
        assert_eq!((got.subject.as_str(), &got.body[..]), (want, want.as_bytes()), "in order");
        assert_eq!(got.headers.get("Flux-A"), Some("b c"), "with its headers");
        assert_eq!(got.reply, None);
    }
    let got = on.within(one.next(), "it is heard").await.expect("the bus is open");
    assert_eq!(got.subject.as_str(), "m1.b.x");
    assert!(on.clock.timeout(WHILE, all.next()).await.is_err(), "what does not match is not heard");
}

async fn a_full_queue_counts_what_it_drops(on: &Ground) {
    let mut few = good(on.bus.subscribe(pattern("m3"), 2).await, "a subscription");
    for _ in 0..5 {
        good(on.bus.publish(Message::new(subject("m3"), "x")).await, "publishing waits for nobody");
    }
    on.within(
        async {
            while few.dropped() < 3 {
                on.clock.sleep(Duration::from_millis(5)).await;
            }
        },
        "what does not fit is counted",
    )
    .await;
    for _ in 0..2 {
        on.within(few.next(), "what fits is heard").await.expect("the bus is open");
    }
    good(on.bus.publish(Message::new(subject("m3"), "y")).await, "it is published");
    assert_eq!(on.within(few.next(), "it is heard").await.expect("the bus is open").body, "y", "it goes on");
    assert_eq!(few.dropped(), 3);
}

async fn a_request_is_answered(on: &Ground) {
    let ask = |text: &str, wait| on.bus.request(Message::new(subject(text), "ping"), wait);
    let error = ask("m4.nobody", SOON).await.expect_err("nobody is there");
    assert_eq!(error, Error::NobodyListens("m4.nobody".into()));

    let mut asked = good(on.bus.subscribe(pattern("m4.*"), 4).await, "a subscription");
    let (answered, ()) = tokio::join!(ask("m4.a", SOON), async {
        let request = on.within(asked.next(), "the request is heard").await.expect("the bus is open");
        good(answer(&*on.bus, &request, "pong").await, "it is answered");
    });
    assert_eq!(good(answered, "a request is answered").body, "pong");

    let error = ask("m4.b", WHILE).await.expect_err("nobody answers");
    assert_eq!(error, Error::Deadline(WHILE));
}

async fn what_is_too_long_is_refused(on: &Ground) {
    let bytes_max = on.bus.body_bytes_max();
    assert!(bytes_max >= 16 << 10, "a bus carries 16 KiB: {bytes_max}");
    let message = |bytes: usize| Message::new(subject("m5"), vec![7; bytes]);
    let mut heard = good(on.bus.subscribe(pattern("m5"), 4).await, "a subscription");
    let want = Error::TooLong { bytes: bytes_max + 1, bytes_max };
    assert_eq!(on.bus.publish(message(bytes_max + 1)).await, Err(want));
    good(on.bus.publish(message(bytes_max)).await, "the longest is published");
    let got = on.within(heard.next(), "the longest is heard").await.expect("the bus is open");
    assert_eq!(got.body.len(), bytes_max);
}
