//! A push: what is wrong with a text is said here where that is known, and by the Mixer.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{bail, ensure};
use bytes::Bytes;
use clap::{Args, ValueHint};
use flux_identity::{Flaw, PushOutcome, Pushed, Tag};
use flux_scenario::load;
use flux_world::World;
use hyper::Method;

use super::Sort;
use crate::{
    http::escaped,
    input,
    mixer::{Asking, Client, LoginOptions, refused},
    stdout, terminal,
};

/// Longest text, as a Mixer takes it.
const BYTES_MAX: usize = 10 << 20;
/// A text that cannot be kept as it is.
const UNFIT: u16 = 422;

/// Check a file, and keep it in the Mixer under the name and the version that it says itself
///
/// A scenario is checked here first, as `fluxrig check` does it; files that its gears read are looked for on the racks, not here.
/// Then the Mixer checks it against the racks it is for. A spec may build on others that the Mixer has, so it is checked there.
/// The same text again is no change; another text under a version that is there is refused.
///
/// Exit status: 0 when it is there, 1 when the text has errors, 2 when the file cannot be read, its version is not the one that was
/// said, or the Mixer refuses or is not reached.
#[derive(Args)]
pub(in super::super) struct Push {
    /// Scenario or spec, in YAML
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The version that the file has to say: nothing is pushed where it says another
    #[arg(long, value_name = "VERSION")]
    tag: Option<Tag>,
    /// What is to be said about it in its history: one line
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Only check it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    login: LoginOptions,
    /// Print `{"outcome":"stored","release":{..},"warnings":[..]}`
    #[arg(long)]
    json: bool,
}

impl Push {
    pub(super) async fn run(self, sort: Sort, world: &World) -> anyhow::Result<ExitCode> {
        let text = input::file(&world.disk, &self.file, BYTES_MAX)?;
        if sort == Sort::Scenario {
            let shown = self.file.display().to_string();
            let is_toml = self.file.extension().is_some_and(|extension| extension == "toml");
            ensure!(!is_toml, "`{shown}`: a Mixer takes a scenario in YAML; settings stay with each rack");
            let report = load(&shown, &text).check(&crate::gears().catalog());
            if report.has_errors() {
                terminal::say(&report.render(terminal::has_color()));
                return Ok(ExitCode::FAILURE);
            }
        }
        let client = self.login.client(world)?;
        if let Some(tag) = &self.tag {
            let Some(checked) = self.ask(&client, sort, text.clone(), true).await? else {
                return Ok(ExitCode::FAILURE);
            };
            let says = checked.release.tag;
            if says != *tag {
                bail!("`{}` says that it is version {says}, not {tag}", self.file.display());
            }
        }
        let Some(pushed) = self.ask(&client, sort, text, self.dry_run).await? else {
            return Ok(ExitCode::FAILURE);
        };
        self.tell(sort, &pushed)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What came of it; none where the text has errors, which were told.
    async fn ask(
        &self,
        client: &Client,
        sort: Sort,
        text: Bytes,
        is_dry_run: bool,
    ) -> anyhow::Result<Option<Pushed>> {
        let path = format!("{}?dry_run={is_dry_run}&note={}", sort.path(), escaped(&self.note));
        let asking = Asking::new(Method::POST, path).with("application/yaml", text);
        match client.send(asking).await {
            Ok(answered) => answered.read().map(Some),
            Err(why) => match refused(&why) {
                Some(problem) if problem.status == UNFIT => {
                    self.say(&problem.errors);
                    Ok(None)
                }
                _ => Err(why),
            },
        }
    }

    /// What is wrong with the text, in its places.
    fn say(&self, flaws: &[Flaw]) {
        say_flaws(&self.file.display().to_string(), flaws);
    }

    fn tell(&self, sort: Sort, pushed: &Pushed) -> anyhow::Result<()> {
        if self.json {
            return stdout::line(serde_json::to_string(pushed)?);
        }
        self.say(&pushed.warnings);
        let (release, word) = (&pushed.release, sort.word());
        let what = match pushed.outcome {
            PushOutcome::Stored => "is in the Mixer",
            PushOutcome::Unchanged => "was in the Mixer already, as it is",
            PushOutcome::Checked => "could be pushed: it was only checked",
        };
        stdout::line(format_args!(
            "{word} {}:{} {what}; sha256 {}",
            release.name, release.tag, release.digest
        ))
    }
}

/// Says what is wrong with a text that is called so here.
pub(in super::super) fn say_flaws(name: &str, flaws: &[Flaw]) {
    for Flaw { code, severity, line, column, message, help, .. } in flaws {
        let help = help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
        terminal::say(&format!("{name}:{line}:{column}: {severity} {code}: {message}{help}\n"));
    }
}
