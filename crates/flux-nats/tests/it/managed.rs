//! The server we start ourselves: what it lets whom do, what it refuses, and that it comes back.

mod house;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use flux_bus::{Bus, Grants, Message, MessageId, Pattern, subject};
use flux_nats::server::{AccountKey, Program};
use flux_nats::{BusKey, Credentials, NatsBus, Settings};
use flux_world::World;

use crate::ca::Ca;
use crate::server::{PATIENCE, Server, Version};
use house::{House, name, raw};

/// What a thief who has all the files of north tries: every verb of JetStream on the streams of north, south and a bucket,
/// what others say of themselves, answers to others, and the server itself.
fn forbidden_to_publish() -> Vec<String> {
    let mut subjects: Vec<String> = Vec::new();
    let alone = [
        "INFO",
        "STREAM.NAMES",
        "STREAM.LIST",
        "ACCOUNT.PURGE.x",
        "META.LEADER.STEPDOWN",
        "SERVER.REMOVE",
        "STREAM.TEMPLATE.CREATE.x",
    ];
    subjects.extend(alone.map(|verb| format!("$JS.API.{verb}")));
    let of_stream = [
        "STREAM.CREATE",
        "STREAM.UPDATE",
        "STREAM.DELETE",
        "STREAM.PURGE",
        "STREAM.SNAPSHOT",
        "STREAM.RESTORE",
        "STREAM.MSG.GET",
        "STREAM.MSG.DELETE",
        "STREAM.LEADER.STEPDOWN",
        "STREAM.PEER.REMOVE",
        "DIRECT.GET",
        "CONSUMER.CREATE",
        "CONSUMER.NAMES",
        "CONSUMER.LIST",
    ];
    let of_consumer = [
        "CONSUMER.CREATE",
        "CONSUMER.DURABLE.CREATE",
        "CONSUMER.DELETE",
        "CONSUMER.LEADER.STEPDOWN",
        "CONSUMER.PAUSE",
        "CONSUMER.UNPIN",
        "CONSUMER.RESET",
    ];
    for stream in ["north_w2", "south_w1", "KV_racks"] {
        subjects.extend(of_stream.map(|verb| format!("$JS.API.{verb}.{stream}")));
        subjects.extend(of_consumer.map(|verb| format!("$JS.API.{verb}.{stream}.inbox")));
        subjects.push(format!("$JS.API.CONSUMER.CREATE.{stream}.inbox.flux.msg.south.w1"));
        subjects.push(format!("$JS.API.DIRECT.GET.{stream}.flux.msg.south.w1"));
    }
    subjects.extend(["east_w3", "KV_racks"].map(|stream| format!("$JS.API.STREAM.INFO.{stream}")));
    for stream in ["south_w1", "KV_racks"] {
        subjects.extend(
            ["CONSUMER.INFO", "CONSUMER.MSG.NEXT"].map(|verb| format!("$JS.API.{verb}.{stream}.inbox")),
        );
        subjects.push(format!("$JS.ACK.{stream}.inbox.1.1.1.1.1"));
    }
    let others = [
        "fluxrig.agent.south.heartbeat",
        "fluxrig.agent.heartbeat",
        "flux.telemetry.south.logs",
        "flux.ctrl.south.stop",
        "flux.ctrl.north.stop",
        "flux.ctrl.south.mesh.w1",
        "flux.msg.south.w2",
        "flux.msg.south",
        "flux.msg.north.w1",
        "flux.msg.east.w1",
        "_INBOX.x.1",
        "_INBOX_south.x.1",
        "$KV.racks.north",
        "$O.x.M.y",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.CLAIMS.UPDATE",
        "$SYS.ACCOUNT.x.CONNECT",
        "$SYS.REQ.USER.INFO.x",
        "$SRV.PING",
        "$JSC.R.x",
        "$NRG.x",
        "anything",
        "a.b.c",
    ];
    subjects.extend(others.map(String::from));
    subjects
}

const FORBIDDEN_TO_HEAR: [&str; 19] = [
    "flux.msg.north.>",
    ">",
    "*",
    "*.*",
    "flux.>",
    "flux.msg.>",
    "flux.msg.*.w1",
    "flux.msg.south.>",
    "flux.ctrl.>",
    "flux.ctrl.south.>",
    "flux.telemetry.>",
    "fluxrig.>",
    "fluxrig.agent.>",
    "_INBOX.>",
    "_INBOX_south.>",
    "_INBOX_*.>",
    "$SYS.>",
    "$JS.>",
    "$KV.>",
];

