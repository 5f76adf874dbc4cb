//! A terminal written in Python, with the ISO 8583 of the `pyiso8583` library, at a running Rack.

use std::{env, path::Path};

use assert_cmd::Command;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{has_peer, output_of, request_without, run, wires};
use crate::{certificate, process::Running};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/peers/exchange.py");

/// The Python that has the library; none when the library is missing.
fn python() -> Option<Command> {
    let program = env::var_os("FLUXRIG_PEERS_PYTHON").unwrap_or_else(|| "python3".into());
    let mut probe = Command::new(&program);
    probe.args(["-c", "import iso8583"]);
    has_peer("pyiso8583", probe).then(|| {
        let mut python = Command::new(program);
        python.arg(SCRIPT);
        python
    })
}

fn codec(name: &str, spec: &str, direction: &str) -> Json {
    json!({ "name": name, "type": "codec_iso8583", "config": { "spec": spec, "direction": direction } })
}

/// What message types and bitmaps are written in.
fn encoding(spec: &str) -> &'static str {
    if spec == "iso87binary" { "bcd" } else { "ascii" }
}

fn server(spec: &str, extra: Json) -> Json {
    let mut config = json!({ "mode": "server", "bind": "127.0.0.1:0", "encoding": encoding(spec) });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({ "name": "term", "type": "io_iso8583", "config": config })
}

/// A Rack that decodes what a terminal sends, encodes it again, and sends it back.
fn echo(dir: &Path, spec: &str, options: Json) -> (Running, String) {
    run(
        dir,
        json!({
            "meta": { "name": "echo", "version": "v1.0.0" },
            "gears": [server(spec, options), codec("decode", spec, "decode"), codec("encode", spec, "encode")],
            "wires": wires(&[("term.out", "decode.in"), ("decode.out", "encode.in"), ("encode.out", "term.in")]),
        }),
    )
}

/// A Rack that takes requests to a scheme, and its answers back.
fn switch(dir: &Path, spec: &str, scheme: &str) -> (Running, String) {
    let conductor = json!({
        "correlation_key": ["data.iso8583.exchange", "data.iso8583.field.11", "data.iso8583.field.41"],
        "routes": [{ "name": "all", "destination": "scheme" }],
    });
    let client = json!({
        "mode": "client", "connect": scheme, "encoding": encoding(spec), "reconnect_wait": "5ms", "idle_timeout": "0s",
    });
    run(
        dir,
        json!({
            "meta": { "name": "switch", "version": "v1.0.0" },
            "gears": [
                server(spec, json!({})),
                codec("decode", spec, "decode"),
                { "name": "switch", "type": "conductor", "config": conductor },
                codec("encode_request", spec, "encode"),
                { "name": "scheme", "type": "io_iso8583", "config": client },
                codec("decode_answer", spec, "decode"),
                codec("encode", spec, "encode"),
                { "name": "unanswered", "type": "log", "config": { "level": "warn" } },
            ],
            "wires": wires(&[
                ("term.out", "decode.in"),
                ("decode.out", "switch.in"),
                ("switch.out_scheme", "encode_request.in"),
                ("encode_request.out", "scheme.in"),
                ("scheme.out", "decode_answer.in"),
                ("decode_answer.out", "switch.in_reply"),
                ("switch.out_response", "encode.in"),
                ("encode.out", "term.in"),
                ("switch.error", "unanswered.in"),
            ]),
        }),
    )
}

/// Sends every field to an echo, under `options` of the gear and `extra` of the terminal, and expects all of it back
/// in the same bytes, behind `tpdu`.
fn check_echo(dir: &Path, spec: &str, options: Json, extra: Json, tpdu: &str) {
    let Some(mut python) = python() else { return };
    let mut request = request_without(&[]);
    if spec == "iso87binary" {
        // Packed, a track's separator is the digit D, and pyiso8583 knows digits alone.
        for track in ["35", "36"] {
            let digits = request["fields"][track].as_str().unwrap().replace('=', "D");
            request["fields"][track] = digits.into();
        }
    }
    let (_rack, terminals) = echo(dir, spec, options);
    let mut job = json!({ "address": terminals, "spec": spec, "request": request });
    job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let answer: Json = serde_json::from_str(&output_of(&mut python, &job)).unwrap();
    assert_eq!(answer["mti"], "0200");
    assert_eq!(answer["fields"], request["fields"]);
    assert_eq!(answer["same_bytes"], true);
    assert_eq!(answer["tpdu"], tpdu);
}

#[test]
fn every_field_in_ascii() {
    check_echo(TempDir::new().unwrap().path(), "iso87ascii", json!({}), json!({}), "");
}

#[test]
fn every_field_in_binary() {
    check_echo(TempDir::new().unwrap().path(), "iso87binary", json!({}), json!({}), "");
}

#[test]
fn the_answer_has_the_tpdu_turned_round() {
    let dir = TempDir::new().unwrap();
    let options = json!({ "tpdu_enabled": true });
    check_echo(dir.path(), "iso87binary", options, json!({ "tpdu": "6000018022" }), "6080220001");
}

#[test]
fn over_tls_of_python() {
    let dir = TempDir::new().unwrap();
    let [certificate, _] = certificate::issue(dir.path());
    let options = json!({ "tls": { "cert_file": "own.pem", "key_file": "own.key" } });
    let extra = json!({ "ca": certificate });
    check_echo(dir.path(), "iso87ascii", options, extra, "");
}

/// Sends a request for `pan` across a switch to a scheme, and expects its answer.
fn check_answer(spec: &str, pan: &str, code: &str) {
    let Some(mut python) = python() else { return };
    let dir = TempDir::new().unwrap();
    let (_scheme, address) = Running::scheme(&["--spec", spec]);
    let (mut rack, terminals) = switch(dir.path(), spec, &address);
    rack.wait_until_connected(&["scheme"]);
    let fields = json!({ "2": pan, "3": "000000", "4": "000000001000", "11": "000123", "41": "TERM0001" });
    let job = json!({ "address": terminals, "spec": spec, "request": { "mti": "0200", "fields": fields } });
    let answer: Json = serde_json::from_str(&output_of(&mut python, &job)).unwrap();
    let mut expected = fields;
    expected["39"] = code.into();
    assert_eq!(answer["mti"], "0210");
    assert_eq!(answer["fields"], expected);
}

#[test]
fn a_scheme_approves_and_declines() {
    for spec in ["iso87ascii", "iso87binary"] {
        check_answer(spec, "4111111111111111", "00");
        check_answer(spec, "5555555555554444", "05");
    }
}
