//! `/audit`: who did what, and whether the log is as it was written.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use flux_identity::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Context;
use super::input::{Asked, limit};
use super::route::Route;
use crate::audit::{Entry, Head, Span};
use crate::refusal::Refusal;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/audit", "What was done and refused, in order", list)
            .role(Role::Admin)
            .query::<Page>()
            .answers::<Vec<Entry>>(
                200,
                "the entries; the `number` of the last one is `after` of the next page",
            ),
        Route::new(Method::GET, "/audit/verify", "Go through all of the log, and say where it ends", verify)
            .role(Role::Admin)
            .answers::<Head>(200, "the log is as it was written; keep this, to compare"),
    ]
}

/// Which entries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    /// Those behind this number.
    after: u64,
    /// So many at most; 100 where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// From this time on, in milliseconds since 1970.
    since_unix_ms: Option<u64>,
    /// Until before this time.
    until_unix_ms: Option<u64>,
    /// Of what was done: `rack.approve`.
    what: Option<String>,
}

async fn list(State(context): State<Context>, Asked(page): Asked<Page>) -> Result<Json<Vec<Entry>>, Refusal> {
    let Page { after, limit: most, since_unix_ms, until_unix_ms, what } = page;
    let limit = limit(most)?;
    let span = Span {
        after,
        since_unix_ms: since_unix_ms.unwrap_or(0),
        until_unix_ms: until_unix_ms.unwrap_or(u64::MAX),
        what,
    };
    Ok(Json(context.mixer.audit().entries_of(span, limit).await?))
}

async fn verify(State(context): State<Context>) -> Result<Json<Head>, Refusal> {
    match context.mixer.audit().verify().await {
        Ok(head) => Ok(Json(head)),
        Err(why) => Err(Refusal::Unavailable(why.to_string())),
    }
}
