//! The seam on a connection to NATS.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Auth, AuthError, ConnectOptions, Event};
use flux_bus::limits::MESSAGE_BYTES_MAX;
use flux_bus::{
    Answer, Begin, Bucket, BucketConfig, Bus, Consumer, ConsumerConfig, Error, Message, MessageId, Name,
    Objects, Pattern, Retention, Stored, StreamConfig, StreamState, Subscription, WhenFull,
};
use flux_world::{Disk, Entropy, World};
use futures_util::StreamExt;
use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, watch};

use crate::api::{Api, Link, OVERHEAD_BYTES, away, bucket_stream, objects_stream};
use crate::bucket::NatsBucket;
use crate::bus_key::BusKey;
use crate::consumer::NatsConsumer;
use crate::convert::{self, HEADER_ID};
use crate::objects::NatsObjects;
use crate::settings::{Credentials, Settings};

/// The wait before a reconnection grows from this to eight times it, with jitter.
const RECONNECT_BASE: Duration = Duration::from_millis(250);

/// Longest file of credentials.
const CREDENTIALS_BYTES_MAX: usize = 64 << 10;

/// A server that has not answered three of these in a row is gone, though nobody closed the connection: another one is asked.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Requests for messages a consumer may have waiting.
const WAITING_MAX: u32 = 512;

/// A bus on NATS: one connection, made again by itself for as long as it lives.
#[derive(Debug)]
pub struct NatsBus {
    api: Api,
}

/// Ends a task with the handle.
#[derive(Debug)]
pub(crate) struct Task(tokio::task::JoinHandle<()>);

