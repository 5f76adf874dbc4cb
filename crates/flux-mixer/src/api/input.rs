//! What is sent with a request: JSON and parameters, refused in our own words.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::Context;
use crate::refusal::Refusal;

/// A body in JSON.
#[derive(Debug)]
pub(super) struct Input<T>(pub(super) T);

/// The part of a path that is a value.
#[derive(Debug)]
pub(super) struct Place<T>(pub(super) T);

/// What stands behind the `?`.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Context> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, context: &Context) -> Result<Input<T>, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::Invalid("the body is JSON: say `Content-Type: application/json`".into()));
        }
        let body = Bytes::from_request(request, context).await;
        let body = body.map_err(|why| Refusal::Invalid(why.body_text()))?;
        serde_json::from_slice(&body).map(Input).map_err(|why| {
            let (line, column) = (why.line(), why.column());
            Refusal::Invalid(format!(
                "the body is not what is asked for, at line {line}, column {column}: {}",
                short(&why.to_string())
            ))
        })
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Context> for Place<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Place<T>, Refusal> {
        let place = Path::<T>::from_request_parts(parts, context).await;
        place.map(|Path(place)| Place(place)).map_err(|why| Refusal::Invalid(short(&why.body_text())))
    }
}

impl<T: DeserializeOwned> FromRequestParts<Context> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Asked<T>, Refusal> {
        let asked = Query::<T>::from_request_parts(parts, context).await;
        asked.map(|Query(asked)| Asked(asked)).map_err(|why| Refusal::Invalid(short(&why.body_text())))
    }
}

/// A time in seconds.
pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// What is quoted of a request is bounded.
fn short(words: &str) -> String {
    words.chars().take(200).collect()
}
