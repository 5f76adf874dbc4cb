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
            content = Cow::Owned(self.edit(&content, key, None)?);
        }
        for (key, input) in parts {
            content = Cow::Owned(self.edit(&content, key, Some(input))?);
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
        let mut written = Vec::new();
        match (part, input, rest) {
            (_, None, None) => {}
            (Some(_), None, Some(_)) if found.is_empty() => {}
            (Some(part), Some(Input::Many(inputs)), None) => {
                for input in inputs {
                    written.extend_from_slice(&tag);
                    part.field.write(&part.field.characters_of(&[], None, Some(input))?, &mut written)?;
                }
            }
            (Some(part), input, rest) => {
                let current = self.current(part, found.first(), content)?;
                let characters = part.field.characters_of(&current, rest, input)?;
                if found.len() == 1 && characters == current {
                    return Ok(content.to_vec());
                }
                written.extend_from_slice(&tag);
                part.field.write(&characters, &mut written)?;
            }
            (None, Some(Input::Many(inputs)), None) => {
                for input in inputs {
                    write_unknown(prefix, &tag, &unknown_body(code, input)?, &mut written)?;
                }
            }
            (None, Some(input), None) => {
                let body = unknown_body(code, input)?;
                if let [item] = found.as_slice()
                    && content[item.body.clone()] == *body
                {
                    return Ok(content.to_vec());
                }
                write_unknown(prefix, &tag, &body, &mut written)?;
            }
            (None, _, Some(_)) => return Err(Expected::NoParts.into()),
        }
        self.spliced(content, &found, &written)
    }

    /// `content` with the first of `found` replaced by `written`, the others taken out, or `written` at the end.
    fn spliced(&self, content: &[u8], found: &[Item<'_>], written: &[u8]) -> Result<Vec<u8>, Fail> {
        let dropped = match self.unknown_tags {
            UnknownTags::Drop => self.items_of(content, |item| item.part.is_none())?,
            UnknownTags::Preserve | UnknownTags::Reject => Vec::new(),
        };
        let mut cuts: Vec<&Item<'_>> = found.iter().chain(&dropped).collect();
        cuts.sort_by_key(|item| item.head);
        cuts.dedup_by_key(|item| item.head);
        let (mut edited, mut at) = (Vec::with_capacity(content.len() + written.len()), 0);
        for cut in cuts {
            edited.extend_from_slice(&content[at..cut.head]);
            if found.first().is_some_and(|first| first.head == cut.head) {
                edited.extend_from_slice(written);
            }
            at = cut.body.end;
        }
        edited.extend_from_slice(&content[at..]);
        if found.is_empty() {
            edited.extend_from_slice(written);
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
fn unknown_body<'a>(code: TagCode, input: &'a Input<'_>) -> Result<Cow<'a, [u8]>, Fail> {
    match (input, code) {
        (Input::Bytes(bytes), _) => Ok(Cow::Borrowed(bytes)),
        (Input::Text(text), TagCode::Ber) => Ok(Cow::Owned(hex_decode(text.as_bytes())?)),
        (Input::Text(text), TagCode::Text { .. }) => Ok(Cow::Borrowed(text.as_bytes())),
        (Input::Parts(_) | Input::Many(_), _) => {
            Err(Expected::Shape("text or bytes: the spec does not list this tag").into())
        }
    }
}

fn write_unknown(prefix: Prefix, tag: &[u8], body: &[u8], out: &mut Vec<u8>) -> Result<(), Expected> {
    out.extend_from_slice(tag);
    prefix.write(body.len(), out)?;
    out.extend_from_slice(body);
    Ok(())
}
