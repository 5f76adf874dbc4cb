//! One call: the arguments as a function's code asks for them, and what is kept between calls.

use std::borrow::Cow;
use std::sync::{Arc, MutexGuard, PoisonError};

use regex::Regex;
use smallvec::SmallVec;

use super::json_path::Way;
use super::json_schema::Schema;
use super::{Constants, Spec};
use crate::limits::REGEX_BYTES_MAX;
use crate::node::{Argument, Program, Site};
use crate::run::{Failure, Outcome, Runner, fail};
use crate::{Text, Value};

/// Steps that it takes to make something of arguments that are not constant, a regular expression above all.
const PREPARATION_STEPS: usize = 2_000;

/// What a call works with.
pub(crate) struct Call<'c, 'r> {
    pub(crate) runner: &'c mut Runner<'r>,
    pub(crate) site: &'c Site,
    /// The values of computed arguments, null where an argument is of another kind.
    pub(crate) computed: SmallVec<[Value; 3]>,
}

/// What constant arguments were made into.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    Regex(Regex),
    /// The number of a map.
    Map(usize),
    Schema(Arc<Schema>),
    Way(Arc<Way>),
}

/// What a call keeps for the next one.
pub(crate) enum Cell {
    /// The last number of a counter, and its bounds.
    Counter { last: Option<i64>, min: i64, max: i64 },
    /// A value that is found once.
    Value(Value),
    /// The state of a generator of numbers.
    Random(u64),
    /// A mapping that a mapping made, and its source.
    Mapping(String, Arc<Program>),
}

impl<'c> Call<'c, '_> {
    /// The value of an argument, if it is given.
    pub(crate) fn get(&self, at: usize) -> Option<&Value> {
        match self.site.arguments.get(at)? {
            Argument::Constant(value) => Some(value),
            Argument::Computed(_) => self.computed.get(at),
            Argument::Missing | Argument::Query { .. } | Argument::Lazy(_) => None,
        }
    }

    /// The value of an argument; null if it is not given.
    pub(crate) fn value(&self, at: usize) -> Value {
        self.get(at).cloned().unwrap_or_default()
    }

    /// All arguments from one on.
    pub(crate) fn values(&self, from: usize) -> impl Iterator<Item = &Value> {
        (from..self.site.arguments.len()).filter_map(|at| self.get(at))
    }

    /// An argument that is text.
    pub(crate) fn text(&self, at: usize) -> Outcome<&str> {
        match self.get(at) {
            Some(value) => value.as_str().ok_or_else(|| self.wrong(at, "UTF-8 text")),
            None => Err(self.wrong(at, "text")),
        }
    }

    /// An argument that is text, if it is given.
    pub(crate) fn optional_text(&self, at: usize) -> Outcome<Option<&str>> {
        self.get(at).map(|_| self.text(at)).transpose()
    }

    /// An argument that is text or bytes.
    pub(crate) fn bytes(&self, at: usize) -> Outcome<&[u8]> {
        self.get(at).and_then(Value::as_bytes).ok_or_else(|| self.wrong(at, "text or bytes"))
    }

    /// An argument that is a whole number.
    pub(crate) fn int(&self, at: usize) -> Outcome<i64> {
        self.get(at).and_then(Value::as_int).ok_or_else(|| self.wrong(at, "integer"))
    }

    /// An argument that is a number.
    pub(crate) fn float(&self, at: usize) -> Outcome<f64> {
        self.get(at).and_then(Value::as_float).ok_or_else(|| self.wrong(at, "number"))
    }

    /// An argument that is a truth value; false if it is not given.
    pub(crate) fn flag(&self, at: usize) -> bool {
        self.get(at).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An argument that is an array; an empty one if it is not given.
    pub(crate) fn items(&self, at: usize) -> &[Value] {
        self.get(at).and_then(Value::as_array).unwrap_or_default()
    }

    fn wrong(&self, at: usize, expected: &str) -> Box<Failure> {
        let name = self.site.spec.params.get(at).map_or("value", |param| param.name);
        Failure::new(format!("the argument `{name}` must be {expected}"))
    }

    /// Evaluates a query that is an argument, with a context.
    pub(crate) fn query(&mut self, at: usize, context: Value) -> Outcome {
        match self.site.arguments.get(at) {
            Some(Argument::Query { slot, body }) => {
                self.runner.set_slot(*slot, context);
                self.runner.evaluate(body)
            }
            _ => fail!("there is no query to evaluate"),
        }
    }

    /// Evaluates a query that is an argument, as it stands; none if it is not given.
    pub(crate) fn lazy(&mut self, at: usize) -> Outcome<Option<Value>> {
        match self.site.arguments.get(at) {
            Some(Argument::Lazy(node)) => self.runner.evaluate(node).map(Some),
            Some(Argument::Constant(value)) => Ok(Some(value.clone())),
            _ => Ok(None),
        }
    }

    /// Whether an argument is given at all.
    pub(crate) fn has(&self, at: usize) -> bool {
        !matches!(self.site.arguments.get(at), None | Some(Argument::Missing))
    }

    /// What the arguments make: once if they are constant, else now.
    pub(crate) fn prepared(&mut self) -> Outcome<Cow<'c, Prepared>> {
        if let Some(prepared) = &self.site.prepared {
            return Ok(Cow::Borrowed(prepared));
        }
        self.runner.spend(PREPARATION_STEPS)?;
        let Some(prepare) = self.site.spec.prepare else { fail!("nothing can be prepared here") };
        let values = (0..self.site.arguments.len()).map(|at| self.get(at)).collect();
        prepare(&Constants(values)).map(Cow::Owned).map_err(Failure::new)
    }

    /// What was kept from the last call. Whoever holds it evaluates nothing, so that no call waits for itself.
    pub(crate) fn cell(&self) -> MutexGuard<'c, Option<Cell>> {
        self.site.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The elements of the target, each of them a step.
    pub(crate) fn elements(&mut self, target: Value) -> Outcome<Vec<Value>> {
        let items = array(target)?;
        self.runner.spend(items.len())?;
        Ok(items)
    }
}

