//! `fluxrig gears`: the kinds of gear, from their manifests.

use std::{ffi::OsStr, process::ExitCode};

use anyhow::Context;
use clap::{
    Arg, Args, Command, Subcommand,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use flux_scenario::{Catalog, Manifest};

use crate::{markdown, stdout};

#[derive(Args)]
pub(crate) struct Gears {
    #[command(subcommand)]
    command: GearsCommand,
}

#[derive(Subcommand)]
enum GearsCommand {
    /// List the kinds
    List {
        /// Print an array of manifests
        #[arg(long)]
        json: bool,
        /// Print only the kinds, a line each
        #[arg(long, conflicts_with = "json")]
        names: bool,
    },
    /// Print the reference page of a kind, as Markdown
    Doc {
        /// The kind, as in `type` of a scenario
        #[arg(value_parser = KindParser)]
        kind: String,
    },
    /// Print everything that is known of a kind, as JSON
    Manifest {
        /// The kind; all when absent
        #[arg(value_parser = KindParser)]
        kind: Option<String>,
    },
    /// Print the JSON Schema of a kind's `config`
    Schema {
        /// The kind
        #[arg(value_parser = KindParser)]
        kind: String,
    },
}

/// Takes any text for a kind, so that an unknown one is answered in our words, and knows the kinds there are, so that
/// they are listed and completed.
#[derive(Clone)]
struct KindParser;

impl TypedValueParser for KindParser {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let kinds: Vec<_> = crate::gears().kinds().map(PossibleValue::new).collect();
        Some(Box::new(kinds.into_iter()))
    }
}

impl Gears {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let catalog = crate::gears().catalog();
        match self.command {
            GearsCommand::List { json: true, .. } => {
                stdout::line(serde_json::to_string(&manifests(&catalog))?)?
            }
            GearsCommand::List { names: true, .. } => catalog.kinds().try_for_each(stdout::line)?,
            GearsCommand::List { .. } => {
                for manifest in catalog.iter() {
                    stdout::line(format_args!("{:<16} {}", manifest.kind, manifest.summary))?;
                }
            }
            GearsCommand::Doc { kind } => stdout::print(markdown::gear(find(&catalog, &kind)?))?,
            GearsCommand::Manifest { kind: Some(kind) } => {
                stdout::line(serde_json::to_string_pretty(find(&catalog, &kind)?)?)?;
            }
            GearsCommand::Manifest { kind: None } => {
                stdout::line(serde_json::to_string_pretty(&manifests(&catalog))?)?
            }
            GearsCommand::Schema { kind } => {
                stdout::line(serde_json::to_string_pretty(&find(&catalog, &kind)?.config_schema)?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn manifests(catalog: &Catalog) -> Vec<&Manifest> {
    catalog.iter().collect()
}

fn find<'a>(catalog: &'a Catalog, kind: &str) -> anyhow::Result<&'a Manifest> {
    let known = || catalog.kinds().collect::<Vec<_>>().join(", ");
    catalog.get(kind).with_context(|| format!("no kind of gear `{kind}`; there are: {}", known()))
}
