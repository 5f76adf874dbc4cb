//! What is in the journal of dead letters.
//!
//! ```text
//!          0      1          5          13        21     37
//! letter   | 1    | attempts | first    | last    | id   | n gear | n port | n reason | nn error | message in CBOR ...
//! gone     | 2    | sequence | sequence | ...               letters that were dropped, or replayed with success
//! again    | 3    | sequence | sequence | ...               letters to be replayed at the next start
//! ```
//!
//! Numbers are little-endian: attempts of four bytes, times and sequences of eight; times are nanoseconds since the Unix
//! epoch. A text has its length before it, in one byte, that of the error in two. A letter is known by the sequence of its
//! record.

use flux_gear::FluxId;
use flux_signal::cbor;

use super::DeadLetter;

const LETTER: u8 = 1;
const GONE: u8 = 2;
const AGAIN: u8 = 3;

/// Sequences in one record, at most.
pub(super) const SEQUENCES_MAX: usize = 1 << 12;

/// Longest error text that is kept.
const ERROR_BYTES_MAX: usize = 4 << 10;

/// A record, read without copying.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Letter(LetterView<'a>),
    Gone(Sequences<'a>),
    Again(Sequences<'a>),
}

/// A letter as it lies in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LetterView<'a> {
    pub(super) attempts: u32,
    pub(super) first_unix_ns: i64,
    pub(super) unix_ns: i64,
    pub(super) id: FluxId,
    pub(super) gear: &'a str,
    pub(super) port: &'a str,
    pub(super) reason: &'a str,
    pub(super) error: &'a str,
    /// The message in CBOR.
    pub(super) msg: &'a [u8],
}

/// Sequences of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequences<'a>(&'a [u8]);

impl<'a> Sequences<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = u64> + use<'a> {
        self.0.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// Reads a record; `None` when it is not one.
pub(super) fn read(body: &[u8]) -> Option<Record<'_>> {
    let (&kind, rest) = body.split_first()?;
    let sequences = || rest.len().is_multiple_of(8).then_some(Sequences(rest));
    match kind {
        LETTER => read_letter(rest).map(Record::Letter),
        GONE => sequences().map(Record::Gone),
        AGAIN => sequences().map(Record::Again),
        _ => None,
    }
}

fn read_letter(rest: &[u8]) -> Option<LetterView<'_>> {
    let (attempts, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (gear, rest) = short_text(rest)?;
    let (port, rest) = short_text(rest)?;
    let (reason, rest) = short_text(rest)?;
    let (error_bytes, rest) = rest.split_first_chunk()?;
    let (error, msg) = text(rest, usize::from(u16::from_le_bytes(*error_bytes)))?;
    Some(LetterView {
        attempts: u32::from_le_bytes(*attempts),
        first_unix_ns: i64::from_le_bytes(*first),
        unix_ns: i64::from_le_bytes(*last),
        id: FluxId::from_bytes(*id)?,
        gear,
        port,
        reason,
        error,
        msg,
    })
}

fn short_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    text(rest, length.into())
}

fn text(bytes: &[u8], length: usize) -> Option<(&str, &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// The record of a letter. Data that CBOR cannot hold, for its depth, is left out; the payload is kept.
pub(super) fn write_letter(letter: &DeadLetter) -> Vec<u8> {
    let mut body = vec![LETTER];
    body.extend_from_slice(&letter.attempts.to_le_bytes());
    body.extend_from_slice(&letter.first_unix_ns.to_le_bytes());
    body.extend_from_slice(&letter.unix_ns.to_le_bytes());
    body.extend_from_slice(&letter.msg.id.to_bytes());
    for text in [&letter.gear, &letter.port, letter.reason.as_str()] {
        let text = clipped(text, u8::MAX.into());
        body.push(u8::try_from(text.len()).expect("clipped"));
        body.extend_from_slice(text.as_bytes());
    }
    let error = clipped(&letter.message, ERROR_BYTES_MAX);
    body.extend_from_slice(&u16::try_from(error.len()).expect("clipped").to_le_bytes());
    body.extend_from_slice(error.as_bytes());
    if cbor::encode(&letter.msg, &mut body).is_err() {
        let mut msg = letter.msg.clone();
        msg.data = flux_signal::Data::Empty;
        cbor::encode(&msg, &mut body).expect("a message without data has no depth");
    }
    body
}

pub(super) fn write_gone(sequences: &[u64]) -> Vec<u8> {
    write_sequences(GONE, sequences)
}

pub(super) fn write_again(sequences: &[u64]) -> Vec<u8> {
    write_sequences(AGAIN, sequences)
}

fn write_sequences(kind: u8, sequences: &[u64]) -> Vec<u8> {
    let bytes = sequences.iter().flat_map(|sequence| sequence.to_le_bytes());
    std::iter::once(kind).chain(bytes).collect()
}

/// The start of a text, in whole characters.
fn clipped(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxMsg;
    use proptest::prelude::*;

    use super::*;

    fn letter(gear: &str, reason: &str, message: &str, attempts: u32) -> DeadLetter {
        let msg = FluxMsg::new(FluxId::v7(7, 9), 3, "payload");
        let (gear, port, reason) = (gear.to_owned(), "in".to_owned(), reason.into());
        DeadLetter {
            msg,
            gear,
            port,
            reason,
            message: message.into(),
            attempts,
            first_unix_ns: -5,
            unix_ns: 6,
        }
    }

    proptest! {
        #[test]
        fn a_letter_reads_back(gear in ".{0,400}", reason in ".{0,20}", error in ".{0,5000}", attempts: u32) {
            let written = write_letter(&letter(&gear, &reason, &error, attempts));
            let Some(Record::Letter(read)) = read(&written) else { panic!("not a letter") };
            prop_assert!(gear.starts_with(read.gear) && error.starts_with(read.error));
            prop_assert_eq!((read.port, read.reason, read.attempts), ("in", reason.as_str(), attempts));
            prop_assert_eq!((read.first_unix_ns, read.unix_ns, read.id), (-5, 6, FluxId::v7(7, 9)));
            prop_assert_eq!(cbor::peek(read.msg).unwrap().payload_bytes, 7);
        }

        #[test]
        fn sequences_read_back(sequences in prop::collection::vec(any::<u64>(), 0..20)) {
            let (gone, again) = (write_gone(&sequences), write_again(&sequences));
            let Some(Record::Gone(read_gone)) = read(&gone) else { panic!("not gone") };
            prop_assert_eq!(read_gone.iter().collect::<Vec<_>>(), sequences.clone());
            let Some(Record::Again(read_again)) = read(&again) else { panic!("not again") };
            prop_assert_eq!(read_again.iter().collect::<Vec<_>>(), sequences);
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..5) {
            let _ = read(&bytes);
            let _ = read(&[&[kind], &bytes[..]].concat());
        }
    }

    #[test]
    fn a_cut_record_is_none() {
        let whole = write_letter(&letter("a", "b", "c", 1));
        let head = 37 + "\x01a".len() + "\x02in".len() + "\x01b".len() + "\x01\0c".len();
        assert!((0..head).all(|cut| read(&whole[..cut]).is_none()));
        assert!(read(&write_gone(&[1, 2])[..12]).is_none());
    }
}
