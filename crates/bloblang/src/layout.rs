//! Layouts of time: how the reference time, `Mon Jan 2 15:04:05 -0700 MST 2006`, would be written.

use std::fmt::Write;

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::moment::fixed;

/// A part of a layout that stands for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    ShortYear,
    Month,
    ShortMonth,
    /// A number, padded to so many columns with blanks or zeros.
    MonthNumber(Pad),
    Day(Pad),
    DayOfYear(Pad),
    Weekday,
    ShortWeekday,
    Hour,
    HalfDayHour(Pad),
    Minute(Pad),
    Second(Pad),
    /// Digits after a point or comma; `9` leaves zeros at the end out.
    Fraction {
        digits: usize,
        is_trimmed: bool,
        mark: char,
    },
    HalfDay {
        is_upper: bool,
    },
    ZoneName,
    Offset {
        has_z: bool,
        has_colons: bool,
        has_minutes: bool,
        has_seconds: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pad {
    None,
    Zero,
    Blank,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const fn offset(has_z: bool, has_colons: bool, has_minutes: bool, has_seconds: bool) -> Part {
    Part::Offset { has_z, has_colons, has_minutes, has_seconds }
}

/// How each part is written; of two that fit, the earlier one is meant.
const PARTS: &[(&str, Part)] = &[
    ("January", Part::Month),
    ("Jan", Part::ShortMonth),
    ("Monday", Part::Weekday),
    ("Mon", Part::ShortWeekday),
    ("MST", Part::ZoneName),
    ("002", Part::DayOfYear(Pad::Zero)),
    ("01", Part::MonthNumber(Pad::Zero)),
    ("02", Part::Day(Pad::Zero)),
    ("03", Part::HalfDayHour(Pad::Zero)),
    ("04", Part::Minute(Pad::Zero)),
    ("05", Part::Second(Pad::Zero)),
    ("06", Part::ShortYear),
    ("15", Part::Hour),
    ("1", Part::MonthNumber(Pad::None)),
    ("2006", Part::Year),
    ("2", Part::Day(Pad::None)),
    ("__2", Part::DayOfYear(Pad::Blank)),
    ("_2", Part::Day(Pad::Blank)),
    ("3", Part::HalfDayHour(Pad::None)),
    ("4", Part::Minute(Pad::None)),
    ("5", Part::Second(Pad::None)),
    ("PM", Part::HalfDay { is_upper: true }),
    ("pm", Part::HalfDay { is_upper: false }),
    ("-07:00:00", offset(false, true, true, true)),
    ("-070000", offset(false, false, true, true)),
    ("-07:00", offset(false, true, true, false)),
    ("-0700", offset(false, false, true, false)),
    ("-07", offset(false, false, false, false)),
    ("Z07:00:00", offset(true, true, true, true)),
    ("Z070000", offset(true, false, true, true)),
    ("Z07:00", offset(true, true, true, false)),
    ("Z0700", offset(true, false, true, false)),
    ("Z07", offset(true, false, false, false)),
];

/// The text before the next part of a layout, the part, and what follows it.
fn next(layout: &str) -> (&str, Option<Part>, &str) {
    for (at, c) in layout.char_indices() {
        let rest = &layout[at..];
        // `_2006` is an underscore and a year, and a month is no beginning of a word in lower case.
        let is_word = rest.starts_with("Jan") && !rest.starts_with("January") && followed_by_lower(rest, 3)
            || rest.starts_with("Mon") && !rest.starts_with("Monday") && followed_by_lower(rest, 3);
        if is_word || rest.starts_with("_2006") {
            continue;
        }
        if let Some((text, part)) = PARTS.iter().find(|(text, _)| rest.starts_with(text)) {
            return (&layout[..at], Some(*part), &rest[text.len()..]);
        }
        if matches!(c, '.' | ',')
            && let Some(digit) = rest[1..].chars().next().filter(|c| matches!(c, '0' | '9'))
        {
            let digits = rest[1..].chars().take_while(|c| *c == digit).count();
            let after = &rest[1 + digits..];
            if !after.starts_with(|c: char| c.is_ascii_digit()) {
                let part = Part::Fraction { digits: digits.min(9), is_trimmed: digit == '9', mark: c };
                return (&layout[..at], Some(part), after);
            }
        }
    }
    (layout, None, "")
}

fn followed_by_lower(text: &str, at: usize) -> bool {
    text[at..].starts_with(|c: char| c.is_ascii_lowercase())
}

/// Writes a moment the way a layout shows.
pub(crate) fn format(at: &Zoned, mut layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 10);
    loop {
        let (before, part, rest) = next(layout);
        out.push_str(before);
        let Some(part) = part else { return out };
        write_part(&mut out, at, part).expect("a string takes everything");
        layout = rest;
    }
}

fn write_part(out: &mut String, at: &Zoned, part: Part) -> std::fmt::Result {
    let mut number = |n: i64, pad, width: usize| match pad {
        Pad::None => write!(out, "{n}"),
        Pad::Zero => write!(out, "{n:0width$}"),
        Pad::Blank => write!(out, "{n:width$}"),
    };
    let month = MONTHS[usize::from(at.month().unsigned_abs()) - 1];
    let weekday = WEEKDAYS[usize::from(at.weekday().to_monday_zero_offset().unsigned_abs())];
    let half = match at.hour() % 12 {
        0 => 12,
        hour => i64::from(hour),
    };
    match part {
        Part::Year => number(at.year().into(), Pad::Zero, 4),
        Part::ShortYear => number(i64::from(at.year()).rem_euclid(100), Pad::Zero, 2),
        Part::MonthNumber(pad) => number(at.month().into(), pad, 2),
        Part::Day(pad) => number(at.day().into(), pad, 2),
        Part::DayOfYear(pad) => number(at.day_of_year().into(), pad, 3),
        Part::Hour => number(at.hour().into(), Pad::Zero, 2),
        Part::HalfDayHour(pad) => number(half, pad, 2),
        Part::Minute(pad) => number(at.minute().into(), pad, 2),
        Part::Second(pad) => number(at.second().into(), pad, 2),
        Part::Month => out.write_str(month),
        Part::ShortMonth => out.write_str(&month[..3]),
        Part::Weekday => out.write_str(weekday),
        Part::ShortWeekday => out.write_str(&weekday[..3]),
        Part::HalfDay { is_upper } => out.write_str(match (at.hour() >= 12, is_upper) {
            (true, true) => "PM",
            (true, false) => "pm",
            (false, true) => "AM",
            (false, false) => "am",
        }),
        Part::Fraction { digits, is_trimmed, mark } => {
            let all = format!("{:09}", at.subsec_nanosecond());
            let shown = &all[..digits];
            let shown = if is_trimmed { shown.trim_end_matches('0') } else { shown };
            if shown.is_empty() { Ok(()) } else { write!(out, "{mark}{shown}") }
        }
        Part::ZoneName => write!(out, "{}", at.strftime("%Z")),
        Part::Offset { has_z, has_colons, has_minutes, has_seconds } => {
            let seconds = at.offset().seconds();
            if has_z && seconds == 0 {
                return out.write_char('Z');
            }
            let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
            let colon = if has_colons { ":" } else { "" };
            write!(out, "{sign}{:02}", seconds / 3600)?;
            if has_minutes {
                write!(out, "{colon}{:02}", seconds / 60 % 60)?;
            }
            if has_seconds {
                write!(out, "{colon}{:02}", seconds % 60)?;
            }
            Ok(())
        }
    }
}

/// What was read so far.
struct Read<'t> {
    rest: &'t str,
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    is_afternoon: Option<bool>,
    zone: TimeZone,
}

