//! Two racks in processes of their own, and a real bus between them: whatever is killed, stopped or wiped, what one accepted
//! the other delivers.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::Receiver,
    thread,
    time::Duration,
};

use flux_bus::{Bus as _, Message};
use serde_json::Value as Json;

use crate::{
    alone::Ground,
    durable::ledger,
    nats_server::{Server, Version, free_port},
    process::{PATIENCE, Running, ended, fluxrig},
};

/// No test waits for ever.
const LOOKS_MAX: usize = 3_000;

/// A line for each message, acknowledged when it is in the outbox; and one for each that arrives.
fn scenario(ledger: &str) -> String {
    format!(
        "meta: {{name: two-sites, version: v1.0.0}}
racks: [{{name: north}}, {{name: south}}]
gears:
  - {{name: till, type: io_tcp, deploy: north, config: {{mode: server, bind: '127.0.0.1:0', acknowledge: ok, delimiter_append: true}}}}
  - {{name: ledger, type: io_tcp, deploy: south, config: {{mode: client, connect: '{ledger}', delimiter_append: true, reconnect_wait: 20ms, reconnect_wait_max: 50ms}}}}
  - {{name: end, type: 'null', deploy: south}}
wires:
  - {{id: bookings, from: till.out, to: ledger.in}}
  - {{from: ledger.out, to: end.in}}
"
    )
}

/// A rack of the scenario, which may be killed and started again.
pub(crate) struct Rack {
    name: &'static str,
    pub(crate) ground: Ground,
    bus: String,
    pub(crate) process: Option<Running>,
}

impl Rack {
    fn new(name: &'static str, scenario: &str, bus: &str) -> Rack {
        let ground = Ground::new(scenario);
        fs::write(ground.settings(), "[snake]\noperation_timeout = '2s'\n").unwrap();
        Rack { name, ground, bus: bus.to_owned(), process: None }
    }

    pub(crate) fn start(&mut self) -> &mut Running {
        let settings = self.ground.settings();
        let rack = self.ground.rack(&["--rack", self.name, "--bus", &self.bus, "--config", &settings]);
        self.process.insert(rack)
    }

    pub(crate) fn till(&mut self) -> String {
        let printed = &self.process.as_ref().unwrap().printed;
        let listening = printed.lines().find_map(|line| {
            let event: Json = serde_json::from_str(line).ok()?;
            (event["message"] == "listening").then(|| event["addr"].as_str().unwrap().to_owned())
        });
        listening.unwrap_or_else(|| panic!("{printed}"))
    }

    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("KILL");
        process.wait();
    }

    pub(crate) fn wire(&self) -> Json {
        self.ground.status()["wires"][0]["durable"].clone()
    }

    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
        for _ in 0..LOOKS_MAX {
            let wire = self.wire();
            if is_so(&wire) {
                return wire;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{what}: {:#}", self.ground.status());
    }

    fn until_empty(&self) {
        self.until("it is empty", |wire| wire["unsettled"] == 0);
    }
}

/// A client that sends numbers, and keeps each until it is acknowledged.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) next: u32,
    pub(crate) kept: VecDeque<u32>,
}

impl Client {
    /// Sends so many new numbers after those that were kept, until all are acknowledged or the line is cut.
    pub(crate) fn send(&mut self, till: &str, count: u32) {
        self.kept.extend(self.next..self.next + count);
        self.next += count;
        let Ok(mut line) = TcpStream::connect(till) else { return };
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        while !self.kept.is_empty() {
            // As many as a server is ready to owe an answer for.
            let count = self.kept.len().min(1_000);
            let text: String = self.kept.iter().take(count).map(|number| format!("{number}\n")).collect();
            if line.write_all(text.as_bytes()).is_err() {
                return;
            }
            for _ in 0..count {
                let mut acknowledged = [0; 3];
                if line.read_exact(&mut acknowledged).is_err() {
                    return;
                }
                assert_eq!(&acknowledged, b"ok\n");
                self.kept.pop_front();
            }
        }
    }
}

/// Two racks, and the bus between them.
pub(crate) struct House<S = Server> {
    pub(crate) server: S,
    pub(crate) north: Rack,
    pub(crate) south: Rack,
    pub(crate) client: Client,
    arrived: Receiver<u32>,
    seen: Vec<u32>,
}

