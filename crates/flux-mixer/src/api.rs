//! The HTTP API: routes, a file for each kind of thing.
//!
//! | route | who | what |
//! |---|---|---|
//! | `GET /api/v1/health` | anybody | version, fingerprint of the CA, whether there is a bus |
//! | `POST /api/v1/racks/enrol` | anybody, signed | enrols a Rack, or renews what it has |
//! | `GET /api/v1/racks` | viewer | a page of Racks: `label=key=value` (several), `state`, `liveness`, `after`, `limit` |
//! | `GET /api/v1/racks/{name}` | viewer | one Rack |
//! | `POST /api/v1/racks/{name}/approve`, `/suspend`, `/activate`, `/revoke` | operator | changes how it stands |
//! | `DELETE /api/v1/racks/{name}` | admin | makes all void, and forgets it |
//! | `POST`, `GET /api/v1/enrolment-tokens`, `DELETE /…/{id}` | operator | tokens for one enrolment |
//! | `POST`, `GET /api/v1/tokens`, `DELETE /…/{id}` | admin | tokens for this API |
//! | `GET /api/v1/audit` | admin | entries: `after`, `limit` |
//! | `GET /api/v1/audit/verify` | admin | goes through all of the log |

mod audit;
mod caller;
mod enrol;
mod health;
mod input;
mod problem;
mod racks;
mod serve;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use crate::allowance::Addresses;
use crate::limits::{BODY_BYTES_MAX, REQUEST_DEADLINE};
use crate::mixer::Mixer;
use crate::refusal::Refusal;

pub use serve::{ServeError, Served, ServerIdentity, serve};

/// What every route has.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) mixer: Arc<Mixer>,
    /// Nobody is asked who they are: for a workstation, on loopback alone.
    pub(crate) is_open: bool,
    /// What each address may ask without a token.
    pub(crate) addresses: Arc<Addresses>,
}

/// The routes of a Mixer. `is_open`: whoever reaches them is an admin.
pub fn routes(mixer: Arc<Mixer>, is_open: bool) -> Router {
    let context = Context { mixer, is_open, addresses: Arc::default() };
    let api = Router::new()
        .route("/health", get(health::health))
        .route("/racks/enrol", post(enrol::enrol))
        .route("/racks", get(racks::list))
        .route("/racks/{name}", get(racks::show).delete(racks::remove))
        .route("/racks/{name}/{change}", post(racks::change))
        .route("/enrolment-tokens", post(tokens::invite).get(tokens::invitations))
        .route("/enrolment-tokens/{id}", delete(tokens::uninvite))
        .route("/tokens", post(tokens::make).get(tokens::list))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify));
    Router::new()
        .nest("/api/v1", api)
        .fallback(async || Refusal::Missing("such route: see the page on the API".into()))
        .method_not_allowed_fallback(async || problem::method_not_allowed())
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
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

/// What is said with every answer: it is for whoever asked, now, and it is what it says that it is.
async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
