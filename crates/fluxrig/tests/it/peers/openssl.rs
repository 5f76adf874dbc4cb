//! TLS as `openssl` speaks it, as a client of a running Rack and as a server to one.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{has_peer, run, wires};
use crate::{certificate, process::PATIENCE};

pub(crate) fn has_openssl() -> bool {
    let mut probe = assert_cmd::Command::new("openssl");
    probe.arg("version");
    has_peer("openssl", probe)
}

/// An `openssl` that is killed when the test is over.
struct Openssl(Child);

impl Openssl {
    fn start(words: &[&str], files: &[(&str, &Path)]) -> Openssl {
        let mut command = Command::new("openssl");
        command.args(words);
        for (word, file) in files {
            command.arg(word).arg(file);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Openssl(command.spawn().unwrap())
    }

    /// What it prints, line by line.
    fn lines(&mut self) -> impl Iterator<Item = String> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map(Result::unwrap)
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An `io_tcp` gear for lines of text.
fn line(name: &str, config: Json) -> Json {
    let mut whole = json!({ "framing": "delimiter", "delimiter_append": true });
    whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    json!({ "name": name, "type": "io_tcp", "config": whole })
}

#[test]
fn openssl_is_a_client_like_others() {
    if !has_openssl() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let [certificate, _] = certificate::issue(dir.path());
    let tls = json!({ "cert_file": "own.pem", "key_file": "own.key" });
    let echo = json!({
        "meta": { "name": "echo", "version": "v1.0.0" },
        "gears": [
            line("term", json!({ "mode": "server", "bind": "127.0.0.1:0", "tls": tls })),
            { "name": "seen", "type": "log", "config": { "pass": "out" } },
        ],
        "wires": wires(&[("term.out", "seen.in"), ("seen.out", "term.in")]),
    });
    let (_rack, address) = run(dir.path(), echo);
    let words = ["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"];
    let mut openssl =
        Openssl::start(&[&words[..], &["-connect", &address]].concat(), &[("-CAfile", &certificate)]);
    let mut stdin = openssl.0.stdin.take().unwrap();
    let mut answers = openssl.lines();
    for question in ["first", "second"] {
        writeln!(stdin, "{question}").unwrap();
        assert_eq!(answers.next().as_deref(), Some(question));
    }
}

#[test]
fn openssl_is_a_server_like_others() {
    if !has_openssl() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let [certificate, key] = certificate::issue(dir.path());
    // `-rev` answers each line with the line reversed.
    let words = ["s_server", "-accept", "127.0.0.1:0", "-rev"];
    let mut openssl = Openssl::start(&words, &[("-cert", &certificate), ("-key", &key)]);
    let mut said = openssl.lines();
    let upstream = said.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
    let tls = json!({ "ca_file": "own.pem", "server_name": "localhost" });
    let client = json!({ "mode": "client", "connect": upstream, "connections": "per_source", "tls": tls });
    let proxy = json!({
        "meta": { "name": "proxy", "version": "v1.0.0" },
        "gears": [line("term", json!({ "mode": "server", "bind": "127.0.0.1:0" })), line("back", client)],
        "wires": wires(&[("term.out", "back.in"), ("back.out", "term.in")]),
    });
    let (_rack, address) = run(dir.path(), proxy);
    let mut terminal = TcpStream::connect(address).unwrap();
    terminal.set_read_timeout(Some(PATIENCE)).unwrap();
    terminal.write_all(b"question\n").unwrap();
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer).unwrap();
    assert_eq!(answer, "noitseuq\n");
}
