//! A producer that keeps a window of messages out, each until it is acknowledged: to a rack over TCP, and to NATS JetStream
//! by its own protocol.
//!
//! ```text
//! rack        length, 2 bytes | message                          <- length | acknowledgement, for each
//! jetstream   PUB s.a reply 300 \r\n message                     <- MSG reply .. {"stream":..,"seq":n}, for each
//! batches     HPUB with Nats-Batch-Id, -Sequence, -Commit        <- one MSG for the commit (nats-server 2.12, ADR-50)
//! ```

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, BytesMut};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a rack is configured to acknowledge with.
const ACKNOWLEDGEMENT: &str = "ok";

#[derive(Args, Clone)]
pub(crate) struct Producer {
    /// The server
    #[arg(long)]
    to: SocketAddr,
    /// How it speaks
    #[arg(long)]
    by: Protocol,
    /// Messages out at a time
    #[arg(long, default_value_t = 1000)]
    window: u64,
    /// Bytes of a message
    #[arg(long, default_value_t = 300)]
    bytes: u16,
    /// Length of the measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Protocol {
    /// Frames to `io_tcp` with `acknowledge`
    Rack,
    /// Publishes to a stream
    Jetstream,
    /// The window as one atomic batch
    Batches,
}

/// A connection and what is out on it.
struct Link {
    stream: TcpStream,
    out: BytesMut,
    read: BytesMut,
    /// When each message that is out was sent, oldest first.
    sent: std::collections::VecDeque<Instant>,
    number: u64,
    message: Vec<u8>,
}

impl Producer {
    pub(crate) async fn run(self) -> anyhow::Result<Json> {
        let stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        let message = vec![b'x'; usize::from(self.bytes)];
        let (out, read) = (BytesMut::new(), BytesMut::with_capacity(1 << 16));
        let mut link = Link { stream, out, read, sent: Default::default(), number: 0, message };
        if self.by != Protocol::Rack {
            link.open_stream(self.by == Protocol::Batches).await?;
        }
        let begin = Instant::now() + Duration::from_secs(1);
        let end = begin + Duration::from_secs_f64(self.seconds);
        let (mut acknowledged, mut took_us) = (0_u64, Histogram::<u32>::new_with_max(60_000_000, 3)?);
        loop {
            self.fill(&mut link);
            link.stream.write_all_buf(&mut link.out).await?;
            timeout(PATIENCE, link.receive()).await.context("no acknowledgement")??;
            let n = self.acknowledgements(&mut link)?;
            let now = Instant::now();
            for _ in 0..n {
                let sent = link.sent.pop_front().context("an acknowledgement of nothing")?;
                if now >= begin {
                    acknowledged += 1;
                    took_us.saturating_record((now - sent).as_micros() as u64);
                }
            }
            if now >= end {
                break;
            }
        }
        Ok(json!({
            "per_s": acknowledged as f64 / self.seconds,
            "p50_us": took_us.value_at_quantile(0.5),
            "p99_us": took_us.value_at_quantile(0.99),
        }))
    }

    fn fill(&self, link: &mut Link) {
        if self.by == Protocol::Batches {
            if link.sent.is_empty() {
                link.put_batch(self.window);
            }
            return;
        }
        while (link.sent.len() as u64) < self.window {
            match self.by {
                Protocol::Rack => link.out.put_u16(self.bytes),
                _ => link.out.put_slice(format!("PUB s.a r.{} {}\r\n", link.number, self.bytes).as_bytes()),
            }
            link.out.put_slice(&link.message);
            if self.by != Protocol::Rack {
                link.out.put_slice(b"\r\n");
            }
            link.sent.push_back(Instant::now());
            link.number += 1;
        }
    }

