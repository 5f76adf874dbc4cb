//! Why a run failed: what went wrong, where in the source, and in which assignment. No payload is in it.

use std::fmt;
use std::sync::Arc;

use crate::Value;
use crate::diagnostic::{Source, Span, render};
use crate::node::{Body, Origin};

pub(crate) type Outcome<T = Value> = Result<T, Box<Failure>>;

/// A failure on its way up.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    span: Option<Span>,
    /// The innermost body it passed.
    source: Option<Arc<Source>>,
    /// The assignment of the mapping that failed.
    assignment: Option<Span>,
    /// Whether the budget is used up: nothing catches that.
    pub(crate) is_final: bool,
}

/// Ends the function with a failure.
macro_rules! fail {
    ($($message:tt)*) => {
        return Err($crate::run::Failure::new(format!($($message)*)))
    };
}
pub(crate) use fail;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Box<Failure> {
        Box::new(Failure {
            message: message.into(),
            span: None,
            source: None,
            assignment: None,
            is_final: false,
        })
    }

    pub(crate) fn exhausted(message: String) -> Box<Failure> {
        let mut failure = Failure::new(format!("the budget of the mapping is used up: {message}"));
        failure.is_final = true;
        failure
    }

    /// Says where it happened, unless that is known already.
    pub(crate) fn at(mut self: Box<Self>, span: Span) -> Box<Failure> {
        self.span.get_or_insert(span);
        self
    }

    /// Says whose target or which function failed, unless that is known already.
    pub(crate) fn from(mut self: Box<Self>, origin: &Origin) -> Box<Failure> {
        if self.span.is_none() && !self.is_final {
            self.message = format!("{}: {}", origin.text, self.message);
        }
        self.span.get_or_insert(origin.span);
        self
    }

    pub(crate) fn in_assignment(mut self: Box<Self>, span: Span) -> Box<Failure> {
        self.span.get_or_insert(span);
        self.assignment = Some(span);
        self
    }

    pub(crate) fn in_body(mut self: Box<Self>, body: &Body) -> Box<Failure> {
        self.source.get_or_insert_with(|| Arc::clone(&body.source));
        self
    }
}

/// A message could not be mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    message: String,
    line: usize,
    span: Span,
    source: Arc<Source>,
    is_exhausted: bool,
}

impl RunError {
    pub(crate) fn new(failure: Failure, body: &Body) -> RunError {
        let source = failure.source.unwrap_or_else(|| Arc::clone(&body.source));
        let assignment = failure.assignment.unwrap_or_default();
        RunError {
            line: body.source.line(assignment.range().start),
            message: failure.message,
            span: failure.span.unwrap_or(assignment),
            source,
            is_exhausted: failure.is_final,
        }
    }

    pub(crate) fn no_message(body: &Body, index: usize) -> RunError {
        RunError::new(*Failure::new(format!("the batch has no message {index}")), body)
    }

    /// Why, without where.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line of the assignment that failed, counted from one.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the budget ended the run, and not the message alone.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Draws it as a compiler does: the line of the source, and a caret under what failed.
    pub fn render(&self) -> String {
        render(&self.source, self.span.range(), &self.message, "", None)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed assignment (line {}): {}", self.line, self.message)
    }
}

impl std::error::Error for RunError {}
