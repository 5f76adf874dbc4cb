//! `GET /health`: whether it is up, and who it is.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::route::Route;
use crate::mixer::Counted;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/health",
            "Whether it is up, who it is, and what it counted since it began",
            health,
        )
        .answers::<Health>(200, "it is up"),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
    mixer: String,
    /// Of the certificate of the CA: to be compared with what the Mixer printed.
    ca_fingerprint: String,
    /// Where Racks connect to; none where there is no server.
    bus: Vec<String>,
    now_unix_ms: u64,
    counts: Counted,
}

async fn health(State(context): State<Context>) -> Json<Health> {
    let mixer = &context.mixer;
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        mixer: mixer.settings().name.to_string(),
        ca_fingerprint: mixer.fingerprint(),
        bus: mixer.bus_urls(),
        now_unix_ms: mixer.world().clock.unix_ms(),
        counts: mixer.counted(),
    })
}