impl Prepared {
    /// The regular expression that it is. It is looked at and not cloned: a clone would begin without its caches.
    pub(crate) fn regex(&self) -> Outcome<&Regex> {
        match self {
            Prepared::Regex(regex) => Ok(regex),
            Prepared::Map(_) | Prepared::Schema(_) | Prepared::Way(_) => {
                fail!("the pattern is no regular expression")
            }
        }
    }

    /// A regular expression; matching takes time in proportion to the text, whatever the expression.
    pub(crate) fn of_pattern(constants: &Constants) -> Result<Prepared, String> {
        let pattern = constants.text(0).ok_or("needs a pattern that is text")?;
        let regex = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
        regex.map(Prepared::Regex).map_err(|error| match error {
            regex::Error::Syntax(_) => "has an invalid pattern".to_owned() + &reason(&error.to_string()),
            _ => format!("has a pattern that compiles to over {REGEX_BYTES_MAX} bytes"),
        })
    }
}

/// The last line of a message of the regex crate, which says why.
fn reason(message: &str) -> String {
    message.lines().last().map(|line| format!(": {}", line.trim_start_matches("error: "))).unwrap_or_default()
}

pub(crate) fn array(target: Value) -> Outcome<Vec<Value>> {
    match target {
        Value::Array(array) => Ok(Arc::unwrap_or_clone(array).into_vec()),
        other => Err(expected("array", &other)),
    }
}

pub(crate) fn object(target: Value) -> Outcome<crate::Object> {
    match target {
        Value::Object(object) => Ok(Arc::unwrap_or_clone(object)),
        other => Err(expected("object", &other)),
    }
}

pub(crate) fn text(target: &Value) -> Outcome<&str> {
    match target {
        Value::Bytes(_) => {
            target.as_str().ok_or_else(|| Failure::new("expected text, got bytes that are not UTF-8"))
        }
        _ => target.as_str().ok_or_else(|| expected("string", target)),
    }
}

pub(crate) fn bytes(target: &Value) -> Outcome<&[u8]> {
    target.as_bytes().ok_or_else(|| expected("string", target))
}

pub(crate) fn number(target: &Value) -> Outcome<f64> {
    target.as_float().ok_or_else(|| expected("number", target))
}

/// Text made from a target: bytes if that was bytes.
pub(crate) fn like(target: &Value, text: String) -> Value {
    match target {
        Value::Bytes(_) => Value::bytes(text.into_bytes()),
        _ => Value::String(Text::from(text)),
    }
}

pub(crate) fn expected(expected: &str, value: &Value) -> Box<Failure> {
    Failure::new(format!("expected {expected} value, got {}", value.type_name()))
}

impl Spec {
    /// A method with a regular expression as its first argument.
    pub(crate) const fn with_regex(self) -> Spec {
        self.prepared(Prepared::of_pattern)
    }
}
