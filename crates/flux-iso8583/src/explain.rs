//! An annotated dump of a message, for people: where each field is, its bytes, its name, its value, masked.

use std::{borrow::Cow, fmt::Write as _};

use crate::{
    composite::Composite,
    encoding::hex_text,
    error::{Fail, Place, WireError},
    field::Field,
    mask::{self, Sensitivity},
    probe::FieldIndex,
    spec::Spec,
};

/// One line of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// How deep inside a composite, 0 for a field.
    pub depth: usize,
    /// The byte of the message it starts at; `None` inside content that is not one byte per character.
    pub offset: Option<usize>,
    /// `mti`, `bitmap`, a field number, or a path to a part.
    pub path: String,
    /// What the spec calls it.
    pub name: String,
    /// Its tag and length prefix in hexadecimal.
    pub prefix: String,
    /// Its content in hexadecimal, hidden digits as `*`.
    pub hex: String,
    /// Its value, hidden characters as `*`.
    pub value: String,
    /// What is wrong here.
    pub problem: Option<String>,
}

/// Explains a message. One that does not fit the spec is explained up to the first problem.
pub fn explain(spec: &Spec, frame: &[u8]) -> Vec<Line> {
    let mut index = FieldIndex::new();
    let mut problem = index.read(spec, frame).err();
    let mut lines = Vec::new();
    let fields_start = index.spans.first().map(|span| span.head as usize);
    if problem.as_ref().is_none_or(|problem| problem.place() != Place::Mti) && frame.len() >= spec.mti_bytes()
    {
        heads(spec, frame, &index, fields_start, &mut lines);
    }
    for (number, span) in index.found() {
        let Some(field) = spec.field(number) else { continue };
        let bytes = &frame[span.range()];
        let Some((content, units)) = spec.content(number, bytes) else { continue };
        let start = span.head as usize + bytes.len() - content.len();
        let mut dump = Dump { lines: &mut lines };
        let line = Line {
            offset: Some(span.head as usize),
            path: number.to_string(),
            name: field.name.to_string(),
            prefix: hex_text(&bytes[..bytes.len() - content.len()]),
            ..Line::default()
        };
        if let Err(fail) = dump.field(line, field, field.sensitivity, content, units, Some(start)) {
            problem = Some(WireError::decoding(Place::Field(number), start, fail));
            break;
        }
    }
    if let Some(problem) = problem {
        let path = match problem.place() {
            Place::Message => "message".to_owned(),
            Place::Mti => "mti".to_owned(),
            Place::Bitmap => "bitmap".to_owned(),
            Place::Field(number) => number.to_string(),
        };
        lines.push(Line {
            offset: problem.offset(),
            path,
            problem: Some(problem.to_string()),
            ..Line::default()
        });
    }
    lines
}

/// Renders lines as text: offset, path, name, value, and the bytes behind them.
pub fn render(lines: &[Line]) -> String {
    let width = |of: fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0).min(40);
    let paths = width(|line| line.depth * 2 + line.path.len());
    let names = width(|line| line.name.chars().count());
    let values = width(|line| line.value.len());
    let mut text = String::new();
    for line in lines {
        let offset = line.offset.map(|offset| offset.to_string()).unwrap_or_default();
        let indent = "  ".repeat(line.depth);
        let path = format!("{indent}{}", line.path);
        let Line { name, value, prefix, hex, .. } = line;
        let gap = if prefix.is_empty() { "" } else { " " };
        let row = match &line.problem {
            Some(problem) => format!("{offset:>5}  {path:<paths$}  ! {problem}"),
            None => {
                format!("{offset:>5}  {path:<paths$}  {name:<names$}  {value:<values$}  {prefix}{gap}{hex}")
            }
        };
        writeln!(text, "{}", row.trim_end()).expect("a string takes every write");
    }
    text
}

fn heads(spec: &Spec, frame: &[u8], index: &FieldIndex, fields_start: Option<usize>, lines: &mut Vec<Line>) {
    let start = spec.mti_bytes();
    lines.push(Line {
        offset: Some(0),
        path: "mti".into(),
        name: "Message type".into(),
        hex: hex_text(&frame[..start]),
        value: crate::mti::text(&index.mti).into(),
        ..Line::default()
    });
    let Ok((present, taken)) = crate::bitmap::Present::read(spec.bitmap(), &frame[start..]) else { return };
    let end = fields_start.unwrap_or(start + taken);
    let fields: Vec<String> = present.iter().map(|field| field.to_string()).collect();
    lines.push(Line {
        offset: Some(start),
        path: "bitmap".into(),
        name: "Fields present".into(),
        hex: hex_text(&frame[start..end]),
        value: fields.join(" "),
        ..Line::default()
    });
}

struct Dump<'a> {
    lines: &'a mut Vec<Line>,
}

impl Dump<'_> {
    /// Adds the line of a field, and below it those of its parts. `start` is where the content lies in the message.
    fn field(
        &mut self,
        mut line: Line,
        field: &Field,
        sensitivity: Option<Sensitivity>,
        content: &[u8],
        units: usize,
        start: Option<usize>,
    ) -> Result<(), Fail> {
        let characters = match field.characters(content, units) {
            Ok(characters) => characters,
            Err(expected) => {
                line.hex = "*".repeat(content.len() * 2);
                self.lines.push(line);
                return Err(expected.into());
            }
        };
        let Some(composite) = &field.composite else {
            let shown = mask::show((field.kind, field.encoding), sensitivity, (content, units), &characters);
            (line.hex, line.value) = (shown.hex, shown.text);
            self.lines.push(line);
            return Ok(());
        };
        let start = start.filter(|_| matches!(characters, Cow::Borrowed(_)));
        let (path, depth) = (line.path.clone(), line.depth + 1);
        line.value = format!("{} bytes", content.len());
        self.lines.push(line);
        self.parts(composite, sensitivity, &characters, (&path, depth), start)
    }

    fn parts(
        &mut self,
        composite: &Composite,
        around: Option<Sensitivity>,
        content: &[u8],
        (path, depth): (&str, usize),
        start: Option<usize>,
    ) -> Result<(), Fail> {
        composite.walk(content, |item| {
            let key = composite.key_of(&item, content);
            let body = &content[item.body.clone()];
            let line = Line {
                depth,
                offset: start.map(|start| start + item.head),
                path: format!("{path}.{key}"),
                name: item.part.map(|part| part.field.name.to_string()).unwrap_or_default(),
                prefix: hex_text(&content[item.head..item.body.start]),
                ..Line::default()
            };
            let tag = composite.is_ber().then(|| hex_text(&content[item.tag.clone()]));
            let field = item.part.map(|part| &part.field);
            let sensitivity = mask::inside(around, field, tag.as_deref());
            let below = start.map(|start| start + item.body.start);
            let added = match field {
                Some(field) => self.field(line, field, sensitivity, body, item.units, below),
                None => {
                    let shown = mask::show(composite.unlisted_form(), sensitivity, (body, item.units), body);
                    self.lines.push(Line { hex: shown.hex, value: shown.text, ..line });
                    Ok(())
                }
            };
            added.map_err(|fail| fail.within(&key, item.body.start))
        })
    }
}
