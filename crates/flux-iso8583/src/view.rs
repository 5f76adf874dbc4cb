//! A message as the lazy data of a signal: paths are read and written without building a tree.

use std::{any::Any, fmt, sync::Arc};

use flux_signal::{PathError, Text, Value, View};

use crate::{composite::split, error::WireError, mask, message::Message, spec::Target};

/// The view of a [`Message`]. Its paths are those of [`Message::to_value`], and any others that were set beside them.
#[derive(Clone)]
pub struct MessageView {
    message: Message,
    /// What was set beside the message: it is data of the signal, and never encoded.
    beside: Value,
}

/// What a path names.
enum Path<'a> {
    Mti,
    Exchange,
    /// A field, or something below it.
    Field(u8, Option<&'a str>),
    Raw(u8),
    UnknownTags(u8),
    /// Beside the message, or a map on the way to a field.
    Other,
    Nothing,
}

impl MessageView {
    /// The view of a message.
    pub fn new(message: Message) -> MessageView {
        MessageView { message, beside: Value::Null }
    }

    /// The message looked at.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, to be edited.
    pub fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }

    /// The message itself.
    pub fn into_message(self) -> Message {
        self.message
    }

    fn resolve<'a>(&'a self, path: &'a str) -> Path<'a> {
        if let Some(below) = path.strip_prefix("iso8583.") {
            let (head, rest) = split(below);
            let (number, part) = rest.map_or((None, None), |rest| {
                let (number, part) = split(rest);
                (number.parse::<u8>().ok(), part)
            });
            return match (head, number, part) {
                ("mti", None, None) if rest.is_none() => Path::Mti,
                ("exchange", None, None) if rest.is_none() => Path::Exchange,
                ("field", Some(number), part) => Path::Field(number, part),
                ("raw", Some(number), None) => Path::Raw(number),
                ("unknown_tags", Some(number), None) => Path::UnknownTags(number),
                ("field" | "raw" | "unknown_tags", _, _) => Path::Other,
                _ => Path::Nothing,
            };
        }
        match self.message.spec().alias(path) {
            Some(Target { field, part }) if part.is_empty() => Path::Field(*field, None),
            Some(target) => Path::Field(target.field, target.path()),
            None => Path::Other,
        }
    }
}

impl View for MessageView {
    fn get(&self, path: &str) -> Option<Value> {
        let composite = |field| self.message.spec().field(field).is_some_and(|f| f.composite.is_some());
        match self.resolve(path) {
            Path::Mti => Some(self.message.mti().into()),
            Path::Exchange => Some(Value::Text(self.message.exchange())),
            Path::Field(field, part) => self.message.get_at(field, part),
            Path::Raw(field) => composite(field).then(|| self.message.whole(field)).flatten(),
            Path::UnknownTags(field) => self.message.unknown_tags(field),
            Path::Other if self.is_beside(path) => self.beside.get(path).cloned(),
            Path::Other => self.to_value().get(path).cloned(),
            Path::Nothing => None,
        }
    }

    fn masked(&self, path: &str) -> Option<Text> {
        let value = self.get(path)?;
        let place = match self.resolve(path) {
            Path::Mti | Path::Exchange => return value.as_text().map(Text::from),
            Path::Field(field, None) => field.to_string(),
            Path::Field(field, Some(part)) => format!("{field}.{part}"),
            Path::Other if self.is_beside(path) => return mask::value(None, &value),
            Path::Raw(field) => {
                return mask::value(self.message.spec().field(field).and_then(mask::whole), &value);
            }
            // What is reached through a map of tags or aliases.
            Path::UnknownTags(_) | Path::Other | Path::Nothing => {
                return mask::value(Some(mask::Sensitivity::Sad), &value);
            }
        };
        mask::value(mask::sensitivity(self.message.spec(), &place), &value)
    }

    fn set(&mut self, path: &str, value: Value) -> Result<(), PathError> {
        let refused = |error: WireError| PathError::new(path, error.to_string());
        match (self.resolve(path), &value) {
            (Path::Mti, Value::Text(mti)) => {
                let mti = mti.clone();
                self.message.set_mti(&mti).map_err(refused)
            }
            (Path::Mti, _) => Err(PathError::new(path, "a message type is text of four digits")),
            (Path::Field(field, part), value) => {
                let part = part.map(str::to_owned);
                self.message.set_at(field, part.as_deref(), value).map_err(refused)
            }
            (Path::Exchange, _) => Err(PathError::new(path, "it is read only: set `iso8583.mti`")),
            (Path::Raw(_) | Path::UnknownTags(_), _) => {
                Err(PathError::new(path, "it is read only: set `iso8583.field` and the number"))
            }
            (Path::Other, _) if self.is_beside(path) => self.beside.set(path, value),
            (Path::Other, _) => self.edit_tree(path, |tree| tree.set(path, value)),
            (Path::Nothing, _) => Err(PathError::new(path, "a message has `mti` and `field`")),
        }
    }

    fn delete(&mut self, path: &str) -> bool {
        match self.resolve(path) {
            Path::Field(field, part) => {
                let part = part.map(str::to_owned);
                self.message.remove_at(field, part.as_deref())
            }
            Path::Mti | Path::Exchange | Path::Raw(_) | Path::UnknownTags(_) | Path::Nothing => false,
            Path::Other if self.is_beside(path) => self.beside.delete(path).is_some(),
            Path::Other => {
                let is_there = self.to_value().get(path).is_some();
                let delete = |tree: &mut Value| {
                    tree.delete(path);
                    Ok(())
                };
                is_there && self.edit_tree(path, delete).is_ok()
            }
        }
    }

    fn to_value(&self) -> Value {
        overlaid(self.message.to_value(), &self.beside)
    }

    fn fork(&self) -> Arc<dyn View> {
        Arc::new(self.clone())
    }

    fn weight_bytes(&self) -> usize {
        self.message.arena_bytes() + if self.beside == Value::Null { 0 } else { self.beside.weight_bytes() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl MessageView {
    /// Whether a path has nothing to do with the message: no alias begins like it.
    fn is_beside(&self, path: &str) -> bool {
        let (head, _) = split(path);
        head != "iso8583" && !path.is_empty() && !self.message.spec().has_alias_under(head)
    }

    /// Edits the tree, makes the message what it says then, and keeps the rest beside it.
    fn edit_tree(
        &mut self,
        path: &str,
        edit: impl FnOnce(&mut Value) -> Result<(), PathError>,
    ) -> Result<(), PathError> {
        let mut tree = self.to_value();
        edit(&mut tree)?;
        let mut message = self.message.clone();
        message.apply(&tree).map_err(|error| PathError::new(path, error.to_string()))?;
        tree.delete("iso8583");
        for (alias, _, _) in message.spec().aliased() {
            tree.delete(alias);
        }
        (self.message, self.beside) = (message, tree);
        Ok(())
    }
}

/// `tree` with everything of `above` that it does not have.
fn overlaid(tree: Value, above: &Value) -> Value {
    match (tree, above) {
        (Value::Map(mut tree), Value::Map(above)) => {
            for (key, value) in above.iter() {
                let merged = overlaid(tree.remove(key).unwrap_or_default(), value);
                tree.insert(key, merged);
            }
            Value::Map(tree)
        }
        (Value::Null, above) => above.clone(),
        (tree, _) => tree,
    }
}

impl fmt::Debug for MessageView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageView").field(&self.message).finish()
    }
}
