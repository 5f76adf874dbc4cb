//! The last scenario that ran, kept in the state directory: what a rack starts with when it is given no file.
//!
//! ```text
//! <state_dir>/rack.flux                 the passport          (`base.state_file`)
//! <state_dir>/scenario.flux             the last edition      (`base.scenario_file`)
//! <state_dir>/scenario.flux.previous    the one before it
//! <state_dir>/scenario/<sha256>         what is in their files
//! ```
//!
//! Everything is written beside its place and renamed, contents before the edition that names them, so a crash at any
//! moment leaves an edition that runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use flux_scenario::{
    edition::{ContentHash, EDITION_BYTES_MAX, Edition, EditionFile},
    limits::FILE_BYTES_MAX,
    passport::{PASSPORT_BYTES_MAX, Passport},
    settings::Base,
    signed::Signed,
};
use flux_world::World;
use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    files::{FileSet, digest_of},
    plan::{Plan, PlanOptions, SettingsOptions},
};

/// Exit status where what is kept cannot be trusted.
pub(crate) const NOT_TRUSTED: u8 = 3;
/// Directory of the contents, in the state directory.
const CONTENTS: &str = "scenario";

/// Where a rack keeps what ran last.
#[derive(Clone)]
pub(crate) struct LastGood {
    world: World,
    passport: PathBuf,
    edition: PathBuf,
    contents: PathBuf,
}

/// A rack's edition of what it runs, to be kept.
pub(crate) struct ToKeep {
    scenario: String,
    settings: Option<String>,
    rack: Option<String>,
    files: Vec<(String, Bytes, bool)>,
}

/// What can be run again.
pub(crate) struct Restored {
    pub(crate) plan: Plan,
    pub(crate) options: PlanOptions,
    /// Why a later edition does not run, where that is so.
    pub(crate) refused: Option<String>,
}

impl ToKeep {
    pub(crate) fn new(plan: &Plan, options: &PlanOptions) -> ToKeep {
        ToKeep {
            scenario: plan.name().into(),
            settings: options.by.config.as_ref().map(|path| path.display().to_string()),
            rack: options.by.rack.clone(),
            files: plan.files.to_keep(),
        }
    }
}

/// Nothing is wrong with it. What ran before it is not run in its place because a Vault is away.
#[derive(Debug, thiserror::Error)]
#[error("what ran last needs a secret that is not there: {0}")]
struct NoSecret(String);

impl LastGood {
    /// What lies in this state directory, by these names; nothing is kept where the scenario's is empty.
    pub(crate) fn new(world: World, state_dir: &Path, base: &Base) -> Option<LastGood> {
        let edition = (!base.scenario_file.is_empty()).then(|| state_dir.join(&base.scenario_file))?;
        let (passport, contents) = (passport_file(state_dir, base), state_dir.join(CONTENTS));
        Some(LastGood { world, passport, edition, contents })
    }

    /// Keeps what runs, unless it is what was kept last. The edition before stays, and one that cannot be verified is
    /// put aside.
    pub(crate) fn keep(&self, what: ToKeep) -> anyhow::Result<()> {
        let disk = &self.world.disk;
        let passport = passport_for_keeping(&self.world, &self.passport)?;
        let last = self.read(&self.edition, &passport);
        let files = what.files.iter().map(|(name, content, is_kept)| EditionFile {
            name: name.clone(),
            content: ContentHash(digest_of(content)),
            is_kept: *is_kept,
        });
        let edition = Edition {
            number: last.as_ref().map_or(1, |last| last.number + 1),
            saved_unix_ms: self.world.clock.unix_ms(),
            program: env!("CARGO_PKG_VERSION").into(),
            directory: std::env::current_dir()?.display().to_string(),
            scenario: what.scenario,
            settings: what.settings,
            rack: what.rack,
            files: files.collect(),
        };
        if last.as_ref().is_ok_and(|last| is_same(last, &edition)) {
            return Ok(());
        }
        disk.make_private_dir(&self.contents)?;
        for (_, content, _) in what.files.iter().filter(|(.., is_kept)| *is_kept) {
            let path = self.content(ContentHash(digest_of(content)));
            if !disk.exists(&path) {
                disk.write_atomic_private(&path, content)?;
            }
        }
        match &last {
            Ok(last) => disk.write_atomic_private(&self.previous(), last.sign(&passport).as_bytes())?,
            Err(_) if disk.exists(&self.edition) => {
                disk.rename(&self.edition, &beside(&self.edition, "refused"))?
            }
            Err(_) => {}
        }
        disk.write_atomic_private(&self.edition, edition.sign(&passport).as_bytes())?;
        self.forget_others(&passport, &edition);
        Ok(())
    }

    /// The last edition that runs here: verified, its contents too, checked as any scenario is.
    ///
    /// # Errors
    /// When there is none, with the reason for each there is.
    pub(crate) fn restore(&self) -> anyhow::Result<Restored> {
        let passport = read_passport(&self.world, &self.passport)?;
        let mut refused = Vec::new();
        for path in [self.edition.clone(), self.previous()] {
            match self.restore_one(&path, &passport) {
                Ok((plan, options)) => {
                    let refused = (!refused.is_empty()).then(|| refused.join("; "));
                    return Ok(Restored { plan, options, refused });
                }
                Err(why) if why.is::<NoSecret>() => return Err(why),
                Err(why) => refused.push(format!("`{}` is refused: {why:#}", path.display())),
            }
        }
        bail!("no kept scenario can run: {}", refused.join("; "))
    }

