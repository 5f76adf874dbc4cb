//! Calls: the function that a name means, and the arguments it gets.

use super::scope::Scope;
use crate::diagnostic::{Problem, Span, closest};
use crate::library::{self, Accepts, Constants, Default, Param, Prepared, Spec, Touches};
use crate::node::{Argument, Node, Origin, Site};
use crate::syntax::{Call, Expr, Kind};
use crate::{Text, Value};

impl Scope<'_> {
    pub(super) fn function(&mut self, call: &Call, span: Span) -> Node {
        let Some(spec) = library::function(&call.name) else {
            let names = library::functions().map(|spec| spec.name);
            let is_method = library::method(&call.name).is_some();
            return self.unknown(
                "function",
                call,
                names,
                is_method.then_some("it is a method: `target.name()`"),
            );
        };
        let origin = Origin { span, text: format!("function `{}`", call.name).into() };
        match self.site(spec, call, origin) {
            Some(site) => Node::Function(Box::new(site)),
            None => Node::Literal(Value::Null),
        }
    }

    pub(super) fn method(&mut self, target: &Expr, call: &Call) -> Node {
        let Some(spec) = library::method(&call.name) else {
            self.query(target);
            let names = library::methods().map(|spec| spec.name);
            let is_function = library::function(&call.name).is_some();
            return self.unknown(
                "method",
                call,
                names,
                is_function.then_some("it is a function: it has no target"),
            );
        };
        let origin = self.origin(target, call.span);
        let target = self.query(target);
        match self.site(spec, call, origin) {
            Some(site) => Node::Method(Box::new((target, site))),
            None => Node::Literal(Value::Null),
        }
    }

    fn unknown(
        &mut self,
        kind: &str,
        call: &Call,
        names: impl Iterator<Item = &'static str>,
        hint: Option<&str>,
    ) -> Node {
        let problem = match library::absent(&call.name) {
            Some(why) => Problem::new(call.span, format!("the {kind} `{}` is not available", call.name), why),
            None => {
                let meant = closest(&call.name, names).map(|meant| format!("did you mean `{meant}`?"));
                let help = hint.map(str::to_owned).or(meant);
                Problem::new(call.span, format!("no {kind} `{}`", call.name), "not a known name").help(help)
            }
        };
        self.tell(problem);
        Node::Literal(Value::Null)
    }

    fn site(&mut self, spec: &'static Spec, call: &Call, origin: Origin) -> Option<Site> {
        if self.settings.is_confined && spec.touches != Touches::Values {
            let message = format!("`{}` is out of reach here", spec.name);
            self.tell(Problem::new(
                call.span,
                message,
                "a mapping made by a mapping sees its target and nothing else",
            ));
            return None;
        }
        let told = self.problems.len();
        let arguments = self.arguments(spec, call);
        if self.problems.len() > told {
            return None;
        }
        let prepared = self.prepare(spec, &arguments, call.span);
        Some(Site { spec, arguments: arguments.into(), prepared, cell: std::sync::Mutex::default(), origin })
    }

    /// What constant arguments are made into once: a regular expression, the number of a map.
    fn prepare(&mut self, spec: &Spec, arguments: &[Argument], span: Span) -> Option<Prepared> {
        let constants = Constants::of(arguments)?;
        let prepared = match spec.prepare {
            Some(prepare) => prepare(&constants),
            None if spec.name == "apply" => return self.map_number(&constants, span),
            None => return None,
        };
        prepared
            .map_err(|why| self.tell(Problem::new(span, format!("`{}` {why}", spec.name), "in this call")))
            .ok()
    }

    fn map_number(&mut self, constants: &Constants, span: Span) -> Option<Prepared> {
        let name = constants.text(0)?;
        if let Some(number) = self.maps.get(name) {
            return Some(Prepared::Map(*number));
        }
        let help =
            closest(name, self.maps.keys().map(Text::as_str)).map(|meant| format!("did you mean `{meant}`?"));
        self.tell(
            Problem::new(span, format!("no map `{name}`"), "not defined here, nor imported").help(help),
        );
        None
    }

    fn arguments(&mut self, spec: &Spec, call: &Call) -> Vec<Argument> {
        let mut given: Vec<Option<&Expr>> = vec![None; spec.params.len()];
        let mut rest = Vec::new();
        for (n, argument) in call.arguments.iter().enumerate() {
            let place = match &argument.name {
                None => n,
                Some((name, span)) => match spec.params.iter().position(|param| param.name == name) {
                    Some(place) => place,
                    None => {
                        self.no_such_parameter(spec, name, *span);
                        continue;
                    }
                },
            };
            match given.get_mut(place) {
                Some(free @ None) => *free = Some(&argument.value),
                Some(Some(_)) => {
                    let message = format!("`{}` is given twice", spec.params[place].name);
                    self.tell(Problem::new(argument.value.span, message, "the second time"));
                }
                None if spec.takes_more => rest.push(self.argument(&library::MORE, &argument.value)),
                None => {
                    let message = format!("too many arguments for `{}`", spec.name);
                    let label = format!("it takes {}: {}", spec.params.len(), spec.signature());
                    self.tell(Problem::new(argument.value.span, message, label));
                    break;
                }
            }
        }
        let mut arguments = Vec::with_capacity(given.len() + rest.len());
        for (param, given) in spec.params.iter().zip(given) {
            arguments.push(match given {
                Some(expr) => self.argument(param, expr),
                None => self.default(spec, param, call.span),
            });
        }
        arguments.extend(rest);
        arguments
    }

    fn no_such_parameter(&mut self, spec: &Spec, name: &str, span: Span) {
        let meant = closest(name, spec.params.iter().map(|param| param.name));
        let help = meant.map(|meant| format!("did you mean `{meant}`?"));
        let message = format!("`{}` has no parameter `{name}`", spec.name);
        self.tell(Problem::new(span, message, format!("it takes {}", spec.signature())).help(help));
    }

    fn argument(&mut self, param: &Param, expr: &Expr) -> Argument {
        if param.accepts == Accepts::Query {
            let (slot, body) = self.in_context(expr);
            return Argument::Query { slot, body };
        }
        if param.accepts == Accepts::Lazy {
            return Argument::Lazy(self.query(expr));
        }
        match &expr.kind {
            Kind::Literal(value) => match param.check(value) {
                Ok(()) => Argument::Constant(value.clone()),
                Err(why) => {
                    self.tell(Problem::new(
                        expr.span,
                        format!("the argument `{}` {why}", param.name),
                        "given here",
                    ));
                    Argument::Missing
                }
            },
            _ => Argument::Computed(self.query(expr)),
        }
    }

    fn default(&mut self, spec: &Spec, param: &Param, span: Span) -> Argument {
        match param.default {
            Default::Required => {
                let message = format!("`{}` needs its argument `{}`", spec.name, param.name);
                self.tell(Problem::new(span, message, format!("it takes {}", spec.signature())));
                Argument::Missing
            }
            Default::None => Argument::Missing,
            Default::Int(n) => Argument::Constant(Value::Int(n)),
            Default::Bool(is) => Argument::Constant(Value::Bool(is)),
            Default::Text(text) => Argument::Constant(Value::text(text)),
        }
    }
}
