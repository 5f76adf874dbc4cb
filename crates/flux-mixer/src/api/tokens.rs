//! `/enrolment-tokens` and `/tokens`: each is shown once, when it is made.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flux_identity::{Role, Token, rack_name};
use serde::{Deserialize, Serialize};

use super::Context;
use super::caller::{Admin, Operator};
use super::input::{Input, Place, seconds};
use crate::mixer::Invite;
use crate::refusal::Refusal;
use crate::tokens::{Access, Invitation, Listed};

/// How long an invitation is good where nothing is said, in seconds.
const INVITATION_S: u64 = 3_600;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WantedInvitation {
    /// The only name it is for.
    rack: Option<String>,
    /// Labels that the Rack gets.
    labels: BTreeMap<String, String>,
    /// How long it is good, in seconds.
    lifetime_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedAccess {
    /// What it is called.
    name: String,
    /// What may be done with it.
    role: Role,
    /// How long it is good, in seconds; for ever where nothing is said.
    #[serde(default)]
    lifetime_s: Option<u64>,
}

/// A token that was just made.
#[derive(Debug, Serialize)]
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

pub(super) async fn invite(
    State(context): State<Context>,
    Operator(actor): Operator,
    Input(WantedInvitation { rack, labels, lifetime_s }): Input<WantedInvitation>,
) -> Result<(StatusCode, Json<Made>), Refusal> {
    let rack = rack.map(|rack| rack_name(&rack)).transpose()?;
    let lifetime = seconds(lifetime_s.unwrap_or(INVITATION_S));
    Ok(Made::of(&context.mixer.invite(&actor, Invite { rack, labels, lifetime }).await?))
}

pub(super) async fn invitations(
    State(context): State<Context>,
    Operator(_): Operator,
) -> Result<Json<Vec<Listed<Invitation>>>, Refusal> {
    context.mixer.invitations().await.map(Json)
}

pub(super) async fn uninvite(
    State(context): State<Context>,
    Operator(actor): Operator,
    Place(id): Place<String>,
) -> Result<StatusCode, Refusal> {
    context.mixer.uninvite(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn make(
    State(context): State<Context>,
    Admin(actor): Admin,
    Input(WantedAccess { name, role, lifetime_s }): Input<WantedAccess>,
) -> Result<(StatusCode, Json<Made>), Refusal> {
    Ok(Made::of(&context.mixer.make_access(&actor, &name, role, lifetime_s.map(seconds)).await?))
}

pub(super) async fn list(
    State(context): State<Context>,
    Admin(_): Admin,
) -> Result<Json<Vec<Listed<Access>>>, Refusal> {
    context.mixer.accesses().await.map(Json)
}

pub(super) async fn revoke(
    State(context): State<Context>,
    Admin(actor): Admin,
    Place(id): Place<String>,
) -> Result<StatusCode, Refusal> {
    context.mixer.revoke_access(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
