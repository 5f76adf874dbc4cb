//! What a setting does is what its schema says that it does.

use expect_test::expect;
use serde_json::Value as Json;

use super::{Level, Logging};
use crate::schema::toml_shape;

/// Adds the names of the settings below `schema` that are not marked as inert.
fn honoured(root: &Json, schema: &Json, name: &str, found: &mut Vec<String>) {
    let part = match schema["$ref"].as_str().and_then(|place| place.strip_prefix("#/$defs/")) {
        Some(place) => &root["$defs"][place],
        None => schema,
    };
    if [schema, part].iter().any(|schema| schema["x-flux-inert"] == Json::Bool(true)) {
        return;
    }
    match part["properties"].as_object() {
        Some(inner) => {
            inner.iter().for_each(|(key, schema)| honoured(root, schema, &format!("{name}{key}."), found))
        }
        None => found.push(name.trim_end_matches('.').to_owned()),
    }
}

/// Whoever adds a setting here makes it work; whoever adds one that does nothing yet marks it.
#[test]
fn what_is_not_marked_as_inert_is_honoured() {
    let shape = toml_shape();
    let mut found = Vec::new();
    for (section, schema) in shape["properties"].as_object().unwrap() {
        if !matches!(section.as_str(), "gears" | "bus") {
            honoured(&shape, schema, &format!("{section}."), &mut found);
        }
    }
    expect![[r#"
        base.name
        base.state_dir
        base.state_file
        base.scenario_file
        logging.level
        logging.trace
        logging.debug
        store.segment_bytes
        store.bytes_max
        store.window_messages
        store.dedupe_messages
        store.sync_every
        rack.threads
        rack.fuse
        rack.batch_messages_max
        rack.lane_queue_size
        rack.lane_send_timeout
        rack.process_timeout
        rack.dead_letters
        rack.dead_letters_max
        rack.dead_letters_bytes_max
        rack.retry.attempts
        rack.retry.backoff
        rack.retry.backoff_max
        rack.error_restart.backoff
        rack.error_restart.backoff_max
        rack.error_restart.stable_after
        rack.drain_timeout
        rack.cleanup_timeout
        rack.max_hops
        rack.max_payload_size
        snake.url
        snake.jetstream_domain
        snake.replicas
        snake.credentials_file
        snake.nkey_file
        snake.alarm_after
        snake.operation_timeout
        snake.root_ca_file
        snake.tls_cert_file
        snake.tls_key_file
        secrets.directory
        secrets.environment
        secrets.vault"#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn shortcuts_make_more_be_logged_and_never_less() {
    let check = |level, trace, debug, want| {
        assert_eq!(Logging { level, trace, debug, ..Logging::default() }.least(), want);
    };
    check(Level::Warn, false, false, Level::Warn);
    check(Level::Warn, false, true, Level::Debug);
    check(Level::Trace, false, true, Level::Trace);
    check(Level::Error, true, true, Level::Trace);
}
