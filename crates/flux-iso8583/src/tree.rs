//! A message as a tree of values, and back.
//!
//! ```text
//! iso8583.mti                 "0200"
//! iso8583.exchange            "0200"              the type of the request, also in its repeats and answers; read only
//! iso8583.field.11            "000001"            text, or bytes for binary fields
//! iso8583.field.55.9F26       "A1B2C3D4E5F60708"  a field with parts is a map of them
//! iso8583.raw.55              the same field as one value; read only
//! iso8583.unknown_tags.55     ["DF01"]            which of its tags the spec does not list; read only
//! card.pan                    "4111111111111111"  the alias of a field
//! ```

use flux_signal::{Map, Text, Value};

use crate::{
    composite::{Composite, UnknownTags},
    error::WireError,
    message::Message,
    spec::Spec,
};

impl Message {
    /// The message as a tree.
    pub fn to_value(&self) -> Value {
        let (mut fields, mut raw, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for field in self.fields() {
            let key = Text::from(field.to_string());
            let Some(value) = self.get_at(field, None).or_else(|| self.undecoded(field)) else { continue };
            if self.spec().field(field).is_some_and(|known| known.composite.is_some()) {
                raw.extend(self.whole(field).map(|whole| (key.clone(), whole)));
                unknown.extend(self.unknown_tags(field).map(|tags| (key.clone(), tags)));
            }
            fields.push((key, value));
        }
        let mut tree = Map::new();
        let mut iso8583 = Map::new();
        iso8583.insert("mti", self.mti().into());
        iso8583.insert("exchange", self.exchange().as_str().into());
        let maps = [("field", fields), ("raw", raw), ("unknown_tags", unknown)];
        for (key, entries) in maps.into_iter().filter(|(_, entries)| !entries.is_empty()) {
            iso8583.insert(key, Map::from_entries(entries).into());
        }
        tree.insert("iso8583", iso8583.into());
        let mut tree = Value::Map(tree);
        for (alias, field, part) in self.spec().aliased() {
            if let Some(value) = self.get_at(field, part) {
                tree.set(alias, value).expect("no alias lies below another or below `iso8583`");
            }
        }
        tree
    }

    /// A message from a tree. Of a field and its alias the field wins.
    pub fn from_value(spec: std::sync::Arc<Spec>, tree: &Value) -> Result<Message, WireError> {
        let mti = tree.get("iso8583.mti").and_then(Value::as_text).unwrap_or_default();
        let mut message = Message::new(spec, mti)?;
        message.apply(tree)?;
        Ok(message)
    }

    /// Makes the message what `tree` says. Fields that are the same in both keep their bytes; fields the tree lacks
    /// are removed. Of a field and its alias the one that was changed wins, and the field when both were.
    pub fn apply(&mut self, tree: &Value) -> Result<(), WireError> {
        if let Some(mti) = tree.get("iso8583.mti").and_then(Value::as_text) {
            self.set_mti(mti)?;
        }
        let spec = std::sync::Arc::clone(self.spec());
        let empty = Map::new();
        let fields = tree.get("iso8583.field").and_then(Value::as_map).unwrap_or(&empty);
        let gone: Vec<u8> = self.fields().filter(|field| fields.get(&field.to_string()).is_none()).collect();
        let before: Vec<(&str, u8, Option<&str>, Option<Value>)> = spec
            .aliased()
            .map(|(alias, field, part)| (alias, field, part, self.get_at(field, part)))
            .collect();
        for (key, value) in fields.iter() {
            match key.parse::<u8>() {
                Ok(field) if self.whole(field).as_ref() == Some(value) => {}
                Ok(field) => self.set_from_tree(field, value, tree)?,
                Err(_) => self.set(key, value)?,
            }
        }
        for field in gone {
            self.remove_at(field, None);
        }
        for (alias, field, part, before) in before {
            let Some(value) = tree.get(alias).filter(|value| before.as_ref() != Some(value)) else {
                continue;
            };
            let own = fields.get(&field.to_string()).and_then(|own| own.get(part.unwrap_or_default()));
            if own.is_none() || own == before.as_ref() {
                self.set_at(field, part, value)?;
            }
        }
        Ok(())
    }

    /// A field with parts that is new to the message starts from its `raw` form, which knows the order of its tags.
    fn set_from_tree(&mut self, field: u8, value: &Value, tree: &Value) -> Result<(), WireError> {
        if !self.has(field)
            && matches!(value, Value::Map(_))
            && let Some(raw) = tree.get(&format!("iso8583.raw.{field}"))
        {
            self.set_at(field, None, raw)?;
        }
        self.set_at(field, None, value)
    }

    /// A field whose content cannot be decoded is shown as its bytes rather than not at all.
    fn undecoded(&self, field: u8) -> Option<Value> {
        self.raw(field).map(|raw| Value::Bytes(bytes::Bytes::copy_from_slice(raw)))
    }

    /// The tags of a field that its spec does not list; `None` when there are none.
    pub(crate) fn unknown_tags(&self, field: u8) -> Option<Value> {
        let composite = self.spec().field(field)?.composite.as_ref()?;
        let tags = composite.unlisted(&self.characters(field)?);
        (!tags.is_empty()).then(|| Value::List(tags.into_iter().map(Value::Text).collect()))
    }
}

impl Composite {
    /// The tags of `content` that the spec does not list and that are kept, each once.
    fn unlisted(&self, content: &[u8]) -> Vec<Text> {
        let mut tags = Vec::new();
        if self.unknown_tags == UnknownTags::Preserve {
            // Content that cannot be walked to its end is reported elsewhere; the tags before that are true.
            drop(self.walk(content, |item| {
                let tag = self.visible_key(&item, content).filter(|_| item.part.is_none());
                tags.extend(tag.filter(|tag| !tags.contains(tag)));
                Ok(())
            }));
        }
        tags
    }
}
