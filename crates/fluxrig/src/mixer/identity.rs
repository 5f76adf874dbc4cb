//! Who a Rack is to its Mixer, as it is kept in the state directory.
//!
//! ```text
//! <state_dir>/mixer.identity          all of it, in one file that is replaced as a whole: what follows is made from it
//! <state_dir>/identity/ca.pem         the CA that was pinned
//! <state_dir>/identity/certificate.pem, tls.key
//! <state_dir>/identity/bus-ca.pem     who vouches for the bus: the same CA, or that of a cluster that is not the Mixer's
//! <state_dir>/identity/bus.creds      bus identity and its key, as `nsc` writes them
//! <state_dir>/identity/part.yaml      the part of the scenario that the passport carries
//! <state_dir>/identity/nothing.yaml   what runs where it carries none, or is not to run
//! ```

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use flux_bus::{Name, subject};
use flux_identity::{BusIdentity, Enrolled, SignedPassport, fingerprint_of, limits::ANSWER_BYTES_MAX};
use flux_nats::{BusKey, Credentials, Settings, Tls};
use flux_scenario::{
    hex::Hex,
    passport::{Passport, PublicKey},
    signed::Signed,
};
use flux_world::Disk;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};

/// The file that counts.
const FILE: &str = "mixer.identity";
/// Where other programs, and the bus, find what they need.
pub(super) const DIRECTORY: &str = "identity";

/// What a Rack has from its Mixer, with the keys that it made for it. `Debug` shows no secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// The address of the Mixer.
    pub(crate) mixer: String,
    /// Fingerprint of its CA.
    pub(crate) fingerprint: String,
    pub(crate) rack: Name,
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) expires_unix_ms: u64,
    /// When it was given, by which a third of it is told.
    pub(crate) given_unix_ms: u64,
    pub(crate) tls_key: String,
    pub(crate) bus: Option<BusIdentity>,
    pub(crate) bus_seed: String,
    /// The key that signs passports, pinned at the enrolment.
    pub(crate) cluster_key: PublicKey,
    /// The passport, as it was signed.
    pub(crate) passport: String,
    pub(crate) heartbeat_ms: u64,
}

/// What a Rack made itself, for one request.
pub(super) struct Keys {
    pub(super) tls_key: String,
    pub(super) bus: BusKey,
}

impl Identity {
    /// The identity that an answer makes, if it holds what it has to: the CA that was pinned, a passport signed with the cluster
    /// key that is known, for this Rack and its passport, not older than the one it has.
    pub(super) fn accept(
        answer: Enrolled,
        keys: Keys,
        asked: Asked<'_>,
        now_unix_ms: u64,
    ) -> anyhow::Result<Identity> {
        let Asked { mixer, fingerprint, rack, key, before } = asked;
        let ca = CertificateDer::from_pem_slice(answer.ca.as_bytes()).context("the CA is no certificate")?;
        let is_pinned = fingerprint.is_none_or(|pinned| pinned == fingerprint_of(&ca));
        ensure!(is_pinned, "the CA in the answer is not the one that was pinned");
        if let Some(before) = before {
            ensure!(
                before.cluster_key == answer.cluster_key,
                "the answer has another cluster key than the one this rack enrolled with: somebody else answers"
            );
        }
        let identity = Identity {
            mixer: mixer.to_owned(),
            fingerprint: Hex(&fingerprint_of(&ca)).to_string(),
            rack: rack.clone(),
            ca: answer.ca,
            certificate: answer.certificate,
            expires_unix_ms: answer.expires_unix_ms,
            given_unix_ms: now_unix_ms,
            tls_key: keys.tls_key,
            bus: answer.bus,
            bus_seed: keys.bus.seed(),
            cluster_key: answer.cluster_key,
            passport: answer.passport,
            heartbeat_ms: answer.heartbeat_ms.max(1_000),
        };
        let passport = identity.passport(key)?;
        // One that was forgotten and came back is counted from the start.
        let is_later = match before.map(|before| before.passport(key)).transpose()? {
            Some(before) => {
                passport.number >= before.number || passport.signed_unix_ms > before.signed_unix_ms
            }
            None => true,
        };
        ensure!(is_later, "the passport in the answer is older than the one this rack has");
        Ok(identity)
    }

