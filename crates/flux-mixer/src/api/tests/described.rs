//! The description says what there is, and nothing is there that it does not say.

use std::collections::BTreeSet;

use super::*;

fn references(json: &Json, into: &mut BTreeSet<String>) {
    match json {
        Json::Object(map) => {
            into.extend(map.get("$ref").and_then(Json::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, into));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, into)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[tokio::test]
async fn all_that_is_referred_to_is_there_and_every_route_has_a_name() {
    let site = Site::new(false).await;
    let (status, document) = site.ask(Method::GET, "/openapi.json", "", None).await;
    assert_eq!((status, document["openapi"].as_str()), (StatusCode::OK, Some("3.1.0")));
    let mut referred = BTreeSet::new();
    references(&document, &mut referred);
    assert!(referred.len() > 10);
    for reference in referred {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference}");
    }
    let paths = document["paths"].as_object().unwrap();
    let operations: Vec<&Json> = paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
    let names: BTreeSet<&str> =
        operations.iter().filter_map(|operation| operation["operationId"].as_str()).collect();
    assert_eq!(names.len(), all().len());
    assert_eq!(document["paths"]["/api/v1/tokens"]["post"]["x-role"], "admin");
    assert_eq!(document["paths"]["/api/v1/tokens"]["post"]["security"], json!([{"token": []}]));
    let open = Site::new(true).await;
    let (_, document) = open.ask(Method::GET, "/openapi.json", "", None).await;
    assert!(
        !document.to_string().contains("\"security\""),
        "where nobody is asked who they are, none is described"
    );
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_no_page_is_let_in() {
    let site = Site::new(false).await;
    let (_, headers, page) = site.raw(Method::GET, "/docs", "", &[]).await;
    for foreign in ["http:", "https:", "src=", "<script", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("POST /scenarios/{name}/{tag}/activate"));
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'; style-src 'sha256-")
    );
    let (status, headers, _) =
        site.raw(Method::OPTIONS, "/racks", "", &[("origin", "https://evil.example")]).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD"));
    for (name, value) in &HEADERS {
        assert_eq!(headers[name], value);
    }
    assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{headers:?}");
}

#[test]
fn the_reference_page_lists_every_route() {
    let page = reference();
    for route in all() {
        assert!(page.contains(&format!("\n## {} {}\n", route.method, route.path)));
    }
}
