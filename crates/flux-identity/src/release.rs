//! Releases: scenarios and specs under a name and a version, as a Mixer keeps them, and what of them each Rack runs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use flux_bus::Name;
use flux_scenario::Plan;
use flux_scenario::edition::ContentHash;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::limits::{RELEASE_BYTES_MAX, TAG_BYTES_MAX};
use crate::view::{Flaw, Liveness, RackState, name_schema, word};

/// The version of a release: three numbers, and a word where it is not final. In order of what follows what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(semver::Version);

/// One version of a scenario or a spec. What is under a name and a tag never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// What it is called.
    #[schemars(schema_with = "name_schema")]
    pub name: Name,
    /// Its version.
    pub tag: Tag,
    /// SHA-256 of its text.
    pub digest: ContentHash,
    /// Length of its text.
    pub bytes: u64,
    /// What people call it, or what it is for.
    pub title: String,
    /// When it was pushed, in milliseconds since 1970.
    pub pushed_unix_ms: u64,
    /// Who pushed it.
    pub pushed_by: String,
    /// What was said about it then.
    pub note: String,
}

/// A release by what it is called: `branch:1.2.0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseName {
    /// What it is called.
    pub name: Name,
    /// Its version.
    pub tag: Tag,
}

/// What differs between two releases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The one before; none where it is compared with nothing.
    pub from: Option<ReleaseName>,
    /// The one after.
    pub to: ReleaseName,
    /// What has to happen on Racks for which anything changes; nothing for a spec.
    pub plans: Vec<RackPlan>,
    /// How many more plans there are.
    pub plans_left_out: usize,
    /// Line by line, as `diff -u` writes it; secrets are hidden. None where too much differs.
    pub text: Option<String>,
}

/// What has to happen on some Racks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RackPlan {
    /// Those for which it is the same.
    #[schemars(with = "Vec<String>")]
    pub racks: Vec<Name>,
    /// Gear by gear, wire by wire.
    pub plan: Plan,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for the next page: `after=`. None on the last.
    pub next: Option<String>,
}

/// What came of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pushed {
    /// What was done.
    pub outcome: PushOutcome,
    /// What is under the name and the tag now; of a dry run, what would be.
    pub release: Release,
    /// What is probably not meant.
    pub warnings: Vec<Flaw>,
}

/// What was done with what was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// It is in the store now.
    Stored,
    /// It was there already, byte for byte.
    Unchanged,
    /// It was checked, and could be stored.
    Checked,
}

/// The scenario that the fleet is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activation {
    /// Its name.
    #[schemars(schema_with = "name_schema")]
    pub name: Name,
    /// Its version.
    pub tag: Tag,
    /// SHA-256 of its text.
    pub digest: ContentHash,
    /// Since when, in milliseconds since 1970.
    pub activated_unix_ms: u64,
    /// By whom.
    pub activated_by: String,
}

/// Whether a Rack runs what it is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// It says that it has what it is to run, and is heard of.
    Synced,
    /// It says that it has something else.
    Behind,
    /// It does not say: it is not heard of, or its version does not tell.
    Unknown,
    /// There is nothing for it to run.
    Idle,
}

/// A Rack, and whether it runs what it is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RackSync {
    /// The Rack.
    #[schemars(schema_with = "name_schema")]
    pub name: Name,
    /// How it stands.
    pub state: RackState,
    /// Whether it is heard of.
    pub liveness: Liveness,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs what it is to run.
    pub sync: Sync,
    /// What it is to do: the digest of its orders.
    pub desired: Option<ContentHash>,
    /// The digest of those that it said last that it obeys.
    pub actual: Option<ContentHash>,
}

/// How many Racks stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncCounts {
    /// Racks that run what they are to run.
    pub synced: usize,
    /// Racks that run something else.
    pub behind: usize,
    /// Racks of which it is not known.
    pub unknown: usize,
    /// Racks that have nothing to run.
    pub idle: usize,
}

/// The fleet: what it is to run, and what of it each Rack does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// The Mixer.
    #[schemars(schema_with = "name_schema")]
    pub mixer: Name,
    /// What is to run; none where nothing was activated.
    pub scenario: Option<Activation>,
    /// Active Racks, counted.
    pub counts: SyncCounts,
    /// Racks that the scenario names and that are not active.
    pub missing: Vec<String>,
    /// Whether every Rack that the scenario has something for is there and runs it. None where no scenario is active.
    pub is_synced: Option<bool>,
    /// Racks, by name.
    pub racks: Vec<RackSync>,
    /// What to ask for the next page: `after=`. None on the last.
    pub next: Option<String>,
}

