//! A token for some Racks sees those, does something with those, and nothing else; what it tries is counted and written down.

use super::*;

fn scope(site: &str) -> Scope {
    Scope::new([("site".to_owned(), site.to_owned())].into()).unwrap()
}

impl Site {
    async fn scoped(&self, role: Role, site: &str) -> String {
        let token = self.house.mixer.make_access(&actor(), site, role, scope(site), None).await;
        token.unwrap().expose()
    }

    /// Enrols Racks of two sites, and one of none.
    async fn with_racks(self) -> Site {
        for (rack, site) in
            [("p1", Some("porto")), ("l1", Some("lisbon")), ("p2", Some("porto")), ("x1", None)]
        {
            let admin = self.token(Role::Admin).await;
            let labels = site.map(|site| json!({ "site": site })).unwrap_or(json!({}));
            let wanted = json!({ "rack": rack, "labels": labels });
            let (_, made) = self.ask(Method::POST, "/enrolment-tokens", &admin, Some(wanted)).await;
            let token = made["token"].as_str().unwrap().parse().unwrap();
            let request = json!({ "request": TestRack::new(rack).request(Some(&token)) });
            assert_eq!(self.ask(Method::POST, "/racks/enrol", "", Some(request)).await.0, StatusCode::OK);
        }
        self
    }
}

fn names(page: &Json) -> Vec<&str> {
    page["racks"].as_array().unwrap().iter().map(|rack| rack["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_have_the_racks_of_the_scope_and_counts_no_others() {
    let site = Site::new(false).await.with_racks().await;
    let porto = site.scoped(Role::Viewer, "porto").await;
    let (_, page) = site.ask(Method::GET, "/racks", &porto, None).await;
    assert_eq!((names(&page), &page["total"]), (vec!["p1", "p2"], &json!(2)));
    let (_, page) = site.ask(Method::GET, "/racks?limit=1", &porto, None).await;
    assert_eq!((names(&page), &page["total"], &page["next"]), (vec!["p1"], &json!(2), &json!("p1")));
    let (_, page) = site.ask(Method::GET, "/racks?label=site=lisbon", &porto, None).await;
    assert_eq!((names(&page), &page["total"]), (vec![], &json!(0)));
    let scenario = "
meta: {name: both, version: 1.0.0}
racks: [{name: p1}, {name: l1}, {name: absent}]
gears:
  - {name: a, type: io_tcp, deploy: p1, config: {mode: server, bind: '127.0.0.1:1'}}
  - {name: b, type: io_tcp, deploy: l1, config: {mode: server, bind: '127.0.0.1:1'}}
  - {name: c, type: io_tcp, deploy: absent, config: {mode: server, bind: '127.0.0.1:1'}}
";
    site.house.mixer.start_with(scenario.into()).await.unwrap();
    let (_, topology) = site.ask(Method::GET, "/topology", &porto, None).await;
    assert_eq!(names(&topology), ["p1", "p2"]);
    assert_eq!(topology["counts"], json!({"synced": 0, "behind": 0, "unknown": 1, "idle": 1}));
    assert_eq!((&topology["missing"], &topology["scenario"]["name"]), (&json!([]), &json!("both")));
    let admin = site.token(Role::Admin).await;
    let (_, topology) = site.ask(Method::GET, "/topology", &admin, None).await;
    assert_eq!((names(&topology).len(), &topology["missing"]), (4, &json!(["absent"])));
}

#[tokio::test]
async fn what_is_not_in_the_scope_is_refused_alike_written_down_and_counted() {
    let site = Site::new(false).await.with_racks().await;
    let (porto, admin) = (site.scoped(Role::Admin, "porto").await, site.token(Role::Admin).await);
    assert_eq!(site.ask(Method::GET, "/racks/p1", &porto, None).await.0, StatusCode::OK);
    assert_eq!(site.ask(Method::POST, "/racks/p1/suspend", &porto, None).await.0, StatusCode::OK);
    let before = site.house.mixer.counted().refused;
    // One that is elsewhere, one without the label, and one that is not there: nobody can tell which.
    let mut details = Vec::new();
    for rack in ["l1", "x1", "nobody"] {
        for (method, path) in [
            (Method::GET, format!("/racks/{rack}")),
            (Method::POST, format!("/racks/{rack}/suspend")),
            (Method::POST, format!("/racks/{rack}/revoke")),
            (Method::DELETE, format!("/racks/{rack}")),
        ] {
            let (status, problem) = site.ask(method, &path, &porto, None).await;
            assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("FR0919")), "{path}");
            details.push(problem["detail"].as_str().unwrap().to_owned());
        }
    }
    details.dedup();
    assert_eq!(details, ["the token is for site=porto, and among those there is no such rack"]);
    let whole = [
        (Method::GET, "/scenarios"),
        (Method::POST, "/scenarios/both/1.0.0/activate"),
        (Method::DELETE, "/specs/a/1.0.0"),
        (Method::GET, "/audit"),
        (Method::GET, "/tokens"),
        (Method::GET, "/config"),
    ];
    for (method, path) in &whole {
        let (status, problem) = site.ask(method.clone(), path, &porto, None).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("FR0919")), "{path}");
    }
    let refused = 12 + whole.len() as u64;
    assert_eq!(site.house.mixer.counted().refused, before + refused);
    let (_, entries) = site.ask(Method::GET, "/audit?limit=1000", &admin, None).await;
    let of_scope = |entry: &&Json| {
        entry["outcome"] == "refused"
            && entry["detail"].as_str().unwrap().starts_with("the token is for site=porto")
    };
    assert_eq!(entries.as_array().unwrap().iter().filter(of_scope).count() as u64, refused);
    let (_, left) = site.ask(Method::GET, "/racks?state=active", &admin, None).await;
    assert_eq!(names(&left), ["l1", "p2", "x1"], "nothing was done to them");
}