    /// The signed passport: by the cluster key that was pinned, for this Rack, which has the key `key`.
    pub(crate) fn passport(&self, key: &PublicKey) -> anyhow::Result<SignedPassport> {
        let passport = SignedPassport::verify(self.passport.as_bytes(), &self.cluster_key)
            .context("the passport that the Mixer signed is refused")?;
        ensure!(
            passport.rack == self.rack && passport.key == *key,
            "the passport that the Mixer signed is for another rack, or another key"
        );
        Ok(passport)
    }

    /// The identity in a state directory.
    ///
    /// # Errors
    /// When there is none, or it is damaged or forged.
    pub(crate) fn read(disk: &Disk, state_dir: &Path, own: &Passport) -> anyhow::Result<Identity> {
        let path = state_dir.join(FILE);
        let shown = path.display();
        let text = match disk.read(&path, ANSWER_BYTES_MAX) {
            Err(why) if why.kind() == ErrorKind::NotFound => {
                anyhow::bail!(
                    "this rack is not enrolled: there is no `{shown}`; `fluxrig rack enrol` makes one"
                )
            }
            read => read.with_context(|| format!("cannot read `{shown}`"))?,
        };
        let identity: Identity =
            serde_json::from_slice(&text).with_context(|| format!("`{shown}` is damaged: enrol again"))?;
        identity.passport(&own.public_key()).with_context(|| format!("`{shown}`"))?;
        Ok(identity)
    }

    /// Puts it into the state directory, and beside it what others read.
    pub(crate) fn keep(&self, disk: &Disk, state_dir: &Path) -> anyhow::Result<()> {
        disk.make_private_dir(state_dir)?;
        let text = serde_json::to_vec_pretty(self)?;
        disk.write_atomic_private(&state_dir.join(FILE), &text)?;
        self.lay_out(disk, state_dir)
    }

    /// Makes the files that others read.
    pub(crate) fn lay_out(&self, disk: &Disk, state_dir: &Path) -> anyhow::Result<()> {
        let directory = state_dir.join(DIRECTORY);
        disk.make_private_dir(&directory)?;
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            let written = disk.write_atomic_private(&path, text.as_bytes());
            written.with_context(|| format!("cannot write `{}`", path.display()))
        };
        write("ca.pem", &self.ca)?;
        write("certificate.pem", &self.certificate)?;
        write("tls.key", &self.tls_key)?;
        if let Some(bus) = &self.bus {
            write("bus-ca.pem", bus.ca.as_ref().unwrap_or(&self.ca))?;
            write("bus.creds", &self.bus_key()?.credentials(&bus.jwt))?;
        }
        Ok(())
    }

    /// How to connect to the bus of the Mixer: by the files in the state directory, as they are at each connection. None where
    /// the Mixer runs no server.
    pub(crate) fn bus_settings(&self, state_dir: &Path) -> Option<Settings> {
        let at = |name| file(state_dir, name);
        let mut settings = Settings::new(self.bus.as_ref()?.urls.clone());
        settings.name = self.rack.to_string();
        settings.credentials = Credentials::JwtFile(at("bus.creds"));
        settings.tls =
            Some(Tls { roots: at("bus-ca.pem"), identity: Some((at("certificate.pem"), at("tls.key"))) });
        settings.inbox_prefix = Some(format!("{}_{}", subject::INBOX, self.rack));
        Some(settings)
    }

    pub(super) fn bus_key(&self) -> anyhow::Result<BusKey> {
        Ok(BusKey::from_seed(&self.bus_seed)?)
    }

    /// When it is to be made anew: two thirds of its time are over.
    pub(super) fn renew_unix_ms(&self) -> u64 {
        let lifetime = self.expires_unix_ms.saturating_sub(self.given_unix_ms);
        self.given_unix_ms + lifetime / 3 * 2
    }
}

/// What was asked, as far as the answer has to fit it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) mixer: &'a str,
    /// None over plain HTTP on this machine.
    pub(super) fingerprint: Option<[u8; 32]>,
    pub(super) rack: &'a Name,
    pub(super) key: &'a PublicKey,
    /// What it had before.
    pub(super) before: Option<&'a Identity>,
}

