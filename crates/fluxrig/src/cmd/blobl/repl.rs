//! `fluxrig blobl --repl`: expressions tried one after the other, on a document that stays.

use std::{
    io::{BufReader, IsTerminal, stdin},
    process::ExitCode,
};

use bloblang::{Compiler, Message, Object, Root, Value};

use super::line;
use crate::stdout;

const HELP: &str = "\
A query or a mapping is evaluated when its brackets are closed; an empty line ends one that goes on.
  :in DOCUMENT     what `this` is from now on
  :out             `this` becomes what the last mapping made
  :help            this text
  :quit            the end; so is the end of the input
";

pub(super) fn run(compiler: &Compiler, metadata: Object) -> anyhow::Result<ExitCode> {
    let is_terminal = stdin().is_terminal();
    let mut input = BufReader::new(stdin().lock());
    let mut session = Session { compiler, metadata, document: Value::Object(Default::default()), made: None };
    let mut source = String::new();
    if is_terminal {
        stdout::print("Bloblang. `:help` says more.\n")?;
    }
    loop {
        if is_terminal {
            stdout::print(if source.is_empty() { "> " } else { ". " })?;
        }
        let Some(read) = line(&mut input)? else { break };
        let read = String::from_utf8_lossy(&read).into_owned();
        if source.is_empty() && read.trim_start().starts_with(':') {
            match session.command(read.trim()) {
                Some(answer) => stdout::print(answer)?,
                None => return Ok(ExitCode::SUCCESS),
            }
            continue;
        }
        source.push_str(&read);
        source.push('\n');
        let goes_on = !read.trim().is_empty() && is_open(compiler, &source);
        if !goes_on {
            if !source.trim().is_empty() {
                stdout::print(session.evaluate(&source))?;
            }
            source.clear();
        }
    }
    if !source.trim().is_empty() {
        stdout::print(session.evaluate(&source))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether all that is wrong with a source is that it ends.
fn is_open(compiler: &Compiler, source: &str) -> bool {
    let end = source.trim_end().len();
    match compiler.compile(source) {
        Ok(_) => false,
        Err(error) => error.diagnostics.iter().all(|diagnostic| diagnostic.span.start >= end),
    }
}

struct Session<'c> {
    compiler: &'c Compiler,
    metadata: Object,
    document: Value,
    /// What the last mapping made.
    made: Option<Value>,
}

impl Session<'_> {
    /// The answer to a command; none to the one that ends.
    fn command(&mut self, command: &str) -> Option<String> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match name {
            ":quit" | ":q" => return None,
            ":in" => match Value::from_json(rest.as_bytes()) {
                Ok(document) => self.document = document,
                Err(why) => return Some(format!("{why}\n")),
            },
            ":out" => match self.made.take() {
                Some(made) => self.document = made,
                None => return Some("nothing was made\n".into()),
            },
            _ => return Some(HELP.into()),
        }
        Some(String::new())
    }

    fn evaluate(&mut self, source: &str) -> String {
        let mapping = match self.compiler.compile(source) {
            Ok(mapping) => mapping,
            Err(error) => return error.render(),
        };
        let message = Message::structured(self.document.clone()).with_metadata(self.metadata.clone());
        match mapping.map(&message) {
            Ok(mapped) => match mapped.root {
                Root::New(value) => {
                    let text = value.to_json();
                    self.made = Some(value);
                    format!("{text}\n")
                }
                Root::Unchanged => "unchanged\n".into(),
                Root::Deleted => "deleted\n".into(),
            },
            Err(error) => format!("{}\n", error.render()),
        }
    }
}
