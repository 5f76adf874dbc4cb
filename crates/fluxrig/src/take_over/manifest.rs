//! What one process leaves to the next, but for its descriptors, in CBOR.
//!
//! ```text
//! {"version": 1,
//!  "gears": [{"gear": "line", "number": 0, "kind": "io_tcp", "config": "{..}", "state": ..,
//!             "descriptors": 3, "undone": [["in", h'message'], ..]}, ..]}
//! ```
//! `config` is JSON, as it stands in the scenario; `state` is the gear's own; each message is in `undone` as it is on a wire.

use anyhow::{Context, bail, ensure};
use flux_gear::{Bytes, FluxMsg, Parcel, Value};
use flux_rack::{Bequeathed, Estate};
use flux_signal::{
    Limits, Map,
    cbor::{self, Strictness},
};

/// The version written here; a reader of an older one refuses a newer.
const VERSION: i64 = 1;

/// Longest that is read.
pub(super) const BYTES_MAX: u64 = 1 << 30;

/// What was within limits once is not refused on the way.
const NO_LIMITS: Limits = Limits { hops_max: u16::MAX, message_bytes_max: usize::MAX };

/// Writes it down.
///
/// # Errors
/// When something in it nests too deeply.
pub(super) fn write(estate: &Estate) -> Result<Vec<u8>, cbor::TooDeep> {
    let gears = estate.gears.iter().map(gear).collect::<Result<_, _>>()?;
    let mut manifest = Map::new();
    manifest.insert("version", VERSION.into());
    manifest.insert("gears", Value::List(gears));
    let mut text = Vec::new();
    cbor::encode_value(&Value::Map(manifest), &mut text)?;
    Ok(text)
}

fn gear(left: &Bequeathed) -> Result<Value, cbor::TooDeep> {
    let Bequeathed { gear, number, kind, parcel, undone } = left;
    let undone = undone.iter().map(|(port, msg)| {
        let mut body = Vec::new();
        cbor::encode(msg, &mut body)?;
        Ok(Value::List(vec![port.as_str().into(), Value::Bytes(body.into())]))
    });
    let mut map = Map::new();
    map.insert("gear", gear.as_str().into());
    map.insert("number", Value::integer(*number as i128));
    map.insert("kind", kind.as_str().into());
    map.insert("config", parcel.config.to_string().as_str().into());
    map.insert("state", parcel.state.clone());
    map.insert("descriptors", Value::integer(parcel.descriptors.len() as i128));
    map.insert("undone", Value::List(undone.collect::<Result<_, _>>()?));
    Ok(Value::Map(map))
}

/// Reads it, and how many descriptors belong to each gear.
///
/// # Errors
/// When it is none, or one of a newer version.
pub(super) fn read(text: Bytes) -> anyhow::Result<(Estate, Vec<usize>)> {
    let manifest = cbor::decode_value(&text, Strictness::Canonical, &NO_LIMITS)
        .context("what the rack that runs leaves is damaged")?;
    let version = manifest.get("version").and_then(Value::as_int).unwrap_or_default();
    ensure!(
        version == VERSION,
        "the rack that runs hands over by version {version}, and this one by version {VERSION}: stop it first"
    );
    let Some(Value::List(gears)) = manifest.get("gears") else {
        bail!("what the rack that runs leaves names no gears")
    };
    let mut estate = Estate::default();
    let mut counts = Vec::new();
    for gear in gears {
        let (left, descriptors) = bequeathed(gear).context("what a gear left is not understood")?;
        estate.gears.push(left);
        counts.push(descriptors);
    }
    Ok((estate, counts))
}

fn bequeathed(gear: &Value) -> Option<(Bequeathed, usize)> {
    let text = |key| Some(gear.get(key)?.as_text()?.to_owned());
    let count = |key| usize::try_from(gear.get(key)?.as_int()?).ok();
    let Some(Value::List(undone)) = gear.get("undone") else { return None };
    let undone = undone.iter().map(message).collect::<Option<_>>()?;
    let config = serde_json::from_str(&text("config")?).ok()?;
    let parcel = Parcel { config, state: gear.get("state")?.clone(), ..Parcel::default() };
    let left =
        Bequeathed { gear: text("gear")?, number: count("number")?, kind: text("kind")?, parcel, undone };
    Some((left, count("descriptors")?))
}

fn message(undone: &Value) -> Option<(String, FluxMsg)> {
    let Value::List(parts) = undone else { return None };
    let [Value::Text(port), Value::Bytes(body)] = &parts[..] else { return None };
    Some((port.to_string(), cbor::decode(body, Strictness::Lenient, &NO_LIMITS).ok()?))
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxId;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn estate() -> Estate {
        let msg = FluxMsg::new(FluxId::v7(1, 1), 7, "body");
        let parcel = Parcel { config: json!({"bind": ":1"}), state: "mine".into(), ..Parcel::default() };
        let undone = vec![("in".to_owned(), msg)];
        Estate {
            gears: vec![Bequeathed { gear: "line".into(), number: 2, kind: "io_tcp".into(), parcel, undone }],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let text = write(&estate()).unwrap();
        let (read, counts) = read(text.into()).unwrap();
        assert_eq!(counts, [0]);
        assert_eq!(format!("{read:?}"), format!("{:?}", estate()));
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut text = write(&estate()).unwrap();
        let at = text.windows(7).position(|word| word == b"version").unwrap() + 7;
        text[at] = 2;
        let why = read(text.into()).unwrap_err().to_string();
        assert!(why.contains("hands over by version 2"), "{why}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>, at in 0..200_usize, to: u8) {
            let _ = read(text.into());
            let mut damaged = write(&estate()).unwrap();
            let at = at % damaged.len();
            damaged[at] = to;
            let _ = read(damaged.into());
        }
    }
}
