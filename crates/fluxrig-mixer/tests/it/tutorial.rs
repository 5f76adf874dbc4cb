//! The tutorial is what it says: every command of it is run, in order, by a shell, and says what the page says.

use std::fs::{self, File};
use std::iter;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use rustix::process::Signal;

use crate::house::{fluxrig, kill, wait};
use crate::nats_server::{Version, free_port};

const PAGE: &str = include_str!("../../../../docs/tutorials/two-racks.md");

/// A block of the page, with the text before it.
struct Block<'a> {
    before: &'a str,
    kind: &'a str,
    text: &'a str,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut parts = page.split("```");
    let mut blocks = Vec::new();
    while let (Some(before), Some(block)) = (parts.next(), parts.next()) {
        let (kind, text) = block.split_once('\n').unwrap();
        blocks.push(Block { before, kind, text });
    }
    blocks
}

/// Whether each line that is expected is there, in order: words in order, `…` for any.
fn says(told: &str, expected: &str) -> bool {
    fn words(line: &str) -> impl Iterator<Item = &str> {
        line.split_whitespace().map(|word| word.trim_end_matches([',', ';']))
    }
    let mut lines = told.lines();
    expected.lines().all(|expected| {
        lines.any(|line| {
            let mut told = words(line);
            words(expected).filter(|word| *word != "…").all(|word| told.any(|told| told == word))
        })
    })
}

/// Whoever follows the page: a directory, terminals, and ports of its own in place of those that everybody has.
struct Reader {
    directory: TempDir,
    /// Where the programs are.
    path: String,
    ports: [u16; 2],
    /// What runs in terminals of its own, by its command.
    terminals: Vec<(String, Child)>,
}

impl Reader {
    fn shell(&self, text: &str) -> Command {
        let [api, bus] = self.ports;
        let listening = format!("fluxrig-mixer --dev --listen 127.0.0.1:{api} --bus-listen 127.0.0.1:{bus}");
        let text = text.replace("fluxrig-mixer --dev", &listening).replace("8090", &api.to_string());
        let mut command = Command::new("bash");
        command
            .args(["-euc", &format!("exec 2>&1\nPATH={}:$PATH\n{text}", self.path)])
            .current_dir(self.directory.path());
        command.env("HOME", self.directory.path()).env_remove("XDG_CONFIG_HOME");
        command.env("FLUXRIG_MIXER", format!("http://127.0.0.1:{api}")).stdin(Stdio::null());
        command
    }

    fn log(&self, text: &str) -> PathBuf {
        self.directory.path().join(text.trim().replace([' ', '/'], "_")).with_extension("log")
    }

    /// Begins what runs until it is stopped; in place of what ran in its terminal before.
    fn begin(&mut self, text: &str) {
        let log = File::options().create(true).append(true).open(self.log(text)).unwrap();
        let text = text.trim();
        let child = self.shell(&format!("exec {text}")).stdout(log).spawn().unwrap();
        self.terminals.push((text.to_owned(), child));
    }

    fn stop(&mut self, text: &str) {
        let at = self.terminals.iter().position(|(command, _)| command == text).unwrap();
        let (_, mut child) = self.terminals.remove(at);
        kill(&child, Signal::INT);
        assert!(child.wait().unwrap().success(), "{text} ends well");
    }

    /// Does what takes no time, and says what it said.
    fn run(&self, text: &str) -> String {
        let output = self.shell(text).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}: {told}");
        told
    }

    fn receipts(&self) -> Vec<u64> {
        let log = fs::read_to_string(self.log("fluxrig rack run --state-dir office")).unwrap_or_default();
        let number = |line: &str| line.rsplit_once("data.receipt=R")?.1.trim().parse().ok();
        log.lines().filter_map(number).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for (_, child) in &mut self.terminals {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_newcomer_has_two_racks_and_a_wire_between_them() {
    let Some(server) = Version::Newest.program() else { return };
    let programs = [fluxrig(), server].map(|program| program.parent().unwrap().display().to_string());
    let mut reader = Reader {
        directory: tempfile::tempdir().unwrap(),
        path: programs.join(":"),
        ports: [free_port(), free_port()],
        terminals: Vec::new(),
    };
    let file = reader.directory.path().join("two-sites.yaml");
    let office = "fluxrig rack run --state-dir office";
    let blocks = blocks(PAGE);
    let expected = blocks.iter().skip(1).map(Some).chain(iter::once(None));
    for (block, next) in blocks.iter().zip(expected) {
        let expected = next.filter(|next| next.kind == "text" && next.before.trim().is_empty());
        let expected =
            expected.map_or_else(String::new, |next| next.text.replace("8090", &reader.ports[0].to_string()));
        if block.before.contains("Stop the office") {
            reader.stop(office);
        }
        if block.before.contains("change `500ms`") {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("500ms", "100ms").replace("1.0.0", "1.1.0")).unwrap();
        }
        match block.kind {
            "yaml" => fs::write(&file, block.text).unwrap(),
            "sh" if block.before.contains("of its own") || block.before.contains("in its terminal") => {
                reader.begin(block.text);
                let log = || fs::read_to_string(reader.log(block.text)).unwrap();
                wait(|| says(&log(), &expected).then_some(()), log);
            }
            // What only looks may look again: what it waits for takes a moment.
            "sh" if block.text.starts_with("fluxrig topology")
                || block.text.starts_with("fluxrig status") =>
            {
                wait(|| says(&reader.run(block.text), &expected).then_some(()), || reader.run(block.text));
            }
            "sh" => {
                let told = reader.run(block.text);
                assert!(says(&told, &expected), "{}: {told}", block.text);
            }
            "text" => {}
            other => panic!("nobody runs a block of {other}"),
        }
    }
    assert_eq!(reader.terminals.len(), 3);
    // The shop begins anew with each version; whatever was in between, each of its receipts is there, in order, once.
    let receipts = wait(|| Some(reader.receipts()).filter(|receipts| receipts.len() > 10), || "few".into());
    let begins = receipts.iter().filter(|receipt| **receipt == 0).count();
    let is_in_order = receipts.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair[1] == 0);
    assert!(receipts[0] == 0 && is_in_order && (2..=3).contains(&begins), "{receipts:?}");
}
