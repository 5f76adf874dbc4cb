//! From a file to a circuit: read, check, try every gear's configuration, compile.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use flux_gear::Registry;
use flux_rack::Rack;
use flux_scenario::{Circuit, Code, Fuse, Issue, Loaded, Report, Settings, compile, load, load_settings};
use flux_world::World;

use crate::disk_files::DiskFiles;

/// A scenario that was read and checked.
pub(crate) struct Plan {
    pub(crate) registry: Arc<Registry>,
    pub(crate) world: World,
    pub(crate) settings: Settings,
    /// What is wrong with it.
    pub(crate) report: Report,
    /// What will run; absent when the report has errors.
    pub(crate) circuit: Option<Circuit>,
    loaded: Loaded,
}

impl Plan {
    /// Reads `file`, with the settings of another file over its own.
    pub(crate) fn read(
        file: &Path,
        settings_file: Option<&Path>,
        rack: Option<&str>,
    ) -> anyhow::Result<Plan> {
        let world = World::real();
        let registry = Arc::new(flux_gears::builtin());
        let catalog = registry.catalog();
        let loaded = load(&file.display().to_string(), &text_of(&world, file)?);
        let mut settings = loaded.settings.clone();
        let mut report = loaded.check(&catalog);
        if let Some(path) = settings_file {
            let (given, problems) = load_settings(&path.display().to_string(), &text_of(&world, path)?);
            anyhow::ensure!(!problems.has_errors(), "{}", problems.render(crate::terminal::has_color()));
            settings = given;
        }
        let fuse = if settings.rack.fuse { Fuse::On } else { Fuse::Off };
        let mut circuit = None;
        if !report.has_errors() {
            match compile(&loaded.scenario, rack, &catalog, fuse) {
                Ok(compiled) => circuit = Some(compiled),
                Err(problems) => report = problems,
            }
        }
        let mut plan = Plan { registry, world, settings, report, circuit, loaded };
        plan.try_gears();
        Ok(plan)
    }

    /// `init` is pure, so every gear can be tried without running anything.
    fn try_gears(&mut self) {
        let Some(circuit) = &self.circuit else { return };
        let files = DiskFiles::new(&self.world);
        for (gear, why) in Rack::try_gears(circuit, &self.registry, &self.settings.rack, &self.world, files) {
            let span = self.loaded.scenario.gear(&gear).map(|decl| decl.kind.span).unwrap_or_default();
            let issue = Issue::new(Code::InitRefused, span, format!("gear `{gear}`: {why}"));
            self.report.push(issue);
        }
        if self.report.has_errors() {
            self.circuit = None;
        }
    }
}

fn text_of(world: &World, path: &Path) -> anyhow::Result<String> {
    let bytes = world.disk.read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    String::from_utf8(bytes.into()).with_context(|| format!("`{}` is not UTF-8 text", path.display()))
}
