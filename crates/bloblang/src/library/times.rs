//! Methods of timestamps: seconds since 1970, RFC 3339, or a moment that a parser made.

use std::sync::Arc;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::library::call::text;
use crate::library::{Call, Default, Param, Spec};
use crate::moment::{self, Period};
use crate::run::{Failure, Outcome, fail};
use crate::{Value, layout};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("parse_duration", &[], |_, target| match moment::duration(text(&target)?) {
        Some(nanos) => Ok(Value::Int(nanos)),
        None => fail!("no duration: it is written like 300ms, -1.5h or 2h45m"),
    }),
    Spec::method("parse_duration_iso8601", &[], |_, target| {
        match Period::parse(text(&target)?).and_then(Period::nanoseconds) {
            Some(nanos) => Ok(Value::Int(nanos)),
            None => fail!("no duration of ISO 8601: it is written like P3Y6M4DT12H30M5S"),
        }
    }),
    Spec::method("ts_add_iso8601", &[Param::text("duration")], |call, target| period(call, &target, false)),
    Spec::method("ts_sub_iso8601", &[Param::text("duration")], |call, target| period(call, &target, true)),
    Spec::method("ts_format", FORMAT, format),
    Spec::method("format_timestamp", FORMAT, format),
    Spec::method("ts_parse", &[Param::text("format")], parse),
    Spec::method("parse_timestamp", &[Param::text("format")], parse),
    Spec::method("ts_strftime", STRFTIME, strftime),
    Spec::method("format_timestamp_strftime", STRFTIME, strftime),
    Spec::method("ts_strptime", &[Param::text("format")], strptime),
    Spec::method("parse_timestamp_strptime", &[Param::text("format")], strptime),
    Spec::method("ts_round", &[Param::int("duration")], round),
    Spec::method("ts_sub", &[Param::any("t2")], |call, target| {
        let (t1, t2) = (at(call, &target)?, at(call, &call.value(0))?);
        Ok(Value::whole(t1.timestamp().as_nanosecond() - t2.timestamp().as_nanosecond()))
    }),
    Spec::method("ts_tz", &[Param::text("tz")], |call, target| {
        let zone = zone(call, 0)?.unwrap_or(TimeZone::UTC);
        Ok(value(at(call, &target)?.with_time_zone(zone)))
    }),
    Spec::method("ts_unix", &[], |call, target| unix(call, &target, 1_000_000_000)),
    Spec::method("ts_unix_milli", &[], |call, target| unix(call, &target, 1_000_000)),
    Spec::method("ts_unix_micro", &[], |call, target| unix(call, &target, 1_000)),
    Spec::method("ts_unix_nano", &[], |call, target| unix(call, &target, 1)),
    Spec::method("format_timestamp_unix", &[], |call, target| unix(call, &target, 1_000_000_000)),
    Spec::method("format_timestamp_unix_milli", &[], |call, target| unix(call, &target, 1_000_000)),
    Spec::method("format_timestamp_unix_micro", &[], |call, target| unix(call, &target, 1_000)),
    Spec::method("format_timestamp_unix_nano", &[], |call, target| unix(call, &target, 1)),
];

const FORMAT: &[Param] =
    &[Param::text("format").or(Default::Text(moment::RFC3339)), Param::text("tz").optional()];
const STRFTIME: &[Param] = &[Param::text("format"), Param::text("tz").optional()];

fn value(at: Zoned) -> Value {
    Value::Timestamp(Arc::new(at))
}

fn at(call: &Call, target: &Value) -> Outcome<Zoned> {
    moment::of(target, || call.runner.program.host.time_zone()).map_err(Failure::new)
}

/// The zone that an argument names, if it is given.
fn zone(call: &Call, argument: usize) -> Outcome<Option<TimeZone>> {
    let Some(name) = call.optional_text(argument)? else { return Ok(None) };
    moment::zone(name, || call.runner.program.host.time_zone()).map(Some).map_err(Failure::new)
}

/// The moment of the target in the zone that the second argument names, if it does.
fn in_zone(call: &Call, target: &Value) -> Outcome<Zoned> {
    let at = at(call, target)?;
    Ok(match zone(call, 1)? {
        Some(zone) => at.with_time_zone(zone),
        None => at,
    })
}

fn format(call: &mut Call, target: Value) -> Outcome {
    let at = in_zone(call, &target)?;
    Ok(Value::from(layout::format(&at, call.text(0)?)))
}

fn parse(call: &mut Call, target: Value) -> Outcome {
    let read = layout::parse(text(&target)?, call.text(0)?);
    read.map(value).map_err(|why| Failure::new(format!("no timestamp of this format: {why}")))
}

fn strftime(call: &mut Call, target: Value) -> Outcome {
    let at = in_zone(call, &target)?;
    // Microseconds have six digits here, and as many as there are elsewhere.
    let format = with_directive(call.text(0)?, 'f', "%6f");
    match strtime::format(format, &at) {
        Ok(text) => Ok(Value::from(text)),
        Err(_) => fail!("the argument `format` has an unknown directive"),
    }
}

/// A format with one directive replaced.
fn with_directive(format: &str, letter: char, by: &str) -> String {
    let mut out = String::with_capacity(format.len() + 4);
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        match (c, if c == '%' { letters.next() } else { None }) {
            ('%', Some(directive)) if directive == letter => out.push_str(by),
            (c, directive) => {
                out.push(c);
                out.extend(directive);
            }
        }
    }
    out
}

fn strptime(call: &mut Call, target: Value) -> Outcome {
    let format = call.text(0)?;
    let Ok(parts) = strtime::parse(format, text(&target)?) else { fail!("no timestamp of this format") };
    let read = match (parts.to_timestamp(), parts.offset()) {
        (Ok(at), offset) => Ok(at.to_zoned(offset.map_or(TimeZone::UTC, moment::fixed))),
        (Err(_), _) => parts.to_datetime().and_then(|civil| civil.to_zoned(TimeZone::UTC)),
    };
    read.map(value).map_err(|_| Failure::new("no timestamp: its parts make none"))
}

fn period(call: &mut Call, target: &Value, is_subtracted: bool) -> Outcome {
    let Some(period) = Period::parse(call.text(0)?) else {
        fail!("the argument `duration` is no duration of ISO 8601, like P3Y6M4DT12H30M5S")
    };
    period.after(&at(call, target)?, is_subtracted).map(value).map_err(Failure::new)
}

/// Seconds from the first of January of the year 1, from which multiples of a duration are counted, to 1970.
const YEAR_ONE_TO_1970: i128 = 62_135_596_800;

fn round(call: &mut Call, target: Value) -> Outcome {
    let unit = i128::from(call.int(0)?);
    let at = at(call, &target)?;
    if unit <= 0 {
        return Ok(value(at));
    }
    let nanos = at.timestamp().as_nanosecond() + YEAR_ONE_TO_1970 * 1_000_000_000;
    let past = nanos.rem_euclid(unit);
    let rounded = nanos - past + if past * 2 >= unit { unit } else { 0 } - YEAR_ONE_TO_1970 * 1_000_000_000;
    match Timestamp::from_nanosecond(rounded) {
        Ok(rounded) => Ok(value(rounded.to_zoned(at.time_zone().clone()))),
        Err(_) => fail!("the timestamp is out of range"),
    }
}

fn unix(call: &mut Call, target: &Value, unit: i128) -> Outcome {
    Ok(Value::whole(at(call, target)?.timestamp().as_nanosecond().div_euclid(unit)))
}
