//! What carries the bus ends and begins again: what was said to be kept is there.

use super::objects::body;
use super::{Ground, Site, ack_all, bodies, buckets, good, key, objects, word};
use crate::bucket::Update;
use crate::mirror::Mirror;

pub(super) async fn check(site: &mut impl Site) {
    let on = Ground { bus: site.bus(), clock: site.clock() };
    let all = on.queue("r1").await;
    for n in 0..10 {
        on.store(&n.to_string(), "r1.a", &n.to_string()).await;
    }
    let before = good(on.bus.stream(word("r1")).await, "a stream's state");
    ack_all(&on.take(&all, 4).await).await;
    let bucket = buckets::bucket(&on, "r2").await;
    let a = good(bucket.create(key("a"), "1".into()).await, "created");
    let b = good(bucket.create(key("b"), "1".into()).await, "created");
    let a = good(bucket.put(key("a"), "2".into(), a).await, "put");
    let gone = good(bucket.delete(key("b"), b).await, "deleted");
    good(objects::store(&on, "r3").await.put(key("o"), body(300_000)).await, "put");
    drop((all, bucket, on));

    for _ in 0..2 {
        site.restart().await;
    }

    let on = Ground { bus: site.bus(), clock: site.clock() };
    assert_eq!(good(on.bus.stream(word("r1")).await, "a stream's state"), before, "it is the same stream");
    assert!(on.store("9", "r1.a", "again").await.is_duplicate, "an id is known after a restart");
    assert_eq!(on.store("10", "r1.a", "10").await.sequence, 11, "places go on");
    let all = good(on.bus.consumer(word("r1"), word("all")).await, "a consumer is there");
    let taken = on.take(&all, 7).await;
    assert_eq!(bodies(&taken), ["4", "5", "6", "7", "8", "9", "10"], "what was not acknowledged comes");
    ack_all(&taken).await;
    on.nothing_comes(&all, "that was all").await;

    let bucket = good(on.bus.bucket(word("r2")).await, "a bucket is there");
    let listed = good(bucket.list().await, "listed");
    assert_eq!(listed.iter().map(|it| (it.key.as_str(), it.revision)).collect::<Vec<_>>(), [("a", a)]);
    let mut watch = good(bucket.watch(gone).await, "watched");
    let update = good(on.within(watch.next(), "it is told").await, "it is told");
    assert_eq!(update, Update::Current { revision: gone }, "revisions go on");
    let next = good(bucket.put(key("a"), "3".into(), a).await, "put at the revision of before");
    assert!(next > gone);
    let (mut mirror, mut watch) = (Mirror::default(), good(bucket.watch(0).await, "watched"));
    buckets::follow(&on, &mut watch, &mut mirror, &bucket).await;
    let store = good(on.bus.objects(word("r3")).await, "a store is there");
    assert!(good(store.get(key("o")).await, "get") == Some(body(300_000)));
}
