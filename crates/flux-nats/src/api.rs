//! Requests to the server, and what its answers mean.

use std::time::Duration;

use async_nats::client::{Request, RequestError, RequestErrorKind};
use async_nats::connection::State;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::{Client, HeaderMap, jetstream};
use bytes::Bytes;
use flux_bus::{Error, Name, Stored};
use flux_world::World;
use ring::digest::{SHA256, digest};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::settings::Settings;

/// Codes of errors that mean something to us, as the server numbers them.
const CONSUMER_MISSING: u64 = 10_014;
const STREAM_EXISTS: u64 = 10_058;
const STREAM_MISSING: u64 = 10_059;
const SUBJECT_OVERLAPS: u64 = 10_065;
const WRONG_LAST_SEQUENCE: u64 = 10_071;
const STORE_FAILED: u64 = 10_077;
const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10_164;

/// What the server holds for each message that we do not count: headers and subject.
pub(crate) const OVERHEAD_BYTES: usize = 8 << 10;

/// A connection, with how to ask on it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) world: World,
    pub(crate) settings: Settings,
    pub(crate) link: Link,
    prefix: String,
}

/// The connection, as events told of it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// How often it was made.
    pub(crate) made: watch::Receiver<u64>,
    /// How often it was lost.
    pub(crate) lost: watch::Receiver<u64>,
    /// Why the last attempt to make it failed.
    pub(crate) trouble: watch::Receiver<String>,
}

/// How the server says that it did not.
#[derive(Debug)]
pub(crate) enum Refused {
    /// With one of its codes, and in words.
    Code(u64, String),
    /// It did not answer.
    Bus(Error),
}

impl Api {
    pub(crate) fn new(client: Client, world: World, settings: Settings, link: Link) -> Self {
        let (mut jetstream, prefix) = match &settings.domain {
            None => (jetstream::new(client.clone()), "$JS.API".to_owned()),
            Some(domain) => {
                (jetstream::with_domain(client.clone(), domain.as_str()), format!("$JS.{domain}.API"))
            }
        };
        jetstream.set_timeout(settings.request_deadline);
        Self { client, jetstream, world, settings, link, prefix }
    }

    /// `$JS.API.` or that of the domain, and what is asked for.
    pub(crate) fn subject(&self, verb: &str) -> String {
        format!("{}.{verb}", self.prefix)
    }

    /// Where an entry is put: across a domain by way of its API, where it is not heard otherwise.
    pub(crate) fn subject_to_put(&self, subject: &str) -> String {
        match self.settings.domain {
            None => subject.to_owned(),
            Some(_) => self.subject(subject),
        }
    }

