//! The kinds a binary knows: their manifests, and how to make one.

use std::collections::BTreeMap;

use flux_scenario::catalog::{Catalog, Manifest};
use flux_signal::Fault;
use schemars::generate::SchemaSettings;
use serde::de::Error as _;
use serde_json::Value as Json;

use crate::{Gear, GearContext, HostedGear, secrets::Secrets};

/// The kinds of gear a binary links.
#[derive(Default)]
pub struct Registry(BTreeMap<&'static str, Kind>);

struct Kind {
    manifest: Manifest,
    init: Init,
}

type Init = fn(Json, &GearContext) -> Result<Box<dyn HostedGear>, InitError>;

/// Why a gear could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No such kind is linked.
    #[error("no gear kind `{0}`")]
    UnknownKind(String),
    /// The configuration does not fit; `check` says where.
    #[error("bad configuration: {0}")]
    Config(#[from] serde_json::Error),
    /// The gear refused it.
    #[error(transparent)]
    Refused(#[from] Fault),
}

impl Registry {
    /// Knows nothing yet.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a kind. Two gears of one kind in a binary are a mistake of its author.
    ///
    /// # Panics
    /// When the kind is already there.
    pub fn with<G: Gear>(mut self) -> Registry {
        let kind = Kind { manifest: manifest::<G>(), init: init::<G> };
        let before = self.0.insert(G::KIND, kind);
        assert!(before.is_none(), "gear kind `{}` registered twice", G::KIND);
        self
    }

    /// Makes a gear of a kind, with the secrets that its configuration refers to. Pure, as [`Gear::init`] is.
    pub fn init(
        &self,
        kind: &str,
        mut config: Json,
        ctx: &GearContext,
    ) -> Result<Box<dyn HostedGear>, InitError> {
        let kind = self.0.get(kind).ok_or_else(|| InitError::UnknownKind(kind.into()))?;
        let secrets = Secrets::put_into(&mut config, ctx.files(), ctx.name())?;
        (kind.init)(config, ctx).map_err(|why| secrets.hide_in(why))
    }

    /// The kinds, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The manifests of all kinds.
    pub fn catalog(&self) -> Catalog {
        self.0.values().map(|kind| kind.manifest.clone()).collect()
    }
}

fn init<G: Gear>(config: Json, ctx: &GearContext) -> Result<Box<dyn HostedGear>, InitError> {
    // A gear without a `config` block has an empty one.
    let config = if config.is_null() { Json::Object(serde_json::Map::new()) } else { config };
    if !config.is_object() {
        return Err(serde_json::Error::custom("`config` is a map").into());
    }
    Ok(Box::new(G::init(serde_json::from_value(config)?, ctx)?))
}

/// The manifest of a kind: its descriptor and the schema of its configuration.
pub(crate) fn manifest<G: Gear>() -> Manifest {
    let descriptor = G::descriptor();
    Manifest {
        kind: G::KIND.into(),
        category: descriptor.category,
        status: descriptor.status,
        summary: descriptor.summary.into(),
        terminus: descriptor.terminus,
        ports: descriptor.ports,
        config_schema: SchemaSettings::draft2020_12()
            .into_generator()
            .into_root_schema_for::<G::Config>()
            .to_value(),
        waits: descriptor.waits,
        partitionable: descriptor.partitionable,
    }
}
