//! `/topology`, `/gears`, `/config`: what is to run where, of which kinds, on a Mixer that is set how.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use flux_bus::Name;
use flux_identity::{Role, Topology};
use flux_scenario::{Category, Manifest, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::caller::By;
use super::input::{Asked, Place, limit};
use super::route::Route;
use crate::refusal::Refusal;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/topology", "What the fleet is to run, and which Racks do", topology)
            .role(Role::Viewer)
            .scoped()
            .query::<Page>()
            .answers::<Topology>(200, "all of it, counted, and a page of Racks"),
        Route::new(Method::GET, "/gears", "The kinds of gears that are known here", kinds)
            .role(Role::Viewer)
            .scoped()
            .answers::<Vec<Kind>>(200, "by name"),
        Route::new(
            Method::GET,
            "/gears/{type}",
            "A kind of gear: its ports, and the schema of its configuration",
            kind,
        )
        .role(Role::Viewer)
        .scoped()
        .answers::<Manifest>(200, "what is known of it")
        .refuses(&[404]),
        Route::new(Method::GET, "/config", "How this Mixer is set, without secrets", config)
            .role(Role::Operator)
            .answers::<serde_json::Value>(200, "the settings that are in force"),
    ]
}

/// Which Racks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Page {
    /// Those behind this name.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,60}$"))]
    after: Option<String>,
    /// So many at most; 100 where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A kind of gear, in short.
#[derive(Debug, Serialize, JsonSchema)]
struct Kind {
    /// Its name: `type` in a scenario.
    kind: String,
    /// What sort of work it does.
    category: Category,
    /// How settled its contract is.
    status: Status,
    /// One sentence.
    summary: String,
}

async fn topology(
    State(context): State<Context>,
    By(actor): By,
    Asked(page): Asked<Page>,
) -> Result<Json<Topology>, Refusal> {
    let after = page.after.map(Name::new).transpose()?;
    Ok(Json(context.mixer.topology(&actor.scope, after.as_ref(), limit(page.limit)?)))
}

async fn kinds(State(context): State<Context>) -> Json<Vec<Kind>> {
    let kinds = context.mixer.catalog().iter().map(|manifest| Kind {
        kind: manifest.kind.clone(),
        category: manifest.category,
        status: manifest.status,
        summary: manifest.summary.clone(),
    });
    Json(kinds.collect())
}

async fn kind(State(context): State<Context>, Place(kind): Place<String>) -> Result<Json<Manifest>, Refusal> {
    let found = context.mixer.catalog().get(&kind).cloned();
    found.map(Json).ok_or_else(|| Refusal::Missing("such kind of gear: `GET /gears` lists them".into()))
}

async fn config(State(context): State<Context>) -> Json<serde_json::Value> {
    Json(context.mixer.shown().clone())
}
