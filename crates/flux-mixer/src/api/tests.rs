//! What the routes answer: to whom, in which form, and what they refuse.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use flux_identity::{Duty, LogLevel, Orders, Problem, Role, Scope, SignedPassport};
use flux_scenario::signed::Signed;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::*;
use crate::limits::{BODY_BYTES_MAX, UNKNOWN_BURST};
use crate::mixer::tests::{House, TestRack, actor};

mod described;
mod releases;
mod repeated;
mod scoped;
mod socket;

struct Site {
    house: House,
    routes: Router,
}

impl Site {
    async fn new(is_open: bool) -> Site {
        let house = House::new().await;
        let peer = caller::Peer(SocketAddr::from(([127, 0, 0, 1], 9)));
        let routes = routes(house.mixer.clone(), is_open).layer(axum::Extension(peer));
        Site { house, routes }
    }

    async fn token(&self, role: Role) -> String {
        self.house
            .mixer
            .make_access(&actor(), role.word(), role, Scope::default(), None)
            .await
            .unwrap()
            .expose()
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Json) {
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).cloned();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(kind.unwrap(), "application/problem+json");
            let problem: Problem = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem.status, status.as_u16());
            assert!(problem.kind.ends_with(&problem.code));
        }
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Json>) -> (StatusCode, Json) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }
}

/// Every route that says so asks who calls, and for the role that it says.
/// W63: the API asks who calls. W48: and each has a role; what is done is written down, what is asked has a rate.
#[tokio::test]
async fn each_route_has_its_role() {
    let site = Site::new(false).await;
    let tokens = [Role::Viewer, Role::Operator, Role::Deployer, Role::Admin];
    let tokens = [
        site.token(tokens[0]).await,
        site.token(tokens[1]).await,
        site.token(tokens[2]).await,
        site.token(tokens[3]).await,
    ];
    for route in all() {
        let path = route.path.replace("{id}", "0000000000000000").replace("{tag}", "1.0.0");
        let path = path
            .replace("{name}", "nobody")
            .replace("{type}", "log")
            .replace("/events", "/events?once=true")
            .replace("?once=true/socket", "/socket");
        let method = route.method;
        let Some(needs) = route.role else {
            if method == Method::GET {
                assert_eq!(
                    site.ask(method.clone(), &path, "", None).await.0,
                    StatusCode::OK,
                    "{method} {path}"
                );
            }
            continue;
        };
        let body = (method == Method::POST).then(|| json!({"name": "x", "role": "viewer"}));
        let (status, _) = site.ask(method.clone(), &path, "", body.clone()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} without a token");
        for (token, role) in tokens.iter().zip([Role::Viewer, Role::Operator, Role::Deployer, Role::Admin]) {
            let (status, _) = site.ask(method.clone(), &path, token, body.clone()).await;
            assert_eq!(status == StatusCode::FORBIDDEN, role < needs, "{method} {path} as {role}: {status}");
        }
    }
}

