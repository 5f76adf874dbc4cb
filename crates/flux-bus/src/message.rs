//! What a bus carries: bytes under a subject, with headers.

use std::fmt;

use bytes::Bytes;

use crate::error::Error;
use crate::limits::{HEADERS_BYTES_MAX, HEADERS_MAX};
use crate::subject::Subject;

/// A message. `Debug` shows how long it is and never what is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it is sent to.
    pub subject: Subject,
    /// Where an answer is expected.
    pub reply: Option<Subject>,
    /// Said beside the body.
    pub headers: Headers,
    /// What is carried.
    pub body: Bytes,
}

/// Names and values, by name, each once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    list: Vec<(String, String)>,
}

impl Message {
    /// A message without headers that expects no answer.
    pub fn new(subject: Subject, body: impl Into<Bytes>) -> Self {
        Self { subject, reply: None, headers: Headers::default(), body: body.into() }
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.headers.set(name, value)?;
        Ok(self)
    }

    /// Refuses a body that is too long.
    pub fn check(&self, bytes_max: usize) -> Result<(), Error> {
        match self.body.len() {
            bytes if bytes > bytes_max => Err(Error::TooLong { bytes, bytes_max }),
            _ => Ok(()),
        }
    }
}

impl Headers {
    /// Sets a header: its name is letters, digits, `-` and `_`, and does not begin with `Nats-`; its value is one line of
    /// visible ASCII and spaces, with none around it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_name || name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) {
            return Err(Error::Invalid(format!("{name:?} is no name of a header")));
        }
        let is_visible = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !is_visible || value.trim() != value {
            return Err(Error::Invalid(format!(
                "the value of the header {name} is not a line of visible ASCII"
            )));
        }
        self.list.retain(|(other, _)| other != name);
        let there: usize = self.list.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = there + name.len() + value.len();
        if self.list.len() == HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
            return Err(Error::TooLong { bytes, bytes_max: HEADERS_BYTES_MAX });
        }
        let at = self.list.partition_point(|(other, _)| other.as_str() < name);
        self.list.insert(at, (name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The value under a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.list.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message of {} bytes to {}", self.body.len(), self.subject)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked() {
        let mut headers = Headers::default();
        headers.set("Flux-A", "1 2").unwrap();
        headers.set("Flux-A", "3").unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("Flux-A", "3")]);
        for (name, value) in
            [("", "x"), ("a b", "x"), ("Nats-Msg-Id", "x"), ("nats-x", "x"), ("a", "b\r\nc"), ("a", " b")]
        {
            assert!(headers.set(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(headers.set("b", &"x".repeat(HEADERS_BYTES_MAX)).is_err());
        assert_eq!(headers.iter().len(), 1);
    }

    #[test]
    fn a_payload_is_never_shown() {
        let message =
            Message::new(Subject::new("a.b").unwrap(), "4111111111111111").with("A", "secret").unwrap();
        assert_eq!(format!("{message:?} {:?}", message.headers), "message of 16 bytes to a.b [\"A\"]");
    }
}
