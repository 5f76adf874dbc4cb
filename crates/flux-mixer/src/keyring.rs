//! All that a Mixer must not lose and nobody else may have: made at the first start, in one sealed file.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flux_bus::Name;
use flux_scenario::hex::{Hex, from_hex};
use flux_scenario::passport::Passport;
use flux_world::{Disk, World};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ca::{Ca, CaError};
use crate::seal::{SealError, Unlock, open, seal};

/// Name of the file in the directory of the Mixer.
const FILE: &str = "keyring.sealed";
/// Name of the key beside it, where none was given.
const KEY_FILE: &str = "keyring.key";
/// Longest file that can be a keyring, and a key.
const BYTES_MAX: usize = 64 << 10;

/// Where what opens the keyring comes from.
#[derive(Clone, Debug, Default)]
pub enum UnlockBy {
    /// A key in a file beside it, made with it: whoever has the disk has both.
    #[default]
    KeyBeside,
    /// A key in a file of its own, 64 hexadecimal digits.
    KeyFile(PathBuf),
    /// A passphrase.
    Passphrase(String),
}

/// The keys of a Mixer. `Debug` shows public halves.
pub struct Keyring {
    /// Certifies.
    pub ca: Ca,
    /// Signs passports, and the audit log.
    pub cluster: Passport,
    /// What the server of the bus signs with: operator, account, account of the server itself.
    pub bus_seeds: [[u8; 32]; 3],
    /// What is at rest is sealed with this: journals here, streams of the server.
    pub store_key: [u8; 32],
}

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A file cannot be read or written.
    #[error("`{path}`: {why}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        why: String,
    },
    /// The seal of the file does not open.
    #[error("`{path}`: {why}")]
    Seal {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        why: SealError,
    },
    /// What is in it is not usable.
    #[error("the keyring is damaged: {0}")]
    Damaged(String),
    /// The CA cannot be made.
    #[error(transparent)]
    Ca(#[from] CaError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    ca: String,
    ca_key: String,
    cluster: String,
    bus: [String; 3],
    store: String,
}

impl Keyring {
    /// The keyring of a directory; a new one where there is none. Says whether it is new.
    ///
    /// # Errors
    /// When it does not open: it is never replaced.
    pub fn open(
        world: &World,
        directory: &Path,
        fleet: &Name,
        by: &UnlockBy,
    ) -> Result<(Keyring, bool), KeyringError> {
        let path = directory.join(FILE);
        world.disk.make_private_dir(directory).map_err(file_error(directory))?;
        match world.disk.read(&path, BYTES_MAX) {
            Ok(sealed) => {
                let unlock = by.unlock(&world.disk, directory, IfMissing::Refuse)?;
                let content = open(&unlock, &sealed).map_err(seal_error(&path))?;
                Ok((Keyring::from_content(&content)?, false))
            }
            Err(why) if why.kind() == ErrorKind::NotFound => {
                let unlock = by.unlock(&world.disk, directory, IfMissing::Make)?;
                let content = Keyring::make(fleet, world.clock.unix_ms())?;
                write(&world.disk, &path, &unlock, &content)?;
                Ok((Keyring::from_content(&content)?, true))
            }
            Err(why) => Err(file_error(&path)(why)),
        }
    }

    /// Seals the keyring of a directory with another secret; what is in it stays.
    ///
    /// # Errors
    /// When it does not open with the one, or cannot be written with the other: then it is as it was.
    pub fn reseal(
        world: &World,
        directory: &Path,
        from: &UnlockBy,
        to: &UnlockBy,
    ) -> Result<(), KeyringError> {
        let path = directory.join(FILE);
        let sealed = world.disk.read(&path, BYTES_MAX).map_err(file_error(&path))?;
        let content = open(&from.unlock(&world.disk, directory, IfMissing::Refuse)?, &sealed)
            .map_err(seal_error(&path))?;
        Keyring::from_content(&content)?;
        write(&world.disk, &path, &to.unlock(&world.disk, directory, IfMissing::Make)?, &content)?;
        let beside = directory.join(KEY_FILE);
        if !matches!(to, UnlockBy::KeyBeside) && world.disk.exists(&beside) {
            world.disk.remove(&beside).map_err(file_error(&beside))?;
        }
        Ok(())
    }