impl House {
    /// Two racks on a server, neither of them started.
    fn new(version: Version) -> Option<House> {
        let server = Server::start(version.program()?, None, "");
        let bus = format!("nats://127.0.0.1:{}", server.port);
        Some(House::on(server, &bus, ""))
    }

    fn started(version: Version) -> Option<House> {
        let mut house = House::new(version)?;
        house.north.start();
        house.south.start();
        Some(house)
    }
}

impl<S> House<S> {
    /// Two racks on a bus that is there, neither of them started; `snake` is added to what is said of the bus.
    pub(crate) fn on(server: S, bus: &str, snake: &str) -> House<S> {
        let (ledger, arrived) = ledger();
        let text = scenario(&ledger);
        let rack = |name| {
            let rack = Rack::new(name, &text, bus);
            let settings = format!("[snake]\noperation_timeout = '2s'\n{snake}");
            fs::write(rack.ground.settings(), settings).unwrap();
            rack
        };
        let (north, south) = (rack("north"), rack("south"));
        House { server, north, south, client: Client::default(), arrived, seen: Vec::new() }
    }

    pub(crate) fn send(&mut self, count: u32) {
        let till = self.north.till();
        self.client.send(&till, count);
    }

    /// Sends what is still to be acknowledged, and waits until all has arrived.
    pub(crate) fn finish(&mut self) {
        while !self.client.kept.is_empty() {
            self.send(0);
        }
        self.north.until_empty();
        self.south.until_empty();
        while let Ok(number) = self.arrived.recv_timeout(Duration::from_millis(500)) {
            self.seen.push(number);
        }
    }

    /// Everything arrived, in its order, and nothing twice.
    #[track_caller]
    pub(crate) fn arrived_once(&self) {
        self.is_all(&self.seen);
    }

    /// Everything arrived, in its order; what a receiver that was killed had in hand perhaps twice.
    #[track_caller]
    pub(crate) fn arrived(&self) {
        let mut before = BTreeSet::new();
        let firsts: Vec<u32> = self.seen.iter().copied().filter(|number| before.insert(*number)).collect();
        self.is_all(&firsts);
    }

    #[track_caller]
    fn is_all(&self, seen: &[u32]) {
        let wrong = seen.iter().zip(0..).find(|(number, at)| **number != *at);
        let south = || self.south.ground.status();
        assert!(
            wrong.is_none(),
            "{:?} in the place of {:?}: {:#}",
            wrong.unwrap().0,
            wrong.unwrap().1,
            south()
        );
        assert_eq!(seen.len(), self.client.next as usize, "{:#}", south());
    }
}

fn everything_arrives_once_on(version: Version) {
    let Some(mut house) = House::started(version) else { return };
    house.send(20_000);
    house.finish();
    house.arrived_once();
    let sent = &house.north.wire()["mesh"];
    assert_eq!(
        (sent["acknowledged"].as_u64(), sent["sent_again"].as_u64()),
        (Some(20_000), Some(0)),
        "{sent}"
    );
    assert_eq!(sent["is_connected"], true);
}

#[test]
fn everything_arrives_once_and_in_order() {
    everything_arrives_once_on(Version::Newest);
}

#[test]
fn everything_arrives_once_and_in_order_on_an_old_server() {
    everything_arrives_once_on(Version::Old);
}

/// Nothing but the bus is harmed: nothing may come twice.
#[test]
fn a_bus_that_is_killed_stopped_and_wiped_loses_and_repeats_nothing() {
    let Some(mut house) = House::started(Version::Newest) else { return };
    for round in 0..3 {
        house.send(1_500);
        house.server.kill();
        house.send(700);
        if round == 1 {
            house.server.wipe();
        }
        house.server.begin();
        house.send(700);
        house.server.signal("STOP");
        house.send(700);
        thread::sleep(Duration::from_secs(3));
        house.server.signal("CONT");
    }
    house.finish();
    house.arrived_once();
}

/// What the bus has stored goes in mid-run, with all that it says it has.
#[test]
fn what_a_bus_had_stored_and_lost_is_sent_again() {
    let Some(mut house) = House::new(Version::Newest) else { return };
    house.north.start();
    house.send(5_000);
    house.north.until("it is on the bus", |wire| wire["mesh"]["in_flight"] == 5_000);
    house.server.kill();
    house.server.wipe();
    house.server.begin();
    house.south.start();
    house.send(100);
    house.finish();
    house.arrived_once();
}

