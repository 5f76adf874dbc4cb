//! What was made in a bus, and from what: a bucket of JSON texts.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bucket::JournalBucket;
use super::{Ground, failed};
use crate::bucket::Bucket;
use crate::config::{BucketConfig, ConsumerConfig, StreamConfig};
use crate::error::Error;
use crate::names::{Key, Name};

/// All that is told of streams, consumers and buckets.
const CATALOG_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug)]
pub(super) struct Catalog {
    bucket: JournalBucket,
}

/// Something that was made.
pub(super) enum Kept {
    /// With its epoch.
    Stream(StreamConfig, u64),
    /// Of a stream, with the record it begins with.
    Consumer(Name, ConsumerConfig, u64),
    Bucket(BucketConfig),
    Objects(BucketConfig),
}

impl Kept {
    fn key(&self) -> Result<Key, Error> {
        match self {
            Kept::Stream(config, _) => Key::new(format!("stream.{}", config.name)),
            Kept::Consumer(stream, config, _) => Key::new(format!("consumer.{stream}.{}", config.name)),
            Kept::Bucket(config) => Key::new(format!("bucket.{}", config.name)),
            Kept::Objects(config) => Key::new(format!("objects.{}", config.name)),
        }
    }

    fn text(&self) -> Result<Vec<u8>, Error> {
        fn json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
            serde_json::to_vec(value).map_err(failed)
        }
        match self {
            Kept::Stream(config, epoch) => json(&(config, epoch)),
            Kept::Consumer(_, config, begin) => json(&(config, begin)),
            Kept::Bucket(config) | Kept::Objects(config) => json(config),
        }
    }
}

impl Catalog {
    pub(super) async fn open(ground: &Ground, directory: &Path) -> Result<Self, Error> {
        let config = BucketConfig { name: Name::new("catalog")?, bytes_max: CATALOG_BYTES_MAX };
        Ok(Self { bucket: JournalBucket::open(ground, directory, &config).await? })
    }

    /// Keeps it; the same again is no change.
    pub(super) async fn keep(&self, kept: &Kept) -> Result<(), Error> {
        let (key, text) = (kept.key()?, kept.text()?);
        match self.bucket.create(key.clone(), text.clone().into()).await {
            Err(Error::Revision(_)) => {
                let there = self.bucket.get(key.clone()).await?;
                same("", &key, there.is_some_and(|entry| entry.value == text))
            }
            kept => kept.map(|_| ()),
        }
    }

    pub(super) async fn streams(&self) -> Result<Vec<(StreamConfig, u64)>, Error> {
        self.under("stream.").await
    }

    pub(super) async fn consumers(&self, stream: &Name) -> Result<Vec<(ConsumerConfig, u64)>, Error> {
        self.under(&format!("consumer.{stream}.")).await
    }

    pub(super) async fn bucket(&self, name: &Name) -> Result<BucketConfig, Error> {
        self.one("bucket", name).await
    }

    pub(super) async fn objects(&self, name: &Name) -> Result<BucketConfig, Error> {
        self.one("objects", name).await
    }

    pub(super) async fn close(&self) {
        self.bucket.close().await;
    }

    async fn under<T: DeserializeOwned>(&self, start: &str) -> Result<Vec<T>, Error> {
        let entries = self.bucket.list().await?;
        let mine = entries.iter().filter(|entry| entry.key.as_str().starts_with(start));
        mine.map(|entry| serde_json::from_slice(&entry.value).map_err(failed)).collect()
    }

    async fn one(&self, kind: &str, name: &Name) -> Result<BucketConfig, Error> {
        let entry = self.bucket.get(Key::new(format!("{kind}.{name}"))?).await?;
        let entry = entry.ok_or_else(|| Error::Missing(format!("{kind} {name}")))?;
        serde_json::from_slice(&entry.value).map_err(failed)
    }
}

/// What was made is made again: fine when it is from the same.
pub(super) fn same(kind: &str, name: &impl std::fmt::Display, is_same: bool) -> Result<(), Error> {
    match is_same {
        true => Ok(()),
        false => Err(Error::Different(
            format!("{kind} {name} is there, and made otherwise").trim_start().to_owned(),
        )),
    }
}
