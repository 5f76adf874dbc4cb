//! The HTTP API: routes, a file for each kind of thing, each with all that is said about it (`route.rs`), of which the router and
//! the description are made. `docs/reference/mixer-api.md` lists them.

mod audit;
mod caller;
mod enrol;
mod events;
mod fleet;
mod health;
mod idempotent;
mod input;
mod openapi;
mod orders;
mod problem;
mod racks;
mod releases;
mod route;
mod serve;
mod tokens;
mod write_deadline;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::allowance::Allowances;
use crate::limits::{
    ADDRESSES_MAX, COUNTED_TOKENS_MAX, EVENT_READERS_MAX, REQUEST_DEADLINE, TOKEN_BURST,
    TOKEN_REQUESTS_PER_S, UNKNOWN_BURST,
};
use crate::mixer::Mixer;
use crate::refusal::Refusal;

use route::Route;
pub use serve::{ServeError, Served, ServerIdentity, serve};

/// What every route has.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) mixer: Arc<Mixer>,
    /// Nobody is asked who they are: for a workstation, on loopback alone.
    pub(crate) is_open: bool,
    /// What each address may ask without a token.
    pub(crate) addresses: Arc<Allowances<IpAddr>>,
    /// What each token may ask.
    pub(crate) tokens: Arc<Allowances<String>>,
    /// What was answered to whom under which idempotency key.
    pub(crate) answers: Arc<idempotent::Answers>,
    /// Room for readers of events.
    pub(crate) readers: Arc<Semaphore>,
}

impl Context {
    fn new(mixer: Arc<Mixer>, is_open: bool) -> Context {
        Context {
            mixer,
            is_open,
            addresses: Arc::new(Allowances::new(UNKNOWN_BURST, 1, ADDRESSES_MAX)),
            tokens: Arc::new(Allowances::new(TOKEN_BURST, TOKEN_REQUESTS_PER_S, COUNTED_TOKENS_MAX)),
            answers: Arc::default(),
            readers: Arc::new(Semaphore::new(EVENT_READERS_MAX)),
        }
    }
}

/// All routes, in the order in which they are described.
fn all() -> Vec<Route> {
    [
        health::routes(),
        enrol::routes(),
        orders::routes(),
        racks::routes(),
        releases::routes(),
        fleet::routes(),
        events::routes(),
        tokens::routes(),
        audit::routes(),
        openapi::routes(),
    ]
    .concat()
}

/// The reference page on the API.
pub fn reference() -> String {
    openapi::markdown(&all())
}

/// The routes of a Mixer. `is_open`: whoever reaches them is an admin.
pub fn routes(mixer: Arc<Mixer>, is_open: bool) -> Router {
    let context = Context::new(mixer, is_open);
    let api = all().into_iter().fold(Router::new(), |router, route| route.add_to(router, &context));
    Router::new()
        .nest("/api/v1", api)
        .fallback(async || Refusal::Missing("such route: `/api/v1/docs` lists them".into()))
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(middleware::from_fn_with_state(context.clone(), caller::only_from_here))
        .layer(middleware::from_fn_with_state(context.clone(), in_time))
        .layer(middleware::map_response(headers))
        .with_state(context)
}

/// A request whose body does not come, or whose answer does not, ends.
async fn in_time(State(context): State<Context>, request: Request, next: Next) -> Response {
    let answer = context.mixer.world().clock.timeout(REQUEST_DEADLINE, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        Refusal::Unavailable("the request was not answered in time; whether it was done is not known".into())
            .into_response()
    })
}

/// What is said with every answer: it is for whoever asked, now, it is what it says that it is, and no page shows it as its own.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

async fn headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

#[cfg(test)]
mod tests;
