//! Entries of one kind in a bucket, as JSON.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use flux_bus::{Bucket, BucketConfig, Bus, Error, Key, Name, Revision};
use serde::{Serialize, de::DeserializeOwned};

/// Most that a bucket may take on disk.
const BYTES_MAX: u64 = 1 << 30;

/// A bucket of `T`.
pub(crate) struct Shelf<T> {
    bucket: Arc<dyn Bucket>,
    name: Name,
    _of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Shelf<T> {
    /// The bucket of a name; made where it is missing.
    pub(crate) async fn open(bus: &dyn Bus, name: &str) -> Result<Shelf<T>, Error> {
        let name = Name::new(name)?;
        bus.make_bucket(BucketConfig { name: name.clone(), bytes_max: BYTES_MAX }).await?;
        Ok(Shelf { bucket: bus.bucket(name.clone()).await?, name, _of: PhantomData })
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<(T, Revision)>, Error> {
        let entry = self.bucket.get(key.clone()).await?;
        entry.map(|entry| Ok((self.read(&entry.value, key)?, entry.revision))).transpose()
    }

    /// Puts what is at this revision; none where there is none yet.
    pub(crate) async fn put(
        &self,
        key: Key,
        value: &T,
        expected: Option<Revision>,
    ) -> Result<Revision, Error> {
        let value = serde_json::to_vec(value).expect("what is kept is JSON").into();
        match expected {
            Some(expected) => self.bucket.put(key, value, expected).await,
            None => self.bucket.create(key, value).await,
        }
    }

    /// Removes what is at this revision: of those who try at once, one succeeds.
    pub(crate) async fn remove(&self, key: Key, expected: Revision) -> Result<(), Error> {
        self.bucket.delete(key, expected).await.map(drop)
    }

    pub(crate) async fn list(&self) -> Result<Vec<(Key, T, Revision)>, Error> {
        let entries = self.bucket.list().await?.into_iter();
        entries
            .map(|entry| Ok((entry.key.clone(), self.read(&entry.value, &entry.key)?, entry.revision)))
            .collect()
    }

    fn read(&self, value: &[u8], key: &Key) -> Result<T, Error> {
        serde_json::from_slice(value)
            .map_err(|why| Error::Failed(format!("the entry {key} of {} cannot be read: {why}", self.name)))
    }
}

impl<T> fmt::Debug for Shelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({})", self.name)
    }
}
