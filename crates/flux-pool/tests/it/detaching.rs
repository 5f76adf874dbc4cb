//! Connections that go on without their pool, in another one: on real sockets, for there is nothing else to detach.

use std::time::Duration;

use flux_pool::framing::{LengthPrefixed, Width};
use flux_pool::{Detached, Inbox, Listening, PeerConfig, PeerPool, Resumed};
use flux_world::{ListenOptions, Stream, Target, World};

use crate::kit::{FarEnd, SECOND, received};

fn config() -> PeerConfig {
    PeerConfig::new(LengthPrefixed::big_endian(Width::Two, 1024))
}

fn pool() -> (PeerPool, Inbox) {
    PeerPool::builder(World::real()).inbox()
}

fn resumed(detached: Detached) -> Stream {
    Stream::resume(detached.socket, detached.unread).unwrap()
}

async fn dial(listening: &Listening) -> FarEnd {
    FarEnd::dial(&World::real(), &listening.local_addr().into()).await
}

#[tokio::test]
async fn an_accepted_connection_goes_on_in_another_pool_in_the_middle_of_a_frame() {
    let (first, mut inbox) = pool();
    let listening = first.listen("127.0.0.1:0", config()).await.unwrap();
    let mut far = dial(&listening).await;
    far.write(b"\0\x01a\0\x04ha").await;
    let (id, frames) = received(&mut inbox).await;
    assert_eq!(frames[0], "a");
    let peer = first.peer(&id).unwrap();
    peer.try_send("queued".into()).unwrap();
    let listener = listening.release().await.unwrap();
    first.pause().await;
    let (mut detached, report) = first.detach(SECOND, |_| true).await;
    assert_eq!((detached.len(), report.frames_dropped, report.frames_undelivered), (1, 0, 0));
    let (second, mut inbox) = pool();
    let listening = second.adopt(listener, config()).unwrap();
    let peer = listening.admit(resumed(detached.remove(0).1)).unwrap();
    far.write(b"lf").await;
    assert_eq!(received(&mut inbox).await.1[0], "half");
    peer.try_send("answer".into()).unwrap();
    assert_eq!(far.recv().await.unwrap(), "queued");
    assert_eq!(far.recv().await.unwrap(), "answer");
    // The listening socket went along.
    drop(dial(&listening).await);
}

#[tokio::test]
async fn a_dialled_connection_goes_on_and_is_dialled_again_when_it_is_lost() {
    let mut listener = World::real().net.listen("127.0.0.1:0", &ListenOptions::default()).await.unwrap();
    let target: Target = listener.local_addr().unwrap().into();
    let (first, _inbox) = pool();
    let peer = first.dial("far", target.clone(), config()).unwrap();
    let mut far = FarEnd::accept(&mut listener).await;
    assert!(peer.wait_up().await);
    let (mut detached, _) = first.detach(SECOND, |_| true).await;
    let (second, _inbox) = pool();
    let dialer = std::sync::Arc::new(Resumed::new(resumed(detached.remove(0).1)));
    let peer = second.dial_with("far", target, config(), dialer).unwrap();
    assert!(peer.wait_up().await);
    peer.try_send("on".into()).unwrap();
    assert_eq!(far.recv().await.unwrap(), "on");
    drop(far);
    let mut far = FarEnd::accept(&mut listener).await;
    peer.wait_up().await;
    while peer.try_send("again".into()).is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(far.recv().await.unwrap(), "again");
}

#[tokio::test]
async fn a_connection_that_is_not_wanted_ends_in_order_and_a_pause_holds_what_comes() {
    let (pool, mut inbox) = pool();
    let listening = pool.listen("127.0.0.1:0", config()).await.unwrap();
    let mut far = dial(&listening).await;
    far.write(b"\0\x01a").await;
    received(&mut inbox).await;
    pool.pause().await;
    far.write(b"\0\x01b").await;
    let silence = tokio::time::timeout(Duration::from_millis(20), received(&mut inbox)).await;
    assert!(silence.is_err(), "it is paused");
    pool.resume();
    assert_eq!(received(&mut inbox).await.1[0], "b");
    let (detached, _) = pool.detach(SECOND, |_| false).await;
    assert!(detached.is_empty());
    assert!(far.recv().await.is_none());
}
