//! `fluxrig token`: tokens for the API of a Mixer.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use flux_identity::Role;
use flux_scenario::units::Duration;
use flux_world::World;
use hyper::Method;
use serde_json::{Value as Json, json};

use crate::{mixer::LoginOptions, stdout, terminal};

/// Tokens for the API of a Mixer: make one with a role, list them, make one void
#[derive(Args)]
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
        /// How long it is good; for ever where nothing is said
        #[arg(long = "for", value_name = "TIME")]
        lifetime: Option<Duration>,
        #[command(flatten)]
        login: LoginOptions,
    },
    /// List the tokens that are good, one a line: id, name, role
    List {
        #[command(flatten)]
        login: LoginOptions,
        /// Print `[{"id","name","role","made_by","expires_unix_ms"}]`
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
                Command::Make { name, role, lifetime, login } => {
                    let lifetime_s = lifetime.map(|lifetime| lifetime.0.as_secs());
                    let body = json!({ "name": name, "role": role, "lifetime_s": lifetime_s });
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
                        stdout::line(format_args!("{}  {:<20}  {}", word("id"), word("name"), word("role")))?;
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
