//! A compiled mapping: names resolved to slots, functions to code, paths to segments.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::diagnostic::{Source, Span};
use crate::host::Host;
use crate::library::{Cell, Prepared, Spec};
use crate::syntax::Operator;
use crate::{Limits, Text, Value};

/// A mapping, ready to run; nothing in it changes but counters.
pub(crate) struct Program {
    pub(crate) body: Body,
    pub(crate) maps: Vec<Body>,
    pub(crate) names: BTreeMap<Text, usize>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) limits: Limits,
    /// The counters of the function `count`.
    pub(crate) counts: Mutex<BTreeMap<Text, i64>>,
    /// The time and step of the last snowflake.
    pub(crate) snowflake: Mutex<i64>,
}

/// The statements of a mapping or of a map.
pub(crate) struct Body {
    pub(crate) source: Arc<Source>,
    /// Where the source is.
    pub(crate) directory: PathBuf,
    pub(crate) steps: Vec<Step>,
    /// How many slots it needs.
    pub(crate) slots: usize,
}

pub(crate) enum Step {
    Assign { target: Target, span: Span, value: Node },
    If { branches: Vec<(Node, Vec<Step>)>, otherwise: Vec<Step>, span: Span },
}

pub(crate) enum Target {
    Root(Box<[Text]>),
    Meta(Option<Text>),
    Slot(usize),
}

/// A query.
pub(crate) enum Node {
    Literal(Value),
    Place(Place),
    /// A field of a place.
    Path(Place, Box<[Text]>),
    /// A field of anything else.
    Field(Box<Node>, Box<[Text]>),
    /// `@key`
    MetaKey(Text),
    Array(Vec<Node>),
    Object(Vec<(Node, Node)>),
    Not(Box<Unary>),
    Negate(Box<Unary>),
    Binary(Box<Binary>),
    If(Vec<(Node, Node)>, Option<Box<Node>>),
    Match(Box<Match>),
    /// The target goes into the slot, then the body is evaluated.
    Bracket(Box<(Node, usize, Node)>),
    Index(Box<(Node, Node, Origin)>),
    Slice(Box<(Node, [Option<Node>; 3], Origin)>),
    Function(Box<Site>),
    Method(Box<(Node, Site)>),
}

/// Where a value stands that a query may look at without taking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The document of the message.
    Document,
    /// A context or a variable of this body.
    Slot(usize),
    /// The new document.
    Root,
    /// The new metadata.
    Meta,
}

/// Where a failure comes from: a span, and the words for what stands there.
pub(crate) struct Origin {
    pub(crate) span: Span,
    pub(crate) text: Box<str>,
}

pub(crate) struct Unary {
    pub(crate) operand: Node,
    pub(crate) origin: Origin,
}

pub(crate) struct Binary {
    pub(crate) operator: Operator,
    pub(crate) left: Node,
    pub(crate) right: Node,
    pub(crate) span: Span,
    pub(crate) left_text: Box<str>,
    pub(crate) right_text: Box<str>,
}

pub(crate) struct Match {
    /// What is matched, and the slot it goes to.
    pub(crate) subject: Option<(Node, usize)>,
    pub(crate) context: Place,
    pub(crate) cases: Vec<(Pattern, Node)>,
}

pub(crate) enum Pattern {
    Any,
    Equals(Value),
    Holds(Node),
}

/// A place in the source where a function or method is called.
pub(crate) struct Site {
    pub(crate) spec: &'static Spec,
    pub(crate) arguments: Box<[Argument]>,
    /// What was made of constant arguments once.
    pub(crate) prepared: Option<Prepared>,
    /// What is kept between runs.
    pub(crate) cell: Mutex<Option<Cell>>,
    /// The target of a method, or the function.
    pub(crate) origin: Origin,
}

pub(crate) enum Argument {
    Missing,
    Constant(Value),
    Computed(Node),
    /// Evaluated by the method, with its context in a slot.
    Query {
        slot: usize,
        body: Node,
    },
    /// Evaluated by the method, if it needs it.
    Lazy(Node),
}