/// Reads a moment that is written the way a layout shows. What the layout does not show is that of 1 January, midnight.
pub(crate) fn parse(text: &str, mut layout: &str) -> Result<Zoned, String> {
    let mut read = Read {
        rest: text,
        year: 0,
        month: None,
        day: None,
        day_of_year: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        is_afternoon: None,
        zone: TimeZone::UTC,
    };
    loop {
        let (before, part, rest) = next(layout);
        for word in before.split_inclusive(' ') {
            // Any number of blanks may stand where the layout has one.
            let blank = word.ends_with(' ');
            let word = word.trim_end_matches(' ');
            read.rest = read.rest.strip_prefix(word).ok_or_else(|| format!("expected `{word}`"))?;
            if blank {
                read.rest = read.rest.trim_start_matches(' ');
            }
        }
        let Some(part) = part else { break };
        let shows_fraction = matches!(next(rest), ("", Some(Part::Fraction { .. }), _));
        read.part(part, shows_fraction)?;
        layout = rest;
    }
    if !read.rest.is_empty() {
        return Err("text follows the time".into());
    }
    read.finish()
}

impl<'t> Read<'t> {
    fn digits(&mut self, least: usize, most: usize, what: &str) -> Result<i32, String> {
        let found = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if found < least {
            return Err(format!("expected the {what}"));
        }
        let (digits, rest) = self.rest.split_at(found);
        self.rest = rest;
        digits.parse().map_err(|_| format!("expected the {what}"))
    }

