//! Bytes sealed at rest, by a key or by a passphrase.
//!
//! ```text
//! magic "FLUXSEAL"   8
//! version            1   1
//! by                 1   0 key, 1 passphrase
//! salt              16   for the passphrase; zero with a key
//! nonce             12
//! sealed             n   ChaCha20-Poly1305 (RFC 8439) of the content, with its 16-byte tag; all before it is authenticated too
//! ```
//!
//! A passphrase becomes a key by Argon2id (RFC 9106) with 64 MiB, three passes, one lane.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

const MAGIC: &[u8; 8] = b"FLUXSEAL";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 8 + 1 + 1 + 16 + 12;
const TAG_BYTES: usize = 16;

/// What opens a seal. `Debug` shows of which kind it is.
#[derive(Clone)]
pub enum Unlock {
    /// 256 bits from a cryptographic source.
    Key([u8; 32]),
    /// Something a person knows.
    Passphrase(String),
}

/// Why a seal does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not begin like one.
    #[error("it is not sealed: it does not begin with FLUXSEAL")]
    Foreign,
    /// It is from a version that came later.
    #[error("it is sealed in format {0}, and this version knows {VERSION} at most")]
    Newer(u8),
    /// It is too short.
    #[error("it is cut off")]
    Short,
    /// It was sealed by the other kind of secret.
    #[error("it is sealed by a {0}, and that is not what was given")]
    OtherKind(&'static str),
    /// The key is another one, or the bytes were changed.
    #[error("it does not open: the key or passphrase is not the one it was sealed with, or it was changed")]
    Closed,
    /// The operating system gives no chance.
    #[error("the system gave no random bytes")]
    NoChance,
}

impl Unlock {
    const fn kind(&self) -> u8 {
        match self {
            Unlock::Key(_) => 0,
            Unlock::Passphrase(_) => 1,
        }
    }

    fn key(&self, salt: &[u8]) -> LessSafeKey {
        let mut key = match self {
            Unlock::Key(key) => *key,
            Unlock::Passphrase(words) => {
                let params = Params::new(64 << 10, 3, 1, None).expect("the parameters are within bounds");
                let mut key = [0; 32];
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(words.as_bytes(), salt, &mut key)
                    .expect("a salt of 16 bytes is long enough");
                key
            }
        };
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key has 32 bytes");
        key.zeroize();
        LessSafeKey::new(unbound)
    }
}

/// Seals a content.
///
/// # Errors
/// [`SealError::NoChance`].
pub fn seal(unlock: &Unlock, content: &[u8]) -> Result<Vec<u8>, SealError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    let random = SystemRandom::new();
    if let Unlock::Passphrase(_) = unlock {
        random.fill(&mut salt).map_err(|_| SealError::NoChance)?;
    }
    random.fill(&mut nonce).map_err(|_| SealError::NoChance)?;
    let mut sealed = [&MAGIC[..], &[VERSION, unlock.kind()], &salt, &nonce].concat();
    let mut body = content.to_vec();
    unlock
        .key(&salt)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&sealed), &mut body)
        .map_err(|_| SealError::NoChance)?;
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

/// The content of what was sealed.
///
/// # Errors
/// Why it does not open.
pub fn open(unlock: &Unlock, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let rest = sealed.strip_prefix(MAGIC).ok_or(SealError::Foreign)?;
    match rest.first() {
        Some(&VERSION) => {}
        Some(&version) => return Err(SealError::Newer(version)),
        None => return Err(SealError::Short),
    }
    let (head, body) = sealed.split_at_checked(HEAD_BYTES).ok_or(SealError::Short)?;
    if body.len() < TAG_BYTES {
        return Err(SealError::Short);
    }
    if head[9] != unlock.kind() {
        return Err(SealError::OtherKind(if head[9] == 0 { "key" } else { "passphrase" }));
    }
    let nonce: [u8; 12] = head[26..].try_into().expect("the head ends with the nonce");
    let mut body = Zeroizing::new(body.to_vec());
    let opened = unlock.key(&head[10..26]).open_in_place(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(head),
        &mut body,
    );
    let bytes = opened.map_err(|_| SealError::Closed)?.len();
    body.truncate(bytes);
    Ok(body)
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unlock::Key(_) => "key",
            Unlock::Passphrase(_) => "passphrase",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_it_was_sealed_with_opens_it() {
        let (key, words) = (Unlock::Key([7; 32]), Unlock::Passphrase("correct horse".into()));
        for unlock in [&key, &words] {
            let sealed = seal(unlock, b"secret").unwrap();
            assert_eq!(open(unlock, &sealed).unwrap().as_slice(), b"secret");
            assert!(!sealed.windows(6).any(|window| window == b"secret"));
            assert_ne!(sealed, seal(unlock, b"secret").unwrap(), "never the same twice");
        }
        let sealed = seal(&key, b"secret").unwrap();
        assert_eq!(open(&Unlock::Key([8; 32]), &sealed), Err(SealError::Closed));
        assert_eq!(open(&words, &sealed), Err(SealError::OtherKind("key")));
        let other = Unlock::Passphrase("correct horse ".into());
        assert_eq!(open(&other, &seal(&words, b"secret").unwrap()), Err(SealError::Closed));
        assert_eq!(open(&key, b"hello"), Err(SealError::Foreign));
        assert_eq!(open(&key, b"FLUXSEAL\x02"), Err(SealError::Newer(2)));
        assert_eq!(open(&key, &sealed[..HEAD_BYTES + 3]), Err(SealError::Short));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>, has_magic: bool) {
            let bytes = if has_magic { [MAGIC, &[VERSION, 0][..], &bytes].concat() } else { bytes };
            prop_assert!(open(&Unlock::Key([7; 32]), &bytes).is_err());
        }

        #[test]
        fn no_change_goes_unnoticed(content: Vec<u8>, at: prop::sample::Index, to: u8) {
            let mut sealed = seal(&Unlock::Key([7; 32]), &content).unwrap();
            let at = at.index(sealed.len());
            prop_assume!(sealed[at] != to);
            sealed[at] = to;
            prop_assert!(open(&Unlock::Key([7; 32]), &sealed).is_err());
        }
    }
}
