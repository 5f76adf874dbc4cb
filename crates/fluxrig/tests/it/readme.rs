//! The scenarios of the README and of the tutorial do what they say.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::process::{PATIENCE, Running, fluxrig};

const README: &str = include_str!("../../../../README.md");
const TUTORIAL: &str = include_str!("../../../../docs/tutorials/write-a-gear.md");
const GREET: &str = include_str!("../../examples/greet.rs");

/// The first scenario on a page, at an address that is free.
fn scenario_of(page: &str) -> (TempDir, PathBuf) {
    let scenario = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scenario.yaml");
    fs::write(&file, scenario.replace("127.0.0.1:9000", "127.0.0.1:0")).unwrap();
    (directory, file)
}

/// What comes back from the gear `line` of the first scenario on a page.
fn heard(program: &Path, page: &str, said: &str, bytes: usize) -> String {
    let (_directory, file) = scenario_of(page);
    let words = ["--log-format", "json", "run", file.to_str().unwrap(), "--until-stdin-ends"];
    let mut rack = Running::start_program(program, &words);
    let mut line = TcpStream::connect(rack.wait_until_listening("line")).unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    line.write_all(said.as_bytes()).unwrap();
    let mut heard = vec![0; bytes];
    line.read_exact(&mut heard).unwrap();
    String::from_utf8(heard).unwrap()
}

#[test]
fn the_echo_gives_lines_back_as_lines() {
    let fluxrig = Path::new(env!("CARGO_BIN_EXE_fluxrig"));
    assert_eq!(heard(fluxrig, README, "hello\nworld\n", 12), "hello\nworld\n");
}

#[test]
fn a_binary_with_a_gear_of_its_own_checks_and_runs_it() {
    let of_the_page = |text: &str| -> String {
        let gear = text.split_once("/// What a user writes").unwrap().1;
        gear.split_inclusive("Ok(Step::Done)\n    }\n}\n").next().unwrap().to_owned()
    };
    assert_eq!(of_the_page(TUTORIAL), of_the_page(GREET));
    let tests = std::env::current_exe().unwrap();
    let greet = tests.ancestors().nth(2).unwrap().join("examples/greet");
    assert_eq!(heard(&greet, TUTORIAL, "world\n", 12), "hello world\n");
    let (_directory, file) = scenario_of(TUTORIAL);
    fluxrig(&["check", file.to_str().unwrap()]).assert().code(1);
    assert_cmd::Command::new(&greet).args(["check", file.to_str().unwrap()]).assert().success();
}
