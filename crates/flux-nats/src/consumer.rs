//! A durable pull consumer: asks for what is there, then waits for one.
//!
//! A request that waits asks for a single message, so that none is sent to a reader who has left with what he came for.

use std::time::Duration;

use async_nats::StatusCode;
use bytes::Bytes;
use flux_bus::limits::FETCH_MESSAGES_MAX;
use flux_bus::{Answer, Consumer, Delivery, Error, Lease, Name};
use flux_world::Instant;
use futures_util::StreamExt;
use serde_json::{Value as Json, json};

use crate::api::{Api, away};
use crate::convert;

/// The longest a request waits on the server before it is made again: what was lost with a server is asked for again.
const PULL_MAX: Duration = Duration::from_secs(5);

/// How long a request that does not wait may take. A server of 2.9 answers none for which there is no room.
const AT_ONCE_MAX: Duration = Duration::from_secs(1);

/// What a request that waits may take longer than it was told.
const GRACE: Duration = Duration::from_millis(500);

pub(crate) struct NatsConsumer {
    api: Api,
    stream: Name,
    name: Name,
    next: String,
}

struct Loan {
    api: Api,
    reply: String,
    /// How often a connection had been lost when it came.
    lost: u64,
}

impl std::fmt::Debug for NatsConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "consumer {} of {}", self.name, self.stream)
    }
}

impl std::fmt::Debug for Loan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loan {}", self.reply)
    }
}

/// How a request for messages ended.
enum End {
    /// There are no more for now, or as many are out as may be.
    None,
    /// Those who asked wait for nothing: ask again.
    Again,
    Missing,
}

impl NatsConsumer {
    pub(crate) fn new(api: Api, stream: Name, name: Name) -> Self {
        let next = api.subject(&format!("CONSUMER.MSG.NEXT.{stream}.{name}"));
        Self { api, stream, name, next }
    }

    /// One request, until it has brought `count` messages or ended.
    async fn pull(&self, request: Json, count: usize, until: Instant) -> Result<(Vec<Delivery>, End), Error> {
        let mut lost = self.api.link.lost.clone();
        lost.mark_unchanged();
        let inbox = self.api.client.new_inbox();
        let mut answers = self.api.client.subscribe(inbox.clone()).await.map_err(away)?;
        let body = Bytes::from(request.to_string());
        self.api.client.publish_with_reply(self.next.clone(), inbox, body).await.map_err(away)?;
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            let answer = tokio::select! {
                biased;
                answer = answers.next() => answer,
                // The request went with the connection.
                _ = lost.changed() => return Ok((deliveries, End::Again)),
                () = self.api.world.clock.sleep_until(until) => return Ok((deliveries, End::Again)),
            };
            let Some(answer) = answer else { return Err(Error::Closed) };
            match answer.status {
                None | Some(StatusCode::OK) => deliveries.extend(self.delivery(answer)),
                Some(StatusCode::NO_RESPONDERS) => return Ok((deliveries, End::Missing)),
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok((deliveries, End::None)),
                Some(_) => {
                    let is_gone = answer.description.as_ref().is_some_and(|words| words.contains("Deleted"));
                    return Ok((deliveries, if is_gone { End::Missing } else { End::None }));
                }
            }
        }
        Ok((deliveries, End::None))
    }

    fn delivery(&self, answer: async_nats::Message) -> Option<Delivery> {
        let reply = answer.reply.as_ref()?.to_string();
        let (attempt, sequence) = place(&reply)?;
        let (mut message, id) = convert::message(answer)
            .inspect_err(
                |error| tracing::error!(stream = %self.stream, sequence, %error, "a message cannot be read"),
            )
            .ok()?;
        message.reply = None;
        let lost = *self.api.link.lost.borrow();
        let lease = Box::new(Loan { api: self.api.clone(), reply, lost });
        Some(Delivery { message, id, sequence, attempt, lease })
    }

    async fn fetch_some(&self, messages_max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let clock = self.api.world.clock;
        let deadline = clock.now() + wait;
        loop {
            let soon = clock.now() + AT_ONCE_MAX.min(self.api.settings.request_deadline);
            let at_once = json!({ "batch": messages_max, "no_wait": true });
            let (deliveries, end) = self.pull(at_once, messages_max, soon).await?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            let mut pause = Duration::ZERO;
            match end {
                End::Missing => {
                    // JetStream may not be up yet, or the consumer is gone.
                    let verb = format!("CONSUMER.INFO.{}.{}", self.stream, self.name);
                    let what = || format!("consumer {} of stream {}", self.name, self.stream);
                    self.api.ask(&verb, &Json::Null).await.map_err(|refused| refused.meaning(what))?;
                    pause = GRACE;
                }
                // Where there is no connection, what is asked next waits for it.
                End::Again | End::None => {}
            }
            let left = deadline.saturating_duration_since(clock.now()).min(PULL_MAX);
            if left.is_zero() {
                return Ok(Vec::new());
            }
            clock.sleep(pause.min(left)).await;
            let one = json!({ "batch": 1, "expires": left.as_nanos() as u64 });
            let (mut deliveries, _) = self.pull(one, 1, clock.now() + left + GRACE).await?;
            if !deliveries.is_empty() {
                if messages_max > 1 {
                    let more = json!({ "batch": messages_max - 1, "no_wait": true });
                    deliveries.extend(self.pull(more, messages_max - 1, clock.now() + GRACE).await?.0);
                }
                return Ok(deliveries);
            }
        }
    }
}

