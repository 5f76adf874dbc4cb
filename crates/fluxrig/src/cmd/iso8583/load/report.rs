//! What came of a load: for scripts, for people, and while it runs.

use std::fmt;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{
    driver::Outcome,
    mix::Mix,
    tally::{Moment, Outcomes, Tally},
};

/// One line below the head.
const TABLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The result of a load, as it is written for scripts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Answers a second, from the end of the warm-up to the last answer.
    pub(crate) tps: f64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    pub(crate) mean_us: f64,
    pub(crate) answered: u64,
    #[serde(flatten)]
    pub(crate) outcomes: Outcomes,
    pub(crate) unexpected: u64,
    pub(crate) cross_wired: u64,
    pub(crate) malformed: u64,
    pub(crate) disconnects: u64,
    /// By the beginning of the account number.
    pub(crate) shares: Vec<Share>,
    pub(crate) seconds: f64,
    pub(crate) connections: u16,
    pub(crate) pipeline: u16,
    pub(crate) rate: u32,
}

/// One share of the mix.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Share {
    pub(crate) prefix: String,
    #[serde(flatten)]
    pub(crate) outcomes: Outcomes,
}

impl Report {
    pub(crate) fn new(outcome: &Outcome, mix: &Mix, connections: u16, pipeline: u16, rate: u32) -> Report {
        let Outcome { tally, measured, .. } = outcome;
        let total = tally.total();
        let seconds = measured.as_secs_f64();
        let at = |quantile| tally.latency.value_at_quantile(quantile);
        let shares = mix.prefixes().zip(&tally.shares);
        Report {
            tps: if seconds > 0.0 { round(total.answered() as f64 / seconds) } else { 0.0 },
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: tally.latency.max(),
            mean_us: round(tally.latency.mean()),
            answered: total.answered(),
            outcomes: total,
            unexpected: tally.unexpected,
            cross_wired: tally.cross_wired,
            malformed: tally.malformed,
            disconnects: tally.disconnects,
            shares: shares
                .map(|(prefix, outcomes)| Share { prefix: prefix.into(), outcomes: *outcomes })
                .collect(),
            seconds: round(seconds),
            connections,
            pipeline,
            rate,
        }
    }

    /// Whether every request was answered as it should be.
    pub(crate) fn is_good(&self, accepts_declines: bool) -> bool {
        let Outcomes { declined, timed_out, lost, .. } = self.outcomes;
        let faults = [timed_out, lost, self.unexpected, self.cross_wired, self.malformed];
        self.answered > 0 && faults.iter().all(|count| *count == 0) && (accepts_declines || declined == 0)
    }

    /// The report with the load of every half second.
    pub(crate) fn with_moments(&self, outcome: &Outcome) -> Json {
        let mut report = json!(self);
        report["moments"] = json!(outcome.moments);
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { connections, pipeline, seconds, answered, .. } = self;
        let Outcomes { approved, declined, timed_out, lost } = self.outcomes;
        let pace = match self.rate {
            0 => "as fast as answers come".to_owned(),
            rate => format!("{} a second", grouped(rate.into())),
        };
        writeln!(f, "{connections} connections, {pipeline} requests each in flight, {pace}, {seconds:.1} s")?;
        writeln!(f, "{} transactions a second", grouped(self.tps as u64))?;
        let [answered, approved, declined] = [*answered, approved, declined].map(grouped);
        writeln!(f, "answered {answered}: approved {approved}, declined {declined}")?;
        write!(f, "timed out {timed_out}, lost {lost}, unexpected {}, ", self.unexpected)?;
        writeln!(f, "cross-wired {}, malformed {}", self.cross_wired, self.malformed)?;
        let Report { p50_us, p90_us, p99_us, p999_us, max_us, .. } = self;
        let [p50, p90, p99, p999, max] = [p50_us, p90_us, p99_us, p999_us, max_us].map(|us| latency(*us));
        writeln!(f, "latency p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}

/// The load of the moment, and what it came to so far.
pub(crate) fn moment_table(tally: &Tally, moment: &Moment, labels: &[String]) -> String {
    let [p50, p99] = [moment.p50_us, moment.p99_us].map(latency);
    let head =
        format!("{:6.1} s  {:>9} TPS  p50 {p50}  p99 {p99}", moment.seconds, grouped(moment.tps as u64));
    format!("{head}  cross-wired {}\n{}", tally.cross_wired, table(tally, labels))
}

/// What became of the requests, by share of the mix; each share has a label.
pub(crate) fn table(tally: &Tally, labels: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(TABLE);
    table.set_header(["accounts", "approved", "declined", "timed out", "lost"]);
    let row = |name: &str, outcomes: &Outcomes| {
        let Outcomes { approved, declined, timed_out, lost } = *outcomes;
        let [approved, declined, timed_out, lost] = [approved, declined, timed_out, lost].map(grouped);
        [name.to_owned(), approved, declined, timed_out, lost]
    };
    for (label, outcomes) in labels.iter().zip(&tally.shares) {
        table.add_row(row(label, outcomes));
    }
    table.add_row(row("all", &tally.total()));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

/// Microseconds, in the unit that suits them.
pub(crate) fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// A number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two digits after the point are enough.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_people() {
        let shown: Vec<String> = [0, 999, 1_000, 1_234_567].map(grouped).into();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        let shown: Vec<String> = [7, 1_234, 12_345, 2_500_000].map(latency).into();
        assert_eq!(shown, ["7 µs", "1.23 ms", "12.3 ms", "2.50 s"]);
    }
}
