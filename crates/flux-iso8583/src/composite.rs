//! Fields made of parts: at fixed positions, behind tags, or announced by a bitmap of their own.

mod edit;
mod tag;

use std::ops::Range;

use flux_signal::{Map, Text, Value};

use crate::{
    encoding::{Encoding, Unit, hex_decode},
    error::{Expected, Fail},
    field::{Field, Kind},
    prefix::Prefix,
};

pub(crate) use tag::{TagCode, number as tag_number};

/// The inside of a composite field. It works on decoded characters, of which each is one byte.
#[derive(Debug, Clone)]
pub(crate) struct Composite {
    pub(crate) layout: Layout,
    pub(crate) unknown_tags: UnknownTags,
    /// In the order of positions, bits, or as the spec lists tags.
    pub(crate) parts: Vec<Part>,
    /// Tags as numbers with the part each belongs to, in order: what a walk looks tags up in.
    pub(crate) tags: Vec<(u64, usize)>,
    /// What fills a gap between positions.
    pub(crate) blank: u8,
}

/// How the parts are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Positional,
    Tlv { tag: TagCode, prefix: Prefix },
    Bitmapped { bitmap_bytes: usize, is_hex: bool },
}

/// What happens to tags the spec does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UnknownTags {
    /// Kept byte for byte and shown by their tag.
    #[default]
    Preserve,
    /// The message is refused.
    Reject,
    /// Not shown, and left out as soon as the field is written anew.
    Drop,
}

/// A part of a composite.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its name in paths and trees: the name of the spec, else its tag or bit.
    pub(crate) key: Text,
    pub(crate) place: PartPlace,
    pub(crate) field: Field,
}

/// What a part is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartPlace {
    /// Characters, as a half-open range.
    Range(Range<usize>),
    /// The tag as text, and as it stands on the wire.
    Tag { text: Text, wire: Vec<u8> },
    /// The bit of the bitmap, from 1.
    Bit(u8),
}

/// One part found in content.
#[derive(Debug, Clone)]
pub(crate) struct Item<'a> {
    /// What the spec says of it; `None` for an unknown tag.
    pub(crate) part: Option<&'a Part>,
    /// From the tag or prefix on.
    pub(crate) head: usize,
    /// The tag.
    pub(crate) tag: Range<usize>,
    /// The content.
    pub(crate) body: Range<usize>,
    /// The length of the content as the spec counts it.
    pub(crate) units: usize,
}

