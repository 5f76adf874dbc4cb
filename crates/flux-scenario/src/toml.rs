//! TOML 1.1 to a [`Node`] tree with places.

use toml_edit::{Document, Item, Key, Value as TomlValue};

use crate::codes::Code;
use crate::node::{Entry, Node, Value};
use crate::report::{Issue, Report};
use crate::source::{Source, Span};
use crate::tree::{Budget, Extent};

/// Most dots between two separators. The parser makes a table of each step of a dotted key, and would run out of
/// stack on a key of a hundred thousand; this is far above any file and far below that.
const KEY_DOTS_MAX: usize = 256;

/// Reads a document; none when it cannot be read, and the report says why.
pub(crate) fn parse(source: &Source, report: &mut Report) -> Option<Node> {
    let read = || {
        refuse_long_keys(source.text())?;
        let document = Document::parse(source.text()).map_err(|error| syntax(&error, source.text()))?;
        let mut reader = Reader { budget: Budget::default() };
        let root = document.as_table();
        reader.table(root.iter().filter_map(|(key, _)| root.get_key_value(key)), Span::default(), 0)
    };
    match read() {
        Ok(node) => Some(node),
        Err(issue) => {
            report.push(*issue);
            None
        }
    }
}

fn refuse_long_keys(text: &str) -> Result<(), Box<Issue>> {
    let mut dots = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'.' => dots += 1,
            b'=' | b',' | b'{' | b'}' | b'\n' => dots = 0,
            _ => {}
        }
        if dots > KEY_DOTS_MAX {
            let issue = Issue::new(Code::TooLarge, Span { start: at, end: at + 1 }, "too many dots in a row");
            return Err(Box::new(
                issue.help("a dotted key this long nests too deep; break a long text into lines"),
            ));
        }
    }
    Ok(())
}

fn syntax(error: &toml_edit::TomlError, text: &str) -> Box<Issue> {
    let span = error.span().map(Span::new).unwrap_or_default();
    let message = error.message().trim();
    if message.contains("duplicate key") {
        let issue = Issue::new(Code::DuplicateKey, span, "this key is written twice");
        let issue = issue.help("remove one of them");
        return Box::new(match first_written(text, span) {
            Some(first) => issue.related(first, "first here"),
            None => issue,
        });
    }
    let issue = Issue::new(Code::TomlSyntax, span, format!("cannot read the TOML: {message}"));
    Box::new(issue.help("check quotes, brackets and the `=` of this line"))
}

/// Where the key that is written again at `again` was written first, if that is at the start of a line: since the
/// header of its table, or, for a header itself, anywhere before.
fn first_written(text: &str, again: Span) -> Option<Span> {
    let key = text.get(again.start..again.end).filter(|key| !key.is_empty())?;
    let before = &text[..again.start];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let is_header = text[line_start..].trim_start().starts_with('[');
    let (mut at, mut first) = (0, None);
    for line in text[..line_start].split_inclusive('\n') {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        let rest = &text[start..];
        if rest.starts_with('[') && !is_header {
            first = None;
            continue;
        }
        let start = start + (rest.len() - rest.trim_start_matches(['[', ' ']).len()) * usize::from(is_header);
        let after = text[start..].strip_prefix(key).map(str::trim_start);
        let ends = if is_header { [']', '.'] } else { ['=', '.'] };
        if first.is_none() && after.is_some_and(|after| after.starts_with(ends)) {
            first = Some(Span { start, end: start + key.len() });
        }
    }
    first
}

struct Reader {
    budget: Budget,
}

impl Reader {
    fn table<'d>(
        &mut self,
        pairs: impl Iterator<Item = (&'d Key, &'d Item)>,
        span: Span,
        depth: usize,
    ) -> Result<Node, Box<Issue>> {
        let mut entries = Vec::new();
        for (key, item) in pairs {
            let key_span = key.span().map(Span::new).unwrap_or(span);
            let node = self.item(item, key_span, depth + 1)?;
            entries.push(Entry { key: key.get().to_owned(), key_span, node });
        }
        self.node(Value::Table(entries), span, depth)
    }

    fn item(&mut self, item: &Item, near: Span, depth: usize) -> Result<Node, Box<Issue>> {
        let span = item.span().map(Span::new).unwrap_or(near);
        match item {
            Item::None => self.node(Value::Null, span, depth),
            Item::Value(value) => self.value(value, span, depth),
            Item::Table(table) => {
                self.table(table.iter().filter_map(|(key, _)| table.get_key_value(key)), span, depth)
            }
            Item::ArrayOfTables(tables) => {
                let mut items = Vec::new();
                for table in tables {
                    let span = table.span().map(Span::new).unwrap_or(span);
                    let pairs = table.iter().filter_map(|(key, _)| table.get_key_value(key));
                    items.push(self.table(pairs, span, depth + 1)?);
                }
                self.node(Value::List(items), span, depth)
            }
        }
    }

    fn value(&mut self, value: &TomlValue, span: Span, depth: usize) -> Result<Node, Box<Issue>> {
        let value = match value {
            TomlValue::String(text) => Value::Text(text.value().clone()),
            TomlValue::Integer(number) => Value::Number((*number.value()).into()),
            TomlValue::Float(number) => match serde_json::Number::from_f64(*number.value()) {
                Some(number) => Value::Number(number),
                None => Value::Text(number.value().to_string()),
            },
            TomlValue::Boolean(value) => Value::Bool(*value.value()),
            TomlValue::Datetime(time) => Value::Text(time.value().to_string()),
            TomlValue::Array(array) => {
                let mut items = Vec::new();
                for item in array {
                    let span = item.span().map(Span::new).unwrap_or(span);
                    items.push(self.value(item, span, depth + 1)?);
                }
                Value::List(items)
            }
            TomlValue::InlineTable(table) => {
                let pairs = table.iter().filter_map(|(key, _)| table.get_key_value(key));
                return self.table(pairs, span, depth);
            }
        };
        self.node(value, span, depth)
    }

    fn node(&mut self, value: Value, span: Span, depth: usize) -> Result<Node, Box<Issue>> {
        let bytes = match &value {
            Value::Text(text) => text.len(),
            _ => 0,
        };
        self.budget.spend(Extent { nodes: 1, bytes, height: 1 }, depth, span)?;
        Ok(Node::new(value, span))
    }
}

#[cfg(test)]
mod tests;
