//! A key by which the bus knows somebody: made where it is used, and never sent.

use std::fmt;

use flux_bus::Error;
use nkeys::{KeyPair, KeyPairType};
use ring::rand::{SecureRandom, SystemRandom};

/// The key of a user of the bus. Apart from every other key, because it signs whatever a server asks it to. `Debug` shows the
/// public half.
pub struct BusKey {
    pair: KeyPair,
}

impl BusKey {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Failed`] when the operating system gives no chance.
    pub fn generate() -> Result<BusKey, Error> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| Error::Failed("the system gave no random key for the bus".into()))?;
        Ok(BusKey { pair: pair(KeyPairType::User, seed) })
    }

    /// The key of a text that [`BusKey::seed`] gave.
    ///
    /// # Errors
    /// [`Error::Invalid`], which quotes nothing of it.
    pub fn from_seed(seed: &str) -> Result<BusKey, Error> {
        match KeyPair::from_seed(seed) {
            Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(BusKey { pair }),
            Ok(_) | Err(_) => Err(Error::Invalid("it is no seed of a user's key, `SU…`".into())),
        }
    }

    /// The seed, to keep: a secret.
    pub fn seed(&self) -> String {
        self.pair.seed().expect("it was made from a seed")
    }

    /// The public half, `U…`.
    pub fn public(&self) -> String {
        self.pair.public_key()
    }

    /// The JWT and the key in a text that [`BusKey::credentials`] or `nsc` wrote.
    ///
    /// # Errors
    /// [`Error::Invalid`], which quotes nothing of it.
    pub fn read_credentials(text: &str) -> Result<(String, BusKey), Error> {
        let after = |mark: &str| {
            let mut lines = text.lines().skip_while(|line| !line.contains(mark)).skip(1).map(str::trim);
            lines.find(|line| !line.is_empty()).map(str::to_owned)
        };
        match (after("BEGIN NATS USER JWT"), after("BEGIN USER NKEY SEED")) {
            (Some(jwt), Some(seed)) => Ok((jwt, BusKey::from_seed(&seed)?)),
            _ => Err(Error::Invalid("the credentials are no JWT with its seed".into())),
        }
    }

    /// Signs what a server asks.
    pub(crate) fn sign(&self, nonce: &[u8]) -> Result<Vec<u8>, Error> {
        self.pair.sign(nonce).map_err(|why| Error::Failed(why.to_string()))
    }

    /// The text of [`Credentials::Jwt`](crate::Credentials::Jwt), as `nsc` writes it: a secret.
    pub fn credentials(&self, jwt: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.seed()
        )
    }
}

pub(crate) fn pair(kind: KeyPairType, seed: [u8; 32]) -> KeyPair {
    KeyPair::new_from_raw(kind, seed).expect("any 32 bytes are a seed")
}

impl fmt::Debug for BusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_read_as_they_are_written() {
        let key = BusKey::generate().unwrap();
        let (jwt, again) = BusKey::read_credentials(&key.credentials("a.b.c")).unwrap();
        assert_eq!((jwt.as_str(), again.public()), ("a.b.c", key.public()));
        let seedless = key.credentials("a.b.c").replace(&key.seed(), "");
        assert!(BusKey::read_credentials(&seedless).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(-----BEGIN (NATS USER JWT|USER NKEY SEED)-----\n|[ -~]{0,60}\n){0,6}") {
            if let Err(why) = BusKey::read_credentials(&text) {
                prop_assert!(why.to_string().len() < 100);
            }
        }
    }
}
