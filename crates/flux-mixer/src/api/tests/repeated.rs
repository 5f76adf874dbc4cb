//! What is asked again, too often, in between, or for a part of it only.

use std::time::Duration;

use flux_world::{ConnectOptions, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::events::Of;
use crate::limits::{EVENTS_MAX, TOKEN_BURST};

#[tokio::test]
async fn what_is_asked_again_under_a_key_is_made_once() {
    let site = Site::new(false).await;
    let (admin, other) = (site.token(Role::Admin).await, site.token(Role::Admin).await);
    let make = |token: &str, name: &str, key: &str| {
        let request = Request::post("/api/v1/tokens")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Body::from(json!({"name": name, "role": "viewer"}).to_string()))
            .unwrap();
        site.send(request)
    };
    let first = make(&admin, "screen", "k1").await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(make(&admin, "screen", "k1").await, first, "the token, too");
    let (status, problem) = make(&admin, "another", "k1").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("FR0918")));
    assert_ne!(make(&other, "screen", "k1").await, first, "a key is its asker's own");
    assert_ne!(make(&admin, "screen", "k2").await, first);
    assert_eq!(make(&admin, "screen", "").await.0, StatusCode::BAD_REQUEST);
    let (_, tokens) = site.ask(Method::GET, "/tokens", &admin, None).await;
    let screens = tokens.as_array().unwrap().iter().filter(|token| token["name"] == "screen").count();
    assert_eq!(screens, 3);
    // A request that was cut off may have been done or not.
    let cut = make(&admin, "cut", "k3");
    tokio::select! {
        biased;
        () = async { for _ in 0..2 { tokio::task::yield_now().await } } => {}
        _ = cut => {}
    }
    let (status, _) = make(&admin, "cut", "k3").await;
    assert!(matches!(status, StatusCode::CONFLICT | StatusCode::CREATED), "{status}");
}

#[tokio::test]
async fn a_token_may_not_ask_without_end() {
    let site = Site::new(false).await;
    let (busy, calm) = (site.token(Role::Viewer).await, site.token(Role::Viewer).await);
    let mut refused = 0;
    for _ in 0..TOKEN_BURST * 3 {
        let (status, _) = site.ask(Method::GET, "/gears/nothing", &busy, None).await;
        refused += u32::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 0, "none of {} was refused", TOKEN_BURST * 3);
    assert_eq!(site.ask(Method::GET, "/gears/log", &calm, None).await.0, StatusCode::OK, "others are heard");
}

#[tokio::test]
async fn events_go_on_where_they_were_left() {
    let site = Site::new(false).await;
    let viewer = site.token(Role::Viewer).await;
    let begin = site.house.mixer.events().now().0.to_string();
    let token = site.house.invite(None, Duration::from_secs(60)).await;
    let request = json!({"request": TestRack::new("north").request(Some(&token))});
    site.ask(Method::POST, "/racks/enrol", "", Some(request)).await;
    let read = |after: &str| {
        let (site, viewer, path) = (&site, &viewer, format!("/events?once=true&after={after}"));
        async move { site.raw(Method::GET, &path, viewer, &[]).await }
    };
    let (status, headers, text) = read(&begin).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &header::HeaderValue::from_static("text/event-stream"))
    );
    assert!(text.contains("event: rack.active\ndata: {") && text.ends_with("\n\n"), "{text}");
    let last = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned();
    assert_eq!(read(&last).await.2, "", "nothing is told twice");
    let (_, _, told) =
        site.raw(Method::GET, "/events?once=true", &viewer, &[("last-event-id", &begin)]).await;
    assert_eq!(told, text);
    for at in 0..EVENTS_MAX {
        site.house.mixer.events().tell(at as u64, "rack.online", "north", Of::Everybody);
    }
    let (_, _, told) = read(&begin).await;
    assert!(told.starts_with("event: behind\n"), "{told}");
    assert!(read("x").await.2.starts_with("event: behind\n"), "what is no id is not remembered");
    // Without `once` it stays, and tells what happens next.
    let request = Request::get("/api/v1/events").header(header::AUTHORIZATION, format!("Bearer {viewer}"));
    let response = site.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    site.house.mixer.events().tell(1, "rack.offline", "south", Of::Everybody);
    let mut body = response.into_body().into_data_stream();
    let next = futures_util::StreamExt::next(&mut body).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&next).contains("rack.offline"));
}

/// W49: what is asked for is what is told, and a page has as much of that as there is room for.
#[tokio::test]
async fn a_page_of_the_audit_log_is_filtered_before_it_is_cut() {
    let site = Site::new(false).await;
    let admin = site.token(Role::Admin).await;
    for at in 0..3 {
        site.house.invite(Some(&format!("r{at}")), Duration::from_secs(60)).await;
        site.token(Role::Viewer).await;
    }
    let ask = async |query: &str| site.ask(Method::GET, &format!("/audit?{query}"), &admin, None).await.1;
    let made = ask("what=enrolment-token.make&limit=2").await;
    let abouts: Vec<&str> =
        made.as_array().unwrap().iter().filter_map(|entry| entry["about"].as_str()).collect();
    assert_eq!(abouts, ["r0", "r1"]);
    let rest = ask(&format!("what=enrolment-token.make&after={}", made[1]["number"])).await;
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["about"]), (1, &json!("r2")));
    let (first, last) = (made[0]["unix_ms"].as_u64().unwrap(), rest[0]["unix_ms"].as_u64().unwrap());
    assert_eq!(ask(&format!("since_unix_ms={}", last + 10_000)).await, json!([]));
    assert_eq!(
        ask(&format!("until_unix_ms={first}&what=enrolment-token.make")).await,
        json!([]),
        "until is until before"
    );
}

/// W46: a request has one answer, whatever it asks for, and it is well formed.
#[tokio::test]
async fn a_request_has_one_answer() {
    let house = House::new().await;
    house.ask(&TestRack::new("north"), None).await.unwrap();
    let served =
        serve(house.mixer.world(), "127.0.0.1:0", routes(house.mixer.clone(), true), None).await.unwrap();
    let target = Target::new("127.0.0.1", served.address().port()).unwrap();
    let ask = async |method: &str, path: &str| {
        let mut stream = house.mixer.world().net.connect(&target, &ConnectOptions::default()).await.unwrap();
        let request =
            format!("{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(str::parse);
        assert_eq!(length, Some(Ok(body.len())), "{answer}");
        serde_json::from_str::<Json>(body).unwrap();
        head.split(' ').nth(1).unwrap().to_owned()
    };
    let asked = async {
        for (change, want) in [
            ("approve", "200"),
            ("approve", "409"),
            ("suspend", "200"),
            ("activate", "200"),
            ("shutdown", "200"),
            ("revoke", "200"),
            ("shutdown", "409"),
            ("halt", "404"),
        ] {
            assert_eq!(ask("POST", &format!("/racks/north/{change}")).await, want, "{change}");
        }
        assert_eq!(ask("PATCH", "/racks/north").await, "405");
    };
    tokio::select! {
        biased;
        () = served.run() => unreachable!("it serves for ever"),
        () = asked => {}
    }
}
