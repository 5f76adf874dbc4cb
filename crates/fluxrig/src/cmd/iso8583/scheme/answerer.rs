//! What a scheme answers to a request.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use flux_iso8583::{FIELD_MAX, Message, Spec, WireError, header::Tpdu, response_mti};
use serde::Serialize;

use crate::cmd::iso8583::frames::LengthBytes;

/// Fields of a request that its answer has too: account number, processing code, amount, transmission time, trace
/// number, reference number, terminal, currency, network management code.
const ECHOED: [u8; 9] = [2, 3, 4, 7, 11, 37, 41, 49, 70];
/// The response code of a decline: do not honour.
const DECLINED: &str = "05";
/// The response code of network management.
const APPROVED: &str = "00";
/// Field numbers as paths.
static PATHS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..=FIELD_MAX).map(|field| field.to_string()).collect());

/// Decides about requests.
pub(super) struct Answerer {
    pub(super) spec: Arc<Spec>,
    /// The response code of an approval.
    pub(super) code: String,
    /// Beginnings of account numbers that are declined.
    pub(super) declined: Vec<String>,
    /// Beginnings of account numbers that get no answer.
    pub(super) silent: Vec<String>,
    pub(super) is_sink: bool,
    pub(super) moves: Vec<Move>,
    pub(super) has_tpdu: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    Declined,
    /// No answer, on purpose.
    Silent,
    /// No request: an answer, or a notification.
    Ignored,
}

impl Answerer {
    /// Appends the answer to the request in `frame`, in a frame of its own, if it gets one.
    pub(super) fn answer(
        &self,
        frame: Bytes,
        length: LengthBytes,
        out: &mut BytesMut,
    ) -> anyhow::Result<Verdict> {
        if self.is_sink {
            return Ok(Verdict::Silent);
        }
        let (tpdu, frame) = match self.has_tpdu {
            true => {
                let (tpdu, rest) = Tpdu::split(&frame).context("too short for a TPDU")?;
                (Some(tpdu.swapped().to_bytes()), frame.slice_ref(rest))
            }
            false => (None, frame),
        };
        let request = Message::parse(Arc::clone(&self.spec), frame)?;
        let Some(mti) = response_mti(request.mti()) else { return Ok(Verdict::Ignored) };
        let verdict = self.judge(&request);
        if verdict == Verdict::Silent {
            return Ok(verdict);
        }
        let answer = self.compose(request, mti, verdict)?;
        length.put(out, |out| {
            out.extend_from_slice(tpdu.as_ref().map_or(&[], |tpdu| &tpdu[..]));
            answer.build(out);
        })?;
        Ok(verdict)
    }

    fn judge(&self, request: &Message) -> Verdict {
        let pan = request.characters(2).unwrap_or_default();
        let is_among = |list: &[String]| {
            list.iter().any(|prefix| !prefix.is_empty() && pan.starts_with(prefix.as_bytes()))
        };
        if is_network_management(request) {
            Verdict::Approved
        } else if is_among(&self.silent) {
            Verdict::Silent
        } else if is_among(&self.declined) {
            Verdict::Declined
        } else {
            Verdict::Approved
        }
    }

    /// The request turned into its answer: what is not echoed is taken out, the rest is copied as it came.
    fn compose(&self, mut message: Message, mti: [u8; 4], verdict: Verdict) -> Result<Message, WireError> {
        let moved = self.moves.iter().filter_map(|Move { from, to }| Some((*to, message.whole(*from)?)));
        let moved: Vec<_> = moved.collect();
        for field in message.fields().filter(|field| !ECHOED.contains(field)) {
            message.remove(&PATHS[usize::from(field)]);
        }
        let code = match verdict {
            Verdict::Declined => DECLINED,
            _ if is_network_management(&message) => APPROVED,
            _ => &self.code,
        };
        message.set_text(39, code)?;
        message.set_mti(std::str::from_utf8(&mti).expect("a message type is four digits"))?;
        for (to, value) in moved {
            message.set(&PATHS[usize::from(to)], &value)?;
        }
        Ok(message)
    }
}

fn is_network_management(message: &Message) -> bool {
    message.mti().as_bytes()[1] == b'8'
}

/// Copies a field of the request into one of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    from: u8,
    to: u8,
}

impl FromStr for Move {
    type Err = String;

    fn from_str(text: &str) -> Result<Move, String> {
        let number = |text: &str| text.parse().ok().filter(|field| (2..=FIELD_MAX).contains(field));
        let numbers = text.split_once(':').and_then(|(from, to)| Some((number(from)?, number(to)?)));
        let (from, to) = numbers.ok_or("expected two field numbers, as in 48:62")?;
        Ok(Move { from, to })
    }
}

/// What a scheme did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) connections: u64,
    pub(super) approved: u64,
    pub(super) declined: u64,
    pub(super) silent: u64,
    pub(super) ignored: u64,
    pub(super) malformed: u64,
}

impl Counts {
    pub(super) fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Approved => &mut self.approved,
            Verdict::Declined => &mut self.declined,
            Verdict::Silent => &mut self.silent,
            Verdict::Ignored => &mut self.ignored,
        } += 1;
    }

    pub(super) fn add(&mut self, other: Counts) {
        let Counts { connections, approved, declined, silent, ignored, malformed } = other;
        self.connections += connections;
        self.approved += approved;
        self.declined += declined;
        self.silent += silent;
        self.ignored += ignored;
        self.malformed += malformed;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { connections, approved, declined, silent, ignored, malformed } = self;
        write!(
            f,
            "{connections} connections: {approved} approved, {declined} declined, {silent} unanswered, "
        )?;
        write!(f, "{ignored} no requests, {malformed} malformed")
    }
}
