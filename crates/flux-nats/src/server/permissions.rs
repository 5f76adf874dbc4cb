//! The one table of what a grant is in the words of a `nats-server`.
//!
//! | granted | may publish on | may subscribe to |
//! |---|---|---|
//! | `publish` | the patterns | |
//! | `subscribe` | | the patterns |
//! | `read_streams` | `$JS.API.STREAM.INFO.<stream>`, `$JS.API.CONSUMER.INFO.<stream>.*`, `$JS.API.CONSUMER.MSG.NEXT.<stream>.*`, `$JS.ACK.<stream>.>` | |
//! | `watch_streams` | `$JS.API.STREAM.INFO.<stream>` | |
//! | `inbox` | `<inbox>.>`, to find out that it is heard | `<inbox>.>` |
//! | `may_make` | `$JS.API.>`, `$JS.ACK.>`, `$KV.>`, `$O.>` | `$KV.>`, `$O.>` |
//! | everybody | the reply of a request that came, once | |
//!
//! Nobody else may make, change, purge or delete a stream or a consumer: not even an ephemeral one, for its messages could be sent
//! to any subject. The Mixer makes them.

use std::time::Duration;

use flux_bus::Grants;
use serde_json::{Value as Json, json};

/// Within this a request is answered.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// The part of a user's claims that says what it may.
pub(super) fn of(grants: &Grants) -> Json {
    let mut publish: Vec<String> = grants.publish.iter().map(ToString::to_string).collect();
    let mut subscribe: Vec<String> = grants.subscribe.iter().map(ToString::to_string).collect();
    for stream in &grants.read_streams {
        publish.extend([
            format!("$JS.API.STREAM.INFO.{stream}"),
            format!("$JS.API.CONSUMER.INFO.{stream}.*"),
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.*"),
            format!("$JS.ACK.{stream}.>"),
        ]);
    }
    publish.extend(grants.watch_streams.iter().map(|stream| format!("$JS.API.STREAM.INFO.{stream}")));
    for subjects in [&mut publish, &mut subscribe] {
        subjects.push(format!("{}.>", grants.inbox));
    }
    if grants.may_make {
        publish.extend(["$JS.API.>", "$JS.ACK.>", "$KV.>", "$O.>"].map(String::from));
        subscribe.extend(["$KV.>", "$O.>"].map(String::from));
    }
    json!({
        "pub": { "allow": publish }, "sub": { "allow": subscribe },
        "resp": { "max": 1, "ttl": ANSWERS_WITHIN.as_nanos() as u64 },
        "subs": -1, "data": -1, "payload": -1,
    })
}

#[cfg(test)]
mod tests {
    use flux_bus::MeshWire;

    use super::*;

    #[test]
    fn the_table_is_what_a_rack_gets() {
        let name = |text: &str| text.parse().unwrap();
        let wire = |wire, from, to| MeshWire { wire: name(wire), from: name(from), to: name(to) };
        let wires = [wire("w1", "north", "south"), wire("w2", "south", "north")];
        let grants = Grants::of_rack(&name("north"), &wires).unwrap();
        expect_test::expect![[r#"
            {
              "pub": {
                "allow": [
                  "fluxrig.agent.north.>",
                  "flux.telemetry.north.>",
                  "flux.msg.south.w1",
                  "flux.ctrl.south.mesh.w2",
                  "$JS.API.STREAM.INFO.north_w2",
                  "$JS.API.CONSUMER.INFO.north_w2.*",
                  "$JS.API.CONSUMER.MSG.NEXT.north_w2.*",
                  "$JS.ACK.north_w2.>",
                  "$JS.API.STREAM.INFO.south_w1",
                  "_INBOX_north.>"
                ]
              },
              "sub": {
                "allow": [
                  "flux.ctrl.north.>",
                  "_INBOX_north.>"
                ]
              },
              "resp": {
                "max": 1,
                "ttl": 60000000000
              },
              "subs": -1,
              "data": -1,
              "payload": -1
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&of(&grants)).unwrap());
    }
}
