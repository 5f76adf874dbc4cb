//! Reads the merged tree of a spec into fields: the wire layer, each field with everything that can be wrong in it.

use flux_signal::Text;
use rustc_hash::FxHashMap;

use super::{
    Problem, Report, Spec, keys,
    problem::Code,
    yaml::{At, Entry, Node, Yaml},
};
use crate::{
    encoding::Encoding,
    field::{Field, Kind, Padding, Side},
    limits::{FIELD_LENGTH_MAX, FIELD_MAX},
    prefix::{Prefix, PrefixCode},
};

/// Reads nodes and reports what is wrong with them.
pub(crate) struct Reader<'a> {
    pub(crate) files: &'a [String],
    pub(crate) report: &'a mut Report,
}

impl Reader<'_> {
    /// The spec of a merged tree; `own` is the document that was asked for, which must name itself.
    pub(crate) fn spec(&mut self, own: &Node, merged: &Node) -> Spec {
        let entries = self.map(merged, keys::TOP, "a spec");
        let (mut semantics, mut wire, mut described) = (serde_json::Map::new(), None, None);
        for entry in entries {
            match entry.key.as_str() {
                "wire" => wire = Some(&entry.node),
                "fields" => {
                    described = Some(&entry.node);
                    semantics.insert(entry.key.clone(), entry.node.to_json());
                }
                "id" | "name" | "version" | "extends" => {}
                _ => drop(semantics.insert(entry.key.clone(), entry.node.to_json())),
            }
        }
        let (mut fields, is_hex) = self.wire(merged.at, wire);
        let aliases = match described {
            Some(described) => self.describe(described, &mut fields),
            None => FxHashMap::default(),
        };
        let [id, name, version] = ["id", "name", "version"].map(|key| self.identity(own, key));
        Spec { id, name, version, semantics, ..Spec::compile(fields, aliases, is_hex) }
    }

    fn identity(&mut self, own: &Node, key: &'static str) -> Text {
        let Some(node) = own.get(key) else {
            self.push(
                Code::MissingKey,
                own.at,
                format!("`{key}` is missing"),
                "a spec has an id, a name and a version",
            );
            return Text::default();
        };
        let Some(text) = self.text(node, key) else { return Text::default() };
        let is_slug = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_version = |text: &str| {
            let numbers = text.split(['-', '+']).next().unwrap_or_default();
            numbers.split('.').count() == 3 && numbers.split('.').all(|n| n.parse::<u32>().is_ok())
        };
        match key {
            "id" if !text.chars().all(is_slug) || text.is_empty() => {
                self.push(
                    Code::UnknownWord,
                    node.at,
                    format!("`{text}` is no id"),
                    "use letters, digits, `-`, `_` and `.`",
                );
            }
            "version" if !is_version(text) => {
                self.push(
                    Code::UnknownWord,
                    node.at,
                    format!("`{text}` is no version"),
                    "write it as `1.0.0`",
                );
            }
            _ => {}
        }
        text.into()
    }

    /// The wire layer: every field, and whether the bitmap is hexadecimal text.
    fn wire(&mut self, at: At, wire: Option<&Node>) -> (Vec<Option<Field>>, bool) {
        let mut fields: Vec<Option<Field>> = vec![None; usize::from(FIELD_MAX) + 1];
        let Some(wire) = wire else {
            self.push(Code::MissingKey, at, "`wire` is missing", "name a base layout: `extends: iso87ascii`");
            return (fields, false);
        };
        for entry in self.map(wire, keys::WIRE, "`wire`") {
            match entry.key.as_str() {
                "format" => drop(self.word(&entry.node, "format", &[("moov", ())])),
                "fields" => {
                    for field in self.numbered(&entry.node, 0) {
                        if let (number, Some(entry)) = field {
                            fields[usize::from(number)] = self.field(entry, &number.to_string());
                        }
                    }
                }
                _ => {}
            }
        }
        self.check_mti(at, fields[0].as_ref());
        let is_hex = self.check_bitmap(at, fields[1].as_ref());
        if fields[65].as_ref().is_some_and(|field| field.kind == Kind::Bitmap) {
            fields[65] = None;
        }
        (fields, is_hex)
    }

    /// The entries of a map of field numbers from `first` on; those set to null are left out.
    pub(crate) fn numbered<'n>(&mut self, node: &'n Node, first: u8) -> Vec<(u8, Option<&'n Entry>)> {
        let entries = self.entries(node, "fields by number");
        let mut fields = Vec::new();
        for entry in entries {
            match entry.key.parse::<u8>() {
                Ok(number) if (first..=FIELD_MAX).contains(&number) => {
                    fields.push((number, (!matches!(entry.node.value, Yaml::Null)).then_some(entry)));
                }
                _ => {
                    let message = format!("`{}` is no field number", entry.key);
                    self.push(
                        Code::OutOfRange,
                        entry.key_at,
                        message,
                        format!("fields are {first} to {FIELD_MAX}"),
                    );
                }
            }
        }
        fields
    }

    fn check_mti(&mut self, at: At, mti: Option<&Field>) {
        let is_fine = mti.is_some_and(|mti| {
            mti.length == 4 && mti.prefix == Prefix::Fixed && !mti.kind.is_bytes() && mti.composite.is_none()
        });
        if !is_fine {
            let help = "field 0 is four characters, fixed: `0: {type: String, length: 4, enc: ASCII}`";
            self.push(Code::Inconsistent, at, "`wire.fields.0` is no message type", help);
        }
    }

    fn check_bitmap(&mut self, at: At, bitmap: Option<&Field>) -> bool {
        match bitmap {
            Some(Field { kind: Kind::Bitmap, prefix: Prefix::Fixed, length: 8 | 16, encoding, .. }) => {
                matches!(encoding, Encoding::HexToAscii | Encoding::Ascii)
            }
            _ => {
                let help = "field 1 is a bitmap: `1: {type: Bitmap, length: 8, enc: Binary}`, or HexToASCII";
                self.push(Code::Inconsistent, at, "`wire.fields.1` is no bitmap", help);
                false
            }
        }
    }

    fn field(&mut self, entry: &Entry, number: &str) -> Option<Field> {
        let node = &entry.node;
        self.map(node, keys::WIRE_FIELD, "a field of the wire layer");
        let kind = self.kind(node).unwrap_or(Kind::String);
        let default = if kind == Kind::Bitmap { Encoding::Binary } else { Encoding::Ascii };
        let encoding = self.encoding(node, default);
        let prefix = self.prefix(node, "prefix", Prefix::Fixed);
        let length = match (node.get("length"), kind) {
            (Some(length), _) => self.number(length, "length", 1, FIELD_LENGTH_MAX)?,
            (None, Kind::Bitmap) => 8,
            (None, _) => {
                let help = "the exact length, or the greatest one when there is a prefix";
                self.push(Code::MissingKey, entry.key_at, format!("field {number} has no `length`"), help);
                return None;
            }
        };
        let name = node.get("description").and_then(|text| self.text(text, "description"));
        let mut field = Field {
            name: name.map_or_else(|| format!("Field {number}").into(), Text::from),
            alias: None,
            sensitivity: None,
            kind,
            encoding,
            prefix,
            length,
            padding: self.padding(node, kind),
            composite: None,
        };
        self.check_field(entry.key_at, &field, &format!("field {number}"));
        field.composite = self.composite(node, entry.key_at, &field, 1);
        Some(field)
    }

    /// Refuses combinations that no message could be written with.
    pub(crate) fn check_field(&mut self, at: At, field: &Field, what: &str) {
        use Encoding::{AsciiToHex, Bcd, BerTlvTag, Ebcdic, Lbcd, SignedBcd};
        let (kind, encoding) = (field.kind, field.encoding);
        let is_bad = match kind {
            Kind::Binary | Kind::Bitmap | Kind::Hex => {
                matches!(encoding, Bcd | Lbcd | SignedBcd | Ebcdic | AsciiToHex | BerTlvTag)
            }
            Kind::Track1 => matches!(encoding, Bcd | Lbcd | SignedBcd | BerTlvTag),
            Kind::Numeric | Kind::Track2 | Kind::Track3 => matches!(encoding, SignedBcd | BerTlvTag),
            Kind::String => encoding == BerTlvTag,
            Kind::Composite => false,
        };
        if is_bad {
            let help =
                "bytes are written as Binary or HexToASCII, digits as BCD, LBCD or text, a tag as BerTLVTag";
            self.push(
                Code::Inconsistent,
                at,
                format!("{what}: {} cannot be written as {}", kind.name(), encoding.name()),
                help,
            );
        }
        if field.length as usize > field.prefix.length_max() {
            let message = format!("{what}: its prefix cannot say its length of {}", field.length);
            self.push(Code::Inconsistent, at, message, "add an `L` to the prefix, or lower `length`");
        }
        if let Some(padding) = field.padding {
            if matches!(encoding, Bcd | Lbcd) && !padding.with.is_ascii_digit() {
                let message = format!("{what}: it is padded with what is no digit");
                self.push(Code::Inconsistent, at, message, "pad digits with `0`");
            }
            if field.prefix != Prefix::Fixed {
                let message = format!("{what}: padding has no effect on a length that varies");
                self.push(Code::NoEffect, at, message, "remove it, or fix the length");
            }
        }
    }

    pub(crate) fn kind(&mut self, node: &Node) -> Option<Kind> {
        self.word(node.get("type")?, "type", &Kind::NAMES)
    }

    pub(crate) fn encoding(&mut self, node: &Node, default: Encoding) -> Encoding {
        node.get("enc").and_then(|enc| self.word(enc, "enc", &Encoding::NAMES)).unwrap_or(default)
    }

    pub(crate) fn prefix(&mut self, node: &Node, key: &str, default: Prefix) -> Prefix {
        let Some(node) = node.get(key) else { return default };
        let Some(text) = self.text(node, key) else { return default };
        if text == "BerTLV" {
            return Prefix::Ber;
        }
        let (code, digits) = text.split_once('.').unwrap_or((text, ""));
        let digits = match digits {
            "Fixed" => 0,
            _ if (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b == b'L') => digits.len() as u8,
            _ => {
                let help = "write `BerTLV`, or a code and a length: `ASCII.LL`, `BCD.LLL`, `Binary.Fixed`";
                self.push(Code::UnknownWord, node.at, format!("`{text}` is no prefix"), help);
                return default;
            }
        };
        match PrefixCode::NAMES.iter().find(|(name, _)| *name == code) {
            Some(_) if digits == 0 => Prefix::Fixed,
            Some((_, code)) => Prefix::Number { code: *code, digits },
            None => {
                let help = self.meant(code, PrefixCode::NAMES.iter().map(|(name, _)| *name));
                self.push(
                    Code::UnknownWord,
                    node.at,
                    format!("a prefix cannot be written as `{code}`"),
                    help,
                );
                default
            }
        }
    }

    /// Numbers keep their leading zeros, so only other padding is stripped when reading.
    pub(crate) fn padding(&mut self, node: &Node, kind: Kind) -> Option<Padding> {
        let node = node.get("padding")?;
        self.map(node, keys::PADDING, "`padding`");
        let sides = [("Left", Some(Side::Left)), ("Right", Some(Side::Right)), ("None", None)];
        let side = match node.get("type") {
            Some(side) => self.word(side, "type", &sides)??,
            None => {
                self.push(Code::MissingKey, node.at, "`padding` has no `type`", "write Left, Right or None");
                return None;
            }
        };
        let with = node.get("pad").and_then(|pad| self.text(pad, "pad"));
        let mut characters = with.unwrap_or("0").chars();
        match (characters.next().map(u8::try_from), characters.next()) {
            (Some(Ok(with)), None) => Some(Padding { side, with, strips: kind != Kind::Numeric }),
            _ => {
                self.push(
                    Code::UnknownWord,
                    node.at,
                    "`pad` is not one character",
                    "write one, such as \"0\"",
                );
                None
            }
        }
    }

    /// The entries of a map with none but `known` keys.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, known: &[&str], what: &str) -> &'n [Entry] {
        self.map_beside(node, known, &[], what)
    }

    /// The same, where other keys are spoken of elsewhere.
    pub(crate) fn map_beside<'n>(
        &mut self,
        node: &'n Node,
        known: &[&str],
        beside: &[&str],
        what: &str,
    ) -> &'n [Entry] {
        let entries = self.entries(node, what);
        let is_known = |key: &str| known.contains(&key) || beside.contains(&key) || key.starts_with("x-");
        for entry in entries.iter().filter(|entry| !is_known(&entry.key)) {
            let help = self.meant(&entry.key, known.iter().copied());
            self.push(
                Code::UnknownKey,
                entry.key_at,
                format!("`{}` means nothing in {what}", entry.key),
                help,
            );
        }
        entries
    }

    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Entry] {
        match &node.value {
            Yaml::Map(entries) => entries,
            Yaml::Null => &[],
            Yaml::Scalar(..) | Yaml::List(_) => {
                self.push(
                    Code::WrongShape,
                    node.at,
                    format!("{what} must be a map"),
                    "write `key: value` lines",
                );
                &[]
            }
        }
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Yaml::List(items) => items,
            Yaml::Null | Yaml::Scalar(..) | Yaml::Map(_) => {
                self.push(
                    Code::WrongShape,
                    node.at,
                    format!("{what} must be a list"),
                    "start each item with `-`",
                );
                &[]
            }
        }
    }

    pub(crate) fn text<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n str> {
        if node.text().is_none() {
            self.push(Code::WrongShape, node.at, format!("`{key}` must be text"), "write one line of text");
        }
        node.text()
    }

    pub(crate) fn number(&mut self, node: &Node, key: &str, min: u32, max: u32) -> Option<u32> {
        let text = self.text(node, key)?;
        match text.parse::<u32>() {
            Ok(number) if (min..=max).contains(&number) => Some(number),
            _ => {
                let message = format!("`{key}` is outside its range");
                self.push(Code::OutOfRange, node.at, message, format!("write a number from {min} to {max}"));
                None
            }
        }
    }

    pub(crate) fn word<T: Copy>(&mut self, node: &Node, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let help = self.meant(text, words.iter().map(|(word, _)| *word));
            self.push(Code::UnknownWord, node.at, format!("`{key}` cannot be `{}`", shown(text)), help);
        }
        found
    }

    pub(crate) fn meant<'w>(&self, word: &str, words: impl Iterator<Item = &'w str> + Clone) -> String {
        match keys::nearest(word, words.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it can be {}", words.collect::<Vec<_>>().join(", ")),
        }
    }

    pub(crate) fn push(&mut self, code: Code, at: At, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Problem {
            code,
            severity: code.severity(),
            file: self.files[at.file].clone(),
            line: at.line,
            column: at.column,
            message: shown(&message.into()),
            help: Some(help.into()),
        });
    }
}

/// Text from a file goes to a terminal here: control characters are spelled out, and it is kept short.
fn shown(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}
