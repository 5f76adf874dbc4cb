//! What `tshark` sees in our messages on the wire is what is in them.

use std::{fs, path::Path};

use assert_cmd::Command;
use serde_json::{Map, Value as Json};
use tempfile::TempDir;

use super::{has_peer, output_of, request_without};

const PORT: u16 = 8583;

/// How the dissector is told about a dialect.
const ASCII: [&str; 2] = [
    "iso8583.charset:Digits represented as ASCII Characters",
    "iso8583.binencode:Bin data represented as Hex Ascii characters",
];
const BINARY: [&str; 2] =
    ["iso8583.charset:Digits represented in nibbles", "iso8583.binencode:Bin data not encoded"];

/// Fields that the dissector lays out otherwise than ISO 8583:1987, in ASCII: 34 and 36 have other characters than it
/// allows, 53 has 8 digits there, 86 to 89 have 15, 92 and 93 are numbers, and 55 must be hexadecimal text.
const OTHERWISE: [u8; 10] = [34, 36, 53, 55, 86, 87, 88, 89, 92, 93];
/// The same in binary: there it also packs the amounts 28 to 31 and 97 with their sign and does not pack tracks (35,
/// 36), and it prints bytes (52, 55, 64, 96, 128) with a stray character behind them.
const OTHERWISE_PACKED: [u8; 20] =
    [28, 29, 30, 31, 34, 35, 36, 52, 53, 55, 64, 86, 87, 88, 89, 92, 93, 96, 97, 128];

fn fluxrig(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxrig"));
    command.arg("iso8583").args(arguments);
    command
}

/// A capture file (libpcap format 2.4) of one TCP segment with `payload`, on a loopback Ethernet. Checksums are zero:
/// nobody looks at them.
fn capture(payload: &[u8]) -> Vec<u8> {
    const HEADERS: usize = 14 + 20 + 20;
    let size = u32::try_from(HEADERS + payload.len()).unwrap();
    let ip_size = u16::try_from(size - 14).unwrap();
    let mut file = Vec::new();
    // File: magic, version, zone and accuracy, longest packet, Ethernet.
    for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0xffff, 1] {
        file.extend(u32::to_be_bytes(word));
    }
    // Packet: seconds, microseconds, size in the file, size on the wire.
    for word in [0, 0, size, size] {
        file.extend(u32::to_be_bytes(word));
    }
    file.extend([0; 12]);
    file.extend([0x08, 0x00]);
    // IPv4 without options: size, identification and fragment, time to live, TCP, checksum.
    file.extend([0x45, 0]);
    file.extend(ip_size.to_be_bytes());
    file.extend([0, 1, 0, 0, 64, 6, 0, 0]);
    file.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    // TCP without options: ports, sequence, acknowledged, flags PSH and ACK, window, checksum, urgent.
    file.extend(40_000_u16.to_be_bytes());
    file.extend(PORT.to_be_bytes());
    file.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    file.extend(payload);
    file
}

/// The layer `iso8583` that tshark finds in the file.
fn dissect(file: &Path, preferences: [&str; 2]) -> Map<String, Json> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args([
        "-d",
        &format!("tcp.port=={PORT},iso8583"),
        "-T",
        "json",
        "-J",
        "iso8583",
    ]);
    tshark.args(["-o", "iso8583.len_endian:Big endian", "-o", preferences[0], "-o", preferences[1]]);
    let packets: Json = serde_json::from_str(&output_of(&mut tshark, &Json::Null)).unwrap();
    packets[0]["_source"]["layers"]["iso8583"].as_object().expect("tshark finds ISO 8583").clone()
}

/// Encodes every field but `left_out`, and expects that tshark reads what `fluxrig iso8583 decode` reads.
fn check(spec: &str, preferences: [&str; 2], left_out: &[u8]) {
    let mut probe = Command::new("tshark");
    probe.arg("--version");
    if !has_peer("tshark", probe) {
        return;
    }
    let request = request_without(left_out);
    let hex = output_of(&mut fluxrig(&["encode", "--json", "--spec", spec]), &request);
    let decoded = output_of(&mut fluxrig(&["decode", "--json", "--spec", spec, hex.trim()]), &Json::Null);
    let ours: Json = serde_json::from_str(&decoded).unwrap();

    let message: Vec<u8> = (0..hex.trim().len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("encode prints hexadecimal"))
        .collect();
    let length = u16::try_from(message.len()).unwrap();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("message.pcap");
    fs::write(&file, capture(&[&length.to_be_bytes(), &message[..]].concat())).unwrap();
    let layer = dissect(&file, preferences);

    assert_eq!(layer["iso8583.len"], length.to_string());
    assert_eq!(layer["iso8583.mti"], ours["mti"]);
    let theirs: Map<String, Json> = layer
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("iso8583.bit")?.to_owned(), value.clone())))
        .collect();
    assert_eq!(Json::Object(theirs), ours["fields"]);
    assert_eq!(ours, request);
}

#[test]
fn fields_in_ascii_are_ours() {
    check("iso87ascii", ASCII, &OTHERWISE);
}

#[test]
fn fields_in_binary_are_ours() {
    check("iso87binary", BINARY, &OTHERWISE_PACKED);
}
