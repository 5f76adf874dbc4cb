//! `fluxrig audit`: who did what with a fleet.

use std::process::ExitCode;

use clap::Args;
use flux_world::World;
use hyper::Method;
use serde_json::Value as Json;

use super::releases::day_and_time;
use crate::{
    mixer::{Client, Follower, LoginOptions, News, is_final},
    stdout, terminal,
};

const EXAMPLES: &str = "\
Examples:
  fluxrig audit --limit 20
  fluxrig audit --follow                               from now on, until Ctrl-C
  fluxrig audit --follow --json | jq -c 'select(.outcome == \"refused\")'
  fluxrig audit --verify                               keep the head elsewhere, and compare";

/// Entries that are asked for at once.
const PAGE: usize = 1000;

/// Show the audit log of a Mixer, or have it verified: every entry is signed, and has the hash of the one before it
///
/// Exit status: 0 when it was shown or holds, 2 when it was tampered with, or the Mixer refuses or is not reached.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Audit {
    #[command(flatten)]
    login: LoginOptions,
    /// Show entries behind this number
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Show so many at most
    #[arg(long, value_name = "N", default_value_t = PAGE)]
    limit: usize,
    /// Go on until Ctrl-C, and show entries as they are made: those behind --after, else those from now on
    #[arg(long, conflicts_with = "limit")]
    follow: bool,
    /// Go through all of it, and say where it ends: a head to compare with one that was kept elsewhere
    #[arg(long, conflicts_with_all = ["after", "limit", "follow"])]
    verify: bool,
    /// Print the entries, or the head, as JSON; with --follow an entry a line
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.login.client(&World::real())?;
        terminal::runtime(1)?.block_on(async {
            if self.verify {
                return self.verify(&client).await;
            }
            if self.follow {
                return self.follow(&client).await;
            }
            let told = entries(&client, self.after.unwrap_or(0), self.limit).await?;
            if self.json {
                return stdout::line(Json::Array(told));
            }
            told.iter().try_for_each(|entry| self.tell(entry))
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn verify(&self, client: &Client) -> anyhow::Result<()> {
        let head: Json = client.ask(Method::GET, "/audit/verify", None).await?;
        match self.json {
            true => stdout::line(head),
            false => {
                stdout::line(format_args!("{} entries hold; head {}", head["entries"], word(&head, "hash")))
            }
        }
    }

    async fn follow(&self, client: &Client) -> anyhow::Result<()> {
        let mut follower = Follower::begin(client).await?;
        let mut after = match self.after {
            Some(after) => after,
            None => {
                let head: Json = client.ask(Method::GET, "/audit/verify", None).await?;
                head["entries"].as_u64().unwrap_or(0)
            }
        };
        loop {
            match entries(client, after, PAGE).await {
                Ok(told) => {
                    for entry in &told {
                        self.tell(entry)?;
                        after = entry["number"].as_u64().unwrap_or(after);
                    }
                    if told.len() == PAGE {
                        continue;
                    }
                }
                Err(why) if is_final(&why) => return Err(why),
                // The Mixer is away: the stream of events says so, and when it is back.
                Err(_) => {}
            }
            while let News::Away(why) = follower.news(|what| what == "audit.noted").await? {
                terminal::say(&format!("the Mixer is away, and asked again: {why:#}\n"));
            }
        }
    }

    fn tell(&self, entry: &Json) -> anyhow::Result<()> {
        if self.json && self.follow {
            return stdout::line(entry);
        }
        let at = entry["unix_ms"].as_u64().map(day_and_time).unwrap_or_default();
        let [who, what, about, outcome, detail] =
            ["who", "what", "about", "outcome", "detail"].map(|key| word(entry, key));
        let number = entry["number"].as_u64().unwrap_or(0);
        stdout::line(format_args!("{number:>6}  {at}  {outcome:<7}  {what} {about}  by {who}  {detail}"))
    }
}

async fn entries(client: &Client, after: u64, limit: usize) -> anyhow::Result<Vec<Json>> {
    client.ask(Method::GET, &format!("/audit?after={after}&limit={limit}"), None).await
}

fn word<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}
