//! What the operating system lets this process have, and how much of it is taken. Linux tells by files; elsewhere nothing
//! is known, and the calls fail.

use std::fs;
use std::io;

/// How much of something is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What is taken.
    pub used: u64,
    /// What there is.
    pub max: u64,
}

impl Usage {
    /// The share that is left, in percent, rounded down.
    pub fn left_percent(&self) -> u64 {
        let left = self.max.saturating_sub(self.used);
        u64::try_from(u128::from(left) * 100 / u128::from(self.max.max(1))).unwrap_or(100)
    }
}

/// File descriptors, which connections, files and sockets need. An error of kind `EMFILE` says that none is left.
pub fn descriptors() -> io::Result<Usage> {
    let used = fs::read_dir("/proc/self/fd")?.count().saturating_sub(1) as u64;
    let max = limit(&fs::read_to_string("/proc/self/limits")?, "Max open files").unwrap_or(u64::MAX);
    Ok(Usage { used, max })
}

/// Memory in bytes, by whichever bound is nearest: that of the machine, of our control group (version 2), or of our
/// address space.
pub fn memory() -> io::Result<Usage> {
    let machine = machine(&fs::read_to_string("/proc/meminfo")?);
    let limits = fs::read_to_string("/proc/self/limits")?;
    let address_space = limit(&limits, "Max address space").and_then(|max| {
        let pages = fs::read_to_string("/proc/self/statm").ok()?;
        Some(Usage { used: pages.split(' ').next()?.parse::<u64>().ok()? * PAGE_BYTES, max })
    });
    let bounds = [machine, address_space, control_group()].into_iter().flatten();
    let nearest = bounds.min_by_key(Usage::left_percent);
    nearest.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo names no total"))
}

/// The unit of `/proc/self/statm`.
const PAGE_BYTES: u64 = 4096;

/// The soft limit of that name; `None` when it is not limited.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn machine(meminfo: &str) -> Option<Usage> {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    let max = bytes("MemTotal:")?;
    Some(Usage { used: max.saturating_sub(bytes("MemAvailable:")?), max })
}

fn control_group() -> Option<Usage> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let number =
        |file: &str| fs::read_to_string(format!("/sys/fs/cgroup{group}/{file}")).ok()?.trim().parse().ok();
    Some(Usage { used: number("memory.current")?, max: number("memory.max")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_linux_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(limit(limits, "Max open files"), Some(1024));
        assert_eq!(limit(limits, "Max address space"), None);
        assert_eq!(limit(limits, "Max of anything"), None);
        let meminfo = "MemTotal:       2000 kB\nMemFree:  10 kB\nMemAvailable:    500 kB\n";
        let usage = machine(meminfo).unwrap();
        assert_eq!((usage, usage.left_percent()), (Usage { used: 1_536_000, max: 2_048_000 }, 25));
        assert_eq!(machine("MemFree: 1 kB"), None);
        assert_eq!(Usage { used: 5, max: 0 }.left_percent(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_some_of_each() {
        let before = descriptors().unwrap();
        let _file = fs::File::open("/proc/self/stat").unwrap();
        let with_one_more = descriptors().unwrap();
        assert!(with_one_more.used > 0 && with_one_more.max == before.max);
        assert!(memory().unwrap().left_percent() <= 100);
    }
}