/// The files of an identity.
pub(super) fn file(state_dir: &Path, name: &str) -> PathBuf {
    state_dir.join(DIRECTORY).join(name)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("rack", &self.rack)
            .field("mixer", &self.mixer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    /// What a Mixer with this cluster key answers to `north`.
    fn answer(ca: &str, cluster: &Passport, rack: &str, key: PublicKey, number: u64) -> Enrolled {
        let name = |text| Name::new(text).unwrap();
        let passport = SignedPassport {
            number,
            signed_unix_ms: 1,
            mixer: name("lab"),
            rack: name(rack),
            key,
            labels: std::collections::BTreeMap::new(),
            orders: flux_identity::Orders::default(),
        };
        Enrolled {
            certificate: ca.to_owned(),
            expires_unix_ms: 3_000,
            ca: ca.to_owned(),
            cluster_key: cluster.public_key(),
            passport: passport.sign(cluster),
            bus: None,
            heartbeat_ms: 10_000,
        }
    }

    #[test]
    fn an_answer_is_taken_only_from_the_mixer_that_is_known() {
        let ca = generate_simple_self_signed(["ca".into()]).unwrap().cert;
        let (pem, pinned) = (ca.pem(), fingerprint_of(ca.der()));
        let [cluster, other, own] = [1, 2, 3].map(|seed| Passport::from_seed([seed; 32]));
        let (rack, key) = (Name::new("north").unwrap(), own.public_key());
        let keys = || Keys { tls_key: "key".into(), bus: BusKey::generate().unwrap() };
        let accept = |answer, fingerprint, before| {
            let asked = Asked { mixer: "https://mixer:8090", fingerprint, rack: &rack, key: &key, before };
            Identity::accept(answer, keys(), asked, 0)
        };
        let first = accept(answer(&pem, &cluster, "north", key, 4), Some(pinned), None).unwrap();
        assert_eq!(first.renew_unix_ms(), 2_000);
        assert!(!format!("{first:?}").contains("key"));
        let why =
            |answer, fingerprint, before| format!("{:#}", accept(answer, fingerprint, before).unwrap_err());
        let good = |number| answer(&pem, &cluster, "north", key, number);
        assert!(why(good(5), Some([9; 32]), None).contains("not the one that was pinned"));
        assert!(accept(good(5), Some(pinned), Some(&first)).is_ok());
        assert!(why(good(3), Some(pinned), Some(&first)).contains("older than the one this rack has"));
        let forged = answer(&pem, &other, "north", key, 5);
        assert!(why(forged.clone(), Some(pinned), Some(&first)).contains("another cluster key"));
        let mixed = Enrolled { cluster_key: cluster.public_key(), ..forged };
        assert!(why(mixed, Some(pinned), Some(&first)).contains("signed by another key"));
        let of_south = answer(&pem, &cluster, "south", key, 5);
        assert!(why(of_south, Some(pinned), Some(&first)).contains("for another rack"));
        let of_other = answer(&pem, &cluster, "north", other.public_key(), 5);
        assert!(why(of_other, Some(pinned), Some(&first)).contains("for another rack, or another key"));
    }

    #[test]
    fn it_is_kept_whole_and_private_and_a_forged_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let ca = generate_simple_self_signed(["ca".into()]).unwrap().cert;
        let [cluster, own] = [1, 3].map(|seed| Passport::from_seed([seed; 32]));
        let (rack, key, disk) = (Name::new("north").unwrap(), own.public_key(), Disk::real());
        let asked = Asked { mixer: "x", fingerprint: None, rack: &rack, key: &key, before: None };
        let keys = Keys { tls_key: "key".into(), bus: BusKey::generate().unwrap() };
        let mut given = answer(&ca.pem(), &cluster, "north", key, 4);
        given.bus = Some(BusIdentity { urls: vec!["tls://x:4222".into()], ca: None, jwt: "jwt".into() });
        let identity = Identity::accept(given, keys, asked, 0).unwrap();
        let directory = tempfile::tempdir().unwrap();
        assert!(
            Identity::read(&disk, directory.path(), &own).unwrap_err().to_string().contains("not enrolled")
        );
        identity.keep(&disk, directory.path()).unwrap();
        for name in ["tls.key", "bus.creds", "bus-ca.pem", "ca.pem", "certificate.pem", "../mixer.identity"] {
            let mode = std::fs::metadata(file(directory.path(), name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(Identity::read(&disk, directory.path(), &own).unwrap().passport, identity.passport);
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\\\"number\\\":4", "\\\"number\\\":5")).unwrap();
        let why = format!("{:#}", Identity::read(&disk, directory.path(), &own).unwrap_err());
        assert!(why.contains("changed after it was signed"), "{why}");
    }
}
