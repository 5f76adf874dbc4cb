//! `/audit`: who did what, and whether the log is as it was written.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Context;
use super::caller::Admin;
use super::input::Asked;
use crate::audit::{Entry, Head};
use crate::limits::PAGE_MAX;
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    /// Entries behind this one.
    after: u64,
    /// So many at most.
    limit: Option<usize>,
}

pub(super) async fn list(
    State(context): State<Context>,
    Admin(_): Admin,
    Asked(Page { after, limit }): Asked<Page>,
) -> Result<Json<Vec<Entry>>, Refusal> {
    let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    Ok(Json(context.mixer.audit().entries(after, limit).await?))
}

pub(super) async fn verify(State(context): State<Context>, Admin(_): Admin) -> Result<Json<Head>, Refusal> {
    match context.mixer.audit().verify().await {
        Ok(head) => Ok(Json(head)),
        Err(why) => Err(Refusal::Unavailable(why.to_string())),
    }
}
