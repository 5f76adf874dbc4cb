//! What a run of chaos is to do.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};

pub(super) const HELP: &str = "\
cargo xtask chaos [options]

A rack with a durable wire between a sender and a receiver, each a process with a ledger of its own, is done harm under
load, and then what was accepted is held against what arrived. Each part below begins with an empty directory.

  --kills N           kill -9 the rack N times, one in ten of them while it recovers (default 20)
    --torn            after each kill, leave at the end of the newest segment what a torn write leaves: garbage, half a
                      record, a zeroed page, a segment that was being made
    --fault-proxy     a network that stalls, cuts, resets, stops in mid-frame, leaves connections half open, and is gone
                      for seconds: a proxy, and network namespaces of sender, rack and receiver. Needs root and `ip`;
                      without them it is on the loopback, and with FLUXRIG_PEERS=required that is an error
    --stop-after K    after K kills, stop the rack (SIGSTOP) for a while
    --stop-seconds N  for how long (default 60)
  --full-disk N       N times, fill the disk of the state directory by keeping the receiver still; kill the rack while it
                      is full; let it go on. The disk is a small tmpfs and needs root: without, this is left out, and
                      with FLUXRIG_PEERS=required that is an error
  --flip-bits N       N times, kill the rack and flip a bit of a record that was acknowledged and did not arrive: it must
                      be named, never delivered, and nothing else may be lost

  --json              one object: {\"kills\",\"accepted\",\"delivered\",\"duplicates\",\"dead_lettered\",\"lost\",..}. Records
                      whose bits were flipped, and that were reported, are under \"damaged\" and not under \"lost\"
  --seed N            chooses the moments (default: the clock)
  --dir DIR           where everything is kept (default target/chaos); emptied first

Exit status: 0 when nothing was lost that is not under \"damaged\", else 1.
";

/// See above.
pub(super) struct Options {
    pub(super) kills: u64,
    pub(super) full_disks: u64,
    pub(super) flips: u64,
    pub(super) is_json: bool,
    /// Chooses the moments.
    pub(super) seed: u64,
    /// A rack lives at most so long once something arrives by it.
    pub(super) longest_life: Duration,
    /// The kill after which the rack is stopped (SIGSTOP) for a while.
    pub(super) stops_at: Option<u64>,
    pub(super) stop_for: Duration,
    /// Whether connections pass a network that is no good.
    pub(super) has_bad_network: bool,
    /// Whether segments are torn after a kill.
    pub(super) are_files_torn: bool,
    /// Where everything is kept; emptied first.
    pub(super) directory: PathBuf,
}

impl Options {
    /// `None` when help is asked for.
    pub(super) fn parse(words: &[&str]) -> Result<Option<Options>> {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let mut options = Options {
            kills: 20,
            full_disks: 0,
            flips: 0,
            is_json: false,
            seed: since_1970.as_nanos() as u64,
            longest_life: Duration::from_millis(300),
            stops_at: None,
            stop_for: Duration::from_secs(60),
            has_bad_network: false,
            are_files_torn: false,
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
                "--full-disk" => options.full_disks = number()?,
                "--flip-bits" => options.flips = number()?,
                "--seed" => options.seed = number()?,
                "--stop-seconds" => options.stop_for = Duration::from_secs(number()?),
                "--stop-after" => options.stops_at = Some(number()?),
                "--fault-proxy" => options.has_bad_network = true,
                "--torn" => options.are_files_torn = true,
                "--json" => options.is_json = true,
                "--dir" => {
                    options.directory = words.next().context("`--dir` takes a directory")?.into();
                }
                "--help" | "-h" => return Ok(None),
                other => bail!("chaos knows no `{other}`: `cargo xtask chaos --help` says what it knows"),
            }
        }
        Ok(Some(options))
    }
}
