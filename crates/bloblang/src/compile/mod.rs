//! From a tree to a program: imports read, names resolved, calls bound, and every problem told.

mod bind;
mod query;
mod scope;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::diagnostic::{CompileError, Diagnostic, Problem, Source, Span};
use crate::host::{Host, beside};
use crate::limits::{IMPORTS_MAX, PROBLEMS_MAX, SOURCE_BYTES_MAX};
use crate::node::{Body, Program, Step, Target};
use crate::syntax::{self, Statement, Tree};
use crate::{Limits, Text};
use scope::Scope;

/// What a mapping is compiled with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) limits: Limits,
    pub(crate) name: String,
    /// Where relative imports are.
    pub(crate) directory: PathBuf,
    pub(crate) is_confined: bool,
}

/// One source of a mapping, read, not yet resolved.
struct Unit {
    source: Arc<Source>,
    directory: PathBuf,
    tree: Tree,
}

pub(crate) fn compile(text: &str, settings: &Settings) -> Result<Program, CompileError> {
    let mut compiler = Compiler { settings, units: Vec::new(), seen: Vec::new(), diagnostics: Vec::new() };
    compiler.load(settings.name.clone(), text.to_owned(), settings.directory.clone());
    compiler.finish()
}

/// Compiles a query within a text, from a place on; gives back how long it is, the brace that closes it included.
pub(crate) fn query(text: &str, start: usize, settings: &Settings) -> Result<(Program, usize), CompileError> {
    let source = Arc::new(Source { name: settings.name.clone(), text: text.to_owned() });
    let parsed = syntax::parse_query(text, start);
    let (tree, end) = parsed.map_err(|problem| CompileError { diagnostics: vec![problem.of(&source)] })?;
    let unit = Unit { source, directory: settings.directory.clone(), tree };
    let compiler = Compiler { settings, units: vec![unit], seen: Vec::new(), diagnostics: Vec::new() };
    compiler.finish().map(|program| (program, end - start))
}

/// Lays a source out, if it can be read.
pub(crate) fn format(text: &str, settings: &Settings) -> Result<String, CompileError> {
    if let Err(problems) = syntax::parse(text) {
        let source = Arc::new(Source { name: settings.name.clone(), text: text.to_owned() });
        return Err(CompileError {
            diagnostics: problems.into_iter().map(|problem| problem.of(&source)).collect(),
        });
    }
    Ok(syntax::format(text))
}

/// Compiles a mapping that a mapping made: it has neither message nor world.
pub(crate) fn confined(text: &str, host: &Arc<dyn Host>) -> Result<Program, CompileError> {
    let settings = Settings {
        host: Arc::clone(host),
        limits: Limits::default(),
        name: "mapping".into(),
        directory: PathBuf::new(),
        is_confined: true,
    };
    compile(text, &settings)
}

struct Compiler<'a> {
    settings: &'a Settings,
    /// The mapping first, then what it imports.
    units: Vec<Unit>,
    seen: Vec<PathBuf>,
    diagnostics: Vec<Diagnostic>,
}

