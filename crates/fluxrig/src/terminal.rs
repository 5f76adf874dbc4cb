//! How the program speaks: logs, colour, and the last word when it fails.

use std::io::{IsTerminal, stderr};

use clap::{Args, ValueEnum};
use flux_scenario::settings::{Level, Logging};
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

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

/// Logs to standard error; results go to standard output. What the command line says wins over the settings. A panic
/// is logged by its place alone: its text may quote a payload.
pub(crate) fn init_logging(options: &LogOptions, settings: &Logging) {
    let level = match settings.least() {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let filter = EnvFilter::new(options.log_level.as_deref().unwrap_or(level));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_span_events(FmtSpan::NONE);
    match options.log_format {
        LogFormat::Text => lines.with_ansi(has_color()).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

/// Whether standard error is a terminal that wants colour (`NO_COLOR` is respected: no-color.org).
#[allow(clippy::disallowed_methods, reason = "a binary reads the environment")]
pub(crate) fn has_color() -> bool {
    stderr().is_terminal() && std::env::var("NO_COLOR").map_or(true, |value| value.is_empty())
}

/// Says why a command failed, with its causes.
#[allow(clippy::print_stderr, reason = "the last word of the program")]
pub(crate) fn complain(why: &anyhow::Error) {
    let (bold, plain) = if has_color() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{bold}error{plain}: {why:#}");
}

/// Says something to the person, beside the result.
#[allow(clippy::print_stderr, reason = "standard output is for results")]
pub(crate) fn say(text: &str) {
    eprint!("{text}");
}

/// The runtime for `threads` data threads; 0 chooses one (`docs/adr` says why).
pub(crate) fn runtime(threads: u16) -> std::io::Result<tokio::runtime::Runtime> {
    match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n.into()).enable_all().build(),
    }
}