#[test]
fn racks_that_are_killed_lose_nothing() {
    let Some(mut house) = House::started(Version::Newest) else { return };
    for _ in 0..4 {
        let till = house.north.till();
        let (mut client, north) = (std::mem::take(&mut house.client), &mut house.north);
        let sending = thread::spawn(move || {
            client.send(&till, 3_000);
            client
        });
        thread::sleep(Duration::from_millis(120));
        north.kill();
        house.client = sending.join().unwrap();
        house.north.start();
        house.send(500);
        house.south.kill();
        house.send(500);
        house.south.start();
    }
    house.finish();
    house.arrived();
}

/// Both racks start without a bus; one of them is away for longer than anything is waited for.
#[test]
fn what_was_accepted_without_a_bus_and_without_the_other_rack_arrives_when_they_are_there() {
    let Some(mut house) = House::new(Version::Newest) else { return };
    house.server.kill();
    house.north.start();
    house.send(10_000);
    let wire = house.north.until("it is told", |wire| wire["mesh"]["trouble"].is_string());
    assert_eq!(
        (wire["mesh"]["is_connected"].as_bool(), wire["unsettled"].as_u64()),
        (Some(false), Some(10_000))
    );
    house.server.begin();
    house.north.until("it is on the bus", |wire| wire["mesh"]["is_connected"] == true);
    house.send(10_000);
    house.north.kill();
    house.north.start();
    house.south.start();
    house.send(1_000);
    house.finish();
    house.arrived_once();
}

/// The streams are the hub's; one rack is on a leaf node, which comes and goes.
#[test]
fn wires_lead_through_a_leaf_node() {
    let Some(program) = Version::Newest.program() else { return };
    let port = free_port();
    let hub =
        Server::start(program.clone(), Some("hub"), &format!("leafnodes {{ listen: 127.0.0.1:{port} }}"));
    let remote =
        format!("leafnodes {{ reconnect: 1s, remotes: [ {{ url: \"nats://127.0.0.1:{port}\" }} ] }}");
    let mut leaf = Server::start(program, Some("leaf"), &remote);
    let (ledger, arrived) = ledger();
    let text = scenario(&ledger);
    let mut north = Rack::new("north", &text, &format!("nats://127.0.0.1:{}", leaf.port));
    fs::write(north.ground.settings(), "[snake]\njetstream_domain = 'hub'\noperation_timeout = '2s'\n")
        .unwrap();
    let south = Rack::new("south", &text, &format!("nats://127.0.0.1:{}", hub.port));
    north.start();
    let client = Client::default();
    let mut house = House { server: hub, north, south, client, arrived, seen: Vec::new() };
    house.south.start();
    house.send(5_000);
    leaf.kill();
    house.send(2_000);
    leaf.begin();
    house.send(2_000);
    house.finish();
    house.arrived_once();
}

#[test]
fn a_message_of_three_megabytes_goes_in_parts() {
    let Some(program) = Version::Newest.program() else { return };
    let server = Server::start(program, None, "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let payload: String =
        (0..3_u32 << 20).map(|at| char::from(b'a' + (at.wrapping_mul(2_654_435_761) >> 28) as u8)).collect();
    let text = format!(
        "meta: {{name: t, version: v1.0.0}}
racks: [{{name: north}}, {{name: south}}]
gears:
  - {{name: src, type: generate, deploy: north, config: {{interval: 1ms, count: 3, payload: '{payload}'}}}}
  - {{name: ledger, type: io_tcp, deploy: south, config: {{mode: client, connect: '{}', delimiter_append: true, frame_bytes_max: 8MiB}}}}
  - {{name: end, type: 'null', deploy: south}}
wires:
  - {{id: long, from: src.out, to: ledger.in}}
  - {{from: ledger.out, to: end.in}}
",
        listener.local_addr().unwrap()
    );
    let bus = format!("nats://127.0.0.1:{}", server.port);
    let mut racks = [Rack::new("north", &text, &bus), Rack::new("south", &text, &bus)];
    for rack in &mut racks {
        fs::write(rack.ground.settings(), "[rack]\nmax_payload_size = '8MiB'\n").unwrap();
        rack.start();
    }
    let (connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let lines: Vec<String> = BufReader::new(connection).lines().take(3).map(Result::unwrap).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| *line == payload), "they are others");
    racks[0].until_empty();
}

