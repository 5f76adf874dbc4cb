//! Another version of a scenario goes live, by each of the ways there are to ask for it, or is refused.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};

use crate::{
    alone::Ground,
    process::{Running, last_json},
};

/// A scenario whose codec reads a spec, and whose source sends every so often.
fn scenario(interval: &str) -> String {
    format!(
        "meta: {{name: t, version: v1.0.0}}\ngears:\n  - {{name: src, type: generate, config: {{interval: {interval}}}}}\n  \
         - {{name: dec, type: codec_iso8583, config: {{spec_path: spec.yaml, direction: decode}}}}\n  - {{name: end, type: \
         'null'}}\nwires:\n  - {{from: src.out, to: dec.in}}\n  - {{from: dec.out, to: end.in}}\n  - {{from: dec.error, to: \
         end.in}}\n"
    )
}

fn spec(title: &str) -> String {
    format!("id: t\nname: {title}\nversion: 1.0.0\nextends: iso87ascii\n")
}

struct Started {
    ground: Ground,
    rack: Running,
}

impl Started {
    fn new(words: &[&str]) -> Started {
        let ground = Ground::new(&scenario("1h"));
        fs::write(ground.settings(), "[rack]\nfuse = true\n").unwrap();
        fs::write(Path::new(&ground.scenario).with_file_name("spec.yaml"), spec("one")).unwrap();
        let rack = ground.rack(&[&["--config", &ground.settings()], words].concat());
        Started { ground, rack }
    }

    fn write(&self, text: &str) {
        fs::write(&self.ground.scenario, text).unwrap();
    }

    fn reload(&self, words: &[&str]) -> (Option<i32>, Json) {
        let ended = self.ground.ask("reload", words);
        assert!(!ended.stdout.is_empty(), "{}", ended.stderr);
        (ended.code, last_json(&ended.stdout))
    }

    /// The gears that do not go on as they are, and why.
    fn moved(report: &Json) -> Vec<String> {
        let gears = report["plan"]["gears"].as_array().unwrap().iter().filter(|gear| gear["step"] != "keep");
        gears.map(|gear| format!("{} {}", gear["gear"].as_str().unwrap(), gear["because"])).collect()
    }

    fn wait_for_reload_refused(&mut self) {
        self.rack.wait_for(|line| {
            (line.contains("reload refused") && line.contains("\"because\":\"SIGHUP\"")).then_some(())
        });
    }

    fn wait_for_reload(&mut self, because: &str) {
        let wanted = format!("\"because\":\"{because}\"");
        self.rack.wait_for(|line| (line.contains("\"reload\"") && line.contains(&wanted)).then_some(()));
    }
}