/// The attempt and the place in the stream, from the subject that acknowledges:
/// `$JS.ACK.stream.consumer.attempt.place.…`, or with a domain and an account before the stream.
pub(crate) fn place(reply: &str) -> Option<(u32, u64)> {
    let tokens: Vec<&str> = reply.split('.').collect();
    let at = if tokens.len() >= 11 { 6 } else { 4 };
    Some((tokens.get(at)?.parse().ok()?, tokens.get(at + 1)?.parse().ok()?))
}

impl Consumer for NatsConsumer {
    fn fetch(&self, messages_max: usize, wait: Duration) -> Answer<'_, Vec<Delivery>> {
        Box::pin(self.fetch_some(messages_max.clamp(1, FETCH_MESSAGES_MAX), wait))
    }
}

impl Loan {
    /// Says it, and waits until the server has heard it. A server that was killed may not know of the loan any more, and then
    /// never answers: it is told, and nobody waits.
    async fn say(&self, word: String) -> Result<(), Error> {
        if *self.api.link.lost.borrow() != self.lost {
            let deadline = self.api.settings.request_deadline;
            let said = self.api.client.publish(self.reply.clone(), word.into());
            let said = self.api.world.clock.timeout(deadline, said).await;
            said.map_err(|_| self.api.late(deadline))?.map_err(away)?;
            return Err(Error::Away("the connection it came by was lost: it may come again".into()));
        }
        let deadline = self.api.settings.request_deadline;
        let said = self.api.request(self.reply.clone(), None, word.into(), deadline).await;
        said.map(drop).map_err(|error| match error {
            Error::NobodyListens(_) => Error::Missing("consumer to acknowledge to".into()),
            other => other,
        })
    }
}

impl Lease for Loan {
    fn ack(&self) -> Answer<'_, ()> {
        Box::pin(self.say("+ACK".into()))
    }

    fn nak(&self, delay: Duration) -> Answer<'_, ()> {
        Box::pin(self.say(match delay.as_nanos() as u64 {
            0 => "-NAK".into(),
            delay => format!("-NAK {}", json!({ "delay": delay })),
        }))
    }

    fn term(&self) -> Answer<'_, ()> {
        Box::pin(self.say("+TERM".into()))
    }

    fn extend(&self) -> Answer<'_, ()> {
        Box::pin(self.say("+WPI".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_names_its_place() {
        assert_eq!(place("$JS.ACK.s.c.3.71.5.1700000000000000000.0"), Some((3, 71)));
        assert_eq!(place("$JS.ACK.hub.hash.s.c.3.71.5.1700000000000000000.0"), Some((3, 71)));
        assert_eq!(place("$JS.ACK._.hash.s.c.1.2.5.1700000000000000000.0.token"), Some((1, 2)));
        assert_eq!(place("$JS.ACK.s.c"), None);
    }
}
