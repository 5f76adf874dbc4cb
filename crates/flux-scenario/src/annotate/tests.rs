//! What the annotations of a schema say about a config.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::catalog::{Catalog, Claim};
use crate::scenario::DeclaredPorts;
use crate::source::Spanned;
use crate::testing::catalog;

fn manifest(kind: &str) -> crate::Manifest {
    let catalog: Catalog = catalog();
    catalog.get(kind).unwrap().clone()
}

fn outputs(kind: &str, config: Json, declared: &DeclaredPorts) -> Vec<String> {
    let ports = manifest(kind).ports_for(&config, declared);
    ports.outputs.into_iter().map(|port| port.name).collect()
}

#[test]
fn a_recursive_destination_tree_names_its_ports_once_each() {
    let config = json!({
        "routes": [
            { "name": "a", "destination": { "failover": ["visa", { "round_robin": ["mc1", "mc2"] }] } },
            { "name": "b", "destination": "visa" },
        ]
    });
    assert_eq!(
        outputs("switch", config, &DeclaredPorts::default()),
        ["out_response", "error", "out_visa", "out_mc1", "out_mc2"]
    );
}

#[test]
fn keys_of_a_table_and_declarations_name_ports_too() {
    let declared =
        DeclaredPorts { inputs: vec![], outputs: vec![Spanned::from("late"), Spanned::from("out_a")] };
    let config = json!({ "branches": { "a": "x > 1", "b": "x < 1" } });
    assert_eq!(outputs("fork", config, &declared), ["out_a", "out_b", "late", "error"]);
}

#[test]
fn a_gear_without_inputs_has_no_error_port() {
    assert_eq!(outputs("source", json!({}), &DeclaredPorts::default()), ["out"]);
}

fn claims(kind: &str, config: Json) -> Vec<String> {
    let show = |claim: Claim| format!("{} {}", claim.kind, claim.value);
    manifest(kind).claims(&config).into_iter().map(show).collect()
}

#[test]
fn claims_depend_on_siblings_and_defaults() {
    assert_eq!(claims("tcp", json!({ "mode": "server", "bind": ":9000" })), ["listen :9000"]);
    assert_eq!(claims("tcp", json!({ "mode": "server" })), ["listen :8080"]);
    assert_eq!(claims("tcp", json!({ "mode": "client", "connect": "x:1" })), [] as [&str; 0]);
    assert_eq!(claims("tcp", json!({})), ["listen :8080"], "the default mode is server");
}

#[test]
fn a_gear_keeps_something_on_disk_if_its_config_says_so() {
    let keeps = |config| manifest("tcp").keeps_on_disk(&config);
    assert!(keeps(json!({ "spool": "local" })));
    assert!(!keeps(json!({ "spool": "memory" })));
    assert!(!keeps(json!({})), "the default is memory");
}

#[test]
fn secrets_are_redacted_and_files_resolved() {
    let tcp = manifest("tcp");
    let config = json!({ "tls": { "key_file": "keys/a.pem", "password": "hunter2" } });
    assert_eq!(tcp.redacted(&config), json!({ "tls": { "key_file": "keys/a.pem", "password": "***" } }));
    let file = |path: &str| {
        let config = json!({ "tls": { "key_file": path } });
        tcp.with_files_in(Path::new("/etc/flux"), &config)["tls"]["key_file"].as_str().unwrap().to_owned()
    };
    assert_eq!(file("keys/a.pem"), "/etc/flux/keys/a.pem");
    assert_eq!(file("/abs/a.pem"), "/abs/a.pem");
    assert_eq!(file("builtin:a"), "builtin:a");
}

#[test]
fn the_test_catalog_stays_in_the_subset() {
    for manifest in catalog().iter() {
        assert_eq!(crate::subset::assert_supported(&manifest.config_schema), Ok(()), "{}", manifest.kind);
    }
}
