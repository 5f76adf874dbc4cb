//! The switch as its neighbours see it.

use std::{sync::mpsc, time::Duration};

use expect_test::{Expect, expect};
use flux_gear::{
    Control, FluxId, Lease, Value, conformance, keys,
    mock::{Mock, MockGear},
};
use flux_world::Instant;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

mod durable;
mod inherited;
mod repeats;

/// Two schemes by first digit, one minute to answer.
fn config() -> Json {
    json!({
        "correlation_key": ["data.stan", "data.terminal"],
        "routes": [
            { "name": "visa", "match": { "field": "data.pan", "prefix": "4" }, "destination": "visa" },
            { "name": "mc", "match": { "field": "data.pan", "ranges": ["5-6"] }, "destination": "mc", "ttl": "10s" },
        ],
    })
}

fn with(changes: Json) -> Json {
    let mut config = config();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A conductor under test, and what it says.
struct Switch {
    gear: MockGear<Conductor>,
    control: Control,
}

impl Switch {
    async fn new(config: Json) -> Switch {
        Switch::of(Mock::new(), config).await
    }

    async fn of(mock: Mock, config: Json) -> Switch {
        let mut switch = Switch::made(mock, config);
        switch.gear.start().await.unwrap();
        switch
    }

    /// Not started.
    fn made(mock: Mock, config: Json) -> Switch {
        let control = Control::default();
        let mock = ["visa", "mc", "a", "b", "c"]
            .into_iter()
            .fold(mock, |mock, name| mock.binding(&format!("out_{name}"), name));
        let gear = mock.control(control.clone()).build::<Conductor>(config).unwrap();
        for name in ["visa", "mc", "a", "b", "c"] {
            control.conn_up(name, "1");
        }
        Switch { gear, control }
    }

    fn message(&self, stan: u64, terminal: &str) -> FluxMsg {
        let mut msg = self.gear.ctx.message("raw");
        msg.data.set("stan", format!("{stan:06}").as_str().into()).unwrap();
        msg.data.set("terminal", terminal.into()).unwrap();
        msg
    }

    fn request(&self, stan: u64, pan: &str) -> FluxMsg {
        let mut msg = self.message(stan, "t1");
        msg.data.set("pan", pan.into()).unwrap();
        msg.metadata.set(keys::CONN_ID, "t1");
        msg
    }

    fn reply(&self, stan: u64, code: &str) -> FluxMsg {
        let mut msg = self.message(stan, "t1");
        msg.data.set("code", code.into()).unwrap();
        msg.metadata.set(keys::CONN_ID, "uplink");
        msg
    }

    /// What a message led to: the ports and messages, or the reason of the fault.
    async fn told(&mut self, port: &str, msg: FluxMsg) -> String {
        match self.gear.process_msg(port, msg).await {
            Ok(emitted) if emitted.is_empty() => "nothing".into(),
            Ok(emitted) => emitted.iter().map(|(port, msg)| shown(port, msg)).collect::<Vec<_>>().join("\n"),
            Err(fault) => format!("{} {}", fault.class().as_str(), fault.reason_word()),
        }
    }

    async fn asked(&mut self, stan: u64, pan: &str) -> String {
        let request = self.request(stan, pan);
        self.told("in", request).await
    }

    async fn replied(&mut self, stan: u64, code: &str) -> String {
        let reply = self.reply(stan, code);
        self.told("in_reply", reply).await
    }

    /// What the clock led to: how long it took, and the message.
    async fn timed_out(&self) -> String {
        let began = self.now();
        let (port, msg) = self.gear.emitted().await;
        format!("{:?} {}", self.now() - began, shown(&port, &msg))
    }

    fn now(&self) -> Instant {
        self.gear.ctx.world().clock.now()
    }

    async fn pass(&self, time: Duration) {
        self.gear.ctx.world().clock.sleep(time).await;
    }

    async fn stop(self) {
        Gear::stop(self.gear.gear).await;
        self.gear.ctx.end_tasks().await;
    }
}

fn shown(port: &str, msg: &FluxMsg) -> String {
    let text = |path: &str| msg.data.get(path).and_then(|value| value.as_text().map(str::to_owned));
    let of =
        |name: &str, value: Option<&str>| value.map(|value| format!(" {name}={value}")).unwrap_or_default();
    [
        port.to_owned(),
        of("stan", text("stan").as_deref()),
        of("code", text("code").as_deref()),
        of("conn", msg.metadata.get(keys::CONN_ID)),
        of("reason", msg.metadata.get(keys::ERROR_REASON)),
        of("gear", msg.metadata.get(keys::ERROR_GEAR)),
        of("origin", msg.metadata.get(ORIGIN)),
        of("pin", text("pin").as_deref()),
    ]
    .concat()
}

#[test]
fn it_is_a_gear() {
    conformance::check::<Conductor>(config(), Mock::new);
    let all = with(json!({ "origin": "here", "known_origins": ["there"], "park_fields": ["data.pin"] }));
    conformance::check::<Conductor>(all, Mock::new);
}

/// The payment switch simulator: the first digit of the card decides what its scheme does.
#[tokio::test(start_paused = true)]
async fn the_first_digit_decides() {
    let mut switch = Switch::new(config()).await;
    let mut story = Vec::new();
    for (stan, pan) in [(1, "4111"), (2, "5111"), (3, "6111"), (4, "9111")] {
        story.push(switch.asked(stan, pan).await);
    }
    for (stan, code) in [(2, "05"), (1, "00")] {
        story.push(switch.replied(stan, code).await);
    }
    story.push(switch.timed_out().await);
    story.push(switch.replied(3, "00").await);
    let keyless = switch.gear.ctx.message("raw");
    story.push(switch.told("in_reply", keyless).await);
    expect![[r#"
        out_visa stan=000001 conn=t1
        out_mc stan=000002 conn=t1
        out_mc stan=000003 conn=t1
        invalid no_route
        out_response stan=000002 code=05 conn=t1
        out_response stan=000001 code=00 conn=t1
        10s error stan=000003 conn=t1 reason=timeout gear=gear
        invalid unmatched_reply
        invalid no_key"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_the_reply_in_the_name_of_the_request() {
    let mut switch = Switch::new(config()).await;
    let (request, reply) = (switch.request(1, "4111"), switch.reply(1, "00"));
    let (asked, replied) = (request.id, reply.id);
    let out = switch.gear.process_msg("in", request).await.unwrap();
    assert_eq!(out[0].1.id, asked, "a request keeps its identity on its way out");
    let out = switch.gear.process_msg("in_reply", reply).await.unwrap();
    assert_eq!((out[0].1.id, out[0].1.cause), (replied, Some(asked)));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_times_out_together_leaves_together_and_in_order() {
    let mut switch = Switch::new(with(json!({ "valet": { "default_ttl": "30s" } }))).await;
    for stan in 0..100 {
        switch.asked(stan, "4111").await;
    }
    switch.pass(Duration::from_secs(25)).await;
    switch.asked(200, "5111").await;
    for stan in (0..100).step_by(2) {
        switch.replied(stan, "00").await;
    }
    for stan in (1..100).step_by(2) {
        let wait = if stan == 1 { 5 } else { 0 };
        let line = format!("error stan={stan:06} conn=t1 reason=timeout gear=gear");
        let told = switch.timed_out().await;
        // Timers have a resolution of a millisecond.
        let (took, rest) = told.split_once(' ').unwrap();
        assert!(took.starts_with(&wait.to_string()) && rest == line, "{told}");
    }
    assert!(switch.timed_out().await.ends_with("stan=000200 conn=t1 reason=timeout gear=gear"));
    assert_eq!(switch.asked(1, "4111").await, "out_visa stan=000001 conn=t1", "a retry is routed afresh");
    switch.stop().await;
}

/// Sends requests, each after the links named went down or up, and compares where they went.
async fn check_destinations(destination: Json, turns: &[(&str, &str)]) {
    let routes = json!([{ "name": "all", "destination": destination }]);
    let mut switch = Switch::new(with(json!({ "routes": routes }))).await;
    for (stan, (links, want)) in (1..).zip(turns) {
        for link in links.split_whitespace() {
            match link.split_at(1) {
                ("-", gear) => switch.control.conn_down(gear, "1", "idle"),
                ("+", gear) => switch.control.conn_up(gear, "1"),
                (_, stan) => drop(switch.replied(stan.parse().unwrap(), "00").await),
            }
        }
        let told = switch.asked(stan, "4111").await;
        let went = told.split(' ').next().unwrap().strip_prefix("out_").unwrap_or(&told);
        assert_eq!(went, *want, "request {stan} of {destination}");
    }
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn destinations_are_chosen_by_what_is_up() {
    let failover = json!({ "failover": ["a", "b"] });
    check_destinations(failover, &[("", "a"), ("-a", "b"), ("-b", "invalid no_destination"), ("+a", "a")])
        .await;
    let robin = json!({ "round_robin": ["a", "b", "c"] });
    check_destinations(robin, &[("", "a"), ("", "b"), ("", "c"), ("-a", "b"), ("", "c"), ("+a", "a")]).await;
    // `=2` is a reply to request 2.
    let least = json!({ "least_loaded": ["a", "b", "c"] });
    check_destinations(least, &[("", "a"), ("", "b"), ("", "c"), ("=2", "b"), ("-a", "c"), ("", "b")]).await;
    let nested = json!({ "failover": [{ "round_robin": ["a", "b"] }, "c"] });
    check_destinations(nested, &[("", "a"), ("", "b"), ("-a", "b"), ("-b", "c"), ("+a", "a")]).await;
    // Nothing is known of what is behind this one, so it counts as up.
    check_destinations(json!({ "failover": ["remote", "a"] }), &[("", "remote")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_lightens_the_load() {
    let routes = json!([{ "name": "all", "destination": { "least_loaded": ["a", "b"] }, "ttl": "1s" }]);
    let mut switch = Switch::new(with(json!({ "routes": routes }))).await;
    assert!(switch.asked(1, "4").await.starts_with("out_a"));
    switch.pass(Duration::from_millis(500)).await;
    assert!(switch.asked(2, "4").await.starts_with("out_b"));
    assert!(switch.timed_out().await.contains("stan=000001"));
    assert!(switch.asked(3, "4").await.starts_with("out_a"));
    assert!(switch.asked(4, "4").await.starts_with("out_a") || switch.timed_out().await.contains("000002"));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn parked_fields_stay_here_and_come_back() {
    let mut switch = Switch::new(with(json!({ "park_fields": ["data.pin", "meta.secret"] }))).await;
    let mut request = switch.request(1, "4111");
    request.data.set("pin", "0000".into()).unwrap();
    request.metadata.set("secret", "s");
    let again = request.clone();
    let out = switch.gear.process_msg("in", request).await.unwrap();
    assert_eq!((out[0].1.data.get("pin"), out[0].1.metadata.get("secret")), (None, None));
    assert_eq!(out[0].1.data.get("pan"), Some("4111".into()));
    let reply = switch.reply(1, "00");
    for (port, msg) in [("in_reply", reply), ("in", again)] {
        let answer = &switch.gear.process_msg(port, msg).await.unwrap()[0].1;
        assert_eq!((answer.data.get("pin"), answer.metadata.get("secret")), (Some("0000".into()), Some("s")));
        assert_eq!(answer.data.get("code"), Some(Value::from("00")));
    }
    let mut late = switch.request(2, "4111");
    late.data.set("pin", "1111".into()).unwrap();
    switch.told("in", late).await;
    assert!(switch.timed_out().await.ends_with("pin=1111"), "what times out is whole");
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn conductors_pass_on_what_belongs_to_each_other() {
    let mut switch = Switch::new(with(json!({ "origin": "here", "known_origins": ["there"] }))).await;
    let stamped = |mut msg: FluxMsg, origin: &str| {
        msg.metadata.set(ORIGIN, origin);
        msg
    };
    let mut story = vec![switch.asked(1, "4111").await];
    for msg in [stamped(switch.reply(1, "00"), "here"), stamped(switch.reply(7, "00"), "there")] {
        story.push(switch.told("in_reply", msg).await);
    }
    let stranger = stamped(switch.reply(8, "00"), "elsewhere");
    story.push(switch.told("in_reply", stranger).await);
    for (stan, origin) in [(2, "there"), (3, "elsewhere")] {
        let request = stamped(switch.request(stan, "4111"), origin);
        story.push(switch.told("in", request).await);
        story.push(switch.replied(stan, "00").await);
    }
    expect![[r#"
        out_visa stan=000001 conn=t1 origin=here
        out_response stan=000001 code=00 conn=t1
        out_response_there stan=000007 code=00 conn=uplink origin=there
        invalid invalid_origin
        out_visa stan=000002 conn=t1 origin=here
        out_response_there stan=000002 code=00 conn=t1 origin=there
        out_visa stan=000003 conn=t1 origin=here
        out_response stan=000003 code=00 conn=t1 origin=elsewhere"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_bound_on_requests_in_flight_holds() {
    let mut switch = Switch::new(with(json!({ "in_flight_max": 2 }))).await;
    let mut story = Vec::new();
    for stan in 1..=3 {
        story.push(switch.asked(stan, "4111").await);
    }
    story.push(switch.replied(1, "00").await);
    story.push(switch.asked(3, "4111").await);
    expect![[r#"
        out_visa stan=000001 conn=t1
        out_visa stan=000002 conn=t1
        invalid overloaded
        out_response stan=000001 code=00 conn=t1
        out_visa stan=000003 conn=t1"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_answers_and_timeouts_and_takes_nothing_new() {
    let mut switch = Switch::new(config()).await;
    switch.asked(1, "4111").await;
    switch.asked(2, "5111").await;
    let began = switch.now();
    let drained = tokio::spawn(Gear::drain(&mut switch.gear.gear));
    tokio::task::yield_now().await;
    assert_eq!(switch.asked(3, "4111").await, "invalid draining");
    assert_eq!(switch.asked(1, "4111").await, "nothing", "a duplicate is still absorbed");
    assert_eq!(switch.replied(1, "00").await, "out_response stan=000001 code=00 conn=t1");
    assert_eq!(switch.asked(1, "4111").await, "out_response stan=000001 code=00 conn=t1");
    assert!(!drained.is_finished());
    drained.await.unwrap();
    assert!((10..11).contains(&(switch.now() - began).as_secs()), "until the last request timed out");
    assert!(switch.timed_out().await.contains("stan=000002"));
    Gear::drain(&mut switch.gear.gear).await;
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_ticket_holds_the_lease_of_its_request() {
    let mut switch = Switch::new(config()).await;
    let (ended, end) = mpsc::channel();
    let leased = |switch: &Switch, stan: u64| {
        let (ended, mut msg) = (ended.clone(), switch.request(stan, "5111"));
        msg.attach_lease(Lease::new(move |how| ended.send((stan, format!("{how:?}"))).unwrap()));
        msg
    };
    for stan in 1..=3 {
        let request = leased(&switch, stan);
        switch.told("in", request).await;
        assert!(end.try_recv().is_err(), "the reply is not there yet");
        if stan == 1 {
            let reply = switch.reply(1, "00");
            let answer = switch.gear.process_msg("in_reply", reply).await.unwrap();
            assert!(end.try_recv().is_err(), "the answer holds it now");
            drop(answer);
            assert_eq!(end.try_recv(), Ok((1, "Settled".into())));
        }
        if stan == 2 {
            let (_, expired) = switch.gear.emitted().await;
            assert!(end.try_recv().is_err(), "what timed out holds it now");
            drop(expired);
            assert_eq!(end.try_recv(), Ok((2, "Settled".into())));
        }
    }
    switch.stop().await;
    assert_eq!(end.try_recv(), Ok((3, "Abandoned".into())));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_on_cannot_wait_though_its_wire_could() {
    let mut switch = Switch::new(config()).await;
    let mut request = switch.request(1, "5111");
    request.attach_lease(Lease::patient(|_| {}));
    let sent = switch.gear.process_msg("in", request).await.unwrap();
    assert!(sent.len() == 1 && sent[0].1.lease().is_some() && !sent[0].1.is_patient());
    switch.stop().await;
}

fn check_refused(changes: Json, want: Expect) {
    let refused = Mock::new().build::<Conductor>(with(changes)).err().unwrap();
    want.assert_eq(&refused.to_string());
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check_refused(
        json!({
            "correlation_key": [],
            "routes": [
                { "name": "a", "match": { "field": "pan" }, "destination": "visa" },
                { "name": "b", "destination": { "failover": [] }, "ttl": "0s" },
                { "name": "c", "destination": "response", "ttl": "2m" },
            ],
            "origin": "a b",
            "park_fields": ["payload"],
            "in_flight_max": 0,
            "valet": { "max_ttl": "90s" },
        }),
        expect![[
            r#"`correlation_key` must not be empty; `in_flight_max` is from 1 to 16000000; route `b` gives its requests no time at all; the `ttl` of route `c` is longer than `valet.max_ttl`; the origin "a b" is not a name of letters, digits, `-` and `_`; route `a`: a match has exactly one of `prefix`, `prefixes`, `equals`, `one_of`, `range`, `ranges`; this has 0; route `b`: a group of destinations must not be empty; route `c`: no destination is called `response`: `out_response` is where answers leave; `payload` cannot be parked: name a path of data or metadata"#
        ]],
    );
    check_refused(
        json!({ "valet": { "default_ttl": "2m", "max_ttl": "1m" } }),
        expect![
            "`valet.default_ttl` is longer than `valet.max_ttl`; the `ttl` of route `visa` is longer than `valet.max_ttl`"
        ],
    );
    check_refused(
        json!({ "valet": { "store": "shared" } }),
        expect!["bad configuration: unknown variant `shared`, expected `memory` or `local_durable`"],
    );
}

#[test]
fn groups_may_not_nest_without_end() {
    let nested = (0..20).fold(json!("a"), |inner, _| json!({ "failover": [inner] }));
    check_refused(
        json!({ "routes": [{ "name": "a", "destination": nested }] }),
        expect!["route `a`: groups nest deeper than 8"],
    );
}

#[test]
fn ports_come_from_the_configuration() {
    let config = with(json!({ "known_origins": ["there"], "routes": [
        { "name": "a", "destination": { "failover": ["x", { "round_robin": ["y", "x"] }] } },
    ] }));
    let ctx = Mock::new().context::<Conductor>(&config);
    for port in ["out_x", "out_y", "out_response", "out_response_there", "error"] {
        assert!(ctx.output(port).is_ok(), "{port}");
    }
}

proptest! {
    /// Replies in any order, with duplicates and strangers among them: every answer belongs to its request.
    #[test]
    fn no_reply_is_cross_wired(events in prop::collection::vec((0..3_u8, 0..6_u64, 0..3_u8), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut switch = Switch::new(config()).await;
            let mut asked: std::collections::BTreeMap<FluxId, (u64, u8)> = Default::default();
            for (what, stan, terminal) in events {
                let mut msg = switch.message(stan, &format!("t{terminal}"));
                let port = if what == 0 { "in_reply" } else { "in" };
                if what > 0 {
                    msg.data.set("pan", "4111".into()).unwrap();
                    msg.metadata.set(keys::CONN_ID, format!("c{terminal}"));
                    asked.insert(msg.id, (stan, terminal));
                }
                let Ok(emitted) = switch.gear.process_msg(port, msg).await else { continue };
                for (_, answer) in emitted.iter().filter(|(port, _)| port == "out_response") {
                    let (stan, terminal) = asked[&answer.cause.unwrap()];
                    assert_eq!(answer.data.get("stan"), Some(format!("{stan:06}").as_str().into()));
                    assert_eq!(answer.data.get("terminal"), Some(format!("t{terminal}").as_str().into()));
                    assert_eq!(answer.metadata.get(keys::CONN_ID), Some(format!("c{terminal}").as_str()));
                }
            }
            switch.stop().await;
        });
    }
}
