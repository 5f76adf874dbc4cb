//! Real TCP sockets: what the simulation assumes is what the operating system does.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flux_pool::{Batch, CloseReport, Consumer, Delivery, PeerConfig, PeerHandle, PeerPool};
use flux_world::{BackoffPolicy, Target, World};

use crate::kit::{MS, config, short};

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("long enough")
}

/// Answers each frame with itself.
struct Echo;

impl Consumer for Echo {
    fn deliver<'a>(&'a self, peer: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
        Delivery::Wait(Box::pin(async move {
            for frame in batch.frames.drain(..) {
                peer.send(frame).await.unwrap();
            }
        }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_frames_over_sixteen_connections_come_back_in_order() {
    let server = PeerPool::builder(World::real()).consumer(Arc::new(Echo));
    let listening = server.listen("127.0.0.1:0", config()).await.unwrap();
    let (client, mut inbox) = PeerPool::builder(World::real()).inbox();
    let mut senders = tokio::task::JoinSet::new();
    for n in 0..16 {
        let peer = client.dial(format!("p-{n}"), Target::from(listening.local_addr()), config()).unwrap();
        senders.spawn(async move {
            assert!(peer.wait_up().await);
            for m in 0..6_250_u32 {
                peer.send(Bytes::copy_from_slice(&m.to_be_bytes())).await.unwrap();
            }
        });
    }
    let mut expected = std::collections::BTreeMap::new();
    while expected.values().sum::<u32>() < 100_000 {
        let (peer, batch) = within(inbox.recv()).await.unwrap();
        let next = expected.entry(peer.id().clone()).or_insert(0_u32);
        for frame in batch.frames {
            assert_eq!(frame[..], next.to_be_bytes());
            *next += 1;
        }
    }
    while senders.join_next().await.is_some() {}
    let report = within(client.close(Duration::from_secs(5))).await;
    assert_eq!(report, CloseReport::default());
    let counts = server.stats().counts;
    assert_eq!((counts.frames_in, counts.frames_out), (100_000, 100_000));
    within(server.close(Duration::from_secs(5))).await;
}

#[tokio::test]
async fn a_restarted_server_gets_its_clients_back() {
    let backoff = BackoffPolicy { base: MS, cap: 20 * MS, ..BackoffPolicy::default() };
    let first = PeerPool::builder(World::real()).consumer(Arc::new(Echo));
    let listening = first.listen("127.0.0.1:0", config()).await.unwrap();
    let addr = listening.local_addr();
    let (client, mut inbox) = PeerPool::builder(World::real()).inbox();
    let mut events = client.events();
    let peer = client.dial("server", Target::from(addr), PeerConfig { backoff, ..config() }).unwrap();
    assert!(within(peer.wait_up()).await);
    within(first.close(Duration::from_secs(5))).await;
    assert_eq!(short(&within(events.recv()).await.unwrap()), "connected server");
    assert_eq!(short(&within(events.recv()).await.unwrap()), "disconnected server: peer_clean");
    let second = PeerPool::builder(World::real()).consumer(Arc::new(Echo));
    second.listen(&addr.to_string(), config()).await.unwrap();
    assert!(within(peer.wait_up()).await);
    within(peer.send("still there?".into())).await.unwrap();
    assert_eq!(within(inbox.recv()).await.unwrap().1.frames, ["still there?"]);
}

#[tokio::test]
async fn connections_reset_before_they_are_accepted_hold_up_nobody() {
    let server = PeerPool::builder(World::real()).consumer(Arc::new(Echo));
    let listening = server.listen("127.0.0.1:0", config()).await.unwrap();
    // Nothing is accepted in between: this thread is the runtime's only one.
    for _ in 0..20 {
        let socket = std::net::TcpStream::connect(listening.local_addr()).unwrap();
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let (client, mut inbox) = PeerPool::builder(World::real()).inbox();
    let peer = client.dial("customer", Target::from(listening.local_addr()), config()).unwrap();
    let asked = async {
        assert!(peer.wait_up().await);
        peer.send("0200".into()).await.unwrap();
        inbox.recv().await.unwrap().1.frames
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    assert_eq!(answer.expect("nobody is waited for"), ["0200"]);
    let stats = server.stats();
    assert_eq!((stats.accepted + stats.broken, stats.accepts_failed), (21, 0));
}

#[tokio::test]
async fn our_last_words_arrive_although_the_peer_still_talks() {
    let (server, _inbox) = PeerPool::builder(World::real()).inbox();
    let mut events = server.events();
    let listening = server.listen("127.0.0.1:0", config()).await.unwrap();
    let mut socket = std::net::TcpStream::connect(listening.local_addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    within(events.recv()).await.unwrap();
    let talker = std::thread::spawn({
        let mut socket = socket.try_clone().unwrap();
        // Talks until nobody listens any more.
        move || while socket.write_all(&crate::kit::framed(&[7; 1000])).is_ok() {}
    });
    let peer = server.peer("c-000000000001").unwrap();
    for _ in 0..100 {
        peer.try_send(vec![9; 1000].into()).unwrap();
    }
    let reader = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        // After all that was sent a reset may follow, for the talker goes on past our end.
        let _ = std::io::Read::read_to_end(&mut socket, &mut heard);
        heard.len()
    });
    let report = within(server.close(Duration::from_secs(5))).await;
    assert_eq!(report.frames_flushed, 100);
    assert_eq!(within(reader).await.unwrap(), 100 * 1002);
    talker.join().unwrap();
}
