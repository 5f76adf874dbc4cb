//! What names mean in a body: contexts, variables, and the slots they stand in.

use std::collections::BTreeMap;

use super::Settings;
use crate::Text;
use crate::diagnostic::{Problem, Span, closest};
use crate::node::Place;
use crate::syntax::{self, Statement};

/// The body being compiled.
pub(super) struct Scope<'a> {
    pub(super) settings: &'a Settings,
    pub(super) maps: &'a BTreeMap<Text, usize>,
    pub(super) is_map: bool,
    pub(super) slots: usize,
    pub(super) problems: Vec<Problem>,
    /// What `this` is here.
    pub(super) this: Place,
    /// Named contexts, the innermost last.
    names: Vec<(Text, Place)>,
    variables: BTreeMap<Text, usize>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(settings: &'a Settings, maps: &'a BTreeMap<Text, usize>, is_map: bool) -> Scope<'a> {
        let this = if is_map { Place::Slot(0) } else { Place::Document };
        Scope {
            settings,
            maps,
            is_map,
            slots: usize::from(is_map),
            problems: Vec::new(),
            this,
            names: Vec::new(),
            variables: BTreeMap::new(),
        }
    }

    /// Gives every variable that is assigned anywhere in the body a slot.
    pub(super) fn declare(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Assign { target: syntax::Target::Variable(name), .. } => {
                    if !self.variables.contains_key(name) {
                        let slot = self.slot();
                        self.variables.insert(name.clone(), slot);
                    }
                }
                Statement::Assign { .. } => {}
                Statement::If { branches, otherwise } => {
                    branches.iter().for_each(|(_, body)| self.declare(body));
                    self.declare(otherwise);
                }
            }
        }
    }

    pub(super) fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    pub(super) fn variable(&self, name: &str) -> usize {
        self.variables[name]
    }

    /// The slot of a variable that a query reads.
    pub(super) fn read_variable(&mut self, name: &Text, span: Span) -> usize {
        if let Some(slot) = self.variables.get(name) {
            return *slot;
        }
        let meant = closest(name, self.variables.keys().map(Text::as_str));
        let help = meant.map(|meant| format!("there is `${meant}`"));
        let label = "no `let` of this body sets it; a map sees none of outside";
        self.tell(Problem::new(span, format!("no variable `{name}`"), label).help(help));
        0
    }

    pub(super) fn named(&self, name: &str) -> Option<Place> {
        self.names.iter().rev().find(|(other, _)| other == name).map(|(_, place)| *place)
    }

    /// Compiles with a name for a context; the name `_` is none.
    pub(super) fn with_name<T>(
        &mut self,
        name: &Text,
        place: Place,
        compile: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.names.push((if name == "_" { Text::default() } else { name.clone() }, place));
        let compiled = compile(self);
        self.names.pop();
        compiled
    }

    /// Compiles with another `this`.
    pub(super) fn with_this<T>(&mut self, this: Place, compile: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.this, this);
        let compiled = compile(self);
        self.this = outer;
        compiled
    }

    #[expect(clippy::boxed_local, reason = "problems travel boxed, in results that must stay small")]
    pub(super) fn tell(&mut self, problem: Box<Problem>) {
        self.problems.push(*problem);
    }
}