#[tokio::test]
async fn what_is_sent_badly_is_refused_in_our_words() {
    let site = Site::new(false).await;
    let admin = site.token(Role::Admin).await;
    let detail = async |method, path: &str, body| {
        let (status, body) = site.ask(method, path, &admin, body).await;
        format!("{} {}", status.as_u16(), body["detail"].as_str().unwrap_or_default())
    };
    for (path, want) in [
        ("/racks?limit=0", "400 `limit`: a number from 1 to 1000"),
        ("/racks?state=x", "400 `state`: one of pending, active, suspended, revoked"),
        ("/racks?labels=x", "400 the parameters are label, state, liveness, after and limit"),
        ("/racks/a.b", "400 \"a.b\" is no name: letters, digits, `-` and `_`, 1 to 60 bytes"),
        ("/racks/..%2f..%2fetc", "400 \"../../etc\" is no name: letters, digits, `-` and `_`, 1 to 60 bytes"),
        ("/racks/%3E", "400 \">\" is no name: letters, digits, `-` and `_`, 1 to 60 bytes"),
        ("/racks/nobody", "404 there is no rack nobody"),
        ("/nothing", "404 there is no such route: `/api/v1/docs` lists them"),
    ] {
        assert_eq!(detail(Method::GET, path, None).await, want, "{path}");
    }
    let told = detail(Method::POST, "/tokens", Some(json!({"name": "x", "role": "king"}))).await;
    assert!(told.starts_with("400 the body is not what is asked for, at line 1, column"), "{told}");
    let told = detail(Method::POST, "/tokens", Some(json!({"name": "a b", "role": "viewer"}))).await;
    assert!(told.starts_with("400 \"a b\" is no name"), "{told}");
    assert!(detail(Method::PUT, "/racks", None).await.starts_with("405 "));
    let (status, _) =
        site.ask(Method::POST, "/tokens", &admin, Some(json!("x".repeat(BODY_BYTES_MAX)))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let untyped = Request::post("/api/v1/tokens").header(header::AUTHORIZATION, format!("Bearer {admin}"));
    let (status, _) = site.send(untyped.body(Body::from("{}")).unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "a form of a web page has another content type");
}

#[tokio::test]
async fn a_rack_is_enrolled_over_the_api_and_listed() {
    let site = Site::new(false).await;
    let operator = site.token(Role::Operator).await;
    let wanted = json!({"rack": "north", "labels": {"site": "lisbon"}, "lifetime_s": 60});
    let (status, made) = site.ask(Method::POST, "/enrolment-tokens", &operator, Some(wanted)).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = made["token"].as_str().unwrap().parse().unwrap();
    let (_, listed) = site.ask(Method::GET, "/enrolment-tokens", &operator, None).await;
    assert_eq!((&listed[0]["id"], &listed[0]["rack"]), (&made["id"], &json!("north")));
    assert!(!listed.to_string().contains(&made["token"].as_str().unwrap()[40..80]));
    let request = json!({"request": TestRack::new("north").request(Some(&token))});
    let (status, answer) = site.ask(Method::POST, "/racks/enrol", "", Some(request.clone())).await;
    assert_eq!((status, answer["state"].as_str()), (StatusCode::OK, Some("enrolled")));
    let (status, problem) = site.ask(Method::POST, "/racks/enrol", "", Some(request)).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("FR0902")));
    assert!(problem["now_unix_ms"].as_u64().is_some(), "the clock of the Mixer is told");
    let request = json!({"request": TestRack::new("east").request(None)});
    let (status, answer) = site.ask(Method::POST, "/racks/enrol", "", Some(request)).await;
    assert_eq!((status, answer["state"].as_str()), (StatusCode::ACCEPTED, Some("pending")));
    let (_, page) = site.ask(Method::GET, "/racks?label=site=lisbon&state=active", &operator, None).await;
    assert_eq!((page["total"].as_u64(), page["racks"][0]["name"].as_str()), (Some(1), Some("north")));
    assert_eq!(page["racks"][0]["address"], "127.0.0.1");
    let (_, page) = site.ask(Method::GET, "/racks?limit=1", &operator, None).await;
    assert_eq!((page["total"].as_u64(), page["next"].as_str()), (Some(2), Some("east")));
    let (_, health) = site.ask(Method::GET, "/health", "", None).await;
    assert_eq!(health["counts"]["enrolled"], 1);
}

/// Racks that are known may ask as often as they have to, though all have one address.
#[tokio::test]
async fn a_rack_that_is_known_is_no_stranger() {
    let site = Site::new(false).await;
    let north = TestRack::new("north");
    let token = site.house.invite(None, std::time::Duration::from_secs(60)).await;
    site.house.enrolled(&north, Some(&token)).await;
    for _ in 0..2 * UNKNOWN_BURST {
        let request = json!({ "request": north.request(None) });
        assert_eq!(site.ask(Method::POST, "/racks/enrol", "", Some(request)).await.0, StatusCode::OK);
    }
}

