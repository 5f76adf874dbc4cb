//! The filters of a JSONPath: what holds for an element.

use regex::Regex;

use crate::Value;
use crate::library::json_path::{Reader, Way};
use crate::limits::REGEX_BYTES_MAX;
use crate::number;
use crate::run::{Outcome, Runner, compare};
use crate::syntax::Operator;

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Not(Box<Filter>),
    /// Something is there, and it is not false or null.
    Has(Operand),
    Compared(Operand, Operator, Operand),
    Matches(Operand, Regex),
}

#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Literal(Value),
    OfElement(Way),
    OfRoot(Way),
}

const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// How deeply conditions may nest.
const DEPTH_MAX: usize = 32;

impl Filter {
    pub(super) fn read(reader: &mut Reader) -> Result<Filter, &'static str> {
        if reader.depth > DEPTH_MAX {
            return Err("conditions nest too deeply");
        }
        reader.depth += 1;
        let mut any = vec![Filter::all(reader)?];
        while reader.eat("||") {
            any.push(Filter::all(reader)?);
        }
        reader.depth -= 1;
        Ok(if any.len() == 1 { any.remove(0) } else { Filter::Any(any) })
    }

    fn all(reader: &mut Reader) -> Result<Filter, &'static str> {
        let mut all = vec![Filter::term(reader)?];
        while reader.eat("&&") {
            all.push(Filter::term(reader)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::All(all) })
    }

    fn term(reader: &mut Reader) -> Result<Filter, &'static str> {
        if reader.eat("!") {
            if reader.depth > DEPTH_MAX {
                return Err("conditions nest too deeply");
            }
            reader.depth += 1;
            let negated = Filter::term(reader)?;
            reader.depth -= 1;
            return Ok(Filter::Not(Box::new(negated)));
        }
        if reader.eat("(") {
            let inner = Filter::read(reader)?;
            return if reader.eat(")") { Ok(inner) } else { Err("`)` is missing") };
        }
        let left = Operand::read(reader)?;
        if reader.eat("=~") {
            reader.eat("");
            let pattern = reader.quoted().ok_or("a pattern in quotes follows `=~`")?;
            let regex = regex::RegexBuilder::new(&pattern).size_limit(REGEX_BYTES_MAX).build();
            return regex.map(|regex| Filter::Matches(left, regex)).map_err(|_| "the pattern is invalid");
        }
        match OPERATORS.iter().find(|(token, _)| reader.eat(token)) {
            Some((_, operator)) => Ok(Filter::Compared(left, *operator, Operand::read(reader)?)),
            None => Ok(Filter::Has(left)),
        }
    }

    pub(super) fn holds(&self, runner: &mut Runner, root: &Value, element: &Value) -> Outcome<bool> {
        runner.spend(1)?;
        match self {
            Filter::Any(any) => {
                for each in any {
                    if each.holds(runner, root, element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Filter::All(all) => {
                for each in all {
                    if !each.holds(runner, root, element)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Filter::Not(negated) => Ok(!negated.holds(runner, root, element)?),
            Filter::Has(operand) => {
                let value = operand.value(runner, root, element)?;
                Ok(value.is_some_and(|value| !value.is_null() && value != Value::Bool(false)))
            }
            Filter::Matches(operand, regex) => {
                let value = operand.value(runner, root, element)?;
                Ok(value.as_ref().and_then(Value::as_str).is_some_and(|text| regex.is_match(text)))
            }
            Filter::Compared(left, operator, right) => {
                let left = left.value(runner, root, element)?;
                let right = right.value(runner, root, element)?;
                let (Some(left), Some(right)) = (left, right) else { return Ok(false) };
                Ok(matches!(compare::operate(*operator, &left, &right), Ok(Value::Bool(true))))
            }
        }
    }
}

impl Operand {
    fn read(reader: &mut Reader) -> Result<Operand, &'static str> {
        if reader.eat("@") {
            return reader.steps().map(Operand::OfElement);
        }
        if reader.eat("$") {
            return reader.steps().map(Operand::OfRoot);
        }
        if let Some(text) = reader.quoted() {
            return Ok(Operand::Literal(Value::String(text)));
        }
        let rest = reader.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        let literal = match &rest[..length] {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" | "nil" => Some(Value::Null),
            word => number::parse(word),
        };
        reader.at += length;
        literal.map(Operand::Literal).ok_or("a value, or a path from `@` or `$`, is compared")
    }

    /// Its value, if there is one.
    fn value(&self, runner: &mut Runner, root: &Value, element: &Value) -> Outcome<Option<Value>> {
        match self {
            Operand::Literal(value) => Ok(Some(value.clone())),
            Operand::OfElement(way) => Ok(way.walk(runner, root, element)?.into_iter().next()),
            Operand::OfRoot(way) => Ok(way.walk(runner, root, root)?.into_iter().next()),
        }
    }
}
