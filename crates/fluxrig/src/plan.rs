//! From a file to a circuit: read, check, try every gear's configuration, compile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use clap::{Args, ValueHint};
use flux_gear::{Files, Registry};
use flux_rack::{Rack, Surroundings};
use flux_scenario::{
    Circuit, Code, Fuse, Issue, Loaded, Position, Report, Settings, Severity, load, load_settings,
    reference::{secrets_in, secrets_of},
    settings::STATE_DIR,
};
use flux_world::World;
use serde_json::{Value as Json, json};

use crate::{
    files::FileSet,
    secrets::{self, Lacking},
    terminal,
};

/// Which scenario, by which settings, for which rack.
#[derive(Args, Clone)]
pub(crate) struct PlanOptions {
    /// Scenario: YAML, or a `fluxrig.toml`
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) by: SettingsOptions,
}

/// By which settings, and for which rack.
#[derive(Args, Clone, Default)]
pub(crate) struct SettingsOptions {
    /// Settings (`fluxrig.toml`) for a YAML scenario
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, env = "FLUXRIG_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The rack it is about, where the scenario has several; else the one that the settings name
    #[arg(long, value_name = "NAME")]
    pub(crate) rack: Option<String>,
}

/// A scenario that was read and checked.
pub(crate) struct Plan {
    pub(crate) registry: Arc<Registry>,
    pub(crate) world: World,
    pub(crate) settings: Settings,
    /// What it was read from, and what its gears read.
    pub(crate) files: Arc<FileSet>,
    /// What will run; absent when anything has errors.
    pub(crate) circuit: Option<Circuit>,
    /// What there is to say of the scenario.
    report: Report,
    /// And of a file of settings beside it.
    settings_report: Option<Report>,
    loaded: Loaded,
}

impl PlanOptions {
    /// The same question about another file.
    pub(crate) fn about(&self, file: PathBuf) -> PlanOptions {
        PlanOptions { file, ..self.clone() }
    }

    /// Reads and checks what is named here, as it is in these files.
    pub(crate) fn read_from(&self, files: FileSet) -> anyhow::Result<Plan> {
        let SettingsOptions { config, rack } = &self.by;
        Plan::read(World::real(), Arc::new(files), &self.file, config.as_deref(), rack.as_deref())
    }

    /// Reads and checks what is named here.
    pub(crate) fn read(&self) -> anyhow::Result<Plan> {
        self.read_from(FileSet::new(World::real().disk))
    }
}

impl Plan {
    /// Reads `file`, with the settings of another file in place of its own. `rack`, else the name in the settings, says
    /// which rack's part it is about.
    fn read(
        world: World,
        files: Arc<FileSet>,
        file: &Path,
        settings_file: Option<&Path>,
        rack: Option<&str>,
    ) -> anyhow::Result<Plan> {
        let registry = crate::gears().clone();
        let catalog = registry.catalog();
        let bytes_of = |name: &str| files.start_of(name).map_err(|why| anyhow!(why));
        let name = file.display().to_string();
        let loaded = load(&name, &bytes_of(&name)?);
        let (settings, settings_report) = match settings_file {
            None => (loaded.settings.clone(), None),
            Some(path) => {
                let name = path.display().to_string();
                let (given, report) = load_settings(&name, &bytes_of(&name)?);
                (given, Some(report))
            }
        };
        let rack = rack.or(Some(settings.base.name.as_str()).filter(|name| !name.is_empty()));
        let fuse = if settings.rack.fuse { Fuse::On } else { Fuse::Off };
        let (circuit, report) = match loaded.compile(rack, &catalog, fuse) {
            Ok(circuit) => (Some(circuit), loaded.check(&catalog)),
            Err(report) => (None, report),
        };
        let trial = circuit.clone().unwrap_or_else(|| loaded.trial(rack, &catalog));
        let mut plan = Plan { registry, world, settings, files, circuit, report, settings_report, loaded };
        plan.find_secrets(&trial);
        plan.try_gears(&trial);
        if plan.has_errors() {
            plan.circuit = None;
        }
        if let Some(circuit) = &mut plan.circuit {
            circuit.gears.iter_mut().for_each(|gear| gear.files = plan.files.read_by(&gear.name));
        }
        Ok(plan)
    }

    /// What a rack runs in that keeps its state in a directory and reads these files.
    pub(crate) fn surroundings(&self, state_dir: impl Into<PathBuf>, files: Arc<dyn Files>) -> Surroundings {
        Surroundings {
            registry: self.registry.clone(),
            settings: self.settings.rack.clone(),
            world: self.world.clone(),
            files,
            state_dir: state_dir.into(),
            store: self.settings.store.clone(),
            mesh: None,
        }
    }