impl Task {
    pub(crate) fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn options(
    world: &World,
    settings: &Settings,
    made: watch::Sender<u64>,
    lost: watch::Sender<u64>,
    trouble: watch::Sender<String>,
) -> Result<ConnectOptions, Error> {
    let entropy: Entropy = world.entropy.fork();
    let options = match &settings.credentials {
        Credentials::JwtFile(path) => {
            let (path, disk) = (path.clone(), world.disk.clone());
            ConnectOptions::with_auth_callback(move |nonce| authenticate(disk.clone(), path.clone(), nonce))
        }
        _ => ConnectOptions::new(),
    };
    let mut options = options
        .name(&settings.name)
        .connection_timeout(settings.request_deadline)
        .request_timeout(Some(settings.request_deadline))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(move |attempts| {
            let bound = RECONNECT_BASE * 2_u32.pow(attempts.min(3) as u32);
            Duration::from_nanos(entropy.below(bound.as_nanos() as u64))
        })
        .event_callback(move |event| {
            match &event {
                Event::Connected => made.send_modify(|count| *count += 1),
                Event::Disconnected => lost.send_modify(|count| *count += 1),
                Event::ServerError(_) => tracing::warn!(%event, "the bus reports an error"),
                // At each attempt to connect. Whoever wants something is told.
                Event::ClientError(error) => {
                    tracing::debug!(%event, "no connection to the bus");
                    trouble.send_replace(error.to_string());
                }
                _ => tracing::info!(%event, "the bus"),
            }
            async {}
        });
    options = match &settings.credentials {
        Credentials::None | Credentials::JwtFile(_) => options,
        Credentials::Password { user, password } => options.user_and_password(user.clone(), password.clone()),
        Credentials::NKey(seed) => options.nkey(seed.clone()),
        Credentials::Jwt(text) => options
            .credentials(text)
            .map_err(|_| Error::Invalid("the credentials are no JWT with its seed".into()))?,
    };
    if let Some(tls) = &settings.tls {
        options = options.require_tls(true).add_root_certificates(tls.roots.clone());
        if let Some((certificate, key)) = &tls.identity {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    if let Some(prefix) = &settings.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    Ok(options)
}

/// Says who we are, by what the file says now.
async fn authenticate(disk: Disk, path: PathBuf, nonce: Vec<u8>) -> Result<Auth, AuthError> {
    let shown = path.display().to_string();
    let read = disk.clone().offload(move || disk.read(&path, CREDENTIALS_BYTES_MAX)).await;
    let text = read.map_err(|why| AuthError::new(format!("cannot read `{shown}`: {why}")))?;
    let signed = BusKey::read_credentials(&String::from_utf8_lossy(&text)).and_then(|(jwt, key)| {
        let mut auth = Auth::new();
        (auth.jwt, auth.nkey, auth.signature) = (Some(jwt), Some(key.public()), Some(key.sign(&nonce)?));
        Ok(auth)
    });
    signed.map_err(|why| AuthError::new(format!("`{shown}`: {why}")))
}

impl NatsBus {
    /// Connects anew, with what the files of its settings say now. What is under way is tried again or says [`Error::Away`].
    pub async fn renew(&self) {
        // Where there is no connection, the next one is new.
        let _ = self.api.client.force_reconnect().await;
    }

    /// Whether a server is connected now.
    pub fn is_connected(&self) -> bool {
        self.api.is_connected()
    }

    /// How to ask on its connection.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Connects. [`Error::Away`] when no server is reached, [`Error::Denied`] when it does not let us in.
    pub async fn connect(world: &World, settings: Settings) -> Result<Self, Error> {
        Self::connected(world, settings, false).await
    }

    /// The same, but does not wait for a server: until there is one, operations end with [`Error::Away`].
    pub async fn connect_later(world: &World, settings: Settings) -> Result<Self, Error> {
        Self::connected(world, settings, true).await
    }

    async fn connected(world: &World, settings: Settings, is_later: bool) -> Result<Self, Error> {
        let ((made, is_made), (lost, is_lost)) = (watch::channel(0), watch::channel(0));
        let (trouble, last_trouble) = watch::channel(String::new());
        let mut options = options(world, &settings, made, lost, trouble)?;
        if is_later {
            options = options.retry_on_initial_connect();
        }
        let connecting = Box::pin(options.connect(settings.servers.as_slice()));
        let deadline = settings.request_deadline;
        let client =
            world.clock.timeout(deadline, connecting).await.map_err(|_| Error::Deadline(deadline))?;
        let client = client.map_err(|error| match error.kind() {
            async_nats::ConnectErrorKind::Authentication
            | async_nats::ConnectErrorKind::AuthorizationViolation => Error::Denied(error.to_string()),
            _ => away(error),
        })?;
        let link = Link { made: is_made, lost: is_lost, trouble: last_trouble };
        Ok(Self { api: Api::new(client, world.clone(), settings, link) })
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        message.check(self.body_bytes_max())?;
        let (subject, headers) = (message.subject.to_string(), convert::headers(&message.headers));
        let sent = async {
            match (message.reply, headers.is_empty()) {
                (None, true) => self.api.client.publish(subject, message.body).await,
                (None, false) => self.api.client.publish_with_headers(subject, headers, message.body).await,
                (Some(reply), _) => {
                    let reply = reply.to_string();
                    self.api
                        .client
                        .publish_with_reply_and_headers(subject, reply, headers, message.body)
                        .await
                }
            }
        };
        let deadline = self.api.settings.request_deadline;
        let sent = self.api.world.clock.timeout(deadline, sent).await;
        sent.map_err(|_| self.api.late(deadline))?.map_err(away)
    }

    async fn keep(&self, id: MessageId, message: Message) -> Result<Stored, Error> {
        message.check(self.body_bytes_max())?;
        let subject = message.subject.to_string();
        let mut headers = convert::headers(&message.headers);
        headers.insert(HEADER_ID, id.as_str());
        let stored = self.api.store(subject.clone(), headers, message.body).await;
        let stored = stored.map_err(|refused| refused.meaning(|| format!("stream for {subject}")))?;
        stored.ok_or(Error::NoStream(subject))
    }

    async fn ask(&self, message: Message, deadline: Duration) -> Result<Message, Error> {
        message.check(self.body_bytes_max())?;
        let (subject, headers) = (message.subject.to_string(), convert::headers(&message.headers));
        let headers = Some(headers).filter(|headers| !headers.is_empty());
        let mut answer = self.api.request(subject.clone(), headers, message.body, deadline).await?;
        // It came to an inbox, whose name is of no account.
        answer.subject = subject.into();
        Ok(convert::message(answer)?.0)
    }

    async fn listen(&self, pattern: Pattern, queue_messages_max: usize) -> Result<Subscription, Error> {
        let mut heard = self.api.client.subscribe(pattern.to_string()).await.map_err(away)?;
        self.api.round_trip().await?;
        let (queue, receiver) = mpsc::channel(queue_messages_max.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let count = dropped.clone();
        let task = Task::start(async move {
            while let Some(message) = heard.next().await {
                let is_taken =
                    convert::message(message).is_ok_and(|(message, _)| queue.try_send(message).is_ok());
                if !is_taken {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Subscription::new(receiver, dropped, task))
    }

    async fn new_stream(&self, config: StreamConfig) -> Result<(), Error> {
        config.check()?;
        let subjects: Vec<String> = config.subjects.iter().map(ToString::to_string).collect();
        let mut json = self.api.stream_config(config.name.as_str(), &subjects, config.bytes_max);
        if config.retention == Retention::Queue {
            json["retention"] = "workqueue".into();
        }
        if config.when_full == WhenFull::DropOldest {
            json["discard"] = "old".into();
        }
        json["max_age"] = nanoseconds(config.age_max.unwrap_or_default());
        json["duplicate_window"] = nanoseconds(config.duplicate_window);
        self.api.make_stream(&format!("stream {}", config.name), json).await
    }

    async fn new_consumer(&self, stream: Name, config: ConsumerConfig) -> Result<(), Error> {
        let info = self.api.stream_info(stream.as_str()).await?;
        let verb = format!("CONSUMER.INFO.{stream}.{}", config.name);
        let wanted = json!({
            "durable_name": config.name, "filter_subject": config.filter, "ack_policy": "explicit",
            "deliver_policy": if config.begin == Begin::Latest { "new" } else { "all" }, "replay_policy": "instant",
            "ack_wait": nanoseconds(config.lease), "max_ack_pending": config.unacked_messages_max,
            // Attempts are counted here and judged by who reads: the server would give up in silence.
            "max_deliver": -1, "max_waiting": WAITING_MAX,
        });
        match self.api.ask(&verb, &Json::Null).await {
            Ok(there) => {
                let is_same = wanted
                    .as_object()
                    .into_iter()
                    .flatten()
                    .all(|(key, value)| there["config"][key] == *value);
                if is_same {
                    return Ok(());
                }
                return Err(Error::Different(format!(
                    "consumer {} is there, and made otherwise",
                    config.name
                )));
            }
            Err(refused) if refused.is_missing() => {}
            Err(refused) => return Err(refused.meaning(|| format!("stream {stream}"))),
        }
        stream_config(&stream, &info.config)?.check_consumer(&config, info.consumers as usize)?;
        let verb = format!("CONSUMER.DURABLE.CREATE.{stream}.{}", config.name);
        let made = self.api.ask(&verb, &json!({ "stream_name": stream, "config": wanted })).await;
        made.map_err(|refused| refused.meaning(|| format!("stream {stream}"))).map(drop)
    }

    async fn new_bucket(&self, config: BucketConfig) -> Result<(), Error> {
        let subjects = [format!("$KV.{}.>", config.name)];
        let mut json = self.api.stream_config(&bucket_stream(&config.name), &subjects, config.bytes_max);
        json["max_msgs_per_subject"] = 1.into();
        for flag in ["allow_rollup_hdrs", "deny_delete", "allow_direct"] {
            json[flag] = true.into();
        }
        self.api.make_stream(&format!("bucket {}", config.name), json).await
    }

    async fn new_objects(&self, config: BucketConfig) -> Result<(), Error> {
        let name = &config.name;
        let subjects = [format!("$O.{name}.C.>"), format!("$O.{name}.M.>")];
        let mut json = self.api.stream_config(&objects_stream(name), &subjects, config.bytes_max);
        for flag in ["allow_rollup_hdrs", "allow_direct"] {
            json[flag] = true.into();
        }
        self.api.make_stream(&format!("store of objects {name}"), json).await
    }
}

fn nanoseconds(duration: Duration) -> Json {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).into()
}

/// What of a stream's configuration decides which consumers it can have.
fn stream_config(name: &Name, json: &Json) -> Result<StreamConfig, Error> {
    let subjects: Result<Vec<Pattern>, Error> = json["subjects"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(Pattern::new)
        .collect();
    let retention = match json["retention"].as_str() {
        Some("workqueue") => Retention::Queue,
        _ => Retention::Bounded,
    };
    Ok(StreamConfig::new(name.clone(), subjects?, retention))
}

impl Bus for NatsBus {
    fn body_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX.min(self.api.client.max_payload().saturating_sub(OVERHEAD_BYTES))
    }

    fn publish(&self, message: Message) -> Answer<'_, ()> {
        Box::pin(self.send(message))
    }

    fn store(&self, id: MessageId, message: Message) -> Answer<'_, Stored> {
        Box::pin(self.keep(id, message))
    }

    fn request(&self, message: Message, deadline: Duration) -> Answer<'_, Message> {
        Box::pin(self.ask(message, deadline))
    }

    fn subscribe(&self, pattern: Pattern, queue_messages_max: usize) -> Answer<'_, Subscription> {
        Box::pin(self.listen(pattern, queue_messages_max))
    }

    fn make_stream(&self, config: StreamConfig) -> Answer<'_, ()> {
        Box::pin(self.new_stream(config))
    }

    fn make_consumer(&self, stream: Name, config: ConsumerConfig) -> Answer<'_, ()> {
        Box::pin(self.new_consumer(stream, config))
    }

