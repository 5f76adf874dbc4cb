//! Which dead letters are meant, as the command line says it.

use anyhow::{Context, ensure};
use clap::Args;
use flux_rack::Filter;
use flux_scenario::units::Duration;
use flux_signal::FluxId;
use flux_world::World;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::control::RackOptions;

/// Which letters: those that all of it holds for.
#[derive(Args)]
pub(super) struct Chosen {
    #[command(flatten)]
    pub(super) rack: RackOptions,
    /// Of this gear
    #[arg(long)]
    gear: Option<String>,
    /// For this reason, in one word
    #[arg(long)]
    reason: Option<String>,
    /// At this port of the gear
    #[arg(long)]
    port: Option<String>,
    /// Given up at this time (`2026-01-31T12:00:00Z`, or `2026-01-31` in UTC) or later, or not longer ago than this (`2h`)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Given up before this time, or longer ago than this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of the message with this id; may be given more than once
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
}

impl Chosen {
    pub(super) fn filter(&self) -> anyhow::Result<Filter> {
        for id in &self.id {
            ensure!(
                id.parse::<FluxId>().is_ok(),
                "`{id}` is not an id: it has 32 hexadecimal digits, not all of them 0"
            );
        }
        let now_ns = World::real().clock.unix_ns();
        let time = |text: &Option<String>| text.as_deref().map(|text| unix_ns(text, now_ns)).transpose();
        Ok(Filter {
            gear: self.gear.clone(),
            port: self.port.clone(),
            reason: self.reason.clone(),
            since_unix_ns: time(&self.since)?,
            until_unix_ns: time(&self.until)?,
            ids: self.id.clone(),
        })
    }
}

/// A time, or how long it is ago.
fn unix_ns(text: &str, now_ns: i64) -> anyhow::Result<i64> {
    if let Ok(ago) = text.parse::<Duration>() {
        let ago_ns = i64::try_from(ago.0.as_nanos()).unwrap_or(i64::MAX);
        return Ok(now_ns.saturating_sub(ago_ns));
    }
    let time = text.parse().ok().or_else(|| midnight(text)).with_context(|| {
        format!(
            "`{text}` is neither a time like 2026-01-31T12:00:00Z, nor a day like 2026-01-31 (its begin, UTC), nor a span \
             like 2h"
        )
    })?;
    i64::try_from(Timestamp::as_nanosecond(time)).with_context(|| format!("`{text}` is too far away"))
}

/// The begin of a day.
fn midnight(text: &str) -> Option<Timestamp> {
    // A time of day without a zone would be taken for its day.
    let day: Date = (text.len() == "2026-01-31".len()).then(|| text.parse().ok())??;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_or_a_while_ago() {
        let now = 1_000_000_000_000;
        assert_eq!(unix_ns("100s", now).unwrap(), 900_000_000_000);
        assert_eq!(unix_ns("1970-01-01T00:00:01Z", now).unwrap(), 1_000_000_000);
        assert_eq!(unix_ns("1970-01-02", now).unwrap(), 86_400_000_000_000);
        for no_time in ["1970-01-02T00:00:01", "1970-01-32", "1970-1-2"] {
            let why = format!("{:#}", unix_ns(no_time, now).unwrap_err());
            assert!(why.ends_with("nor a span like 2h"), "{why}");
        }
        assert!(unix_ns("yesterday", now).unwrap_err().to_string().contains("neither a time"));
    }
}
