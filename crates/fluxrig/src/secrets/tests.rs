//! Each place has what it has, and a secret that is nowhere is said with where it was looked for.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use flux_scenario::settings::Vault;

use super::*;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn found(settings: &Secrets, directory: &Path, wanted: &[&str]) -> Vec<String> {
    let found = find(&World::real(), settings, directory, names(wanted)).into_values();
    found.map(|found| found.unwrap_or_else(|lacking| format!("! {}; {}", lacking.why, lacking.fix))).collect()
}

#[test]
fn files_come_first_and_then_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("s")).unwrap();
    let put = |name: &str, text: &[u8]| fs::write(directory.path().join("s").join(name), text).unwrap();
    for (name, text) in [("A", "tiger\n"), ("B", "two\nlines\r\n"), ("C", ""), ("PATH", "file")] {
        put(name, text.as_bytes());
    }
    put("D", &[0xff]);
    // What every process has stands for a variable that was set.
    let mut settings = Secrets { directory: Some("s".into()), environment: "PA".into(), vault: None };
    assert_eq!(
        found(&settings, directory.path(), &["A", "B", "TH"]),
        ["tiger", "two\nlines", &environment("PATH").unwrap()]
    );
    let shown = directory.path().join("s").display().to_string();
    assert_eq!(
        found(&settings, directory.path(), &["C", "D", "x-1.y"]),
        [
            "! it is empty; put it into the file `s/C`".to_owned(),
            format!("! the file `{shown}/D` is no text; put it into the file `s/D`"),
            format!(
                "! looked for as the file `{shown}/x-1.y`, the variable `PAx_1_y`; put it into the file `s/x-1.y`"
            ),
        ]
    );
    settings.directory = None;
    let nowhere = found(&settings, directory.path(), &["x"]);
    assert_eq!(
        nowhere,
        ["! looked for as the variable `PAx`; set `PAx`, or name a directory with `secrets.directory`"]
    );
    settings.environment.clear();
    assert_eq!(
        found(&settings, directory.path(), &["x"]),
        ["! no place for secrets is set; name a directory with `secrets.directory`"]
    );
}

/// Speaks as Vault does, on a real socket; tells what it was asked.
fn vault(answers: Vec<(&'static str, &'static str)>) -> (String, mpsc::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = mpsc::channel();
    thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            tell.send(head).unwrap();
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    (url, asked)
}

#[test]
fn vault_is_asked_once_with_its_token_and_what_it_refuses_is_said() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), "s.token\n").unwrap();
    let good = r#"{"data":{"data":{"A":"tiger","N":7},"metadata":{}}}"#;
    let refused = r#"{"errors":["permission denied"]}"#;
    let answers = vec![
        ("200 OK", good),
        ("403 Forbidden", refused),
        ("404 Not Found", "{}"),
        ("503 Service Unavailable", "{}"),
        ("200 OK", r#"{"data":{"A":"tiger"}}"#),
    ];
    let (url, asked) = vault(answers);
    let vault = Vault {
        url,
        mount: "kv".into(),
        path: "fluxrig/north rack".into(),
        namespace: Some("ops".into()),
        token_file: "token".into(),
        ca_file: None,
        timeout: flux_scenario::units::Duration(std::time::Duration::from_secs(5)),
    };
    let settings =
        |vault: &Vault| Secrets { directory: None, environment: String::new(), vault: Some(vault.clone()) };
    let told = found(&settings(&vault), directory.path(), &["A", "B", "N"]);
    assert_eq!(told[0], "tiger");
    assert_eq!(
        told[1],
        "! looked for as the key `B` of the secret `kv/fluxrig/north rack` of Vault; `vault kv patch kv/fluxrig/north rack B=…`"
    );
    assert!(told[2].starts_with("! looked for as the key `N`"), "a number is no text: {}", told[2]);
    let head = asked.recv().unwrap();
    assert_eq!(head[0], "GET /v1/kv/data/fluxrig/north%20rack HTTP/1.1");
    for line in ["x-vault-token: s.token", "x-vault-namespace: ops", "x-vault-request: true"] {
        assert!(head.iter().any(|told| told.eq_ignore_ascii_case(line)), "{line}: {head:?}");
    }
    for want in ["refuses the token", "has no such secret", "answers 503", "is the mount one?"] {
        let told = found(&settings(&vault), directory.path(), &["A"]);
        assert!(
            told[0].contains(want) && !told[0].contains("tiger") && !told[0].contains("s.token"),
            "{told:?}"
        );
    }
    let away = found(&settings(&vault), directory.path(), &["A"]);
    assert!(away[0].contains("cannot ask Vault at http://127.0.0.1:"), "{away:?}");
    for (changed, want) in [
        (Vault { token_file: "none".into(), ..vault.clone() }, "`secrets.vault.token_file`"),
        (
            Vault { url: "http://vault.example:8200".into(), ..vault.clone() },
            "plain HTTP is for Vault on this machine",
        ),
        (Vault { url: "vault".into(), ..vault.clone() }, "`secrets.vault.url`"),
    ] {
        let told = found(&settings(&changed), directory.path(), &["A"]);
        assert!(told[0].contains(want) && !told[0].contains("s.token"), "{told:?}");
    }
}
