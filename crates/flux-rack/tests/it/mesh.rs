//! Wires between two racks, with a bus in the same process: the outbox of one and the inbox of the other.

use std::sync::Arc;

use flux_bus::{Bus, EmbeddedBus, Message, MessageId, Settings, Subject};
use flux_journal::Keys;
use flux_mesh::Line;
use flux_rack::{ChangeError, DurableStats, MeshStats, Remains};
use flux_scenario::{Ack, Durability};
use flux_world::World;
use serde_json::{Value as Json, json};

use crate::harness::{Plan, Running, within};

const DISK: Durability = Durability { ack: Ack::Disk, dedupe: false };

/// Directories of two racks and a bus.
struct House {
    directory: tempfile::TempDir,
    bus: Arc<EmbeddedBus>,
}

impl House {
    async fn new() -> House {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let bus = EmbeddedBus::open(&World::real(), &path, Settings::default(), Keys::none()).await;
        House { directory, bus: Arc::new(bus.unwrap()) }
    }

    fn path(&self, rack: &str) -> std::path::PathBuf {
        self.directory.path().join(rack)
    }

    fn in_house(&self, mut plan: Plan, rack: &str) -> Plan {
        plan.state_dir = self.path(rack);
        plan.mesh = Some(Line::one(self.bus.clone()));
        plan
    }

    fn north(&self, source: Json) -> Plan {
        self.north_with(source, DISK)
    }

    fn north_with(&self, source: Json, durability: Durability) -> Plan {
        let plan = Plan::new(false).gear("src", "source", source).mesh_out("w", "src.out", durability);
        self.in_house(plan, "north")
    }

    fn south(&self) -> Plan {
        self.in_house(Plan::new(false).gear("end", "sink", json!({})).mesh_in("w", "end.in", DISK), "south")
    }
}

fn wire(running: &Running) -> DurableStats {
    running.rack.stats().wires[0].durable.clone().unwrap()
}

