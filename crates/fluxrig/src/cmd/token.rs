//! `fluxrig token`: tokens for the API of a Mixer.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use flux_identity::{Role, Scope};
use flux_scenario::units::Duration;
use flux_world::World;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::rack::labels;
use crate::{mixer::LoginOptions, stdout, terminal};

const EXAMPLES: &str = "\
Examples:
  fluxrig token make dashboard --role viewer
  fluxrig token make porto --role operator --scope site=porto --for 90d    for the racks with that label alone
  fluxrig token list
  fluxrig token revoke 0c17a2e5f3b08d41

A token with a scope is shown the racks that have all its labels, may do with those what its role allows, and lets none in without
them. Scenarios, specs, tokens and the audit log are the whole fleet's: they need a token without a scope.";

/// Tokens for the API of a Mixer: make one with a role, list them, make one void
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a token, and print it: it is shown now and never again
    Make {
        /// What it is called
        name: String,
        /// What may be done with it: viewer, operator, deployer, admin
        #[arg(long)]
        role: Role,
        /// A label, `key=value`, that a rack has to have; several times for all of several. For the whole fleet where none is said
        #[arg(long, value_name = "LABEL")]
        scope: Vec<String>,
        /// How long it is good; for ever where nothing is said
        #[arg(long = "for", value_name = "TIME")]
        lifetime: Option<Duration>,
        #[command(flatten)]
        login: LoginOptions,
    },
    /// List the tokens that are good, one a line: id, name, role, scope
    List {
        #[command(flatten)]
        login: LoginOptions,
        /// Print `[{"id","name","role","scope","made_by","expires_unix_ms"}]`
        #[arg(long)]
        json: bool,
    },
    /// Make a token void
    Revoke {
        /// Its id, as `list` shows it
        id: String,
        #[command(flatten)]
        login: LoginOptions,
    },
}

impl TokenCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (world, runtime) = (World::real(), terminal::runtime(1)?);
        runtime.block_on(async {
            match self.command {
                Command::Make { name, role, scope, lifetime, login } => {
                    let lifetime_s = lifetime.map(|lifetime| lifetime.0.as_secs());
                    let body = json!({
                        "name": name, "role": role, "scope": labels(&scope)?, "lifetime_s": lifetime_s,
                    });
                    let made: Json = login.client(&world)?.ask(Method::POST, "/tokens", Some(&body)).await?;
                    stdout::line(made["token"].as_str().unwrap_or_default())
                }
                Command::List { login, json } => {
                    let tokens: Json = login.client(&world)?.ask(Method::GET, "/tokens", None).await?;
                    if json {
                        return stdout::line(tokens);
                    }
                    for token in tokens.as_array().into_iter().flatten() {
                        let word = |key: &str| token[key].as_str().unwrap_or_default().to_owned();
                        let scope = Scope::deserialize(&token["scope"]).unwrap_or_default();
                        let [id, name, role] = ["id", "name", "role"].map(word);
                        stdout::line(format_args!("{id}  {name:<20}  {role:<8}  {scope}"))?;
                    }
                    Ok(())
                }
                Command::Revoke { id, login } => {
                    let path = format!("/tokens/{id}");
                    login.client(&world)?.ask::<Json>(Method::DELETE, &path, None).await?;
                    stdout::line(format_args!("token {id} is void"))
                }
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
