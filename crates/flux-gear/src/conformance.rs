//! What every gear must do, whatever it does: one suite, run by each gear's own tests.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use flux_scenario::{catalog::Direction, subset::assert_supported};
use flux_signal::{FluxMsg, Map, Value};
use serde_json::{Value as Json, json};

use crate::{Gear, Outbox, Parcel, Step, mock::Mock, registry::manifest};

/// Runs the suite on a gear. `config` is a minimal valid configuration; `mock` gives what it needs besides (files).
///
/// # Panics
/// With the name of the rule that is broken.
pub fn check<G: Gear>(config: Json, mock: impl Fn() -> Mock) {
    the_manifest_is_complete::<G>();
    unknown_keys_are_refused::<G>(&config, &mock);
    init_is_pure::<G>(&config, &mock);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        // Never started: stopping must still work.
        build::<G>(&config, &mock).stop().await;
        draining_twice_is_allowed::<G>(&config, &mock).await;
        it_moves_to_another_process::<G>(&config, &mock).await;
    });
    runtime.block_on(async { garbage_is_survived::<G>(&config, &mock).await });
}

fn the_manifest_is_complete<G: Gear>() {
    let manifest = manifest::<G>();
    assert!(!manifest.summary.is_empty(), "{}: say what the gear is for", G::KIND);
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    assert!(!G::KIND.is_empty() && G::KIND.chars().all(is_name), "{}: a kind is lower-case ASCII", G::KIND);
    for (i, port) in manifest.ports.iter().enumerate() {
        assert!(port.name.chars().all(is_name), "{}: port `{}` is lower-case ASCII", G::KIND, port.name);
        assert!(!port.summary.is_empty(), "{}: say what port `{}` is for", G::KIND, port.name);
        let same = |other: &crate::PortSpec| (&other.name, other.direction) == (&port.name, port.direction);
        assert!(!manifest.ports[..i].iter().any(same), "{}: port `{}` twice", G::KIND, port.name);
    }
    if let Err(why) = assert_supported(&manifest.config_schema) {
        panic!("{}: the schema leaves the subset that `check` walks: {why:?}", G::KIND);
    }
    let fields = manifest.config_schema["properties"].as_object().cloned().unwrap_or_default();
    for (field, schema) in fields {
        assert!(schema.get("description").is_some(), "{}: say what `{field}` means", G::KIND);
    }
}

fn unknown_keys_are_refused<G: Gear>(config: &Json, mock: &impl Fn() -> Mock) {
    let mut config = config.clone();
    config["no_such_key"] = json!(1);
    assert!(mock().build::<G>(config).is_err(), "{}: an unknown key is a typo: deny unknown fields", G::KIND);
}

/// Outside any runtime a socket, a timer or a task would panic.
fn init_is_pure<G: Gear>(config: &Json, mock: &impl Fn() -> Mock) {
    let made = catch_unwind(AssertUnwindSafe(|| mock().build::<G>(config.clone()).map(|_| ())));
    match made {
        Ok(Ok(())) => {}
        Ok(Err(why)) => panic!("{}: the configuration given to the suite is refused: {why}", G::KIND),
        Err(_) => panic!("{}: init is pure: no sockets, timers or tasks", G::KIND),
    }
}

async fn draining_twice_is_allowed<G: Gear>(config: &Json, mock: &impl Fn() -> Mock) {
    let mut gear = build::<G>(config, mock);
    gear.gear.drain().await;
    gear.stop().await;
}

/// What it leaves, one of its kind takes and can be stopped with; what no gear of its kind left, it survives.
async fn it_moves_to_another_process<G: Gear>(config: &Json, mock: &impl Fn() -> Mock) {
    let mut gear = build::<G>(config, mock);
    gear.gear.pause(Duration::ZERO).await;
    gear.gear.resume();
    gear.gear.pause(Duration::ZERO).await;
    let parcel = Gear::move_out(gear.gear).await;
    gear.ctx.end_tasks().await;
    let mut heir = build::<G>(config, mock);
    if let Err(why) = heir.gear.move_in(Parcel { config: config.clone(), ..parcel }) {
        panic!("{}: it does not take what it left itself: {why}", G::KIND);
    }
    heir.stop().await;
    for state in [Value::Bool(true), Value::List(vec!["rubbish".into()]), Value::Map(Map::new())] {
        let mut gear = build::<G>(config, mock);
        let parcel = Parcel { state, ..Parcel::default() };
        let taken = catch_unwind(AssertUnwindSafe(|| drop(gear.gear.move_in(parcel))));
        assert!(taken.is_ok(), "{}: move_in panicked on what is none of its own", G::KIND);
        gear.stop().await;
    }
}

/// Whatever bytes come in, `process` answers with a fault or with messages, and the next message is treated alike.
async fn garbage_is_survived<G: Gear>(config: &Json, mock: &impl Fn() -> Mock) {
    let mut gear = build::<G>(config, mock);
    let ports = manifest::<G>().ports_for(config, &Default::default());
    let long = vec![b'9'; 70_000];
    for payload in [&b""[..], b"\0", b"0", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"0200", &long] {
        for port in ports.inputs.iter().filter(|port| port.direction == Direction::In) {
            let port = gear.ctx.input(&port.name).expect("the port is in the manifest");
            let msg: FluxMsg = gear.ctx.message(payload.to_vec());
            let mut out = Outbox::new();
            let step = catch_unwind(AssertUnwindSafe(|| gear.gear.process(port, &msg, &mut out)));
            match step {
                Ok(Ok(Step::Wait(_) | Step::Done) | Err(_)) => {}
                Err(_) => panic!("{}: process panicked on {} bytes", G::KIND, payload.len()),
            }
        }
    }
    gear.stop().await;
}

fn build<G: Gear>(config: &Json, mock: &impl Fn() -> Mock) -> crate::mock::MockGear<G> {
    mock().build::<G>(config.clone()).unwrap_or_else(|why| panic!("{}: {why}", G::KIND))
}
