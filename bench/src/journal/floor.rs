//! What the machine can do at best, now: a small write with its sync, and waking a thread.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use serde_json::{Value, json};

const SYNCS: usize = 400;
const WAKES: u32 = 2_000;

pub(crate) struct Floor {
    pub(crate) sync_p50_us: f64,
    sync_p99_us: f64,
    /// From one thread's send to the other's return from waiting.
    pub(crate) wake_us: f64,
}

impl Floor {
    pub(crate) fn json(&self) -> Value {
        json!({"sync_p50_us": self.sync_p50_us, "sync_p99_us": self.sync_p99_us, "wake_us": self.wake_us})
    }
}

pub(crate) fn measure(base: &Path) -> anyhow::Result<Floor> {
    let directory = tempfile::tempdir_in(base)?;
    let file = File::create(directory.path().join("floor"))?;
    // Space as the journal reserves it, so that the length does not change.
    let file = flux_world::Disk::real().open(&directory.path().join("floor")).and_then(|reserved| {
        reserved.allocate(1 << 20)?;
        reserved.sync_all()?;
        Ok(file)
    })?;
    let mut times: Vec<f64> = (0..SYNCS as u64)
        .map(|n| {
            let began = Instant::now();
            file.write_all_at(&[7; 300], n * 300)?;
            file.sync_data()?;
            Ok(began.elapsed().as_secs_f64() * 1e6)
        })
        .collect::<std::io::Result<_>>()?;
    times.sort_by(f64::total_cmp);
    Ok(Floor { sync_p50_us: times[SYNCS / 2], sync_p99_us: times[SYNCS * 99 / 100], wake_us: wake_us() })
}

fn wake_us() -> f64 {
    let (there, hears) = mpsc::channel::<()>();
    let (back, hears_back) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || while hears.recv().is_ok() && back.send(()).is_ok() {});
        let began = Instant::now();
        for _ in 0..WAKES {
            if there.send(()).is_err() || hears_back.recv().is_err() {
                break;
            }
        }
        drop(there);
        began.elapsed().as_secs_f64() * 1e6 / f64::from(2 * WAKES)
    })
}
