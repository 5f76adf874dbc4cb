//! One connection to a scheme: requests in, answers out, both in batches.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::BytesMut;
use flux_world::{Clock, Instant, Stream};
use tokio::{io::AsyncWriteExt, sync::watch};

use super::answerer::{Answerer, Counts};
use crate::cmd::iso8583::frames::LengthBytes;

/// Bytes of one read at most.
const READ_BYTES: usize = 64 << 10;
/// Bytes of answers that may wait to be written, or for their delay to pass, before reading pauses.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// How connections are served.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) answerer: Arc<Answerer>,
    pub(super) length: LengthBytes,
    /// Time between a request and its answer.
    pub(super) delay: Duration,
}

/// Answers on their way.
#[derive(Default)]
struct Answers {
    /// To be written now.
    ready: BytesMut,
    /// To be written when their delay has passed.
    held: BytesMut,
    /// When, and how many bytes of `held`.
    due: VecDeque<(Instant, usize)>,
}

impl Link {
    /// Serves a connection until either side ends it.
    pub(super) async fn serve(self, stream: Stream, clock: Clock, ending: watch::Receiver<()>) -> Counts {
        let mut counts = Counts { connections: 1, ..Counts::default() };
        if let Err(why) = self.exchange(stream, clock, ending, &mut counts).await {
            tracing::debug!(%why, "connection lost");
        }
        counts
    }

    async fn exchange(
        &self,
        mut stream: Stream,
        clock: Clock,
        mut ending: watch::Receiver<()>,
        counts: &mut Counts,
    ) -> anyhow::Result<()> {
        let mut buffer = BytesMut::new();
        let mut answers = Answers::default();
        loop {
            let is_room = answers.ready.len() + answers.held.len() < WAITING_BYTES_MAX;
            let due = answers.due.front().map(|(at, _)| *at);
            buffer.reserve(READ_BYTES);
            tokio::select! {
                biased;
                _ = ending.changed() => return Ok(()),
                written = stream.write.write_buf(&mut answers.ready), if !answers.ready.is_empty() => {
                    written?;
                }
                () = wait_until(clock, due) => answers.release(clock.now()),
                read = stream.read.read(&mut buffer), if is_room => {
                    if read? == 0 {
                        break;
                    }
                    self.take(&mut buffer, &mut answers, clock, counts)?;
                }
            }
        }
        tokio::select! {
            biased;
            _ = ending.changed() => Ok(()),
            finished = answers.finish(&mut stream, clock) => Ok(finished?),
        }
    }

    /// Answers the requests that came in whole.
    fn take(
        &self,
        buffer: &mut BytesMut,
        answers: &mut Answers,
        clock: Clock,
        counts: &mut Counts,
    ) -> anyhow::Result<()> {
        let is_delayed = !self.delay.is_zero();
        let out = if is_delayed { &mut answers.held } else { &mut answers.ready };
        let before = out.len();
        while let Some(frame) = self.length.next(buffer)? {
            match self.answerer.answer(frame, self.length, out) {
                Ok(verdict) => counts.count(verdict),
                Err(why) => {
                    counts.malformed += 1;
                    tracing::warn!(%why, "a message was not understood");
                }
            }
        }
        let bytes = out.len() - before;
        if is_delayed && bytes > 0 {
            answers.due.push_back((clock.now() + self.delay, bytes));
        }
        Ok(())
    }
}

impl Answers {
    /// Takes what is due out of what is held.
    fn release(&mut self, now: Instant) {
        while let Some((_, bytes)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            self.ready.unsplit(self.held.split_to(bytes));
        }
    }

    /// Writes what is left for a peer that sends no more.
    async fn finish(&mut self, stream: &mut Stream, clock: Clock) -> io::Result<()> {
        while let Some((at, _)) = self.due.front() {
            clock.sleep_until(*at).await;
            self.release(clock.now());
        }
        stream.write.write_all_buf(&mut self.ready).await
    }
}

async fn wait_until(clock: Clock, at: Option<Instant>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use flux_iso8583::{Message, Spec};
    use flux_world::World;

    use super::*;

    fn link(has_tpdu: bool) -> Link {
        let answerer = Answerer {
            spec: Arc::new(Spec::builtin("iso87ascii").unwrap()),
            code: "00".into(),
            declined: vec!["5".into()],
            silent: vec!["6".into()],
            is_sink: false,
            moves: vec!["48:62".parse().unwrap()],
            has_tpdu,
        };
        Link { answerer: Arc::new(answerer), length: LengthBytes::Two, delay: Duration::ZERO }
    }

    /// Whatever comes in, what goes out are answers that can be read.
    #[test]
    fn a_link_takes_anything() {
        let (links, clock) = ([link(false), link(true)], World::real().clock);
        bolero::check!().for_each(|input: &[u8]| {
            let [choice, stream @ ..] = input else { return };
            let link = &links[usize::from(choice % 2)];
            let (mut answers, mut counts) = (Answers::default(), Counts::default());
            let _ = link.take(&mut BytesMut::from(stream), &mut answers, clock, &mut counts);
            let mut read = 0;
            while let Some(frame) = link.length.next(&mut answers.ready).unwrap() {
                let answer = frame.slice(if link.answerer.has_tpdu { 5 } else { 0 }..);
                let answer = Message::parse(Arc::clone(&link.answerer.spec), answer).unwrap();
                assert!(answer.has(39) && matches!(answer.mti().as_bytes()[2], b'1' | b'3' | b'5' | b'7'));
                read += 1;
            }
            assert_eq!(read, counts.approved + counts.declined);
        });
    }
}
