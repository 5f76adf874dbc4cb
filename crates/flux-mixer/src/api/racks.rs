//! `/racks`: who belongs, and how each stands.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use flux_bus::Name;
use flux_identity::{Liveness, RackState, RackView, Racks, Role, rack_name};
use schemars::JsonSchema;

use super::Context;
use super::caller::By;
use super::input::{Asked, Place, limit};
use super::route::Route;
use crate::refusal::Refusal;
use crate::registry::Wanted;

pub(super) fn routes() -> Vec<Route> {
    let changed = |route: Route| {
        route.role(Role::Operator).scoped().answers::<RackView>(200, "how it stands now").refuses(&[404, 409])
    };
    let post = Method::POST;
    vec![
        Route::new(Method::GET, "/racks", "A page of Racks", list)
            .role(Role::Viewer)
            .scoped()
            .query::<Which>()
            .answers::<Racks>(200, "the Racks, by name"),
        Route::new(Method::GET, "/racks/{name}", "A Rack", show)
            .role(Role::Viewer)
            .scoped()
            .answers::<RackView>(200, "how it stands")
            .refuses(&[404]),
        Route::new(
            Method::DELETE,
            "/racks/{name}",
            "Make all void that a Rack was given, and forget it",
            remove,
        )
        .role(Role::Admin)
        .scoped()
        .answers_nothing("it is forgotten")
        .refuses(&[404, 409]),
        changed(Route::new(post.clone(), "/racks/{name}/approve", "Let a Rack in that waits", approve)),
        changed(Route::new(
            post.clone(),
            "/racks/{name}/suspend",
            "Take a Rack's word on the bus from it",
            suspend,
        )),
        changed(Route::new(
            post.clone(),
            "/racks/{name}/activate",
            "Give a suspended Rack its word back",
            activate,
        )),
        changed(Route::new(
            post,
            "/racks/{name}/revoke",
            "Make all void that a Rack was given, for good",
            revoke,
        )),
    ]
}

/// Which Racks: those that are all of it.
#[derive(JsonSchema)]
#[allow(
    dead_code,
    reason = "a label may be there several times, so this is only how it is described; `wanted` reads it"
)]
struct Which {
    /// A label that it has, `key=value`; several times for several.
    #[schemars(inner(regex(pattern = "^[^=&#+%]+=[^&#+%]*$")))]
    label: Option<Vec<String>>,
    /// How it stands with the fleet.
    state: Option<RackState>,
    /// Whether it is heard of.
    liveness: Option<Liveness>,
    /// Those behind this name.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,60}$"))]
    after: Option<String>,
    /// So many at most; 100 where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

async fn list(
    State(context): State<Context>,
    By(actor): By,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Json<Racks>, Refusal> {
    Ok(Json(context.mixer.racks(&Wanted { scope: actor.scope, ..wanted(pairs)? })))
}

async fn show(
    State(context): State<Context>,
    By(actor): By,
    Place(name): Place<String>,
) -> Result<Json<RackView>, Refusal> {
    let name = rack_name(&name)?;
    context.mixer.in_scope(&actor, "rack.show", &name).await?;
    Ok(Json(context.mixer.rack(&name)?))
}

/// A change of how a Rack stands, as a route.
macro_rules! change {
    ($($change:ident),+) => {$(
        async fn $change(
            State(context): State<Context>,
            By(actor): By,
            Place(name): Place<String>,
        ) -> Result<Json<RackView>, Refusal> {
            context.mixer.$change(&actor, &rack_name(&name)?).await.map(Json)
        }
    )+};
}

change!(approve, suspend, activate, revoke);

async fn remove(
    State(context): State<Context>,
    By(actor): By,
    Place(name): Place<String>,
) -> Result<StatusCode, Refusal> {
    context.mixer.remove(&actor, &rack_name(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which Racks are asked for; `label` may be there several times, and what is unknown is refused.
fn wanted(pairs: Vec<(String, String)>) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted { limit: limit(None)?, labels: BTreeMap::new(), ..Wanted::default() };
    for (key, value) in pairs {
        let invalid = |why: &str| Refusal::Invalid(format!("`{key}`: {why}"));
        match key.as_str() {
            "state" => wanted.state = Some(value.parse().map_err(|why: String| invalid(&why))?),
            "liveness" => wanted.liveness = Some(value.parse().map_err(|why: String| invalid(&why))?),
            "after" => wanted.after = Some(Name::new(&value)?),
            "limit" => {
                wanted.limit = limit(Some(value.parse().map_err(|_| invalid("a number"))?))?;
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
