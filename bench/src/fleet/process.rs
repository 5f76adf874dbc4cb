//! What a process has used, as the system says.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Ticks of a second, which Linux shows everybody the same.
const TICKS_PER_S: u64 = 100;

/// So far, and now.
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) rss_bytes: u64,
}

impl Usage {
    pub(super) fn of(pid: u32) -> Result<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program, in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().context("no name")?.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let rss_bytes = rss.trim().trim_end_matches(" kB").parse::<u64>()? << 10;
        Ok(Usage { cpu: Duration::from_millis(ticks * 1_000 / TICKS_PER_S), rss_bytes })
    }
}

/// The one child of a process.
pub(super) fn child_of(pid: u32) -> Result<u32> {
    let mut children = String::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        children += &fs::read_to_string(task?.path().join("children"))?;
    }
    let child = children.split_whitespace().next().context("the Mixer has no server")?;
    Ok(child.parse()?)
}
