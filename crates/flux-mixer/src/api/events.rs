//! `/events`: what happens, as server-sent events or over a WebSocket (RFC 6455), and goes on where it was left.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use flux_identity::{Role, Scope};
use flux_world::Instant;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Context;
use super::caller::By;
use super::input::Asked;
use super::route::Route;
use crate::events::{Behind, Event, EventId};
use crate::limits::EVENT_READER_LIFETIME;
use crate::mixer::{Actor, Mixer};
use crate::refusal::Refusal;

/// After so long without an event a line is sent that says nothing, so that both ends know that the other is there.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Events that are written at once.
const BATCH: usize = 64;
/// Longest message that is taken from a WebSocket; nothing in one is of interest.
const SOCKET_MESSAGE_BYTES_MAX: usize = 4 << 10;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/events", "What happens, from now on or from behind an event", events)
            .role(Role::Viewer)
            .scoped()
            .query::<From>()
            .header("Last-Event-ID", "The id of the event to go on behind.")
            .answers_events("each `data` is an event; `behind` and `again` are the last of a stream"),
        Route::new(Method::GET, "/events/socket", "The same over a WebSocket", socket)
            .role(Role::Viewer)
            .scoped()
            .query::<From>()
            .answers_bare(101, "each text is an event; it is closed with 4001 `behind` or 4002 `again`"),
    ]
}

/// From where.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct From {
    /// The id of the event to go on behind, as `Last-Event-ID` says it too.
    after: Option<String>,
    /// End when all is told that has happened: for whoever asks from time to time.
    once: bool,
}

async fn events(
    State(context): State<Context>,
    By(actor): By,
    Asked(from): Asked<From>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let told = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
    let reader = Reader::new(context, actor, From { after: told.or(from.after), ..from })?;
    let written = stream::unfold(reader, async |mut reader| {
        let told = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(told.as_server_sent()), reader))
    });
    let body = Body::from_stream(Box::pin(written));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

async fn socket(
    State(context): State<Context>,
    By(actor): By,
    Asked(from): Asked<From>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|why| Refusal::Invalid(format!("this speaks WebSocket: {why}")))?;
    let mut reader = Reader::new(context, actor, from)?;
    // The task ends with the lifetime of the reader at the latest, and there are so many of them at most.
    Ok(upgrade.max_message_size(SOCKET_MESSAGE_BYTES_MAX).on_upgrade(async move |mut socket| {
        while let Some(told) = next_told(&mut reader, &mut socket).await {
            for message in told.as_messages() {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    }))
}

/// What there is to tell; none when the other end is gone.
async fn next_told(reader: &mut Reader, socket: &mut WebSocket) -> Option<Told> {
    loop {
        tokio::select! {
            biased;
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            },
            told = reader.next() => return told,
        }
    }
}

/// What is told at once.
enum Told {
    Events(Vec<Event>),
    /// That the other end is there.
    Silence,
    /// The last: the reader has to read everything anew.
    Behind,
    /// The last: the reader has to ask again.
    Again,
}

impl Told {
    fn why(&self) -> &'static str {
        match self {
            Told::Events(_) | Told::Silence => "",
            Told::Behind => {
                "events were told that are not remembered: read what you need anew, and ask again without an id"
            }
            Told::Again => "show your token again, with the id of the last event",
        }
    }

    fn as_server_sent(&self) -> Bytes {
        let last = |word| format!("event: {word}\ndata: {{\"why\":\"{}\"}}\n\n", self.why());
        match self {
            Told::Events(events) => events.iter().map(text).collect::<String>().into(),
            Told::Silence => Bytes::from_static(b": \n\n"),
            Told::Behind => last("behind").into(),
            Told::Again => last("again").into(),
        }
    }

    fn as_messages(&self) -> Vec<Message> {
        let last = |code| vec![Message::Close(Some(CloseFrame { code, reason: self.why().into() }))];
        match self {
            Told::Events(events) => events.iter().map(|event| Message::text(data(event))).collect(),
            Told::Silence => vec![Message::Ping(Bytes::new())],
            Told::Behind => last(4001),
            Told::Again => last(4002),
        }
    }
}

/// Who reads, and where it stands.
struct Reader {
    mixer: Arc<Mixer>,
    scope: Scope,
    at: EventId,
    next: watch::Receiver<u64>,
    until: Instant,
    is_once: bool,
    is_ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    fn new(context: Context, actor: Actor, from: From) -> Result<Reader, Refusal> {
        let place = context.readers.clone().try_acquire_owned();
        let place = place.map_err(|_| Refusal::TooMany("as many listen to events as may".into()))?;
        let (now, next) = context.mixer.events().now();
        // What is no id of ours is none that is remembered, as one of another process.
        let at = from.after.map_or(now, |id| id.parse().unwrap_or(EventId::NOWHERE));
        let until = context.mixer.world().clock.now() + EVENT_READER_LIFETIME;
        let (mixer, scope) = (context.mixer, actor.scope);
        Ok(Reader { mixer, scope, at, next, until, is_once: from.once, is_ended: false, _place: place })
    }

    /// What is to be told next; asked for only when what was before is written. None when that was all. Cancel-safe.
    async fn next(&mut self) -> Option<Told> {
        if self.is_ended {
            return None;
        }
        loop {
            self.next.borrow_and_update();
            match self.mixer.events().after(self.at, BATCH) {
                Err(Behind) => return Some(self.end(Told::Behind)),
                Ok(events) if events.is_empty() && self.is_once => return None,
                Ok(events) if events.is_empty() => {
                    if let Some(told) = self.wait().await {
                        return Some(told);
                    }
                }
                Ok(mut events) => {
                    self.at = self.at.plus(events.len());
                    events.retain(|event| event.of.is_in(&self.scope));
                    if !events.is_empty() {
                        return Some(Told::Events(events));
                    }
                }
            }
        }
    }

    /// Waits for something; what is to be told where nothing came.
    async fn wait(&mut self) -> Option<Told> {
        let clock = self.mixer.world().clock;
        if clock.now() >= self.until {
            return Some(self.end(Told::Again));
        }
        clock.timeout(SILENCE_MAX, self.next.changed()).await.is_err().then_some(Told::Silence)
    }

    fn end(&mut self, told: Told) -> Told {
        self.is_ended = true;
        told
    }
}

fn data(event: &Event) -> String {
    serde_json::to_string(event).expect("an event is JSON")
}

fn text(event: &Event) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.what, data(event))
}
