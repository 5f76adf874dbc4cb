//! JSONPath: a way through a document, with wildcards, descent and filters.

use crate::library::json_path_filter::Filter;
use crate::library::{Call, Constants, Param, Prepared, Spec, slice};
use crate::run::{Outcome, Runner, fail};
use crate::{Text, Value};

pub(crate) const METHODS: &[Spec] =
    &[Spec::method("json_path", &[Param::text("expression")], json_path).prepared(prepare)];

/// A path that was read.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Key(Text),
    Index(i64),
    Slice([Option<i64>; 3]),
    Every,
    /// The value itself and everything in it.
    Descend,
    Either(Vec<Step>),
    Only(Filter),
}

fn prepare(constants: &Constants) -> Result<Prepared, String> {
    let text = constants.text(0).ok_or("needs an expression that is text")?;
    let mut reader = Reader { text, at: 0, depth: 0 };
    let way =
        reader.way().and_then(|way| if reader.rest().is_empty() { Ok(way) } else { Err("text follows it") });
    let way = way.map_err(|why| format!("has an invalid expression, at byte {}: {why}", reader.at))?;
    Ok(Prepared::Way(std::sync::Arc::new(way)))
}

fn json_path(call: &mut Call, target: Value) -> Outcome {
    if !matches!(target, Value::Object(_) | Value::Array(_)) {
        return Err(crate::library::call::expected("object or array", &target));
    }
    let Prepared::Way(way) = &*call.prepared()? else { fail!("the argument is no JSONPath") };
    let mut found = way.walk(call.runner, &target, &target)?;
    if way.is_definite() {
        return match found.pop() {
            Some(value) => Ok(value),
            None => fail!("nothing is at this path"),
        };
    }
    Ok(Value::array(found))
}

impl Way {
    /// Whether it leads to one value.
    fn is_definite(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Key(_) | Step::Index(_)))
    }

    /// What it leads to.
    pub(super) fn walk(&self, runner: &mut Runner, root: &Value, from: &Value) -> Outcome<Vec<Value>> {
        let mut found = vec![from.clone()];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in &found {
                runner.spend(1)?;
                step.take(runner, root, value, &mut next)?;
            }
            runner.reserve(next.len() * size_of::<Value>())?;
            found = next;
        }
        Ok(found)
    }
}

impl Step {
    fn take(&self, runner: &mut Runner, root: &Value, value: &Value, next: &mut Vec<Value>) -> Outcome<()> {
        let place = |index: i64, length: usize| {
            let index = if index < 0 { index + length as i64 } else { index };
            usize::try_from(index).unwrap_or(usize::MAX)
        };
        match self {
            Step::Key(key) => match value {
                Value::Array(items) => {
                    next.extend(key.parse().ok().and_then(|n: usize| items.get(n)).cloned())
                }
                other => next.extend(other.get(key).cloned()),
            },
            Step::Index(index) => {
                let items = value.as_array().unwrap_or_default();
                next.extend(items.get(place(*index, items.len())).cloned());
            }
            Step::Slice(bounds) => {
                if let Value::Array(_) = value {
                    next.extend(slice(value, *bounds)?.as_array().unwrap_or_default().iter().cloned());
                }
            }
            Step::Every => next.extend(children(value).cloned()),
            Step::Descend => descend(runner, value, next)?,
            Step::Either(steps) => {
                for step in steps {
                    step.take(runner, root, value, next)?;
                }
            }
            Step::Only(filter) => {
                for child in children(value) {
                    if filter.holds(runner, root, child)? {
                        next.push(child.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(object) => Box::new(object.iter().map(|(_, value)| value)),
        _ => Box::new(std::iter::empty()),
    }
}

fn descend(runner: &mut Runner, value: &Value, found: &mut Vec<Value>) -> Outcome<()> {
    runner.reserve(size_of::<Value>())?;
    runner.spend(1)?;
    found.push(value.clone());
    children(value).try_for_each(|child| descend(runner, child, found))
}

/// How deeply filters may nest.
const DEPTH_MAX: usize = 16;

/// A place in an expression.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) depth: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let is_next = self.rest().starts_with(token);
        self.at += if is_next { token.len() } else { 0 };
        is_next
    }

    pub(super) fn name(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    /// A whole number, if one is next.
    fn number(&mut self) -> Option<i64> {
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest).bytes().take_while(u8::is_ascii_digit).count();
        let length = digits + usize::from(rest.starts_with('-'));
        let number = rest[..length].parse().ok()?;
        self.at += length;
        Some(number)
    }

    /// Text in single or double quotes.
    pub(super) fn quoted(&mut self) -> Option<Text> {
        let quote = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (mut text, mut letters) = (Text::default(), self.rest().char_indices().skip(1));
        while let Some((at, c)) = letters.next() {
            match c {
                '\\' => text.push(letters.next()?.1),
                c if c == quote => {
                    self.at += at + 1;
                    return Some(text);
                }
                c => text.push(c),
            }
        }
        None
    }

    /// The root or the element, and the steps from there; what it begins with is read already within filters.
    fn way(&mut self) -> Result<Way, &'static str> {
        if !self.eat("$") {
            return Err("it begins with `$`");
        }
        self.steps()
    }

    pub(super) fn steps(&mut self) -> Result<Way, &'static str> {
        let mut steps = Vec::new();
        loop {
            if self.rest().starts_with("..") {
                self.at += 2;
                steps.push(Step::Descend);
                if !self.rest().starts_with('[') {
                    steps.push(self.key()?);
                }
            } else if self.rest().starts_with('.') {
                self.at += 1;
                steps.push(self.key()?);
            } else if self.rest().starts_with('[') {
                self.at += 1;
                steps.push(self.bracket()?);
            } else {
                return Ok(Way { steps });
            }
        }
    }

    fn key(&mut self) -> Result<Step, &'static str> {
        if self.eat("*") {
            return Ok(Step::Every);
        }
        self.name().map(|name| Step::Key(Text::new(name))).ok_or("a key or `*` follows a dot")
    }

    fn bracket(&mut self) -> Result<Step, &'static str> {
        let mut steps = Vec::new();
        loop {
            steps.push(self.selector()?);
            if self.eat(",") {
                continue;
            }
            if !self.eat("]") {
                return Err("`]` is missing");
            }
            return Ok(if steps.len() == 1 { steps.remove(0) } else { Step::Either(steps) });
        }
    }

    fn selector(&mut self) -> Result<Step, &'static str> {
        if self.eat("*") {
            return Ok(Step::Every);
        }
        if self.eat("?") {
            if self.depth == DEPTH_MAX {
                return Err("filters nest too deeply");
            }
            self.depth += 1;
            let filter = Filter::read(self)?;
            self.depth -= 1;
            return Ok(Step::Only(filter));
        }
        if let Some(key) = self.quoted() {
            return Ok(Step::Key(key));
        }
        let first = self.number();
        let (mut bounds, mut colons) = ([first, None, None], 0);
        while self.eat(":") {
            colons += 1;
            if colons > 2 {
                return Err("a slice has at most two colons");
            }
            self.eat("");
            bounds[colons] = self.number();
        }
        match (first, colons) {
            (Some(index), 0) => Ok(Step::Index(index)),
            (None, 0) => Err("an index, a key in quotes, `*`, a slice or a filter is in brackets"),
            _ => Ok(Step::Slice(bounds)),
        }
    }
}
