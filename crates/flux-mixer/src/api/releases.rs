//! `/scenarios` and `/specs`: pushed, listed, read, compared, activated.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flux_bus::Name;
use flux_identity::limits::RELEASE_BYTES_MAX;
use flux_identity::{Activation, Difference, Page, PushOutcome, Pushed, Release, Role, Tag, tag_pattern};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Context;
use super::caller::By;
use super::input::{Asked, Place, TEXT_MEDIA, Text, limit};
use super::route::Route;
use crate::limits::TEXT_BYTES_MAX;
use crate::mixer::{Push, Sort};
use crate::refusal::Refusal;

const YAML: &str = "application/yaml";
const REFUSED_PUSH: &[u16] = &[409, 413, 415, 422];
const IF_MATCH: &str = "The `ETag` that `GET /scenario/active` had: another one is activated only if that still is the active one. `*`: any.";

/// What the routes of each are for.
const SCENARIOS: [&str; 6] = [
    "Push a scenario: it is checked, and kept under the name and version that it says itself",
    "The latest release of each scenario",
    "The releases of a scenario, the last first",
    "The text of a scenario, of a version or of `latest`; secrets are hidden from whoever is no deployer",
    "Forget a release of a scenario",
    "What differs from another release: on each Rack, and in the text",
];
const SPECS: [&str; 6] = [
    "Push a spec: it is checked, and kept under the id and version that it says itself",
    "The latest release of each spec",
    "The releases of a spec, the last first",
    "The text of a spec, of a version or of `latest`",
    "Forget a release of a spec",
    "What differs from another release, in the text",
];

pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (sort, [all, name, tag, diff], [push, list, history, read, forget, compare]) in [
        (
            Sort::Scenario,
            ["/scenarios", "/scenarios/{name}", "/scenarios/{name}/{tag}", "/scenarios/{name}/{tag}/diff"],
            SCENARIOS,
        ),
        (Sort::Spec, ["/specs", "/specs/{name}", "/specs/{name}/{tag}", "/specs/{name}/{tag}/diff"], SPECS),
    ] {
        routes.extend([
            Route::new(Method::POST, all, push, async move |state, by, asked, text| {
                pushed(sort, state, by, asked, text).await
            })
            .role(Role::Deployer)
            .idempotent()
            .query::<PushAsked>()
            .takes_text(TEXT_MEDIA, TEXT_BYTES_MAX)
            .answers::<Pushed>(201, "it is in the store")
            .answers::<Pushed>(200, "it was there already, or it was only checked")
            .refuses(REFUSED_PUSH),
            Route::new(Method::GET, all, list, async move |state, asked| listed(sort, state, asked).await)
                .role(Role::Viewer)
                .query::<NamesAsked>()
                .answers::<Page<Release>>(200, "by name"),
            Route::new(Method::GET, name, history, async move |state, place, asked| {
                history_of(sort, state, place, asked).await
            })
            .role(Role::Viewer)
            .query::<HistoryAsked>()
            .answers::<Page<Release>>(200, "by version")
            .refuses(&[404]),
            Route::new(Method::GET, tag, read, async move |state, by, place| {
                text_of(sort, state, by, place).await
            })
            .role(Role::Viewer)
            .answers_text(YAML, "the text; `ETag` is its SHA-256")
            .refuses(&[404]),
            Route::new(Method::DELETE, tag, forget, async move |state, by, place| {
                forgotten(sort, state, by, place).await
            })
            .role(Role::Deployer)
            .answers_nothing("it is forgotten")
            .refuses(&[404, 409]),
            Route::new(Method::GET, diff, compare, async move |state, place, asked| {
                differing(sort, state, place, asked).await
            })
            .role(Role::Viewer)
            .query::<DiffAsked>()
            .answers::<Difference>(200, "the way from the other release to this one")
            .refuses(&[404]),
        ]);
    }
    routes.extend(of_scenarios());
    routes
}

fn of_scenarios() -> Vec<Route> {
    vec![
        Route::new(
            Method::POST,
            "/scenarios/{name}/{tag}/activate",
            "Have the fleet run a release",
            activate,
        )
        .role(Role::Deployer)
        .query::<ActivateAsked>()
        .header("If-Match", IF_MATCH)
        .answers::<Activation>(200, "it is active; of a dry run, what would be")
        .refuses(&[404, 412, 422]),
        Route::new(Method::GET, "/scenario/active", "The scenario that the fleet is to run", active)
            .role(Role::Viewer)
            .scoped()
            .answers::<Activation>(200, "it is active; `ETag` tells it from what was and will be")
            .refuses(&[404]),
    ]
}

/// How something is pushed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PushAsked {
    /// It is only checked, and nothing is kept.
    dry_run: bool,
    /// What is to be said about it in its history: one line.
    #[schemars(regex(pattern = "^[ -~]{0,512}$"))]
    note: String,
}

/// Which names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NamesAsked {
    /// Those behind this name.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,60}$"))]
    after: Option<String>,
    /// So many at most; 100 where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// Which versions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct HistoryAsked {
    /// Those before this version.
    after: Option<Tag>,
    /// So many at most; 100 where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// Compared with what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DiffAsked {
    /// The release before: a version or `latest`, or `name:version` of another name. With nothing, where none is said.
    #[schemars(schema_with = "any_release")]
    from: Option<String>,
}

