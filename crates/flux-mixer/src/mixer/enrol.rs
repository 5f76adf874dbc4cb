//! Enrolment: what a Rack asks, who decides, and what it is given.
//!
//! ```text
//!                      no token                    a good token
//! unknown name         pending                     active
//! known, same key      active: renewed             active
//!                      pending: still pending      active
//!                      suspended, revoked: barred  barred
//! known, other key     refused                     refused; of a revoked Rack: active, with the new key
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use flux_bus::{Bus, Grants, Name};
use flux_identity::{
    Answer, BusIdentity, Duty, Enrolled, EnrolmentRequest, Orders, Part, RackState, SignedPassport,
};
use flux_scenario::hex::Hex;
use flux_scenario::passport::PublicKey;
use flux_scenario::signed::Signed;

use super::{Fleet, Mixer};
use crate::audit::{Note, Outcome};
use crate::ca::Csr;
use crate::limits::BUS_KEYS_MAX;
use crate::refusal::Refusal;
use crate::registry::Record;
use crate::tokens::{Found, Invitation};

/// When a Rack that waits for approval may ask again.
const AGAIN_MS: u64 = 3_000;

const SUSPENDED: &str = "this rack is suspended: `fluxrig racks activate` lets it have its word again";
const REVOKED: &str =
    "what this rack was given is void: it needs a new token, and a passport of its own made anew";

/// A request that was checked as far as it can be without knowing who asks.
struct Checked {
    request: EnrolmentRequest,
    key: PublicKey,
    csr: Csr,
    /// What the reason for a refusal is found by in the audit log.
    reference: String,
    who: String,
}

impl Mixer {
    /// Answers a request to enrol, or to renew: the signed text of an [`EnrolmentRequest`].
    ///
    /// # Errors
    /// What is refused is counted and written down.
    pub async fn enrol(&self, text: &str, from: IpAddr) -> Result<Answer, Refusal> {
        let checked = match self.checked(text, from) {
            Ok(checked) => checked,
            Err(why) => {
                self.refuse(&from.to_string(), "rack.enrol", "", &why.to_string()).await;
                return Err(why);
            }
        };
        let answer = self.decide(&checked).await;
        if let Err((why, reason)) = &answer {
            let reason = format!("{}: {reason} (from {from})", checked.reference);
            self.refuse(&checked.who, "rack.enrol", checked.request.rack.as_str(), &reason).await;
            tracing::warn!(rack = %checked.request.rack, %from, code = why.code(), "an enrolment is refused");
        }
        answer.map_err(|(why, _)| why)
    }

    fn checked(&self, text: &str, from: IpAddr) -> Result<Checked, Refusal> {
        let unreadable = |why: String| Refusal::Invalid(format!("it is no request to enrol: {why}"));
        let (request, key) =
            EnrolmentRequest::verify_own(text.as_bytes()).map_err(|why| unreadable(why.to_string()))?;
        self.freshness.take(request.nonce, request.made_unix_ms, self.world.clock.unix_ms())?;
        let csr = Csr::read(&request.csr, &request.rack)?;
        let reference = Hex(&request.nonce.0[..6]).to_string();
        Ok(Checked { who: format!("{from}"), request, key, csr, reference })
    }

