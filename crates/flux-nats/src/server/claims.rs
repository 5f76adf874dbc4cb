//! JWTs as a `nats-server` reads them: operator, accounts, users.
//!
//! ```text
//! base64url {"typ":"JWT","alg":"ed25519-nkey"} . base64url {claims} . base64url Ed25519 signature of what is before it
//! ```

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use flux_bus::{Error, Grants};
use nkeys::{KeyPair, KeyPairType};
use ring::digest::{SHA512_256, digest};
use serde_json::{Value as Json, json};

use super::permissions;
use crate::bus_key::{BusKey, pair};

/// Longest JWT of a user: it is one line of the protocol, and the server has to be set to take it.
pub(super) const USER_JWT_BYTES_MAX: usize = 24 << 10;

/// What everything is signed with: 32 bytes of chance each, secrets.
#[derive(Clone)]
pub struct Seeds {
    /// Of the operator.
    pub operator: [u8; 32],
    /// Of the account of the fleet.
    pub account: [u8; 32],
    /// Of the account of the server itself.
    pub system: [u8; 32],
}

/// Signs what users of a bus are. `Debug` shows public keys.
pub(super) struct Issuer {
    operator: KeyPair,
    account: AccountKey,
    system: KeyPair,
}

/// Signs what users of one account are: the key of the account, or one of its signing keys. `Debug` shows the public half.
pub struct AccountKey {
    pair: KeyPair,
    /// The account, where the key is one of its signing keys.
    account: Option<String>,
}

impl AccountKey {
    /// The key of a seed, `SA…`; `account`, `A…`, is whose it is where it is a signing key.
    ///
    /// # Errors
    /// [`Error::Invalid`], which quotes nothing of the seed.
    pub fn from_seed(seed: &str, account: Option<&str>) -> Result<AccountKey, Error> {
        let is_account = |pair: &KeyPair| pair.key_pair_type() == KeyPairType::Account;
        let key = KeyPair::from_seed(seed.trim()).ok().filter(is_account);
        let pair = key.ok_or_else(|| Error::Invalid("it is no seed of an account's key, `SA…`".into()))?;
        if let Some(account) = account {
            let named = KeyPair::from_public_key(account).ok().filter(is_account);
            named
                .ok_or_else(|| Error::Invalid(format!("`{account}` is no public key of an account, `A…`")))?;
        }
        let account = account.filter(|account| *account != pair.public_key()).map(str::to_owned);
        Ok(AccountKey { pair, account })
    }

    /// What a user is who has the key: what they may, and until when, in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is no user's, and [`Error::TooLong`] when so much is granted that a server would not take
    /// it.
    pub fn user(
        &self,
        name: &str,
        key: &str,
        grants: &Grants,
        issued: u64,
        expires: Option<u64>,
    ) -> Result<String, Error> {
        check_user_key(key)?;
        let mut nats = permissions::of(grants);
        nats["type"] = "user".into();
        if let Some(account) = &self.account {
            nats["issuer_account"] = account.as_str().into();
        }
        let jwt = signed(&self.pair, key, name, issued, expires, nats);
        match jwt.len() {
            bytes if bytes > USER_JWT_BYTES_MAX => {
                Err(Error::TooLong { bytes, bytes_max: USER_JWT_BYTES_MAX })
            }
            _ => Ok(jwt),
        }
    }
}

impl Issuer {
    /// An issuer with these keys.
    pub(super) fn new(seeds: &Seeds) -> Issuer {
        Issuer {
            operator: pair(KeyPairType::Operator, seeds.operator),
            account: AccountKey { pair: pair(KeyPairType::Account, seeds.account), account: None },
            system: pair(KeyPairType::Account, seeds.system),
        }
    }

    /// Who signs users of the fleet.
    pub(super) fn users(&self) -> &AccountKey {
        &self.account
    }

    /// The account of the fleet, with who is revoked.
    pub(super) fn account(&self, revoked: &BTreeMap<String, u64>, issued: u64) -> String {
        let mut limits = unlimited();
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            limits[limit] = (-1).into();
        }
        let mut nats = json!({ "type": "account", "limits": limits });
        if !revoked.is_empty() {
            nats["revocations"] = json!(revoked);
        }
        signed(&self.operator, &self.account_key(), "fluxrig", issued, None, nats)
    }

    pub(super) fn operator(&self, issued: u64) -> String {
        let nats = json!({ "type": "operator", "system_account": self.system_key() });
        signed(&self.operator, &self.operator.public_key(), "fluxrig", issued, None, nats)
    }

    pub(super) fn system(&self, issued: u64) -> String {
        let nats = json!({ "type": "account", "limits": unlimited() });
        signed(&self.operator, &self.system_key(), "fluxrig-system", issued, None, nats)
    }

    /// Somebody new who may tell the server of accounts, and nothing else.
    pub(super) fn system_credentials(&self, issued: u64) -> Result<String, Error> {
        let key = BusKey::generate()?;
        let nats = json!({
            "type": "user", "subs": -1, "data": -1, "payload": -1,
            "pub": { "allow": ["$SYS.REQ.CLAIMS.UPDATE"] }, "sub": { "allow": ["_INBOX.>"] },
        });
        Ok(key.credentials(&signed(&self.system, &key.public(), "fluxrig-mixer", issued, None, nats)))
    }

    pub(super) fn account_key(&self) -> String {
        self.account.pair.public_key()
    }

    pub(super) fn system_key(&self) -> String {
        self.system.public_key()
    }
}