    fn padded(&mut self, pad: Pad, width: usize, what: &str) -> Result<i32, String> {
        if pad == Pad::Blank {
            self.rest = self.rest.trim_start_matches(' ');
        }
        self.digits(if pad == Pad::Zero { width } else { 1 }, width, what)
    }

    /// The place of a name in a list, its first three letters or all of it.
    fn name(&mut self, names: &[&str], is_short: bool, what: &str) -> Result<usize, String> {
        for (n, name) in names.iter().enumerate() {
            let name = if is_short { &name[..3] } else { name };
            if let Some(start) = self.rest.get(..name.len())
                && start.eq_ignore_ascii_case(name)
            {
                self.rest = &self.rest[name.len()..];
                return Ok(n);
            }
        }
        Err(format!("expected the {what}"))
    }

    fn part(&mut self, part: Part, shows_fraction: bool) -> Result<(), String> {
        match part {
            Part::Year => self.year = self.digits(4, 4, "year")? as i16,
            Part::ShortYear => {
                let year = self.digits(2, 2, "year")? as i16;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Part::Month => self.month = Some(self.name(&MONTHS, false, "month")? as i8 + 1),
            Part::ShortMonth => self.month = Some(self.name(&MONTHS, true, "month")? as i8 + 1),
            Part::MonthNumber(pad) => self.month = Some(self.padded(pad, 2, "month")? as i8),
            Part::Day(pad) => self.day = Some(self.padded(pad, 2, "day")? as i8),
            Part::DayOfYear(pad) => self.day_of_year = Some(self.padded(pad, 3, "day of the year")? as i16),
            Part::Weekday => drop(self.name(&WEEKDAYS, false, "weekday")?),
            Part::ShortWeekday => drop(self.name(&WEEKDAYS, true, "weekday")?),
            Part::Hour => self.hour = self.digits(2, 2, "hour")? as i8,
            Part::HalfDayHour(pad) => self.hour = self.padded(pad, 2, "hour")? as i8,
            Part::Minute(pad) => self.minute = self.padded(pad, 2, "minute")? as i8,
            Part::Second(pad) => {
                self.second = self.padded(pad, 2, "second")? as i8;
                if !shows_fraction {
                    self.fraction();
                }
            }
            Part::Fraction { digits, is_trimmed, mark } => {
                let has_digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
                if self.rest.strip_prefix(mark).is_some_and(has_digit) {
                    self.fraction();
                } else if !is_trimmed {
                    return Err(format!("expected `{mark}` and {digits} digits"));
                }
            }
            Part::HalfDay { .. } => {
                let is_afternoon = self.rest.get(..2).map(str::to_ascii_uppercase);
                self.is_afternoon = match is_afternoon.as_deref() {
                    Some("PM") => Some(true),
                    Some("AM") => Some(false),
                    _ => return Err("expected AM or PM".into()),
                };
                self.rest = &self.rest[2..];
            }
            Part::ZoneName => {
                let length = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
                if !(3..=5).contains(&length) {
                    return Err("expected the name of a time zone".into());
                }
                // A name alone says no offset: only that of UTC is known.
                self.rest = &self.rest[length..];
            }
            Part::Offset { has_z, has_colons, has_minutes, has_seconds } => {
                self.offset(has_z, has_colons, has_minutes, has_seconds)?;
            }
        }
        Ok(())
    }

    /// Steps over a fraction of a second, if one is next.
    fn fraction(&mut self) {
        let Some(rest) = self.rest.strip_prefix(['.', ',']) else { return };
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        if digits.is_empty() {
            return;
        }
        self.rest = &rest[digits.len()..];
        self.nanos = format!("{:0<9}", &digits[..digits.len().min(9)]).parse().unwrap_or(0);
    }

    fn offset(
        &mut self,
        has_z: bool,
        has_colons: bool,
        has_minutes: bool,
        has_seconds: bool,
    ) -> Result<(), String> {
        if has_z && let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(());
        }
        let sign = match self.rest.chars().next() {
            Some('+') => 1,
            Some('-') => -1,
            _ => return Err("expected the offset from UTC".into()),
        };
        self.rest = &self.rest[1..];
        let mut seconds = self.digits(2, 2, "offset from UTC")? * 3600;
        for (is_shown, unit) in [(has_minutes, 60), (has_seconds, 1)] {
            if is_shown {
                if has_colons {
                    self.rest = self.rest.strip_prefix(':').ok_or("expected `:` in the offset")?;
                }
                seconds += self.digits(2, 2, "offset from UTC")? * unit;
            }
        }
        let offset = Offset::from_seconds(sign * seconds).map_err(|_| "the offset is out of range")?;
        self.zone = fixed(offset);
        Ok(())
    }

