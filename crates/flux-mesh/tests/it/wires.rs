//! What a wire does, one thing at a time.

use std::time::Duration;

use flux_bus::{Bus, Message, MessageId};
use flux_journal::{Ack, Journal};
use flux_mesh::{Content, Pack};
use flux_world::sim::{DiskLatency, Sim};

use crate::house::{House, body, contents, name, next, number, numbers, remove, route};

async fn append(outbox: &Journal, numbers: std::ops::Range<u64>) {
    for number in numbers {
        outbox.append(&body(number)).await.unwrap();
    }
    outbox.sync().await.unwrap();
}

#[test]
fn what_is_sent_arrives_in_order_and_leaves_the_outbox_then() {
    Sim::run(1, async |sim| {
        let house = House::new(sim).await;
        let (north, south) = (house.sender("w"), house.receiver("w"));
        append(&north.journal, 0..5_000).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 5_000).await;
        assert_eq!(numbers(&south.journal).await, (0..5_000).collect::<Vec<_>>());
        let status = north.what.status();
        assert_eq!((status.sent, status.sent_again, status.oldest_unix_ns), (0, 0, None));
        assert!(status.is_connected && south.what.status().is_connected);
        assert_eq!(south.what.status().received, 5_000);
    });
}

#[test]
fn a_long_record_goes_in_parts() {
    Sim::run(2, async |sim| {
        let mut house = House::new(sim).await;
        house.segment_bytes = 16 << 20;
        let (north, south) = (house.sender("w"), house.receiver("w"));
        let long: Vec<u8> = (0..3_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        append(&north.journal, 0..3).await;
        north.journal.append(&long).await.unwrap();
        append(&north.journal, 3..6).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 7).await;
        let arrived = contents(&south.journal).await;
        assert_eq!(arrived[3], long);
        assert_eq!(number(&arrived[4]), 3);
    });
}

/// W1: what was published while the receiver was away is not lost to it.
#[test]
fn what_was_taken_while_the_receiver_was_away_arrives_when_it_is_back() {
    Sim::run(3, async |sim| {
        let house = House::new(sim).await;
        let north = house.sender("w");
        append(&north.journal, 0..20_000).await;
        house.pause(600_000).await;
        let status = north.what.status();
        assert_eq!((status.acknowledged, status.heard), (0, None));
        assert_eq!(status.sent_again, 0, "who does not answer is not sent it again and again");
        assert!(status.oldest_unix_ns.is_some());
        let south = house.receiver("w");
        house.until("all is acknowledged", || north.what.status().acknowledged == 20_000).await;
        assert_eq!(numbers(&south.journal).await, (0..20_000).collect::<Vec<_>>());
    });
}

#[test]
fn what_the_bus_lost_is_sent_again_though_it_had_stored_it() {
    Sim::run(4, async |sim| {
        let house = House::new(sim).await;
        let north = house.sender("w");
        append(&north.journal, 0..3_000).await;
        house
            .until("all is sent", || north.what.status().sent == 3_000 && north.what.status().stores == 0)
            .await;
        house.wipe_bus().await;
        let south = house.receiver("w");
        append(&north.journal, 3_000..3_010).await;
        house.pause(30_000).await;
        println!(
            "{:?} {:?} {:?}",
            north.what.status(),
            south.what.status(),
            house.centre.stream(name("south_w")).await
        );
        house.until("all is acknowledged", || north.what.status().acknowledged == 3_010).await;
        assert_eq!(numbers(&south.journal).await, (0..3_010).collect::<Vec<_>>());
    });
}

