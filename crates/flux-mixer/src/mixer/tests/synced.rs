//! What is to run, and what of it is said to: nothing is in order that nobody said so.

use flux_identity::{Scope, Sync, Topology};

use super::*;

const SCENARIO: &str = "
meta: {name: branch, version: 1.0.0}
racks: [{name: north}, {name: south}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, bind: '127.0.0.1:1'}}
  - {name: centre, type: io_tcp, deploy: south, config: {mode: server, bind: '127.0.0.1:1'}}
";

fn syncs(topology: &Topology) -> Vec<(String, Sync)> {
    topology.racks.iter().map(|rack| (rack.name.to_string(), rack.sync)).collect()
}

fn says(house: &House, rack: &str, orders: Option<flux_scenario::edition::ContentHash>) {
    house.mixer.registry.hear(&name(rack), Heartbeat { orders, ..Heartbeat::default() });
}

/// W47: a Rack is not said to run what it is to run until it says so itself. W51: nor when it is not heard of any more.
#[tokio::test]
async fn a_fleet_is_in_order_only_as_far_as_it_says_so() {
    let house = House::new().await;
    let topology = || house.mixer.topology(&Scope::default(), None, 10);
    assert_eq!((topology().scenario, topology().counts), (None, Default::default()));
    assert_eq!(topology().is_synced, None, "where nothing is to run, nothing is in order");
    house.mixer.start_with(SCENARIO.into()).await.unwrap();
    assert_eq!((topology().missing.join(" "), topology().is_synced), ("north south".into(), Some(false)));
    for rack in ["north", "south", "west"] {
        house.enrolled(&TestRack::new(rack), Some(&house.invite(None, HOUR).await)).await;
    }
    let unknown = |rack: &str| (rack.to_owned(), Sync::Unknown);
    assert_eq!(syncs(&topology()), [unknown("north"), unknown("south"), ("west".into(), Sync::Idle)]);
    let desired = |at: usize| topology().racks[at].desired;
    assert!(desired(0).is_some() && desired(0) != desired(1) && desired(2).is_some());
    says(&house, "north", desired(0));
    says(&house, "south", desired(0));
    assert_eq!(syncs(&topology())[..2], [("north".into(), Sync::Synced), ("south".into(), Sync::Behind)]);
    assert_eq!(topology().is_synced, Some(false));
    says(&house, "south", desired(1));
    assert_eq!(topology().is_synced, Some(true));
    let changed = SCENARIO.replace("1.0.0", "1.1.0");
    let push = Push { sort: Sort::Scenario, text: changed.into(), note: String::new(), is_dry_run: false };
    house.mixer.push(&actor(), push).await.unwrap();
    assert_eq!(topology().is_synced, Some(true), "pushed is not activated");
    house.mixer.activate_scenario(&actor(), &name("branch"), "latest", None, false).await.unwrap();
    assert_eq!((topology().counts.behind, topology().is_synced), (2, Some(false)));
    says(&house, "north", desired(0));
    says(&house, "south", desired(1));
    assert_eq!(topology().is_synced, Some(true));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(topology().counts.unknown, 2, "nobody is heard of");
    tokio::time::resume();
    let page = house.mixer.topology(&Scope::default(), None, 2);
    assert_eq!((page.racks.len(), page.next.as_deref(), page.counts.idle), (2, Some("south"), 1));
    assert_eq!(house.mixer.topology(&Scope::default(), Some(&name("south")), 2).racks[0].name, name("west"));
}

#[tokio::test]
async fn what_is_active_is_active_after_a_restart_and_comes_before_what_is_in_the_settings() {
    let house = House::new().await;
    house.mixer.start_with(SCENARIO.into()).await.unwrap();
    let active = house.mixer.active().unwrap();
    let house = house.restarted().await;
    assert_eq!(house.mixer.active().unwrap(), active);
    house.mixer.start_with(SCENARIO.replace("1.0.0", "2.0.0").into()).await.unwrap();
    assert_eq!(house.mixer.active().unwrap(), active, "it is kept, and is not what a person activated");
    let north = house.enrolled(&TestRack::new("north"), Some(&house.invite(None, HOUR).await)).await;
    let passport = SignedPassport::verify(north.passport.as_bytes(), &north.cluster_key).unwrap();
    assert_eq!(passport.orders.part.unwrap().version.as_deref(), Some("1.0.0"));
}

