//! YAML 1.2 to a [`Node`] tree with places. Scalars follow the core schema; tags, merge keys, several documents and
//! keys that are not text are refused, and aliases repeat a value only within the limits.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};
use serde_json::Number;

use crate::codes::Code;
use crate::node::{Entry, Node, Value};
use crate::report::{Issue, Report};
use crate::source::{Source, Span};
use crate::tree::{Budget, Extent};

/// Reads a document; none when it cannot be read, and the report says why. An empty document is nothing at all.
pub(crate) fn parse(source: &Source, report: &mut Report) -> Option<Node> {
    let mut builder = Builder::new(source.text(), report);
    match builder.run() {
        Ok(()) => Some(builder.root.unwrap_or_default()),
        Err(issue) => {
            report.push(*issue);
            None
        }
    }
}

/// An open list or table.
struct Frame {
    start: usize,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Table { entries: Vec<Entry>, keys: BTreeSet<String>, pending: Option<(String, Span)> },
}

struct Builder<'t, 'r> {
    text: &'t str,
    offsets: Offsets,
    report: &'r mut Report,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, Extent)>,
    budget: Budget,
    root: Option<Node>,
}

impl<'t, 'r> Builder<'t, 'r> {
    fn new(text: &'t str, report: &'r mut Report) -> Self {
        Builder {
            text,
            offsets: Offsets::new(text),
            report,
            frames: Vec::new(),
            anchors: BTreeMap::new(),
            budget: Budget::default(),
            root: None,
        }
    }

    fn run(&mut self) -> Result<(), Box<Issue>> {
        let mut parser = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| Box::new(self.syntax(&error)))?;
            self.event(event, self.offsets.span(span)).map_err(Box::new)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Issue> {
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.as_ref()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => (*anchor, tag.as_ref()),
            _ => (0, None),
        };
        if let Some(tag) = tag {
            let message = format!("the tag `{}{}` is not used in a scenario", tag.handle, tag.suffix);
            self.report.push(unsupported(
                span,
                message,
                "remove it; put text that looks like a number in quotes",
            ));
        }
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(unsupported(
                span,
                "a second document begins here".to_owned(),
                "use a file for each scenario",
            )),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(id) => self.alias(id, span),
            Event::Scalar(text, style, ..) => self.scalar(&text, style, anchor, span),
            Event::SequenceStart(..) => self.open(Items::List(Vec::new()), anchor, span),
            Event::MappingStart(..) => {
                let items = Items::Table { entries: Vec::new(), keys: BTreeSet::new(), pending: None };
                self.open(items, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    fn open(&mut self, items: Items, anchor: usize, span: Span) -> Result<(), Issue> {
        self.refuse_as_key(span)?;
        self.budget.spend(Extent { nodes: 1, bytes: 0, height: 1 }, self.frames.len(), span)?;
        self.frames.push(Frame { start: span.start, anchor, items });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Issue> {
        let frame = self.frames.pop().expect("the parser closes only what it opened");
        let (value, end) = match frame.items {
            Items::List(items) => {
                let end = items.last().map_or(frame.start, |item| item.span.end);
                (Value::List(items), end)
            }
            Items::Table { entries, .. } => {
                let end =
                    entries.last().map_or(frame.start, |entry| entry.node.span.end.max(entry.key_span.end));
                (Value::Table(entries), end)
            }
        };
        // A block ends where the next token starts, which is lines too late; a bracket ends where it stands.
        let bracketed = self.text.get(span.start..span.end).is_some_and(|text| text.ends_with([']', '}']));
        let end = if bracketed { span.end } else { end };
        let node = Node::new(value, Span { start: frame.start, end: end.max(frame.start) });
        self.add(node, frame.anchor)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Issue> {
        self.refuse_as_key(span)?;
        let Some((node, extent)) = self.anchors.get(&id) else {
            let help = "an alias repeats a value that is complete; write this one out";
            return Err(unsupported(span, "this alias is part of the value it repeats".to_owned(), help));
        };
        self.budget.spend(*extent, self.frames.len(), span)?;
        let node = node.clone();
        self.add(node, 0)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Result<(), Issue> {
        if let Some(Frame { items: Items::Table { pending: pending @ None, .. }, .. }) =
            self.frames.last_mut()
        {
            *pending = Some((text.to_owned(), span));
            return Ok(());
        }
        self.budget.spend(Extent { nodes: 1, bytes: text.len(), height: 1 }, self.frames.len(), span)?;
        let value = match style {
            ScalarStyle::Plain => plain(text).unwrap_or_else(|| {
                let message = format!("the number {text} is too large to be kept exactly");
                self.report.push(unsupported(span, message, "put it in quotes when it is text"));
                Value::Text(text.to_owned())
            }),
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Value::Text(text.to_owned()),
        };
        self.add(Node::new(value, span), anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Issue> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), Extent::of(&node)));
        }
        match self.frames.last_mut().map(|frame| &mut frame.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Table { entries, keys, pending }) => {
                let (key, key_span) = pending.take().expect("a value follows its key");
                if key == "<<" {
                    let help = "repeat the keys, or use an alias for the whole value";
                    return Err(unsupported(
                        key_span,
                        "merge keys are not part of YAML 1.2".to_owned(),
                        help,
                    ));
                }
                if keys.insert(key.clone()) {
                    entries.push(Entry { key, key_span, node });
                } else {
                    let first = entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_span);
                    self.report.push(duplicate_key(&key, key_span, first));
                }
            }
        }
        Ok(())
    }