    /// The second of an error is for whoever runs the Mixer.
    async fn decide(&self, checked: &Checked) -> Result<Answer, (Refusal, String)> {
        let known = self.registry.get(&checked.request.rack);
        let told = |why: Refusal| (why.clone(), why.to_string());
        let hidden = |reason: &str| {
            Err((Refusal::NotEnrolled { reference: checked.reference.clone() }, reason.to_owned()))
        };
        let is_same = known.as_ref().is_some_and(|record| record.key == checked.key);
        // Who is barred is told that, and so are its keys.
        let is_barred = |record: &Record| matches!(record.state, RackState::Suspended | RackState::Revoked);
        let is_told = is_same && known.as_ref().is_some_and(is_barred);
        if !is_told && self.revocations.is_void(&checked.request.bus_key) {
            return hidden("its key for the bus is void");
        }
        match known {
            Some(record) if is_same => match record.state {
                RackState::Active => self.renew(checked).await.map_err(told),
                RackState::Suspended => Err(told(Refusal::Barred(SUSPENDED))),
                RackState::Revoked => Err(told(Refusal::Barred(REVOKED))),
                RackState::Pending => match &checked.request.token {
                    None => Ok(pending(&record)),
                    Some(_) => {
                        let found = self.invitation(checked).await.map_err(told)?;
                        self.welcome(checked, Some(&record), found).await.map_err(told)
                    }
                },
            },
            // Anybody can ask for a name, and somebody who was invited under it is not kept out by that.
            Some(record)
                if matches!(record.state, RackState::Revoked | RackState::Pending)
                    && checked.request.token.is_some() =>
            {
                let found = self.invitation(checked).await.map_err(told)?;
                self.welcome(checked, Some(&record), found).await.map_err(told)
            }
            Some(_) => hidden("the name belongs to a rack with another passport"),
            None if checked.request.token.is_some() => {
                let found = self.invitation(checked).await.map_err(told)?;
                self.welcome(checked, None, found).await.map_err(told)
            }
            None => match self.put_on_the_list(checked).await {
                Ok(answer) => Ok(answer),
                Err(Refusal::TooMany(why)) => hidden(&why),
                Err(why) => Err(told(why)),
            },
        }
    }

    /// The invitation that goes with the token of a request.
    async fn invitation(&self, checked: &Checked) -> Result<Found<Invitation>, Refusal> {
        let token = checked.request.token().ok().flatten().ok_or(Refusal::Token)?;
        let found = self.invitations.find(&token).await?.ok_or(Refusal::Token)?;
        let is_for = found.good.rack.as_ref().is_none_or(|rack| *rack == checked.request.rack);
        is_for.then_some(found).ok_or(Refusal::Token)
    }

    /// Takes a Rack in by an invitation, which is used up first: of those who try at once with one token, one gets further.
    async fn welcome(
        &self,
        checked: &Checked,
        known: Option<&Record>,
        found: Found<Invitation>,
    ) -> Result<Answer, Refusal> {
        // What can be refused is refused before the token is spent.
        self.grants(&checked.request.rack, &BTreeMap::new())?;
        let Invitation { scope, labels, .. } = &found.good;
        if !self.is_within(scope, Some(&checked.request.rack), labels) {
            return Err(Refusal::Token);
        }
        // What the Rack says of itself has no bearing: its labels decide what it gets.
        let (labels, made_by) = (found.good.labels.clone(), found.good.made_by.clone());
        if !self.invitations.use_up(found).await? {
            return Err(Refusal::Token);
        }
        let detail =
            format!("{}: passport {}, invited by {made_by}", checked.reference, checked.key.fingerprint());
        self.note(checked, "rack.enrol", &detail).await?;
        let fresh = Record { labels, ..self.record(checked, RackState::Active) };
        match known {
            None => self.registry.add(fresh).await?,
            Some(_) => {
                let passport_number = known.map_or(0, |known| known.passport_number);
                let fresh = Record { passport_number, ..fresh };
                self.registry
                    .change(&checked.request.rack, |record| {
                        *record = fresh.clone();
                        Ok(())
                    })
                    .await?;
            }
        }
        self.counts.enrolled.fetch_add(1, Ordering::Relaxed);
        self.tell("rack.active", checked.request.rack.as_str());
        self.give(checked).await
    }

    async fn put_on_the_list(&self, checked: &Checked) -> Result<Answer, Refusal> {
        let record = self.record(checked, RackState::Pending);
        let detail = format!("{}: passport {}", checked.reference, checked.key.fingerprint());
        self.registry.add(record.clone()).await?;
        self.note(checked, "rack.pending", &detail).await?;
        self.tell("rack.pending", checked.request.rack.as_str());
        Ok(pending(&record))
    }

    async fn renew(&self, checked: &Checked) -> Result<Answer, Refusal> {
        self.note(checked, "rack.renew", &checked.reference).await?;
        self.counts.renewed.fetch_add(1, Ordering::Relaxed);
        self.give(checked).await
    }

