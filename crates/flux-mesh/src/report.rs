//! A report: what the receiver of a mesh wire says it has, as often as it likes.
//!
//! ```text
//! [ 1,        the version
//!   epoch,    which outbox it is about; 0: of none it has anything
//!   mark,     it has all records before this one, on disk
//!   state ]   0: there is more on its way; 1: the bus has nothing more for it; 2: it was sent what it cannot go on with:
//!             send again from the mark
//! ```

use bytes::Bytes;

use crate::cbor::{Major, Malformed, Reader, push};
use crate::limits::SEQUENCE_MAX;
use crate::mark::Mark;

const VERSION: u64 = 1;
const ITEMS: u64 = 4;

/// What a receiver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Up to where, of which outbox.
    pub mark: Mark,
    /// What it waits for.
    pub state: State,
}

/// What a receiver waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is at work.
    Busy,
    /// The bus has nothing more for it.
    Idle,
    /// It was sent something that does not follow its mark.
    Missing,
}

impl Report {
    /// As it is on the bus.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push(Major::List, ITEMS, &mut out);
        [VERSION, self.mark.epoch, self.mark.next, self.state as u64]
            .iter()
            .for_each(|&n| push(Major::Uint, n, &mut out));
        out
    }

    /// What [`Report::encode`] wrote, and nothing else.
    pub fn decode(body: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body.clone());
        if reader.list()? != ITEMS || reader.uint()? != VERSION {
            return Err(reader.problem("no report that this program reads"));
        }
        let mark = Mark { epoch: reader.uint()?, next: reader.uint()? };
        if mark.next > SEQUENCE_MAX {
            return Err(reader.problem("a sequence that no outbox has"));
        }
        let state = match reader.uint()? {
            0 => State::Busy,
            1 => State::Idle,
            2 => State::Missing,
            _ => return Err(reader.problem("an unknown state")),
        };
        reader.end()?;
        Ok(Self { mark, state })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes() {
        let report = Report { mark: Mark { epoch: 0x0102_0304_0506, next: 70_000 }, state: State::Missing };
        assert_eq!(report.encode(), [0x84, 1, 0x1B, 0, 0, 1, 2, 3, 4, 5, 6, 0x1A, 0, 1, 0x11, 0x70, 2]);
        let none = Report { mark: Mark::default(), state: State::Idle };
        assert_eq!(none.encode(), [0x84, 1, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(epoch: u64, next in 0..=SEQUENCE_MAX, state in 0..3) {
            let state = [State::Busy, State::Idle, State::Missing][state as usize];
            let report = Report { mark: Mark { epoch, next }, state };
            prop_assert_eq!(Report::decode(&report.encode().into()), Ok(report));
        }

        #[test]
        fn any_bytes_are_refused_or_a_report_in_its_one_form(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let bytes = Bytes::from(bytes);
            if let Ok(report) = Report::decode(&bytes) {
                prop_assert_eq!(report.encode(), bytes);
            }
        }
    }
}
