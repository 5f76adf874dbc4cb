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
