//! A Rack as a Mixer and a bus see one: what it asks, what it is given, and what it says from then on.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use flux_bus::{Bus, Message, Name, Pattern, Subject, subject};
use flux_identity::{Answer, EnrolmentRequest, Heartbeat, Nonce};
use flux_nats::{BusKey, Credentials, NatsBus, Settings, Tls};
use flux_scenario::signed::Signed;
use flux_world::World;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;

use super::{passport, place};

/// What may wait of what a Rack is told.
const TOLD_MAX: usize = 16;

pub(super) fn name(number: usize) -> String {
    format!("rack-{number:05}")
}

pub(super) fn chance() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system gives chance");
    bytes
}

/// One that asks to enrol, with its keys.
pub(super) struct Asking {
    rack: Name,
    signed: String,
    bus_key: BusKey,
    tls_key: String,
}

impl Asking {
    pub(super) fn new(number: usize, token: String) -> Result<Asking> {
        let rack = Name::new(name(number))?;
        let (key, bus_key) = (KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, BusKey::generate()?);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, rack.as_str());
        let request = EnrolmentRequest {
            rack: rack.clone(),
            token: Some(token),
            nonce: Nonce(chance()),
            made_unix_ms: World::real().clock.unix_ms(),
            csr: params.serialize_request(&key)?.pem()?,
            bus_key: bus_key.public(),
            labels: BTreeMap::from([("floor".to_owned(), (number % 7).to_string())]),
            program: env!("CARGO_PKG_VERSION").into(),
            kinds: ["io_tcp", "null", "generate"].map(String::from).into(),
        };
        let signed = request.sign(&passport());
        Ok(Asking { rack, signed, bus_key, tls_key: key.serialize_pem() })
    }

    pub(super) fn body(&self) -> Json {
        json!({ "request": self.signed })
    }

    /// One that belongs, with its files in the directory.
    pub(super) fn accept(self, directory: &Path, answer: Json) -> Result<Member> {
        let Answer::Enrolled(given) = serde_json::from_value(answer)? else { bail!("it has to wait") };
        let bus = given.bus.context("the Mixer has no server")?;
        let write = |what: &str, text: &str| -> Result<PathBuf> {
            let path = place(directory, self.rack.as_str(), what);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let identity = (write("pem", &given.certificate)?, write("key", &self.tls_key)?);
        let mut settings = Settings::new(bus.urls);
        settings.name = self.rack.to_string();
        settings.credentials = Credentials::Jwt(self.bus_key.credentials(&bus.jwt));
        settings.tls = Some(Tls { roots: write("ca", &given.ca)?, identity: Some(identity) });
        settings.inbox_prefix = Some(format!("{}_{}", subject::INBOX, self.rack));
        settings.request_deadline = Duration::from_secs(30);
        Ok(Member { rack: self.rack, settings })
    }
}

/// What all Racks together said.
#[derive(Default)]
pub(super) struct Beats(AtomicU64);

impl Beats {
    pub(super) fn sent(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that belongs.
pub(super) struct Member {
    rack: Name,
    settings: Settings,
}

impl Member {
    /// Connects when it is its turn, and says that it lives until it is ended. It begins somewhere between two heartbeats.
    pub(super) async fn live(
        self,
        world: World,
        every: Duration,
        turns: Arc<Semaphore>,
        connected: Arc<AtomicU64>,
        beats: Arc<Beats>,
    ) -> Result<()> {
        let turn = turns.acquire_owned().await?;
        let bus = Box::pin(NatsBus::connect(&world, self.settings)).await?;
        let mut told = bus.subscribe(Pattern::under_rack(subject::CONTROL, &self.rack), TOLD_MAX).await?;
        connected.fetch_add(1, Ordering::Relaxed);
        drop(turn);
        let clock = world.clock;
        let (began, to) = (clock.now(), Subject::new(format!("{}.{}.heartbeat", subject::AGENT, self.rack))?);
        let mut due = began + Duration::from_millis(world.entropy.below(every.as_millis() as u64));
        loop {
            tokio::select! {
                biased;
                () = clock.sleep_until(due) => {}
                message = told.next() => match message {
                    Some(_) => continue,
                    None => bail!("the bus is closed"),
                }
            }
            due += every;
            let uptime = clock.now().saturating_duration_since(began);
            let heartbeat = Heartbeat {
                program: env!("CARGO_PKG_VERSION").into(),
                passport_number: 1,
                uptime_ms: uptime.as_millis() as u64,
                ..Heartbeat::default()
            };
            bus.publish(Message::new(to.clone(), serde_json::to_vec(&heartbeat)?)).await?;
            beats.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