/// W54: of activations at once each is made upon what whoever asked had seen, or not at all.
#[tokio::test]
async fn of_activations_at_once_none_overtakes_unseen() {
    let house = House::new().await;
    house.mixer.start_with(SCENARIO.into()).await.unwrap();
    for tag in ["2.0.0", "3.0.0"] {
        let text = SCENARIO.replace("1.0.0", tag).into();
        let push = Push { sort: Sort::Scenario, text, note: String::new(), is_dry_run: false };
        house.mixer.push(&actor(), push).await.unwrap();
    }
    let (seen, _) = house.mixer.active().unwrap();
    let (branch, who) = (name("branch"), actor());
    let activate = |tag| house.mixer.activate_scenario(&who, &branch, tag, Some(&seen), false);
    let (one, two) = tokio::join!(activate("2.0.0"), activate("3.0.0"));
    let refused = |answer: &Result<_, Refusal>| matches!(answer, Err(Refusal::Changed { .. }));
    assert_eq!([refused(&one), refused(&two)].iter().filter(|is| **is).count(), 1);
    let winner = one.or(two).unwrap();
    assert_eq!(house.mixer.active().unwrap(), winner);
    let house = house.restarted().await;
    assert_eq!(house.mixer.active().unwrap(), winner);
}

/// A Rack that has something else is told so, now and whenever it says so; and who listens to events is told who is heard of.
#[tokio::test]
async fn a_rack_is_told_that_there_is_something_new_for_it() {
    let house = House::new().await;
    house.enrolled(&TestRack::new("north"), Some(&house.invite(None, HOUR).await)).await;
    let to = Pattern::under_rack(subject::CONTROL, &name("north"));
    let mut told = house.bus.subscribe(to, 16).await.unwrap();
    house.mixer.start_with(SCENARIO.into()).await.unwrap();
    assert_eq!(told.next().await.unwrap().subject.as_str(), "flux.ctrl.north.orders");
    let desired = house.mixer.topology(&Scope::default(), None, 1).racks[0].desired;
    let (clock, begin) = (house.mixer.world().clock, house.mixer.events().now().0);
    let heartbeat = |orders| serde_json::to_string(&Heartbeat { orders, ..Heartbeat::default() }).unwrap();
    let beats = async {
        let to = subject::Subject::new("fluxrig.agent.north.heartbeat").unwrap();
        loop {
            let orders = Some(flux_scenario::edition::ContentHash([7; 32]));
            house.bus.publish(flux_bus::Message::new(to.clone(), heartbeat(orders))).await.unwrap();
            let told = clock.timeout(Duration::from_millis(100), told.next()).await;
            let events = house.mixer.events().after(begin, 9).unwrap();
            let is_told = |what: &str| events.iter().any(|event| event.what == what);
            if told.is_ok() && is_told("rack.online") && is_told("rack.orders") {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = house.mixer.run() => unreachable!("it runs for ever"),
        () = beats => {}
        () = clock.sleep(Duration::from_secs(30)) => panic!("it is not told"),
    }
    assert_eq!(house.mixer.behind(&name("north"), desired), None, "who obeys is left alone");
    assert_eq!(house.mixer.behind(&name("north"), None), desired, "who runs something of its own is told");
}

/// W53: a wire to a group leads to each Rack that has its labels, and who has the other end gets wires as they come and go.
#[tokio::test]
async fn a_group_is_who_is_in_it() {
    let house = House::new().await;
    let text = "
meta: {name: branch, version: 1.0.0}
racks: [{name: south}, {group: tills, match: {labels: {kind: till}}}]
gears:
  - {name: till, type: io_tcp, deploy: tills, config: {mode: server, bind: '127.0.0.1:1'}}
  - {name: centre, type: io_tcp, deploy: south, config: {mode: server, bind: '127.0.0.1:1'}}
wires: [{id: sales, from: till.out, to: centre.in}]
";
    house.mixer.start_with(text.into()).await.unwrap();
    house.enrolled(&TestRack::new("south"), Some(&house.invite(None, HOUR).await)).await;
    let wires = || {
        let part = house.mixer.desired().whole_part(&name("south"), &BTreeMap::new()).unwrap();
        part.wires.iter().map(|wire| wire.wire.to_string()).collect::<Vec<_>>().join(" ")
    };
    let desired = || {
        house
            .mixer
            .topology(&Scope::default(), None, 9)
            .racks
            .into_iter()
            .rev()
            .find_map(|rack| rack.desired)
            .unwrap()
    };
    let alone = desired();
    assert_eq!(wires(), "");
    for till in ["p1", "p2"] {
        let labels = BTreeMap::from([("kind".to_owned(), "till".to_owned())]);
        let token =
            house.mixer.invite(&actor(), Invite { rack: None, labels, lifetime: HOUR }).await.unwrap();
        house.enrolled(&TestRack::new(till), Some(&token)).await;
    }
    assert_eq!(wires(), "sales-p1 sales-p2");
    assert!(desired() != alone);
    assert_eq!(house.mixer.behind(&name("south"), Some(alone)), Some(desired()));
    house.mixer.suspend(&actor(), &name("p1")).await.unwrap();
    assert_eq!(wires(), "sales-p1 sales-p2", "what it has sent is to arrive when it may speak again");
    house.mixer.revoke(&actor(), &name("p1")).await.unwrap();
    assert_eq!(wires(), "sales-p2");
}
