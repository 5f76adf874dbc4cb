//! A compiled mapping in words: what each assignment writes, what it reads, and what it asks for.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::library::{Prepared, Touches};
use crate::node::{Argument, Body, Node, Pattern, Place, Program, Site, Step, Target};
use crate::{Text, path};

pub(crate) fn explain(program: &Program) -> String {
    let mut out = String::new();
    steps(program, &program.body, &program.body.steps, 0, &mut out);
    for (name, number) in &program.names {
        let map = &program.maps[*number];
        writeln!(out, "map {name}, of {}:", map.source.name).expect("a string takes everything");
        steps(program, map, &map.steps, 1, &mut out);
    }
    out
}

fn steps(program: &Program, body: &Body, list: &[Step], level: usize, out: &mut String) {
    for step in list {
        let mut found =
            Found { program, reads: BTreeSet::new(), asks: BTreeSet::new(), maps: BTreeSet::new() };
        let (span, what) = match step {
            Step::Assign { target, span, value } => {
                found.query(value);
                (span, format!("sets {}", target_words(target)))
            }
            Step::If { branches, span, .. } => {
                branches.iter().for_each(|(condition, _)| found.query(condition));
                (span, "decides".to_owned())
            }
        };
        let line = body.source.line(span.range().start);
        out.extend(std::iter::repeat_n("  ", level));
        writeln!(out, "line {line} {what}{}", found.words()).expect("a string takes everything");
        if let Step::If { branches, otherwise, .. } = step {
            branches.iter().for_each(|(_, body_steps)| steps(program, body, body_steps, level + 1, out));
            steps(program, body, otherwise, level + 1, out);
        }
    }
}

fn target_words(target: &Target) -> String {
    match target {
        Target::Root(path) if path.is_empty() => "the document".into(),
        Target::Root(path) => format!("`{}`", path::display(path)),
        Target::Meta(None) => "all metadata".into(),
        Target::Meta(Some(key)) => format!("metadata `{key}`"),
        Target::Slot(_) => "a variable".into(),
    }
}

/// What a query uses.
struct Found<'p> {
    program: &'p Program,
    reads: BTreeSet<String>,
    asks: BTreeSet<&'static str>,
    maps: BTreeSet<Text>,
}

impl Found<'_> {
    fn words(&self) -> String {
        let list = |verb: &str, words: Vec<String>| match words.is_empty() {
            true => String::new(),
            false => format!(", {verb} {}", words.join(", ")),
        };
        let quoted = |word: &str| format!("`{word}`");
        list("reads", self.reads.iter().map(|read| quoted(read)).collect())
            + &list("applies", self.maps.iter().map(|map| quoted(map)).collect())
            + &list("asks", self.asks.iter().map(|ask| quoted(ask)).collect())
    }

    fn place(&mut self, place: Place, path: &[Text]) {
        let base = match place {
            Place::Document => "this",
            Place::Root => "root",
            Place::Meta => "@",
            // Contexts and variables hold what was read elsewhere.
            Place::Slot(_) => return,
        };
        let below = if path.is_empty() { String::new() } else { format!(".{}", path::display(path)) };
        self.reads.insert(format!("{base}{below}"));
    }

    fn query(&mut self, node: &Node) {
        match node {
            Node::Literal(_) => {}
            Node::Place(place) => self.place(*place, &[]),
            Node::Path(place, path) => self.place(*place, path),
            Node::Field(target, _) => self.query(target),
            Node::MetaKey(key) => drop(self.reads.insert(format!("@{key}"))),
            Node::Array(items) => items.iter().for_each(|item| self.query(item)),
            Node::Object(entries) => entries.iter().for_each(|(key, value)| {
                self.query(key);
                self.query(value);
            }),
            Node::Not(unary) | Node::Negate(unary) => self.query(&unary.operand),
            Node::Binary(binary) => {
                self.query(&binary.left);
                self.query(&binary.right);
            }
            Node::If(branches, otherwise) => {
                branches.iter().for_each(|(condition, body)| {
                    self.query(condition);
                    self.query(body);
                });
                otherwise.iter().for_each(|body| self.query(body));
            }
            Node::Match(matched) => {
                matched.subject.iter().for_each(|(subject, _)| self.query(subject));
                for (pattern, body) in &matched.cases {
                    if let Pattern::Holds(test) = pattern {
                        self.query(test);
                    }
                    self.query(body);
                }
            }
            Node::Bracket(bracket) => {
                self.query(&bracket.0);
                self.query(&bracket.2);
            }
            Node::Index(index) => {
                self.query(&index.0);
                self.query(&index.1);
            }
            Node::Slice(slice) => {
                self.query(&slice.0);
                slice.1.iter().flatten().for_each(|bound| self.query(bound));
            }
            Node::Function(site) => self.site(site),
            Node::Method(method) => {
                self.query(&method.0);
                self.site(&method.1);
            }
        }
    }

    fn site(&mut self, site: &Site) {
        if site.spec.touches != Touches::Values {
            self.asks.insert(site.spec.name);
        }
        if let Some(Prepared::Map(number)) = &site.prepared {
            let named = self.program.names.iter().find(|(_, other)| *other == number);
            self.maps.extend(named.map(|(name, _)| name.clone()));
        }
        for argument in &site.arguments {
            match argument {
                Argument::Computed(node) | Argument::Lazy(node) | Argument::Query { body: node, .. } => {
                    self.query(node);
                }
                Argument::Missing | Argument::Constant(_) => {}
            }
        }
    }
}