async fn a_stolen_credential_is_good_for_little(version: Version) {
    let Some((house, ca)) = House::start(version).await else { return };
    let mixer = house.mixer(&ca).await;
    house.furnish(&mixer).await;
    let (client, mut errors) = raw(&house.rack(&ca, "north", &BusKey::generate().unwrap())).await;
    let mut refused = async |what: &str, subject: &str| {
        let heard = house.world.clock.timeout(Duration::from_secs(5), errors.recv()).await;
        let error = heard.unwrap_or_else(|_| panic!("{what} {subject:?} was let through")).unwrap();
        let wanted = format!("permissions violation for {what} to \"{}\"", subject.to_lowercase());
        assert!(error.to_lowercase().contains(&wanted), "{wanted}: {error}");
    };
    for subject in forbidden_to_publish() {
        client.publish(subject.clone(), "x".into()).await.unwrap();
        refused("publish", &subject).await;
    }
    for subject in FORBIDDEN_TO_HEAR {
        let heard = client.subscribe(subject).await.unwrap();
        refused("subscription", subject).await;
        drop(heard);
    }
    // And with a reply where an answer would go to somebody else's inbox: the answer comes from whoever is asked, with his rights.
    client.publish("fluxrig.agent.north.heartbeat", "{}".into()).await.unwrap();
    client.publish("flux.msg.south.w1", "x".into()).await.unwrap();
    client.flush().await.unwrap();
    assert!(errors.try_recv().is_err(), "what is its own is let through");
}

#[tokio::test]
async fn a_stolen_credential_is_good_for_little_on_the_newest_server() {
    a_stolen_credential_is_good_for_little(Version::Newest).await;
}

#[tokio::test]
async fn a_stolen_credential_is_good_for_little_on_an_old_server() {
    a_stolen_credential_is_good_for_little(Version::Old).await;
}

/// What a Rack is for it can do, by our own bus: send on its wire, read and acknowledge what comes on it, say that it lives.
async fn a_rack_does_its_work(version: Version) {
    let Some((house, ca)) = House::start(version).await else { return };
    let mixer = house.mixer(&ca).await;
    house.furnish(&mixer).await;
    let mut heard = mixer.subscribe(Pattern::under(subject::AGENT), 8).await.unwrap();
    let [north, south] = ["north", "south"].map(|rack| house.rack(&ca, rack, &BusKey::generate().unwrap()));
    let north = NatsBus::connect(&house.world, north).await.unwrap();
    let south = NatsBus::connect(&house.world, south).await.unwrap();
    let to = |text: &str| subject::Subject::new(text).unwrap();
    north
        .store(MessageId::new("w1/1").unwrap(), Message::new(to("flux.msg.south.w1"), "0200"))
        .await
        .unwrap();
    let consumer = south.consumer(name("south_w1"), name("inbox")).await.unwrap();
    let deliveries = consumer.fetch(8, Duration::from_secs(5)).await.unwrap();
    assert_eq!(deliveries[0].message.body, "0200");
    deliveries[0].lease.ack().await.unwrap();
    assert!(consumer.fetch(8, Duration::from_millis(300)).await.unwrap().is_empty());
    south.publish(Message::new(to("fluxrig.agent.south.heartbeat"), "{}")).await.unwrap();
    assert_eq!(heard.next().await.unwrap().subject.as_str(), "fluxrig.agent.south.heartbeat");
    // A request of the Mixer is answered, to an inbox that a Rack may not send to otherwise.
    let mut told = north.subscribe(Pattern::under_rack(subject::CONTROL, &name("north")), 8).await.unwrap();
    let (answer, answered) = tokio::join!(
        mixer.request(Message::new(to("flux.ctrl.north.ping"), "?"), Duration::from_secs(5)),
        async {
            let request = told.next().await.unwrap();
            flux_bus::answer(&north, &request, "!").await
        }
    );
    answered.unwrap();
    assert_eq!(answer.unwrap().body, "!");
}

#[tokio::test]
async fn a_rack_does_its_work_on_the_newest_server() {
    a_rack_does_its_work(Version::Newest).await;
}

#[tokio::test]
async fn a_rack_does_its_work_on_an_old_server() {
    a_rack_does_its_work(Version::Old).await;
}

