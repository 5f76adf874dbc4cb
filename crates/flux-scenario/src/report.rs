//! Every problem found at once, shown the way a compiler shows them or as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use serde_json::json;

use crate::codes::{Code, Severity};
use crate::limits::ISSUES_MAX;
use crate::secrecy::userinfo;
use crate::source::{Position, Source, Span};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// What kind of problem; it decides the severity.
    pub code: Code,
    /// Where.
    pub span: Span,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Span, String)>,
}

impl Issue {
    /// A problem at a place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Issue { code, span, message: printable(message.into()), help: None, related: Vec::new() }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(printable(help.into()));
        self
    }

    /// Adds another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, printable(label.into())));
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// Text from a file goes to a terminal here, so control characters are spelled out.
fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
            .collect()
    } else {
        text
    }
}

/// All problems of one file, in order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    source: Arc<Source>,
    issues: Vec<Issue>,
    left_out: usize,
    secrets: Vec<Span>,
}

impl Report {
    /// An empty report on a text.
    pub fn new(source: Arc<Source>) -> Self {
        Report { source, ..Report::default() }
    }

    /// Adds a problem, keeping the order of places; beyond [`ISSUES_MAX`] it only counts.
    pub fn push(&mut self, issue: Issue) {
        if self.is_full() {
            self.left_out += 1;
            return;
        }
        let key = |issue: &Issue| (issue.span.start, issue.code);
        let at = self.issues.partition_point(|other| key(other) <= key(&issue));
        self.issues.insert(at, issue);
    }

    /// Takes over the problems of another report on the same text.
    pub fn merge(&mut self, other: Report) {
        self.left_out += other.left_out;
        self.secrets.extend(other.secrets);
        other.issues.into_iter().for_each(|issue| self.push(issue));
    }

    /// Leaves out the problems that somebody does not mind.
    pub fn retain(&mut self, keep: impl Fn(&Issue) -> bool) {
        self.issues.retain(keep);
    }

    /// The problems, in order of place.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// How many more there were than the report keeps.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether any of them keeps the scenario from running.
    pub fn has_errors(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity() == Severity::Error) || self.left_out > 0
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.issues.is_empty() && self.left_out == 0
    }

    /// The line and column where a problem starts.
    pub fn position(&self, issue: &Issue) -> Position {
        self.source.position(issue.span.start)
    }

    /// The text it is about.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Hides a part of the text from the shown lines.
    pub(crate) fn hide(&mut self, secret: Span) {
        self.secrets.push(secret);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.issues.len() >= ISSUES_MAX
    }

    /// For machines: a `{"code","severity","file","line","column","message","help"}` for each issue; lines and columns
    /// count from 1, `help` is null when there is none.
    pub fn to_json(&self) -> Vec<serde_json::Value> {
        let issues = self.issues.iter().map(|issue| {
            let Position { line, column } = self.position(issue);
            json!({
                "code": issue.code.to_string(),
                "severity": issue.severity().word(),
                "file": self.source.name(),
                "line": line,
                "column": column,
                "message": issue.message,
                "help": issue.help,
            })
        });
        issues.collect()
    }

    /// For people: each problem with the lines it is about, and a count at the end; empty when there is nothing.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown = self.shown_text();
        let mut text = String::new();
        for issue in &self.issues {
            text.push_str(&renderer.render(&[self.group(issue, &shown)]));
            text.push_str("\n\n");
        }
        if !self.is_empty() {
            text.push_str(&self.tally());
            text.push('\n');
        }
        text
    }

    fn group<'a>(&'a self, issue: &'a Issue, text: &'a str) -> Group<'a> {
        let level = match issue.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Info => Level::INFO,
        };
        let title = level.primary_title(issue.message.as_str()).id(issue.code.to_string());
        let mut elements: Vec<Element<'a>> = Vec::new();
        if !text.is_empty() {
            let range = |span: Span| {
                let Span { start, end } = self.source.clamp(span);
                start..end
            };
            let others = issue
                .related
                .iter()
                .map(|(span, label)| AnnotationKind::Context.span(range(*span)).label(label.as_str()));
            let snippet = Snippet::source(text)
                .path(self.source.name())
                .annotation(AnnotationKind::Primary.span(range(issue.span)))
                .annotations(others);
            elements.push(snippet.into());
        }
        if let Some(help) = &issue.help {
            elements.push(Level::HELP.message(help.as_str()).into());
        }
        title.elements(elements)
    }

    /// The text with a `*` for each byte of a secret, so that every span still fits: for whoever may not know them.
    pub fn shown_text(&self) -> Cow<'_, str> {
        let text = self.source.text();
        let mut shown = Cow::Borrowed(text);
        for secret in self.secrets.iter().copied().chain(userinfo(text)) {
            let Span { start, end } = self.source.clamp(secret);
            let mask: String = shown[start..end]
                .chars()
                .flat_map(|c| if c == '\n' { vec!['\n'] } else { vec!['*'; c.len_utf8()] })
                .collect();
            shown.to_mut().replace_range(start..end, &mask);
        }
        shown
    }

    fn tally(&self) -> String {
        let count = |severity| self.issues.iter().filter(|issue| issue.severity() == severity).count();
        let words = [(Severity::Error, "errors"), (Severity::Warning, "warnings"), (Severity::Info, "notes")];
        let mut parts: Vec<String> = words
            .into_iter()
            .filter_map(|(severity, plural)| match count(severity) {
                0 => None,
                1 => Some(format!("1 {}", plural.trim_end_matches('s'))),
                n => Some(format!("{n} {plural}")),
            })
            .collect();
        if self.left_out > 0 {
            parts.push(format!("{} more not shown", self.left_out));
        }
        format!("{}: {}", self.source.name(), parts.join(", "))
    }
}
