//! What a run of chaos is to do.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};

/// See above.
pub(super) struct Options {
    pub(super) kills: u64,
    pub(super) is_json: bool,
    /// Chooses the moments.
    pub(super) seed: u64,
    /// A rack lives at most so long once something arrives by it.
    pub(super) longest_life: Duration,
    /// The kill after which the rack is stopped (SIGSTOP) for a while.
    pub(super) stops_at: Option<u64>,
    pub(super) stop_for: Duration,
    /// Whether connections pass a proxy that delays and cuts them.
    pub(super) has_bad_network: bool,
    /// Where everything is kept; emptied first.
    pub(super) directory: PathBuf,
}

impl Options {
    pub(super) fn parse(words: &[&str]) -> Result<Options> {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let mut options = Options {
            kills: 20,
            is_json: false,
            seed: since_1970.as_nanos() as u64,
            longest_life: Duration::from_millis(300),
            stops_at: None,
            stop_for: Duration::from_secs(60),
            has_bad_network: false,
            directory: crate::shell::root().join("target").join("chaos"),
        };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut number = || -> Result<u64> {
                let value = words.next().with_context(|| format!("`{word}` takes a number"))?;
                value.parse().with_context(|| format!("`{word} {value}`"))
            };
            match word {
                "--kills" => options.kills = number()?,
                "--seed" => options.seed = number()?,
                "--stop-seconds" => options.stop_for = Duration::from_secs(number()?),
                "--stop-after" => options.stops_at = Some(number()?),
                "--fault-proxy" => options.has_bad_network = true,
                "--json" => options.is_json = true,
                "--dir" => {
                    options.directory = words.next().context("`--dir` takes a directory")?.into();
                }
                other => bail!("chaos knows no `{other}`: {USAGE}"),
            }
        }
        Ok(options)
    }
}

const USAGE: &str = "--kills N, --json, --seed N, --dir DIR, --fault-proxy (delays and cuts), --stop-after KILLS and \
                     --stop-seconds N (SIGSTOP in between)";
