//! Releases in a Mixer: scenarios and specs by name and version; pushed, listed, read, compared, removed.

use std::{path::PathBuf, process::ExitCode, str::FromStr};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueHint};
use flux_bus::Name;
use flux_identity::{Difference, Page, Release, Tag};
use flux_scenario::edition::ContentHash;
use flux_world::World;
use hyper::Method;
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::{
    files::digest_of,
    mixer::{Asking, Client, LoginOptions},
    stdout, terminal,
    watching::table,
};

mod push;

use push::Push;
pub(super) use push::say_flaws;

/// Which kind of release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Scenario,
    Spec,
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Sort::Scenario => "scenario",
            Sort::Spec => "spec",
        }
    }

    /// Where they are.
    fn path(self) -> &'static str {
        match self {
            Sort::Scenario => "/scenarios",
            Sort::Spec => "/specs",
        }
    }
}

#[derive(Subcommand)]
pub(super) enum ReleaseCommand {
    Push(Push),
    /// List the latest release of each name that a Mixer has
    List {
        #[command(flatten)]
        login: LoginOptions,
        /// Print `[{"name","tag","digest","title","pushed_by",..}]`
        #[arg(long)]
        json: bool,
    },
    /// List the releases of a name, the last first: who pushed each, when, and the note on it
    History {
        /// What it is called
        name: Name,
        #[command(flatten)]
        login: LoginOptions,
        /// Print `[{"name","tag","digest","note","pushed_by",..}]`
        #[arg(long)]
        json: bool,
    },
    Show(Show),
    Diff(Diff),
    /// Forget a release; the scenario that is active stays
    Remove {
        /// Which one
        #[arg(value_name = "NAME:TAG")]
        release: Exact,
        #[command(flatten)]
        login: LoginOptions,
    },
}

/// Print the text of a release, or put it into a file
///
/// It is compared with the digest it was pushed under. Whoever may not change what racks run is shown `*` for secrets, and is told
/// so.
///
/// Exit status: 0 when it was shown, 2 when there is none, or the Mixer refuses or is not reached.
#[derive(Args)]
pub(super) struct Show {
    /// Which one; the latest of the name where no TAG is said
    #[arg(value_name = "NAME[:TAG]")]
    release: Named,
    /// Put it into this file
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    login: LoginOptions,
}

/// Show what differs between two releases: for a scenario on each rack, gear by gear, and in the text
///
/// `=` is kept with all it has in hand, `+` is new, `~` is replaced (and says by which settings), `-` goes. Secrets are hidden.
///
/// Exit status: 0 when it was shown, 2 when there is no such release, or the Mixer refuses or is not reached.
#[derive(Args)]
pub(super) struct Diff {
    /// The one before
    #[arg(value_name = "NAME[:TAG]")]
    old: Named,
    /// The one after; the latest of its name where no TAG is said
    #[arg(value_name = "NAME[:TAG]")]
    new: Named,
    #[command(flatten)]
    login: LoginOptions,
    /// Print `{"from","to","plans":[{"racks":[..],"plan":{..}}],"text"}`
    #[arg(long)]
    json: bool,
}

/// A release on the command line: the latest of a name, or one of its versions.
#[derive(Clone, Debug)]
pub(super) struct Named {
    name: Name,
    tag: String,
}

/// A release on the command line, with its version.
#[derive(Clone, Debug)]
pub(super) struct Exact(Named);

