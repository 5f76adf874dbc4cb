//! `fluxrig scenario`: a scenario as a picture, its schema for an editor, and those that a Mixer has.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use flux_scenario::{Catalog, Form, graph, json_schema};

use super::{
    activate::Activate,
    releases::{ReleaseCommand, Sort},
};
use crate::{markdown, plan::PlanOptions, stdout, terminal};

const EXAMPLES: &str = "\
Examples:
  fluxrig scenario graph branch.yaml --format svg > branch.svg
  fluxrig scenario push branch.yaml --note 'the fourth till'
  fluxrig scenario diff branch:1.0.0 branch:1.1.0
  fluxrig scenario activate branch:1.1.0 --dry-run     what would change, on which rack
  fluxrig scenario activate branch:1.1.0 --wait        until every rack runs it
  fluxrig scenario show branch:1.0.0 -o branch.yaml";

/// Scenarios: draw one, print the schema for an editor; push, compare and activate those of a Mixer
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Scenario {
    #[command(subcommand)]
    command: ScenarioCommand,
}

#[derive(Subcommand)]
enum ScenarioCommand {
    /// Draw gears, wires and the tasks they are fused into
    Graph {
        #[command(flatten)]
        plan: PlanOptions,
        /// Form of the picture
        #[arg(long, default_value = "mermaid")]
        format: Picture,
    },
    /// Print the JSON Schema by which an editor completes scenarios
    Schema {
        /// The file the schema is for
        #[arg(long, default_value = "yaml")]
        form: FileForm,
    },
    /// Print the reference page of the settings, as Markdown
    Settings,
    #[command(flatten)]
    Released(ReleaseCommand),
    Activate(Activate),
}

#[derive(Clone, Copy, ValueEnum)]
enum Picture {
    /// Text that Markdown viewers draw
    Mermaid,
    /// A picture that stands alone
    Svg,
    /// Gears by task, wires, and the order of draining, for a terminal
    Text,
    /// The compiled plan
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum FileForm {
    /// A scenario in YAML
    Yaml,
    /// `fluxrig.toml`
    Toml,
}

impl Scenario {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            ScenarioCommand::Graph { plan: options, format } => {
                let plan = options.read()?;
                let Some(circuit) = &plan.circuit else {
                    terminal::say(&plan.render());
                    return Ok(ExitCode::FAILURE);
                };
                let title = options.file.file_stem().unwrap_or_default().to_string_lossy();
                match format {
                    Picture::Mermaid => stdout::print(graph::mermaid(&title, circuit))?,
                    Picture::Svg => stdout::print(graph::svg(&title, circuit))?,
                    Picture::Text => stdout::print(graph::text(circuit))?,
                    Picture::Json => stdout::line(serde_json::to_string_pretty(circuit)?)?,
                }
            }
            ScenarioCommand::Released(command) => return command.run(Sort::Scenario),
            ScenarioCommand::Activate(activate) => return activate.run(),
            ScenarioCommand::Settings => {
                stdout::print(markdown::settings(&json_schema(Form::Toml, &Catalog::default())))?
            }
            ScenarioCommand::Schema { form } => {
                let form = match form {
                    FileForm::Yaml => Form::Yaml,
                    FileForm::Toml => Form::Toml,
                };
                let schema = json_schema(form, &crate::gears().catalog());
                stdout::line(serde_json::to_string_pretty(&schema)?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
