//! `fluxrig iso8583`: messages read and written, and a terminal, a scheme and load that talk to each other.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use serde_json::{Value as Json, json};

use crate::process::{Running, ended, last_json};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/specs");
const REQUEST: &str = r#"{"mti":"0200","fields":{"2":"4111111111111111","3":"000000","4":"000000012345",
    "7":"1105143015","11":"000042","35":"4111111111111111=2812101","41":"TERM0001"}}"#;

/// Writes the request in a dialect and reads it back.
#[track_caller]
fn check_round_trip(spec: &str, masked: &str) {
    let written = ended(&["iso8583", "encode", "--spec", spec, "--json"], REQUEST);
    assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""));
    let hex = written.stdout.trim();
    let read = ended(&["iso8583", "decode", "--spec", spec, "--json", hex], "");
    assert_eq!(read.code, Some(0));
    let again = ended(&["iso8583", "encode", "--spec", spec], &read.stdout);
    assert_eq!(again.stdout.trim(), hex);
    let shown = ended(&["iso8583", "decode", "--spec", spec], hex);
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.contains("411111******1111") && shown.stdout.contains(masked), "{}", shown.stdout);
    assert!(
        !shown.stdout.contains("4111111111111111") && !shown.stdout.contains("2812101"),
        "{}",
        shown.stdout
    );
}

#[test]
fn messages_are_written_and_read_back_and_shown_masked() {
    check_round_trip("iso87ascii", "343131313131************31313131");
    check_round_trip("iso87binary", "16 411111******1111");
    check_round_trip(&format!("{EXAMPLES}/acquirer.yaml"), "343131313131************31313131");
}

#[test]
fn json_has_the_message_type_and_the_fields_by_number() {
    let hex = ended(&["iso8583", "encode", "--json"], REQUEST).stdout;
    let read: Json =
        serde_json::from_str(&ended(&["iso8583", "decode", "--json", hex.trim()], "").stdout).unwrap();
    assert_eq!(read, serde_json::from_str::<Json>(REQUEST).unwrap());
}

#[test]
fn what_is_not_understood_is_named_with_field_and_byte() {
    let error = |hex: &str| {
        let failed = ended(&["iso8583", "decode", "--json", hex], "");
        assert_eq!((failed.code, failed.stderr.as_str()), (Some(1), ""));
        last_json(&failed.stdout)["error"].clone()
    };
    let cut = error("3038303038323230303030303030303030303030303430303030303030303030303030303030");
    assert_eq!((&cut["field"], &cut["offset"]), (&json!("7"), &json!(36)), "{cut}");
    assert_eq!(error("30383x")["message"], "expected hexadecimal digits, character 6 is none");
    assert_eq!(error("3038")["field"], "mti");
    let shown = ended(&["iso8583", "decode"], "3038");
    assert_eq!(shown.code, Some(1));
    assert!(shown.stderr.contains("mti at byte 0"), "{}", shown.stderr);
    let twice =
        [r#"{"mti":"0200","fields":{"11":"1","11":"2"}}"#, r#"{"mti":"0200","fields":{"11":"1","011":"2"}}"#];
    for json in [&["{}", "nonsense", r#"{"mti":"0200","fields":{"4":"x"}}"#][..], &twice].concat() {
        assert_eq!(ended(&["iso8583", "encode", "--json"], json).code, Some(1), "{json}");
    }
}

#[test]
fn problems_of_a_spec_have_a_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.yaml");
    let head = "id: shop\nname: Shop\nversion: 1.0.0\nextends: iso87ascii\n";
    fs::write(&file, format!("{head}wire:\n  fields:\n    62: {{type: Strung, length: 3}}\n")).unwrap();
    let file = file.to_str().unwrap();
    let shown = ended(&["iso8583", "decode", "--spec", file, "30"], "");
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(1), ""));
    assert!(shown.stderr.contains("shop.yaml:7:") && shown.stderr.contains("FR08"), "{}", shown.stderr);
    let listed = ended(&["iso8583", "decode", "--spec", file, "--json", "30"], "");
    assert_eq!(listed.code, Some(1));
    assert_eq!(last_json(&listed.stdout)["issues"][0]["line"], 7);
    assert_eq!(ended(&["iso8583", "decode", "--spec", "/nowhere.yaml", "30"], "").code, Some(2));
}

/// What a scheme says to a request, field by field; `None` when it says nothing.
fn answer(address: &str, words: &[&str]) -> Option<Json> {
    let send = ["iso8583", "send", "--to", address, "--print-json", "--timeout", "300ms"];
    let sent = ended(&[&send[..], words].concat(), "");
    (sent.code == Some(0)).then(|| last_json(&sent.stdout))
}

#[test]
fn a_scheme_decides_by_the_account_number() {
    let (mut scheme, address) = Running::scheme(&["--de39", "08", "--move", "48:62", "--delay", "2ms"]);
    let code = |pan| answer(&address, &["--field", &format!("2={pan}")]).map(|a| a["fields"]["39"].clone());
    assert_eq!(code("4111111111111111"), Some("08".into()));
    assert_eq!(code("5111111111111111"), Some("05".into()));
    assert_eq!(code("6111111111111111"), None);
    let moved =
        answer(&address, &["--field", "48=proof", "--field", "49=978", "--field", "18=5411"]).unwrap();
    let fields = &moved["fields"];
    assert_eq!(
        (&moved["mti"], &fields["62"], &fields["49"]),
        (&json!("0210"), &json!("proof"), &json!("978"))
    );
    assert!(fields["48"].is_null() && fields["18"].is_null(), "{moved}");
    let echo = answer(&address, &["--mti", "0800", "--field", "70=301"]).unwrap();
    assert_eq!((&echo["mti"], &echo["fields"]["39"]), (&json!("0810"), &json!("00")));
    scheme.signal("TERM");
    assert!(scheme.wait().success());
    assert!(scheme.printed.contains("3 approved, 1 declined, 1 unanswered"), "{}", scheme.printed);
}

