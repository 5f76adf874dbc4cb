//! Who is let in, who is not, and what each is told.

use std::net::IpAddr;

use flux_bus::{Answer as BusAnswer, Error, Grants, Pattern, subject};
use flux_identity::{
    Answer, Enrolled, EnrolmentRequest, Heartbeat, Liveness, Nonce, RackState, Role, Scope, SignedPassport,
};
use flux_scenario::passport::Passport;
use flux_scenario::signed::Signed;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::*;
use crate::limits::BUS_KEYS_MAX;

mod synced;

use crate::keyring::{UnlockBy, chance};
use crate::tokens::Access;

/// An authority that says what it was asked.
#[derive(Debug, Default)]
struct Paper {
    revoked: Mutex<BTreeMap<String, u64>>,
    is_away: std::sync::atomic::AtomicBool,
}

impl Authority for Paper {
    fn may_revoke(&self) -> bool {
        true
    }

    fn issue(&self, rack: &Name, key: &str, grants: &Grants, _: u64) -> Result<String, Error> {
        if !key.starts_with('U') {
            return Err(Error::Invalid("the key for the bus is none".into()));
        }
        Ok(format!("{rack} {key} {}", grants.publish.len()))
    }

    fn revoke(&self, revoked: BTreeMap<String, u64>) -> BusAnswer<'_, ()> {
        *self.revoked.lock() = revoked;
        let is_away = self.is_away.load(Ordering::Relaxed);
        Box::pin(async move { if is_away { Err(Error::Away("killed".into())) } else { Ok(()) } })
    }
}

/// A Mixer in a directory, its fleet on an embedded bus.
pub(crate) struct House {
    pub(crate) mixer: Arc<Mixer>,
    pub(crate) first: Option<Token>,
    directory: Arc<tempfile::TempDir>,
    bus: Arc<dyn Bus>,
    authority: Arc<Paper>,
}

pub(crate) const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

