//! An operator with one account and a signing key of it, as `nsc` makes them: whose servers they are is nobody of ours.

use data_encoding::BASE64URL_NOPAD;
use flux_bus::Grants;
use flux_nats::BusKey;
use flux_nats::server::AccountKey;
use nkeys::KeyPair;
use serde_json::{Value as Json, json};

pub(crate) struct Operator {
    operator: KeyPair,
    account: KeyPair,
    signing: KeyPair,
    system: KeyPair,
}

impl Operator {
    pub(crate) fn new() -> Operator {
        let account = KeyPair::new_account;
        Operator {
            operator: KeyPair::new_operator(),
            account: account(),
            signing: account(),
            system: account(),
        }
    }

    /// What its servers are configured with.
    pub(crate) fn config(&self) -> String {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let mut of_system = limits.clone();
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            of_system[limit] = 0.into();
        }
        let [account, system] = [&self.account, &self.system].map(KeyPair::public_key);
        let operator =
            self.signed(&self.operator.public_key(), json!({ "type": "operator", "system_account": system }));
        let keys = [self.signing.public_key()];
        let of_account =
            self.signed(&account, json!({ "type": "account", "limits": limits, "signing_keys": keys }));
        let of_system = self.signed(&system, json!({ "type": "account", "limits": of_system }));
        format!(
            "max_control_line: 32768\noperator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {of_account}, {system}: {of_system} }}\n"
        )
    }

    fn signed(&self, subject: &str, mut nats: Json) -> String {
        nats["version"] = 2.into();
        let claims = json!({
            "iat": 1, "iss": self.operator.public_key(), "jti": subject, "name": subject, "sub": subject, "nats": nats,
        });
        let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let head = encoded(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
        let text = format!("{head}.{}", encoded(&claims.to_string()));
        let signature = self.operator.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    pub(crate) fn account(&self) -> String {
        self.account.public_key()
    }

    /// The seed of the signing key.
    pub(crate) fn signing_seed(&self) -> String {
        self.signing.seed().unwrap()
    }

    /// Credentials of somebody new with these grants, as a file has them.
    pub(crate) fn credentials(&self, grants: &Grants) -> String {
        let key = BusKey::generate().unwrap();
        let by = AccountKey::from_seed(&self.signing_seed(), Some(&self.account())).unwrap();
        key.credentials(&by.user("somebody", &key.public(), grants, 1, None).unwrap())
    }
}
