//! Things that are too long for a message.

use std::sync::Arc;

use bytes::Bytes;

use super::{Ground, good, key, word};
use crate::bucket::Objects;
use crate::config::BucketConfig;
use crate::error::Error;
use crate::limits::OBJECT_BYTES_MAX;

pub(super) async fn store(on: &Ground, name: &str) -> Arc<dyn Objects> {
    let config = BucketConfig { name: word(name), bytes_max: 16 << 20 };
    for _ in 0..2 {
        good(on.bus.make_objects(config.clone()).await, "a store is made twice");
    }
    good(on.bus.objects(word(name)).await, "a store that was made is there")
}

pub(super) fn body(bytes: usize) -> Bytes {
    (0..bytes).map(|n| (n / 3 % 251) as u8).collect()
}

pub(super) async fn check(on: &Ground) {
    assert!(matches!(on.bus.objects(word("none")).await, Err(Error::Missing(_))));
    let store = store(on, "o1").await;
    assert_eq!(good(store.get(key("a")).await, "get"), None);
    assert!(!good(store.delete(key("a")).await, "deleted"));
    assert_eq!(good(store.list().await, "listed"), []);
    for (name, bytes) in [("b", 0), ("a", 3 << 20), ("c", 3 << 20), ("a/b.c", 70_001)] {
        good(store.put(key(name), body(bytes)).await, "put");
        assert!(good(store.get(key(name)).await, "get") == Some(body(bytes)), "{name} is as it was put");
    }
    let names = |list: Vec<(crate::Key, u64)>| list.into_iter().map(|(key, bytes)| (key.to_string(), bytes));
    let listed: Vec<_> = names(good(store.list().await, "listed")).collect();
    let want = [("a", 3 << 20), ("a/b.c", 70_001), ("b", 0), ("c", 3 << 20)];
    assert!(listed.iter().map(|(key, bytes)| (key.as_str(), *bytes)).eq(want), "{listed:?}");

    good(store.put(key("a"), body(5)).await, "replaced");
    assert_eq!(good(store.get(key("a")).await, "get"), Some(body(5)));
    assert!(
        good(store.get(key("c")).await, "get") == Some(body(3 << 20)),
        "the same content elsewhere stays"
    );
    assert!(good(store.delete(key("c")).await, "deleted"));
    assert_eq!(good(store.get(key("c")).await, "get"), None);
    let error = store.put(key("z"), vec![0; OBJECT_BYTES_MAX + 1].into()).await.expect_err("too long");
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    let error = store.put(key("z"), vec![0; 17 << 20].into()).await.expect_err("no room");
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert_eq!(good(store.get(key("z")).await, "get"), None, "whole or not at all");
    assert_eq!(good(store.list().await, "listed").len(), 3);
}