    /// Gives an active Rack all that makes it one: what it had before stays good until it expires.
    async fn give(&self, checked: &Checked) -> Result<Answer, Refusal> {
        let EnrolmentRequest { rack, bus_key, program, kinds, .. } = &checked.request;
        let now = self.world.clock.unix_ms();
        let lifetime = self.settings.certificate_lifetime;
        let (certificate, expires_unix_ms) =
            self.keyring.ca.certify_rack(&checked.csr, rack, now, lifetime)?;
        let record = self
            .registry
            .change(rack, |record| {
                if record.state != RackState::Active || record.key != checked.key {
                    return Err(Refusal::Conflict("the rack was changed just now; ask again".into()));
                }
                record.bus_keys.retain(|_, until| *until > now);
                if record.bus_keys.len() >= BUS_KEYS_MAX && !record.bus_keys.contains_key(bus_key) {
                    let why = "the rack has as many keys for the bus as it may: renew with one of them";
                    return Err(Refusal::TooMany(why.into()));
                }
                record.passport_number += 1;
                record.certificate_expires_unix_ms = Some(expires_unix_ms);
                record.bus_keys.insert(bus_key.clone(), expires_unix_ms);
                (record.program, record.kinds) = (program.clone(), kinds.clone());
                record.address = Some(checked.who.clone());
                Ok(())
            })
            .await?;
        let (grants, part) = self.grants(rack, &record.labels)?;
        let mut bus = None;
        if let Some(Fleet { bus: wires, urls, bus_ca, authority }) = self.fleet() {
            self.furnish(&*wires, part.as_ref()).await?;
            if let Some(authority) = authority {
                let jwt = authority.issue(rack, bus_key, &grants, expires_unix_ms)?;
                bus = Some(BusIdentity { urls, ca: bus_ca, jwt });
            }
        }
        let passport = SignedPassport {
            number: record.passport_number,
            signed_unix_ms: now,
            mixer: self.settings.name.clone(),
            rack: rack.clone(),
            key: record.key,
            labels: record.labels,
            orders: Orders {
                duty: record.duty,
                log_level: record.log_level,
                shutdowns: record.shutdowns,
                part,
            },
        };
        Ok(Answer::Enrolled(Box::new(Enrolled {
            certificate,
            expires_unix_ms,
            ca: self.keyring.ca.pem().to_owned(),
            cluster_key: self.keyring.cluster.public_key(),
            passport: passport.sign(&self.keyring.cluster),
            bus,
            heartbeat_ms: self.settings.heartbeat.as_millis() as u64,
        })))
    }

    fn grants(
        &self,
        rack: &Name,
        labels: &BTreeMap<String, String>,
    ) -> Result<(Grants, Option<Part>), Refusal> {
        let part = self.desired().whole_part(rack, labels);
        let wires = part.as_ref().map_or(&[][..], |part| &part.wires);
        Ok((Grants::of_rack(rack, wires)?, part))
    }

    /// Makes what a Rack uses on the bus and may not make itself: a stream for each wire that it has to another, with the
    /// consumer at its end. Who enrols first makes them for both.
    async fn furnish(&self, bus: &dyn Bus, part: Option<&Part>) -> Result<(), Refusal> {
        for wire in part.iter().flat_map(|part| &part.wires) {
            flux_mesh::furnish(bus, wire).await?;
        }
        Ok(())
    }

    fn record(&self, checked: &Checked, state: RackState) -> Record {
        let EnrolmentRequest { rack, labels, program, kinds, .. } = checked.request.clone();
        Record {
            name: rack,
            state,
            key: checked.key,
            labels,
            address: Some(checked.who.clone()),
            program,
            kinds,
            first_seen_unix_ms: self.world.clock.unix_ms(),
            certificate_expires_unix_ms: None,
            passport_number: 0,
            duty: Duty::default(),
            log_level: None,
            shutdowns: 0,
            bus_keys: BTreeMap::new(),
        }
    }

    async fn note(&self, checked: &Checked, what: &str, detail: &str) -> Result<(), Refusal> {
        let (who, about) = (&checked.who, checked.request.rack.as_str());
        Ok(self.write_down(Note { who, what, about, outcome: Outcome::Done, detail }).await?)
    }
}

fn pending(record: &Record) -> Answer {
    Answer::Pending { fingerprint: record.key.fingerprint(), again_ms: AGAIN_MS }
}
