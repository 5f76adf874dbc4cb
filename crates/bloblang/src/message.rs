//! What a mapping reads and what it makes: a message of a batch, and the message that takes its place.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{Object, Value};

/// A message: its content, read as JSON only when a mapping asks for that, its metadata, and what happened to it.
#[derive(Debug, Clone, Default)]
pub struct Message {
    content: OnceLock<Bytes>,
    document: OnceLock<Option<Value>>,
    /// What travels beside the content.
    pub metadata: Arc<Object>,
    /// Why processing it failed, if it did.
    pub error: Option<String>,
    /// The id of its journey.
    pub flow_id: Option<String>,
    /// The id of its trace.
    pub trace_id: Option<String>,
    /// The headers that carry its span to the next process.
    pub span: Option<Value>,
}

impl Message {
    /// A message of bytes, which may be a JSON document.
    pub fn new(content: impl Into<Bytes>) -> Message {
        Message { content: OnceLock::from(content.into()), ..Message::default() }
    }

    /// A message of a document.
    pub fn structured(document: Value) -> Message {
        Message { document: OnceLock::from(Some(document)), ..Message::default() }
    }

    /// The same message with other metadata.
    pub fn with_metadata(mut self, metadata: Object) -> Message {
        self.metadata = Arc::new(metadata);
        self
    }

    /// The content; a document is written as JSON the first time somebody asks.
    pub fn content(&self) -> &Bytes {
        self.content.get_or_init(|| match self.document.get() {
            Some(Some(document)) => payload(document),
            _ => Bytes::new(),
        })
    }

    /// The document, if the content is one; it is read the first time somebody asks.
    pub fn document(&self) -> Option<&Value> {
        self.document.get_or_init(|| Value::from_json(self.content.get()?).ok()).as_ref()
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The new document.
    pub root: Root,
    /// The new metadata.
    pub metadata: Arc<Object>,
}

/// The document that a mapping made.
#[derive(Debug, Clone, PartialEq)]
pub enum Root {
    /// Nothing was assigned: the content stays what it was.
    Unchanged,
    /// This takes the place of the content.
    New(Value),
    /// The message is to be dropped.
    Deleted,
}

impl Mapped {
    /// The payload of the message that takes the place of `message`; none if it is dropped.
    pub fn payload(&self, message: &Message) -> Option<Bytes> {
        match &self.root {
            Root::Unchanged => Some(message.content().clone()),
            Root::New(value) => Some(payload(value)),
            Root::Deleted => None,
        }
    }
}

/// A document as a payload: text and bytes as they are, everything else as JSON.
fn payload(document: &Value) -> Bytes {
    match document {
        Value::String(text) => Bytes::copy_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => Bytes::clone(bytes),
        other => other.to_json().into(),
    }
}