/// How it is activated.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ActivateAsked {
    /// It is only checked whether it could be.
    dry_run: bool,
}

fn any_release(_: &mut SchemaGenerator) -> Schema {
    let pattern = format!("^([A-Za-z0-9_-]{{1,60}}:)?(latest|{})$", tag_pattern());
    json_schema!({ "type": "string", "pattern": pattern, "maxLength": RELEASE_BYTES_MAX })
}

/// `name` and `tag` of a path.
type Of = Place<(String, String)>;

async fn pushed(
    sort: Sort,
    State(context): State<Context>,
    By(actor): By,
    Asked(PushAsked { dry_run, note }): Asked<PushAsked>,
    Text(text): Text,
) -> Result<(StatusCode, Json<Pushed>), Refusal> {
    let pushed = context.mixer.push(&actor, Push { sort, text, note, is_dry_run: dry_run }).await?;
    let status = match pushed.outcome {
        PushOutcome::Stored => StatusCode::CREATED,
        PushOutcome::Unchanged | PushOutcome::Checked => StatusCode::OK,
    };
    Ok((status, Json(pushed)))
}

async fn listed(
    sort: Sort,
    State(context): State<Context>,
    Asked(asked): Asked<NamesAsked>,
) -> Result<Json<Page<Release>>, Refusal> {
    let after = asked.after.map(Name::new).transpose()?;
    Ok(Json(context.mixer.releases(sort).names(after.as_ref(), limit(asked.limit)?)))
}

async fn history_of(
    sort: Sort,
    State(context): State<Context>,
    Place(name): Place<String>,
    Asked(asked): Asked<HistoryAsked>,
) -> Result<Json<Page<Release>>, Refusal> {
    let (name, limit) = (Name::new(name)?, limit(asked.limit)?);
    context.mixer.releases(sort).history(&name, asked.after.as_ref(), limit).map(Json)
}

async fn text_of(
    sort: Sort,
    State(context): State<Context>,
    By(actor): By,
    Place((name, tag)): Of,
) -> Result<Response, Refusal> {
    let (store, name) = (context.mixer.releases(sort), Name::new(name)?);
    let release = store.get(&name, &tag)?;
    let text = store.text(&release).await?;
    let is_shown_whole = sort == Sort::Spec || actor.role >= Role::Deployer;
    // A text that is not shown whole is not the one that has this digest.
    let etag = if is_shown_whole { release.digest.to_string() } else { format!("{}-shown", release.digest) };
    let text = if is_shown_whole { text } else { context.mixer.shown_scenario(text).await.into_bytes() };
    Ok((tagged(&etag), [(header::CONTENT_TYPE, HeaderValue::from_static(YAML))], text).into_response())
}

async fn forgotten(
    sort: Sort,
    State(context): State<Context>,
    By(actor): By,
    Place((name, tag)): Of,
) -> Result<StatusCode, Refusal> {
    let tag = tag.parse().map_err(Refusal::Invalid)?;
    context.mixer.remove_release(&actor, sort, &Name::new(name)?, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn differing(
    sort: Sort,
    State(context): State<Context>,
    Place((name, tag)): Of,
    Asked(DiffAsked { from }): Asked<DiffAsked>,
) -> Result<Json<Difference>, Refusal> {
    let name = Name::new(name)?;
    let read = |from: String| match from.split_once(':') {
        Some((name, tag)) => Ok((Name::new(name)?, tag.to_owned())),
        None => Ok::<_, Refusal>((name.clone(), from)),
    };
    let from = from.map(read).transpose()?;
    let from = from.as_ref().map(|(name, tag)| (name, tag.as_str()));
    context.mixer.differing(sort, from, (&name, &tag)).await.map(Json)
}

async fn activate(
    State(context): State<Context>,
    By(actor): By,
    IfMatch(expected): IfMatch,
    Place((name, tag)): Of,
    Asked(ActivateAsked { dry_run }): Asked<ActivateAsked>,
) -> Result<Response, Refusal> {
    let (name, expected) = (Name::new(name)?, expected.as_deref());
    let activated = context.mixer.activate_scenario(&actor, &name, &tag, expected, dry_run).await?;
    Ok((tagged(&activated.0), Json(activated.1)).into_response())
}

async fn active(State(context): State<Context>) -> Result<Response, Refusal> {
    let found = context.mixer.active();
    let (etag, activation) = found.ok_or_else(|| Refusal::Missing("active scenario: activate one".into()))?;
    Ok((tagged(&etag), Json(activation)).into_response())
}

fn tagged(etag: &str) -> [(HeaderName, HeaderValue); 1] {
    [(header::ETAG, HeaderValue::try_from(format!("\"{etag}\"")).expect("a tag is digits and letters"))]
}

/// What whoever asks has seen.
#[derive(Debug)]
struct IfMatch(Option<String>);

impl FromRequestParts<Context> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<IfMatch, Refusal> {
        let Some(shown) = parts.headers.get(header::IF_MATCH) else { return Ok(IfMatch(None)) };
        // What has no quotes is no tag of ours either, and matches nothing.
        let shown = shown.to_str().unwrap_or_default().trim();
        let tag = shown
            .strip_prefix('"')
            .and_then(|shown| shown.strip_suffix('"'))
            .unwrap_or(if shown == "*" { "*" } else { "" });
        Ok(IfMatch(Some(tag.to_owned())))
    }
}
