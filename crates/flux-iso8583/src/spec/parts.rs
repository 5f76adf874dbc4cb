//! Reads the parts of a composite: positions, tags or bits, each checked against its neighbours.

use flux_signal::Text;

use super::{
    keys,
    problem::Code,
    read::Reader,
    yaml::{At, Node},
};
use crate::{
    composite::{Composite, Layout, Part, PartPlace, TagCode, UnknownTags, tag_number},
    encoding::Encoding,
    field::{Field, Kind, Padding, Side},
    limits::{COMPOSITE_DEPTH_MAX, FIELD_LENGTH_MAX, PART_BITMAP_BYTES_MAX, PARTS_MAX, TAG_BYTES_MAX},
    prefix::{Prefix, PrefixCode},
};

#[derive(Clone, Copy)]
enum LayoutWord {
    Positional,
    Tlv,
    Bitmapped,
}

const LAYOUTS: [(&str, LayoutWord); 3] =
    [("positional", LayoutWord::Positional), ("tlv", LayoutWord::Tlv), ("bitmapped", LayoutWord::Bitmapped)];

const UNKNOWN_TAGS: [(&str, UnknownTags); 3] =
    [("preserve", UnknownTags::Preserve), ("reject", UnknownTags::Reject), ("drop", UnknownTags::Drop)];