/// Revoked, a connection dies and none is made; activated again, the same credentials are good; and a server that starts again
/// knows who is revoked.
async fn who_is_revoked_has_no_word(version: Version) {
    let Some((house, ca)) = House::start(version).await else { return };
    let clock = house.world.clock;
    let key = BusKey::generate().unwrap();
    let settings = house.rack(&ca, "north", &key);
    let (client, _errors) = raw(&settings).await;
    let deadline = clock.now() + PATIENCE;
    clock.sleep(Duration::from_millis(1_100)).await;
    let revoked = BTreeMap::from([(key.public(), clock.unix_ms() / 1_000)]);
    house.server.revoke(revoked.clone()).await.unwrap();
    while client.connection_state() == async_nats::connection::State::Connected {
        assert!(clock.now() < deadline, "it is still connected");
        clock.sleep(Duration::from_millis(20)).await;
    }
    let connects = async || NatsBus::connect(&house.world, settings.clone()).await.is_ok();
    assert!(!connects().await, "revoked, it comes back");
    house.server.revoke(BTreeMap::new()).await.unwrap();
    assert!(connects().await, "what was suspended is good again");
    house.server.revoke(revoked).await.unwrap();
    assert!(!connects().await);
    let other = house.rack(&ca, "south", &BusKey::generate().unwrap());
    // Killed, it is started again, and knows who is revoked.
    let pid = house.server.pid().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    while NatsBus::connect(&house.world, other.clone()).await.is_err() || house.server.pid() == Some(pid) {
        assert!(clock.now() < deadline + PATIENCE, "it does not come back");
        clock.sleep(Duration::from_millis(50)).await;
    }
    assert!(!connects().await, "a server that was started again has forgotten who is revoked");
}

#[tokio::test]
async fn who_is_revoked_has_no_word_on_the_newest_server() {
    who_is_revoked_has_no_word(Version::Newest).await;
}

#[tokio::test]
async fn who_is_revoked_has_no_word_on_an_old_server() {
    who_is_revoked_has_no_word(Version::Old).await;
}

/// Neither certificate nor bus identity is enough alone, and neither is a foreign or an expired one.
/// W60: nobody without an identity says or hears a word. W66: and nothing is said in the clear.
#[tokio::test]
async fn without_both_identities_nobody_is_let_in() {
    let Some((house, ca)) = House::start(Version::Newest).await else { return };
    let foreign = Ca::new(house.directory.path(), "foreign");
    let good = house.rack(&ca, "north", &BusKey::generate().unwrap());
    let connects = async |settings: Settings| NatsBus::connect(&house.world, settings).await.is_ok();
    assert!(connects(good.clone()).await);
    let with = |identity| {
        let mut settings = good.clone();
        settings.tls.as_mut().unwrap().identity = identity;
        settings
    };
    assert!(!connects(with(None)).await, "no certificate");
    assert!(!connects(with(Some(foreign.issue("north", 30)))).await, "a foreign certificate");
    assert!(!connects(with(Some(ca.issue("expired", 1)))).await, "an expired certificate");
    let mut nobody = good.clone();
    nobody.credentials = Credentials::None;
    assert!(!connects(nobody).await, "no bus identity");
    let mut foreign_issuer = good.clone();
    let key = BusKey::generate().unwrap();
    let grants = Grants::of_rack(&name("north"), &[]).unwrap();
    let other = AccountKey::from_seed(&nkeys::KeyPair::new_account().seed().unwrap(), None).unwrap();
    let now = house.world.clock.unix_ms() / 1_000;
    let jwt = other.user("north", &key.public(), &grants, now, None).unwrap();
    foreign_issuer.credentials = Credentials::Jwt(key.credentials(&jwt));
    assert!(!connects(foreign_issuer.clone()).await, "signed by another account");
    let jwt = house.server.users().user("north", &key.public(), &grants, now - 20, Some(now - 10)).unwrap();
    foreign_issuer.credentials = Credentials::Jwt(key.credentials(&jwt));
    assert!(!connects(foreign_issuer.clone()).await, "expired");
    let thief = BusKey::generate().unwrap();
    let jwt = house.server.users().user("north", &key.public(), &grants, now, None).unwrap();
    foreign_issuer.credentials = Credentials::Jwt(thief.credentials(&jwt));
    assert!(!connects(foreign_issuer).await, "a bus identity without its key");
}

