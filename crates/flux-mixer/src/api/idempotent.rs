//! `Idempotency-Key`: who asks the same again gets the same answer, and nothing is made twice.
//!
//! What is remembered is in memory, for an hour, and bounded. A request that was cut off before it was answered may have been
//! done or not; its key says so from then on.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flux_scenario::edition::ContentHash;
use flux_world::Instant;
use parking_lot::Mutex;

use super::Context;
use super::caller::By;
use super::route::BytesMax;
use crate::limits::{BODY_BYTES_MAX, IDEMPOTENT_BYTES_MAX, IDEMPOTENT_LIFETIME, IDEMPOTENT_MAX};
use crate::refusal::Refusal;

/// The header.
const KEY: &str = "idempotency-key";
/// Longest key.
const KEY_BYTES_MAX: usize = 128;

/// What was asked under keys, and what was answered. A key is its asker's own.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<BTreeMap<(String, String), Asked>>);

#[derive(Clone, Debug)]
struct Asked {
    at: Instant,
    /// What: method, place and body.
    what: ContentHash,
    state: Stand,
}

#[derive(Clone, Debug)]
enum Stand {
    UnderWay,
    CutOff,
    Answered(StatusCode, Box<HeaderMap>, Bytes),
}

impl Answers {
    /// Takes a key for a request; what was answered before, if it was asked before.
    fn begin(
        &self,
        key: &(String, String),
        what: ContentHash,
        now: Instant,
    ) -> Result<Option<Response>, Refusal> {
        let mut asked = self.0.lock();
        asked.retain(|_, asked| now.saturating_duration_since(asked.at) < IDEMPOTENT_LIFETIME);
        match asked.get(key) {
            Some(Asked { what: before, .. }) if *before != what => Err(Refusal::KeyReused),
            Some(Asked { state: Stand::Answered(status, headers, body), .. }) => {
                let mut response = (*status, body.clone()).into_response();
                *response.headers_mut() = (**headers).clone();
                Ok(Some(response))
            }
            Some(Asked { state: Stand::UnderWay, .. }) => {
                Err(Refusal::Conflict("the first request with this `Idempotency-Key` is under way: ask again soon".into()))
            }
            Some(Asked { state: Stand::CutOff, .. }) => Err(Refusal::Conflict(
                "the first request with this `Idempotency-Key` was cut off: look whether it was done, and use a new key".into(),
            )),
            // Nobody alone has all there is room for.
            None if asked.len() >= IDEMPOTENT_MAX || asked.keys().filter(|other| other.0 == key.0).count() >= IDEMPOTENT_MAX / 4 => {
                Err(Refusal::TooMany("too many idempotency keys are remembered: ask without one, or later".into()))
            }
            None => {
                asked.insert(key.clone(), Asked { at: now, what, state: Stand::UnderWay });
                Ok(None)
            }
        }
    }

    fn end(&self, key: &(String, String), state: Option<Stand>) {
        let mut asked = self.0.lock();
        match (state, asked.get_mut(key)) {
            (Some(state), Some(asked)) => asked.state = state,
            (None, Some(_)) => drop(asked.remove(key)),
            (_, None) => {}
        }
    }
}

/// A request under way; dropped with it, should it be cut off.
struct UnderWay<'a> {
    answers: &'a Answers,
    key: &'a (String, String),
    end: Option<Stand>,
    is_ended: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let cut_off = Some(Stand::CutOff);
        self.answers.end(self.key, if self.is_ended { self.end.take() } else { cut_off });
    }
}

/// Answers as before, where it was asked before.
pub(super) async fn once(State(context): State<Context>, request: Request, next: Next) -> Response {
    match answered(&context, request, next).await {
        Ok(response) => response,
        Err(why) => why.into_response(),
    }
}

async fn answered(context: &Context, request: Request, next: Next) -> Result<Response, Refusal> {
    let Some(key) = request.headers().get(KEY) else { return Ok(next.run(request).await) };
    let is_good = |key: &&str| {
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let key = key.to_str().ok().filter(is_good);
    let key = key.ok_or_else(|| {
        Refusal::Invalid(format!("`Idempotency-Key`: 1 to {KEY_BYTES_MAX} visible letters"))
    })?;
    let who = request.extensions().get::<By>().map(|By(actor)| actor.who.clone()).unwrap_or_default();
    let key = (who, key.to_owned());
    let bytes_max = request.extensions().get::<BytesMax>().map_or(BODY_BYTES_MAX, |max| max.0);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, bytes_max).await.map_err(|_| Refusal::TooLong(bytes_max))?;
    let what = ContentHash::of(
        &[parts.method.as_str().as_bytes(), b" ", parts.uri.to_string().as_bytes(), b"\n", &body].concat(),
    );
    if let Some(before) = context.answers.begin(&key, what, context.mixer.world().clock.now())? {
        return Ok(before);
    }
    let mut under_way = UnderWay { answers: &context.answers, key: &key, end: None, is_ended: false };
    let (head, body) = next.run(Request::from_parts(parts, Body::from(body))).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // What failed on our side, and what was asked too often, may be asked again; and so may what is too long to be remembered.
    let is_kept = !head.status.is_server_error()
        && head.status != StatusCode::TOO_MANY_REQUESTS
        && body.len() <= IDEMPOTENT_BYTES_MAX;
    under_way.end =
        is_kept.then(|| Stand::Answered(head.status, Box::new(head.headers.clone()), body.clone()));
    under_way.is_ended = true;
    drop(under_way);
    Ok(Response::from_parts(head, Body::from(body)))
}
