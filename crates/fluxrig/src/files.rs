//! The files a scenario stands on, each read once: what was checked is what runs, and what is saved.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use flux_gear::Files;
use flux_scenario::limits::FILE_BYTES_MAX;
use flux_world::Disk;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use crate::secrets::{Found, Lacking};

/// SHA-256 of a content.
pub(crate) type Digest = [u8; 32];

/// Every file by the name it was asked for under, with its digest; none where there was no such file.
pub(crate) type Contents = BTreeMap<String, Option<Digest>>;

/// Files as they were when they were first asked for, or as they were kept.
pub(crate) struct FileSet {
    disk: Disk,
    state: Mutex<State>,
}

/// What marks a certificate or a key (RFC 7468).
const PEM: &[u8] = b"-----BEGIN ";

#[derive(Default)]
struct State {
    read: BTreeMap<String, Result<Bytes, String>>,
    /// Names by the gear that asked.
    by_gear: BTreeMap<String, Vec<String>>,
    /// Secrets that the scenario refers to; never among the files, which are kept.
    secrets: Found,
    /// Names of secrets by the gear that asked.
    secrets_by_gear: BTreeMap<String, BTreeSet<String>>,
}

impl FileSet {
    /// Files that will be read from the disk when they are asked for.
    pub(crate) fn new(disk: Disk) -> FileSet {
        FileSet { disk, state: Mutex::default() }
    }

    /// Files of which these are known already; the others will be read from the disk.
    pub(crate) fn with(kept: BTreeMap<String, Bytes>, disk: Disk) -> FileSet {
        let read = kept.into_iter().map(|(name, content)| (name, Ok(content))).collect();
        FileSet { disk, state: Mutex::new(State { read, ..State::default() }) }
    }

    /// All that there was, and of each whether a copy of it may be kept. Of keys and certificates none is: whoever
    /// issues them replaces them, and a key has no business in two places.
    pub(crate) fn to_keep(&self) -> Vec<(String, Bytes, bool)> {
        let state = self.state.lock();
        let read = state.read.iter().filter_map(|(name, content)| Some((name, content.as_ref().ok()?)));
        let may_be_kept = |content: &Bytes| !content.windows(PEM.len()).any(|window| window == PEM);
        read.map(|(name, content)| (name.clone(), content.clone(), may_be_kept(content))).collect()
    }

    /// One of them for the scenario itself. A longer file than may be is cut right after the limit, so that it is seen
    /// to be too long.
    pub(crate) fn start_of(&self, name: &str) -> Result<Bytes, String> {
        self.once(name, |disk| disk.read_start(Path::new(name), FILE_BYTES_MAX + 1))
    }

    /// From now on these are the secrets.
    pub(crate) fn know_secrets(&self, secrets: Found) {
        self.state.lock().secrets = secrets;
    }

    /// Why there is no such secret; none where there is.
    pub(crate) fn lacks_secret(&self, name: &str) -> Option<Lacking> {
        self.state.lock().secrets.get(name)?.as_ref().err().cloned()
    }

    /// Digests of what a gear asked for, secrets under what refers to them.
    pub(crate) fn read_by(&self, gear: &str) -> BTreeMap<String, Digest> {
        let state = self.state.lock();
        let names = state.by_gear.get(gear).into_iter().flatten();
        let read = names.filter_map(|name| Some((name.clone(), state.read.get(name)?.as_ref().ok()?)));
        let files = read.map(|(name, content)| (name, digest_of(content)));
        let names = state.secrets_by_gear.get(gear).into_iter().flatten();
        let secrets = names.filter_map(|name| {
            let secret = state.secrets.get(name)?.as_ref().ok()?;
            Some((format!("${{secret:{name}}}"), digest_of(secret.as_bytes())))
        });
        files.chain(secrets).collect()
    }

    /// All that was asked for.
    pub(crate) fn contents(&self) -> Contents {
        let state = self.state.lock();
        let read = state.read.iter();
        read.map(|(name, content)| (name.clone(), content.as_ref().ok().map(|content| digest_of(content))))
            .collect()
    }

    fn once(&self, name: &str, read: impl FnOnce(&Disk) -> std::io::Result<Bytes>) -> Result<Bytes, String> {
        let known = self.state.lock().read.get(name).cloned();
        known.unwrap_or_else(|| {
            let content = read(&self.disk).map_err(|why| format!("cannot read `{name}`: {why}"));
            self.state.lock().read.insert(name.into(), content.clone());
            content
        })
    }
}

impl Files for FileSet {
    fn read(&self, path: &str, gear: &str) -> Result<Bytes, String> {
        let content = self.once(path, |disk| disk.read(Path::new(path), FILE_BYTES_MAX));
        let mut state = self.state.lock();
        let names = state.by_gear.entry(gear.into()).or_default();
        if !names.iter().any(|name| name == path) {
            names.push(path.into());
        }
        content
    }

    fn secret(&self, name: &str, gear: &str) -> Result<String, String> {
        let mut state = self.state.lock();
        state.secrets_by_gear.entry(gear.into()).or_default().insert(name.into());
        match state.secrets.get(name) {
            Some(Ok(secret)) => Ok(secret.clone()),
            Some(Err(lacking)) => Err(format!("there is no secret `{name}`: {}", lacking.why)),
            None => Err(format!("there is no secret `{name}`: it was not looked for")),
        }
    }
}

/// The files of what runs now: those of another version after a reload.
pub(crate) struct FilesNow(Mutex<Arc<FileSet>>);

impl FilesNow {
    pub(crate) fn new(files: Arc<FileSet>) -> Arc<FilesNow> {
        Arc::new(FilesNow(Mutex::new(files)))
    }

    /// From now on they are these; those they were.
    pub(crate) fn replace(&self, files: Arc<FileSet>) -> Arc<FileSet> {
        std::mem::replace(&mut *self.0.lock(), files)
    }
}

impl Files for FilesNow {
    fn read(&self, path: &str, gear: &str) -> Result<Bytes, String> {
        let files = self.0.lock().clone();
        files.read(path, gear)
    }

    fn secret(&self, name: &str, gear: &str) -> Result<String, String> {
        let files = self.0.lock().clone();
        files.secret(name, gear)
    }
}

/// See [`Digest`].
pub(crate) fn digest_of(content: &[u8]) -> Digest {
    digest(&SHA256, content).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_once_and_known_by_who_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (one, two, none) = (path("one"), path("two"), path("none"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "2").unwrap();
        let files = FileSet::new(Disk::real());
        assert_eq!(files.read(&one, "a").unwrap(), "1");
        fs::write(&one, "changed").unwrap();
        assert_eq!(files.read(&one, "b").unwrap(), "1");
        assert_eq!(files.start_of(&two).unwrap(), "2");
        assert!(files.read(&none, "a").unwrap_err().starts_with("cannot read `"));
        assert_eq!(files.read_by("a"), [(one.clone(), digest_of(b"1"))].into());
        assert_eq!(files.read_by("c"), BTreeMap::new());
        let contents = [(one, Some(digest_of(b"1"))), (two, Some(digest_of(b"2"))), (none, None)];
        assert_eq!(files.contents(), contents.into());
    }
}