impl Reader<'_> {
    /// The inside of `field`, when it is a composite.
    pub(crate) fn composite(
        &mut self,
        node: &Node,
        at: At,
        field: &Field,
        depth: usize,
    ) -> Option<Box<Composite>> {
        let subfields = match (node.get("subfields"), field.kind) {
            (Some(subfields), Kind::Composite) => subfields,
            (None, Kind::Composite) => {
                let help = "say how its parts are laid out: `subfields: {layout: tlv, parts: [...]}`";
                self.push(Code::MissingKey, at, "a composite has no `subfields`", help);
                return None;
            }
            (Some(subfields), _) => {
                self.push(
                    Code::Inconsistent,
                    subfields.at,
                    "only a Composite has `subfields`",
                    "set `type: Composite`",
                );
                return None;
            }
            (None, _) => return None,
        };
        if depth > COMPOSITE_DEPTH_MAX {
            let message = format!("composites nest deeper than {COMPOSITE_DEPTH_MAX}");
            self.push(Code::OutOfRange, subfields.at, message, "leave the innermost part whole");
            return None;
        }
        if let Some(repeat) = subfields.get("repeat") {
            let help = "describe each repetition as a part of its own";
            self.push(Code::Unsupported, repeat.at, "`repeat` is not supported", help);
            return None;
        }
        self.map(subfields, keys::SUBFIELDS, "`subfields`");
        let Some(word) = subfields.get("layout") else {
            self.push(
                Code::MissingKey,
                subfields.at,
                "`layout` is missing",
                "it can be positional, tlv or bitmapped",
            );
            return None;
        };
        let word = self.word(word, "layout", &LAYOUTS)?;
        let layout = self.layout(word, subfields, field)?;
        let unknown_tags =
            subfields.get("unknown_tags").and_then(|n| self.word(n, "unknown_tags", &UNKNOWN_TAGS));
        let blank = match field.encoding {
            Encoding::Bcd | Encoding::Lbcd | Encoding::SignedBcd => b'0',
            Encoding::Binary | Encoding::BerTlvTag => 0,
            Encoding::Ascii | Encoding::Ebcdic | Encoding::HexToAscii | Encoding::AsciiToHex => b' ',
        };
        let mut composite = Composite {
            layout,
            unknown_tags: unknown_tags.unwrap_or_default(),
            parts: Vec::new(),
            tags: Vec::new(),
            blank,
        };
        let listed = subfields.get("parts").map_or(&[][..], |parts| self.list(parts, "`parts`"));
        if listed.len() > PARTS_MAX {
            let message = format!("more than {PARTS_MAX} parts");
            self.push(Code::OutOfRange, subfields.at, message, "leave some of them unlisted");
            return None;
        }
        for node in listed {
            if let Some(part) = self.part(node, field, &composite, depth) {
                composite.parts.push(part);
            }
        }
        self.settle(&mut composite, subfields.at);
        Some(Box::new(composite))
    }

    fn layout(&mut self, word: LayoutWord, node: &Node, field: &Field) -> Option<Layout> {
        let whole_bytes = !matches!(
            field.encoding,
            Encoding::Bcd | Encoding::Lbcd | Encoding::SignedBcd | Encoding::AsciiToHex
        );
        if !whole_bytes && !matches!(word, LayoutWord::Positional) {
            let help = "set `enc: Binary` on the field and the encoding on its parts";
            self.push(Code::Inconsistent, node.at, "tags and bitmaps need whole bytes", help);
            return None;
        }
        match word {
            LayoutWord::Positional => Some(Layout::Positional),
            LayoutWord::Tlv => {
                let tag = self.tag_code(node)?;
                let default = match tag {
                    TagCode::Ber => Prefix::Ber,
                    TagCode::Text { .. } => Prefix::Number { code: PrefixCode::Ascii, digits: 2 },
                };
                match self.prefix(node, "prefix", default) {
                    Prefix::Fixed => {
                        let help = "give `prefix` a length, such as ASCII.LL";
                        self.push(Code::Inconsistent, node.at, "a tag needs a length that varies", help);
                        None
                    }
                    prefix => Some(Layout::Tlv { tag, prefix }),
                }
            }
            LayoutWord::Bitmapped => {
                let bitmap = node.get("bitmap");
                bitmap.map(|bitmap| self.map(bitmap, keys::BITMAP, "`bitmap`"));
                let length = bitmap.and_then(|bitmap| bitmap.get("length"));
                let max = PART_BITMAP_BYTES_MAX as u32;
                let bytes = length.map_or(Some(8), |length| self.number(length, "length", 1, max))?;
                let encoding =
                    bitmap.map_or(Encoding::Binary, |bitmap| self.encoding(bitmap, Encoding::Binary));
                let is_hex = matches!(encoding, Encoding::HexToAscii | Encoding::Ascii);
                Some(Layout::Bitmapped { bitmap_bytes: bytes as usize, is_hex })
            }
        }
    }

    fn tag_code(&mut self, node: &Node) -> Option<TagCode> {
        let Some(tag) = node.get("tag") else { return Some(TagCode::Ber) };
        self.map(tag, keys::TAG, "`tag`");
        let encoding = self.encoding(tag, Encoding::Ascii);
        if encoding == Encoding::BerTlvTag {
            return Some(TagCode::Ber);
        }
        let length = match tag.get("length") {
            Some(length) => self.number(length, "length", 1, TAG_BYTES_MAX as u32)?,
            None => {
                self.push(
                    Code::MissingKey,
                    tag.at,
                    "`tag` has no `length`",
                    "say how many characters a tag has",
                );
                return None;
            }
        };
        let is_whole = match encoding {
            Encoding::Ascii | Encoding::Ebcdic | Encoding::Binary => true,
            Encoding::Bcd => length % 2 == 0,
            Encoding::Lbcd
            | Encoding::SignedBcd
            | Encoding::HexToAscii
            | Encoding::AsciiToHex
            | Encoding::BerTlvTag => false,
        };
        if !is_whole {
            let help = "write tags as BerTLVTag, ASCII, EBCDIC, Binary, or as BCD of an even length";
            self.push(
                Code::Inconsistent,
                tag.at,
                format!("a tag cannot be written as {}", encoding.name()),
                help,
            );
            return None;
        }
        if encoding.unit().bytes(length as usize) > TAG_BYTES_MAX {
            let message = format!("a tag is longer than {TAG_BYTES_MAX} bytes");
            self.push(Code::OutOfRange, tag.at, message, "choose a shorter tag or another encoding");
            return None;
        }
        Some(TagCode::Text { length: length as u8, encoding })
    }

    fn part(&mut self, node: &Node, parent: &Field, composite: &Composite, depth: usize) -> Option<Part> {
        let known = match composite.layout {
            Layout::Positional => keys::PART_POSITIONAL,
            Layout::Tlv { .. } => keys::PART_TLV,
            Layout::Bitmapped { .. } => keys::PART_BITMAPPED,
        };
        self.map(node, known, "a part");
        let (place, mut key) = self.place(node, parent, composite.layout)?;
        if let Some(name) = node.get("name").and_then(|name| self.text(name, "name")) {
            if name.is_empty() || name.contains('.') {
                self.push(
                    Code::UnknownWord,
                    node.at,
                    "a part cannot have that name",
                    "use a word without dots",
                );
                return None;
            }
            key = Some(name.into());
        }
        let Some(key) = key else {
            self.push(Code::MissingKey, node.at, "a part at positions needs a `name`", "name it in one word");
            return None;
        };
        let field = self.part_field(node, parent, composite, &place, &key)?;
        self.check_field(node.at, &field, &format!("part {key}"));
        let inside = self.composite(node, node.at, &field, depth + 1);
        Some(Part { key, place, field: Field { composite: inside, ..field } })
    }

    /// Where a part is, and what it is called when it has no name.
    fn place(&mut self, node: &Node, parent: &Field, layout: Layout) -> Option<(PartPlace, Option<Text>)> {
        let missing = |what: &str| format!("a part has no `{what}`");
        match layout {
            Layout::Positional => {
                let max = parent.encoding.characters(parent.length as usize) as u32;
                let help = "positions count from 1, both ends included: `from: 1`, `to: 2`";
                let [from, to] = ["from", "to"].map(|key| match node.get(key) {
                    Some(at) => self.number(at, key, 1, max),
                    None => {
                        self.push(Code::MissingKey, node.at, missing(key), help);
                        None
                    }
                });
                let (from, to) = (from? as usize, to? as usize);
                if from > to {
                    self.push(Code::OutOfRange, node.at, "`from` is behind `to`", help);
                    return None;
                }
                Some((PartPlace::Range(from - 1..to), None))
            }
            Layout::Tlv { tag: code, .. } => {
                let Some(tag) = node.get("tag") else {
                    self.push(Code::MissingKey, node.at, missing("tag"), "write the tag, such as 9F26");
                    return None;
                };
                let text = self.text(tag, "tag")?;
                let text: Text = if code == TagCode::Ber { text.to_uppercase().into() } else { text.into() };
                let Some(wire) = code.wire(&text) else {
                    let help =
                        "a BER tag is hexadecimal text, any other has as many characters as `tag.length`";
                    self.push(Code::UnknownWord, tag.at, "this is no such tag", help);
                    return None;
                };
                Some((PartPlace::Tag { text: text.clone(), wire }, Some(text)))
            }
            Layout::Bitmapped { bitmap_bytes, .. } => {
                let Some(bit) = node.get("bit") else {
                    self.push(Code::MissingKey, node.at, missing("bit"), "bits count from 1");
                    return None;
                };
                let bit = self.number(bit, "bit", 1, bitmap_bytes as u32 * 8)? as u8;
                Some((PartPlace::Bit(bit), Some(bit.to_string().into())))
            }
        }
    }

    fn part_field(
        &mut self,
        node: &Node,
        parent: &Field,
        composite: &Composite,
        place: &PartPlace,
        key: &Text,
    ) -> Option<Field> {
        let is_ber = matches!(composite.layout, Layout::Tlv { tag: TagCode::Ber, .. });
        let kind = self.kind(node).unwrap_or(match (is_ber, composite.blank) {
            (true, _) => Kind::Hex,
            (false, b'0') => Kind::Numeric,
            (false, _) => Kind::String,
        });
        let default = if kind.is_bytes() || is_ber { Encoding::Binary } else { Encoding::Ascii };
        let encoding = self.encoding(node, default);
        let name = node.get("description").and_then(|text| self.text(text, "description"));
        let mut padding = self.padding(node, kind);
        let (prefix, length) = match (place, composite.layout) {
            (PartPlace::Range(range), _) => {
                let (side, with) = match kind {
                    Kind::Numeric => (Side::Left, b'0'),
                    _ => (Side::Right, composite.blank),
                };
                padding = padding.or(Some(Padding { side, with, strips: false }));
                (Prefix::Fixed, encoding.unit().units(range.len()) as u32)
            }
            (_, Layout::Tlv { prefix, .. }) => {
                let max = FIELD_LENGTH_MAX.min(u32::try_from(prefix.length_max()).unwrap_or(u32::MAX));
                (
                    prefix,
                    node.get("length")
                        .map_or(Some(max), |n| self.number(n, "length", 1, FIELD_LENGTH_MAX))?,
                )
            }
            (_, Layout::Positional | Layout::Bitmapped { .. }) => {
                let Some(length) = node.get("length") else {
                    self.push(
                        Code::MissingKey,
                        node.at,
                        format!("part {key} has no `length`"),
                        "write its length",
                    );
                    return None;
                };
                (
                    self.prefix(node, "prefix", Prefix::Fixed),
                    self.number(length, "length", 1, FIELD_LENGTH_MAX)?,
                )
            }
        };
        if parent.encoding.unit() != crate::encoding::Unit::Byte && !encoding.is_identity() {
            let help = "its parent is decoded first: leave `enc` out";
            self.push(
                Code::Inconsistent,
                node.at,
                format!("part {key} cannot have an encoding of its own"),
                help,
            );
        }
        Some(Field {
            name: name.map_or_else(|| key.clone(), Text::from),
            alias: None,
            sensitivity: None,
            kind,
            encoding,
            prefix,
            length,
            padding,
            composite: None,
        })
    }

    /// Puts the parts in order and reports those that are in each other's way.
    fn settle(&mut self, composite: &mut Composite, at: At) {
        composite.parts.sort_by_key(|part| match &part.place {
            PartPlace::Range(range) => range.start,
            PartPlace::Bit(bit) => usize::from(*bit),
            PartPlace::Tag { .. } => 0,
        });
        let clashes = composite.parts.windows(2).filter_map(|pair| {
            let is_clash = match (&pair[0].place, &pair[1].place) {
                (PartPlace::Range(a), PartPlace::Range(b)) => b.start < a.end,
                (PartPlace::Bit(a), PartPlace::Bit(b)) => a == b,
                _ => false,
            };
            is_clash.then(|| format!("parts {} and {} overlap", pair[0].key, pair[1].key))
        });
        let mut clashes: Vec<String> = clashes.collect();
        for (index, part) in composite.parts.iter().enumerate() {
            if let PartPlace::Tag { wire, .. } = &part.place {
                composite.tags.push((tag_number(wire), index));
            }
        }
        composite.tags.sort_unstable();
        for pair in composite.tags.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            clashes.push(format!(
                "parts {} and {} have one tag",
                composite.parts[pair[0].1].key, composite.parts[pair[1].1].key
            ));
        }
        let mut keys: Vec<&Text> = composite.parts.iter().map(|part| &part.key).collect();
        keys.sort_unstable();
        for pair in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
            clashes.push(format!("two parts are called {}", pair[0]));
        }
        for clash in clashes {
            self.push(Code::PartClash, at, clash, "give each its own place and name");
        }
    }
}
