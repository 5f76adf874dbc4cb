//! The key that what gears keep is sealed with: given by whoever runs the rack, or made at first use.

use std::{
    io,
    path::{Path, PathBuf},
};

use flux_gear::storage::StorageError;
use flux_journal::{Key, Keys};
use flux_world::Disk;

/// In the state directory: `ID:64 hexadecimal digits` on each line, first the key that is written with.
const KEY_FILE: &str = "storage.key";

/// A line for each key there ever was.
const KEY_FILE_BYTES_MAX: usize = 1 << 20;

/// How deep journals lie in a state directory, with what a repair keeps of them.
const JOURNAL_DEPTH_MAX: u32 = 4;

/// The keys of a state directory. Without a file of them one is made, which only the user of this process may read; but none
/// where something is sealed: who lost the key is told so, and not given another of the same name.
pub(super) fn of(disk: &Disk, state_dir: &Path) -> Result<Keys, StorageError> {
    let path = state_dir.join(KEY_FILE);
    if is_absent(disk, &path) {
        if let Some((file, key_id)) = sealed(disk, state_dir, JOURNAL_DEPTH_MAX) {
            return Err(StorageError::Unavailable(format!(
                "{} is gone, and {} is sealed with key {key_id}: put the file back; without it what is sealed cannot be read, and \
                 no other key is made before it is moved away",
                path.display(),
                file.display()
            )));
        }
        make(disk, &path)?;
    }
    given(disk, state_dir)
}

/// Whether there is nothing, not even a link that leads to nothing.
fn is_absent(disk: &Disk, path: &Path) -> bool {
    disk.is_file(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// A segment under a directory that is sealed, and the key it names.
fn sealed(disk: &Disk, directory: &Path, depth_max: u32) -> Option<(PathBuf, u32)> {
    let here = flux_journal::sealed_segment(disk, directory);
    if here.is_some() || depth_max == 0 {
        return here;
    }
    let inner = disk.directories(directory).ok()?;
    inner.into_iter().find_map(|name| sealed(disk, &directory.join(name), depth_max - 1))
}

/// The keys of a state directory; none where there is no file of them.
pub(crate) fn given(disk: &Disk, state_dir: &Path) -> Result<Keys, StorageError> {
    let path = state_dir.join(KEY_FILE);
    let unavailable = |why: String| StorageError::Unavailable(format!("{}: {why}", path.display()));
    let text = match disk.read(&path, KEY_FILE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_absent(disk, &path) => {
            return Ok(Keys::none());
        }
        read => read.map_err(|error| unavailable(error.to_string()))?,
    };
    let text = std::str::from_utf8(&text).map_err(|_| unavailable("not UTF-8 text".into()))?;
    if text.trim().is_empty() {
        return Err(unavailable("holds no key; what was sealed needs the one it was sealed with".into()));
    }
    text.parse().map_err(|why: flux_journal::KeyFileError| unavailable(why.to_string()))
}

fn make(disk: &Disk, path: &Path) -> Result<(), StorageError> {
    let unavailable = |why: String| StorageError::Unavailable(format!("{}: {why}", path.display()));
    let key = Key::generate(1).ok_or_else(|| unavailable("the system gave no random key".into()))?;
    let line = key.to_line();
    let directory = path.parent().unwrap_or(Path::new("."));
    let written =
        disk.make_private_dir(directory).and_then(|()| disk.write_atomic_private(path, line.as_bytes()));
    written.map_err(|error| unavailable(error.to_string()))?;
    tracing::info!(file = %path.display(), "made the key that stored values are sealed with: keep a copy elsewhere");
    Ok(())
}