    fn make_bucket(&self, config: BucketConfig) -> Answer<'_, ()> {
        Box::pin(self.new_bucket(config))
    }

    fn make_objects(&self, config: BucketConfig) -> Answer<'_, ()> {
        Box::pin(self.new_objects(config))
    }

    fn stream(&self, name: Name) -> Answer<'_, StreamState> {
        Box::pin(async move {
            let info = self.api.stream_info(name.as_str()).await?;
            Ok(StreamState { last_sequence: info.last, epoch: info.epoch })
        })
    }

    fn consumer(&self, stream: Name, name: Name) -> Answer<'_, Arc<dyn Consumer>> {
        Box::pin(async move {
            let found = self.api.ask(&format!("CONSUMER.INFO.{stream}.{name}"), &Json::Null).await;
            found.map_err(|refused| refused.meaning(|| format!("consumer {name} of stream {stream}")))?;
            Ok(Arc::new(NatsConsumer::new(self.api.clone(), stream, name)) as Arc<dyn Consumer>)
        })
    }

    fn bucket(&self, name: Name) -> Answer<'_, Arc<dyn Bucket>> {
        Box::pin(async move {
            self.api.stream_info(&bucket_stream(&name)).await?;
            let value_bytes_max = self.body_bytes_max();
            Ok(Arc::new(NatsBucket::new(self.api.clone(), &name, value_bytes_max)) as Arc<dyn Bucket>)
        })
    }

    fn objects(&self, name: Name) -> Answer<'_, Arc<dyn Objects>> {
        Box::pin(async move {
            let store = NatsObjects::open(self.api.clone(), &name).await?;
            Ok(Arc::new(store) as Arc<dyn Objects>)
        })
    }
}
