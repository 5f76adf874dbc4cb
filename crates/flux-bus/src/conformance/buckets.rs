//! Entries, with compare-and-set, and watches that miss nothing.

use std::sync::Arc;

use super::{Ground, WHILE, good, key, word};
use crate::bucket::{Bucket, Update, Watch};
use crate::config::BucketConfig;
use crate::error::Error;
use crate::mirror::Mirror;

pub(super) async fn check(on: &Ground) {
    nobody_overwrites_what_he_has_not_seen(on).await;
    writers_at_once_count_right(on).await;
    a_watch_tells_what_is_there(on).await;
    a_watch_goes_on_from_a_revision(on).await;
    a_bucket_has_bounds(on).await;
}

pub(super) async fn bucket(on: &Ground, name: &str) -> Arc<dyn Bucket> {
    let config = BucketConfig { name: word(name), bytes_max: 4 << 20 };
    for _ in 0..2 {
        good(on.bus.make_bucket(config.clone()).await, "a bucket is made twice");
    }
    let other = BucketConfig { bytes_max: 8 << 20, ..config };
    assert!(matches!(on.bus.make_bucket(other).await, Err(Error::Different(_))), "otherwise it is not made");
    good(on.bus.bucket(word(name)).await, "a bucket that was made is there")
}

async fn nobody_overwrites_what_he_has_not_seen(on: &Ground) {
    assert!(matches!(on.bus.bucket(word("none")).await, Err(Error::Missing(_))));
    let bucket = bucket(on, "b1").await;
    let (a, refused) = (key("rack.a"), Err(Error::Revision(key("rack.a"))));
    assert_eq!(good(bucket.get(a.clone()).await, "get"), None);
    assert_eq!(bucket.put(a.clone(), "x".into(), 1).await, refused, "there is none");
    assert_eq!(bucket.delete(a.clone(), 1).await, refused, "there is none");
    let first = good(bucket.create(a.clone(), "1".into()).await, "created");
    assert_eq!(bucket.create(a.clone(), "x".into()).await, refused, "there is one");
    let second = good(bucket.put(a.clone(), "2".into(), first).await, "put");
    assert!(second > first, "revisions rise");
    assert_eq!(bucket.put(a.clone(), "x".into(), first).await, refused, "somebody else was first");
    assert_eq!(bucket.delete(a.clone(), first).await, refused, "somebody else was first");
    let entry = good(bucket.get(a.clone()).await, "get").expect("it is there");
    assert_eq!((&entry.value[..], entry.revision), (&b"2"[..], second));

    let b = good(bucket.create(key("rack-0/b=1"), "".into()).await, "an empty value");
    let listed = good(bucket.list().await, "listed");
    assert_eq!(
        listed.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(),
        ["rack-0/b=1", "rack.a"],
        "by key"
    );
    assert!(listed[0].revision == b && b > second, "revisions rise over all keys");

    let gone = good(bucket.delete(a.clone(), second).await, "deleted");
    assert!(gone > b);
    assert_eq!(good(bucket.get(a.clone()).await, "get"), None);
    assert_eq!(bucket.put(a.clone(), "x".into(), gone).await, refused, "a removal is no entry");
    assert_eq!(bucket.delete(a.clone(), gone).await, refused, "a removal is no entry");
    let back = good(bucket.create(a.clone(), "3".into()).await, "created again");
    assert!(back > gone);
}

