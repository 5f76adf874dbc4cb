//! `/events`: what happens, as a stream of server-sent events that goes on where it was left.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
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
use crate::mixer::Mixer;
use crate::refusal::Refusal;

/// After so long without an event a line is sent that says nothing, so that both ends know that the other is there.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Events that are written at once.
const BATCH: usize = 64;
/// What is said when the reader has to read everything anew.
const BEHIND: &[u8] = b"event: behind\ndata: {\"why\":\"events were told that are not remembered: read what you need anew, and ask again without an id\"}\n\n";
/// What is said when the reader has to ask again.
const AGAIN: &[u8] =
    b"event: again\ndata: {\"why\":\"show your token again, with the id of the last event\"}\n\n";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/events", "What happens, from now on or from behind an event", events)
            .role(Role::Viewer)
            .scoped()
            .query::<From>()
            .header("Last-Event-ID", "The id of the event to go on behind.")
            .answers_events("each `data` is an event; `behind` and `again` are the last of a stream"),
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
    Asked(From { after, once }): Asked<From>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let place = context.readers.clone().try_acquire_owned();
    let place = place.map_err(|_| Refusal::TooMany("as many listen to events as may".into()))?;
    let told = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
    let (now, next) = context.mixer.events().now();
    // What is no id of ours is none that is remembered, as one of another process.
    let at = told.or(after).map_or(now, |id| id.parse().unwrap_or(EventId::NOWHERE));
    let clock = context.mixer.world().clock;
    let until = clock.now() + EVENT_READER_LIFETIME;
    let reader = Reader {
        mixer: context.mixer,
        scope: actor.scope,
        at,
        next,
        until,
        is_once: once,
        is_ended: false,
        _place: place,
    };
    let body = Body::from_stream(stream::unfold(reader, Reader::read));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
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
    /// What is to be written next; asked for only when what was before is written.
    async fn read(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Reader)> {
        if self.is_ended {
            return None;
        }
        let written = loop {
            self.next.borrow_and_update();
            match self.mixer.events().after(self.at, BATCH) {
                Err(Behind) => break self.end(BEHIND),
                Ok(events) if events.is_empty() && self.is_once => return None,
                Ok(events) if events.is_empty() => {
                    if let Some(written) = self.wait().await {
                        break written;
                    }
                }
                Ok(events) => {
                    self.at = self.at.plus(events.len());
                    let told = events.iter().filter(|event| event.of.is_in(&self.scope));
                    let written: String = told.map(text).collect();
                    if !written.is_empty() {
                        break written.into();
                    }
                }
            }
        };
        Some((Ok(written), self))
    }

    /// Waits for something; what is to be written where nothing came.
    async fn wait(&mut self) -> Option<Bytes> {
        let clock = self.mixer.world().clock;
        if clock.now() >= self.until {
            return Some(self.end(AGAIN));
        }
        let silent = clock.timeout(SILENCE_MAX, self.next.changed()).await.is_err();
        silent.then(|| Bytes::from_static(b": \n\n"))
    }

    fn end(&mut self, why: &'static [u8]) -> Bytes {
        self.is_ended = true;
        Bytes::from_static(why)
    }
}

fn text(event: &Event) -> String {
    let data = serde_json::to_string(event).expect("an event is JSON");
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.what)
}
