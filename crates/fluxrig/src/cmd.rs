//! The commands, one file each.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use flux_scenario::settings::Logging;

pub use guest::Guest;

use crate::{
    stdout,
    terminal::{self, LogOptions},
};

mod activate;
mod audit;
mod check;
mod completions;
mod demo;
mod dlq;
mod explain;
mod gears;
mod guest;
mod iso8583;
mod journal;
mod login;
mod msg;
mod passport;
mod plan;
mod rack;
mod racks;
mod releases;
mod reload;
mod run;
mod scenario;
mod spec;
mod status;
mod token;
mod topology;
mod version;

/// fluxrig wires protocols together at the edge: card terminals, plant controllers, sockets, files.
///
/// A scenario says which gears run and how they are wired. Try `fluxrig demo` first; then `fluxrig check FILE` and
/// `fluxrig run FILE`.
#[derive(Parser)]
#[command(name = "fluxrig", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Run>),
    Status(status::Status),
    Reload(reload::Reload),
    Check(check::Check),
    Plan(plan::PlanBetween),
    Explain(explain::Explain),
    Demo(demo::Demo),
    /// List and explain the kinds of gear
    Gears(gears::Gears),
    Scenario(scenario::Scenario),
    Spec(spec::SpecCommand),
    /// Read and write messages in CBOR
    Msg(msg::Msg),
    Iso8583(iso8583::Iso8583),
    /// Who a rack is, and whether what it keeps can be trusted
    Passport(passport::Passport),
    /// Look into a journal on disk, verify it, repair it
    Journal(journal::Journal),
    /// List, show, replay and drop dead letters: messages that nobody could process
    Dlq(dlq::Dlq),
    Rack(rack::RackCommand),
    Racks(racks::RacksCommand),
    Topology(topology::TopologyCommand),
    Login(login::Login),
    Audit(audit::Audit),
    Token(token::TokenCommand),
    Completions(completions::Completions),
    /// Print the reference page of the command line, as Markdown
    #[command(hide = true)]
    HelpMarkdown,
    /// Print the version and what this binary links
    Version(version::Version),
}

impl Command {
    pub(crate) fn run(self, log: &LogOptions) -> anyhow::Result<ExitCode> {
        // Only a rack has settings to log by, and it has yet to read them.
        let _log = match &self {
            Command::Run(_) | Command::Rack(_) => None,
            _ => Some(terminal::init_logging(log, &Logging::default())?),
        };
        match self {
            Command::Run(run) => run.run(log),
            Command::Status(status) => status.run(),
            Command::Reload(reload) => reload.run(),
            Command::Check(check) => check.run(),
            Command::Plan(plan) => plan.run(),
            Command::Explain(explain) => explain.run(),
            Command::Demo(demo) => demo.run(),
            Command::Gears(gears) => gears.run(),
            Command::Scenario(scenario) => scenario.run(),
            Command::Spec(spec) => spec.run(),
            Command::Msg(msg) => msg.run(),
            Command::Iso8583(iso8583) => iso8583.run(),
            Command::Passport(passport) => passport.run(),
            Command::Journal(journal) => journal.run(),
            Command::Dlq(dlq) => dlq.run(),
            Command::Rack(rack) => rack.run(log),
            Command::Racks(racks) => racks.run(),
            Command::Topology(topology) => topology.run(),
            Command::Login(login) => login.run(),
            Command::Audit(audit) => audit.run(),
            Command::Token(token) => token.run(),
            Command::Completions(completions) => completions.run(),
            Command::HelpMarkdown => {
                stdout::print(crate::markdown::command_line(&Cli::command()))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Version(version) => version.run(),
        }
    }
}
