//! Edits inside a composite: one part is written anew, everything around it stays byte for byte.

use std::borrow::Cow;

use super::{Composite, Item, Layout, Part, PartPlace, TagCode, UnknownTags, read_bitmap, split};
use crate::{
    encoding::{hex_decode, hex_encode},
    error::{Expected, Fail},
    input::Input,
    prefix::Prefix,
};

impl Composite {
    /// `content` with the part at `path` set to `input`, or taken out.
    pub(crate) fn edit(
        &self,
        content: &[u8],
        path: &str,
        input: Option<&Input<'_>>,
    ) -> Result<Vec<u8>, Fail> {
        let (key, rest) = split(path);
        self.edit_part(content, key, rest, input)
    }

    /// The same for the part with a key, which may contain dots, and a path below it.
    fn edit_part(
        &self,
        content: &[u8],
        key: &str,
        rest: Option<&str>,
        input: Option<&Input<'_>>,
    ) -> Result<Vec<u8>, Fail> {
        let edited = match (self.layout, self.part(key)) {
            (Layout::Tlv { tag, prefix }, part) => {
                self.edit_tlv(tag, prefix, content, (key, part, rest), input)
            }
            (Layout::Positional, Some(part)) => self.edit_positional(content, part, rest, input),
            (Layout::Bitmapped { bitmap_bytes, is_hex }, Some(part)) => {
                self.edit_bitmapped(content, (bitmap_bytes, is_hex), part, rest, input)
            }
            (Layout::Positional | Layout::Bitmapped { .. }, None) => Err(Expected::DefinedPart.into()),
        };
        edited.map_err(|fail| fail.within(key, 0))
    }

