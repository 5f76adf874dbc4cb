//! A source as a tree: what was written, where, and nothing about what it means.

mod expression;
mod format;
mod literal;
mod scan;
mod statement;

pub(crate) use format::format;
pub(crate) use literal::unquote;
pub(crate) use statement::{parse, parse_query};

use crate::diagnostic::{Problem, Span};
use crate::limits::TREE_DEPTH_MAX;
use crate::{Text, Value};

pub(crate) type Parsed<T> = Result<T, Box<Problem>>;

/// Conditions with their blocks, and the block of a last `else`.
type Branches<T> = (Vec<(Expr, T)>, Option<T>);

/// All of a source.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// `from "path"`: the file that this mapping is.
    pub(crate) from: Option<(Text, Span)>,
    pub(crate) imports: Vec<(Text, Span)>,
    pub(crate) maps: Vec<Map>,
    pub(crate) statements: Vec<Statement>,
}

impl Tree {
    /// A mapping that is one query: what it yields is the new document.
    fn query(value: Expr) -> Tree {
        let target_span = value.span;
        let assign = Statement::Assign { target: Target::Root(Vec::new()), target_span, value };
        Tree { statements: vec![assign], ..Tree::default() }
    }
}

/// `map name { ... }`
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) name: Text,
    pub(crate) span: Span,
    pub(crate) statements: Vec<Statement>,
}

#[derive(Debug)]
pub(crate) enum Statement {
    Assign { target: Target, target_span: Span, value: Expr },
    If { branches: Vec<(Expr, Vec<Statement>)>, otherwise: Vec<Statement> },
}

/// What an assignment writes to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Root(Vec<Text>),
    Meta(Option<Text>),
    Variable(Text),
}

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    depth: u16,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Value),
    This,
    Root,
    /// A field of `this`, or a named context.
    Name(Text),
    Variable(Text),
    /// `@`, or `@key`.
    Meta(Option<Text>),
    Field(Box<Expr>, Text),
    /// `target.(body)`
    Bracket(Box<Expr>, Box<Expr>),
    Index(Box<Expr>, Box<Expr>),
    /// `target[from:to:step]`
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Function(Call),
    Method(Box<Expr>, Call),
    Array(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    If(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// A case without a pattern is `_`.
    Match(Option<Box<Expr>>, Vec<(Option<Expr>, Expr)>),
    /// `name -> body`
    Lambda(Text, Box<Expr>),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: Text,
    pub(crate) span: Span,
    pub(crate) arguments: Vec<Argument>,
}

#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<(Text, Span)>,
    pub(crate) value: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Coalesce,
}

impl Expr {
    /// A node; a problem if the tree gets too deep with it.
    pub(crate) fn new(kind: Kind, span: Span) -> Parsed<Expr> {
        let depth = kind.children().map(|child| child.depth).max().map_or(0, |deepest| deepest + 1);
        if depth > TREE_DEPTH_MAX {
            let label = format!("at most {TREE_DEPTH_MAX} links of a chain, or levels of nesting");
            return Err(Problem::new(span, "this expression is too deep", label)
                .help(Some("keep a part of it in a variable with `let`".into())));
        }
        Ok(Expr { kind, span, depth })
    }
}

impl Kind {
    fn children(&self) -> Box<dyn Iterator<Item = &Expr> + '_> {
        match self {
            Kind::Literal(_)
            | Kind::This
            | Kind::Root
            | Kind::Name(_)
            | Kind::Variable(_)
            | Kind::Meta(_) => Box::new(std::iter::empty()),
            Kind::Field(a, _) | Kind::Not(a) | Kind::Negate(a) | Kind::Lambda(_, a) => {
                Box::new(std::iter::once(&**a))
            }
            Kind::Bracket(a, b) | Kind::Index(a, b) | Kind::Binary(_, a, b) => {
                Box::new([&**a, &**b].into_iter())
            }
            Kind::Slice(target, bounds) => {
                Box::new(std::iter::once(&**target).chain(bounds.iter().flatten().map(|bound| &**bound)))
            }
            Kind::Function(call) => Box::new(call.values()),
            Kind::Method(target, call) => Box::new(std::iter::once(&**target).chain(call.values())),
            Kind::Array(items) => Box::new(items.iter()),
            Kind::Object(entries) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
            Kind::If(branches, otherwise) => {
                let branches = branches.iter().flat_map(|(condition, body)| [condition, body]);
                Box::new(branches.chain(otherwise.as_deref()))
            }
            Kind::Match(subject, cases) => {
                let cases = cases.iter().flat_map(|(pattern, body)| pattern.iter().chain([body]));
                Box::new(subject.as_deref().into_iter().chain(cases))
            }
        }
    }
}

impl Call {
    fn values(&self) -> impl Iterator<Item = &Expr> {
        self.arguments.iter().map(|argument| &argument.value)
    }
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Operator::Or => "||",
            Operator::And => "&&",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Coalesce => "|",
        }
    }

    /// How tightly it binds; the loosest is zero.
    fn level(self) -> usize {
        match self {
            Operator::Or => 0,
            Operator::And => 1,
            Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => 2,
            Operator::Add | Operator::Subtract => 3,
            Operator::Multiply | Operator::Divide | Operator::Modulo | Operator::Coalesce => 4,
        }
    }
}