    fn finish(self) -> Result<Zoned, String> {
        let hour = match self.is_afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let out_of_range = |_| "a part of it is out of range".to_owned();
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let mut civil = DateTime::new(self.year, month, day, hour, self.minute, self.second, self.nanos)
            .map_err(out_of_range)?;
        if let Some(day) = self.day_of_year {
            civil = civil.with().day_of_year(day).build().map_err(out_of_range)?;
        }
        civil.to_zoned(self.zone).map_err(out_of_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Zoned {
        "2009-11-05T03:04:05.006-07:00[-07:00]".parse().unwrap()
    }

    #[test]
    fn moments_are_written() {
        for (layout, expected) in [
            ("Mon Jan 2 15:04:05 -0700 MST 2006", "Thu Nov 5 03:04:05 -0700 -07 2009"),
            ("Monday, January _2 06 3:4:5PM", "Thursday, November  5 09 3:4:5AM"),
            ("2006-01-02T15:04:05.000Z07:00", "2009-11-05T03:04:05.006-07:00"),
            ("2006-01-02T15:04:05.999999999Z07", "2009-11-05T03:04:05.006-07"),
            ("002 __2 _2006 Janus .05", "309 309 _2009 Janus .05"),
            ("05,000 05.000x", "05,006 05.006x"),
        ] {
            assert_eq!(format(&at(), layout), expected, "{layout}");
        }
    }

    #[test]
    fn moments_are_read() {
        for (text, layout, expected) in [
            ("2020-Aug-14", "2006-Jan-02", "2020-08-14T00:00:00Z"),
            ("Thursday, november  5 09 3:4:5pm", "Monday, January _2 06 3:4:5PM", "2009-11-05T15:04:05Z"),
            ("2009-11-05T03:04:05.5+02:00", "2006-01-02T15:04:05Z07:00", "2009-11-05T03:04:05.5+02:00"),
            ("12:30 AM 309 2009 UTC", "03:04 PM 002 2006 MST", "2009-11-05T00:30:00Z"),
        ] {
            let read = parse(text, layout).map(|at| format(&at, crate::moment::RFC3339));
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
        for (text, layout) in [
            ("2020-13-01", "2006-01-02"),
            ("2020-02-30", "2006-01-02"),
            ("2020-2-1", "2006-01-02"),
            ("2020-02-01x", "2006-01-02"),
            ("é", "PM"),
            ("25:00", "15:04"),
            ("+99:99", "-07:00"),
        ] {
            assert!(parse(text, layout).is_err(), "{text}");
        }
    }
}
