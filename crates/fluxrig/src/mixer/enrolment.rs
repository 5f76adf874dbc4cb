//! How a Rack asks to belong: keys made here, a request signed with its passport, an answer held against what was pinned.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, anyhow};
use flux_bus::Name;
use flux_identity::{Answer, EnrolmentRequest, Nonce};
use flux_nats::BusKey;
use flux_scenario::{passport::Passport, signed::Signed};
use hyper::Method;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use super::{
    client::{Client, Refused},
    identity::{Asked, Identity, Keys},
};

/// A Rack that asks.
pub(crate) struct Enroller {
    pub(crate) client: Client,
    pub(crate) rack: Name,
    pub(crate) passport: Passport,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state_dir: PathBuf,
}

/// What came of it.
pub(crate) enum Outcome {
    /// It belongs; what it was given is kept.
    Enrolled(Box<Identity>),
    /// Somebody has to approve the passport with this fingerprint.
    Pending { fingerprint: String, again_ms: u64 },
}

impl Enroller {
    /// Asks once, with a token or without; what it was given before has to fit.
    ///
    /// # Errors
    /// [`Refused`] when the Mixer says no.
    pub(crate) async fn ask(
        &self,
        token: Option<&str>,
        before: Option<&Identity>,
    ) -> anyhow::Result<Outcome> {
        let clock = self.client.world.clock;
        match self.ask_at(clock.unix_ms(), token, before).await {
            // The clocks differ: its is the one that counts.
            Err(why) => match why.downcast_ref::<Refused>().and_then(|refused| refused.0.now_unix_ms) {
                Some(now_unix_ms) => self.ask_at(now_unix_ms, token, before).await,
                None => Err(why),
            },
            answered => answered,
        }
    }

    async fn ask_at(
        &self,
        made_unix_ms: u64,
        token: Option<&str>,
        before: Option<&Identity>,
    ) -> anyhow::Result<Outcome> {
        let tls_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // Until it is time for another one, the key stays: each that is good is one more to make void.
        let kept = before.filter(|before| made_unix_ms < before.renew_unix_ms());
        let bus = kept.map_or_else(|| Ok(BusKey::generate()?), Identity::bus_key)?;
        let request = EnrolmentRequest {
            rack: self.rack.clone(),
            token: token.map(str::to_owned),
            nonce: nonce()?,
            made_unix_ms,
            csr: self.csr(&tls_key)?,
            bus_key: bus.public(),
            labels: self.labels.clone(),
            program: env!("CARGO_PKG_VERSION").into(),
            kinds: crate::gears().catalog().kinds().map(str::to_owned).collect(),
        };
        let body = json!({ "request": request.sign(&self.passport) });
        let answer: Answer = self.client.ask(Method::POST, "/racks/enrol", Some(&body)).await?;
        let answer = match answer {
            Answer::Pending { fingerprint, again_ms } => {
                return Ok(Outcome::Pending { fingerprint, again_ms });
            }
            Answer::Enrolled(answer) => *answer,
        };
        let keys = Keys { tls_key: tls_key.serialize_pem(), bus };
        let (mixer, key) = (self.client.address.to_string(), self.passport.public_key());
        let asked = Asked {
            mixer: &mixer,
            fingerprint: self.client.fingerprint,
            rack: &self.rack,
            key: &key,
            before,
        };
        let identity =
            Identity::accept(answer, keys, asked, made_unix_ms).context("the answer is refused")?;
        identity.keep(&self.client.world.disk, &self.state_dir)?;
        Ok(Outcome::Enrolled(Box::new(identity)))
    }

    fn csr(&self, key: &KeyPair) -> anyhow::Result<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.rack.as_str());
        Ok(params.serialize_request(key)?.pem()?)
    }
}

fn nonce() -> anyhow::Result<Nonce> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow!("the system gave no random bytes"))?;
    Ok(Nonce(bytes))
}
