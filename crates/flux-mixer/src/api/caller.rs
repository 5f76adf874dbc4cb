//! Who calls: by the token, with a role, and not too often.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flux_identity::{Role, Scope};

use super::Context;
use crate::mixer::Actor;
use crate::refusal::Refusal;

/// Who asked, as a route with a role has it.
#[derive(Clone, Debug)]
pub(super) struct By(pub(super) Actor);

impl FromRequestParts<Context> for By {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<By, Refusal> {
        parts.extensions.get::<By>().cloned().ok_or(Refusal::Unauthenticated)
    }
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Somebody who shows nothing, and may not do so too often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranger(pub(super) IpAddr);

/// Who may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) role: Role,
    pub(super) is_scoped: bool,
}

/// Lets whoever shows a good token of this role or a greater one in, for the whole fleet where the route is about that, before
/// anything else of the request is looked at.
pub(super) async fn admit(
    State((context, needs)): State<(Context, Needs)>,
    mut request: Request,
    next: Next,
) -> Response {
    let actor = match actor(request.headers(), address(request.extensions()), &context).await {
        Ok(actor) => actor,
        Err(why) => return why.into_response(),
    };
    let about = format!("{} {}", request.method(), request.uri().path());
    if actor.role < needs.role {
        let why = Refusal::Forbidden { has: actor.role.word(), needs: needs.role.word() };
        context.mixer.refuse(&actor.who, "api.admit", &about, &why.to_string()).await;
        return why.into_response();
    }
    if !needs.is_scoped && !actor.scope.is_whole() {
        let why = "this is about the whole fleet";
        return context.mixer.out_of_scope(&actor, "api.admit", &about, why).await.into_response();
    }
    request.extensions_mut().insert(By(actor));
    next.run(request).await
}

async fn actor(headers: &HeaderMap, from: IpAddr, context: &Context) -> Result<Actor, Refusal> {
    if context.is_open {
        return Ok(Actor {
            who: "anybody on this machine".into(),
            role: Role::Admin,
            scope: Scope::default(),
        });
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|shown| shown.strip_prefix("Bearer "));
    let refused = || allowed(context, from).err().unwrap_or(Refusal::Unauthenticated);
    let Some(token) = token else { return Err(refused()) };
    // A token that is guessed costs as much as none.
    let actor = match context.mixer.actor(token, &from.to_string()).await {
        Err(Refusal::Unauthenticated) => return Err(refused()),
        known => known?,
    };
    let is_allowed = context.tokens.take(actor.who.clone(), context.mixer.world().clock.now());
    is_allowed
        .then_some(actor)
        .ok_or_else(|| Refusal::TooMany("too many requests with this token; ask again later".into()))
}

impl FromRequestParts<Context> for Stranger {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Stranger, Refusal> {
        let from = address(&parts.extensions);
        match context.is_open {
            true => Ok(Stranger(from)),
            false => allowed(context, from).map(|()| Stranger(from)),
        }
    }
}

fn allowed(context: &Context, from: IpAddr) -> Result<(), Refusal> {
    let is_allowed = context.addresses.take(from, context.mixer.world().clock.now());
    is_allowed
        .then_some(())
        .ok_or_else(|| Refusal::TooMany("too many requests without a token; ask again later".into()))
}

fn address(extensions: &axum::http::Extensions) -> IpAddr {
    let known = extensions.get::<Peer>();
    known.map_or(IpAddr::from([0, 0, 0, 0]), |Peer(address)| address.ip().to_canonical())
}

/// Where nobody is asked who they are, a page of a browser could ask in the name of its user: only what was addressed to this
/// machine by name is answered, and nothing that says it comes from a page.
pub(super) async fn only_from_here(State(context): State<Context>, request: Request, next: Next) -> Response {
    if context.is_open && !is_from_here(request.headers(), request.uri().authority()) {
        let why = "without authentication only this machine is answered, under the name localhost, 127.0.0.1 or [::1], and no page";
        return Refusal::Invalid(why.into()).into_response();
    }
    next.run(request).await
}

fn is_from_here(headers: &HeaderMap, authority: Option<&Authority>) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let is_local = |authority: &Authority| matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
    let is_addressed_here = host.as_ref().or(authority).is_some_and(is_local);
    is_addressed_here && !headers.contains_key(header::ORIGIN)
}
