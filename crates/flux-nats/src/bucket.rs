//! A bucket is a stream with one message for each key; its revisions are places in the stream.

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use flux_bus::{Answer, Bucket, Entry, Error, Key, Name, Revision, Watch};
use serde_json::{Value as Json, json};

use crate::api::{Api, Which, bucket_stream};
use crate::watch::NatsWatch;

const HEADER_EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const HEADER_OPERATION: &str = "KV-Operation";

/// How often a creation looks again at a key that changes under its eyes.
const CREATE_ATTEMPTS_MAX: usize = 8;

/// Entries asked for at a time.
const LIST_ENTRIES: usize = 256;

#[derive(Clone)]
pub(crate) struct NatsBucket {
    pub(crate) api: Api,
    pub(crate) stream: String,
    /// Before the key in a subject: `$KV.name.`.
    prefix: String,
    value_bytes_max: usize,
}

impl std::fmt::Debug for NatsBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bucket {}", self.stream)
    }
}

/// What a message of a bucket's stream says.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) revision: Revision,
    /// None: it was removed.
    pub(crate) value: Option<Bytes>,
}

impl NatsBucket {
    pub(crate) fn new(api: Api, name: &Name, value_bytes_max: usize) -> Self {
        Self { api, stream: bucket_stream(name), prefix: format!("$KV.{name}."), value_bytes_max }
    }

    /// All subjects of the bucket.
    pub(crate) fn pattern(&self) -> String {
        format!("{}>", self.prefix)
    }