#[test]
fn what_changed_is_replaced_and_the_rest_goes_on() {
    let started = Started::new(&[]);
    assert_eq!(started.reload(&[]).1["outcome"], "unchanged");
    started.write(&scenario("2h"));
    let (code, planned) = started.reload(&["--dry-run"]);
    assert_eq!((code, &planned["outcome"]), (Some(0), &"planned".into()));
    let (code, done) = started.reload(&[]);
    assert_eq!((code, &done["outcome"], &done["plan"]), (Some(0), &"reloaded".into(), &planned["plan"]));
    assert_eq!(Started::moved(&done), [r#"src ["config.interval"]"#]);
    let status = started.ground.status();
    let uptime = |at: usize| status["gears"][at]["uptime_ms"].as_u64().unwrap();
    assert!(uptime(0) < uptime(1), "{status}");
    assert_eq!(started.reload(&[]).1["outcome"], "unchanged");
}

#[test]
fn a_source_that_is_replaced_sends_nothing_beside_the_new_one() {
    let text = |version: &str| {
        format!(
            "meta: {{name: t, version: v1.0.0}}\ngears:\n  - {{name: src, type: generate, config: {{interval: 20ms, data: {{of: \
             {version}}}}}}}\n  - {{name: end, type: log, config: {{fields: [data.of]}}}}\nwires: [{{from: src.out, to: end.in}}]\n"
        )
    };
    let ground = Ground::new(&text("old"));
    let mut rack = ground.rack(&[]);
    let mut next = || rack.wait_for(|line| line.contains("data.of=").then(|| line.contains("data.of=new")));
    assert!(!next());
    fs::write(&ground.scenario, text("new")).unwrap();
    assert_eq!(ground.ask("reload", &[]).code, Some(0));
    while !next() {}
    // What the old one had in hand may come after.
    let after: Vec<bool> = (0..40).map(|_| next()).collect();
    assert!(after[4..].iter().all(|is_new| *is_new), "{after:?}");
}

#[test]
fn a_file_that_a_gear_reads_is_part_of_it() {
    let started = Started::new(&[]);
    fs::write(Path::new(&started.ground.scenario).with_file_name("spec.yaml"), spec("two")).unwrap();
    let (_, done) = started.reload(&[]);
    assert_eq!(done["outcome"], "reloaded", "{done}");
    let moved = Started::moved(&done);
    assert!(
        moved.len() == 1 && moved[0].starts_with("dec [\"file ") && moved[0].ends_with("spec.yaml\"]"),
        "{moved:?}"
    );
}

#[test]
fn a_version_that_cannot_run_changes_nothing_and_says_why() {
    let started = Started::new(&[]);
    started.write(&scenario("soon"));
    for words in [&["--dry-run"][..], &[]] {
        let (code, refused) = started.reload(words);
        assert_eq!((code, &refused["plan"]), (Some(1), &Json::Null), "{refused}");
        assert!(refused["why"].as_str().unwrap().contains("t.yaml:3:"), "{refused}");
        assert_eq!(refused["issues"][0]["code"], "FR0404", "{refused}");
    }
    let status = started.ground.status();
    assert_eq!(
        (&status["alarms"][0]["alarm"], started.ground.ask("status", &[]).code),
        (&"reload".into(), Some(1))
    );
    // A port that is taken is found out only when the gear starts.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!(
        "  - {{name: line, type: io_tcp, config: {{mode: server, bind: '{}'}}}}\nwires:\n  - {{from: line.out, to: line.in}}\n",
        taken.local_addr().unwrap()
    );
    started.write(&scenario("1h").replace("wires:\n", &line));
    let (code, refused) = started.reload(&[]);
    assert!(
        code == Some(1) && refused["why"].as_str().unwrap().contains("gear `line` did not start"),
        "{refused}"
    );
    fs::remove_file(&started.ground.scenario).unwrap();
    let (code, refused) = started.reload(&[]);
    assert!(code == Some(1) && refused["why"].as_str().unwrap().starts_with("cannot read `"), "{refused}");
    started.write(&scenario("1h"));
    assert_eq!(started.reload(&[]).1["outcome"], "unchanged");
    assert_eq!(started.ground.status()["alarms"], Json::Array(Vec::new()));
}

#[test]
fn sighup_reloads_and_settings_beside_wait_for_the_next_start() {
    let mut started = Started::new(&[]);
    started.write(&scenario("2h"));
    started.rack.signal("HUP");
    started.wait_for_reload("SIGHUP");
    fs::write(started.ground.settings(), "[rack]\nfuse = false\n").unwrap();
    assert_eq!(started.reload(&[]).1["settings_later"], json!(["[rack]"]));
    started.write(&scenario("soon"));
    started.rack.signal("HUP");
    started.rack.wait_for(|line| line.contains("reload refused; the old version goes on").then_some(()));
    started.rack.signal("TERM");
    assert_eq!(started.rack.wait().code(), Some(0), "{}", started.rack.printed);
}

#[test]
fn a_rack_that_watches_reloads_when_a_file_changes() {
    let mut started = Started::new(&["--watch"]);
    started.write(&scenario("2h"));
    started.wait_for_reload("the files changed");
    let spec_file = Path::new(&started.ground.scenario).with_file_name("spec.yaml");
    fs::remove_file(&spec_file).unwrap();
    started.rack.wait_for(|line| line.contains("reload refused").then_some(()));
    fs::write(&spec_file, spec("two")).unwrap();
    started.wait_for_reload("the files changed");
}

/// What could be waited for without end is not read; the rack answers, and stops.
#[test]
fn a_pipe_in_place_of_a_file_is_refused_by_name() {
    let mut started = Started::new(&[]);
    let spec = Path::new(&started.ground.scenario).with_file_name("spec.yaml");
    for path in [&*spec, Path::new(&started.ground.scenario)] {
        fs::remove_file(path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
        let (code, refused) = started.reload(&[]);
        assert_eq!(code, Some(1), "{refused}");
        let why = refused["why"].as_str().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(why.contains(name) && why.contains("it is a pipe, not a regular file"), "{why}");
    }
    started.rack.signal("HUP");
    started.wait_for_reload_refused();
    assert_eq!(started.ground.status()["alarms"][0]["alarm"], "reload");
    started.rack.signal("TERM");
    assert_eq!(started.rack.wait().code(), Some(0));
}