async fn writers_at_once_count_right(on: &Ground) {
    const WRITERS: u64 = 5;
    const TIMES: u64 = 10;
    let bucket = bucket(on, "b2").await;
    good(bucket.create(key("n"), "0".into()).await, "created");
    let count = || async {
        for _ in 0..TIMES {
            loop {
                let entry = good(bucket.get(key("n")).await, "get").expect("it is there");
                let n: u64 = String::from_utf8_lossy(&entry.value).parse().expect("a number");
                match bucket.put(key("n"), (n + 1).to_string().into(), entry.revision).await {
                    Ok(_) => break,
                    Err(Error::Revision(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    tokio::join!(count(), count(), count(), count(), count());
    let entry = good(bucket.get(key("n")).await, "get").expect("it is there");
    assert_eq!(entry.value, (WRITERS * TIMES).to_string());
}

/// Takes updates until the mirror is what is there.
pub(super) async fn follow(
    on: &Ground,
    watch: &mut Box<dyn Watch>,
    mirror: &mut Mirror,
    bucket: &Arc<dyn Bucket>,
) {
    on.within(
        async {
            loop {
                let listed = good(bucket.list().await, "listed");
                if mirror.entries().eq(listed.iter()) {
                    return;
                }
                if let Ok(update) = on.clock.timeout(WHILE, watch.next()).await {
                    mirror.apply(good(update, "a watch goes on"));
                }
            }
        },
        "a watch tells all",
    )
    .await;
}

async fn a_watch_tells_what_is_there(on: &Ground) {
    let bucket = bucket(on, "b3").await;
    let mut early = good(bucket.watch(0).await, "watched");
    let (mut mirror, mut other) = (Mirror::default(), Mirror::default());
    let update = good(on.within(early.next(), "a watch begins").await, "a watch begins");
    assert_eq!(update, Update::Relisted, "with a list");
    mirror.apply(update);
    let update = good(on.within(early.next(), "the list ends").await, "the list ends");
    assert!(matches!(update, Update::Current { .. }), "of nothing: {update:?}");
    mirror.apply(update);
    let mut revisions = Vec::new();
    for n in 0..20 {
        let name = key(&format!("k{n}"));
        revisions.push(good(bucket.create(name, n.to_string().into()).await, "created"));
    }
    follow(on, &mut early, &mut mirror, &bucket).await;
    for n in (0..20).step_by(2) {
        good(bucket.delete(key(&format!("k{n}")), revisions[n]).await, "deleted");
    }
    good(bucket.put(key("k1"), "one".into(), revisions[1]).await, "put");
    let mut late = good(bucket.watch(0).await, "watched");
    follow(on, &mut early, &mut mirror, &bucket).await;
    follow(on, &mut late, &mut other, &bucket).await;
    assert!(on.clock.timeout(WHILE, early.next()).await.is_err(), "when all is told it waits");
}

async fn a_watch_goes_on_from_a_revision(on: &Ground) {
    let bucket = bucket(on, "b4").await;
    let a = good(bucket.create(key("a"), "1".into()).await, "created");
    let b = good(bucket.create(key("b"), "1".into()).await, "created");
    let gone = good(bucket.delete(key("a"), a).await, "deleted");
    let c = good(bucket.create(key("c"), "1".into()).await, "created");
    let mut watch = good(bucket.watch(b).await, "watched");
    let mut next = async || good(on.within(watch.next(), "it is told").await, "it is told");
    assert_eq!(next().await, Update::Deleted { key: key("a"), revision: gone }, "removals too");
    match next().await {
        Update::Put(entry) => assert_eq!((entry.key, entry.revision), (key("c"), c)),
        other => panic!("{other:?}"),
    }
    assert_eq!(next().await, Update::Current { revision: c });
    let mut watch = good(bucket.watch(c).await, "watched");
    let update = good(on.within(watch.next(), "it is told").await, "it is told");
    assert_eq!(update, Update::Current { revision: c }, "nothing is new");
    let mut watch = good(bucket.watch(c + 1_000).await, "watched");
    let update = good(on.within(watch.next(), "it is told").await, "it is told");
    assert_eq!(update, Update::Relisted, "no such revision was given");
}

async fn a_bucket_has_bounds(on: &Ground) {
    let bucket = bucket(on, "b5").await;
    let bytes_max = on.bus.body_bytes_max();
    let error = bucket.create(key("long"), vec![0; bytes_max + 1].into()).await.expect_err("too long");
    assert_eq!(error, Error::TooLong { bytes: bytes_max + 1, bytes_max });
    let mut created = Vec::new();
    let error = loop {
        match bucket.create(key(&format!("k{}", created.len())), vec![0; bytes_max].into()).await {
            Ok(revision) => created.push(revision),
            Err(error) => break error,
        }
        assert!(created.len() < 1_000, "a bucket has a bound");
    };
    assert!(matches!(error, Error::Full(_)) && created.len() > 2, "{error} {created:?}");
    assert_eq!(good(bucket.list().await, "listed").len(), created.len(), "what was there is there");
}
