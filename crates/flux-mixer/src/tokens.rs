//! Tokens that are good: hashes of them, never they themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_bus::{Bus, Error, Key, Name, Revision};
use flux_identity::{Role, Scope, Token, TokenHash, TokenKind};
use flux_world::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::keyring::chance;
use crate::limits::TOKENS_MAX;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// What a token is good for, as it is kept.
pub(crate) trait Good: Serialize + DeserializeOwned {
    const KIND: TokenKind;
    const SHELF: &'static str;
}

/// An invitation to enrol.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Invitation {
    /// The only name it is for; any where none is said.
    #[schemars(with = "Option<String>")]
    pub rack: Option<Name>,
    /// Labels that the Rack gets.
    pub labels: BTreeMap<String, String>,
    /// Which Racks who made it may see: nobody gets by it what those may not have.
    #[serde(default)]
    pub scope: Scope,
    /// Who made it.
    pub made_by: String,
}

/// Access to the API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// What it is called.
    pub name: String,
    /// What may be done with it.
    pub role: Role,
    /// For which Racks.
    #[serde(default)]
    pub scope: Scope,
    /// Who made it.
    pub made_by: String,
}

impl Good for Invitation {
    const KIND: TokenKind = TokenKind::Enrolment;
    const SHELF: &'static str = "invitations";
}

impl Good for Access {
    const KIND: TokenKind = TokenKind::Access;
    const SHELF: &'static str = "access";
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    hash: TokenHash,
    expires_unix_ms: Option<u64>,
    #[serde(flatten)]
    good: T,
}

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed<T> {
    /// Which one.
    pub id: String,
    /// Until when, in milliseconds since 1970; for ever where none is said.
    pub expires_unix_ms: Option<u64>,
    /// What it is good for.
    #[serde(flatten)]
    pub good: T,
}

/// A token that was found good, at the revision at which it was.
pub(crate) struct Found<T> {
    pub(crate) good: T,
    key: Key,
    revision: Revision,
}

/// The tokens of one kind.
#[derive(Debug)]
pub(crate) struct Tokens<T> {
    shelf: Shelf<Kept<T>>,
    clock: Clock,
    fingerprint: [u8; 32],
}

impl<T: Good> Tokens<T> {
    pub(crate) async fn open(bus: &dyn Bus, clock: Clock, fingerprint: [u8; 32]) -> Result<Tokens<T>, Error> {
        Ok(Tokens { shelf: Shelf::open(bus, T::SHELF).await?, clock, fingerprint })
    }

    /// A new token, which is shown once and kept by nobody here.
    pub(crate) async fn make(&self, good: T, lifetime: Option<Duration>) -> Result<Token, Refusal> {
        if self.live().await?.len() >= TOKENS_MAX {
            return Err(Refusal::TooMany(format!("there are {TOKENS_MAX} tokens: revoke some")));
        }
        let failed = |_| Refusal::Unavailable("the system gave no random bytes".into());
        let (id, secret) = (chance().map_err(failed)?, chance().map_err(failed)?);
        let id = *id.first_chunk().expect("32 bytes are more than 8");
        let token = Token::new(T::KIND, id, secret, self.fingerprint);
        let until = |lifetime: Duration| self.clock.unix_ms().saturating_add(lifetime.as_millis() as u64);
        let kept = Kept { hash: token.hash(), expires_unix_ms: lifetime.map(until), good };
        self.shelf.put(key(&token.id())?, &kept, None).await?;
        Ok(token)
    }

    /// Whether a token is good now. One that is unknown, spent, expired, or for another Mixer is all the same.
    pub(crate) async fn find(&self, token: &Token) -> Result<Option<Found<T>>, Refusal> {
        if token.kind != T::KIND {
            return Ok(None);
        }
        let key = key(&token.id())?;
        let Some((kept, revision)) = self.shelf.get(&key).await? else { return Ok(None) };
        let is_good = kept.hash.is_of(token) && self.is_live(&kept);
        Ok(is_good.then_some(Found { good: kept.good, key, revision }))
    }

    /// Uses a token up. Of those who try at once, one succeeds.
    pub(crate) async fn use_up(&self, found: Found<T>) -> Result<bool, Refusal> {
        match self.shelf.remove(found.key, found.revision).await {
            Ok(()) => Ok(true),
            Err(Error::Revision(_) | Error::Missing(_)) => Ok(false),
            Err(why) => Err(why.into()),
        }
    }

    /// Makes a token void. False where there is none.
    pub(crate) async fn revoke(&self, id: &str) -> Result<bool, Refusal> {
        let key = key(id)?;
        match self.shelf.get(&key).await? {
            Some((kept, revision)) => self.use_up(Found { good: kept.good, key, revision }).await,
            None => Ok(false),
        }
    }

    /// Those that are good, by id; those that have expired go.
    pub(crate) async fn live(&self) -> Result<Vec<Listed<T>>, Refusal> {
        let mut live = Vec::new();
        for (key, kept, revision) in self.shelf.list().await? {
            match self.is_live(&kept) {
                true => live.push(Listed {
                    id: key.as_str().to_owned(),
                    expires_unix_ms: kept.expires_unix_ms,
                    good: kept.good,
                }),
                false => drop(self.use_up(Found { good: kept.good, key, revision }).await?),
            }
        }
        Ok(live)
    }

    fn is_live(&self, kept: &Kept<T>) -> bool {
        kept.expires_unix_ms.is_none_or(|until| self.clock.unix_ms() < until)
    }
}

fn key(id: &str) -> Result<Key, Refusal> {
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = Key::new(id).ok().filter(|_| is_id);
    key.ok_or_else(|| Refusal::Invalid("the id of a token is 16 hexadecimal digits".into()))
}
