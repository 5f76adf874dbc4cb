//! What is signed: one form for editions, passports that a Mixer issued, requests to enrol, and the audit log.
//!
//! ```text
//! fluxrig edition 1                     what it is, and the version of its format
//! {"number":7,"files":[..],..}          what it says, as JSON in one line
//! key d75a9801…511a                     the public key of the passport that signed
//! signature e5564300…100b               by Ed25519, over every byte above this line
//! ```
//!
//! The first line is under the signature too, so that what was signed as one thing is never taken for another.

use serde::{Serialize, de::DeserializeOwned};

use crate::hex::from_hex;
use crate::passport::{Passport, PublicKey, Signature};

/// Something that is signed as a whole.
pub trait Signed: Serialize + DeserializeOwned {
    /// What it is called on the first line.
    const WHAT: &'static str;
    /// Version of its format.
    const VERSION: u32;

    /// Whether what it says makes sense.
    ///
    /// # Errors
    /// What does not.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Itself as it is written.
    fn sign(&self, passport: &Passport) -> String {
        let json = serde_json::to_string(self).expect("what is signed has nothing that JSON has not");
        let (what, version) = (Self::WHAT, Self::VERSION);
        let signed = format!("fluxrig {what} {version}\n{json}\nkey {}\n", passport.public_key());
        let signature = passport.sign(signed.as_bytes());
        format!("{signed}signature {signature}\n")
    }

    /// Reads what the owner of `key` signed. Nothing of it is believed before its signature holds.
    ///
    /// # Errors
    /// Why it is not what the owner of the key signed.
    fn verify(text: &[u8], key: &PublicKey) -> Result<Self, SignedError> {
        let parts = Parts::of(text, Self::WHAT, Self::VERSION)?;
        if parts.by != *key {
            return Err(SignedError::OtherKey { by: parts.by.fingerprint(), ours: key.fingerprint() });
        }
        parts.read()
    }

    /// Reads what somebody signed, and says who: whether that is the right one is for the caller to judge.
    ///
    /// # Errors
    /// Why it is not what anybody signed.
    fn verify_own(text: &[u8]) -> Result<(Self, PublicKey), SignedError> {
        let parts = Parts::of(text, Self::WHAT, Self::VERSION)?;
        Ok((parts.read()?, parts.by))
    }
}

/// Why bytes are not what somebody signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// It does not begin like one.
    #[error("it is no {0}: it does not begin with `fluxrig {0}`")]
    Foreign(&'static str),
    /// It is from a version that came later.
    #[error("it has format {version}, and this version reads {version_max} at most")]
    Newer {
        /// The version that it has.
        version: u32,
        /// The last one that is known here.
        version_max: u32,
    },
    /// It begins like one and is not one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Somebody else signed it.
    #[error("it is signed by another key: by {by}, and the passport here is {ours}")]
    OtherKey {
        /// Fingerprint of who signed.
        by: String,
        /// Fingerprint of who should have.
        ours: String,
    },
    /// It was changed after it was signed.
    #[error("its signature does not match: it was changed after it was signed")]
    Changed,
}

/// The lines of a text, taken apart.
struct Parts<'a> {
    json: &'a str,
    by: PublicKey,
    signed: &'a [u8],
    signature: Signature,
}

impl<'a> Parts<'a> {
    fn of(text: &'a [u8], what: &'static str, version_max: u32) -> Result<Parts<'a>, SignedError> {
        let damaged = |what: &str| SignedError::Damaged(what.into());
        let magic = format!("fluxrig {what} ");
        let version = text.strip_prefix(magic.as_bytes()).ok_or(SignedError::Foreign(what))?;
        let version = version.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let version = str::from_utf8(version).ok().and_then(|version| version.parse::<u32>().ok());
        match version.ok_or_else(|| damaged("its version is no number"))? {
            version if version == version_max => {}
            version if version > version_max => return Err(SignedError::Newer { version, version_max }),
            _ => return Err(damaged("there is no such version")),
        }
        let text = str::from_utf8(text).map_err(|_| damaged("it is no text"))?;
        let mut lines = text.split_inclusive('\n');
        let (Some(_), Some(json), Some(by), Some(signature), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(damaged("it has not four lines"));
        };
        let by = by.strip_prefix("key ").and_then(|line| from_hex(line.strip_suffix('\n')?));
        let by = PublicKey(by.ok_or_else(|| damaged("line 3 is not `key` and 64 digits"))?);
        let signed = &text.as_bytes()[..text.len() - signature.len()];
        let signature =
            signature.strip_prefix("signature ").and_then(|line| from_hex(line.strip_suffix('\n')?));
        let signature =
            Signature(signature.ok_or_else(|| damaged("line 4 is not `signature` and 128 digits"))?);
        Ok(Parts { json, by, signed, signature })
    }

    fn read<T: Signed>(&self) -> Result<T, SignedError> {
        if !self.by.has_signed(self.signed, &self.signature) {
            return Err(SignedError::Changed);
        }
        let damaged = |why: String| SignedError::Damaged(why);
        let said: T = serde_json::from_str(self.json).map_err(|why| damaged(why.to_string()))?;
        said.check().map_err(damaged)?;
        Ok(said)
    }
}
