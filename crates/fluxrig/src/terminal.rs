//! How the program speaks: logs, colour, and the last word when it fails.

use std::{
    fs::File,
    io::{IsTerminal, Write, stderr},
    os::fd::AsFd,
    sync::OnceLock,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use flux_identity::LogLevel;
use flux_scenario::settings::{Level, Logging};
use flux_world::World;
use jiff::Timestamp;
use serde_json::json;
use tracing_subscriber::{EnvFilter, reload::Handle};

use crate::log_thread::LogThread;

/// What is logged, and how.
#[derive(Args)]
pub(crate) struct LogOptions {
    /// Least severe level that is logged: error, warn, info, debug, trace (or a filter such as `flux_pool=debug`);
    /// `info` or, for `run`, what the settings say
    #[arg(long, global = true, env = "FLUXRIG_LOG", value_name = "LEVEL", value_parser = filter_text)]
    log_level: Option<String>,
    /// Form of the log lines on standard error
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// One line for people
    Text,
    /// One JSON object a line
    Json,
}

fn filter_text(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|why| why.to_string())
}

/// Logs to standard error until what is returned is dropped; results go to standard output. What the command line says
/// wins over the settings. A panic is logged by its place alone: its text may quote a payload.
pub(crate) fn init_logging(options: &LogOptions, settings: &Logging) -> anyhow::Result<LogThread> {
    let level = match settings.least() {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    // What the client of the bus says of each connection, its user says better.
    let own = options.log_level.clone().unwrap_or_else(|| format!("{level},async_nats=off"));
    let filter = EnvFilter::new(&own);
    // A descriptor of its own: the lock of standard error is not held while a line waits for its reader.
    let sink = stderr().as_fd().try_clone_to_owned().context("cannot log to standard error")?;
    let format = options.log_format;
    let thread = LogThread::start(File::from(sink), move |lines| dropped_notice(format, lines))?;
    let writer = thread.lines();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        .log_internal_errors(false);
    match options.log_format {
        LogFormat::Text => {
            let lines = lines.with_ansi(has_color()).with_target(false).with_filter_reloading();
            keep_filter(lines.reload_handle(), own);
            lines.init();
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            keep_filter(lines.reload_handle(), own);
            lines.init();
        }
    }
    log_panics_by_place();
    Ok(thread)
}

/// Has panics logged without what they say: a gear's may quote a payload.
pub(crate) fn log_panics_by_place() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

/// Sets what is logged: a level, or none for what was said at the start.
type SetFilter = Box<dyn Fn(Option<LogLevel>) + Send + Sync>;

/// There is one log in a process.
static FILTER: OnceLock<SetFilter> = OnceLock::new();

fn keep_filter<S: 'static>(handle: Handle<EnvFilter, S>, own: String) {
    let set = move |level: Option<LogLevel>| {
        let filter = EnvFilter::new(level.map_or_else(|| own.clone(), |level| level.word().to_owned()));
        // Its subscriber lives as long as the process.
        let _ = handle.reload(filter);
    };
    // The first is the one that logs.
    let _ = FILTER.set(Box::new(set));
}

/// Logs from this level on, or as was said at the start.
pub(crate) fn set_log_level(level: Option<LogLevel>) {
    if let Some(set) = FILTER.get() {
        set(level);
    }
}

/// A line that says how many lines before it are missing, in the form of the others.
fn dropped_notice(format: LogFormat, lines: u64) -> String {
    let now = Timestamp::from_nanosecond(World::real().clock.unix_ns().into()).unwrap_or_default();
    let message = format!("{lines} log lines were dropped");
    match format {
        LogFormat::Text => format!("{now:.6}  WARN {message}\n"),
        LogFormat::Json => {
            format!("{}\n", json!({ "timestamp": format!("{now:.6}"), "level": "WARN", "message": message }))
        }
    }
}

/// Whether standard error is a terminal that wants colour (`NO_COLOR` is respected: no-color.org).
#[allow(clippy::disallowed_methods, reason = "a binary reads the environment")]
pub(crate) fn has_color() -> bool {
    stderr().is_terminal() && std::env::var("NO_COLOR").map_or(true, |value| value.is_empty())
}

/// Says why a command failed, with its causes.
pub(crate) fn complain(why: &anyhow::Error) {
    let (bold, plain) = if has_color() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    say(&format!("{bold}error{plain}: {why:#}\n"));
}

/// Says something to the person, beside the result. Where standard error cannot be written, nobody can be told so.
pub(crate) fn say(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// The runtime for `threads` data threads; 0 chooses one (`docs/adr` says why).
pub(crate) fn runtime(threads: u16) -> std::io::Result<tokio::runtime::Runtime> {
    match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n.into()).enable_all().build(),
    }
}