impl ReleaseCommand {
    pub(super) fn run(self, sort: Sort) -> anyhow::Result<ExitCode> {
        let world = World::real();
        terminal::runtime(1)?.block_on(async {
            match self {
                ReleaseCommand::Push(push) => return push.run(sort, &world).await,
                ReleaseCommand::List { login, json } => list(&login.client(&world)?, sort, json).await?,
                ReleaseCommand::History { name, login, json } => {
                    history(&login.client(&world)?, sort, &name, json).await?
                }
                ReleaseCommand::Show(show) => show.run(sort, &world).await?,
                ReleaseCommand::Diff(diff) => {
                    let client = diff.login.client(&world)?;
                    let difference = difference(&client, sort, Some(&diff.old), &diff.new).await?;
                    match diff.json {
                        true => stdout::line(serde_json::to_string(&difference)?)?,
                        false => stdout::print(shown(&difference))?,
                    }
                }
                ReleaseCommand::Remove { release: Exact(release), login } => {
                    let path = release.path(sort);
                    login.client(&world)?.ask::<Json>(Method::DELETE, &path, None).await?;
                    stdout::line(format_args!("{} {release} is removed", sort.word()))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

async fn list(client: &Client, sort: Sort, is_json: bool) -> anyhow::Result<()> {
    let releases = pages(client, sort.path()).await?;
    if is_json {
        return stdout::line(serde_json::to_string(&releases)?);
    }
    if releases.is_empty() {
        return stdout::line(format_args!("no {}s: `fluxrig {} push FILE`", sort.word(), sort.word()));
    }
    let row = |release: Release| {
        let at = day_and_time(release.pushed_unix_ms);
        vec![release.name.to_string(), release.tag.to_string(), release.title, at, release.pushed_by]
    };
    let rows = releases.into_iter().map(row);
    stdout::line(table(&["name", "latest", "what it is", "pushed", "by"], rows))
}

async fn history(client: &Client, sort: Sort, name: &Name, is_json: bool) -> anyhow::Result<()> {
    let releases = pages(client, &format!("{}/{name}", sort.path())).await?;
    if is_json {
        return stdout::line(serde_json::to_string(&releases)?);
    }
    let row = |release: Release| {
        let digest: String = release.digest.to_string().chars().take(12).collect();
        let (at, bytes) = (day_and_time(release.pushed_unix_ms), release.bytes.to_string());
        vec![release.tag.to_string(), at, release.pushed_by, bytes, digest, release.note]
    };
    let rows = releases.into_iter().map(row);
    stdout::line(table(&["tag", "pushed", "by", "bytes", "digest", "note"], rows))
}

/// All pages of a list.
async fn pages(client: &Client, path: &str) -> anyhow::Result<Vec<Release>> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}?limit=1000{after}");
        let page: Page<Release> = client.ask(Method::GET, &path, None).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(all),
        }
    }
}

/// What differs between two releases; of one alone, from nothing.
pub(super) async fn difference(
    client: &Client,
    sort: Sort,
    old: Option<&Named>,
    new: &Named,
) -> anyhow::Result<Difference> {
    let from = old.map(|old| format!("?from={old}")).unwrap_or_default();
    client.ask(Method::GET, &format!("{}/diff{from}", new.path(sort)), None).await
}

/// What has to happen on which racks.
pub(super) fn shown_plans(difference: &Difference) -> String {
    let mut shown = String::new();
    for one in &difference.plans {
        let racks: Vec<&str> = one.racks.iter().map(Name::as_str).collect();
        shown.push_str(&format!("on {}:\n", racks.join(", ")));
        for line in one.plan.to_string().lines() {
            shown.push_str(&format!("  {line}\n"));
        }
    }
    if difference.plans_left_out > 0 {
        shown.push_str(&format!("and {} plans more, for other racks\n", difference.plans_left_out));
    }
    shown
}

fn shown(difference: &Difference) -> String {
    let from = difference.from.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let text = match difference.text.as_deref() {
        Some("") => "the texts are the same\n",
        Some(text) => text,
        None => "the texts differ in too many lines to be shown\n",
    };
    format!("{}--- {from}\n+++ {}\n{text}", shown_plans(difference), difference.to)
}

impl Show {
    async fn run(self, sort: Sort, world: &World) -> anyhow::Result<()> {
        let asking = Asking::new(Method::GET, self.release.path(sort));
        let answered = self.login.client(world)?.send(asking).await?;
        let text = std::str::from_utf8(&answered.body).context("what the Mixer has is not UTF-8 text")?;
        let etag = answered.etag.as_deref().unwrap_or_default().trim_matches('"');
        if etag.ends_with("-shown") {
            terminal::say(
                "secrets are hidden: the token is no deployer's, so this is not the text that was pushed\n",
            );
        } else if etag != ContentHash(digest_of(&answered.body)).to_string() {
            bail!("what came is not what was pushed: its digest is another; try again");
        }
        match &self.output {
            Some(path) => {
                let written = world.disk.write_atomic_private(path, text.as_bytes());
                written.with_context(|| format!("cannot write `{}`", path.display()))
            }
            None => stdout::print(text),
        }
    }
}

impl Named {
    /// Where it is.
    pub(super) fn path(&self, sort: Sort) -> String {
        format!("{}/{}/{}", sort.path(), self.name, self.tag)
    }

    /// A version of a name.
    pub(super) fn of(name: &Name, tag: &Tag) -> Named {
        Named { name: name.clone(), tag: tag.to_string() }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

impl FromStr for Named {
    type Err = String;

    /// Reads `branch`, `branch:latest` or `branch:1.2.0`.
    fn from_str(text: &str) -> Result<Named, String> {
        let (name, tag) = text.split_once(':').unwrap_or((text, "latest"));
        let name = Name::new(name).map_err(|why| why.to_string())?;
        let tag = match tag {
            "latest" => tag.to_owned(),
            _ => tag.parse::<Tag>()?.to_string(),
        };
        Ok(Named { name, tag })
    }
}

impl FromStr for Exact {
    type Err = String;

    fn from_str(text: &str) -> Result<Exact, String> {
        let named: Named = text.parse()?;
        match named.tag == "latest" {
            true => Err("say which version: NAME:TAG".into()),
            false => Ok(Exact(named)),
        }
    }
}

/// A time as people read it.
pub(super) fn day_and_time(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_with_or_without_a_version() {
        let read = |text: &str| text.parse::<Named>().map(|named| named.path(Sort::Spec));
        assert_eq!(read("visa").unwrap(), "/specs/visa/latest");
        assert_eq!(read("visa:v1.2.0").unwrap(), "/specs/visa/1.2.0");
        for bad in ["", "a/b", "a:1", "a:../..", "a:1.0.0:2", "a:", "a b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!("visa".parse::<Exact>().is_err() && "visa:latest".parse::<Exact>().is_err());
        assert_eq!("visa:1.0.0".parse::<Exact>().unwrap().0.to_string(), "visa:1.0.0");
    }
}
