//! Comma-separated values, as RFC 4180 has them.

use crate::library::call::text;
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Outcome, fail};
use crate::{Object, Text, Value};

pub(crate) const METHODS: &[Spec] = &[Spec::method(
    "parse_csv",
    &[
        Param::bool("parse_header_row").or(Default::Bool(true)),
        Param::text("delimiter").or(Default::Text(",")),
        Param::bool("lazy_quotes").or(Default::Bool(false)),
    ],
    parse_csv,
)];

fn parse_csv(call: &mut Call, target: Value) -> Outcome {
    let mut delimiter = call.text(1)?.chars();
    let (Some(delimiter), None) = (delimiter.next(), delimiter.next()) else {
        fail!("the argument `delimiter` must be one character");
    };
    let mut reader = Reader { rest: text(&target)?, line: 1, delimiter, is_lazy: call.flag(2) };
    let mut header: Option<Vec<Text>> = None;
    let (mut rows, mut columns) = (Vec::new(), None);
    while let Some(row) = reader.row()? {
        call.runner.reserve((row.len() + 1) * size_of::<Value>())?;
        if *columns.get_or_insert(row.len()) != row.len() {
            fail!("the record before line {} has {} fields, the first one others", reader.line, row.len());
        }
        match &header {
            None if call.flag(0) => header = Some(row.into_iter().map(Text::from).collect()),
            None => rows.push(Value::array(row.into_iter().map(Value::from).collect())),
            Some(names) => {
                let fields = names.iter().cloned().zip(row.into_iter().map(Value::from));
                rows.push(Value::object(fields.collect::<Object>()));
            }
        }
    }
    if call.flag(0) && header.is_none() {
        fail!("there is no header row");
    }
    Ok(Value::array(rows))
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
    delimiter: char,
    is_lazy: bool,
}

impl Reader<'_> {
    /// The next record; empty lines are none.
    fn row(&mut self) -> Outcome<Option<Vec<String>>> {
        while let Some(rest) = self.rest.strip_prefix('\n').or_else(|| self.rest.strip_prefix("\r\n")) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut row = Vec::new();
        loop {
            let field = if self.rest.starts_with('"') { self.quoted()? } else { self.plain()? };
            row.push(field);
            if let Some(rest) = self.rest.strip_prefix(self.delimiter) {
                self.rest = rest;
                continue;
            }
            self.line += 1;
            self.rest = self.rest.strip_prefix('\n').unwrap_or(self.rest);
            return Ok(Some(row));
        }
    }

    fn plain(&mut self) -> Outcome<String> {
        let end = self.rest.find([self.delimiter, '\n']).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        let is_last = !rest.starts_with(self.delimiter);
        let field = if is_last { field.strip_suffix('\r').unwrap_or(field) } else { field };
        if field.contains('"') && !self.is_lazy {
            fail!("a quote within a field without quotes, on line {}", self.line);
        }
        Ok(field.to_owned())
    }

    fn quoted(&mut self) -> Outcome<String> {
        let (mut field, line) = (String::new(), self.line);
        self.rest = &self.rest[1..];
        loop {
            let Some(at) = self.rest.find('"') else {
                if self.is_lazy {
                    field.push_str(std::mem::take(&mut self.rest));
                    return Ok(field);
                }
                fail!("the quotes opened on line {line} are never closed");
            };
            self.line += self.rest[..at].matches('\n').count();
            field.push_str(&self.rest[..at].replace("\r\n", "\n"));
            self.rest = &self.rest[at + 1..];
            let next = self.rest.chars().next();
            match next {
                Some('"') => self.rest = &self.rest[1..],
                None | Some('\n') => return Ok(field),
                Some(c) if c == self.delimiter => return Ok(field),
                Some('\r') if self.rest.starts_with("\r\n") => {
                    self.rest = &self.rest[1..];
                    return Ok(field);
                }
                Some(_) if self.is_lazy => {}
                Some(_) => fail!("text after a closing quote, on line {}", self.line),
            }
            field.push('"');
        }
    }
}
