//! What can go wrong on the simulated disk, on command.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::disk::SimDisk;

/// How long each call to a simulated disk takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskLatency {
    /// A read, whatever its size.
    pub read: Duration,
    /// A write, whatever its size.
    pub write: Duration,
    /// Putting it on disk.
    pub sync: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) latency: DiskLatency,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) is_lying: bool,
    /// Changes that still succeed before the machine is down.
    changes_left: Option<u64>,
    sync_failures: u32,
    changes: u64,
}

impl Faults {
    pub(super) fn next_change(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => return Err(io::Error::other("the machine is down")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.changes += 1;
        Ok(())
    }

    pub(super) fn next_sync(&mut self) -> io::Result<()> {
        self.next_change()?;
        if self.sync_failures > 0 {
            self.sync_failures -= 1;
            return Err(io::Error::other("the disk could not write a page"));
        }
        Ok(())
    }

    /// Bytes that may still be taken when `used` are.
    pub(super) fn room(&self, used: u64) -> u64 {
        self.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(used))
    }

    /// What a fresh start forgets: the machine is up again.
    pub(super) fn restart(&mut self) {
        self.changes_left = None;
        self.sync_failures = 0;
    }
}

impl SimDisk {
    /// Stops the machine and starts it again. On disk is what was synced, and of the rest as much as the seed says: sectors
    /// torn or lost in any order, names up to some point. Files and locks held from before are void.
    pub fn crash(&self) {
        self.state.lock().crash();
    }

    /// Ends the program that uses the disk, as `kill -9` does: files and locks held from before are void, and all that was
    /// written is there, synced or not.
    pub fn end_process(&self) {
        self.state.lock().end_process();
    }

    /// Lets `changes` more calls that change something succeed; from then on the machine is down and every one fails, until
    /// [`SimDisk::crash`]. A walk over all values stops a program between any two of its writes.
    pub fn stop_after(&self, changes: u64) {
        self.state.lock().faults.changes_left = Some(changes);
    }

    /// Calls so far that changed something: what [`SimDisk::stop_after`] counts.
    pub fn changes(&self) -> u64 {
        self.state.lock().faults.changes
    }

    /// Makes calls take time, which a worker and [`Disk::offload`](crate::Disk::offload) wait for.
    pub fn set_latency(&self, latency: DiskLatency) {
        self.state.lock().faults.latency = latency;
    }

    /// Limits the space; what does not fit fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().faults.capacity_bytes = bytes;
    }

    /// Makes syncs return without having put anything on disk, as drives with a volatile cache do.
    pub fn set_lying(&self, is_lying: bool) {
        self.state.lock().faults.is_lying = is_lying;
    }

    /// Fails the next `times` syncs of files.
    pub fn fail_syncs(&self, times: u32) {
        self.state.lock().faults.sync_failures = times;
    }

    /// Space in use.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// Bytes that a crash now may lose or tear, by whole sectors.
    pub fn unsynced_bytes(&self) -> u64 {
        self.state.lock().names.values().map(|sectors| sectors.lock().unsynced_bytes()).sum()
    }

    /// Flips the bits of `mask` in one byte of a file, behind everybody's back. False when there is no such byte.
    pub fn corrupt(&self, path: &Path, offset: u64, mask: u8) -> bool {
        let state = self.state.lock();
        let Some(sectors) = state.names.get(path) else { return false };
        let mut sectors = sectors.lock();
        let is_there = offset < sectors.bytes();
        if is_there {
            sectors.corrupt(offset, mask);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sim;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crash_loses_what_was_not_synced_and_nothing_else() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..40 {
            let sim = Sim::new(seed);
            let (world, disk) = (sim.world(), sim.disk("local"));
            let directory = Path::new("/data");
            world.disk.make_dir(directory).unwrap();
            let file = world.disk.create(&directory.join("a")).unwrap();
            file.write_at(0, &[1; 1_024]).unwrap();
            file.sync_data().unwrap();
            world.disk.sync_dir(directory).unwrap();
            assert_eq!(disk.unsynced_bytes(), 0);
            file.write_at(1_024, &[2; 4_096]).unwrap();
            assert_eq!(disk.unsynced_bytes(), 4_096);
            world.disk.create(&directory.join("b")).unwrap();
            disk.crash();
            assert!(file.write_at(0, b"x").is_err(), "its process is gone");
            let content = world.disk.read(&directory.join("a"), 1 << 20).unwrap();
            assert_eq!(content[..1_024], [1; 1_024]);
            match world.disk.exists(&directory.join("b")) {
                true => kept += 1,
                false => lost += 1,
            }
        }
        assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_process_loses_nothing_that_was_written() {
        let sim = Sim::new(1);
        let (world, disk) = (sim.world(), sim.disk("local"));
        world.disk.make_dir(Path::new("/data")).unwrap();
        let file = world.disk.create(Path::new("/data/a")).unwrap();
        let _held = world.disk.lock(Path::new("/data/LOCK")).unwrap();
        file.write_at(0, b"written").unwrap();
        disk.end_process();
        assert!(file.write_at(0, b"x").is_err(), "its process is gone");
        assert_eq!(world.disk.read(Path::new("/data/a"), 99).unwrap(), "written");
        world.disk.lock(Path::new("/data/LOCK")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lying_disk_loses_what_it_said_it_had() {
        let lost = (0..20).filter(|seed| {
            let sim = Sim::new(*seed);
            let (world, disk) = (sim.world(), sim.disk("local"));
            disk.set_lying(true);
            world.disk.make_dir(Path::new("/data")).unwrap();
            world.disk.write_atomic(Path::new("/data/a"), b"safe").unwrap();
            disk.crash();
            !world.disk.read(Path::new("/data/a"), 1 << 20).is_ok_and(|content| content == "safe")
        });
        assert!(lost.count() > 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_takes_what_fits_and_a_stopped_one_nothing() {
        let sim = Sim::new(1);
        let (world, disk) = (sim.world(), sim.disk("local"));
        world.disk.make_dir(Path::new("/data")).unwrap();
        let file = world.disk.create(Path::new("/data/a")).unwrap();
        disk.set_capacity(Some(1_024));
        assert_eq!(world.disk.free_bytes(Path::new("/data")).unwrap(), 1_024);
        assert_eq!(file.write_at(0, &[1; 2_000]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.bytes().unwrap(), 976, "two sectors' worth, less what the last was short of");
        disk.set_capacity(None);
        disk.stop_after(1);
        file.write_at(0, b"a").unwrap();
        assert!(file.write_at(0, b"b").is_err());
        assert!(file.sync_data().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_takes_its_time() {
        let sim = Sim::new(1);
        let (world, disk) = (sim.world(), sim.disk("local"));
        disk.set_latency(DiskLatency { sync: Duration::from_millis(4), ..DiskLatency::default() });
        let began = world.clock.now();
        let inner = world.disk.clone();
        world.disk.make_dir(Path::new("/data")).unwrap();
        world.disk.offload(move || inner.write_atomic(Path::new("/data/a"), b"x")).await.unwrap();
        assert_eq!(world.clock.now() - began, Duration::from_millis(8), "the file and its directory");
    }
}
