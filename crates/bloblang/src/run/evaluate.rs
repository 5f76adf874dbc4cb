//! Evaluating a query: a walk over its nodes, each one step of the budget.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Failure, Outcome, Runner, compare, fail};
use crate::library::{Call, Run};
use crate::node::{Argument, Match, Node, Origin, Pattern, Place, Site, Unary};
use crate::syntax::Operator;
use crate::{Object, Text, Value, path};

impl Runner<'_> {
    pub(crate) fn evaluate(&mut self, node: &Node) -> Outcome {
        self.spend(1)?;
        self.descend()?;
        let value = self.node(node);
        self.depth -= 1;
        value
    }

    /// The evaluations nest in each other, so the frame of this one stays small: every arm is a call.
    fn node(&mut self, node: &Node) -> Outcome {
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Place(place) => self.path(*place, &[]),
            Node::Path(place, path) => self.path(*place, path),
            Node::Field(target, path) => self.field(target, path),
            Node::MetaKey(key) => Ok(self.metadata.get(key).cloned().unwrap_or_default()),
            Node::Array(items) => self.array(items),
            Node::Object(entries) => self.object(entries),
            Node::Not(unary) => self.not(unary),
            Node::Negate(unary) => self.negate(unary),
            Node::Binary(binary) => self.binary(binary),
            Node::If(branches, otherwise) => self.branch(branches, otherwise.as_deref()),
            Node::Match(matched) => self.matched(matched),
            Node::Bracket(bracket) => self.bracket(bracket),
            Node::Index(index) => self.index(index),
            Node::Slice(slice) => self.slice(slice),
            Node::Function(site) => self.function(site),
            Node::Method(method) => self.method(&method.0, &method.1),
        }
    }

    fn path(&self, place: Place, path: &[Text]) -> Outcome {
        if place == Place::Meta {
            return Ok(found(path::get(&Value::Object(self.metadata.clone()), path)));
        }
        Ok(found(path::get(self.look(place)?, path)))
    }

    fn field(&mut self, target: &Node, path: &[Text]) -> Outcome {
        let target = self.evaluate(target)?;
        Ok(found(path::get(&target, path)))
    }

    fn bracket(&mut self, (target, slot, body): &(Node, usize, Node)) -> Outcome {
        let context = self.evaluate(target)?;
        self.set_slot(*slot, context);
        self.evaluate(body)
    }

    /// What stands at a place.
    fn look(&self, place: Place) -> Outcome<&Value> {
        match place {
            Place::Document => self.batch[self.index].document().ok_or_else(|| {
                Failure::new(
                    "unable to reference message as structured (with `this`): it is not a JSON document",
                )
            }),
            Place::Slot(slot) => match &self.slots[self.base + slot] {
                Value::Nothing => Err(Failure::new("the variable was not set")),
                value => Ok(value),
            },
            Place::Root => match &self.root {
                Value::Nothing | Value::Deleted => Ok(&Value::Null),
                value => Ok(value),
            },
            Place::Meta => unreachable!("metadata is no value, its readers make one of it"),
        }
    }

    fn array(&mut self, nodes: &[Node]) -> Outcome {
        let mut items = Vec::with_capacity(nodes.len());
        for node in nodes {
            let item = self.evaluate(node)?;
            if !item.is_word() {
                items.push(item);
            }
        }
        self.made(Value::array(items))
    }

    fn object(&mut self, nodes: &[(Node, Node)]) -> Outcome {
        let mut entries = Vec::with_capacity(nodes.len());
        for (key, value) in nodes {
            let key: Text = match self.evaluate(key)? {
                Value::String(key) => key,
                other => fail!("the key of an object is a string, not {}", other.type_name()),
            };
            let value = self.evaluate(value)?;
            if !value.is_word() {
                entries.push((key, value));
            }
        }
        self.made(Value::object(Object::from_entries(entries)))
    }

    fn not(&mut self, unary: &Unary) -> Outcome {
        match self.evaluate(&unary.operand)? {
            Value::Bool(is) => Ok(Value::Bool(!is)),
            other => Err(expected("bool", &other).from(&unary.origin)),
        }
    }

    fn negate(&mut self, unary: &Unary) -> Outcome {
        match self.evaluate(&unary.operand)? {
            Value::Int(n) => Ok(Value::Int(n.wrapping_neg())),
            Value::Uint(n) => Ok(Value::whole(-i128::from(n))),
            Value::Float(n) => Ok(Value::Float(-n)),
            other => Err(expected("number", &other).from(&unary.origin)),
        }
    }

    pub(super) fn condition(&mut self, node: &Node) -> Outcome<bool> {
        match self.evaluate(node)? {
            Value::Bool(is) => Ok(is),
            other => fail!("a condition is a bool, not {}", other.type_name()),
        }
    }

    fn branch(&mut self, branches: &[(Node, Node)], otherwise: Option<&Node>) -> Outcome {
        for (condition, body) in branches {
            if self.condition(condition)? {
                return self.evaluate(body);
            }
        }
        otherwise.map_or(Ok(Value::Nothing), |body| self.evaluate(body))
    }

    fn matched(&mut self, matched: &Match) -> Outcome {
        if let Some((subject, slot)) = &matched.subject {
            let subject = self.evaluate(subject)?;
            self.set_slot(*slot, subject);
        }
        for (pattern, body) in &matched.cases {
            let is_match = match pattern {
                Pattern::Any => true,
                Pattern::Equals(value) => self.look(matched.context)? == value,
                Pattern::Holds(test) => self.evaluate(test)? == Value::Bool(true),
            };
            if is_match {
                return self.evaluate(body);
            }
        }
        Ok(Value::Nothing)
    }

    fn index(&mut self, (target, index, origin): &(Node, Node, Origin)) -> Outcome {
        let target = self.evaluate(target)?;
        let index = self.evaluate(index)?;
        let Some(index) = index.as_int() else { return Err(expected("integer", &index).from(origin)) };
        crate::library::index(&target, index, true).map_err(|failure| failure.from(origin))
    }

    fn slice(&mut self, (target, bounds, origin): &(Node, [Option<Node>; 3], Origin)) -> Outcome {
        let target = self.evaluate(target)?;
        let mut known = [None; 3];
        for (known, bound) in known.iter_mut().zip(bounds) {
            let Some(bound) = bound else { continue };
            let bound = self.evaluate(bound)?;
            let Some(n) = bound.as_int() else { return Err(expected("integer", &bound).from(origin)) };
            *known = Some(n);
        }
        let sliced = crate::library::slice(&target, known).map_err(|failure| failure.from(origin))?;
        self.made(sliced)
    }

    fn function(&mut self, site: &Site) -> Outcome {
        let Run::Function(run) = site.spec.run else { unreachable!("functions are bound to functions") };
        let computed = self.arguments(site)?;
        let value =
            run(&mut Call { runner: self, site, computed }).map_err(|failure| failure.from(&site.origin))?;
        self.made(value)
    }

    fn method(&mut self, target: &Node, site: &Site) -> Outcome {
        let run = match site.spec.run {
            Run::Method(run) => run,
            Run::Control(run) => return run(self, target, &site.arguments),
            Run::Function(_) => unreachable!("methods are bound to methods"),
        };
        let target = self.evaluate(target)?;
        self.spend(target.size() / 64)?;
        let computed = self.arguments(site)?;
        let value = run(&mut Call { runner: self, site, computed }, target)
            .map_err(|failure| failure.from(&site.origin))?;
        self.made(value)
    }

    /// The values of the arguments that are computed; null where one is not.
    fn arguments(&mut self, site: &Site) -> Outcome<SmallVec<[Value; 3]>> {
        let mut computed = SmallVec::new();
        for (n, argument) in site.arguments.iter().enumerate() {
            let Argument::Computed(node) = argument else {
                computed.push(Value::Null);
                continue;
            };
            let value = self.evaluate(node)?;
            if let Some(param) = site.spec.params.get(n)
                && let Err(why) = param.check(&value)
            {
                return Err(Failure::new(format!("the argument `{}` {why}", param.name)).from(&site.origin));
            }
            computed.push(value);
        }
        Ok(computed)
    }

    fn binary(&mut self, binary: &crate::node::Binary) -> Outcome {
        let operator = binary.operator;
        if operator == Operator::Coalesce {
            return match self.evaluate(&binary.left) {
                Ok(value) if !value.is_null() => Ok(value),
                Err(failure) if failure.is_final => Err(failure),
                _ => self.evaluate(&binary.right),
            };
        }
        let left = self.evaluate(&binary.left)?;
        match (operator, &left) {
            (Operator::And, Value::Bool(false)) | (Operator::Or, Value::Bool(true)) => return Ok(left),
            _ => {}
        }
        let right = self.evaluate(&binary.right)?;
        if left.depth() > 0 {
            self.walk(&left)?;
        }
        let value = compare::operate(operator, &left, &right).map_err(|why| {
            let message = why.message(operator, (&left, &binary.left_text), (&right, &binary.right_text));
            Failure::new(message).at(binary.span)
        })?;
        self.reserve(value.size())?;
        Ok(value)
    }
}

fn found(found: Option<Cow<'_, Value>>) -> Value {
    found.map(Cow::into_owned).unwrap_or_default()
}

/// A value is not of the type that was expected.
pub(crate) fn expected(expected: &str, value: &Value) -> Box<Failure> {
    Failure::new(format!("expected {expected} value, got {}", value.type_name()))
}
