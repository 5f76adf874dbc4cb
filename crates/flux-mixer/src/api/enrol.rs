//! `POST /racks/enrol`: a Rack asks to belong, or for what it has anew.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flux_identity::Answer;
use serde::Deserialize;

use super::Context;
use super::caller::Stranger;
use super::input::Input;
use crate::refusal::Refusal;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolment {
    /// The signed text of the request.
    request: String,
}

pub(super) async fn enrol(
    State(context): State<Context>,
    Stranger(from): Stranger,
    Input(Enrolment { request }): Input<Enrolment>,
) -> Result<Response, Refusal> {
    let answer = context.mixer.enrol(&request, from).await?;
    let status = match answer {
        Answer::Enrolled(_) => StatusCode::OK,
        Answer::Pending { .. } => StatusCode::ACCEPTED,
    };
    Ok((status, Json(answer)).into_response())
}
