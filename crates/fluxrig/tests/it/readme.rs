//! The scenario that the README begins with does what it says.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value as Json;

use crate::process::{PATIENCE, Running};

const README: &str = include_str!("../../../../README.md");

#[test]
fn the_echo_gives_lines_back_as_lines() {
    let scenario = README.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("echo.yaml");
    fs::write(&file, scenario.replace("127.0.0.1:9000", "127.0.0.1:0")).unwrap();
    let mut rack =
        Running::start(&["--log-format", "json", "run", file.to_str().unwrap(), "--until-stdin-ends"]);
    let address = rack.wait_for(|line| {
        let event: Json = serde_json::from_str(line).ok()?;
        (event["message"] == "listening").then(|| event["addr"].as_str().unwrap().to_owned())
    });
    let mut line = TcpStream::connect(address).unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    line.write_all(b"hello\nworld\n").unwrap();
    let mut heard = [0; 12];
    line.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello\nworld\n");
}