#[test]
fn what_is_no_pack_is_kept_apart_and_the_wire_goes_on() {
    Sim::run(5, async |sim| {
        let house = House::new(sim).await;
        let (north, south) = (house.sender("w"), house.receiver("w"));
        append(&north.journal, 0..10).await;
        house.until("something is acknowledged", || north.what.status().acknowledged == 10).await;
        for (id, body) in [("1", &b"0200 4111"[..]), ("2", b"")] {
            let message = Message::new(route("w").packs(), body.to_vec());
            house.centre.store(MessageId::new(id).unwrap(), message).await.unwrap();
        }
        append(&north.journal, 10..20).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 20).await;
        let kept = house.letters.0.lock().clone();
        assert_eq!(kept, [("0200 4111".into(), "undecodable"), ("".into(), "undecodable")]);
        assert_eq!(south.what.status().refused, 2);
        assert_eq!(numbers(&south.journal).await, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn an_outbox_that_was_lost_is_followed_by_another_and_what_is_left_of_it_is_kept_apart() {
    Sim::run(6, async |sim| {
        let house = House::new(sim).await;
        let (north, south) = (house.sender("w"), house.receiver("w"));
        append(&north.journal, 0..10).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 10).await;
        house.crash("north", north).await;
        remove(&house.world("north").disk, "/var/lib/flux/w".as_ref());
        let north = house.sender("w");
        append(&north.journal, 100..110).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 10).await;
        assert_eq!(numbers(&south.journal).await, (0..10).chain(100..110).collect::<Vec<_>>());
        let content = Content::Records(vec!["late".into()]);
        let old = Pack { epoch: 1, after: 0, first: 0, content };
        let message = Message::new(route("w").packs(), old.encode());
        house.centre.store(MessageId::new("old").unwrap(), message).await.unwrap();
        house.until("it is kept", || south.what.status().refused == 1).await;
        assert_eq!(house.letters.0.lock()[0].1, "stale_pack");
    });
}

#[test]
fn an_inbox_that_was_lost_goes_on_with_what_the_outbox_still_has() {
    Sim::run(7, async |sim| {
        let house = House::new(sim).await;
        let (north, south) = (house.sender("w"), house.receiver("w"));
        append(&north.journal, 0..10).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 10).await;
        house.crash("south", south).await;
        remove(&house.world("south").disk, "/var/lib/flux/w".as_ref());
        let south = house.receiver("w");
        append(&north.journal, 10..20).await;
        house.until("all is acknowledged", || north.what.status().acknowledged == 20).await;
        assert_eq!(numbers(&south.journal).await, (10..20).collect::<Vec<_>>());
        assert_eq!(south.what.status().gone, 10);
    });
}

/// The outbox is acknowledged early: what the loss of power takes back must not have been sent.
#[test]
fn what_is_not_on_disk_is_not_sent() {
    Sim::run(8, async |sim| {
        let house = House::new(sim).await;
        let (north, south) = (house.sender("w"), house.receiver("w"));
        append(&north.journal, 0..5).await;
        north.journal.set_ack(Ack::Os);
        house
            .disk("north")
            .set_latency(DiskLatency { sync: Duration::from_secs(60), ..DiskLatency::default() });
        let more: Vec<Vec<u8>> = (5..10).map(body).collect();
        north.journal.append_batch(&more).await.unwrap().wait().await.unwrap();
        house.pause(10_000).await;
        assert_eq!(next(&south), 5);
        assert_eq!(numbers(&south.journal).await, (0..5).collect::<Vec<_>>());
    });
}

/// One wire has a backlog and a receiver that is away; the other is live.
#[test]
fn a_backlog_does_not_hold_up_another_wire() {
    Sim::run(9, async |sim| {
        let house = House::new(sim).await;
        let (full, live) = (house.sender("full"), house.sender("live"));
        append(&full.journal, 0..50_000).await;
        let south = house.receiver("live");
        append(&live.journal, 0..1).await;
        house.until("it is warm", || next(&south) == 1).await;
        let clock = house.world("north").clock;
        for number in 1..50 {
            let began = clock.now();
            append(&live.journal, number..number + 1).await;
            while next(&south) != number + 1 {
                clock.sleep(Duration::from_millis(1)).await;
            }
            let took = clock.now() - began;
            assert!(took < Duration::from_millis(250), "{took:?}");
        }
        let state = house.centre.stream(name("south_full")).await.unwrap();
        assert!(state.last_sequence > 0, "and it is on the bus");
    });
}
