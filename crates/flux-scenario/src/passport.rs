//! The passport of a rack: an Ed25519 key pair (RFC 8032) by which it knows again what it wrote itself.
//!
//! ```text
//! fluxrig passport 1                    format and version
//! secret 9d61b19d…7f60                  the seed, 32 bytes in hexadecimal
//! public d75a9801…511a                  the public key, which must be that of the seed
//! ```

use std::fmt;

use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex::{Hex, from_hex};

/// First word of the first line; the version follows.
const MAGIC: &str = "fluxrig passport ";
/// Version of the format.
const VERSION: u32 = 1;
/// Longest file that can be a passport.
pub const PASSPORT_BYTES_MAX: usize = 1 << 10;

/// A key pair. Neither `Debug` nor any error shows the secret.
pub struct Passport {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

/// The half of it that may be known: who signed. In text 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

/// A signature by Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// Why a text is no passport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassportError {
    /// It does not begin like one.
    #[error("this is no passport: it does not begin with `fluxrig passport`")]
    Foreign,
    /// It is from a version that came later.
    #[error("the passport has format {0}, and this version reads {VERSION} at most")]
    Newer(u32),
    /// It begins like one and is not one, or the two keys are not a pair.
    #[error("the passport is damaged: {0}")]
    Damaged(&'static str),
}

impl Passport {
    /// The passport that grows from 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Passport {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        Passport { seed, pair }
    }

    /// Reads what [`Passport::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Passport, PassportError> {
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix(MAGIC)).ok_or(PassportError::Foreign)?;
        match version.parse() {
            Ok(VERSION) => {}
            Ok(version) if version > VERSION => return Err(PassportError::Newer(version)),
            _ => return Err(PassportError::Damaged("its version is no number")),
        }
        let mut key = |name: &str| lines.next().and_then(|line| from_hex(line.strip_prefix(name)?));
        let seed = key("secret ").ok_or(PassportError::Damaged("line 2 is not `secret` and 64 digits"))?;
        let public: [u8; 32] =
            key("public ").ok_or(PassportError::Damaged("line 3 is not `public` and 64 digits"))?;
        if lines.next().is_some() {
            return Err(PassportError::Damaged("more than three lines"));
        }
        let passport = Passport::from_seed(seed);
        if passport.public_key() != PublicKey(public) {
            return Err(PassportError::Damaged("the public key is not that of the secret"));
        }
        Ok(passport)
    }

    /// The text to keep, which is a secret.
    pub fn to_text(&self) -> String {
        format!("{MAGIC}{VERSION}\nsecret {}\npublic {}\n", Hex(&self.seed), self.public_key())
    }

    /// Who signs with it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().try_into().expect("a public key has 32 bytes"))
    }

    /// Signs these bytes.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.pair.sign(bytes).as_ref().try_into().expect("a signature has 64 bytes"))
    }
}

impl PublicKey {
    /// Whether the owner of this key signed these bytes.
    pub fn has_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, &signature.0).is_ok()
    }

    /// Short enough for people to compare: the first half of its SHA-256, in groups.
    pub fn fingerprint(&self) -> String {
        let hash = digest(&SHA256, &self.0);
        let groups = hash.as_ref()[..16].chunks(2).map(|group| Hex(group).to_string());
        groups.collect::<Vec<_>>().join(":")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        let digits = String::deserialize(deserializer)?;
        from_hex(&digits)
            .map(PublicKey)
            .ok_or_else(|| de::Error::custom("a public key has 64 hexadecimal digits"))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Passport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passport({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const OF_NOTHING: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

    fn text() -> String {
        format!("fluxrig passport 1\nsecret {SEED}\npublic {PUBLIC}\n")
    }

    #[test]
    fn it_signs_as_the_rfc_says_and_shows_no_secret() {
        let passport = Passport::parse(&text()).unwrap();
        let signature = passport.sign(b"");
        assert_eq!(signature.to_string(), OF_NOTHING);
        assert!(passport.public_key().has_signed(b"", &signature));
        assert!(!passport.public_key().has_signed(b"x", &signature));
        assert_eq!(passport.to_text(), text());
        assert_eq!(format!("{passport:?}"), format!("Passport({PUBLIC})"));
        assert_eq!(passport.public_key().fingerprint(), "21fe:31df:a154:a261:626b:f854:046f:d227");
    }

    #[test]
    fn what_is_none_is_told_apart() {
        let check = |text: &str, want: &str| {
            assert_eq!(Passport::parse(text).unwrap_err().to_string(), want);
        };
        check("", "this is no passport: it does not begin with `fluxrig passport`");
        check(
            "fluxrig passport 2\nwhat came later",
            "the passport has format 2, and this version reads 1 at most",
        );
        check("fluxrig passport x", "the passport is damaged: its version is no number");
        check(
            "fluxrig passport 1\nsecret 00",
            "the passport is damaged: line 2 is not `secret` and 64 digits",
        );
        check(
            &text().replace("public d", "public e"),
            "the passport is damaged: the public key is not that of the secret",
        );
        check(&format!("{}more", text()), "the passport is damaged: more than three lines");
    }
}
