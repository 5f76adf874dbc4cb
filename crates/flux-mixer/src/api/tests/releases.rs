//! Scenarios and specs, from a push to what the fleet is to run.

use axum::http::HeaderMap;

use super::*;

const SCENARIO: &str = "
meta: {name: branch, version: 1.0.0, description: 'The till'}
gears:
  - {name: line, type: io_tcp, config: {mode: server, bind: '127.0.0.1:1', pasword: tiger}}
";

fn good() -> String {
    SCENARIO.replace(", pasword: tiger", "")
}

impl Site {
    /// Sends a text.
    pub(super) async fn push(
        &self,
        path: &str,
        token: &str,
        text: &str,
        more: &[(&str, &str)],
    ) -> (StatusCode, Json) {
        let mut request = Request::post(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/yaml");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(text.to_owned())).unwrap()).await
    }

    /// Status, headers and body, as they are.
    pub(super) async fn raw(
        &self,
        method: Method,
        path: &str,
        token: &str,
        more: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let response = self.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_scenario_is_pushed_once_and_read_as_it_was() {
    let site = Site::new(false).await;
    let (deployer, viewer) = (site.token(Role::Deployer).await, site.token(Role::Viewer).await);
    let (status, refused) = site.push("/scenarios", &deployer, SCENARIO, &[]).await;
    assert_eq!((status, refused["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("FR0914")));
    let flaws = refused["errors"].as_array().unwrap();
    let flaw = flaws.iter().find(|flaw| flaw["severity"] == "error").unwrap();
    assert_eq!((flaw["code"].as_str(), flaw["line"].as_u64()), (Some("FR0401"), Some(4)), "{refused}");
    assert!(flaw["help"].is_string() && !refused.to_string().contains("tiger"));
    let (status, checked) = site.push("/scenarios?dry_run=true", &deployer, &good(), &[]).await;
    assert_eq!((status, checked["outcome"].as_str()), (StatusCode::OK, Some("checked")));
    assert_eq!(site.ask(Method::GET, "/scenarios/branch", &viewer, None).await.0, StatusCode::NOT_FOUND);
    let (status, pushed) = site.push("/scenarios?note=first", &deployer, &good(), &[]).await;
    assert_eq!((status, pushed["outcome"].as_str()), (StatusCode::CREATED, Some("stored")));
    let (status, again) = site.push("/scenarios?note=second", &deployer, &good(), &[]).await;
    assert_eq!((status, &again["release"]), (StatusCode::OK, &pushed["release"]));
    let other = good().replace("127.0.0.1:1", "127.0.0.1:2");
    let (status, taken) = site.push("/scenarios", &deployer, &other, &[]).await;
    assert_eq!((status, &taken["current"]), (StatusCode::CONFLICT, &pushed["release"]));
    let (_, history) = site.ask(Method::GET, "/scenarios/branch", &viewer, None).await;
    assert_eq!((&history["items"][0]["note"], &history["next"]), (&json!("first"), &Json::Null));
    let (_, headers, text) = site.raw(Method::GET, "/scenarios/branch/latest", &deployer, &[]).await;
    assert_eq!(text, good());
    assert_eq!(headers["etag"], format!("\"{}\"", pushed["release"]["digest"].as_str().unwrap()));
    for path in ["/scenarios/a.b", "/scenarios/branch/..%2F1.0.0", "/scenarios/%2A", "/scenarios/branch/%3E"]
    {
        assert_eq!(site.ask(Method::GET, path, &viewer, None).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn secrets_are_shown_to_whoever_may_change_them() {
    let site = Site::new(false).await;
    let (deployer, viewer) = (site.token(Role::Deployer).await, site.token(Role::Viewer).await);
    let text = "
meta: {name: branch, version: 1.0.0, labels: {api_token: tiger}}
gears: [{name: sink, type: 'null'}]
";
    let (status, told) = site.push("/scenarios", &deployer, text, &[]).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    let shown = site.raw(Method::GET, "/scenarios/branch/1.0.0", &viewer, &[]).await.2;
    assert!(shown.contains("api_token: *****") && !shown.contains("tiger"), "{shown}");
    assert_eq!(site.raw(Method::GET, "/scenarios/branch/1.0.0", &deployer, &[]).await.2, text);
    let other = text.replace("1.0.0", "1.1.0").replace("tiger", "panther");
    site.push("/scenarios", &deployer, &other, &[]).await;
    let (_, diff) = site.ask(Method::GET, "/scenarios/branch/1.1.0/diff?from=1.0.0", &viewer, None).await;
    assert!(!diff.to_string().contains("tiger") && !diff.to_string().contains("panther"), "{diff}");
}

#[tokio::test]
async fn what_differs_is_told_for_racks_and_in_the_text() {
    let site = Site::new(false).await;
    let deployer = site.token(Role::Deployer).await;
    let old = "
meta: {name: branch, version: 1.0.0}
racks: [{name: north}, {name: south}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, bind: '127.0.0.1:1'}}
  - {name: sink, type: 'null', deploy: south}
wires: [{from: line.out, to: sink.in}]
";
    let new = old.replace("1.0.0", "1.1.0").replace("127.0.0.1:1'", "127.0.0.1:2'");
    for text in [old, &new] {
        let (status, told) = site.push("/scenarios", &deployer, text, &[]).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
    }
    let (status, diff) =
        site.ask(Method::GET, "/scenarios/branch/1.1.0/diff?from=1.0.0", &deployer, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(diff["plans"].as_array().unwrap().len(), 1, "{diff}");
    assert_eq!(diff["plans"][0]["racks"], json!(["north"]));
    assert_eq!(diff["plans"][0]["plan"]["gears"][0]["because"], json!(["config.bind"]));
    assert!(
        diff["text"].as_str().unwrap().contains("-meta: {name: branch, version: 1.0.0}\n+meta:"),
        "{diff}"
    );
    let other = new.replace("branch", "mill");
    assert_eq!(site.push("/scenarios", &deployer, &other, &[]).await.0, StatusCode::CREATED);
    for (path, status, plans) in [
        ("/scenarios/mill/1.1.0/diff?from=branch:1.1.0", StatusCode::OK, 0),
        ("/scenarios/branch/1.1.0/diff", StatusCode::OK, 2),
        ("/scenarios/branch/1.1.0/diff?from=9.0.0", StatusCode::NOT_FOUND, 0),
        ("/scenarios/branch/1.1.0/diff?from=mill:9.0.0", StatusCode::NOT_FOUND, 0),
        ("/scenarios/branch/1.1.0/diff?from=..:1.0.0", StatusCode::BAD_REQUEST, 0),
        ("/scenarios/branch/1.0.0/diff?from=latest", StatusCode::OK, 1),
    ] {
        let (told, diff) = site.ask(Method::GET, path, &deployer, None).await;
        assert_eq!((told, diff["plans"].as_array().map_or(0, Vec::len)), (status, plans), "{path}: {diff}");
    }
}

#[tokio::test]
async fn an_activation_says_what_it_has_seen() {
    let site = Site::new(false).await;
    let deployer = site.token(Role::Deployer).await;
    assert_eq!(site.ask(Method::GET, "/scenario/active", &deployer, None).await.0, StatusCode::NOT_FOUND);
    site.push("/scenarios", &deployer, &good(), &[]).await;
    site.push("/scenarios", &deployer, &good().replace("1.0.0", "1.1.0"), &[]).await;
    let activate = |tag: &str, seen: &str, is_dry_run: bool| {
        let path = format!("/scenarios/branch/{tag}/activate?dry_run={is_dry_run}");
        let seen = seen.to_owned();
        let (site, deployer) = (&site, &deployer);
        async move { site.raw(Method::POST, &path, deployer, &[("if-match", &seen)]).await }
    };
    assert_eq!(activate("1.0.0", "*", true).await.0, StatusCode::PRECONDITION_FAILED, "nothing is active");
    let (status, head, _) = activate("1.0.0", "\"none\"", true).await;
    assert_eq!((status, head["etag"].to_str().unwrap()), (StatusCode::OK, "\"none\""));
    assert_eq!(site.house.mixer.active(), None, "it was only tried");
    let (status, first, _) = activate("1.0.0", "\"none\"", false).await;
    assert_eq!(status, StatusCode::OK);
    let first = first["etag"].to_str().unwrap();
    let (status, second, _) = activate("1.1.0", first, false).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _, body) = activate("1.0.0", first, true).await;
    let problem: Problem = serde_json::from_str(&body).unwrap();
    assert_eq!((status, problem.code.as_str()), (StatusCode::PRECONDITION_FAILED, "FR0913"));
    assert_eq!(problem.current.unwrap()["tag"], "1.1.0");
    let (_, now, body) = site.raw(Method::GET, "/scenario/active", &deployer, &[]).await;
    assert_eq!(now["etag"], second["etag"]);
    assert!(body.contains("\"tag\":\"1.1.0\""));
    assert_eq!(activate("1.0.0", "none", false).await.0, StatusCode::PRECONDITION_FAILED, "no quotes");
    let active = site.ask(Method::DELETE, "/scenarios/branch/1.1.0", &deployer, None).await;
    assert_eq!(active.0, StatusCode::CONFLICT, "it is active");
    assert_eq!(
        site.ask(Method::DELETE, "/scenarios/branch/1.0.0", &deployer, None).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        site.ask(Method::DELETE, "/scenarios/branch/1.0.0", &deployer, None).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_spec_is_pushed_behind_what_it_builds_on() {
    let site = Site::new(false).await;
    let deployer = site.token(Role::Deployer).await;
    let (base, shop) = (
        "{id: base, name: Base, version: 1.0.0, extends: iso87ascii}",
        "{id: shop, name: Shop, version: 2.0.0, extends: 'base:1.0.0'}",
    );
    let (status, refused) = site.push("/specs", &deployer, shop, &[]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["errors"].as_array().unwrap().iter().any(|flaw| flaw["code"] == "FR0809"), "{refused}");
    for spec in [base, shop] {
        assert_eq!(site.push("/specs", &deployer, spec, &[]).await.0, StatusCode::CREATED);
    }
    let (_, page) = site.ask(Method::GET, "/specs?limit=1", &deployer, None).await;
    assert_eq!((&page["items"][0]["name"], &page["next"]), (&json!("base"), &json!("base")));
    let (_, page) = site.ask(Method::GET, "/specs?limit=1&after=base", &deployer, None).await;
    assert_eq!((&page["items"][0]["title"], &page["next"]), (&json!("Shop"), &Json::Null));
    let (status, diff) =
        site.ask(Method::GET, "/specs/shop/2.0.0/diff?from=base:1.0.0", &deployer, None).await;
    assert_eq!((status, &diff["plans"]), (StatusCode::OK, &json!([])));
    assert!(diff["text"].as_str().unwrap().contains("+{id: shop"), "{diff}");
}

/// W50: names are of their own for each kind of thing.
#[tokio::test]
async fn a_rack_a_gear_a_scenario_a_spec_and_a_token_may_have_one_name() {
    let site = Site::new(false).await;
    let admin = site.token(Role::Admin).await;
    let token = site.house.invite(Some("north"), std::time::Duration::from_secs(60)).await;
    let request = json!({"request": TestRack::new("north").request(Some(&token))});
    assert_eq!(site.ask(Method::POST, "/racks/enrol", "", Some(request)).await.0, StatusCode::OK);
    let scenario = "{meta: {name: north, version: 1.0.0}, racks: [{name: north}], gears: [{name: north, type: io_tcp, deploy: north, config: {mode: server, bind: 'a:1'}}]}";
    let (status, told) = site.push("/scenarios", &admin, scenario, &[]).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    let spec = "{id: north, name: North, version: 1.0.0, extends: iso87ascii}";
    assert_eq!(site.push("/specs", &admin, spec, &[]).await.0, StatusCode::CREATED);
    let token = json!({"name": "north", "role": "viewer"});
    assert_eq!(site.ask(Method::POST, "/tokens", &admin, Some(token)).await.0, StatusCode::CREATED);
    for path in ["/racks/north", "/scenarios/north", "/specs/north"] {
        assert_eq!(site.ask(Method::GET, path, &admin, None).await.0, StatusCode::OK, "{path}");
    }
    let gone = site.ask(Method::DELETE, "/racks/north", &admin, None).await;
    assert_eq!(gone.0, StatusCode::NO_CONTENT);
    assert_eq!(
        site.ask(Method::GET, "/scenarios/north/1.0.0/diff?from=1.0.0", &admin, None).await.0,
        StatusCode::OK
    );
}