/// Who is nobody on the bus keeps what it takes, says why, and shows no secret.
#[test]
fn a_rack_says_who_it_is_to_the_bus() {
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const USER: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let Some(program) = Version::Newest.program() else { return };
    let server = Server::start(program, None, &format!("authorization {{ users: [ {{ nkey: {USER} }} ] }}"));
    let (ledger, arrived) = ledger();
    let (text, bus) = (scenario(&ledger), format!("nats://127.0.0.1:{}", server.port));
    let mut racks = [Rack::new("north", &text, &bus), Rack::new("south", &text, &bus)];
    racks[0].start();
    let mut client = Client::default();
    client.send(&racks[0].till(), 10);
    let wire = racks[0].until("it is told", |wire| wire["mesh"]["trouble"].is_string());
    let why = wire["mesh"]["trouble"].as_str().unwrap();
    assert!(why.to_lowercase().contains("authorization"), "{why}");
    racks[0].kill();
    for rack in &mut racks {
        fs::write(rack.ground.directory.path().join("rack.nk"), SEED).unwrap();
        fs::write(rack.ground.settings(), "[snake]\nnkey_file = 'rack.nk'\n").unwrap();
        let printed = rack.start().printed.clone();
        assert!(!printed.contains(SEED));
    }
    let numbers: Vec<u32> = (0..10).map(|_| arrived.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    let shown = fluxrig(&["status", "--state-dir", &racks[0].ground.state]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(" bookings    to south   yes"), "{shown}");
}

/// What is wrong with the bus is an alarm once it has lasted.
#[test]
fn what_waits_for_long_in_an_outbox_raises_an_alarm() {
    let Some(mut house) = House::new(Version::Newest) else { return };
    fs::write(house.north.ground.settings(), "[snake]\nalarm_after = '1s'\n").unwrap();
    house.north.start();
    house.send(5);
    let alarm = |rack: &Rack| rack.ground.status()["alarms"][0].clone();
    let found = (0..LOOKS_MAX).map(|_| {
        thread::sleep(Duration::from_millis(20));
        alarm(&house.north)
    });
    let raised = found.into_iter().find(|alarm| alarm["alarm"] == "outbox").unwrap();
    assert_eq!(raised["why"], "bookings: 5 messages wait for `south`: `south` does not take it");
    house.south.start();
    house.finish();
    house.arrived_once();
    assert!((0..LOOKS_MAX).any(|_| {
        thread::sleep(Duration::from_millis(20));
        alarm(&house.north).is_null()
    }));
}

/// The example, as it is but for its addresses.
#[test]
fn the_example_of_two_sites_carries_bookings() {
    let Some(program) = Version::Newest.program() else { return };
    let server = Server::start(program, None, "");
    let (ledger, arrived) = ledger();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/two-sites/scenario.yaml");
    let text = fs::read_to_string(example).unwrap();
    let text = text.replace("127.0.0.1:9000", "127.0.0.1:0").replace("127.0.0.1:9001", &ledger);
    let bus = format!("nats://127.0.0.1:{}", server.port);
    let (mut shop, mut office) = (Rack::new("shop", &text, &bus), Rack::new("office", &text, &bus));
    shop.start();
    office.start();
    let mut client = Client { next: 1_001, kept: VecDeque::new() };
    client.send(&shop.till(), 3);
    let bookings: Vec<u32> = (0..3).map(|_| arrived.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(bookings, [1_001, 1_002, 1_003]);
}

/// What is no pack does not come round for ever, and holds nothing up.
#[test]
fn what_is_no_pack_is_a_dead_letter_with_its_bytes() {
    let Some(mut house) = House::started(Version::Newest) else { return };
    house.send(10);
    house.north.until_empty();
    let settings = house.server.settings();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = house.server.bus(settings).await;
        let message = Message::new("flux.msg.south.bookings".parse().unwrap(), "no pack at all");
        bus.store("stray".parse().unwrap(), message).await.unwrap();
    });
    house.send(10);
    house.finish();
    house.arrived_once();
    let wire = house.south.until("it is refused", |wire| wire["mesh"]["refused"] == 1);
    assert_eq!(wire["mesh"]["gaps"], 0, "{wire:#}");
    let listed = ended(&["dlq", "list", "--state-dir", &house.south.ground.state, "--json"], "");
    let shown = &listed.stdout;
    assert!(shown.contains("\"bookings\"") && shown.contains("undecodable"), "{shown}{}", listed.stderr);
}
