//! A mapping in the world: what is closed until it is allowed, what threads share, what mutating means.

use std::collections::BTreeSet;

use bloblang::{Compiler, Limits, Mapping, Message, Root, System, Value};

fn mapped(compiler: &Compiler, source: &str) -> Result<Value, String> {
    let mapping = compiler.compile(source).map_err(|error| error.to_string())?;
    match mapping.map(&Message::new("{}")).map_err(|error| error.to_string())?.root {
        Root::New(value) => Ok(value),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn variables_and_files_are_closed_until_allowed() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let read = format!("root = file({manifest:?}).string().contains(\"bloblang\")");
    let import = format!("import {manifest:?}\nroot = 1");
    let closed = Compiler::new(System::new());
    let refused = |source: &str| mapped(&closed, source).unwrap_err();
    assert!(
        refused("root = env(\"PATH\")").contains("environment variables are not allowed to this mapping")
    );
    assert!(refused(&read).contains("files are not allowed to this mapping"));
    assert!(refused(&import).contains("files are not allowed to this mapping"));
    let open = Compiler::new(System::new().allow_variables().allow_files());
    assert_eq!(mapped(&open, "root = env(\"PATH\").type()"), Ok("string".into()));
    assert_eq!(mapped(&open, "root = env(\"NO_SUCH_VARIABLE_HERE\")"), Ok(Value::Null));
    assert_eq!(mapped(&open, &read), Ok(true.into()));
    assert!(mapped(&open, "root = file(\"/nowhere/at/all\")").unwrap_err().contains("No such file"));
    let small = open.clone().limits(Limits { bytes_max: 100, ..Limits::default() });
    assert!(mapped(&small, &read).unwrap_err().contains("the file has over 100 bytes"));
}

#[test]
fn the_machine_has_time_chance_and_a_name() {
    let open = Compiler::default();
    let source = "root = [timestamp_unix() > 1600000000, uuid_v4() != uuid_v4(), hostname().length() > 0, now().ts_unix() > 1600000000]";
    assert_eq!(mapped(&open, source).map(|value| value.to_json()), Ok("[true,true,true,true]".into()));
}

#[test]
fn threads_share_a_mapping_and_its_counters() {
    const THREADS: i64 = 4;
    const RUNS: i64 = 250;
    let mapping = Mapping::compile("root = count(\"all\")").unwrap();
    let counts = std::thread::scope(|scope| {
        let run = || (0..RUNS).map(|_| mapping.map(&Message::new("{}")).unwrap().root).collect::<Vec<_>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let count = |root: Root| match root {
        Root::New(value) => value.as_int(),
        _ => None,
    };
    let counts: BTreeSet<i64> = counts.into_iter().filter_map(count).collect();
    assert_eq!(counts, (1..=THREADS * RUNS).collect());
}

#[test]
fn a_mutation_begins_with_the_document() {
    let mapping = Mapping::compile("root.b = root.a + 1\nroot.c = deleted()").unwrap();
    let batch = [Message::new(r#"{"a":1,"c":2}"#), Message::new("not a document")];
    let payload = |mapped: bloblang::Mapped, at: usize| mapped.payload(&batch[at]).unwrap();
    assert_eq!(payload(mapping.mutate_in(&batch, 0).unwrap(), 0), r#"{"a":1,"b":2}"#);
    let error = mapping.mutate_in(&batch, 1).unwrap_err();
    assert_eq!(
        error.message(),
        "cannot add types null (from field `root.a`) and number (from number literal)"
    );
    assert_eq!(mapping.mutate_in(&batch, 2).unwrap_err().message(), "the batch has no message 2");
    let unchanged = Mapping::compile("let x = 1").unwrap();
    assert_eq!(payload(unchanged.map_in(&batch, 1).unwrap(), 1), "not a document");
}

#[test]
fn a_run_stops_where_its_limits_say() {
    let compiler = Compiler::default().limits(Limits { steps_max: 1_000, bytes_max: 10_000 });
    let error = |source: &str| {
        let error = compiler.compile(source).unwrap().map(&Message::new("{}")).unwrap_err();
        assert!(error.is_exhausted(), "{error}");
        error.message().to_owned()
    };
    assert!(
        error("root = range(0, 100).map_each(x -> x + 1 + 1 + 1 + 1 + 1 + 1)").ends_with("over 1000 steps")
    );
    assert!(error("root = \"abc\".repeat(5000)").ends_with("over 10000 bytes of values"));
    assert!(
        error("root = (throw(\"x\").catch(\"abc\".repeat(5000))).catch(1) | 2")
            .ends_with("over 10000 bytes of values")
    );
}
