//! Queries: each kind of expression as the node that evaluates it, and the words for it in messages.

use super::scope::Scope;
use crate::diagnostic::{Problem, Span};
use crate::node::{Binary, Match, Node, Origin, Pattern, Place, Unary};
use crate::syntax::{Expr, Kind};
use crate::{Text, Value, path};

impl Scope<'_> {
    pub(super) fn query(&mut self, expr: &Expr) -> Node {
        match &expr.kind {
            Kind::Literal(value) => Node::Literal(value.clone()),
            Kind::This => Node::Place(self.this),
            Kind::Root => Node::Place(Place::Root),
            Kind::Name(name) => match self.named(name) {
                Some(place) => Node::Place(place),
                None => Node::Path(self.this, [name.clone()].into()),
            },
            Kind::Variable(name) => Node::Place(Place::Slot(self.read_variable(name, expr.span))),
            Kind::Meta(None) => Node::Place(Place::Meta),
            Kind::Meta(Some(key)) => Node::MetaKey(key.clone()),
            Kind::Field(..) => self.field(expr),
            Kind::Bracket(target, body) => {
                let target = self.query(target);
                let (slot, body) = self.in_context(body);
                Node::Bracket(Box::new((target, slot, body)))
            }
            Kind::Index(target, index) => {
                Node::Index(Box::new((self.query(target), self.query(index), self.origin(target, expr.span))))
            }
            Kind::Slice(target, bounds) => {
                let bounds = bounds.each_ref().map(|bound| bound.as_ref().map(|bound| self.query(bound)));
                Node::Slice(Box::new((self.query(target), bounds, self.origin(target, expr.span))))
            }
            Kind::Function(call) => self.function(call, expr.span),
            Kind::Method(target, call) => self.method(target, call),
            Kind::Array(items) => Node::Array(items.iter().map(|item| self.query(item)).collect()),
            Kind::Object(entries) => {
                let entry = |(key, value): &(Expr, Expr)| (self.key(key), self.query(value));
                Node::Object(entries.iter().map(entry).collect())
            }
            Kind::Not(operand) => Node::Not(Box::new(self.unary(operand, expr.span))),
            Kind::Negate(operand) => Node::Negate(Box::new(self.unary(operand, expr.span))),
            Kind::Binary(operator, left, right) => Node::Binary(Box::new(Binary {
                operator: *operator,
                span: expr.span,
                left_text: self.words(left).into(),
                right_text: self.words(right).into(),
                left: self.query(left),
                right: self.query(right),
            })),
            Kind::If(branches, otherwise) => {
                let branch = |(condition, body): &(Expr, Expr)| (self.query(condition), self.query(body));
                let branches = branches.iter().map(branch).collect();
                Node::If(branches, otherwise.as_ref().map(|body| Box::new(self.query(body))))
            }
            Kind::Match(subject, cases) => self.match_query(subject.as_deref(), cases),
            Kind::Lambda(name, body) => {
                let this = self.this;
                self.with_name(name, this, |scope| scope.query(body))
            }
        }
    }

    /// The key of an object literal; one that is a literal must be text.
    fn key(&mut self, key: &Expr) -> Node {
        if let Kind::Literal(value) = &key.kind
            && !matches!(value, Value::String(_))
        {
            let message = format!("a key of type {}", value.type_name());
            self.tell(Problem::new(key.span, message, "keys are strings"));
        }
        self.query(key)
    }

    /// A body that is evaluated with a context of its own, and the slot the context goes to.
    pub(super) fn in_context(&mut self, body: &Expr) -> (usize, Node) {
        let slot = self.slot();
        let body = match &body.kind {
            Kind::Lambda(name, body) => self.with_name(name, Place::Slot(slot), |scope| scope.query(body)),
            _ => self.with_this(Place::Slot(slot), |scope| scope.query(body)),
        };
        (slot, body)
    }

    fn unary(&mut self, operand: &Expr, span: Span) -> Unary {
        Unary { operand: self.query(operand), origin: self.origin(operand, span) }
    }

    /// A chain of fields, as one path from where it begins.
    fn field(&mut self, expr: &Expr) -> Node {
        let (mut path, mut target) = (Vec::new(), expr);
        while let Kind::Field(inner, name) = &target.kind {
            path.push(name.clone());
            target = inner;
        }
        path.reverse();
        match self.query(target) {
            Node::Place(place) => Node::Path(place, path.into()),
            Node::Path(place, first) => Node::Path(place, first.iter().cloned().chain(path).collect()),
            other => Node::Field(Box::new(other), path.into()),
        }
    }

    fn match_query(&mut self, subject: Option<&Expr>, cases: &[(Option<Expr>, Expr)]) -> Node {
        let subject = subject.map(|subject| (self.query(subject), self.slot()));
        let context = subject.as_ref().map_or(self.this, |(_, slot)| Place::Slot(*slot));
        let cases = self.with_this(context, |scope| {
            let case = |(pattern, body): &(Option<Expr>, Expr)| {
                let pattern = match pattern {
                    None => Pattern::Any,
                    Some(Expr { kind: Kind::Literal(value), .. }) => Pattern::Equals(value.clone()),
                    Some(test) => Pattern::Holds(scope.query(test)),
                };
                (pattern, scope.query(body))
            };
            cases.iter().map(case).collect()
        });
        Node::Match(Box::new(Match { subject, context, cases }))
    }

    pub(super) fn origin(&self, expr: &Expr, span: Span) -> Origin {
        Origin { span, text: self.words(expr).into() }
    }

    /// What a message calls an expression.
    pub(super) fn words(&self, expr: &Expr) -> String {
        let field = |segments: &[Text]| format!("field `{}`", path::display(segments));
        match &expr.kind {
            Kind::Literal(value) => format!("{} literal", value.type_name()),
            Kind::Array(_) => "array literal".into(),
            Kind::Object(_) => "object literal".into(),
            Kind::Variable(name) => format!("variable `{name}`"),
            Kind::Meta(key) => format!("metadata `{}`", key.as_deref().unwrap_or("@")),
            Kind::Function(call) => format!("function `{}`", call.name),
            Kind::Method(_, call) => format!("method `{}`", call.name),
            Kind::This => field(&["this".into()]),
            Kind::Root => field(&["root".into()]),
            Kind::Name(name) if self.named(name).is_some() => field(std::slice::from_ref(name)),
            Kind::Name(name) => field(&["this".into(), name.clone()]),
            Kind::Field(..) => {
                let (mut segments, mut target) = (Vec::new(), expr);
                while let Kind::Field(inner, name) = &target.kind {
                    segments.push(name.clone());
                    target = inner;
                }
                match &target.kind {
                    Kind::This => segments.push("this".into()),
                    Kind::Root => segments.push("root".into()),
                    Kind::Variable(name) => segments.push(name.clone()),
                    Kind::Name(name) => {
                        segments.push(name.clone());
                        if self.named(name).is_none() {
                            segments.push("this".into());
                        }
                    }
                    _ => {}
                }
                segments.reverse();
                field(&segments)
            }
            _ => "expression".into(),
        }
    }
}