    fn make(fleet: &Name, now_unix_ms: u64) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let (ca, ca_key) = Ca::generate(fleet, now_unix_ms)?;
        let seed = || Ok::<_, KeyringError>(Hex(&chance()?).to_string());
        let content = Content {
            ca: ca.pem().to_owned(),
            ca_key,
            cluster: seed()?,
            bus: [seed()?, seed()?, seed()?],
            store: seed()?,
        };
        Ok(Zeroizing::new(serde_json::to_vec(&content).expect("texts are JSON")))
    }

    fn from_content(content: &[u8]) -> Result<Keyring, KeyringError> {
        let content: Content =
            serde_json::from_slice(content).map_err(|why| KeyringError::Damaged(why.to_string()))?;
        let seed =
            |digits: &str| from_hex(digits).ok_or_else(|| KeyringError::Damaged("a seed is none".into()));
        let [operator, account, system] = &content.bus;
        Ok(Keyring {
            ca: Ca::read(&content.ca, &content.ca_key)?,
            cluster: Passport::from_seed(seed(&content.cluster)?),
            bus_seeds: [seed(operator)?, seed(account)?, seed(system)?],
            store_key: seed(&content.store)?,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IfMissing {
    Make,
    Refuse,
}

impl UnlockBy {
    fn unlock(&self, disk: &Disk, directory: &Path, if_missing: IfMissing) -> Result<Unlock, KeyringError> {
        let path = match self {
            UnlockBy::Passphrase(words) => return Ok(Unlock::Passphrase(words.clone())),
            UnlockBy::KeyFile(path) => path.clone(),
            UnlockBy::KeyBeside => directory.join(KEY_FILE),
        };
        let is_to_make = matches!(self, UnlockBy::KeyBeside) && if_missing == IfMissing::Make;
        if is_to_make && !disk.exists(&path) {
            let text = format!("{}\n", Hex(&chance()?));
            disk.write_atomic_private(&path, text.as_bytes()).map_err(file_error(&path))?;
        }
        let text = Zeroizing::new(disk.read(&path, BYTES_MAX).map_err(file_error(&path))?.to_vec());
        let key = str::from_utf8(&text).ok().and_then(|text| from_hex(text.trim()));
        key.map(Unlock::Key).ok_or_else(|| KeyringError::File {
            path: path.display().to_string(),
            why: "a key is 64 hexadecimal digits; `openssl rand -hex 32` makes one".into(),
        })
    }
}

fn write(disk: &Disk, path: &Path, unlock: &Unlock, content: &[u8]) -> Result<(), KeyringError> {
    let sealed = seal(unlock, content).map_err(seal_error(path))?;
    disk.write_atomic_private(path, &sealed).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> KeyringError {
    move |why| KeyringError::File { path: path.display().to_string(), why: why.to_string() }
}

fn seal_error(path: &Path) -> impl Fn(SealError) -> KeyringError {
    move |why| KeyringError::Seal { path: path.display().to_string(), why }
}

/// 32 bytes for a key.
///
/// # Errors
/// When the operating system gives none.
pub(crate) fn chance() -> Result<[u8; 32], KeyringError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| KeyringError::Damaged("the system gave no random bytes".into()))?;
    Ok(bytes)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("ca", &self.ca)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn is_same(one: &Keyring, two: &Keyring) -> bool {
        one.ca.fingerprint() == two.ca.fingerprint()
            && one.cluster.public_key() == two.cluster.public_key()
            && (one.bus_seeds, one.store_key) == (two.bus_seeds, two.store_key)
    }

    #[test]
    fn it_is_made_once_and_sealed_anew() {
        let (directory, world) = (tempfile::tempdir().unwrap(), World::real());
        let at = directory.path().join("mixer");
        let fleet = Name::new("lab").unwrap();
        let opened = |by: &UnlockBy| Keyring::open(&world, &at, &fleet, by);
        let (first, is_new) = opened(&UnlockBy::KeyBeside).unwrap();
        assert!(is_new);
        for file in [FILE, KEY_FILE] {
            assert_eq!(fs::metadata(at.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        let (again, is_new) = opened(&UnlockBy::KeyBeside).unwrap();
        assert!(!is_new && is_same(&first, &again));
        let words = UnlockBy::Passphrase("correct horse".into());
        assert!(opened(&words).is_err(), "it is not replaced when it does not open");
        Keyring::reseal(&world, &at, &UnlockBy::KeyBeside, &words).unwrap();
        assert!(!at.join(KEY_FILE).exists(), "the key that is no more");
        assert!(opened(&UnlockBy::KeyBeside).is_err());
        assert!(is_same(&first, &opened(&words).unwrap().0));
        let key = directory.path().join("key");
        fs::write(&key, "07".repeat(32)).unwrap();
        let key = UnlockBy::KeyFile(key);
        Keyring::reseal(&world, &at, &words, &key).unwrap();
        assert!(is_same(&first, &opened(&key).unwrap().0));
        let missing = UnlockBy::KeyFile(directory.path().join("missing"));
        assert!(opened(&missing).is_err(), "a key that was named is never made");
        let bytes = fs::read(at.join(FILE)).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"BEGIN"));
    }

    #[test]
    fn a_lost_key_is_not_made_anew_beside_a_keyring() {
        let (directory, world) = (tempfile::tempdir().unwrap(), World::real());
        let fleet = Name::new("lab").unwrap();
        let opened = || Keyring::open(&world, directory.path(), &fleet, &UnlockBy::KeyBeside);
        opened().unwrap();
        fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
        assert!(opened().is_err());
        assert!(!directory.path().join(KEY_FILE).exists());
    }
}
