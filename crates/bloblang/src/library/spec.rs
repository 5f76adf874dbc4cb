//! What a function or method is called and takes, as data that the compiler binds calls with.

use super::call::{Call, Prepared};
use crate::Value;
use crate::node::{Argument, Node};
use crate::run::{Outcome, Runner};

/// A function or a method.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// Whether any number of values may follow the parameters.
    pub(crate) takes_more: bool,
    pub(crate) touches: Touches,
    /// Makes something of the arguments, once if they are constant.
    pub(crate) prepare: Option<Prepare>,
    pub(crate) run: Run,
}

/// Makes something of constant arguments, or says what is wrong with them.
pub(crate) type Prepare = fn(&Constants) -> Result<Prepared, String>;

/// What it needs besides its target and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touches {
    Values,
    Message,
    World,
}

#[derive(Clone, Copy)]
pub(crate) enum Run {
    Function(fn(&mut Call) -> Outcome),
    Method(fn(&mut Call, Value) -> Outcome),
    /// A method that evaluates its target itself.
    Control(fn(&mut Runner, &Node, &[Argument]) -> Outcome),
}

/// A parameter.
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) accepts: Accepts,
    pub(crate) default: Default,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    Anything,
    /// Text, or bytes.
    Text,
    Int,
    Number,
    Bool,
    Array,
    /// A query with a context that the method gives it.
    Query,
    /// A query that is evaluated only when it is needed.
    Lazy,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Default {
    Required,
    None,
    Int(i64),
    Bool(bool),
    Text(&'static str),
}

/// What a parameter beyond the named ones takes.
pub(crate) const MORE: Param = Param::new("values", Accepts::Anything);

impl Param {
    pub(crate) const fn new(name: &'static str, accepts: Accepts) -> Param {
        Param { name, accepts, default: Default::Required }
    }

    pub(crate) const fn text(name: &'static str) -> Param {
        Param::new(name, Accepts::Text)
    }

    pub(crate) const fn int(name: &'static str) -> Param {
        Param::new(name, Accepts::Int)
    }

    pub(crate) const fn any(name: &'static str) -> Param {
        Param::new(name, Accepts::Anything)
    }

    pub(crate) const fn bool(name: &'static str) -> Param {
        Param::new(name, Accepts::Bool)
    }

    pub(crate) const fn query(name: &'static str) -> Param {
        Param::new(name, Accepts::Query)
    }

    pub(crate) const fn or(mut self, default: Default) -> Param {
        self.default = default;
        self
    }

    pub(crate) const fn optional(self) -> Param {
        self.or(Default::None)
    }

    /// Whether a value may be the argument; if not, why.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let expected = match self.accepts {
            Accepts::Anything | Accepts::Query | Accepts::Lazy => return Ok(()),
            Accepts::Text if value.as_bytes().is_some() => return Ok(()),
            Accepts::Int if value.as_int().is_some() => return Ok(()),
            Accepts::Number if value.as_float().is_some() => return Ok(()),
            Accepts::Bool if value.as_bool().is_some() => return Ok(()),
            Accepts::Array if value.as_array().is_some() => return Ok(()),
            Accepts::Text => "string",
            Accepts::Int => "integer",
            Accepts::Number => "number",
            Accepts::Bool => "bool",
            Accepts::Array => "array",
        };
        Err(format!("expects {expected}, not {}", value.type_name()))
    }
}

impl Spec {
    pub(crate) const fn function(
        name: &'static str,
        params: &'static [Param],
        run: fn(&mut Call) -> Outcome,
    ) -> Spec {
        Spec::new(name, params, Run::Function(run))
    }

    pub(crate) const fn method(
        name: &'static str,
        params: &'static [Param],
        run: fn(&mut Call, Value) -> Outcome,
    ) -> Spec {
        Spec::new(name, params, Run::Method(run))
    }

    pub(crate) const fn new(name: &'static str, params: &'static [Param], run: Run) -> Spec {
        Spec { name, params, takes_more: false, touches: Touches::Values, prepare: None, run }
    }

    pub(crate) const fn taking_more(mut self) -> Spec {
        self.takes_more = true;
        self
    }

    pub(crate) const fn touching(mut self, touches: Touches) -> Spec {
        self.touches = touches;
        self
    }

    pub(crate) const fn prepared(mut self, prepare: Prepare) -> Spec {
        self.prepare = Some(prepare);
        self
    }

    /// Its parameters in words.
    pub(crate) fn signature(&self) -> String {
        let param = |param: &Param| match param.default {
            Default::Required => param.name.to_owned(),
            _ => format!("[{}]", param.name),
        };
        let mut words: Vec<_> = self.params.iter().map(param).collect();
        if self.takes_more {
            words.push("...".into());
        }
        if words.is_empty() { "no arguments".into() } else { words.join(", ") }
    }
}

/// Arguments whose values are known.
pub(crate) struct Constants<'a>(pub(crate) Vec<Option<&'a Value>>);

impl<'a> Constants<'a> {
    /// The arguments of a call, if all of them are constant.
    pub(crate) fn of(arguments: &'a [Argument]) -> Option<Constants<'a>> {
        let value = |argument: &'a Argument| match argument {
            Argument::Constant(value) => Some(Some(value)),
            Argument::Missing => Some(None),
            Argument::Computed(_) | Argument::Query { .. } | Argument::Lazy(_) => None,
        };
        arguments.iter().map(value).collect::<Option<_>>().map(Constants)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&'a Value> {
        self.0.get(at).copied().flatten()
    }

    pub(crate) fn text(&self, at: usize) -> Option<&'a str> {
        self.get(at)?.as_str()
    }
}