word!(Sync, Synced "synced", Behind "behind", Unknown "unknown", Idle "idle");

impl SyncCounts {
    /// Counts one more.
    pub fn add(&mut self, sync: Sync) {
        *match sync {
            Sync::Synced => &mut self.synced,
            Sync::Behind => &mut self.behind,
            Sync::Unknown => &mut self.unknown,
            Sync::Idle => &mut self.idle,
        } += 1;
    }
}

impl Tag {
    /// Whether it is a version to be used, not one on the way to it.
    pub fn is_final(&self) -> bool {
        self.0.pre.is_empty()
    }
}

impl FromStr for Tag {
    type Err = String;

    /// Reads `1.2.0`, `v1.2.0` or `1.2.0-rc.1`.
    fn from_str(text: &str) -> Result<Tag, String> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let version = semver::Version::parse(bare).ok();
        version
            .filter(|version| version.build.is_empty() && bare.len() <= TAG_BYTES_MAX)
            .map(Tag)
            .ok_or_else(|| "a tag is a version as `1.2.0` or `1.2.0-rc.1`, without `+`".to_owned())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(text: String) -> Result<Tag, String> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> String {
        tag.to_string()
    }
}

impl FromStr for ReleaseName {
    type Err = String;

    /// Reads `branch:1.2.0`.
    fn from_str(text: &str) -> Result<ReleaseName, String> {
        let (name, tag) = text.split_once(':').ok_or_else(|| format!("`{text}`: write NAME:TAG"))?;
        Ok(ReleaseName { name: Name::new(name).map_err(|why| why.to_string())?, tag: tag.parse()? })
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

impl TryFrom<String> for ReleaseName {
    type Error = String;

    fn try_from(text: String) -> Result<ReleaseName, String> {
        text.parse()
    }
}

impl From<ReleaseName> for String {
    fn from(release: ReleaseName) -> String {
        release.to_string()
    }
}

impl JsonSchema for ReleaseName {
    fn schema_name() -> Cow<'static, str> {
        "ReleaseName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^[A-Za-z0-9_-]{{1,60}}:{}$", tag_pattern());
        json_schema!({ "type": "string", "pattern": pattern, "maxLength": RELEASE_BYTES_MAX })
    }
}

/// What a tag looks like, as a regular expression.
pub fn tag_pattern() -> String {
    let word = r"(0|[1-9][0-9]{0,15}|[0-9]{0,15}[A-Za-z-][0-9A-Za-z-]*)";
    let number = "(0|[1-9][0-9]{0,15})";
    format!(r"v?{number}\.{number}\.{number}(-{word}(\.{word})*)?")
}

impl JsonSchema for Tag {
    fn schema_name() -> Cow<'static, str> {
        "Tag".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^{}$", tag_pattern());
        json_schema!({ "type": "string", "pattern": pattern, "maxLength": TAG_BYTES_MAX })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_in_order_of_versions_and_no_path() {
        let tag = |text: &str| text.parse::<Tag>().unwrap();
        assert_eq!(tag("v1.2.0"), tag("1.2.0"));
        assert!(tag("1.2.0-rc.1") < tag("1.2.0") && tag("1.9.0") < tag("1.10.0"));
        assert!(tag("1.2.0").is_final() && !tag("1.2.0-rc.1").is_final());
        let long = format!("1.2.0-{}", "x".repeat(TAG_BYTES_MAX));
        for bad in ["", "1", "1.2", "1.2.0+b", "../1.2.0", "1.2.0/..", "*", ">", "latest", "01.2.0", &long] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_release_is_a_name_and_a_tag() {
        let release: ReleaseName = "branch:v1.2.0".parse().unwrap();
        assert_eq!(release.to_string(), "branch:1.2.0");
        for bad in ["branch", "branch:", ":1.2.0", "a.b:1.2.0", "branch:latest", "a:b:1.2.0"] {
            assert!(bad.parse::<ReleaseName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_tag_or_refused(text in "v?[0-9a-z.+*>/-]{0,24}|.{0,12}") {
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert_eq!(tag.to_string().parse::<Tag>().unwrap(), tag.clone());
                prop_assert!(flux_bus::Key::new(format!("name.{tag}")).is_ok(), "it is a part of a key");
            }
        }
    }
}
