//! Objects in JetStream's own object store, so that any client of NATS can read them.

use std::time::Duration;

use async_nats::jetstream::object_store::{DeleteErrorKind, GetErrorKind, ObjectMetadata, ObjectStore};
use bytes::Bytes;
use flux_bus::limits::OBJECT_BYTES_MAX;
use flux_bus::{Answer, Error, Key, Name, Objects};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;

use crate::api::{Api, away, objects_stream};

/// How long an object may take.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct NatsObjects {
    api: Api,
    stream: String,
    metadata: String,
    store: ObjectStore,
}

impl std::fmt::Debug for NatsObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "objects {}", self.stream)
    }
}

impl NatsObjects {
    pub(crate) async fn open(api: Api, name: &Name) -> Result<Self, Error> {
        let stream = objects_stream(name);
        api.stream_info(&stream).await?;
        let store = api.jetstream.get_object_store(name.as_str()).await.map_err(away)?;
        Ok(Self { api, metadata: format!("$O.{name}.M.>"), stream, store })
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.api.world.clock.timeout(DEADLINE, work).await.map_err(|_| self.api.late(DEADLINE))?
    }

    async fn set(&self, key: Key, body: Bytes) -> Result<(), Error> {
        if body.len() > OBJECT_BYTES_MAX {
            return Err(Error::TooLong { bytes: body.len(), bytes_max: OBJECT_BYTES_MAX });
        }
        // Found out now rather than with half of it there.
        let info = self.api.stream_info(&self.stream).await?;
        let bytes_max = info.config["max_bytes"].as_u64().unwrap_or(u64::MAX);
        if info.bytes + body.len() as u64 > bytes_max {
            return Err(Error::Full(format!("a store of objects holds {bytes_max} bytes")));
        }
        let metadata = ObjectMetadata { name: key.to_string(), ..ObjectMetadata::default() };
        self.store.put(metadata, &mut &body[..]).await.map(drop).map_err(away)
    }

    async fn read(&self, key: Key) -> Result<Option<Bytes>, Error> {
        let mut object = match self.store.get(key.as_str()).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(away(error)),
        };
        if object.info().size > OBJECT_BYTES_MAX {
            return Err(Error::TooLong { bytes: object.info().size, bytes_max: OBJECT_BYTES_MAX });
        }
        let mut body = Vec::with_capacity(object.info().size);
        object.read_to_end(&mut body).await.map_err(away)?;
        Ok(Some(body.into()))
    }

    async fn unset(&self, key: Key) -> Result<bool, Error> {
        match self.store.info(key.as_str()).await {
            Ok(info) if info.deleted => return Ok(false),
            Ok(_) | Err(_) => {}
        }
        match self.store.delete(key.as_str()).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(false),
            Err(error) => Err(away(error)),
        }
    }

    async fn names(&self) -> Result<Vec<(Key, u64)>, Error> {
        let messages = self.api.last_of_each(&self.stream, &self.metadata).await?;
        let mut names: Vec<(Key, u64)> = messages
            .into_iter()
            .filter_map(|(_, _, _, body)| serde_json::from_slice(&body).ok())
            .filter(|info: &Json| !info["deleted"].as_bool().unwrap_or(false))
            .filter_map(|info| Some((Key::new(info["name"].as_str()?).ok()?, info["size"].as_u64()?)))
            .collect();
        names.sort();
        Ok(names)
    }
}

impl Objects for NatsObjects {
    fn put(&self, key: Key, body: Bytes) -> Answer<'_, ()> {
        Box::pin(self.within(self.set(key, body)))
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        Box::pin(self.within(self.read(key)))
    }

    fn delete(&self, key: Key) -> Answer<'_, bool> {
        Box::pin(self.within(self.unset(key)))
    }

    fn list(&self) -> Answer<'_, Vec<(Key, u64)>> {
        Box::pin(self.within(self.names()))
    }
}