/// What a Rack is told to do is in its next passport, for one and for all of some labels.
#[tokio::test]
async fn a_rack_is_told_what_to_do() {
    let site = Site::new(false).await;
    let operator = site.token(Role::Operator).await;
    let north = TestRack::new("north");
    let token = site.house.invite(None, std::time::Duration::from_secs(60)).await;
    site.house.enrolled(&north, Some(&token)).await;
    let put = async |path: &str, body| site.ask(Method::PUT, path, &operator, Some(body)).await;
    let (status, rack) = put("/racks/north/duty", json!({"duty": "drained"})).await;
    assert_eq!((status, rack["duty"].as_str()), (StatusCode::OK, Some("drained")));
    put("/racks/north/log-level", json!({"log_level": "debug"})).await;
    assert_eq!(site.ask(Method::POST, "/racks/north/shutdown", &operator, None).await.0, StatusCode::OK);
    let orders = async || {
        let answer = site.house.enrolled(&north, None).await;
        SignedPassport::verify(answer.passport.as_bytes(), &answer.cluster_key).unwrap().orders
    };
    let told = Orders { duty: Duty::Drained, log_level: Some(LogLevel::Debug), shutdowns: 1, part: None };
    assert_eq!(orders().await, told);
    let (_, told) = put("/duty", json!({"duty": "stopped", "labels": {"site": "faro"}})).await;
    assert_eq!(told["racks"], json!([]));
    let (_, told) = put("/duty", json!({"duty": "stopped", "labels": {"site": "lisbon"}})).await;
    assert_eq!((&told["racks"], orders().await.duty), (&json!(["north"]), Duty::Stopped));
    let (_, rack) = put("/racks/north/log-level", json!({"log_level": null})).await;
    assert!(rack["log_level"].is_null());
    assert_eq!(put("/racks/nobody/duty", json!({"duty": "running"})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put("/racks/north/duty", json!({"duty": "off"})).await.0, StatusCode::BAD_REQUEST);
    let said: Vec<String> =
        site.house.mixer.audit().entries(0, 99).await.unwrap().into_iter().map(|entry| entry.what).collect();
    for what in ["rack.duty", "rack.log-level", "rack.shutdown"] {
        assert!(said.iter().any(|said| said == what), "{said:?}");
    }
}

#[tokio::test]
async fn who_shows_no_token_may_not_ask_without_end() {
    let site = Site::new(false).await;
    let mut statuses = Vec::new();
    for _ in 0..UNKNOWN_BURST + 5 {
        statuses.push(site.ask(Method::GET, "/racks", "fluxrig-api-guess", None).await.0);
    }
    assert_eq!(statuses[0], StatusCode::UNAUTHORIZED);
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    let admin = site.token(Role::Admin).await;
    assert_eq!(
        site.ask(Method::GET, "/racks", &admin, None).await.0,
        StatusCode::OK,
        "who is known is heard"
    );
}

#[tokio::test]
async fn without_authentication_no_page_of_a_browser_is_answered() {
    let site = Site::new(true).await;
    assert_eq!(site.ask(Method::GET, "/racks", "", None).await.0, StatusCode::OK);
    let from = |host: &str, origin: Option<&str>| {
        let mut request = Request::get("/api/v1/racks").header(header::HOST, host);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        request.body(Body::empty()).unwrap()
    };
    for (host, origin, want) in [
        ("127.0.0.1:8090", None, 200),
        ("[::1]:8090", None, 200),
        ("localhost:8090", Some("https://evil.example"), 400),
        ("evil.example:8090", None, 400),
        ("localhost.evil.example", None, 400),
    ] {
        assert_eq!(site.send(from(host, origin)).await.0.as_u16(), want, "{host} {origin:?}");
    }
}

#[tokio::test]
async fn the_audit_log_is_shown_and_verified() {
    let site = Site::new(false).await;
    let admin = site.token(Role::Admin).await;
    let (_, entries) = site.ask(Method::GET, "/audit?limit=1", &admin, None).await;
    assert_eq!(entries[0]["what"], "token.make");
    let (status, head) = site.ask(Method::GET, "/audit/verify", &admin, None).await;
    assert_eq!((status, head["entries"].as_u64()), (StatusCode::OK, Some(2)));
}

/// Plain HTTP is for this machine alone, whatever was configured.
#[tokio::test]
async fn plain_http_reaches_nobody_else() {
    let house = House::new().await;
    let served = serve(house.mixer.world(), "0.0.0.0:0", routes(house.mixer.clone(), true), None).await;
    assert!(matches!(served, Err(ServeError::Exposed(_))));
    assert!(serve(house.mixer.world(), "127.0.0.1:0", routes(house.mixer.clone(), true), None).await.is_ok());
}