    /// When the last edition was written; 0 where none can be trusted.
    pub(crate) fn saved_unix_ms(&self) -> u64 {
        let saved = read_passport(&self.world, &self.passport)
            .and_then(|passport| self.read(&self.edition, &passport));
        saved.map_or(0, |edition| edition.saved_unix_ms)
    }

    /// The last edition, if it and its contents verify.
    pub(crate) fn verify(&self) -> anyhow::Result<Edition> {
        let passport = read_passport(&self.world, &self.passport)?;
        let edition = self.read(&self.edition, &passport)?;
        self.contents_of(&edition)?;
        Ok(edition)
    }

    fn restore_one(&self, path: &Path, passport: &Passport) -> anyhow::Result<(Plan, PlanOptions)> {
        let edition = self.read(path, passport)?;
        let contents = self.contents_of(&edition)?;
        // Names are relative to where it ran; keys and certificates are read there.
        std::env::set_current_dir(&edition.directory)
            .with_context(|| format!("cannot go to its directory `{}`", edition.directory))?;
        let by = SettingsOptions { config: edition.settings.map(PathBuf::from), rack: edition.rack };
        let options = PlanOptions { file: edition.scenario.into(), by };
        let plan = options.read_from(FileSet::with(contents, self.world.disk.clone()))?;
        ensure!(!plan.lacks_secrets(), NoSecret(plan.errors()));
        ensure!(plan.circuit.is_some(), "{}", plan.errors());
        Ok((plan, options))
    }

    fn read(&self, path: &Path, passport: &Passport) -> anyhow::Result<Edition> {
        let text = self.world.disk.read(path, EDITION_BYTES_MAX).context("cannot be read")?;
        Ok(Edition::verify(&text, &passport.public_key())?)
    }

    /// What is in the files of an edition, each held against its hash.
    fn contents_of(&self, edition: &Edition) -> anyhow::Result<BTreeMap<String, Bytes>> {
        let mut contents = BTreeMap::new();
        for file in edition.files.iter().filter(|file| file.is_kept) {
            let path = self.content(file.content);
            let content = self.world.disk.read_start(&path, FILE_BYTES_MAX + 1);
            let content = content.with_context(|| {
                format!("the copy of `{}` cannot be read from `{}`", file.name, path.display())
            })?;
            ensure!(
                digest_of(&content) == file.content.0,
                "the copy of `{}` is damaged: `{}` does not hash to its name",
                file.name,
                path.display()
            );
            contents.insert(file.name.clone(), content);
        }
        Ok(contents)
    }

    /// Removes contents that neither edition names. What cannot be removed now is at the next time.
    fn forget_others(&self, passport: &Passport, last: &Edition) {
        let previous = self.read(&self.previous(), passport).ok();
        let editions = std::iter::once(last).chain(&previous);
        let needed: BTreeSet<String> =
            editions.flat_map(|edition| &edition.files).map(|file| file.content.to_string()).collect();
        let listed = self.world.disk.list(&self.contents).unwrap_or_default();
        for other in listed.iter().filter(|entry| !needed.contains(&entry.name)) {
            let _ = self.world.disk.remove(&self.contents.join(&other.name));
        }
    }

    fn previous(&self) -> PathBuf {
        beside(&self.edition, "previous")
    }

    fn content(&self, hash: ContentHash) -> PathBuf {
        self.contents.join(hash.to_string())
    }
}

/// Where the passport of a rack is.
pub(crate) fn passport_file(state_dir: &Path, base: &Base) -> PathBuf {
    state_dir.join(&base.state_file)
}

/// The passport of a rack.
///
/// # Errors
/// When there is none, and when it is damaged: it is never replaced.
pub(crate) fn read_passport(world: &World, path: &Path) -> anyhow::Result<Passport> {
    let text = match world.disk.read(path, PASSPORT_BYTES_MAX) {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            bail!("there is no passport at `{}`: a rack makes one when it first runs there", path.display())
        }
        read => read.with_context(|| format!("cannot read the passport `{}`", path.display()))?,
    };
    let text =
        std::str::from_utf8(&text).map_err(|_| anyhow!("the passport `{}` is no text", path.display()))?;
    Passport::parse(text).with_context(|| format!("`{}`", path.display()))
}

/// The passport; a new one where there is none.
pub(crate) fn passport_for_keeping(world: &World, path: &Path) -> anyhow::Result<Passport> {
    if world.disk.exists(path) {
        return read_passport(world, path);
    }
    let mut seed = [0; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| anyhow!("the system gave no random key for a passport"))?;
    let passport = Passport::from_seed(seed);
    world
        .disk
        .write_atomic_private(path, passport.to_text().as_bytes())
        .with_context(|| format!("cannot make the passport `{}`", path.display()))?;
    tracing::info!(fingerprint = passport.public_key().fingerprint(), "passport made");
    Ok(passport)
}

/// Whether two editions would run the same.
fn is_same(one: &Edition, other: &Edition) -> bool {
    let other = other.clone();
    let Edition { number, saved_unix_ms, program, .. } = one.clone();
    *one == Edition { number, saved_unix_ms, program, ..other }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
