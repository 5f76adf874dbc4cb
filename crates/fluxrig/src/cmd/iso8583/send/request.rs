//! The request of a terminal: from JSON, or field by field.

use std::{path::Path, str::FromStr, sync::Arc};

use anyhow::Context;
use flux_iso8583::{Message, Spec, WireError};
use flux_signal::Value;
use flux_world::{Disk, World};
use jiff::{Timestamp, tz::TimeZone};

use crate::input;

/// The terminal that sends when nothing else is said (field 41).
const TERMINAL: &str = "TERM0001";

/// A value and where it goes: `2=4111111111111111`, `55.9F36=0042`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldValue {
    path: String,
    value: String,
}

impl FromStr for FieldValue {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<FieldValue, &'static str> {
        let (path, value) = text.split_once('=').ok_or("expected a path and a value, as in 3=000000")?;
        Ok(FieldValue { path: path.into(), value: value.into() })
    }
}

/// A request as `decode --json` writes it.
pub(super) fn from_json(
    disk: &Disk,
    path: &Path,
    spec: Arc<Spec>,
) -> anyhow::Result<Result<Message, WireError>> {
    let text = input::message_text(disk, Some(path).filter(|path| path.as_os_str() != "-"))?;
    let json = serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", path.display()))?;
    Ok(Message::from_json(spec, &json))
}

/// A request of these fields, and of those that every terminal fills in.
pub(super) fn from_fields(
    world: &World,
    spec: Arc<Spec>,
    mti: &str,
    fields: &[FieldValue],
) -> Result<Message, WireError> {
    let mut message = Message::new(Arc::clone(&spec), mti)?;
    for FieldValue { path, value } in fields {
        message.set(path, &Value::from(value.as_str()))?;
    }
    let second = world.clock.unix_ns() / 1_000_000_000;
    let now = Timestamp::from_second(second).unwrap_or_default().to_zoned(TimeZone::UTC);
    let filled_in = [
        (7, now.strftime("%m%d%H%M%S").to_string()),
        (11, format!("{:06}", world.entropy.below(999_999) + 1)),
        (41, TERMINAL.to_owned()),
    ];
    for (field, text) in filled_in {
        if !message.has(field) && spec.field(field).is_some() {
            message.set_text(field, &text)?;
        }
    }
    Ok(message)
}