pub(crate) fn actor() -> Actor {
    Actor { who: "test".into(), role: Role::Admin, scope: Scope::default() }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl House {
    pub(crate) async fn new() -> House {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let world = World::real();
        let place = directory.path().join("bus");
        let bus = EmbeddedBus::open(&world, &place, flux_bus::Settings::default(), Keys::none());
        let bus: Arc<dyn Bus> = Arc::new(bus.await.unwrap());
        House::open(directory, bus, Arc::default()).await
    }

    async fn open(directory: Arc<tempfile::TempDir>, bus: Arc<dyn Bus>, authority: Arc<Paper>) -> House {
        let world = World::real();
        let settings = MixerSettings {
            name: name("lab"),
            directory: directory.path().join("mixer"),
            heartbeat: Duration::from_secs(10),
            certificate_lifetime: Duration::from_secs(3_600),
        };
        let keyring =
            Keyring::open(&world, &settings.directory, &settings.name, &UnlockBy::KeyBeside).unwrap().0;
        let catalog = Arc::new(flux_gears::builtin().catalog());
        let parts = Components { world, keyring: Arc::new(keyring), catalog, shown: serde_json::json!({}) };
        let (mixer, first) = Mixer::open(parts, settings).await.unwrap();
        let urls = vec!["tls://127.0.0.1:4222".into()];
        let authority_of = Some(authority.clone() as Arc<dyn Authority>);
        mixer.set_fleet(Fleet { bus: bus.clone(), urls, bus_ca: None, authority: authority_of });
        House { mixer: Arc::new(mixer), first, directory, bus, authority }
    }

    /// The same, after its process ended and another began.
    async fn restarted(self) -> House {
        self.mixer.close().await;
        let House { mixer, directory, bus, authority, .. } = self;
        drop(mixer);
        House::open(directory, bus, authority).await
    }

    pub(crate) async fn invite(&self, rack: Option<&str>, lifetime: Duration) -> Token {
        let labels = BTreeMap::from([("site".to_owned(), "lisbon".to_owned())]);
        let invite = Invite { rack: rack.map(name), labels, lifetime };
        self.mixer.invite(&actor(), invite).await.unwrap()
    }

    pub(crate) async fn ask(&self, rack: &TestRack, token: Option<&Token>) -> Result<Answer, Refusal> {
        self.mixer.enrol(&rack.request(token), HERE).await
    }

    pub(crate) async fn enrolled(&self, rack: &TestRack, token: Option<&Token>) -> Enrolled {
        match self.ask(rack, token).await.unwrap() {
            Answer::Enrolled(enrolled) => *enrolled,
            Answer::Pending { .. } => panic!("it is put on the list"),
        }
    }

    async fn written(&self) -> Vec<String> {
        let entries = self.mixer.audit().entries(0, 1_000).await.unwrap();
        entries.iter().map(|entry| format!("{} {} {:?}", entry.what, entry.about, entry.outcome)).collect()
    }
}

/// A Rack as far as a Mixer sees it.
pub(crate) struct TestRack {
    name: Name,
    passport: Passport,
    bus_key: String,
}

impl TestRack {
    pub(crate) fn new(rack: &str) -> TestRack {
        let seed = chance().unwrap();
        let bus_key = format!("U{}", Hex(&seed[..8]).to_string().to_uppercase());
        TestRack { name: name(rack), passport: Passport::from_seed(seed), bus_key }
    }

    fn asked(&self, token: Option<&Token>) -> EnrolmentRequest {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.as_str());
        EnrolmentRequest {
            rack: self.name.clone(),
            token: token.map(Token::expose),
            nonce: Nonce(chance().unwrap()),
            made_unix_ms: World::real().clock.unix_ms(),
            csr: params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap(),
            bus_key: self.bus_key.clone(),
            labels: BTreeMap::from([("site".into(), "claimed".into()), ("rack".into(), "4".into())]),
            program: "0.1.0".into(),
            kinds: vec!["io_tcp".into()],
        }
    }

    pub(crate) fn request(&self, token: Option<&Token>) -> String {
        self.asked(token).sign(&self.passport)
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_token_lets_one_rack_in_once() {
    let house = House::new().await;
    let token = house.invite(None, HOUR).await;
    let north = TestRack::new("north");
    let enrolled = house.enrolled(&north, Some(&token)).await;
    let passport = SignedPassport::verify(enrolled.passport.as_bytes(), &enrolled.cluster_key).unwrap();
    assert_eq!(
        (passport.rack, passport.key, passport.number),
        (name("north"), north.passport.public_key(), 1)
    );
    assert_eq!(passport.labels["site"], "lisbon");
    assert_eq!(passport.labels.get("rack"), None, "what a rack says of itself decides nothing");
    assert_eq!(enrolled.bus.unwrap().jwt, format!("north {} 2", north.bus_key));
    let taken = house.ask(&TestRack::new("south"), Some(&token)).await;
    assert_eq!(taken, Err(Refusal::Token), "it is used up");
    // The answer may have been lost on the way: who is known gets another one, without a token or with the one that is spent.
    assert!(house.ask(&north, None).await.is_ok());
    assert!(house.ask(&north, Some(&token)).await.is_ok());
    let counted = house.mixer.counted();
    assert_eq!((counted.enrolled, counted.renewed, counted.refused), (1, 2, 1));
}

#[tokio::test]
async fn of_two_at_once_with_one_token_one_is_let_in() {
    let house = House::new().await;
    for round in 0..8 {
        let token = house.invite(None, HOUR).await;
        let [one, two] = ["a", "b"].map(|end| TestRack::new(&format!("rack-{round}-{end}")));
        let (one, two) = tokio::join!(house.ask(&one, Some(&token)), house.ask(&two, Some(&token)));
        assert_eq!([one, two].iter().filter(|answer| answer.is_ok()).count(), 1);
    }
}

#[tokio::test]
async fn tokens_that_are_not_good_are_all_the_same() {
    let house = House::new().await;
    let north = TestRack::new("north");
    let expired = house.invite(None, Duration::from_millis(1)).await;
    house.mixer.world().clock.sleep(Duration::from_millis(5)).await;
    let for_another = house.invite(Some("south"), HOUR).await;
    let unknown = Token::new(flux_identity::TokenKind::Enrolment, [9; 8], [9; 32], [9; 32]);
    let void = house.invite(None, HOUR).await;
    house.mixer.uninvite(&actor(), &void.id()).await.unwrap();
    let guessed = Token::new(flux_identity::TokenKind::Enrolment, for_another.id, [9; 32], [9; 32]);
    let access = house.first.clone().unwrap();
    for token in [expired, for_another, unknown, void, guessed, access] {
        assert_eq!(house.ask(&north, Some(&token)).await, Err(Refusal::Token), "{token:?}");
    }
    assert!(house.mixer.rack(&name("north")).is_err(), "and nothing is left of it");
    let written = house.written().await;
    assert_eq!(written.iter().filter(|line| *line == "rack.enrol north Refused").count(), 6);
    let too_long = Invite { rack: None, labels: BTreeMap::new(), lifetime: 8 * 24 * HOUR };
    assert!(matches!(house.mixer.invite(&actor(), too_long).await, Err(Refusal::Invalid(_))));
}

#[tokio::test]
async fn replays_forgeries_and_old_requests_are_refused() {
    let house = House::new().await;
    let north = TestRack::new("north");
    let request = north.request(Some(&house.invite(None, HOUR).await));
    let changed = request.replace("north", "south");
    assert!(matches!(house.mixer.enrol(&changed, HERE).await, Err(Refusal::Invalid(_))), "forged");
    assert!(house.mixer.enrol(&request, HERE).await.is_ok());
    assert!(matches!(house.mixer.enrol(&request, HERE).await, Err(Refusal::Stale { .. })), "a replay");
    let old = |made_unix_ms| EnrolmentRequest { made_unix_ms, ..north.asked(None) }.sign(&north.passport);
    let now = World::real().clock.unix_ms();
    for made in [now - 6 * 60_000, now + 6 * 60_000] {
        let refused = house.mixer.enrol(&old(made), HERE).await;
        assert!(matches!(refused, Err(Refusal::Stale { now_unix_ms, .. }) if now_unix_ms >= now));
    }
    // What another Mixer process knew of nonces is forgotten, and so nothing is taken from before it began.
    let house = house.restarted().await;
    assert!(matches!(house.mixer.enrol(&request, HERE).await, Err(Refusal::Stale { .. })));
    let other_name = EnrolmentRequest { rack: name("south"), ..north.asked(None) }.sign(&north.passport);
    assert!(
        matches!(house.mixer.enrol(&other_name, HERE).await, Err(Refusal::Invalid(_))),
        "a certificate for another"
    );
    for text in ["", "{}", "fluxrig enrolment 1\n{}\nkey x\nsignature y\n"] {
        assert!(matches!(house.mixer.enrol(text, HERE).await, Err(Refusal::Invalid(_))));
    }
}

#[tokio::test]
async fn without_a_token_somebody_has_to_approve() {
    let house = House::new().await;
    let (east, impostor) = (TestRack::new("east"), TestRack::new("east"));
    let Ok(Answer::Pending { fingerprint, .. }) = house.ask(&east, None).await else {
        panic!("it has to wait")
    };
    assert_eq!(fingerprint, east.passport.public_key().fingerprint());
    assert!(matches!(house.ask(&east, None).await, Ok(Answer::Pending { .. })), "it asks again");
    let refused = house.ask(&impostor, None).await;
    assert!(matches!(refused, Err(Refusal::NotEnrolled { .. })), "the name is another's: {refused:?}");
    assert!(house.mixer.suspend(&actor(), &name("east")).await.is_err());
    let view = house.mixer.approve(&actor(), &name("east")).await.unwrap();
    assert_eq!((view.state, view.fingerprint), (RackState::Active, fingerprint));
    house.enrolled(&east, None).await;
    assert!(house.ask(&impostor, None).await.is_err());
    let approved_twice = house.mixer.approve(&actor(), &name("east")).await;
    assert_eq!(approved_twice.unwrap_err().to_string(), "rack east is active, and so cannot become active");
}

/// Nobody learns by asking whether a name is there; whoever runs the Mixer learns why it was refused.
#[tokio::test]
async fn a_refusal_tells_the_reason_to_the_log_alone() {
    let house = House::new().await;
    let token = house.invite(None, HOUR).await;
    house.enrolled(&TestRack::new("north"), Some(&token)).await;
    let refused = house.ask(&TestRack::new("north"), None).await.unwrap_err();
    let Refusal::NotEnrolled { reference } = &refused else { panic!("{refused}") };
    assert!(!refused.to_string().contains("passport") && !refused.to_string().contains("north"));
    let entries = house.mixer.audit().entries(0, 100).await.unwrap();
    let entry = entries.iter().find(|entry| entry.detail.contains(reference.as_str())).unwrap();
    assert!(entry.detail.contains("another passport"), "{}", entry.detail);
}

#[tokio::test]
async fn who_is_suspended_gets_its_word_back_and_who_is_revoked_does_not() {
    let house = House::new().await;
    let north = TestRack::new("north");
    house.enrolled(&north, Some(&house.invite(None, HOUR).await)).await;
    let rack = name("north");
    let revoked = || house.authority.revoked.lock().keys().cloned().collect::<Vec<_>>();
    house.mixer.suspend(&actor(), &rack).await.unwrap();
    assert_eq!(revoked(), std::slice::from_ref(&north.bus_key));
    let barred = TestRack {
        bus_key: "UNEW".into(),
        passport: Passport::parse(&north.passport.to_text()).unwrap(),
        name: rack.clone(),
    };
    assert!(matches!(house.ask(&barred, None).await, Err(Refusal::Barred(_))));
    house.mixer.activate(&actor(), &rack).await.unwrap();
    assert!(revoked().is_empty());
    house.enrolled(&north, None).await;
    house.mixer.revoke(&actor(), &rack).await.unwrap();
    assert_eq!(revoked(), std::slice::from_ref(&north.bus_key));
    assert!(house.mixer.activate(&actor(), &rack).await.is_err());
    let token = house.invite(None, HOUR).await;
    assert!(
        matches!(house.ask(&barred, Some(&token)).await, Err(Refusal::Barred(_))),
        "its passport is void"
    );
    assert!(house.ask(&north, Some(&token)).await.is_err(), "and so is its key for the bus");
    let house = house.restarted().await;
    assert_eq!(house.mixer.revoked().len(), 1, "it is kept");
    let again = TestRack::new("north");
    let enrolled = house.enrolled(&again, Some(&token)).await;
    let passport = SignedPassport::verify(enrolled.passport.as_bytes(), &enrolled.cluster_key).unwrap();
    assert_eq!(passport.number, 3, "the number goes on");
    house.mixer.remove(&actor(), &rack).await.unwrap();
    assert!(house.mixer.rack(&rack).is_err());
    assert_eq!(house.mixer.revoked().len(), 2, "what it was given is void all the same");
}

/// What a Rack has to be told void of is bounded, whatever it asks for; and it never lacks a key that it has.
#[tokio::test]
async fn a_rack_has_so_many_keys_and_no_more() {
    let house = House::new().await;
    let mut north = TestRack::new("north");
    let first = north.bus_key.clone();
    house.enrolled(&north, Some(&house.invite(None, HOUR).await)).await;
    for n in 1..BUS_KEYS_MAX {
        north.bus_key = format!("UKEY{n}");
        house.enrolled(&north, None).await;
    }
    north.bus_key = "UONETOOMANY".into();
    assert!(matches!(house.ask(&north, None).await, Err(Refusal::TooMany(_))));
    north.bus_key = first;
    house.enrolled(&north, None).await;
    house.mixer.revoke(&actor(), &name("north")).await.unwrap();
    assert_eq!(house.mixer.revoked().len(), BUS_KEYS_MAX);
}

/// A name that a stranger asked for belongs to whoever shows a token for it.
#[tokio::test]
async fn a_name_is_not_held_by_asking_for_it() {
    let house = House::new().await;
    assert!(matches!(house.ask(&TestRack::new("hub"), None).await, Ok(Answer::Pending { .. })));
    let hub = TestRack::new("hub");
    house.enrolled(&hub, Some(&house.invite(Some("hub"), HOUR).await)).await;
    assert_eq!(house.mixer.rack(&name("hub")).unwrap().fingerprint, hub.passport.public_key().fingerprint());
}

/// Who says more than there is to say is not heard, and no event is made of it.
#[tokio::test]
async fn a_rack_that_floods_is_heard_no_more_than_others() {
    let house = House::new().await;
    house.enrolled(&TestRack::new("north"), Some(&house.invite(None, HOUR).await)).await;
    tokio::time::pause();
    let heard = |n: u8| {
        let orders = Some(flux_scenario::edition::ContentHash([n; 32]));
        house.mixer.registry.hear(&name("north"), Heartbeat { orders, ..Heartbeat::default() }).is_some()
    };
    assert_eq!((0..200).filter(|n| heard(*n)).count(), crate::limits::HEARTBEATS_BURST as usize);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(heard(0));
    tokio::time::resume();
}

#[tokio::test]
async fn a_bus_that_could_not_be_told_is_told_again() {
    let house = House::new().await;
    let north = TestRack::new("north");
    house.enrolled(&north, Some(&house.invite(None, HOUR).await)).await;
    house.authority.is_away.store(true, Ordering::Relaxed);
    let told = house.mixer.revoke(&actor(), &name("north")).await;
    assert!(matches!(told, Err(Refusal::Unavailable(_))), "it is said that the bus does not know yet");
    assert_eq!(house.mixer.rack(&name("north")).unwrap().state, RackState::Revoked);
    assert_eq!(house.mixer.revoked().len(), 1);
    house.authority.revoked.lock().clear();
    house.authority.is_away.store(false, Ordering::Relaxed);
    let clock = house.mixer.world().clock;
    let is_told = async {
        while house.authority.revoked.lock().is_empty() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        () = house.mixer.run() => unreachable!("it runs for ever"),
        told = clock.timeout(Duration::from_secs(20), is_told) => told.unwrap(),
    }
}

#[tokio::test]
async fn who_is_not_approved_makes_room() {
    let house = House::new().await;
    house.ask(&TestRack::new("east"), None).await.unwrap();
    house.mixer.sweep().await;
    assert!(house.mixer.rack(&name("east")).is_ok());
    let long_ago = |record: &mut crate::registry::Record| {
        record.first_seen_unix_ms -= crate::limits::PENDING_AGE_MAX.as_millis() as u64 + 1;
        Ok(())
    };
    house.mixer.registry.change(&name("east"), long_ago).await.unwrap();
    house.mixer.sweep().await;
    assert!(house.mixer.rack(&name("east")).is_err());
    assert!(house.written().await.contains(&"rack.forget east Done".to_owned()));
}

#[tokio::test]
async fn heartbeats_show_who_lives() {
    let house = House::new().await;
    house.enrolled(&TestRack::new("north"), Some(&house.invite(None, HOUR).await)).await;
    let clock = house.mixer.world().clock;
    let deadline = clock.now() + Duration::from_secs(10);
    let send = async |subject: &str, body: String| {
        house
            .bus
            .publish(flux_bus::Message::new(subject::Subject::new(subject).unwrap(), body))
            .await
            .unwrap();
    };
    let seen = async {
        loop {
            let heartbeat =
                Heartbeat { program: "0.2.0".into(), passport_number: 1, gears: 4, ..Heartbeat::default() };
            send("fluxrig.agent.nobody.heartbeat", "{}".into()).await;
            send("fluxrig.agent.north.heartbeat", "x".repeat(100)).await;
            send("fluxrig.agent.north.heartbeat", serde_json::to_string(&heartbeat).unwrap()).await;
            let view = house.mixer.rack(&name("north")).unwrap();
            if view.liveness == Liveness::Online {
                return view;
            }
            assert!(clock.now() < deadline, "{view:?}");
            clock.sleep(Duration::from_millis(10)).await;
        }
    };
    let view = tokio::select! {
        biased;
        () = house.mixer.run() => unreachable!("it runs for ever"),
        view = seen => view,
    };
    assert_eq!((view.program.as_str(), view.gears, view.passport_number_actual), ("0.2.0", Some(4), Some(1)));
    assert!(house.mixer.counted().heartbeats_unreadable > 0);
    let all = Pattern::under(subject::AGENT);
    assert!(all.matches(&subject::Subject::new("fluxrig.agent.north.heartbeat").unwrap()));
}

#[tokio::test]
async fn a_rack_gets_its_part_of_the_scenario_and_a_stream() {
    let house = House::new().await;
    let scenario = "
meta: {name: branch, version: 1.0.0}
racks: [{name: north}, {name: south}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, bind: 'mine:1'}}
  - {name: centre, type: io_tcp, deploy: south, config: {mode: client, connect: 'theirs:1'}}
wires: [{id: w1, from: line.out, to: centre.in}]
";
    assert!(matches!(house.mixer.start_with(b"gears: 7".to_vec()).await, Err(Refusal::Unfit(..))));
    house.mixer.start_with(scenario.into()).await.unwrap();
    let enrolled = house.enrolled(&TestRack::new("south"), Some(&house.invite(None, HOUR).await)).await;
    let passport = SignedPassport::verify(enrolled.passport.as_bytes(), &enrolled.cluster_key).unwrap();
    let part = passport.orders.part.unwrap();
    assert!(part.text.contains("theirs") && !part.text.contains("mine"));
    assert!(enrolled.bus.unwrap().jwt.ends_with(" 3"), "it may acknowledge to the sender of its wire");
    house.bus.consumer(name("south_w1"), name("inbox")).await.unwrap();
}

#[tokio::test]
async fn the_first_token_is_made_once_and_the_last_of_an_admin_stays() {
    let house = House::new().await;
    let first = house.first.clone().unwrap();
    let caller = house.mixer.actor(&first.expose(), "test").await.unwrap();
    assert_eq!(caller.role, Role::Admin);
    assert!(house.mixer.revoke_access(&actor(), &first.id()).await.is_err());
    let viewer =
        house.mixer.make_access(&actor(), "screen", Role::Viewer, Scope::default(), None).await.unwrap();
    assert!(house.mixer.revoke_access(&actor(), &first.id()).await.is_err(), "a viewer is no admin");
    let admin =
        house.mixer.make_access(&actor(), "ops", Role::Admin, Scope::default(), Some(HOUR)).await.unwrap();
    house.mixer.revoke_access(&actor(), &first.id()).await.unwrap();
    let house = house.restarted().await;
    assert_eq!(house.first, None);
    assert!(house.mixer.actor(&first.expose(), "test").await.is_err());
    for (token, role) in [(viewer, Role::Viewer), (admin, Role::Admin)] {
        assert_eq!(house.mixer.actor(&token.expose(), "test").await.unwrap().role, role);
    }
    let kept: Vec<crate::tokens::Listed<Access>> = house.mixer.accesses().await.unwrap();
    assert!(!serde_json::to_string(&kept).unwrap().contains("hash"));
}
