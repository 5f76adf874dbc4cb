//! `POST /racks/enrol`: a Rack asks to belong, or for what it has anew.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flux_identity::Answer;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Context;
use super::caller::Stranger;
use super::input::Input;
use super::route::Route;
use crate::refusal::Refusal;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::POST,
            "/racks/enrol",
            "Enrol a Rack, or renew what it has: what is sent is signed by the Rack",
            enrol,
        )
        .takes::<Enrolment>()
        .answers::<Answer>(200, "it belongs, and this is what makes it one of the fleet")
        .answers::<Answer>(202, "somebody has to approve it")
        .refuses(&[403, 409, 413, 415, 429]),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolment {
    /// The signed text of the request.
    request: String,
}

async fn enrol(
    State(context): State<Context>,
    Stranger(from): Stranger,
    Input(Enrolment { request }): Input<Enrolment>,
) -> Result<Response, Refusal> {
    let answer = context.mixer.enrol(&request, from).await?;
    let status = match answer {
        Answer::Enrolled(_) => {
            // A thousand Racks behind one address are told at once that there is something new.
            context.addresses.give_back(&from);
            StatusCode::OK
        }
        Answer::Pending { .. } => StatusCode::ACCEPTED,
    };
    Ok((status, Json(answer)).into_response())
}
