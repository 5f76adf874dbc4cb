//! Server-sent events, read from bytes as they come.
//!
//! ```text
//! id: <id> LF  event: <what> LF  data: <text> LF  LF      an event; other fields, and lines that begin with `:`, mean nothing
//! ```

use std::collections::VecDeque;

/// Longest line. An event of a Mixer has some hundred bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Longest data of an event, of whatever lines.
const DATA_BYTES_MAX: usize = 64 << 10;

/// An event as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) id: Option<String>,
    pub(super) event: String,
    pub(super) data: String,
}

/// Too long to be an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it sends an event that is longer than any of a Mixer")]
pub(super) struct TooLong;

/// What came so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The beginning of a line.
    rest: Vec<u8>,
    /// The beginning of an event.
    begun: Sent,
    has_begun: bool,
    whole: VecDeque<Sent>,
}

impl Reader {
    /// Takes what came in.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() + piece.len() > LINE_BYTES_MAX {
                return Err(TooLong);
            }
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.rest);
                self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']))?;
            }
        }
        Ok(())
    }

    /// The next event that is whole.
    pub(super) fn next(&mut self) -> Option<Sent> {
        self.whole.pop_front()
    }

    fn line(&mut self, line: &str) -> Result<(), TooLong> {
        if line.is_empty() {
            if std::mem::take(&mut self.has_begun) {
                self.whole.push_back(std::mem::take(&mut self.begun));
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.begun.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.begun.event),
            "data" => {
                let data = &mut self.begun.data;
                if data.len() + value.len() > DATA_BYTES_MAX {
                    return Err(TooLong);
                }
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
            }
            // A comment, or what nobody here knows.
            _ => return Ok(()),
        }
        self.has_begun = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<Sent>, TooLong> {
        let mut reader = Reader::default();
        for piece in pieces {
            reader.take(piece)?;
        }
        Ok(std::iter::from_fn(|| reader.next()).collect())
    }

    #[test]
    fn events_are_whole_when_their_empty_line_came() {
        let text = b": \n\nid: a-1\nevent: rack.active\ndata: {\ndata: }\n\nretry: 3\n\nevent: again\r\n\r\nid: a-2\n";
        let event = |id: Option<&str>, event: &str, data: &str| Sent {
            id: id.map(str::to_owned),
            event: event.into(),
            data: data.into(),
        };
        assert_eq!(
            all(&[text]).unwrap(),
            [event(Some("a-1"), "rack.active", "{\n}"), event(None, "again", "")]
        );
        assert_eq!(all(&[&vec![b'x'; LINE_BYTES_MAX + 1]]), Err(TooLong));
        let line = [b"data: ".to_vec(), vec![b'x'; DATA_BYTES_MAX / 2 + 1], b"\n".to_vec()].concat();
        assert_eq!(all(&[&line, &line]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn it_is_the_same_in_whatever_pieces_it_comes(
            text in "((id|event|data|x)?:? ?[a-z]{0,4}\r?\n|\n){0,30}", at in 0_usize..200
        ) {
            let at = at.min(text.len());
            prop_assert_eq!(all(&[text.as_bytes()]), all(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]));
        }
    }

    #[test]
    fn any_bytes_are_events_or_too_long() {
        bolero::check!().for_each(|input: &[u8]| {
            if let Ok(events) = all(&[input]) {
                assert!(events.iter().all(|event| event.data.len() <= input.len()));
            }
        });
    }
}
