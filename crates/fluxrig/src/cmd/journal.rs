//! `fluxrig journal`: look into a journal, verify it, repair it.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use flux_journal::{CheckReport, FormatError, Keys, Moved, RepairReport, check, dump, repair};
use flux_world::World;
use serde_json::{Value, json};

use crate::{cmd::msg::to_hex, input, stdout};

/// A line for each key there ever was.
const KEY_FILE_BYTES_MAX: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Journal {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Subcommand)]
enum JournalCommand {
    /// Verify every record of a journal; changes nothing
    ///
    /// Every check of every record is made, segments must follow each other without a hole, and none may be missing at the
    /// begin or the end. A torn tail, which a crash
    /// leaves, is not a problem: nothing in it was acknowledged, and the next start cuts it. No key is needed. Exit code 0:
    /// clean; 1: there are problems; 2: there is no journal here.
    Check {
        /// The directory of the journal
        dir: PathBuf,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Move what is damaged aside, so that the rest is served again
    ///
    /// A damaged segment is kept as it is in DIR/damaged, and replaced by one with its whole records, byte for byte, and a
    /// note of how many are missing. Segments that are missing at the begin or the end are not asked for any more. The journal must not be in use. Try --dry-run first. Exit code 0: nothing is left to
    /// repair; 1: something could not be repaired, or a dry run found something to do.
    Repair {
        /// The directory of the journal
        dir: PathBuf,
        /// Say what would be done, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Show records, a line each; changes nothing
    ///
    /// A line has the sequence, the time (UTC), the length and the body in hexadecimal. Bodies are messages: keep the output
    /// away from logs. Where records are sealed, their lines need --key-file. Exit code 1: some could not be shown.
    Dump {
        /// The directory of the journal
        dir: PathBuf,
        /// First sequence to show
        #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
        from: u64,
        /// Records to show at most
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
        /// Key that opens sealed records: a file with `ID:64 hexadecimal digits` on each line
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// One JSON object a line on standard output
        #[arg(long)]
        json: bool,
    },
}

impl Journal {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let world = World::real();
        match self.command {
            JournalCommand::Check { dir, json } => {
                let report = check(&world, &dir)?;
                stdout::print(if json { check_json(&report) } else { check_text(&report) })?;
                Ok(exit_code(report.is_clean()))
            }
            JournalCommand::Repair { dir, dry_run, json } => {
                let report = repair(&world, &dir, dry_run)?;
                stdout::print(if json {
                    repair_json(&report, dry_run)
                } else {
                    repair_text(&report, dry_run)
                })?;
                let is_to_do = !report.moved.is_empty() || !report.given_up.is_empty();
                Ok(exit_code(report.left.is_empty() && !(is_to_do && dry_run)))
            }
            JournalCommand::Dump { dir, from, limit, key_file, json } => {
                let keys = match key_file {
                    Some(path) => read_keys(&world, &path)?,
                    None => Keys::none(),
                };
                let shown = dump(&world, &dir, &keys, from, limit)?;
                for record in &shown.records {
                    stdout::line(if json { record_json(record).to_string() } else { record_text(record) })?;
                }
                for problem in &shown.problems {
                    crate::terminal::say(&format!("{problem}\n"));
                }
                Ok(exit_code(shown.problems.is_empty()))
            }
        }
    }
}

fn exit_code(is_well: bool) -> ExitCode {
    ExitCode::from(u8::from(!is_well))
}

fn check_text(report: &CheckReport) -> String {
    let mut text = format!(
        "{} records ({} to {}) in {} segments, {} bytes\n",
        report.records,
        report.first,
        report.next.saturating_sub(1),
        report.segments,
        report.bytes
    );
    for (name, low) in &report.consumers {
        let _ = writeln!(text, "consumer {name}: settled up to {low}");
    }
    if report.records_gone > 0 {
        let _ = writeln!(text, "{} records were moved aside by a repair", report.records_gone);
    }
    if report.kept_aside > 0 {
        let _ = writeln!(text, "{} files that a repair replaced are kept in `damaged`", report.kept_aside);
    }
    if report.is_in_use {
        text.push_str("in use: what is being written may look torn\n");
    }
    if let Some((file, torn)) = &report.torn {
        let _ = writeln!(
            text,
            "{}: torn tail of {} bytes at offset {}, not acknowledged; the next start cuts it",
            file.display(),
            torn.bytes,
            torn.offset
        );
    }
    if let Some(behind) = report.clock_behind {
        let _ = writeln!(text, "problem: the clock is {:.1} s behind the last record", behind.as_secs_f64());
    }
    for problem in &report.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    if report.problems_more > 0 {
        let _ = writeln!(text, "and {} problems more", report.problems_more);
    }
    text.push_str(if report.is_clean() { "clean\n" } else { "not clean\n" });
    text
}

fn check_json(report: &CheckReport) -> String {
    let torn = report
        .torn
        .as_ref()
        .map(|(file, torn)| json!({"file": file, "offset": torn.offset, "bytes": torn.bytes}));
    let consumers: serde_json::Map<String, Value> =
        report.consumers.iter().map(|(name, low)| (name.clone(), json!(low))).collect();
    let value = json!({
        "clean": report.is_clean(),
        "records": report.records,
        "records_gone": report.records_gone,
        "kept_aside": report.kept_aside,
        "first": report.first,
        "next": report.next,
        "segments": report.segments,
        "bytes": report.bytes,
        "consumers": consumers,
        "in_use": report.is_in_use,
        "torn": torn,
        "clock_behind_ms": report.clock_behind.map(|behind| behind.as_millis() as u64),
        "problems": report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "problems_more": report.problems_more,
    });
    format!("{value}\n")
}

fn repair_text(report: &RepairReport, is_dry_run: bool) -> String {
    let mut text = String::new();
    let verb = if is_dry_run { "would be" } else { "is" };
    for Moved { file, kept_as, records, is_mended, is_replaced } in &report.moved {
        let (file, kept_as) = (file.display(), kept_as.display());
        let what = match (is_replaced, records) {
            (false, _) => "taken away: no segment can be read, and the journal begins anew".to_owned(),
            (true, None) => {
                "replaced by a gap: its header is lost, and with it how many records it held".to_owned()
            }
            (true, Some(0)) if *is_mended => {
                "replaced by one with its header mended: no record is lost".to_owned()
            }
            (true, Some(records)) => format!("replaced without {records} damaged records"),
        };
        let _ = writeln!(text, "{file} {verb} {what}; kept as {kept_as}");
    }
    for given_up in &report.given_up {
        let _ = writeln!(text, "{verb} given up: {given_up}");
    }
    for left in &report.left {
        let _ = writeln!(text, "not repaired: {left}");
    }
    if text.is_empty() {
        text.push_str("nothing to repair\n");
    }
    text
}

fn repair_json(report: &RepairReport, is_dry_run: bool) -> String {
    let moved: Vec<Value> = report
        .moved
        .iter()
        .map(|moved| {
            let Moved { file, kept_as, records, is_mended, is_replaced } = moved;
            json!({"file": file, "kept_as": kept_as, "records": records, "mended": is_mended, "replaced": is_replaced})
        })
        .collect();
    let told = |problems: &[FormatError]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (given_up, left) = (told(&report.given_up), told(&report.left));
    format!("{}\n", json!({"dry_run": is_dry_run, "moved": moved, "given_up": given_up, "left": left}))
}

fn record_text(record: &flux_journal::Record) -> String {
    format!("{} {} {} {}", record.sequence, utc(record.time_ns), record.body.len(), to_hex(&record.body))
}

fn record_json(record: &flux_journal::Record) -> Value {
    json!({"sequence": record.sequence, "time": utc(record.time_ns), "bytes": record.body.len(), "body": to_hex(&record.body)})
}

fn utc(time_ns: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(time_ns.into());
    time.map_or_else(|_| time_ns.to_string(), |time| time.to_string())
}

/// Keys from a file, which says nothing of them when it is wrong.
fn read_keys(world: &World, path: &std::path::Path) -> anyhow::Result<Keys> {
    let bytes = input::file(&world.disk, path, KEY_FILE_BYTES_MAX)?;
    let text =
        std::str::from_utf8(&bytes).with_context(|| format!("`{}` is not UTF-8 text", path.display()))?;
    text.parse().map_err(|why: flux_journal::KeyFileError| anyhow::anyhow!("{}: {why}", path.display()))
}