impl Compiler<'_> {
    /// Reads a source and what it imports.
    fn load(&mut self, name: String, text: String, directory: PathBuf) {
        let too_long = text.len() > SOURCE_BYTES_MAX;
        let source = Arc::new(Source { name, text: if too_long { String::new() } else { text } });
        if too_long {
            let label = format!("at most {SOURCE_BYTES_MAX} bytes");
            return self.tell(&source, *Problem::new(Span::default(), "this source is too long", label));
        }
        let tree = match syntax::parse(&source.text) {
            Ok(tree) => tree,
            Err(problems) => return problems.into_iter().for_each(|problem| self.tell(&source, problem)),
        };
        let files: Vec<_> = tree.from.iter().chain(&tree.imports).cloned().collect();
        if let Some((_, span)) = &tree.from
            && !tree.statements.is_empty()
        {
            let help = Some("`import` brings the maps of a file, and leaves the statements to you".into());
            let problem = Problem::new(*span, "`from` stands alone", "it makes that file the whole mapping");
            self.tell(&source, *problem.help(help));
        }
        self.units.push(Unit { source: Arc::clone(&source), directory: directory.clone(), tree });
        for (path, span) in files {
            self.import(&source, &directory, &path, span);
        }
    }

    fn import(&mut self, source: &Arc<Source>, directory: &Path, path: &str, span: Span) {
        let file = beside(directory, path);
        if self.seen.contains(&file) {
            return;
        }
        let read = if self.settings.is_confined {
            Err("a mapping made by a mapping imports nothing".to_owned())
        } else if self.seen.len() == IMPORTS_MAX {
            Err(format!("a mapping has at most {IMPORTS_MAX} files"))
        } else {
            let read = self.settings.host.file(&file, SOURCE_BYTES_MAX);
            read.map_err(|refusal| refusal.to_string())
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned()))
        };
        match read {
            Ok(text) => {
                self.seen.push(file.clone());
                let directory = file.parent().unwrap_or(Path::new("")).to_owned();
                self.load(file.display().to_string(), text, directory);
            }
            Err(why) => {
                let message = format!("`{}` cannot be imported", file.display());
                self.tell(source, *Problem::new(span, message, why));
            }
        }
    }

    fn finish(mut self) -> Result<Program, CompileError> {
        match self.resolve() {
            Some(program) if self.diagnostics.is_empty() => Ok(program),
            _ => {
                self.diagnostics.truncate(PROBLEMS_MAX);
                Err(CompileError { diagnostics: self.diagnostics })
            }
        }
    }

    fn tell(&mut self, source: &Arc<Source>, problem: Problem) {
        self.diagnostics.push(problem.of(source));
    }

    fn resolve(&mut self) -> Option<Program> {
        if !self.diagnostics.is_empty() {
            return None;
        }
        let units = std::mem::take(&mut self.units);
        let mut names = BTreeMap::<Text, usize>::new();
        for (unit, map) in units.iter().flat_map(|unit| unit.tree.maps.iter().map(move |map| (unit, map))) {
            let number = names.len();
            if names.insert(map.name.clone(), number).is_some() {
                let message = format!("a second map `{}`", map.name);
                self.tell(&unit.source, *Problem::new(map.span, message, "its name is taken"));
            }
        }
        if !self.diagnostics.is_empty() {
            return None;
        }
        let mut maps = Vec::new();
        for unit in &units {
            for map in &unit.tree.maps {
                maps.push(self.body(unit, &map.statements, &names, true));
            }
        }
        // `from` makes the file after it, which was loaded next, the mapping.
        let main = units.iter().take_while(|unit| unit.tree.from.is_some()).count();
        let unit = units.get(main)?;
        let body = self.body(unit, &unit.tree.statements, &names, false);
        Some(Program {
            body,
            maps,
            names,
            host: Arc::clone(&self.settings.host),
            limits: self.settings.limits,
            counts: Mutex::default(),
            snowflake: Mutex::default(),
        })
    }

    fn body(
        &mut self,
        unit: &Unit,
        statements: &[Statement],
        maps: &BTreeMap<Text, usize>,
        is_map: bool,
    ) -> Body {
        let mut scope = Scope::new(self.settings, maps, is_map);
        scope.declare(statements);
        let steps = scope.steps(statements);
        for problem in std::mem::take(&mut scope.problems) {
            self.tell(&unit.source, problem);
        }
        Body {
            source: Arc::clone(&unit.source),
            directory: unit.directory.clone(),
            steps,
            slots: scope.slots,
        }
    }
}

impl Scope<'_> {
    fn steps(&mut self, statements: &[Statement]) -> Vec<Step> {
        statements.iter().map(|statement| self.step(statement)).collect()
    }

    fn step(&mut self, statement: &Statement) -> Step {
        match statement {
            Statement::Assign { target, target_span, value } => {
                let span = target_span.to(value.span);
                let value = self.query(value);
                let target = match target {
                    syntax::Target::Root(path) => Target::Root(path.clone().into()),
                    syntax::Target::Variable(name) => Target::Slot(self.variable(name)),
                    syntax::Target::Meta(key) => {
                        if self.is_map {
                            let message = "metadata cannot be set within a map";
                            self.tell(Problem::new(
                                *target_span,
                                message,
                                "a map makes a value and nothing else",
                            ));
                        }
                        Target::Meta(key.clone())
                    }
                };
                Step::Assign { target, span, value }
            }
            Statement::If { branches, otherwise } => {
                let span = branches.first().map_or_else(Span::default, |(condition, _)| condition.span);
                let branch = |(condition, body): &(_, Vec<_>)| (self.query(condition), self.steps(body));
                let branches = branches.iter().map(branch).collect();
                Step::If { branches, otherwise: self.steps(otherwise), span }
            }
        }
    }
}
