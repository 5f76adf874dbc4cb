//! YAML as a tree that remembers where everything was written.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::{Map, Value as Json};

use super::problem::Code;
use crate::limits::{SPEC_BYTES_MAX, SPEC_DEPTH_MAX, SPEC_NODES_MAX};

/// A place: which of the files, line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct At {
    pub(crate) file: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Yaml,
    pub(crate) at: At,
}

#[derive(Debug, Clone)]
pub(crate) enum Yaml {
    Null,
    /// Text as written, and whether it was unquoted.
    Scalar(String, bool),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: At,
    pub(crate) node: Node,
}

/// A problem found while reading YAML.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) code: Code,
    pub(crate) at: At,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Yaml::Map(entries) => entries,
            Yaml::Null | Yaml::Scalar(..) | Yaml::List(_) => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Scalar(text, _) => Some(text),
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    /// The tree without places, its plain scalars as what they look like (YAML 1.2 core schema).
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Yaml::Null => Json::Null,
            Yaml::List(items) => items.iter().map(Node::to_json).collect(),
            Yaml::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect::<Map<_, _>>())
            }
            Yaml::Scalar(text, true) => match text.as_str() {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                // A leading zero is a code, not a number.
                number if number.len() > 1 && number.starts_with('0') => text.as_str().into(),
                number => number.parse::<i64>().map_or_else(|_| number.into(), Json::from),
            },
            Yaml::Scalar(text, false) => text.as_str().into(),
        }
    }
}

/// Reads one document. Anchors, aliases and tags are refused: a spec builds on another by `extends`.
pub(crate) fn parse(file: usize, bytes: &[u8]) -> Result<Node, Flaw> {
    let start = At { file, line: 1, column: 1 };
    let flaw = |code, message: &str, help| Flaw { code, at: start, message: message.to_owned(), help };
    if bytes.len() > SPEC_BYTES_MAX {
        return Err(flaw(Code::TooLarge, "the file is longer than 1 MiB", "split it with `extends`"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| flaw(Code::Syntax, "the file is not UTF-8 text", "save it as UTF-8"))?;
    let mut loader = Loader { file, parser: Parser::new_from_str(text), nodes: 0 };
    let (mut event, mut span) = loader.next()?;
    while matches!(event, Event::StreamStart | Event::DocumentStart(_)) {
        (event, span) = loader.next()?;
    }
    if event == Event::StreamEnd {
        return Err(flaw(Code::Syntax, "the file is empty", "start with `id`, `name` and `version`"));
    }
    let node = loader.node(event, span, 0)?;
    match loader.next()? {
        (Event::DocumentEnd | Event::StreamEnd, _) => Ok(node),
        (_, span) => {
            Err(loader.flaw(Code::Syntax, span.start, "text after the end of the document", "remove it"))
        }
    }
}

struct Loader<'a> {
    file: usize,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Flaw> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.flaw(
                Code::Syntax,
                *error.marker(),
                error.info(),
                "check the indentation and the quotes",
            )),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn flaw(&self, code: Code, marker: Marker, message: &str, help: &'static str) -> Flaw {
        Flaw { code, at: self.at(marker), message: message.to_owned(), help }
    }

    fn at(&self, marker: Marker) -> At {
        At { file: self.file, line: marker.line() as u32, column: marker.col() as u32 + 1 }
    }

    /// The value that starts with `event`. Depth and count are bounded before anything is kept.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Flaw> {
        self.nodes += 1;
        if self.nodes > SPEC_NODES_MAX || depth > SPEC_DEPTH_MAX {
            let message = "the file has more than 100000 values or nests deeper than 32";
            return Err(self.flaw(Code::TooLarge, span.start, message, "split it with `extends`"));
        }
        let at = self.at(span.start);
        let plain = "write the value out; specs build on one another by `extends`";
        let value = match event {
            Event::Alias(_) => return Err(self.flaw(Code::Unsupported, span.start, "an alias", plain)),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return Err(self.flaw(Code::Unsupported, span.start, "an anchor", plain));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(self.flaw(Code::Unsupported, span.start, "a YAML tag", plain));
            }
            Event::Scalar(text, style, _, _) => scalar(text.into_owned(), style == ScalarStyle::Plain),
            Event::SequenceStart(..) => Yaml::List(self.list(depth)?),
            Event::MappingStart(..) => Yaml::Map(self.map(depth)?),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                return Err(self.flaw(Code::Syntax, span.start, "a value is missing", "write one"));
            }
        };
        Ok(Node { value, at })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Flaw> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Flaw> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = std::collections::BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let Event::Scalar(key, ..) = event else {
                return Err(self.flaw(
                    Code::Syntax,
                    span.start,
                    "a key that is not text",
                    "write a name or number",
                ));
            };
            if !keys.insert(key.clone().into_owned()) {
                let message = format!("`{key}` is written twice here");
                return Err(self.flaw(Code::DuplicateKey, span.start, &message, "keep one of them"));
            }
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span, depth + 1)?;
            entries.push(Entry { key: key.into_owned(), key_at: self.at(span.start), node });
        }
    }
}

fn scalar(text: String, is_plain: bool) -> Yaml {
    match text.as_str() {
        "" | "~" | "null" if is_plain => Yaml::Null,
        _ => Yaml::Scalar(text, is_plain),
    }
}
