//! The gear against the conformance suite, and configurations that cannot be.

use flux_gear::{conformance, mock::Mock};
use serde_json::{Value as Json, json};

use super::{Config, IoTcp};

#[test]
fn it_is_a_gear() {
    conformance::check::<IoTcp>(json!({ "mode": "server", "bind": "127.0.0.1:0" }), Mock::new);
    conformance::check::<IoTcp>(json!({ "mode": "client", "connect": "127.0.0.1:9" }), Mock::new);
}

#[track_caller]
fn check(config: Json, why: &str) {
    let refused = Mock::new().build::<IoTcp>(config).err().expect("it is refused").to_string();
    assert!(refused.contains(why), "{why:?} in {refused:?}");
}

#[test]
fn as_many_messages_wait_as_are_queued_unless_something_else_is_said() {
    for (queued, said, buffered) in [(7, None, 7), (65_535, None, 1000), (7, Some(3), 3)] {
        let config =
            json!({ "mode": "server", "max_queued_messages": queued, "max_buffered_messages": said });
        let config: Config = serde_json::from_value(config).unwrap();
        assert_eq!(config.buffered_messages_max(), buffered);
        Mock::new()
            .build::<IoTcp>(
                json!({ "mode": "server", "max_queued_messages": queued, "max_buffered_messages": said }),
            )
            .unwrap();
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    check(json!({}), "missing field `mode`");
    check(json!({ "mode": "client" }), "a client needs `connect`");
    check(json!({ "mode": "client", "connect": "somewhere" }), "has no port");
    check(json!({ "mode": "server", "bind": "8080" }), "write `host:port`");
    check(json!({ "mode": "server", "delimiter": "\\x" }), "two hexadecimal digits");
    check(json!({ "mode": "server", "write_timeout": "0" }), "write_timeout is 0");
    check(json!({ "mode": "server", "frame_bytes_max": 0 }), "`frame_bytes_max` is 0");
    check(
        json!({ "mode": "server", "max_queued_messages": 999, "max_buffered_messages": 1000 }),
        "`max_buffered_messages` is above",
    );
    check(json!({ "mode": "server", "tls": {} }), "needs `cert_file` and `key_file`");
    check(json!({ "mode": "client", "connect": "a:1", "tls": {} }), "needs `ca_file`");
    check(json!({ "mode": "server", "acknowledge": "\\q" }), "`acknowledge`: `\\q` is no escape");
    for other in [
        json!({ "connections": "per_source" }),
        json!({ "pool_size": 2 }),
        json!({ "read_responses": false }),
    ] {
        let mut config = json!({ "mode": "client", "connect": "a:1", "await_acknowledgement": true });
        config.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        check(config, "needs one shared connection");
    }
    check(json!({ "mode": "server", "tls": { "cert_file": "a.pem" } }), "belong together");
    check(
        json!({ "mode": "server", "tls": { "cert_file": "a.pem", "key_file": "b.pem" } }),
        "no file `a.pem`",
    );
}
