//! Files named in configurations, read from the disk.

use std::sync::Arc;

use bytes::Bytes;
use flux_gear::Files;
use flux_scenario::limits::FILE_BYTES_MAX;
use flux_world::{Disk, World};

/// The disk, as gears see it.
pub(crate) struct DiskFiles(Disk);

impl DiskFiles {
    pub(crate) fn new(world: &World) -> Arc<DiskFiles> {
        Arc::new(DiskFiles(world.disk.clone()))
    }
}

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<Bytes, String> {
        self.0.read(path.as_ref(), FILE_BYTES_MAX).map_err(|why| format!("cannot read `{path}`: {why}"))
    }
}
