//! The baseline of a proxy: an ordinary tokio program with a channel send for each frame.
//!
//! ```text
//! socket -> FramedRead -> channel -> FramedWrite -> socket        twice for each connection
//! ```

use std::net::SocketAddr;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// Room in a channel, as in the queue of a peer.
const CHANNEL_MESSAGES: usize = 1024;

#[derive(Args)]
pub(crate) struct Relay {
    /// Where to listen
    #[arg(long)]
    near: SocketAddr,
    /// Where to connect to, once for each connection
    #[arg(long)]
    far: SocketAddr,
    /// When what was written is flushed to the socket
    #[arg(long)]
    flush: Flush,
}

/// When what was written is flushed to the socket.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Flush {
    /// After each frame: `sink.send(frame)`, as most programs have it
    Each,
    /// When the channel is empty: `sink.feed(frame)`, as careful ones have it
    Idle,
}

impl Relay {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.near).await?;
        let mut connections = JoinSet::new();
        loop {
            let (near, _) = listener.accept().await?;
            connections.spawn(carry(near, self.far, self.flush));
        }
    }
}

async fn carry(near: TcpStream, far: SocketAddr, flush: Flush) -> std::io::Result<()> {
    let far = TcpStream::connect(far).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let (there, there_frames) = mpsc::channel(CHANNEL_MESSAGES);
    let (back, back_frames) = mpsc::channel(CHANNEL_MESSAGES);
    let mut tasks = JoinSet::new();
    tasks.spawn(read(near_read, there));
    tasks.spawn(write(far_write, there_frames, flush));
    tasks.spawn(read(far_read, back));
    tasks.spawn(write(near_write, back_frames, flush));
    tasks.join_all().await.into_iter().collect()
}

async fn read(from: OwnedReadHalf, to: mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let codec = LengthDelimitedCodec::builder().length_field_type::<u16>().new_codec();
    let mut frames = FramedRead::new(from, codec);
    while let Some(frame) = frames.next().await {
        if to.send(frame?.freeze()).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn write(to: OwnedWriteHalf, mut from: mpsc::Receiver<Bytes>, flush: Flush) -> std::io::Result<()> {
    let codec = LengthDelimitedCodec::builder().length_field_type::<u16>().new_codec();
    let mut frames = FramedWrite::new(to, codec);
    while let Some(frame) = from.recv().await {
        if flush == Flush::Each || from.is_empty() {
            frames.send(frame).await?;
        } else {
            frames.feed(frame).await?;
        }
    }
    Ok(())
}
