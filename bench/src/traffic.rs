//! Load and far end on one thread: frames go out by many connections, are echoed at the far end, and counted when back.
//!
//! ```text
//! driver -> carrier under test -> echo        one frame: length, 2 bytes | connection, 8 | number, 8 | filling
//! ```
//! Both sides read and write what there is at once, so that the carrier is what is measured.

use std::{collections::VecDeque, net::SocketAddr, time::Duration, time::Instant};

use anyhow::{Context, ensure};
use bytes::{Buf, BufMut, BytesMut};
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep_until, timeout_at},
};

/// Bytes of one read at most.
const READ_BYTES: usize = 64 << 10;
/// What a frame names: the connection and its number.
const NAME_BYTES: usize = 16;
/// Latencies up to a minute, in microseconds, to three digits.
const LATENCY_US_MAX: u64 = 60_000_000;

#[derive(Args, Clone)]
pub(crate) struct Traffic {
    /// Where the carrier listens
    #[arg(long)]
    near: SocketAddr,
    /// Where the carrier connects to
    #[arg(long)]
    far: SocketAddr,
    /// Connections to the carrier
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Frames in flight on each
    #[arg(long, default_value_t = 1)]
    pipeline: u64,
    /// Payload of a frame
    #[arg(long, default_value_t = 128)]
    frame_bytes: u16,
    /// Seconds before the measurement
    #[arg(long, default_value_t = 1)]
    warmup: u64,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// What came back while it was measured.
struct Tally {
    answered: u64,
    cross_wired: u64,
    latency_us: Histogram<u32>,
}

/// When to measure.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Traffic {
    /// Prints a line when the measurement begins, and returns the figures.
    pub(crate) async fn run(self) -> anyhow::Result<Json> {
        ensure!(usize::from(self.frame_bytes) >= NAME_BYTES, "a frame names itself in {NAME_BYTES} bytes");
        let mut echoes = JoinSet::new();
        let far = TcpListener::bind(self.far).await.context("the far end")?;
        echoes.spawn(accept(far));
        let begin = Instant::now() + Duration::from_secs(self.warmup);
        let window = Window { begin, end: begin + Duration::from_secs(self.seconds) };
        let mut drivers = JoinSet::new();
        for number in 0..self.connections {
            drivers.spawn(Driver::new(number, window, self.clone()).run());
        }
        sleep_until(begin.into()).await;
        println!("{}", json!({ "measuring": true }));
        let mut total = Tally::new();
        for driver in drivers.join_all().await {
            total.add(&driver?);
        }
        Ok(json!({
            "tps": total.answered as f64 / self.seconds as f64,
            "p50_us": total.latency_us.value_at_quantile(0.5),
            "p99_us": total.latency_us.value_at_quantile(0.99),
            "answered": total.answered,
            "cross_wired": total.cross_wired,
        }))
    }
}

impl Tally {
    fn new() -> Tally {
        let latency_us = Histogram::new_with_max(LATENCY_US_MAX, 3).expect("constant bounds");
        Tally { answered: 0, cross_wired: 0, latency_us }
    }

    fn add(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.cross_wired += other.cross_wired;
        self.latency_us += &other.latency_us;
    }
}

/// One connection to the carrier.
struct Driver {
    number: u64,
    window: Window,
    traffic: Traffic,
    /// The number of the next frame.
    next: u64,
    /// When each frame in flight was sent, oldest first.
    sent: VecDeque<Instant>,
    out: BytesMut,
    tally: Tally,
}

impl Driver {
    fn new(number: u64, window: Window, traffic: Traffic) -> Driver {
        let (sent, out) = (VecDeque::new(), BytesMut::new());
        Driver { number, window, traffic, next: 0, sent, out, tally: Tally::new() }
    }

    async fn run(mut self) -> anyhow::Result<Tally> {
        let mut stream = TcpStream::connect(self.traffic.near).await?;
        stream.set_nodelay(true)?;
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        self.fill(Instant::now());
        loop {
            stream.write_all_buf(&mut self.out).await?;
            buffer.reserve(READ_BYTES);
            let Ok(read) = timeout_at(self.window.end.into(), stream.read_buf(&mut buffer)).await else {
                return Ok(self.tally);
            };
            ensure!(read? > 0, "the carrier closed a connection");
            let now = Instant::now();
            self.take(&mut buffer, now);
            if now >= self.window.end {
                return Ok(self.tally);
            }
            self.fill(now);
        }
    }

    /// Appends as many frames as may be in flight.
    fn fill(&mut self, now: Instant) {
        let length = self.traffic.frame_bytes;
        while (self.sent.len() as u64) < self.traffic.pipeline {
            self.out.put_u16(length);
            self.out.put_u64(self.number);
            self.out.put_u64(self.next);
            self.out.put_bytes(b'x', usize::from(length) - NAME_BYTES);
            self.sent.push_back(now);
            self.next += 1;
        }
    }

    /// Counts the frames that came back whole. Frames of one connection come back in the order they were sent.
    fn take(&mut self, buffer: &mut BytesMut, now: Instant) {
        let length = usize::from(self.traffic.frame_bytes);
        let is_measured = (self.window.begin..self.window.end).contains(&now);
        while buffer.len() >= 2 + length {
            let oldest = self.next - self.sent.len() as u64;
            let Some(sent) = self.sent.pop_front() else { break };
            let is_whole = usize::from(buffer.get_u16()) == length;
            let is_ours = buffer.get_u64() == self.number && buffer.get_u64() == oldest;
            buffer.advance(length - NAME_BYTES);
            self.tally.cross_wired += u64::from(!(is_whole && is_ours));
            if is_measured {
                self.tally.answered += 1;
                self.tally.latency_us.saturating_record((now - sent).as_micros() as u64);
            }
        }
    }
}

/// Sends back whatever comes in.
pub(crate) async fn accept(far: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = far.accept().await {
        connections.spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        buffer.reserve(READ_BYTES);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        stream.write_all_buf(&mut buffer).await?;
    }
}
