//! A route: what is done, who may, and all that is said about it; of which the router and the description are made.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use flux_identity::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Context;
use super::{caller, idempotent};
use crate::limits::BODY_BYTES_MAX;

/// Makes the schema of a type, once a description is made.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What is sent with a request.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) media: &'static [&'static str],
    pub(super) schema: SchemaOf,
    pub(super) bytes_max: usize,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) what: &'static str,
    pub(super) media: &'static str,
    /// None where there is no body.
    pub(super) schema: Option<SchemaOf>,
}

/// A route.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// Behind `/api/v1`.
    pub(super) path: &'static str,
    /// What it is for, in a sentence.
    pub(super) summary: &'static str,
    /// Who may; anybody where none is said.
    pub(super) role: Option<Role>,
    /// Whether it minds the scope of whoever asks; others are for the whole fleet.
    pub(super) is_scoped: bool,
    pub(super) query: Option<SchemaOf>,
    /// Headers that may be sent.
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// Refusals beside those that every route has.
    pub(super) refuses: &'static [u16],
    is_idempotent: bool,
    handler: MethodRouter<Context>,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    pub(super) fn new<H, T>(method: Method, path: &'static str, summary: &'static str, handler: H) -> Route
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("it is a method of HTTP");
        Route {
            method,
            path,
            summary,
            role: None,
            is_scoped: false,
            query: None,
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
            refuses: &[],
            is_idempotent: false,
            handler: on(filter, handler),
        }
    }

    /// Whoever has a token of this role or a greater one may.
    pub(super) fn role(self, role: Role) -> Route {
        Route { role: Some(role), ..self }
    }

    /// Whoever has a token for some Racks alone may too: what is done and shown is within that.
    pub(super) fn scoped(self) -> Route {
        Route { is_scoped: true, ..self }
    }

    /// What may stand behind the `?`.
    pub(super) fn query<T: JsonSchema>(self) -> Route {
        Route { query: Some(schema_of::<T>), ..self }
    }

    /// A body in JSON.
    pub(super) fn takes<T: JsonSchema>(self) -> Route {
        Route {
            body: Some(Body {
                media: &["application/json"],
                schema: schema_of::<T>,
                bytes_max: BODY_BYTES_MAX,
            }),
            ..self
        }
    }

    /// A body that is a text.
    pub(super) fn takes_text(self, media: &'static [&'static str], bytes_max: usize) -> Route {
        Route {
            body: Some(Body { media, schema: |_| schemars::json_schema!({ "type": "string" }), bytes_max }),
            ..self
        }
    }

    /// An answer in JSON.
    pub(super) fn answers<T: JsonSchema>(self, status: u16, what: &'static str) -> Route {
        self.answer(Answer { status, what, media: "application/json", schema: Some(schema_of::<T>) })
    }

    /// An answer that is a text.
    pub(super) fn answers_text(self, media: &'static str, what: &'static str) -> Route {
        let schema: SchemaOf = |_| schemars::json_schema!({ "type": "string" });
        self.answer(Answer { status: 200, what, media, schema: Some(schema) })
    }

    /// A stream of server-sent events.
    pub(super) fn answers_events(self, what: &'static str) -> Route {
        let schema: SchemaOf = |_| {
            let text = serde_json::json!({ "type": "string" });
            schemars::json_schema!({ "type": "object", "properties": { "id": text, "event": text, "data": text } })
        };
        self.answer(Answer { status: 200, what, media: "text/event-stream", schema: Some(schema) })
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(self, what: &'static str) -> Route {
        self.answers_bare(204, what)
    }

    /// The same of another status.
    pub(super) fn answers_bare(self, status: u16, what: &'static str) -> Route {
        self.answer(Answer { status, what, media: "", schema: None })
    }

    fn answer(mut self, answer: Answer) -> Route {
        self.answers.push(answer);
        self
    }

    pub(super) fn refuses(self, refuses: &'static [u16]) -> Route {
        Route { refuses, ..self }
    }

    pub(super) fn header(mut self, name: &'static str, what: &'static str) -> Route {
        self.headers.push((name, what));
        self
    }

    /// It makes something, and is made once however often it is asked for under one `Idempotency-Key`.
    pub(super) fn idempotent(self) -> Route {
        let what = "A text of your own, up to 128 letters, for this request alone: asked again with it within an hour, the answer is the first one.";
        Route { is_idempotent: true, ..self.header("Idempotency-Key", what) }
    }

    /// The names in braces of its path.
    pub(super) fn places(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Adds it to a router. Who asks is looked at first, then how long what is sent is, then whether it was asked before.
    pub(super) fn add_to(self, router: Router<Context>, context: &Context) -> Router<Context> {
        let mut handler = self.handler;
        if self.is_idempotent {
            handler = handler.layer(middleware::from_fn_with_state(context.clone(), idempotent::once));
        }
        let bytes_max = self.body.map_or(BODY_BYTES_MAX, |body| body.bytes_max);
        handler = handler.layer(axum::Extension(BytesMax(bytes_max)));
        handler = handler.layer(DefaultBodyLimit::max(bytes_max));
        if let Some(role) = self.role {
            let needs = caller::Needs { role, is_scoped: self.is_scoped };
            let admit = middleware::from_fn_with_state((context.clone(), needs), caller::admit);
            handler = handler.layer(admit);
        }
        router.route(self.path, handler)
    }
}

/// How long what is sent may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct BytesMax(pub(super) usize);