/// Whether a text is the public half of a user's key.
fn check_user_key(key: &str) -> Result<(), Error> {
    match KeyPair::from_public_key(key) {
        Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(()),
        Ok(_) | Err(_) => Err(Error::Invalid("the key for the bus is no user's key, `U…`".into())),
    }
}

fn unlimited() -> Json {
    json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    })
}

fn signed(
    by: &KeyPair,
    subject: &str,
    name: &str,
    issued: u64,
    expires: Option<u64>,
    mut nats: Json,
) -> String {
    nats["version"] = 2.into();
    let mut claims = json!({
        "iat": issued, "iss": by.public_key(), "name": name, "sub": subject, "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = expires.into();
    }
    claims["jti"] = BASE32_NOPAD.encode(digest(&SHA512_256, claims.to_string().as_bytes()).as_ref()).into();
    let head = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{head}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
    let signature = by.sign(text.as_bytes()).expect("it has its seed");
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.account_key())
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.pair.public_key())
    }
}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer::new(&Seeds { operator: [1; 32], account: [2; 32], system: [3; 32] })
    }

    #[test]
    fn a_user_is_signed_by_the_account_and_has_what_was_granted() {
        let grants = Grants::of_rack(&"north".parse().unwrap(), &[]).unwrap();
        let key = BusKey::from_seed(&pair(KeyPairType::User, [4; 32]).seed().unwrap()).unwrap();
        let jwt = issuer().users().user("north", &key.public(), &grants, 1_000, Some(2_000)).unwrap();
        let [head, claims, signature] = jwt.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        let account = KeyPair::from_public_key(&issuer().account_key()).unwrap();
        account.verify(format!("{head}.{claims}").as_bytes(), &signature).unwrap();
        let claims: Json =
            serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap();
        assert_eq!((&claims["sub"], &claims["exp"]), (&json!(key.public()), &json!(2_000)));
        assert_eq!(claims["nats"]["pub"]["allow"][0], "fluxrig.agent.north.>");
    }

    #[test]
    fn only_users_are_users_and_not_too_much_is_granted() {
        let mut grants = Grants::of_rack(&"north".parse().unwrap(), &[]).unwrap();
        let operator = issuer().operator.public_key();
        for bad in ["", "U", "../x", &operator, "UABC"] {
            assert!(issuer().users().user("north", bad, &grants, 1, None).is_err(), "{bad}");
        }
        let key = BusKey::generate().unwrap();
        let many = (0..1_000).map(|at| format!("flux.msg.south.w{at}").parse().unwrap());
        grants.publish.extend(many);
        let refused = issuer().users().user("north", &key.public(), &grants, 1, None);
        assert!(matches!(refused, Err(Error::TooLong { .. })));
        assert!(BusKey::from_seed(&issuer().account.pair.seed().unwrap()).is_err());
    }

    #[test]
    fn a_signing_key_says_whose_it_is_and_nothing_else_signs() {
        let [account, signing] = [2, 5].map(|seed| pair(KeyPairType::Account, [seed; 32]));
        let (seed, own) = (signing.seed().unwrap(), account.public_key());
        let (key, grants) = (BusKey::generate().unwrap(), Grants::of_mixer());
        let issued_by = |seed: &str, account: Option<&str>| {
            let jwt = AccountKey::from_seed(seed, account).unwrap();
            let jwt = jwt.user("north", &key.public(), &grants, 1, None).unwrap();
            let claims = BASE64URL_NOPAD.decode(jwt.split('.').nth(1).unwrap().as_bytes()).unwrap();
            let claims: Json = serde_json::from_slice(&claims).unwrap();
            (claims["iss"].clone(), claims["nats"]["issuer_account"].clone())
        };
        assert_eq!(issued_by(&seed, Some(&own)), (json!(signing.public_key()), json!(own)));
        assert_eq!(issued_by(&account.seed().unwrap(), Some(&own)), (json!(own), Json::Null));
        let user = pair(KeyPairType::User, [4; 32]).seed().unwrap();
        for (seed, account) in
            [(&*user, None), ("SAUA", None), (&*seed, Some("A")), (&*seed, Some(&*key.public()))]
        {
            let why = AccountKey::from_seed(seed, account).unwrap_err().to_string();
            assert!(!why.contains(seed), "{why}");
        }
    }
}
