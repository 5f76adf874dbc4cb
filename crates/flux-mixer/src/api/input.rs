//! What is sent with a request: JSON and parameters, refused in our own words.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};

use super::Context;
use super::route::BytesMax;
use crate::limits::{BODY_BYTES_MAX, PAGE_MAX};
use crate::refusal::Refusal;

/// How many are on a page where nothing is said.
const PAGE: usize = 100;

/// A body in JSON.
#[derive(Debug)]
pub(super) struct Input<T>(pub(super) T);

/// A body that is a scenario or a spec.
#[derive(Debug)]
pub(super) struct Text(pub(super) Vec<u8>);

/// What a scenario or a spec is sent as. JSON is YAML.
pub(super) const TEXT_MEDIA: &[&str] = &["application/yaml", "application/json"];

/// The part of a path that is a value.
#[derive(Debug)]
pub(super) struct Place<T>(pub(super) T);

/// What stands behind the `?`.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Context> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, context: &Context) -> Result<Input<T>, Refusal> {
        if !is_one_of(request.headers(), &["application/json"]) {
            return Err(Refusal::MediaType("application/json"));
        }
        let body = read(request, context).await?;
        serde_json::from_slice(&body).map(Input).map_err(|why| {
            let (line, column) = (why.line(), why.column());
            Refusal::Invalid(format!(
                "the body is not what is asked for, at line {line}, column {column}: {}",
                short(&why.to_string())
            ))
        })
    }
}

impl FromRequest<Context> for Text {
    type Rejection = Refusal;

    async fn from_request(request: Request, context: &Context) -> Result<Text, Refusal> {
        if !is_one_of(request.headers(), TEXT_MEDIA) {
            return Err(Refusal::MediaType(TEXT_MEDIA[0]));
        }
        Ok(Text(read(request, context).await?.to_vec()))
    }
}

async fn read(request: Request, context: &Context) -> Result<Bytes, Refusal> {
    let bytes_max = request.extensions().get::<BytesMax>().map_or(BODY_BYTES_MAX, |max| max.0);
    Bytes::from_request(request, context).await.map_err(|why| match why.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLong(bytes_max),
        _ => Refusal::Invalid(short(&why.body_text())),
    })
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

/// A whole number: `60.0` is one too, in JSON.
pub(super) fn whole<'de, D: Deserializer<'de>>(number: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(number)? else { return Ok(None) };
    let from_float =
        || number.as_f64().filter(|it| it.fract() == 0.0 && (0.0..9e15).contains(it)).map(|it| it as u64);
    let whole = number.as_u64().or_else(from_float);
    whole.map(Some).ok_or_else(|| de::Error::custom(format!("{number} is no whole number from 0 on")))
}

/// A time in seconds.
pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn is_one_of(headers: &HeaderMap, media: &[&str]) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    media.iter().any(|media| kind.eq_ignore_ascii_case(media))
}

/// How many are on a page.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Refusal> {
    let limit = asked.unwrap_or(PAGE);
    let is_good = (1..=PAGE_MAX).contains(&limit);
    is_good
        .then_some(limit)
        .ok_or_else(|| Refusal::Invalid(format!("`limit`: a number from 1 to {PAGE_MAX}")))
}

/// What is quoted of a request is bounded.
fn short(words: &str) -> String {
    words.chars().take(200).collect()
}
