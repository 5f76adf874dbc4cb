//! `fluxrig audit`: who did what with a fleet.

use std::process::ExitCode;

use clap::Args;
use flux_world::World;
use hyper::Method;
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::{mixer::LoginOptions, stdout, terminal};

/// Show the audit log of a Mixer, or have it verified: every entry is signed, and has the hash of the one before it
///
/// Exit status: 0 when it was shown or holds, 2 when it was tampered with, or the Mixer refuses or is not reached.
#[derive(Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    login: LoginOptions,
    /// Show entries behind this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Show so many at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// Go through all of it, and say where it ends: a head to compare with one that was kept elsewhere
    #[arg(long, conflicts_with_all = ["after", "limit"])]
    verify: bool,
    /// Print the entries, or the head, as JSON
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        let path = match self.verify {
            true => "/audit/verify".to_owned(),
            false => format!("/audit?after={}&limit={}", self.after, self.limit),
        };
        let client = self.login.client(&world)?;
        let told: Json = terminal::runtime(1)?.block_on(client.ask(Method::GET, &path, None))?;
        let word = |json: &Json, key: &str| json[key].as_str().unwrap_or_default().to_owned();
        if self.json {
            stdout::line(told)?;
        } else if self.verify {
            stdout::line(format_args!("{} entries hold; head {}", told["entries"], word(&told, "hash")))?;
        } else {
            for entry in told.as_array().into_iter().flatten() {
                let at = entry["unix_ms"].as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok());
                let at = at.map(|at| format!("{at:.3}")).unwrap_or_default();
                let [who, what, about, outcome, detail] =
                    ["who", "what", "about", "outcome", "detail"].map(|key| word(entry, key));
                let number = &entry["number"];
                stdout::line(format_args!(
                    "{number:>6}  {at}  {outcome:<7}  {what} {about}  by {who}  {detail}"
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