impl Composite {
    /// Visits the parts of `content` in order. Everything is measured before it is visited.
    pub(crate) fn walk<'a>(
        &'a self,
        content: &[u8],
        mut visit: impl FnMut(Item<'a>) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        match self.layout {
            Layout::Positional => {
                for part in &self.parts {
                    let PartPlace::Range(range) = &part.place else { continue };
                    if range.start < content.len() {
                        let body = range.start..range.end.min(content.len());
                        let units = part.field.encoding.unit().units(body.len());
                        visit(Item {
                            part: Some(part),
                            head: body.start,
                            tag: body.start..body.start,
                            body,
                            units,
                        })?;
                    }
                }
                Ok(())
            }
            Layout::Tlv { tag, prefix } => self.walk_tlv(tag, prefix, content, &mut visit),
            Layout::Bitmapped { .. } if content.is_empty() => Ok(()),
            Layout::Bitmapped { bitmap_bytes, is_hex } => {
                let (bits, mut at) = read_bitmap(content, bitmap_bytes, is_hex)?;
                for bit in set_bits(&bits) {
                    let part = self.part_of_bit(bit).ok_or(Fail::new(0, Expected::DefinedPart))?;
                    let extent = part.field.measure(&content[at..]);
                    let extent = extent.map_err(|e| Fail::from(e).within(&part.key, at))?;
                    let body = at + extent.body..at + extent.end;
                    let end = body.end;
                    visit(Item { part: Some(part), head: at, tag: at..at, body, units: extent.units })?;
                    at = end;
                }
                trailing(content, at)
            }
        }
    }

    fn walk_tlv<'a>(
        &'a self,
        code: TagCode,
        prefix: Prefix,
        content: &[u8],
        visit: &mut impl FnMut(Item<'a>) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        let mut at = 0;
        while let Some(&first) = content.get(at) {
            if code == TagCode::Ber && first == 0 {
                // ISO/IEC 7816-4 section 6: zero bytes between data objects have no meaning.
                at += 1;
                continue;
            }
            let rest = &content[at..];
            let tag_len = code.measure(rest).map_err(|e| Fail::new(at, e))?;
            let part = self.part_of_tag(&rest[..tag_len]);
            // A tag that is not listed is not named: it may be content that was taken for one.
            let failed = |expected, at| match part {
                Some(part) => Fail::from(expected).within(&part.key, at),
                None => Fail::new(at, expected),
            };
            let (said, prefix_len) = prefix.read(&rest[tag_len..], 0).map_err(|e| failed(e, at + tag_len))?;
            let start = at + tag_len + prefix_len;
            let unit = part.map(|part| part.field.encoding.unit()).unwrap_or(Unit::Byte);
            let (units, taken) = match prefix {
                Prefix::Ber => (unit.units(said), said),
                Prefix::Fixed | Prefix::Number { .. } => (said, unit.bytes(said)),
            };
            let left = content.len() - start;
            if taken > left {
                return Err(failed(Expected::Bytes { needed: taken, left }, start));
            }
            if let Some(max) = part.map(|part| part.field.length as usize).filter(|max| units > *max) {
                return Err(failed(Expected::LengthMax { max, got: units }, at + tag_len));
            }
            let end = start + taken;
            visit(Item { part, head: at, tag: at..at + tag_len, body: start..end, units })?;
            at = end;
        }
        Ok(())
    }

    /// Refuses content that no parts could be read from.
    pub(crate) fn check(&self, content: &[u8]) -> Result<(), Fail> {
        self.walk(content, |item| match item.part {
            Some(part) => part
                .field
                .check(&content[item.body.clone()], item.units)
                .map_err(|fail| fail.within(&part.key, item.body.start)),
            None if self.unknown_tags == UnknownTags::Reject => {
                Err(Fail::new(item.head, Expected::ListedTag))
            }
            None => Ok(()),
        })
    }

    /// The parts by name; a tag that occurs more than once is a list.
    pub(crate) fn value(&self, content: &[u8]) -> Result<Value, Fail> {
        let mut entries: Vec<(Text, Value)> = Vec::new();
        self.walk(content, |item| {
            let Some(key) = self.visible_key(&item, content) else { return Ok(()) };
            let value = self.item_value(&item, content).map_err(|fail| fail.within(&key, item.body.start))?;
            match entries.iter_mut().find(|(other, _)| *other == key) {
                Some((_, Value::List(list))) => list.push(value),
                Some((_, other)) => *other = Value::List(vec![std::mem::take(other), value]),
                None => entries.push((key, value)),
            }
            Ok(())
        })?;
        Ok(Value::Map(Map::from_entries(entries)))
    }

    /// The value at a path below, as [`Composite::value`] shows it.
    pub(crate) fn get(&self, content: &[u8], path: &str) -> Option<Value> {
        let (key, rest) = split(path);
        let wanted = self.part(key);
        let unlisted = self.unlisted_tag(key).filter(|_| wanted.is_none());
        let mut found: Vec<Item<'_>> = Vec::new();
        let is_wanted = |item: &Item<'_>| match (item.part, wanted) {
            (Some(part), Some(wanted)) => std::ptr::eq(part, wanted),
            (Some(_), None) => false,
            (None, _) => unlisted.as_ref().is_some_and(|tag| content[item.tag.clone()] == **tag),
        };
        self.walk(content, |item| {
            found.extend(Some(item).filter(is_wanted));
            Ok(())
        })
        .ok()?;
        match (found.as_slice(), rest) {
            ([], _) => None,
            ([item], None) => self.item_value(item, content).ok(),
            ([item], Some(rest)) => {
                item.part?.field.value_at(&content[item.body.clone()], item.units, Some(rest))
            }
            (items, None) => items
                .iter()
                .map(|item| self.item_value(item, content).ok())
                .collect::<Option<_>>()
                .map(Value::List),
            (items, Some(rest)) => {
                let (index, rest) = split(rest);
                let item = items.get(index.parse::<usize>().ok()?)?;
                match item.part {
                    Some(part) => part.field.value_at(&content[item.body.clone()], item.units, rest),
                    None => rest.is_none().then(|| self.item_value(item, content).ok()).flatten(),
                }
            }
        }
    }

    fn item_value(&self, item: &Item<'_>, content: &[u8]) -> Result<Value, Fail> {
        let body = &content[item.body.clone()];
        match item.part {
            Some(part) => part.field.value(body, item.units),
            None => Ok(tag::unknown_value(self.layout, body)),
        }
    }

    /// The name of an item.
    pub(crate) fn key_of(&self, item: &Item<'_>, content: &[u8]) -> Text {
        match (item.part, self.layout) {
            (Some(part), _) => part.key.clone(),
            (None, Layout::Tlv { tag, .. }) => tag.text(&content[item.tag.clone()]),
            (None, Layout::Positional | Layout::Bitmapped { .. }) => Text::default(),
        }
    }

    /// The same, unless it is an unknown tag to be dropped.
    pub(crate) fn visible_key(&self, item: &Item<'_>, content: &[u8]) -> Option<Text> {
        let is_dropped = item.part.is_none() && self.unknown_tags == UnknownTags::Drop;
        (!is_dropped).then(|| self.key_of(item, content))
    }

    /// Whether its tags are BER tags.
    pub(crate) fn is_ber(&self) -> bool {
        matches!(self.layout, Layout::Tlv { tag: TagCode::Ber, .. })
    }

    /// How the content of a tag is shown that the spec does not list.
    pub(crate) fn unlisted_form(&self) -> (Kind, Encoding) {
        if self.is_ber() { (Kind::Hex, Encoding::Binary) } else { (Kind::String, Encoding::Ascii) }
    }

    /// The part that a key of a path names: by name, or by tag or bit.
    pub(crate) fn part(&self, key: &str) -> Option<&Part> {
        let is_at = |part: &&Part| match &part.place {
            PartPlace::Tag { text, .. } => text.eq_ignore_ascii_case(key),
            PartPlace::Bit(bit) => key.parse() == Ok(*bit),
            PartPlace::Range(_) => false,
        };
        self.parts.iter().find(|part| part.key == key).or_else(|| self.parts.iter().find(is_at))
    }

    /// The same, to be described.
    pub(crate) fn part_mut(&mut self, key: &str) -> Option<&mut Part> {
        let wanted: *const Part = self.part(key)?;
        self.parts.iter_mut().find(|part| std::ptr::eq::<Part>(*part, wanted))
    }

    /// A tag the spec does not list, as it stands on the wire; `None` when such tags are not shown.
    fn unlisted_tag(&self, key: &str) -> Option<Vec<u8>> {
        match self.layout {
            Layout::Tlv { tag, .. } if self.unknown_tags != UnknownTags::Drop => tag.wire(key),
            Layout::Tlv { .. } | Layout::Positional | Layout::Bitmapped { .. } => None,
        }
    }

    fn part_of_tag(&self, wire: &[u8]) -> Option<&Part> {
        let number = tag::number(wire);
        let at = self.tags.binary_search_by_key(&number, |(tag, _)| *tag).ok()?;
        Some(&self.parts[self.tags[at].1])
    }

    fn part_of_bit(&self, bit: u8) -> Option<&Part> {
        let key = |part: &Part| if let PartPlace::Bit(bit) = part.place { bit } else { 0 };
        self.parts.binary_search_by_key(&bit, key).ok().map(|at| &self.parts[at])
    }
}

/// The first segment of a dotted path, and what follows.
pub(crate) fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    }
}

fn trailing(content: &[u8], at: usize) -> Result<(), Fail> {
    match content.len() - at {
        0 => Ok(()),
        left => Err(Fail::new(at, Expected::End { left })),
    }
}

/// The bytes of the bitmap in front of bitmapped parts, and where the first part starts.
fn read_bitmap(content: &[u8], bitmap_bytes: usize, is_hex: bool) -> Result<(Vec<u8>, usize), Fail> {
    let needed = if is_hex { bitmap_bytes * 2 } else { bitmap_bytes };
    let raw = content.get(..needed).ok_or(Expected::Bytes { needed, left: content.len() })?;
    Ok((if is_hex { hex_decode(raw)? } else { raw.to_vec() }, needed))
}

/// The numbers of the bits that are set, from 1.
fn set_bits(bits: &[u8]) -> impl Iterator<Item = u8> {
    let is_set = |bit: &u8| bits[usize::from((bit - 1) / 8)] & (0x80 >> ((bit - 1) % 8)) != 0;
    (1..=(bits.len() * 8) as u8).filter(is_set)
}