    /// Waits for an answer, unless the connection is lost on which it would have come. What is asked while there is none waits
    /// for the next.
    async fn unless_lost<T>(&self, answer: impl Future<Output = T>) -> Result<T, Error> {
        let mut lost = self.link.lost.clone();
        lost.mark_unchanged();
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            _ = lost.changed() => Err(Error::Away("the connection was lost".into())),
        }
    }

    pub(crate) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        body: Bytes,
        deadline: Duration,
    ) -> Result<async_nats::Message, Error> {
        let mut request = Request::new().payload(body).timeout(Some(deadline));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = self.unless_lost(self.client.send_request(subject.clone(), request)).await?;
        answer.map_err(|error| self.meaning(&subject, &error, deadline))
    }

    /// Asks JetStream for something.
    pub(crate) async fn ask(&self, verb: &str, body: &Json) -> Result<Json, Refused> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.answer(self.subject(verb), None, body).await
    }

    /// Gives a stream a message. `None` when no stream takes it.
    pub(crate) async fn store(
        &self,
        subject: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Option<Stored>, Refused> {
        let answer = match self.answer(subject, Some(headers), body).await {
            Err(Refused::Bus(Error::NobodyListens(_))) => return Ok(None),
            answer => answer?,
        };
        let sequence = answer["seq"].as_u64().ok_or_else(|| unreadable("a stored message"))?;
        Ok(Some(Stored { sequence, is_duplicate: answer["duplicate"].as_bool().unwrap_or(false) }))
    }

    async fn answer(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        body: Bytes,
    ) -> Result<Json, Refused> {
        let deadline = self.settings.request_deadline;
        let answer = self.request(subject.clone(), headers, body, deadline).await.map_err(Refused::Bus)?;
        let answer: Json = serde_json::from_slice(&answer.payload).map_err(|_| unreadable(&subject))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => {
                let words = error["description"].as_str().unwrap_or("no reason given").to_owned();
                Err(Refused::Code(error["err_code"].as_u64().unwrap_or(0), words))
            }
        }
    }

    /// Why a request was not answered.
    fn meaning(&self, subject: &str, error: &RequestError, deadline: Duration) -> Error {
        match error.kind() {
            RequestErrorKind::NoResponders => Error::NobodyListens(subject.to_owned()),
            RequestErrorKind::TimedOut => self.late(deadline),
            RequestErrorKind::InvalidSubject => {
                Error::Invalid(format!("{subject} is no subject to the server"))
            }
            RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => Error::Away(error.to_string()),
        }
    }

    /// No answer in time: is the server there?
    pub(crate) fn late(&self, deadline: Duration) -> Error {
        match self.is_connected() {
            true => Error::Deadline(deadline),
            false => match self.link.trouble.borrow().as_str() {
                "" => Error::Away("no server is connected".into()),
                why => Error::Away(format!("no server is connected: {why}")),
            },
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(crate) async fn stream_info(&self, stream: &str) -> Result<Info, Error> {
        let answer = self.ask(&format!("STREAM.INFO.{stream}"), &Json::Null).await;
        let answer = answer.map_err(|refused| refused.meaning(|| format!("stream {stream}")))?;
        let created = answer["created"].as_str().unwrap_or_default();
        let hash = digest(&SHA256, created.as_bytes());
        let hash = hash.as_ref().first_chunk().expect("SHA-256 is longer");
        Ok(Info {
            last: answer["state"]["last_seq"].as_u64().unwrap_or(0),
            epoch: u64::from_le_bytes(*hash),
            consumers: answer["state"]["consumer_count"].as_u64().unwrap_or(0),
            bytes: answer["state"]["bytes"].as_u64().unwrap_or(0),
            config: answer["config"].clone(),
        })
    }

    /// The message of a stream that `which` asks for.
    pub(crate) async fn message(
        &self,
        stream: &str,
        which: Which<'_>,
    ) -> Result<Option<StreamMessage>, Error> {
        let handle: Stream<()> = self.jetstream.get_stream_no_info(stream).await.map_err(away)?;
        let builder = handle.raw_message_builder();
        let builder = match which {
            Which::LastOf(subject) => builder.last_by_subject(subject),
            Which::NextOf(subject, sequence) => builder.sequence(sequence).next_by_subject(subject),
        };
        let sent = self.world.clock.timeout(self.settings.request_deadline, builder.send());
        let sent = self.unless_lost(sent).await?.map_err(|_| self.late(self.settings.request_deadline))?;
        match sent {
            Ok(message) => Ok(Some(message)),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(error) => {
                    let refused = Refused::Code(error.error_code().0, error.to_string());
                    Err(refused.meaning(|| format!("stream {stream}")))
                }
                RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => Err(away(error)),
            },
        }
    }

    /// Makes a stream; the same again is no change.
    pub(crate) async fn make_stream(&self, what: &str, config: Json) -> Result<(), Error> {
        let name = config["name"].as_str().unwrap_or_default().to_owned();
        match self.ask(&format!("STREAM.CREATE.{name}"), &config).await {
            Ok(_) => Ok(()),
            Err(Refused::Code(STREAM_EXISTS, _)) => {
                Err(Error::Different(format!("{what} is there, and made otherwise")))
            }
            Err(refused) => Err(refused.meaning(|| what.to_owned())),
        }
    }

    /// What any stream is made from.
    pub(crate) fn stream_config(&self, name: &str, subjects: &[String], bytes_max: u64) -> Json {
        json!({
            "name": name, "subjects": subjects, "storage": "file", "num_replicas": self.settings.replicas,
            "max_bytes": i64::try_from(bytes_max).unwrap_or(i64::MAX), "discard": "new", "retention": "limits",
            "max_consumers": -1, "max_msgs": -1, "max_msgs_per_subject": -1, "max_msg_size": -1, "max_age": 0,
        })
    }

    /// A way to the server and back, so that what was said before has been heard.
    pub(crate) async fn round_trip(&self) -> Result<(), Error> {
        let nobody = self.client.new_inbox();
        match self.request(nobody, None, Bytes::new(), self.settings.request_deadline).await {
            Ok(_) | Err(Error::NobodyListens(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How a stream stands.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) last: u64,
    /// Of when it was made.
    pub(crate) epoch: u64,
    pub(crate) consumers: u64,
    pub(crate) bytes: u64,
    pub(crate) config: Json,
}

/// Which message of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// The last one of a subject.
    LastOf(&'a str),
    /// The first one of a pattern from a place on.
    NextOf(&'a str, u64),
}

impl Refused {
    /// In the words of the seam; `what` was asked about.
    pub(crate) fn meaning(self, what: impl FnOnce() -> String) -> Error {
        match self {
            Refused::Bus(Error::NobodyListens(_)) => Error::Away("JetStream does not answer".into()),
            Refused::Bus(error) => error,
            Refused::Code(CONSUMER_MISSING | STREAM_MISSING, _) => Error::Missing(what()),
            Refused::Code(SUBJECT_OVERLAPS, words) => Error::Invalid(words),
            Refused::Code(STORE_FAILED, words) => Error::Full(words),
            Refused::Code(_, words) if words.contains("maximum") || words.contains("resource") => {
                Error::Full(words)
            }
            Refused::Code(code, words) => Error::Away(format!("{words} ({code})")),
        }
    }

    /// Whether somebody else was first.
    pub(crate) fn is_wrong_sequence(&self) -> bool {
        matches!(self, Refused::Code(WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_CONSTANT, _))
    }

    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Refused::Code(CONSUMER_MISSING, _))
    }
}

fn unreadable(what: &str) -> Refused {
    Refused::Bus(Error::Away(format!("the answer about {what} cannot be read")))
}

pub(crate) fn away(error: impl std::fmt::Display) -> Error {
    Error::Away(error.to_string())
}

pub(crate) fn bucket_stream(name: &Name) -> String {
    format!("KV_{name}")
}

pub(crate) fn objects_stream(name: &Name) -> String {
    format!("OBJ_{name}")
}
