//! `fluxrig scenario`: a scenario as a picture, and its schema for an editor.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use flux_scenario::{Catalog, Form, graph, json_schema};

use crate::{markdown, plan::Plan, terminal};

#[derive(Args)]
pub(crate) struct Scenario {
    #[command(subcommand)]
    command: ScenarioCommand,
}

#[derive(Subcommand)]
enum ScenarioCommand {
    /// Draw gears, wires and the tasks they are fused into
    Graph {
        /// Scenario: YAML, or a `fluxrig.toml`
        file: PathBuf,
        /// Form of the picture
        #[arg(long, default_value = "mermaid")]
        format: Picture,
        /// The rack to draw, where the scenario has several
        #[arg(long, value_name = "NAME")]
        rack: Option<String>,
    },
    /// Print the JSON Schema by which an editor completes scenarios
    Schema {
        /// The file the schema is for
        #[arg(long, default_value = "yaml")]
        form: FileForm,
    },
    /// Print the reference page of the settings, as Markdown
    Settings,
}

#[derive(Clone, Copy, ValueEnum)]
enum Picture {
    /// Text that Markdown viewers draw
    Mermaid,
    /// A picture that stands alone
    Svg,
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
            ScenarioCommand::Graph { file, format, rack } => {
                let plan = Plan::read(&file, None, rack.as_deref())?;
                let Some(circuit) = &plan.circuit else {
                    terminal::say(&plan.render());
                    return Ok(ExitCode::FAILURE);
                };
                let title = file.file_stem().unwrap_or_default().to_string_lossy();
                match format {
                    Picture::Mermaid => print!("{}", graph::mermaid(&title, circuit)),
                    Picture::Svg => print!("{}", graph::svg(&title, circuit)),
                    Picture::Json => println!("{}", serde_json::to_string_pretty(circuit)?),
                }
            }
            ScenarioCommand::Settings => {
                print!("{}", markdown::settings(&json_schema(Form::Toml, &Catalog::default())))
            }
            ScenarioCommand::Schema { form } => {
                let form = match form {
                    FileForm::Yaml => Form::Yaml,
                    FileForm::Toml => Form::Toml,
                };
                let schema = json_schema(form, &flux_gears::builtin().catalog());
                println!("{}", serde_json::to_string_pretty(&schema)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
