//! What Racks are told to do: one, or all of some labels.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use flux_bus::Name;
use flux_identity::{Duty, LogLevel, RackView, Role, rack_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::caller::By;
use super::input::{Input, Place};
use super::route::Route;
use crate::refusal::Refusal;

pub(super) fn routes() -> Vec<Route> {
    let ordered = |route: Route| {
        route.role(Role::Operator).scoped().answers::<RackView>(200, "how it stands now").refuses(&[404, 409])
    };
    vec![
        ordered(
            Route::new(
                Method::PUT,
                "/racks/{name}/duty",
                "Have a Rack run what it has, or nothing",
                set_duty,
            )
            .takes::<WantedDuty>(),
        ),
        ordered(
            Route::new(Method::PUT, "/racks/{name}/log-level", "Have a Rack log so", set_log_level)
                .takes::<WantedLevel>(),
        ),
        ordered(Route::new(
            Method::POST,
            "/racks/{name}/shutdown",
            "Have the process of a Rack drain and end",
            shut_down,
        )),
        Route::new(Method::PUT, "/duty", "Have all Racks run what they have, or nothing", set_duty_of_all)
            .role(Role::Operator)
            .scoped()
            .takes::<WantedDutyOfAll>()
            .answers::<Told>(200, "who is told"),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedDuty {
    /// What it is to be.
    duty: Duty,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedLevel {
    /// The least severe level that it logs; none is its own.
    log_level: Option<LogLevel>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedDutyOfAll {
    /// What it is to be.
    duty: Duty,
    /// Those that have all of these labels; without any, all.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Who was told.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Told {
    #[schemars(with = "Vec<String>")]
    racks: Vec<Name>,
}

async fn set_duty(
    State(context): State<Context>,
    By(actor): By,
    Place(name): Place<String>,
    Input(wanted): Input<WantedDuty>,
) -> Result<Json<RackView>, Refusal> {
    context.mixer.set_duty(&actor, &rack_name(&name)?, wanted.duty).await.map(Json)
}

async fn set_log_level(
    State(context): State<Context>,
    By(actor): By,
    Place(name): Place<String>,
    Input(wanted): Input<WantedLevel>,
) -> Result<Json<RackView>, Refusal> {
    context.mixer.set_log_level(&actor, &rack_name(&name)?, wanted.log_level).await.map(Json)
}

async fn shut_down(
    State(context): State<Context>,
    By(actor): By,
    Place(name): Place<String>,
) -> Result<Json<RackView>, Refusal> {
    context.mixer.shut_down(&actor, &rack_name(&name)?).await.map(Json)
}

async fn set_duty_of_all(
    State(context): State<Context>,
    By(actor): By,
    Input(wanted): Input<WantedDutyOfAll>,
) -> Result<Json<Told>, Refusal> {
    let racks = context.mixer.set_duty_of_all(&actor, &wanted.labels, wanted.duty).await?;
    Ok(Json(Told { racks }))
}