    fn subject(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn change(
        &self,
        subject: &str,
        revision: u64,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Option<Change> {
        let key = Key::new(subject.strip_prefix(&self.prefix)?).ok()?;
        let is_removal =
            headers.get(HEADER_OPERATION).is_some_and(|word| matches!(word.as_str(), "DEL" | "PURGE"));
        Some(Change { key, revision, value: (!is_removal).then_some(body) })
    }

    pub(crate) fn change_of(&self, message: StreamMessage) -> Option<Change> {
        self.change(&message.subject, message.sequence, &message.headers, message.payload)
    }

    /// The last change of a key.
    async fn last(&self, key: &Key) -> Result<Option<Change>, Error> {
        let message = self.api.message(&self.stream, Which::LastOf(&self.subject(key))).await?;
        Ok(message.and_then(|message| self.change_of(message)))
    }

    /// Puts or removes at a revision; none where there was nothing yet. `None` when somebody else was first.
    async fn write(
        &self,
        key: &Key,
        value: Option<Bytes>,
        expected: Revision,
    ) -> Result<Option<Revision>, Error> {
        let (bytes, bytes_max) = (value.as_ref().map_or(0, Bytes::len), self.value_bytes_max);
        if bytes > bytes_max {
            return Err(Error::TooLong { bytes, bytes_max });
        }
        let mut headers = HeaderMap::new();
        headers.insert(HEADER_EXPECTED, expected.to_string());
        if value.is_none() {
            headers.insert(HEADER_OPERATION, "DEL");
        }
        let subject = self.api.subject_to_put(&self.subject(key));
        match self.api.store(subject, headers, value.unwrap_or_default()).await {
            Ok(Some(stored)) => Ok(Some(stored.sequence)),
            Ok(None) => Err(Error::Missing(format!("bucket {}", self.stream))),
            Err(refused) if refused.is_wrong_sequence() => Ok(None),
            Err(refused) => Err(refused.meaning(|| format!("bucket {}", self.stream))),
        }
    }

    /// The server compares places only: that it is an entry and no removal is known from having been told its revision.
    async fn replace(&self, key: Key, value: Option<Bytes>, expected: Revision) -> Result<Revision, Error> {
        let is_entry =
            self.last(&key).await?.is_some_and(|last| last.revision == expected && last.value.is_some());
        let written = if is_entry { self.write(&key, value, expected).await? } else { None };
        written.ok_or(Error::Revision(key))
    }

    async fn make(&self, key: Key, value: Bytes) -> Result<Revision, Error> {
        for _ in 0..CREATE_ATTEMPTS_MAX {
            let expected = match self.last(&key).await? {
                Some(Change { value: Some(_), .. }) => return Err(Error::Revision(key)),
                Some(removal) => removal.revision,
                None => 0,
            };
            if let Some(revision) = self.write(&key, Some(value.clone()), expected).await? {
                return Ok(revision);
            }
        }
        Err(Error::Revision(key))
    }

    /// The last change of every key, in the order of revisions.
    pub(crate) async fn changes(&self) -> Result<Vec<Change>, Error> {
        let messages = self.api.last_of_each(&self.stream, &self.pattern()).await?;
        let change = |(subject, sequence, headers, body): (String, u64, HeaderMap, Bytes)| {
            self.change(&subject, sequence, &headers, body)
        };
        Ok(messages.into_iter().filter_map(change).collect())
    }
}

impl Api {
    /// The last message of each subject of a stream, by place. Its consumer goes with it, by itself if need be.
    pub(crate) async fn last_of_each(
        &self,
        stream: &str,
        pattern: &str,
    ) -> Result<Vec<(String, u64, HeaderMap, Bytes)>, Error> {
        let what = || format!("stream {stream}");
        let config = json!({
            "deliver_policy": "last_per_subject", "ack_policy": "none", "filter_subject": pattern,
            "replay_policy": "instant", "inactive_threshold": 30_000_000_000_u64, "mem_storage": true, "num_replicas": 1,
        });
        let made = self
            .ask(&format!("CONSUMER.CREATE.{stream}"), &json!({ "stream_name": stream, "config": config }))
            .await
            .map_err(|refused| refused.meaning(what))?;
        let name = made["name"].as_str().unwrap_or_default().to_owned();
        let mut left = made["num_pending"].as_u64().unwrap_or(0) as usize;
        let mut all = Vec::new();
        let mut outcome = Ok(());
        while left > 0 {
            match self.next_of(stream, &name, left.min(LIST_ENTRIES)).await {
                Ok(some) if some.is_empty() => break,
                Ok(some) => {
                    left = left.saturating_sub(some.len());
                    all.extend(some);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let _ = self.ask(&format!("CONSUMER.DELETE.{stream}.{name}"), &Json::Null).await;
        outcome.map(|()| all)
    }

    async fn next_of(
        &self,
        stream: &str,
        consumer: &str,
        count: usize,
    ) -> Result<Vec<(String, u64, HeaderMap, Bytes)>, Error> {
        use futures_util::StreamExt;
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(crate::api::away)?;
        let request = json!({ "batch": count, "no_wait": true }).to_string();
        let next = self.subject(&format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"));
        self.client.publish_with_reply(next, inbox, request.into()).await.map_err(crate::api::away)?;
        let mut some = Vec::new();
        let deadline = self.settings.request_deadline;
        while some.len() < count {
            let answer = self.world.clock.timeout(deadline, answers.next()).await;
            let answer = answer.map_err(|_| self.late(deadline))?.ok_or(Error::Closed)?;
            if answer.status.is_some_and(|status| status != async_nats::StatusCode::OK) {
                break;
            }
            let place = answer.reply.as_ref().and_then(|reply| crate::consumer::place(reply));
            if let Some((_, sequence)) = place {
                some.push((
                    answer.subject.to_string(),
                    sequence,
                    answer.headers.unwrap_or_default(),
                    answer.payload,
                ));
            }
        }
        Ok(some)
    }
}

impl Bucket for NatsBucket {
    fn get(&self, key: Key) -> Answer<'_, Option<Entry>> {
        Box::pin(async move {
            let last = self.last(&key).await?;
            Ok(last.and_then(|last| last.value.map(|value| Entry { key, value, revision: last.revision })))
        })
    }

    fn create(&self, key: Key, value: Bytes) -> Answer<'_, Revision> {
        Box::pin(self.make(key, value))
    }

    fn put(&self, key: Key, value: Bytes, expected: Revision) -> Answer<'_, Revision> {
        Box::pin(self.replace(key, Some(value), expected))
    }

    fn delete(&self, key: Key, expected: Revision) -> Answer<'_, Revision> {
        Box::pin(self.replace(key, None, expected))
    }

    fn list(&self) -> Answer<'_, Vec<Entry>> {
        Box::pin(async {
            let there = self.changes().await?.into_iter();
            let mut entries: Vec<Entry> = there
                .filter_map(|change| {
                    let Change { key, revision, value } = change;
                    value.map(|value| Entry { key, value, revision })
                })
                .collect();
            entries.sort_by(|one, two| one.key.cmp(&two.key));
            Ok(entries)
        })
    }

    fn watch(&self, from: Revision) -> Answer<'_, Box<dyn Watch>> {
        let bucket = self.clone();
        Box::pin(async move { Ok(Box::new(NatsWatch::start(bucket, from)) as Box<dyn Watch>) })
    }
}