#[tokio::test]
async fn whom_it_lets_in_is_in_its_scope() {
    let site = Site::new(false).await.with_racks().await;
    let porto = site.scoped(Role::Operator, "porto").await;
    let invite = async |labels: Json| {
        let wanted = json!({ "labels": labels });
        site.ask(Method::POST, "/enrolment-tokens", &porto, Some(wanted)).await
    };
    assert_eq!(invite(json!({"site": "lisbon"})).await.1["code"], "FR0919");
    let (status, made) = invite(json!({"till": "4"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = made["token"].as_str().unwrap().parse().unwrap();
    let request = json!({ "request": TestRack::new("p3").request(Some(&token)) });
    assert_eq!(site.ask(Method::POST, "/racks/enrol", "", Some(request)).await.0, StatusCode::OK);
    let (_, rack) = site.ask(Method::GET, "/racks/p3", &porto, None).await;
    assert_eq!((&rack["labels"]["site"], &rack["labels"]["till"]), (&json!("porto"), &json!("4")));
    // Tokens of others are neither listed nor made void.
    let admin = site.token(Role::Admin).await;
    let wanted = json!({ "labels": {"site": "lisbon"} });
    let (_, others) = site.ask(Method::POST, "/enrolment-tokens", &admin, Some(wanted)).await;
    assert_eq!(site.ask(Method::GET, "/enrolment-tokens", &porto, None).await.1, json!([]));
    let path = format!("/enrolment-tokens/{}", others["id"].as_str().unwrap());
    assert_eq!(site.ask(Method::DELETE, &path, &porto, None).await.1["code"], "FR0919");
    let (_, own) = invite(json!({})).await;
    let path = format!("/enrolment-tokens/{}", own["id"].as_str().unwrap());
    assert_eq!(site.ask(Method::DELETE, &path, &porto, None).await.0, StatusCode::NO_CONTENT);
    // What the scenario has for others nobody is let in to.
    let scenario = "
meta: {name: branch, version: 1.0.0}
racks: [{name: hub}, {group: gold, match: {labels: {tier: gold}}}]
gears: [{name: secret, type: 'null', deploy: hub}, {name: prize, type: 'null', deploy: gold}]
";
    site.house.mixer.start_with(scenario.into()).await.unwrap();
    assert_eq!(invite(json!({"tier": "gold"})).await.1["code"], "FR0919");
    let wanted = json!({ "rack": "hub" });
    let (_, hub) = site.ask(Method::POST, "/enrolment-tokens", &porto, Some(wanted)).await;
    assert_eq!(hub["code"], "FR0919");
    let token = invite(json!({})).await.1["token"].as_str().unwrap().parse().unwrap();
    let request = json!({ "request": TestRack::new("hub").request(Some(&token)) });
    assert_eq!(site.ask(Method::POST, "/racks/enrol", "", Some(request)).await.1["code"], "FR0903");
}

#[tokio::test]
async fn events_are_of_the_scope_and_a_scope_is_said_when_a_token_is_made() {
    let site = Site::new(false).await;
    let admin = site.token(Role::Admin).await;
    let wanted = json!({ "name": "porto", "role": "viewer", "scope": {"site": "porto"} });
    let (_, made) = site.ask(Method::POST, "/tokens", &admin, Some(wanted)).await;
    let porto = made["token"].as_str().unwrap().to_owned();
    let (_, listed) = site.ask(Method::GET, "/tokens", &admin, None).await;
    let listed = listed.as_array().unwrap().iter().find(|token| token["id"] == made["id"]).unwrap();
    assert_eq!(listed["scope"], json!({"site": "porto"}));
    let bad = json!({ "name": "x", "role": "viewer", "scope": {"a b": "c"} });
    assert_eq!(site.ask(Method::POST, "/tokens", &admin, Some(bad)).await.0, StatusCode::BAD_REQUEST);
    let begin = site.house.mixer.events().now().0;
    let site = site.with_racks().await;
    let remove = site.ask(Method::DELETE, "/racks/p1", &admin, None).await;
    assert_eq!(remove.0, StatusCode::NO_CONTENT);
    site.ask(Method::DELETE, "/racks/l1", &admin, None).await;
    let path = format!("/events?once=true&after={begin}");
    let (_, _, told) = site.raw(Method::GET, &path, &porto, &[]).await;
    let told: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(told, ["rack.active", "rack.active", "rack.removed"]);
    let (_, _, told) = site.raw(Method::GET, &path, &admin, &[]).await;
    assert!(told.contains("\"about\":\"l1\"") && told.contains("audit.noted") && !told.contains("lisbon"));
}