async fn until(running: &Running, is_so: impl Fn(&DurableStats) -> bool) {
    within(async {
        while !is_so(&wire(running)) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn what_one_rack_sends_another_has_in_order_and_the_outbox_is_empty_then() {
    for ack in [Ack::Disk, Ack::Os] {
        let house = House::new().await;
        let durability = Durability { ack, dedupe: false };
        let (north, south) = (
            house.north_with(json!({"count": 3000, "batch": 9}), durability).boot().await,
            house.south().boot().await,
        );
        assert_eq!(south.texts("end", 3_000).await, numbers(0..3_000));
        until(&north, |wire| wire.accepted == 3_000 && wire.unsettled == 0).await;
        until(&south, |wire| wire.unsettled == 0).await;
        let Some(MeshStats::Out { to, is_connected, in_flight, acknowledged, sent_again, oldest_ms, .. }) =
            wire(&north).mesh
        else {
            panic!("north sends")
        };
        assert_eq!((to.as_str(), is_connected, in_flight, acknowledged), ("south", true, 0, 3_000));
        assert_eq!((sent_again, oldest_ms), (0, None));
        let Some(MeshStats::In { from, received, again, refused, .. }) = wire(&south).mesh else {
            panic!("south receives")
        };
        assert_eq!((from.as_str(), received, again, refused), ("north", 3_000, 0, 0));
        let (sent, received) = (north.rack.shut_down().await, south.rack.shut_down().await);
        assert!(sent.is_clean() && sent.on_disk.is_empty(), "{sent:?}");
        assert!(received.is_clean() && received.on_disk.is_empty(), "{received:?}");
    }
}

/// Who sends is told when it is safe here; the other rack may be away.
#[tokio::test]
async fn a_receipt_says_that_it_is_in_the_outbox_and_that_survives_a_restart() {
    let house = House::new().await;
    let source = json!({"count": 100, "tracked": true});
    let plan = Plan::new(false)
        .gear("src", "source", source)
        .gear("told", "sink", json!({}))
        .mesh_out("w", "src.out", DISK)
        .wire("src.receipts", "told.in");
    let north = house.in_house(plan, "north").boot().await;
    assert_eq!(north.texts("told", 100).await, vec!["Settled"; 100]);
    let report = north.rack.shut_down().await;
    assert_eq!((report.on_disk[0].name.as_str(), report.on_disk[0].messages), ("w", Some(100)));
    let north = house.north(json!({})).boot().await;
    let south = house.south().boot().await;
    assert_eq!(south.texts("end", 100).await, numbers(0..100));
    until(&north, |wire| wire.unsettled == 0).await;
}

/// What was received and not delivered is delivered by the next process, and the mark is known to it.
#[tokio::test]
async fn an_inbox_goes_on_where_it_stood() {
    let house = House::new().await;
    let north = house.north(json!({"count": 400})).boot().await;
    let stuck = house
        .in_house(Plan::new(false).gear("end", "hoard", json!({})).mesh_in("w", "end.in", DISK), "south");
    let south = stuck.boot().await;
    until(&south, |wire| wire.unsettled == 400).await;
    until(&north, |wire| wire.unsettled == 0).await;
    let report = south.rack.shut_down().await;
    assert_eq!(report.on_disk[0].messages, Some(400));
    let south = house.south().boot().await;
    assert_eq!(south.texts("end", 400).await, numbers(0..400));
    let Some(MeshStats::In { received: 0, gone: 0, gaps: 0, .. }) = wire(&south).mesh else {
        panic!("{:?}", wire(&south).mesh)
    };
}

#[tokio::test]
async fn order_holds_per_key_where_the_receiver_is_several() {
    let house = House::new().await;
    let plan = Plan::new(false)
        .parallel("work", "pass", 4, "payload")
        .gear("end", "sink", json!({}))
        .mesh_in("w", "work.in", DISK)
        .wire("work.out", "end.in");
    let south = house.in_house(plan, "south").boot().await;
    let texts: Vec<String> = (0..600).map(|n| format!("key{}", n % 7)).collect();
    let _north = house.north(json!({"texts": texts})).boot().await;
    let mut arrived = south.texts("end", 600).await;
    let mut sent = texts;
    arrived.sort_unstable();
    sent.sort_unstable();
    assert_eq!(arrived, sent);
}

#[tokio::test]
async fn what_is_no_pack_is_a_dead_letter_of_the_wire_that_no_gear_is_given() {
    let house = House::new().await;
    let mut plan = house.south();
    plan.settings.dead_letters = flux_scenario::settings::DeadLetterPlace::Disk;
    let mut south = plan.boot().await;
    until(&south, |wire| wire.mesh.as_ref().is_some_and(|mesh| mesh.link().0)).await;
    let subject = Subject::new("flux.msg.south.w").unwrap();
    let id = MessageId::new("poison").unwrap();
    house.bus.store(id, Message::new(subject, "0200 4111111111111111")).await.unwrap();
    let north = house.north(json!({"count": 10})).boot().await;
    assert_eq!(south.texts("end", 10).await, numbers(0..10), "and the wire goes on");
    until(&north, |wire| wire.unsettled == 0).await;
    let letters = south.rack.dead_letters();
    assert_eq!(letters.len(), 1);
    let handled = south.rack.replay(&Default::default(), 10).await.unwrap();
    assert_eq!(handled.letters, 0);
    assert!(handled.refused[0].0.contains("there is no gear `w`"), "{handled:?}");
}

/// W8: what is full makes its sender wait, and says so before.
#[tokio::test]
async fn a_full_outbox_makes_its_sender_wait_and_loses_nothing() {
    let house = House::new().await;
    let mut plan = house.north(json!({"count": 10_000, "batch": 50}));
    plan.store.segment_bytes = "64KiB".parse().unwrap();
    plan.store.bytes_max = "512KiB".parse().unwrap();
    let north = plan.boot().await;
    // It is full when there is no room for one more segment.
    until(&north, |wire| wire.stuck.is_some()).await;
    let wire = wire(&north);
    assert!(wire.accepted < 10_000, "{wire:?}");
    assert!(wire.bytes * 10 >= wire.bytes_max * 8, "it can be seen coming: {wire:?}");
    let south = house.south().boot().await;
    assert_eq!(south.texts("end", 10_000).await, numbers(0..10_000));
}

#[tokio::test]
async fn a_wire_to_another_rack_needs_a_bus() {
    let house = House::new().await;
    let mut plan = house.north(json!({}));
    plan.mesh = None;
    let Err(why @ ChangeError::Mesh { .. }) = plan.try_boot().await.map(drop) else {
        panic!("there is none")
    };
    assert!(why.to_string().contains("--bus"), "{why}");
    assert!(!house.path("north").join("outbox").exists(), "nothing was made");
}

/// A reload changes the receiver, then takes the wire out: what waits is delivered, or stays.
#[tokio::test]
async fn a_reload_keeps_what_a_mesh_wire_brings() {
    let house = House::new().await;
    let mut south = house.south().boot().await;
    let north = house.north(json!({"count": 2000})).boot().await;
    let version = |kind: &str| {
        Plan::new(false)
            .gear("pass", kind, json!({}))
            .gear("end", "sink", json!({}))
            .mesh_in("w", "pass.in", DISK)
            .wire("pass.out", "end.in")
            .circuit()
    };
    south.rack.reload(version("pass"), Remains::Delivered).await.unwrap();
    assert_eq!(south.texts("end", 2_000).await, numbers(0..2_000));
    until(&north, |wire| wire.unsettled == 0).await;
    let none = Plan::new(false).gear("end", "sink", json!({})).circuit();
    south.rack.reload(none.clone(), Remains::Delivered).await.unwrap();
    north.rack.shut_down().await;
    let north = house.north(json!({"texts": ["more"]})).boot().await;
    until(&north, |wire| wire.unsettled == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(wire(&north).unsettled, 1, "nobody receives by a wire that is out");
    south.rack.reload(version("pass"), Remains::Delivered).await.unwrap();
    assert_eq!(south.texts("end", 2_001).await.last().unwrap(), "more");
}

#[tokio::test]
async fn a_reload_does_not_take_out_an_outbox_that_holds_something() {
    let house = House::new().await;
    let mut plan = house.north(json!({"count": 10}));
    plan.settings.process_timeout = "100ms".parse().unwrap();
    let mut north = plan.boot().await;
    until(&north, |wire| wire.unsettled == 10).await;
    let none = || Plan::new(false).gear("src", "source", json!({})).circuit();
    let refused = north.rack.reload(none(), Remains::Delivered).await.map(drop);
    assert!(matches!(refused, Err(ChangeError::Holding { .. })), "{refused:?}");
    north.rack.reload(none(), Remains::LeftOnDisk).await.unwrap();
    assert_eq!(north.rack.left_on_disk()[0].name, "w");
    north.rack.shut_down().await;
    // A rack that never had the wire finds what is there.
    let plan = house.in_house(Plan::new(false).gear("src", "source", json!({})), "north");
    let north = plan.boot().await;
    let left = north.rack.left_on_disk();
    assert_eq!((left[0].name.as_str(), left[0].messages), ("outbox/w", Some(10)));
    north.rack.shut_down().await;
    let _north = house.north(json!({})).boot().await;
    let south = house.south().boot().await;
    assert_eq!(south.texts("end", 10).await, numbers(0..10));
}
