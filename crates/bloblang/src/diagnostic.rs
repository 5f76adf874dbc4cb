//! What is wrong with a mapping, shown where it is: span, caret, what was expected, and a fix.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A text that was compiled, and what it is called in messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// The line of a byte, counted from one.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Bytes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        let fit = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: fit(start), end: fit(end.max(start)) }
    }

    pub(crate) fn to(self, end: Span) -> Span {
        Span { start: self.start, end: end.end.max(self.start) }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One problem of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    source: Arc<Source>,
    /// The bytes of the source that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to say at the caret: what was expected there.
    pub label: String,
    /// How to put it right, if that is known.
    pub help: Option<String>,
}

impl Diagnostic {
    /// The line it begins on, counted from one.
    pub fn line(&self) -> usize {
        self.source.line(self.span.start)
    }

    /// What the source is called: the path of an imported file, or the name given to the mapping.
    pub fn source_name(&self) -> &str {
        &self.source.name
    }

    /// Draws it as a compiler does: the line, a caret under what it is about, and the help.
    pub fn render(&self) -> String {
        render(&self.source, self.span.clone(), &self.message, &self.label, self.help.as_deref())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.source.name, self.line(), self.message)?;
        if !self.label.is_empty() {
            write!(f, ": {}", self.label)?;
        }
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a mapping: it never starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// The problems in the order of the source; never empty.
    pub diagnostics: Vec<Diagnostic>,
}

impl CompileError {
    /// Draws all of them.
    pub fn render(&self) -> String {
        self.diagnostics.iter().map(|diagnostic| diagnostic.render() + "\n").collect()
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{diagnostic}", if n > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileError {}

/// A problem before it knows its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Box<Problem> {
        Box::new(Problem { span, message: message.into(), label: label.into(), help: None })
    }

    pub(crate) fn help(mut self: Box<Self>, help: Option<String>) -> Box<Problem> {
        self.help = help;
        self
    }

    pub(crate) fn of(self, source: &Arc<Source>) -> Diagnostic {
        let Problem { span, message, label, help } = self;
        Diagnostic { source: Arc::clone(source), span: span.range(), message, label, help }
    }
}

/// The name that was probably meant.
pub(crate) fn closest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |name: &&str| strsim::damerau_levenshtein(word, name) <= 1 + word.len() / 4;
    names.filter(near).min_by_key(|name| strsim::damerau_levenshtein(word, name))
}

pub(crate) fn render(
    source: &Source,
    span: Range<usize>,
    message: &str,
    label: &str,
    help: Option<&str>,
) -> String {
    let snippet = Snippet::source(source.text.as_str())
        .path(source.name.as_str())
        .annotation(AnnotationKind::Primary.span(on_characters(&source.text, span)).label(label));
    let mut groups = vec![Group::with_title(Level::ERROR.primary_title(message)).element(snippet)];
    if let Some(help) = help {
        groups[0] = std::mem::replace(&mut groups[0], Group::with_title(Level::ERROR.primary_title("")))
            .element(Level::HELP.message(help));
    }
    Renderer::plain().render(&groups)
}

/// The span widened to whole characters of the text.
fn on_characters(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.ceil_char_boundary(span.end.max(start))
}
