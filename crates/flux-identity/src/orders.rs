//! What a Rack is to do, as its Mixer says it: in its signed passport and nowhere else, so that nobody else can say it.

use flux_bus::MeshWire;
use flux_scenario::edition::ContentHash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::view::word;

/// What a Rack is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Whether it runs its part.
    #[serde(default)]
    pub duty: Duty,
    /// The least severe level that it logs, in place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// How often it was told to end. It ends when that is more than it knew.
    #[serde(default)]
    pub shutdowns: u64,
    /// What it is to run; nothing where the scenario does not name it.
    pub part: Option<Part>,
}

/// Whether a Rack runs what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// It does.
    #[default]
    Running,
    /// It takes nothing in, delivers what it has, and then runs nothing. While something cannot be delivered it goes on.
    Drained,
    /// It runs nothing, at once: what is in hand is finished, what waits on disk waits there.
    Stopped,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may need somebody.
    Warn,
    /// What happens now and then.
    Info,
    /// What it does in detail.
    Debug,
    /// Everything.
    Trace,
}

word!(Duty, Running "running", Drained "drained", Stopped "stopped");
word!(LogLevel, Error "error", Warn "warn", Info "info", Debug "debug", Trace "trace");

/// The part of a scenario that is one Rack's: its gears with their settings, and of others the names at the far ends of wires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Name of the scenario.
    pub scenario: String,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of the whole scenario, as it was written.
    pub whole: ContentHash,
    /// The part, as a scenario of its own: JSON, which is YAML.
    pub text: String,
    /// Wires to and from other Racks.
    pub wires: Vec<MeshWire>,
}

impl Part {
    /// What tells it from any other part.
    pub fn digest(&self) -> ContentHash {
        digest_of(self)
    }
}

impl Orders {
    /// What tells them from any others: what a Rack says that it does, and is told that it is to do.
    pub fn digest(&self) -> ContentHash {
        Orders::digest_with(self.duty, self.log_level, self.shutdowns, self.part.as_ref().map(Part::digest))
    }

    /// The same, where the digest of the part is known.
    pub fn digest_with(
        duty: Duty,
        log_level: Option<LogLevel>,
        shutdowns: u64,
        part: Option<ContentHash>,
    ) -> ContentHash {
        digest_of(&json!([duty, log_level, shutdowns, part]))
    }
}

fn digest_of(what: &impl Serialize) -> ContentHash {
    ContentHash::of(&serde_json::to_vec(what).expect("it is JSON"))
}

/// What a Mixer says on `flux.ctrl.<rack>.orders`, unsigned: there is something new. A Rack that has other orders asks for its
/// passport, and obeys that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrdersChanged {
    /// The digest of its orders now.
    pub orders: ContentHash,
}

#[cfg(test)]
mod tests {
    use flux_bus::Name;

    use super::*;

    #[test]
    fn each_order_makes_others_of_them() {
        let part = |text: &str| Part {
            scenario: "s".into(),
            version: None,
            whole: ContentHash([5; 32]),
            text: text.into(),
            wires: vec![MeshWire {
                wire: Name::new("w1").unwrap(),
                from: Name::new("north").unwrap(),
                to: Name::new("south").unwrap(),
            }],
        };
        let idle = Orders::default();
        let all = [
            idle.clone(),
            Orders { duty: Duty::Stopped, ..idle.clone() },
            Orders { log_level: Some(LogLevel::Debug), ..idle.clone() },
            Orders { shutdowns: 1, ..idle.clone() },
            Orders { part: Some(part("a")), ..idle.clone() },
            Orders { part: Some(part("b")), ..idle },
        ];
        let digests: std::collections::BTreeSet<ContentHash> = all.iter().map(Orders::digest).collect();
        assert_eq!(digests.len(), all.len());
        for orders in all {
            let text = serde_json::to_string(&orders).unwrap();
            assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders);
        }
        assert_eq!("drained".parse(), Ok(Duty::Drained));
        assert!("off".parse::<LogLevel>().unwrap_err().contains("debug"));
    }
}
