//! The description of the API: OpenAPI 3.1, and the same as a page, made of the routes and their types.

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use flux_identity::Problem;
use ring::digest::{SHA256, digest};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Context;
use super::route::{Answer, Route};

const PROBLEM: &str = "application/problem+json";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/openapi.json", "This description, for programs", document_here)
            .answers::<Value>(200, "OpenAPI 3.1"),
        Route::new(Method::GET, "/docs", "This description, for people", page_here)
            .answers_text("text/html; charset=utf-8", "a page that loads nothing from elsewhere"),
    ]
}

async fn document_here(State(context): State<Context>) -> Json<Value> {
    Json(document(&super::all(), context.is_open))
}

async fn page_here() -> Response {
    let hash = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'");
    let policy = HeaderValue::try_from(policy).expect("a policy is visible ASCII");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, page(&super::all())).into_response()
}

/// OpenAPI 3.1. Where nobody is asked who they are, it says nothing of tokens.
pub(super) fn document(routes: &[Route], is_open: bool) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let methods = paths.entry(format!("/api/v1{}", route.path)).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation(route, is_open, &mut generator);
    }
    let problem = generator.subschema_for::<Problem>();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "fluxrig Mixer",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Who belongs to a fleet, what it runs, and what is done about both",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "responses": { "Problem": { "description": "why it was not done", "content": { PROBLEM: { "schema": problem } } } },
            "schemas": generator.take_definitions(true),
        },
    });
    if !is_open {
        document["components"]["securitySchemes"] = json!({
            "token": { "type": "http", "scheme": "bearer", "description": "`fluxrig-api-…`, as `fluxrig token make` shows it" },
        });
    }
    document
}

fn operation(route: &Route, is_open: bool, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for answer in &route.answers {
        responses.insert(answer.status.to_string(), response(answer, generator));
    }
    for status in refusals(route, is_open) {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split('/').nth(1).unwrap_or_default()],
        "parameters": parameters(route),
        "responses": responses,
    });
    if let Some(body) = &route.body {
        let schema = (body.schema)(generator);
        let content: Map<String, Value> =
            body.media.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if let Some(role) = route.role.filter(|_| !is_open) {
        operation["security"] = json!([{ "token": [] }]);
        operation["x-role"] = role.word().into();
        operation["x-scoped"] = route.is_scoped.into();
    }
    operation
}