    /// `content` with exactly `parts`; those that do not change keep their bytes and their place.
    pub(crate) fn assemble(&self, content: &[u8], parts: &[(&str, Input<'_>)]) -> Result<Vec<u8>, Fail> {
        let mut gone = Vec::new();
        self.walk(content, |item| {
            let is_kept = parts.iter().any(|(key, _)| match item.part {
                Some(part) => self.part(key).is_some_and(|other| std::ptr::eq(part, other)),
                None => self.visible_key(&item, content).is_some_and(|own| own.eq_ignore_ascii_case(key)),
            });
            if !is_kept {
                gone.extend(self.visible_key(&item, content));
            }
            Ok(())
        })?;
        let mut content = Cow::Borrowed(content);
        for key in &gone {
            content = Cow::Owned(self.edit_part(&content, key, None, None)?);
        }
        for (key, input) in parts {
            content = Cow::Owned(self.edit_part(&content, key, None, Some(input))?);
        }
        Ok(content.into_owned())
    }

    fn edit_positional(
        &self,
        content: &[u8],
        part: &Part,
        rest: Option<&str>,
        input: Option<&Input<'_>>,
    ) -> Result<Vec<u8>, Fail> {
        let PartPlace::Range(range) = &part.place else { return Err(Expected::DefinedPart.into()) };
        let mut edited = content.to_vec();
        let current = content.get(range.start..range.end.min(content.len())).unwrap_or_default();
        let mut written = Vec::new();
        match (input, rest) {
            (None, None) if current.is_empty() => return Ok(edited),
            (None, None) => written.resize(range.len(), self.blank_of(part)),
            _ => {
                let units = part.field.encoding.unit().units(current.len());
                let current = part.field.characters(current, units)?;
                part.field.write(&part.field.characters_of(&current, rest, input)?, &mut written)?;
            }
        }
        if edited.len() < range.end {
            edited = self.filled(edited, range.end);
        }
        edited[range.clone()].copy_from_slice(&written);
        Ok(edited)
    }

    /// `content` made `length` characters long, each part that is added blank in its own way.
    pub(crate) fn filled(&self, mut content: Vec<u8>, length: usize) -> Vec<u8> {
        let start = content.len();
        content.resize(length, self.blank);
        for part in &self.parts {
            if let PartPlace::Range(range) = &part.place
                && let Some(added) = content.get_mut(range.start.max(start)..range.end.min(length).max(start))
            {
                added.fill(self.blank_of(part));
            }
        }
        content
    }

    fn blank_of(&self, part: &Part) -> u8 {
        part.field.padding.map_or(self.blank, |padding| padding.with)
    }

    fn edit_tlv(
        &self,
        code: TagCode,
        prefix: Prefix,
        content: &[u8],
        (key, part, rest): (&str, Option<&Part>, Option<&str>),
        input: Option<&Input<'_>>,
    ) -> Result<Vec<u8>, Fail> {
        let tag = match part.map(|part| &part.place) {
            Some(PartPlace::Tag { wire, .. }) => wire.clone(),
            Some(PartPlace::Range(_) | PartPlace::Bit(_)) => return Err(Expected::DefinedPart.into()),
            None if self.unknown_tags == UnknownTags::Preserve => {
                code.wire(key).ok_or(Expected::DefinedPart)?
            }
            None => return Err(Expected::ListedTag.into()),
        };
        let found = self.items_of(content, |item| content[item.tag.clone()] == tag)?;
        let inputs: Vec<Option<&Input<'_>>> = match (input, rest) {
            (None, None) => Vec::new(),
            (None, Some(_)) if found.is_empty() => Vec::new(),
            (Some(Input::Many(inputs)), None) => inputs.iter().map(Some).collect(),
            (input, _) => vec![input],
        };
        let mut written = Vec::new();
        for (turn, input) in inputs.into_iter().enumerate() {
            let item = found.get(turn);
            let kept = item.map(|item| &content[item.head..item.body.end]);
            let mut out = tag.clone();
            let is_same = match part {
                Some(part) => {
                    let current = self.current(part, item, content)?;
                    let characters = part.field.characters_of(&current, rest, input)?;
                    part.field.write(&characters, &mut out)?;
                    characters == current
                }
                None => {
                    let body = unknown_body(code, rest, input)?;
                    prefix.write(body.len(), &mut out)?;
                    out.extend_from_slice(&body);
                    item.is_some_and(|item| content[item.body.clone()] == *body)
                }
            };
            // An equal value keeps its old bytes, which can differ: a long form of a length, another filler.
            written.push(kept.filter(|_| is_same).map_or(out, <[u8]>::to_vec));
        }
        self.spliced(content, &found, &written)
    }

    /// `content` with each of `found` replaced by what was written in its turn, or taken out; what was written
    /// beyond that follows the last of them, or comes last of all.
    fn spliced(&self, content: &[u8], found: &[Item<'_>], written: &[Vec<u8>]) -> Result<Vec<u8>, Fail> {
        let mut cuts = match self.unknown_tags {
            UnknownTags::Drop => self.items_of(content, |item| item.part.is_none())?,
            UnknownTags::Preserve | UnknownTags::Reject => Vec::new(),
        };
        cuts.extend_from_slice(found);
        cuts.sort_by_key(|item| item.head);
        let (mut edited, mut at, mut turn) = (Vec::with_capacity(content.len()), 0, 0);
        for cut in cuts {
            edited.extend_from_slice(&content[at..cut.head]);
            at = cut.body.end;
            if found.get(turn).is_some_and(|item| item.head == cut.head) {
                edited.extend(written.get(turn).into_iter().flatten());
                turn += 1;
                if turn == found.len() {
                    edited.extend(written.iter().skip(turn).flatten());
                }
            }
        }
        edited.extend_from_slice(&content[at..]);
        if found.is_empty() {
            edited.extend(written.iter().flatten());
        }
        Ok(edited)
    }

    fn edit_bitmapped(
        &self,
        content: &[u8],
        (bitmap_bytes, is_hex): (usize, bool),
        part: &Part,
        rest: Option<&str>,
        input: Option<&Input<'_>>,
    ) -> Result<Vec<u8>, Fail> {
        let PartPlace::Bit(bit) = part.place else { return Err(Expected::DefinedPart.into()) };
        let blank = vec![if is_hex { b'0' } else { 0 }; if is_hex { bitmap_bytes * 2 } else { bitmap_bytes }];
        let content = if content.is_empty() { &blank } else { content };
        let (mut bits, start) = read_bitmap(content, bitmap_bytes, is_hex)?;
        let bit_of = |item: &Item<'_>| match item.part.map(|part| &part.place) {
            Some(PartPlace::Bit(bit)) => *bit,
            _ => 0,
        };
        let items = self.items_of(content, |_| true)?;
        let before = items.iter().take_while(|item| bit_of(item) < bit).last();
        let head = before.map_or(start, |item| item.body.end);
        let found = items.iter().find(|item| bit_of(item) == bit);
        let end = found.map_or(head, |item| item.body.end);
        let mask = 0x80 >> ((bit - 1) % 8);
        let byte = &mut bits[usize::from((bit - 1) / 8)];
        let mut written = Vec::new();
        if input.is_none() && rest.is_none() {
            *byte &= !mask;
        } else {
            *byte |= mask;
            let current = self.current(part, found, content)?;
            let characters = part.field.characters_of(&current, rest, input)?;
            if found.is_some() && characters == current {
                return Ok(content.to_vec());
            }
            part.field.write(&characters, &mut written)?;
        }
        let mut edited = if is_hex { hex_encode(&bits) } else { bits };
        edited.extend_from_slice(&content[start..head]);
        edited.extend_from_slice(&written);
        edited.extend_from_slice(&content[end..]);
        Ok(edited)
    }

    /// The decoded characters of a part as it is now; none when it is absent.
    fn current<'c>(
        &self,
        part: &Part,
        item: Option<&Item<'_>>,
        content: &'c [u8],
    ) -> Result<Cow<'c, [u8]>, Fail> {
        match item {
            Some(item) => Ok(part.field.characters(&content[item.body.clone()], item.units)?),
            None => Ok(Cow::Borrowed(&[])),
        }
    }

    fn items_of(&self, content: &[u8], test: impl Fn(&Item<'_>) -> bool) -> Result<Vec<Item<'_>>, Fail> {
        let mut items = Vec::new();
        self.walk(content, |item| {
            if test(&item) {
                items.push(item);
            }
            Ok(())
        })?;
        Ok(items)
    }
}

/// The bytes of a value for a tag the spec does not list.
fn unknown_body<'a>(
    code: TagCode,
    rest: Option<&str>,
    input: Option<&'a Input<'_>>,
) -> Result<Cow<'a, [u8]>, Fail> {
    match (input, code) {
        _ if rest.is_some() => Err(Expected::NoParts.into()),
        (Some(Input::Bytes(bytes)), _) => Ok(Cow::Borrowed(bytes)),
        (Some(Input::Text(text)), TagCode::Ber) => Ok(Cow::Owned(hex_decode(text.as_bytes())?)),
        (Some(Input::Text(text)), TagCode::Text { .. }) => Ok(Cow::Borrowed(text.as_bytes())),
        (Some(Input::Parts(_) | Input::Many(_)) | None, _) => {
            Err(Expected::Shape("text or bytes: the spec does not list this tag").into())
        }
    }
}