    fn refuse_as_key(&self, span: Span) -> Result<(), Issue> {
        match self.frames.last() {
            Some(Frame { items: Items::Table { pending: None, .. }, .. }) => Err(unsupported(
                span,
                "a key must be text".to_owned(),
                "put text that starts with [, { or * in quotes",
            )),
            _ => Ok(()),
        }
    }

    fn syntax(&self, error: &ScanError) -> Issue {
        let start = self.text.floor_char_boundary(self.offsets.offset(*error.marker()).min(self.text.len()));
        let (before, after) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        // The parser complains where the tab has led it.
        let tab = before[line_start..].find('\t').map(|at| line_start + at);
        let (start, help) = match tab.or(after.starts_with('\t').then_some(start)) {
            Some(tab) => (tab, "YAML indents with spaces; replace the tab"),
            None => (start, "check the indentation and quotes here and on the line before"),
        };
        let span = Span { start, end: (start + 1).min(self.text.len()) };
        Issue::new(Code::YamlSyntax, span, format!("cannot read the YAML: {}", error.info())).help(help)
    }
}

fn unsupported(span: Span, message: String, help: &str) -> Issue {
    Issue::new(Code::UnsupportedYaml, span, message).help(help)
}

fn duplicate_key(key: &str, span: Span, first: Option<Span>) -> Issue {
    let issue = Issue::new(Code::DuplicateKey, span, format!("the key `{key}` is written twice"));
    let issue = issue.help("remove one of them; the first one counts");
    first.into_iter().fold(issue, |issue, first| issue.related(first, "first here"))
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2); none when it is a whole number beyond 64 bits.
fn plain(text: &str) -> Option<Value> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => return number(text),
    };
    Some(value)
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all = |part: &str, test: fn(&u8) -> bool| !part.is_empty() && part.as_bytes().iter().all(test);
    let whole = |parsed: Option<i128>| {
        let number = parsed.and_then(|value| {
            u64::try_from(value).map(Number::from).or_else(|_| i64::try_from(value).map(Number::from)).ok()
        });
        number.map(Value::Number)
    };
    if let Some(octal) = text.strip_prefix("0o").filter(|part| all(part, |b| (b'0'..=b'7').contains(b))) {
        return whole(i128::from_str_radix(octal, 8).ok());
    }
    if let Some(hex) = text.strip_prefix("0x").filter(|part| all(part, u8::is_ascii_hexdigit)) {
        return whole(i128::from_str_radix(hex, 16).ok());
    }
    if all(digits, u8::is_ascii_digit) {
        return whole(text.parse().ok());
    }
    let is_float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let float = text.parse::<f64>().ok().filter(|_| is_float).and_then(Number::from_f64);
    Some(float.map_or_else(|| Value::Text(text.to_owned()), Value::Number))
}

/// The parser counts characters; everything else counts bytes.
struct Offsets {
    by_char: Option<Vec<usize>>,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let by_char = (!text.is_ascii())
            .then(|| text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len())).collect());
        Offsets { by_char }
    }

    fn offset(&self, marker: Marker) -> usize {
        match &self.by_char {
            None => marker.index(),
            Some(starts) => starts.get(marker.index()).or(starts.last()).copied().unwrap_or(0),
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let (start, end) = (self.offset(span.start), self.offset(span.end));
        Span { start, end: end.max(start) }
    }
}

#[cfg(test)]
mod tests;
