//! `/racks`: who belongs, and how each stands.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flux_bus::Name;
use flux_identity::{RackView, Racks, rack_name};

use super::Context;
use super::caller::{Admin, Operator, Viewer};
use super::input::{Asked, Place};
use crate::limits::PAGE_MAX;
use crate::refusal::Refusal;
use crate::registry::Wanted;

/// Racks on a page where nothing is said.
const PAGE: usize = 100;

pub(super) async fn list(
    State(context): State<Context>,
    Viewer(_): Viewer,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Json<Racks>, Refusal> {
    Ok(Json(context.mixer.racks(&wanted(pairs)?)))
}

pub(super) async fn show(
    State(context): State<Context>,
    Viewer(_): Viewer,
    Place(name): Place<String>,
) -> Result<Json<RackView>, Refusal> {
    Ok(Json(context.mixer.rack(&rack_name(&name)?)?))
}

pub(super) async fn change(
    State(context): State<Context>,
    Operator(actor): Operator,
    Place((name, change)): Place<(String, String)>,
) -> Result<Json<RackView>, Refusal> {
    let (rack, mixer) = (rack_name(&name)?, &context.mixer);
    let view = match change.as_str() {
        "approve" => mixer.approve(&actor, &rack).await,
        "suspend" => mixer.suspend(&actor, &rack).await,
        "activate" => mixer.activate(&actor, &rack).await,
        "revoke" => mixer.revoke(&actor, &rack).await,
        _ => Err(Refusal::Missing("such change: approve, suspend, activate or revoke".into())),
    };
    view.map(Json)
}

pub(super) async fn remove(
    State(context): State<Context>,
    Admin(actor): Admin,
    Place(name): Place<String>,
) -> Result<StatusCode, Refusal> {
    context.mixer.remove(&actor, &rack_name(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which Racks are asked for; `label` may be there several times, and what is unknown is refused.
fn wanted(pairs: Vec<(String, String)>) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted { limit: PAGE, labels: BTreeMap::new(), ..Wanted::default() };
    for (key, value) in pairs {
        let invalid = |why: &str| Refusal::Invalid(format!("`{key}`: {why}"));
        match key.as_str() {
            "state" => wanted.state = Some(value.parse().map_err(|why: String| invalid(&why))?),
            "liveness" => wanted.liveness = Some(value.parse().map_err(|why: String| invalid(&why))?),
            "after" => wanted.after = Some(Name::new(&value)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                wanted.limit = limit.ok_or_else(|| invalid(&format!("a number from 1 to {PAGE_MAX}")))?;
            }
            "label" => {
                let (label, value) = value.split_once('=').ok_or_else(|| invalid("write `key=value`"))?;
                wanted.labels.insert(label.to_owned(), value.to_owned());
            }
            _ => {
                return Err(Refusal::Invalid(
                    "the parameters are label, state, liveness, after and limit".into(),
                ));
            }
        }
    }
    Ok(wanted)
}
