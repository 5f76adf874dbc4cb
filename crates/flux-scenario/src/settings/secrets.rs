//! Where a rack finds the secrets that a scenario refers to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secs;
use crate::units::Duration;

/// Where secrets are that a scenario refers to as `${secret:NAME}`: in this order, and the first that has one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Directory with a file for each secret, of its name. One line break at the end of a file is no part of it.
    pub directory: Option<String>,
    /// What a variable of the environment begins with that holds one; the name follows, with `_` for `-` and `.`. Empty: the
    /// environment is not looked at.
    pub environment: String,
    /// A HashiCorp Vault, or what speaks like one.
    pub vault: Option<Vault>,
}

/// A secret of Vault's KV engine, version 2, whose keys are the names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Its address: `https://vault.example:8200`. Plain HTTP is for this machine alone.
    pub url: String,
    /// Where the engine is mounted.
    #[serde(default = "mount")]
    #[schemars(extend("default" = "secret"))]
    pub mount: String,
    /// The secret: `fluxrig/north`.
    pub path: String,
    /// Namespace, where Vault has several.
    #[serde(default)]
    pub namespace: Option<String>,
    /// File with the token; it is read each time.
    pub token_file: String,
    /// Who vouches for Vault: certificates in PEM. Needed for HTTPS.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// How long it may take to answer.
    #[serde(default = "timeout")]
    #[schemars(extend("default" = "5s"))]
    pub timeout: Duration,
}

impl Default for Secrets {
    fn default() -> Secrets {
        Secrets { directory: None, environment: "FLUXRIG_SECRET_".into(), vault: None }
    }
}

fn mount() -> String {
    "secret".into()
}

fn timeout() -> Duration {
    secs(5)
}
