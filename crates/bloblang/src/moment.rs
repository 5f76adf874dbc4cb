//! Moments: what a timestamp can be read from, RFC 3339, and durations.

use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, Zoned};

use crate::Value;
use crate::layout;

/// The layout of RFC 3339 with as many digits of the fraction as there are.
pub(crate) const RFC3339: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// A moment as RFC 3339 has it: no zeros at the end of its fraction, `Z` for UTC.
pub(crate) fn rfc3339(at: &Zoned) -> String {
    layout::format(at, RFC3339)
}

/// The moment that a value is: seconds since 1970 in a zone, or text in RFC 3339, or a moment already.
pub(crate) fn of(value: &Value, zone: impl FnOnce() -> TimeZone) -> Result<Zoned, String> {
    let out_of_range = |_| "the timestamp is out of range".to_owned();
    match value {
        Value::Timestamp(at) => Ok((**at).clone()),
        Value::Int(seconds) => {
            Timestamp::from_second(*seconds).map(|at| at.to_zoned(zone())).map_err(out_of_range)
        }
        Value::Float(seconds) if seconds.is_finite() => {
            // A double holds microseconds of today's times; what is beyond them is noise.
            let whole = seconds.floor();
            let micros = ((seconds - whole) * 1e6).round() as i32;
            let at = Timestamp::new(whole as i64, 0).map_err(out_of_range)?;
            at.checked_add(Span::new().microseconds(micros))
                .map(|at| at.to_zoned(zone()))
                .map_err(out_of_range)
        }
        Value::String(_) | Value::Bytes(_) => match value.as_str() {
            Some(text) => layout::parse(text, RFC3339).map_err(|why| format!("no RFC 3339 timestamp: {why}")),
            None => Err("no RFC 3339 timestamp: not text".into()),
        },
        other => Err(format!("expected number or string value, got {}", other.type_name())),
    }
}

/// The zone with a name of the IANA database, `UTC` or `Local`.
pub(crate) fn zone(name: &str, local: impl FnOnce() -> TimeZone) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(local()),
        name => TimeZone::get(name).map_err(|_| "no time zone has this name".into()),
    }
}

/// The zone with a fixed distance from UTC.
pub(crate) fn fixed(offset: Offset) -> TimeZone {
    if offset == Offset::UTC { TimeZone::UTC } else { TimeZone::fixed(offset) }
}

/// Nanoseconds of a duration like `1h30m` or `-1.5s`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0i128;
    while !rest.is_empty() || sum == 0 && text.len() == rest.len() {
        let (amount, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) =
            after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let nanos = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        sum = sum.checked_add(scaled(amount, nanos)?)?;
        rest = after;
    }
    i64::try_from(if is_negative { -sum } else { sum }).ok()
}

/// A decimal times a whole number, without a float between; what is smaller than one is cut off.
fn scaled(decimal: &str, by: i128) -> Option<i128> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let fraction = &fraction[..fraction.len().min(18)];
    let part = digits(fraction)?.checked_mul(by)? / 10i128.pow(fraction.len() as u32);
    digits(whole)?.checked_mul(by)?.checked_add(part)
}

/// A period of ISO 8601, each unit by itself.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Period {
    is_negative: bool,
    years: i64,
    months: i64,
    weeks: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    nanos: i64,
}

impl Period {
    /// Reads `P[n]Y[n]M[n]DT[n]H[n]M[n]S` or `P[n]W`; the seconds may have a fraction, of which one digit counts.
    pub(crate) fn parse(text: &str) -> Option<Period> {
        let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let mut rest = rest.strip_prefix('P').filter(|rest| !rest.is_empty())?;
        let mut period = Period { is_negative, ..Period::default() };
        let mut is_time = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                (is_time, rest) = (true, after);
                continue;
            }
            let (amount, after) =
                rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-')?);
            let unit = after.chars().next()?;
            rest = &after[unit.len_utf8()..];
            if unit == 'S' {
                let cut = amount.find('.').map_or(amount.len(), |at| (at + 2).min(amount.len()));
                period.nanos = i64::try_from(scaled(&amount[..cut], 1_000_000_000)?).ok()?;
                continue;
            }
            let amount = amount.parse().ok()?;
            match (unit, is_time) {
                ('Y', false) => period.years = amount,
                ('M', false) => period.months = amount,
                ('W', false) => period.weeks = amount,
                ('D', false) => period.days = amount,
                ('H', _) => period.hours = amount,
                ('M', true) => period.minutes = amount,
                _ => return None,
            }
        }
        Some(period)
    }

    /// Nanoseconds, with a year of 365.2425 days and a month of a twelfth of that.
    pub(crate) fn nanoseconds(self) -> Option<i64> {
        const SECOND: i128 = 1_000_000_000;
        let days = i128::from(self.weeks) * 7 + i128::from(self.days);
        let seconds = i128::from(self.years) * 31_556_952
            + i128::from(self.months) * 2_629_746
            + days * 86_400
            + i128::from(self.hours) * 3_600
            + i128::from(self.minutes) * 60;
        let sum = seconds * SECOND + i128::from(self.nanos);
        i64::try_from(if self.is_negative { -sum } else { sum }).ok()
    }

    /// The moment this much later by the calendar, or earlier.
    pub(crate) fn after(self, at: &Zoned, is_subtracted: bool) -> Result<Zoned, String> {
        let span = Span::new()
            .try_years(self.years)
            .and_then(|span| span.try_months(self.months))
            .and_then(|span| span.try_weeks(self.weeks))
            .and_then(|span| span.try_days(self.days))
            .and_then(|span| span.try_hours(self.hours))
            .and_then(|span| span.try_minutes(self.minutes))
            .and_then(|span| span.try_nanoseconds(self.nanos));
        let span = span.map_err(|_| "the period is out of range".to_owned())?;
        let sum = if self.is_negative == is_subtracted { at.checked_add(span) } else { at.checked_sub(span) };
        sum.map_err(|_| "the timestamp is out of range".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("50us", Some(50_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5h", Some(-5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("1", None),
            ("1d", None),
            ("s", None),
            ("1..5s", None),
            ("9999999999h", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn periods_are_read() {
        let nanos = |text| Period::parse(text).and_then(Period::nanoseconds);
        assert_eq!(nanos("P3Y6M4DT12H30M5S"), Some(110_839_937_000_000_000));
        assert_eq!(nanos("PT2.59S"), Some(2_500_000_000));
        assert_eq!(nanos("-P1W"), Some(-604_800_000_000_000));
        for bad in ["", "P", "1D", "PX", "P1.5Y", "P1", "PT1Y"] {
            assert_eq!(Period::parse(bad), None, "{bad}");
        }
    }
}