    /// How many messages were acknowledged by what has arrived whole.
    fn acknowledgements(&self, link: &mut Link) -> anyhow::Result<u64> {
        let mut n = 0;
        if self.by == Protocol::Rack {
            while link.read.len() >= 2 + ACKNOWLEDGEMENT.len() {
                ensure!(usize::from(link.read.get_u16()) == ACKNOWLEDGEMENT.len(), "an unknown answer");
                link.read.advance(ACKNOWLEDGEMENT.len());
                n += 1;
            }
            return Ok(n);
        }
        while let Some(reply) = link.reply()? {
            // What begins a batch is answered with nothing.
            if !reply.is_empty() {
                n += if self.by == Protocol::Batches { self.window } else { 1 };
            }
        }
        Ok(n)
    }
}

impl Link {
    async fn receive(&mut self) -> anyhow::Result<()> {
        ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server closed the connection");
        Ok(())
    }

    /// Makes the stream anew and subscribes to the replies.
    async fn open_stream(&mut self, allows_batches: bool) -> anyhow::Result<()> {
        let hello = r#"CONNECT {"verbose":false,"headers":true,"no_responders":false}"#;
        self.out.put_slice(
            format!("{hello}\r\nSUB r.* 1\r\nPUB $JS.API.STREAM.DELETE.S r.0 0\r\n\r\n").as_bytes(),
        );
        let config = json!({ "name": "S", "subjects": ["s.>"], "storage": "file", "retention": "limits",
            "discard": "old", "max_bytes": 4_u64 << 30, "num_replicas": 1, "allow_atomic": allows_batches });
        let config = config.to_string();
        self.out.put_slice(
            format!("PUB $JS.API.STREAM.CREATE.S r.0 {}\r\n{config}\r\n", config.len()).as_bytes(),
        );
        self.stream.write_all_buf(&mut self.out).await?;
        for _ in 0..2 {
            let reply = loop {
                if let Some(reply) = self.reply()? {
                    break reply;
                }
                timeout(PATIENCE, self.receive()).await??;
            };
            let is_created = String::from_utf8_lossy(&reply).contains("stream_create_response");
            let failed = reply.windows(7).any(|at| at == b"\"error\"");
            ensure!(!(is_created && failed), "{}", String::from_utf8_lossy(&reply));
        }
        Ok(())
    }

    /// The body of the next reply that has arrived whole. Answers pings.
    fn reply(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            let Some(end) = self.read.windows(2).position(|at| at == b"\r\n") else { return Ok(None) };
            let line = String::from_utf8_lossy(&self.read[..end]).into_owned();
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "MSG" | "HMSG" => {
                    let bytes: usize = words.last().and_then(|last| last.parse().ok()).context("a length")?;
                    if self.read.len() < end + 2 + bytes + 2 {
                        return Ok(None);
                    }
                    self.read.advance(end + 2);
                    let body = self.read.split_to(bytes).to_vec();
                    self.read.advance(2);
                    let failed = body.windows(7).any(|at| at == b"\"error\"");
                    let is_delete = body.windows(6).any(|at| at == b"delete");
                    ensure!(!failed || is_delete, "{}", String::from_utf8_lossy(&body));
                    return Ok(Some(body));
                }
                "PING" => self.out.put_slice(b"PONG\r\n"),
                "-ERR" => bail!(line),
                _ => {}
            }
            self.read.advance(end + 2);
        }
    }

    fn put_batch(&mut self, messages: u64) {
        let id = self.number;
        for sequence in 1..=messages {
            let commit = if sequence == messages { "Nats-Batch-Commit: 1\r\n" } else { "" };
            let reply = if sequence == messages { format!("r.{id} ") } else { String::new() };
            let headers = format!(
                "NATS/1.0\r\nNats-Batch-Id: b{id}\r\nNats-Batch-Sequence: {sequence}\r\n{commit}\r\n"
            );
            let total = headers.len() + self.message.len();
            self.out.put_slice(format!("HPUB s.a {reply}{} {total}\r\n{headers}", headers.len()).as_bytes());
            self.out.put_slice(&self.message);
            self.out.put_slice(b"\r\n");
            self.sent.push_back(Instant::now());
        }
        self.number += 1;
    }
}
