//! Real sockets on the loopback interface.

use std::io::IoSlice;

use bytes::BytesMut;
use flux_world::{ConnectOptions, ListenOptions, Listener, Net, Stream, Target};
use tokio::io::AsyncWriteExt;

async fn pair() -> (Stream, Stream) {
    let net = Net::real();
    let mut listener = net.listen("127.0.0.1:0", &ListenOptions::default()).await.unwrap();
    let target = Target::from(listener.local_addr().unwrap());
    let options = ConnectOptions::default();
    let (near, far) = tokio::join!(net.connect(&target, &options), listener.accept());
    (near.unwrap(), far.unwrap())
}

async fn read_to_end(stream: &mut Stream) -> BytesMut {
    let mut read = BytesMut::new();
    loop {
        read.reserve(4096);
        if stream.read.read(&mut read).await.unwrap() == 0 {
            return read;
        }
    }
}

#[tokio::test]
async fn halves_carry_bytes_both_ways_and_dropping_the_writer_ends_the_stream() {
    let (mut near, mut far) = pair().await;
    assert_eq!((near.local, near.peer), (far.peer, far.local));
    let written = near.write.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")]).await.unwrap();
    assert_eq!(written, 4);
    far.write.write_all(b"back").await.unwrap();
    drop(far.write);
    let mut read = BytesMut::with_capacity(64);
    assert_eq!(far.read.read(&mut read).await.unwrap(), 4);
    assert_eq!(read, "abcd");
    assert_eq!(read_to_end(&mut near).await, "back");
}

#[tokio::test]
async fn a_listening_socket_is_handed_over_without_closing() {
    let net = Net::real();
    let first = net.listen("127.0.0.1:0", &ListenOptions::default()).await.unwrap();
    let target = Target::from(first.local_addr().unwrap());
    let waiting = net.connect(&target, &ConnectOptions::default()).await.unwrap();
    let mut second = Listener::from_std(first.into_std().unwrap(), &ListenOptions::default()).unwrap();
    assert_eq!(second.accept().await.unwrap().peer, waiting.local);
}

#[tokio::test]
async fn without_a_host_it_listens_everywhere() {
    let listener = Net::real().listen(":0", &ListenOptions::default()).await.unwrap();
    assert!(listener.local_addr().unwrap().ip().is_unspecified());
}

#[tokio::test]
async fn nobody_listening_is_refused_and_a_taken_port_is_in_use() {
    let net = Net::real();
    let listener = net.listen("127.0.0.1:0", &ListenOptions::default()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let taken = net.listen(&addr.to_string(), &ListenOptions::default()).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    drop(listener);
    let refused = net.connect(&Target::from(addr), &ConnectOptions::default()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