#[test]
fn a_scheme_speaks_with_tpdu_and_long_lengths_in_binary() {
    let line = ["--length-bytes", "4", "--spec", "iso87binary"];
    let (_scheme, address) = Running::scheme(&[&line[..], &["--tpdu"]].concat());
    let words = [&line[..], &["--tpdu", "6000010002", "--field", "2=4111111111111111"]].concat();
    assert_eq!(answer(&address, &words).unwrap()["fields"]["39"], "00");
    let load =
        ["iso8583", "load", "--to", &address, "--connections", "3", "--pipeline", "4", "--count", "50"];
    let load = [&load[..], &line[..], &["--tpdu", "6000010002", "--warmup", "0", "--json"]].concat();
    assert_eq!(last_json(&ended(&load, "").stdout)["answered"], 50);
}

#[test]
fn a_request_may_come_as_json_and_its_answer_must_be_as_expected() {
    let (_scheme, address) = Running::scheme(&[]);
    let send = ["iso8583", "send", "--to", &address, "--json", "-", "--expect-de39"];
    assert_eq!(ended(&[&send[..], &["00"]].concat(), REQUEST).code, Some(0));
    assert_eq!(ended(&[&send[..], &["05"]].concat(), REQUEST).code, Some(1));
}

/// The report of a load of few requests, and the exit status.
fn load(address: &str, words: &[&str]) -> (Json, Option<i32>) {
    let load = ["iso8583", "load", "--to", address, "--connections", "5", "--warmup", "0", "--json"];
    let ended = ended(&[&load[..], words].concat(), "");
    assert!(!ended.stdout.is_empty(), "{}", ended.stderr);
    (last_json(&ended.stdout), ended.code)
}

#[test]
fn every_request_of_a_load_is_accounted_for() {
    let (_scheme, address) = Running::scheme(&[]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.json");
    let words = ["--count", "500", "--pipeline", "7", "--mix", "4:8,5:2", "--report", file.to_str().unwrap()];
    let (report, code) = load(&address, &words);
    assert_eq!((code, &report["answered"]), (Some(1), &json!(500)), "declines are not accepted");
    let counts = ["approved", "declined"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 500);
    assert!((50..150).contains(&counts[1]), "{report}");
    assert_eq!((&report["shares"][0]["declined"], &report["shares"][1]["approved"]), (&json!(0), &json!(0)));
    for key in ["timed_out", "lost", "unexpected", "cross_wired", "malformed", "disconnects"] {
        assert_eq!(report[key], 0, "{key}");
    }
    assert!(report["p50_us"].as_u64() <= report["p999_us"].as_u64());
    let written: Json = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert!(written["moments"].is_array() && written["tps"] == report["tps"]);
    assert_eq!(load(&address, &["--count", "50", "--mix", "4:8,5:2", "--accept-declines"]).1, Some(0));
}

#[test]
fn a_load_at_a_rate_keeps_to_it() {
    let (_scheme, address) = Running::scheme(&[]);
    let (report, code) = load(&address, &["--rate", "400", "--duration", "500ms"]);
    assert_eq!(code, Some(0), "{report}");
    assert!((190..=201).contains(&report["answered"].as_u64().unwrap()), "{report}");
}

#[test]
fn silence_is_a_timeout_and_fails_the_load() {
    let (_scheme, address) = Running::scheme(&[]);
    let (report, code) = load(&address, &["--count", "5", "--mix", "6", "--timeout", "100ms"]);
    assert_eq!((code, &report["timed_out"], &report["answered"]), (Some(1), &json!(5), &json!(0)));
}

#[test]
fn no_listener_is_wrong_usage() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_eq!(ended(&["iso8583", "load", "--to", &free], "").code, Some(2));
    assert_eq!(ended(&["iso8583", "send", "--to", &free], "").code, Some(2));
}

/// A scheme that sends each request back as its answer, after `tamper` changed it.
fn tampering_scheme(tamper: fn(&mut Vec<u8>)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || tamper_with(stream, tamper));
        }
    });
    address
}

fn tamper_with(mut stream: TcpStream, tamper: fn(&mut Vec<u8>)) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).unwrap();
        message[2] = b'1';
        tamper(&mut message);
        stream.write_all(&(message.len() as u16).to_be_bytes()).unwrap();
        stream.write_all(&message).unwrap();
    }
}

/// How many of ten requests are counted as `key` when answers are tampered with.
#[track_caller]
fn check_tampered(tamper: fn(&mut Vec<u8>), key: &str) {
    let address = tampering_scheme(tamper);
    let words = ["--count", "10", "--timeout", "100ms", "--accept-declines"];
    let (report, code) = load(&address, &words);
    assert_eq!((code, &report[key]), (Some(1), &json!(10)), "{report}");
}

#[test]
fn an_answer_to_another_request_is_cross_wired() {
    // Offsets in a 0200 of the ASCII layout: message type 4, bitmap 16, then the fields.
    let untouched = load(&tampering_scheme(|_| {}), &["--count", "10", "--accept-declines"]);
    assert_eq!(
        (untouched.1, &untouched.0["declined"]),
        (Some(0), &json!(10)),
        "no response code is no approval"
    );
    check_tampered(|message| message[30] ^= 1, "cross_wired"); // account number
    check_tampered(|message| message[64] ^= 1, "cross_wired"); // transmission time
    check_tampered(|message| message[1] = b'4', "cross_wired"); // message type
    check_tampered(|message| message.truncate(100), "malformed");
}