/// A leaf node with the files of a Rack is heard as that Rack, and as nobody else.
#[tokio::test]
async fn a_leaf_node_speaks_for_the_rack_whose_files_it_has() {
    let Some((house, ca)) = House::start(Version::Newest).await else { return };
    let mixer = house.mixer(&ca).await;
    let mut heard = mixer.subscribe(Pattern::under(subject::AGENT), 64).await.unwrap();
    let settings = house.rack(&ca, "north", &BusKey::generate().unwrap());
    let Credentials::Jwt(credentials) = &settings.credentials else { panic!("a JWT") };
    let file = house.directory.path().join("bus.creds");
    fs::write(&file, credentials).unwrap();
    let tls = settings.tls.as_ref().unwrap();
    let (certificate, key) = tls.identity.clone().unwrap();
    let more = format!(
        "leafnodes {{ remotes: [{{ url: \"tls://127.0.0.1:{}\", credentials: {file:?}, tls {{ cert_file: {certificate:?}, \
         key_file: {key:?}, ca_file: {:?} }} }}] }}",
        house.leaf, tls.roots
    );
    let leaf = Server::start(Version::Newest.program().unwrap(), None, &more);
    let bus = leaf.bus(leaf.settings()).await;
    let deadline = house.world.clock.now() + PATIENCE;
    let said = loop {
        for rack in ["south", "north"] {
            let to = subject::Subject::new(format!("fluxrig.agent.{rack}.heartbeat")).unwrap();
            bus.publish(Message::new(to, "{}")).await.unwrap();
        }
        if let Ok(Some(message)) = house.world.clock.timeout(Duration::from_millis(200), heard.next()).await {
            break message;
        }
        assert!(house.world.clock.now() < deadline, "{}", leaf.log());
    };
    assert_eq!(said.subject.as_str(), "fluxrig.agent.north.heartbeat");
    house.world.clock.sleep(Duration::from_millis(500)).await;
    while let Ok(Some(message)) = house.world.clock.timeout(Duration::from_millis(50), heard.next()).await {
        assert_eq!(message.subject.as_str(), "fluxrig.agent.north.heartbeat", "it spoke for another rack");
    }
}

/// The configuration is its owner's alone, and has no seed in it.
/// W64: what the bus keeps is sealed.
#[tokio::test]
async fn the_configuration_is_private_and_the_store_is_sealed() {
    use std::os::unix::fs::PermissionsExt;

    let Some((house, ca)) = House::start(Version::Newest).await else { return };
    let mixer = house.mixer(&ca).await;
    house.furnish(&mixer).await;
    let to = subject::Subject::new("flux.msg.south.w1").unwrap();
    let secret = "4111111111111111";
    mixer.store(MessageId::new("w1/1").unwrap(), Message::new(to, secret.repeat(8))).await.unwrap();
    let bus = house.directory.path().join("bus");
    let config = bus.join("nats-server.conf");
    let text = fs::read_to_string(&config).unwrap();
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!text.contains(&"07".repeat(32)), "the key of the store is in no file");
    drop(mixer);
    house.server.stop().await;
    let mut open = vec![bus];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let bytes = fs::read(&path).unwrap();
                    let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                    assert!(!found, "{}", path.display());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_program_that_is_none_is_said_to_be() {
    let world = World::real();
    let why = async |path: &str| {
        Program::find(&world, Some(Path::new(path)), None, None).await.unwrap_err().to_string()
    };
    assert!(why("/nowhere/nats-server").await.contains("cannot be started"));
    assert!(why("/bin/true").await.contains("does not say that it is a nats-server"));
}

/// What a server answers goes to the reply that was asked for, whoever listens there: so what comes on a subject is not for that
/// alone from who may send on it. What is told to a Rack has to say by itself who says it.
#[tokio::test]
async fn an_answer_of_the_server_can_be_sent_to_somebody_else() {
    let Some((house, ca)) = House::start(Version::Newest).await else { return };
    let mixer = house.mixer(&ca).await;
    house.furnish(&mixer).await;
    let south =
        NatsBus::connect(&house.world, house.rack(&ca, "south", &BusKey::generate().unwrap())).await.unwrap();
    let mut told = south.subscribe(Pattern::under_rack(subject::CONTROL, &name("south")), 8).await.unwrap();
    let (thief, _errors) = raw(&house.rack(&ca, "north", &BusKey::generate().unwrap())).await;
    thief
        .publish_with_reply("$JS.API.STREAM.INFO.north_w2", "flux.ctrl.south.stop", "".into())
        .await
        .unwrap();
    thief.flush().await.unwrap();
    let heard = house.world.clock.timeout(Duration::from_secs(5), told.next()).await.unwrap().unwrap();
    assert_eq!(heard.subject.as_str(), "flux.ctrl.south.stop");
    let words = String::from_utf8_lossy(&heard.body).into_owned();
    assert!(
        words.starts_with("{\"type\":\"io.nats.jetstream.api.v1.stream_info_response\""),
        "no word of the thief's own"
    );
}
