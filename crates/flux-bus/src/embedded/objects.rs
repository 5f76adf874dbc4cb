//! Objects as files under the digests of their content, and a bucket that says which key has which.
//!
//! A file is whole and on disk before the bucket names it, so a crash leaves a file too many at most, which the next opening
//! removes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{SHA256, digest};

use super::bucket::JournalBucket;
use super::{Ground, failed};
use crate::bucket::{Bucket, Entry, Objects};
use crate::bus::Answer;
use crate::config::BucketConfig;
use crate::error::Error;
use crate::limits::OBJECT_BYTES_MAX;
use crate::names::Key;

/// What all entries of an index may take.
const INDEX_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Debug)]
pub(super) struct FileObjects {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ground: Ground,
    directory: PathBuf,
    index: JournalBucket,
    bytes_max: u64,
    /// One change at a time: a file that one names the other does not remove.
    changing: tokio::sync::Mutex<()>,
}

/// What the index says of an object: its digest, and its length in eight bytes, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    digest: [u8; 32],
    bytes: u64,
}

impl Named {
    fn of(body: &[u8]) -> Self {
        let digest = digest(&SHA256, body).as_ref().try_into().expect("SHA-256 has 32 bytes");
        Self { digest, bytes: body.len() as u64 }
    }

    fn value(&self) -> Bytes {
        [&self.digest[..], &self.bytes.to_le_bytes()].concat().into()
    }

    fn read(entry: &Entry) -> Result<Self, Error> {
        let bad = || Error::Failed(format!("the index of objects is no good at {}", entry.key));
        let (digest, bytes) = entry.value.split_first_chunk().ok_or_else(bad)?;
        Ok(Self { digest: *digest, bytes: u64::from_le_bytes(bytes.try_into().map_err(|_| bad())?) })
    }

    fn file(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FileObjects {
    pub(super) async fn open(
        ground: &Ground,
        directory: &Path,
        config: &BucketConfig,
    ) -> Result<Self, Error> {
        ground.world.disk.make_private_dir(directory).map_err(failed)?;
        let index = BucketConfig { name: config.name.clone(), bytes_max: INDEX_BYTES_MAX };
        let index = JournalBucket::open(ground, &directory.join("index"), &index).await?;
        let shared = Shared {
            ground: ground.clone(),
            directory: directory.to_owned(),
            index,
            bytes_max: config.bytes_max,
            changing: tokio::sync::Mutex::default(),
        };
        let objects = Self { shared: Arc::new(shared) };
        let named: BTreeSet<String> = objects.named().await?.iter().map(|(_, named)| named.file()).collect();
        for file in ground.world.disk.list(directory).map_err(failed)? {
            if !named.contains(&file.name) {
                ground.world.disk.remove(&directory.join(file.name)).map_err(failed)?;
            }
        }
        Ok(objects)
    }

    pub(super) async fn close(&self) {
        self.shared.index.close().await;
    }

    async fn named(&self) -> Result<Vec<(Entry, Named)>, Error> {
        let entries = self.shared.index.list().await?;
        entries.into_iter().map(|entry| Named::read(&entry).map(|named| (entry, named))).collect()
    }

    async fn set(&self, key: Key, body: Bytes) -> Result<(), Error> {
        if body.len() > OBJECT_BYTES_MAX {
            return Err(Error::TooLong { bytes: body.len(), bytes_max: OBJECT_BYTES_MAX });
        }
        let _alone = self.shared.changing.lock().await;
        let (named, there) = (Named::of(&body), self.named().await?);
        let before = there.iter().find(|(entry, _)| entry.key == key);
        let others = there.iter().filter(|(entry, _)| entry.key != key);
        if others.map(|(_, other)| other.bytes).sum::<u64>() + named.bytes > self.shared.bytes_max {
            return Err(Error::Full(format!("a store of objects holds {} bytes", self.shared.bytes_max)));
        }
        if !there.iter().any(|(_, other)| *other == named) {
            let (disk, path) =
                (self.shared.ground.world.disk.clone(), self.shared.directory.join(named.file()));
            let write = move || disk.write_atomic_private(&path, &body);
            self.shared.ground.world.disk.offload(write).await.map_err(failed)?;
        }
        match before {
            None => self.shared.index.create(key, named.value()).await?,
            Some((entry, _)) => self.shared.index.put(key, named.value(), entry.revision).await?,
        };
        self.remove_unnamed(before.map(|(_, named)| *named)).await
    }

    async fn unset(&self, key: Key) -> Result<bool, Error> {
        let _alone = self.shared.changing.lock().await;
        let Some(entry) = self.shared.index.get(key.clone()).await? else { return Ok(false) };
        self.shared.index.delete(key, entry.revision).await?;
        self.remove_unnamed(Some(Named::read(&entry)?)).await?;
        Ok(true)
    }

    /// Removes the file of an object that had a name before, if it has none now.
    async fn remove_unnamed(&self, named: Option<Named>) -> Result<(), Error> {
        let Some(named) = named else { return Ok(()) };
        if !self.named().await?.iter().any(|(_, other)| *other == named) {
            let (disk, path) =
                (self.shared.ground.world.disk.clone(), self.shared.directory.join(named.file()));
            self.shared.ground.world.disk.offload(move || disk.remove(&path)).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn read(&self, key: Key) -> Result<Option<Bytes>, Error> {
        let _alone = self.shared.changing.lock().await;
        let Some(entry) = self.shared.index.get(key).await? else { return Ok(None) };
        let named = Named::read(&entry)?;
        let (disk, path) = (self.shared.ground.world.disk.clone(), self.shared.directory.join(named.file()));
        let body = self.shared.ground.world.disk.offload(move || disk.read(&path, OBJECT_BYTES_MAX)).await;
        let body = body.map_err(|error| Error::Failed(format!("object {}: {error}", entry.key)))?;
        if Named::of(&body) != named {
            return Err(Error::Failed(format!("object {} is not what was put there", entry.key)));
        }
        Ok(Some(body))
    }
}

impl Objects for FileObjects {
    fn put(&self, key: Key, body: Bytes) -> Answer<'_, ()> {
        Box::pin(self.set(key, body))
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        Box::pin(self.read(key))
    }

    fn delete(&self, key: Key) -> Answer<'_, bool> {
        Box::pin(self.unset(key))
    }

    fn list(&self) -> Answer<'_, Vec<(Key, u64)>> {
        Box::pin(async {
            Ok(self.named().await?.into_iter().map(|(entry, named)| (entry.key, named.bytes)).collect())
        })
    }
}