    /// What files named in the settings are relative to.
    pub(crate) fn settings_directory(&self) -> PathBuf {
        let source = self.settings_report.as_ref().map_or(&self.loaded.source, Report::source);
        Path::new(source.name()).parent().unwrap_or(Path::new("")).to_owned()
    }

    /// As it is for all racks that it names: every gear was tried, and which of them is meant need not be said.
    pub(crate) fn for_every_rack(mut self) -> Plan {
        self.report.retain(|issue| issue.code != Code::RackNotChosen);
        self
    }

    /// Whether it cannot run.
    pub(crate) fn has_errors(&self) -> bool {
        self.reports().any(Report::has_errors)
    }

    /// Whether it cannot run here for want of a secret.
    pub(crate) fn lacks_secrets(&self) -> bool {
        self.report.issues().iter().any(|issue| issue.code == Code::NoSecret)
    }

    /// Whether there are no errors, warnings or notes.
    pub(crate) fn has_nothing_to_say(&self) -> bool {
        self.reports().all(Report::is_empty)
    }

    /// The file it is from.
    pub(crate) fn name(&self) -> &str {
        self.loaded.source.name()
    }

    /// Where a gear is declared: file, line and column. Only the file where it is about none.
    pub(crate) fn place(&self, gear: Option<&str>) -> String {
        let source = &self.loaded.source;
        let decl = gear.and_then(|gear| self.loaded.scenario.gear(gear));
        match decl.map(|decl| source.position(decl.name.span.start)) {
            Some(Position { line, column }) => format!("{}:{line}:{column}", source.name()),
            None => source.name().to_owned(),
        }
    }

    /// Errors, warnings and notes, for people.
    pub(crate) fn render(&self) -> String {
        self.reports().map(|report| report.render(terminal::has_color())).collect()
    }

    /// The same without colour.
    pub(crate) fn render_plain(&self) -> String {
        self.reports().map(|report| report.render(false)).collect()
    }

    /// Its errors in a line.
    pub(crate) fn errors(&self) -> String {
        let errors = self.reports().flat_map(|report| {
            let errors = report.issues().iter().filter(|issue| issue.severity() == Severity::Error);
            errors.map(|issue| {
                let Position { line, column } = report.source().position(issue.span.start);
                format!("{}:{line}:{column}: {} {}", report.source().name(), issue.code, issue.message)
            })
        });
        errors.collect::<Vec<_>>().join("; ")
    }

    /// The same for scripts: `{"issues":[..]}`.
    pub(crate) fn to_json(&self) -> Json {
        let issues = self.reports().flat_map(Report::to_json);
        json!({ "issues": issues.collect::<Vec<_>>() })
    }

    fn reports(&self) -> impl Iterator<Item = &Report> {
        std::iter::once(&self.report).chain(&self.settings_report)
    }

    /// Looks for the secrets that gears refer to; what is found is not looked for again while this runs.
    fn find_secrets(&self, circuit: &Circuit) {
        let names: BTreeSet<String> =
            circuit.gears.iter().flat_map(|gear| secrets_of(&gear.config)).collect();
        if !names.is_empty() {
            let (settings, directory) = (&self.settings.secrets, self.settings_directory());
            self.files.know_secrets(secrets::find(&self.world, settings, &directory, names));
        }
    }

    /// `init` is pure, so every gear can be tried without running anything, whatever is wrong with the others.
    fn try_gears(&mut self, circuit: &Circuit) {
        for (gear, why) in Rack::try_gears(circuit, self.surroundings(STATE_DIR, self.files.clone())) {
            let decl = self.loaded.scenario.gear(&gear);
            let lacking = decl.map(|decl| secrets_in(&decl.config)).unwrap_or_default();
            let lacking = lacking.into_iter().filter_map(|(name, span)| {
                let Lacking { why, fix } = self.files.lacks_secret(&name)?;
                let message = format!("gear `{gear}`: there is no secret `{name}`: {why}");
                Some(Issue::new(Code::NoSecret, span, message).help(fix))
            });
            let mut issues: Vec<Issue> = lacking.collect();
            if issues.is_empty() {
                let span = decl.map(|decl| decl.kind.span).unwrap_or_default();
                issues.push(Issue::new(Code::InitRefused, span, format!("gear `{gear}`: {why}")));
            }
            issues.into_iter().for_each(|issue| self.report.push(issue));
        }
    }
}
