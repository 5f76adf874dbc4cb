//! The policy for what fails, on this bus.

use std::time::Duration;

use super::{Ground, LEASE, SOON, WHILE, bodies, good, subject, word};
use crate::config::Retention;
use crate::intake::{Fate, HEADER_ATTEMPTS, HEADER_FROM, HEADER_REASON, HEADER_SEQUENCE, HEADER_SUBJECT};
use crate::intake::{Intake, Redelivery};

/// W2: what fails is given again after a delay that grows, so many times, and is a dead letter then: never dropped.
pub(super) async fn check(on: &Ground) {
    let dead = on.queue("i9").await;
    on.stream("i1", Retention::Queue, |_| {}).await;
    let all = on.consumer("i1", "all", |config| config.lease = LEASE).await;
    let delays = vec![Duration::from_millis(1), WHILE];
    let policy = Redelivery { attempts_max: 3, delays: delays.clone(), dead_letters: subject("i9.dead") };
    let intake = Intake::open(on.bus.clone(), word("i1"), word("all"), policy).await;
    let intake = good(intake, "a policy is put on a consumer");

    for body in ["retried", "rejected", "lapses"] {
        on.store(body, "i1.a", body).await;
    }
    let mut given = 0;
    let mut fates = Vec::new();
    let deadline = on.clock.now() + SOON;
    let mut letters = Vec::new();
    while letters.len() < 3 {
        assert!(on.clock.now() < deadline, "three dead letters, with {given} given, {letters:?}");
        for delivery in good(intake.fetch(10, WHILE).await, "a fetch succeeds") {
            given += 1;
            assert!(delivery.attempt <= 3, "no more than allowed");
            match &delivery.message.body[..] {
                b"retried" => fates.push(good(intake.retry(delivery, "no\nluck").await, "given back")),
                b"rejected" => assert_eq!(good(intake.reject(delivery, "bad").await, "rejected"), Fate::Dead),
                _ => drop(delivery),
            }
        }
        letters.extend(good(dead.fetch(10, Duration::from_millis(1)).await, "a fetch succeeds"));
    }
    assert_eq!(given, 3 + 1 + 3);
    assert_eq!(fates, [Fate::Again(delays[0]), Fate::Again(delays[1]), Fate::Dead]);
    letters.sort_by_key(|letter| letter.message.headers.get(HEADER_SEQUENCE).map(str::to_owned));
    assert_eq!(bodies(&letters), ["retried", "rejected", "lapses"], "each once");
    for (letter, attempts) in letters.iter().zip(["3", "1", "4"]) {
        let headers = &letter.message.headers;
        assert_eq!(headers.get(HEADER_FROM), Some("i1/all"));
        assert_eq!(headers.get(HEADER_SUBJECT), Some("i1.a"));
        assert_eq!(headers.get(HEADER_ATTEMPTS), Some(attempts));
        good(letter.lease.ack().await, "acknowledged");
    }
    assert_eq!(letters[0].message.headers.get(HEADER_REASON), Some("no luck"));
    on.clock.sleep(2 * LEASE).await;
    on.nothing_comes(&all, "all are with the dead letters").await;
}