/// The statuses of refusals: those of its own, and those that any route of its kind has.
fn refusals(route: &Route, is_open: bool) -> Vec<u16> {
    let has_input = route.query.is_some()
        || route.body.is_some()
        || route.places().next().is_some()
        || !route.headers.is_empty();
    let mut statuses = vec![503];
    if has_input || is_open {
        statuses.push(400);
    }
    if route.body.is_some() {
        statuses.extend([409, 413, 415, 422]);
    }
    if route.role.is_some() {
        statuses.push(429);
    }
    if route.role.is_some() && !is_open {
        statuses.extend([401, 403]);
    }
    statuses.extend(route.refuses);
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    match answer.schema {
        None => json!({ "description": answer.what }),
        Some(schema) => {
            let media = answer.media.split(';').next().unwrap_or_default();
            json!({ "description": answer.what, "content": { media: { "schema": schema(generator) } } })
        }
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters: Vec<Value> = route
        .places()
        .map(|place| json!({ "name": place, "in": "path", "required": true, "schema": place_schema(place, route) }))
        .collect();
    for (name, what) in &route.headers {
        let schema = match *name {
            // Whatever is no id of ours is one that is not remembered.
            "Last-Event-ID" => json!({ "type": "string" }),
            "If-Match" => json!({ "type": "string", "pattern": r#"^(\*|"[0-9a-z]{1,20}")$"# }),
            _ => json!({ "type": "string", "pattern": "^[!-~]{1,128}$" }),
        };
        parameters.push(
            json!({ "name": name, "in": "header", "required": false, "description": what, "schema": schema }),
        );
    }
    for (name, is_required, schema) in query(route) {
        let what = schema["description"].clone();
        let mut parameter = json!({ "name": name, "in": "query", "required": is_required, "schema": schema });
        if what.is_string() {
            parameter["description"] = what;
        }
        parameters.push(parameter);
    }
    parameters
}

/// What may stand behind the `?`: name, whether it has to, and its schema. What is left out is not `null` there.
fn query(route: &Route) -> Vec<(String, bool, Value)> {
    let Some(schema) = route.query else { return Vec::new() };
    let mut own =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = schema(&mut own).to_value();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let property = |(name, mut schema): (String, Value)| {
        if let Some(types) = schema["type"].as_array() {
            let rest: Vec<Value> = types.iter().filter(|word| *word != "null").cloned().collect();
            schema["type"] = rest[0].clone();
        }
        if let Some(any) = schema["anyOf"].as_array().cloned() {
            let what = schema["description"].clone();
            schema = any.into_iter().find(|one| one["type"] != "null").unwrap_or_default();
            schema["description"] = what;
        }
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("default");
        }
        (name.clone(), required.contains(&Value::from(name)), schema)
    };
    properties.into_iter().map(property).collect()
}

fn place_schema(place: &str, route: &Route) -> Value {
    let pattern = match (place, route.method == Method::GET || route.path.ends_with("activate")) {
        ("id", _) => "^[0-9a-f]{16}$",
        ("tag", true) => r"^(latest|v?(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5}))$",
        ("tag", false) => r"^v?(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})$",
        _ => "^[A-Za-z0-9_-]{1,48}$",
    };
    json!({ "type": "string", "pattern": pattern })
}

fn operation_id(route: &Route) -> String {
    let words =
        route.path.split('/').filter(|word| !word.is_empty()).map(|word| word.trim_matches(['{', '}']));
    let id = words.fold(route.method.as_str().to_lowercase(), |id, word| format!("{id}_{word}"));
    id.replace(['-', '.'], "_")
}

/// The reference page: a table of routes, then each of them.
pub(super) fn markdown(routes: &[Route]) -> String {
    let mut text = String::from(
        "# The API of the Mixer\n\nGenerated from the code; `GET /api/v1/openapi.json` of a Mixer is the same as OpenAPI 3.1, with the schemas. \
         How it is used, and what holds everywhere, is in [the guide](../guide/mixer-api.md).\n\n\
         | route | who | what |\n|---|---|---|\n",
    );
    for route in routes {
        let _ = writeln!(text, "| `{} {}` | {} | {} |", route.method, route.path, who(route), route.summary);
    }
    for route in routes {
        let _ = write!(
            text,
            "\n## {} {}\n\n{}. Who may: {}.\n\n",
            route.method,
            route.path,
            route.summary,
            who(route)
        );
        for (kind, name, what) in inputs(route) {
            let _ = writeln!(text, "- {kind} `{name}`: {what}");
        }
        for answer in &route.answers {
            let _ = writeln!(text, "- answers {}: {}", answer.status, answer.what);
        }
        let refused: Vec<String> = refusals(route, false).iter().map(u16::to_string).collect();
        let _ = writeln!(text, "- refuses with {}", refused.join(", "));
    }
    text
}

/// What is sent: of which kind, its name, what it is.
fn inputs(route: &Route) -> Vec<(&'static str, String, String)> {
    let mut inputs = Vec::new();
    for (name, what) in &route.headers {
        inputs.push(("header", (*name).to_owned(), (*what).to_owned()));
    }
    for (name, _, schema) in query(route) {
        inputs.push(("parameter", name, schema["description"].as_str().unwrap_or_default().to_owned()));
    }
    if let Some(body) = &route.body {
        inputs.push(("body", body.media.join("`, `"), format!("at most {} bytes", body.bytes_max)));
    }
    inputs
}

fn who(route: &Route) -> String {
    match route.role {
        None => "anybody".into(),
        Some(role) if route.is_scoped => role.to_string(),
        Some(role) => format!("{role}, with a token for the whole fleet"),
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
code{background:#f0f0f0;padding:.1em .3em;border-radius:3px}table{border-collapse:collapse;width:100%}td,th{text-align:left;\
padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}h2{margin-top:2.5rem;font-size:1.1rem}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181a}code{background:#2a2d30}td,th{border-color:#3a3d40}a{color:#8ab4f8}}";

fn page(routes: &[Route]) -> String {
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>fluxrig Mixer API</title>\
         <style>{STYLE}</style><h1>fluxrig Mixer API {}</h1><p>For programs: <a href=openapi.json>OpenAPI 3.1</a>.</p>\
         <table><tr><th>route<th>who<th>what</tr>",
        env!("CARGO_PKG_VERSION")
    );
    for route in routes {
        let (id, method, path, summary) =
            (operation_id(route), &route.method, route.path, escaped(route.summary));
        let _ = write!(
            html,
            "<tr><td><a href=\"#{id}\"><code>{method} {path}</code></a><td>{}<td>{summary}</tr>",
            who(route)
        );
    }
    html.push_str("</table>");
    for route in routes {
        let (id, method, path, summary) =
            (operation_id(route), &route.method, route.path, escaped(route.summary));
        let _ = write!(
            html,
            "<h2 id=\"{id}\">{method} /api/v1{path}</h2><p>{summary}. Who may: {}.<ul>",
            who(route)
        );
        for (kind, name, what) in inputs(route) {
            let _ = write!(html, "<li>{kind} <code>{}</code>: {}", escaped(&name), escaped(&what));
        }
        for answer in &route.answers {
            let _ = write!(html, "<li>answers {}: {}", answer.status, escaped(answer.what));
        }
        let refused: Vec<String> = refusals(route, false).iter().map(u16::to_string).collect();
        let _ = write!(html, "<li>refuses with {}</ul>", refused.join(", "));
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
