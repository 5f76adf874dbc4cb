//! `/enrolment-tokens` and `/tokens`: each is shown once, when it is made.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use flux_identity::{Role, Scope, Token, rack_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::caller::By;
use super::input::{Asked, Input, Place, limit, seconds, whole};
use super::route::Route;
use crate::mixer::Invite;
use crate::refusal::Refusal;
use crate::tokens::{Access, Invitation, Listed};

/// How long an invitation is good where nothing is said, in seconds.
const INVITATION_S: u64 = 3_600;

pub(super) fn routes() -> Vec<Route> {
    const LAST: &str = "those that are good; the `id` of the last one is `after` of the next page";
    vec![
        Route::new(Method::POST, "/enrolment-tokens", "Make a token for one enrolment", invite)
            .role(Role::Operator)
            .scoped()
            .idempotent()
            .takes::<WantedInvitation>()
            .answers::<Made>(201, "the token, shown once"),
        Route::new(Method::GET, "/enrolment-tokens", "List the tokens for enrolments", invitations)
            .role(Role::Operator)
            .scoped()
            .query::<Page>()
            .answers::<Vec<Listed<Invitation>>>(200, LAST),
        Route::new(Method::DELETE, "/enrolment-tokens/{id}", "Make a token for an enrolment void", uninvite)
            .role(Role::Operator)
            .scoped()
            .answers_nothing("it is void")
            .refuses(&[404]),
        Route::new(Method::POST, "/tokens", "Make a token for this API", make)
            .role(Role::Admin)
            .idempotent()
            .takes::<WantedAccess>()
            .answers::<Made>(201, "the token, shown once"),
        Route::new(Method::GET, "/tokens", "List the tokens for this API", list)
            .role(Role::Admin)
            .query::<Page>()
            .answers::<Vec<Listed<Access>>>(200, LAST),
        Route::new(Method::DELETE, "/tokens/{id}", "Make a token for this API void", revoke)
            .role(Role::Admin)
            .answers_nothing("it is void")
            .refuses(&[404, 409]),
    ]
}

/// Which tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    /// Those behind this id.
    after: Option<String>,
    /// So many at most; 100 where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

impl Page {
    fn of<T>(self, all: Vec<Listed<T>>) -> Result<Json<Vec<Listed<T>>>, Refusal> {
        let limit = limit(self.limit)?;
        let behind = all.into_iter().filter(|one| self.after.as_ref().is_none_or(|after| one.id > *after));
        Ok(Json(behind.take(limit).collect()))
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WantedInvitation {
    /// The only name it is for.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,48}$"))]
    rack: Option<String>,
    /// Labels that the Rack gets.
    labels: BTreeMap<String, String>,
    /// How long it is good, in seconds: up to a week.
    #[schemars(range(min = 1, max = 604800))]
    #[serde(deserialize_with = "whole")]
    lifetime_s: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedAccess {
    /// What it is called.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,60}$"))]
    name: String,
    /// What may be done with it.
    role: Role,
    /// For which Racks: those that have all these labels. For the whole fleet where none is said.
    #[serde(default)]
    scope: Scope,
    /// How long it is good, in seconds; for ever where nothing is said.
    #[serde(default, deserialize_with = "whole")]
    lifetime_s: Option<u64>,
}

/// A token that was just made.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Made {
    id: String,
    /// The token: shown now, and never again.
    token: String,
}

impl Made {
    fn of(token: &Token) -> (StatusCode, Json<Made>) {
        (StatusCode::CREATED, Json(Made { id: token.id(), token: token.expose() }))
    }
}

async fn invite(
    State(context): State<Context>,
    By(actor): By,
    Input(WantedInvitation { rack, labels, lifetime_s }): Input<WantedInvitation>,
) -> Result<(StatusCode, Json<Made>), Refusal> {
    let rack = rack.map(|rack| rack_name(&rack)).transpose()?;
    let lifetime = seconds(lifetime_s.unwrap_or(INVITATION_S));
    Ok(Made::of(&context.mixer.invite(&actor, Invite { rack, labels, lifetime }).await?))
}

async fn invitations(
    State(context): State<Context>,
    By(actor): By,
    Asked(page): Asked<Page>,
) -> Result<Json<Vec<Listed<Invitation>>>, Refusal> {
    page.of(context.mixer.invitations(&actor).await?)
}

async fn uninvite(
    State(context): State<Context>,
    By(actor): By,
    Place(id): Place<String>,
) -> Result<StatusCode, Refusal> {
    context.mixer.uninvite(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn make(
    State(context): State<Context>,
    By(actor): By,
    Input(WantedAccess { name, role, scope, lifetime_s }): Input<WantedAccess>,
) -> Result<(StatusCode, Json<Made>), Refusal> {
    Ok(Made::of(&context.mixer.make_access(&actor, &name, role, scope, lifetime_s.map(seconds)).await?))
}

async fn list(
    State(context): State<Context>,
    Asked(page): Asked<Page>,
) -> Result<Json<Vec<Listed<Access>>>, Refusal> {
    page.of(context.mixer.accesses().await?)
}

async fn revoke(
    State(context): State<Context>,
    By(actor): By,
    Place(id): Place<String>,
) -> Result<StatusCode, Refusal> {
    context.mixer.revoke_access(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
