//! Sessions that send at a steady rate while their carrier is reloaded: what was closed, lost, doubled, overtaken, and how
//! much longer a message took near a reload.
//!
//! A message is due at a moment of its own, whatever became of those before it, and its time counts from there: a pause
//! of the carrier shows in every message that fell into it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::{Buf, BufMut, BytesMut};
use clap::Args;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
    time::{sleep_until, timeout_at},
};

use crate::traffic;

/// Bytes of a frame behind its length: its number and filling.
const FRAME_BYTES: usize = 128;
/// How long what is still out is waited for at the end.
const GRACE: Duration = Duration::from_secs(5);
/// A reload is felt for so long, from its beginning.
const NEAR: Duration = Duration::from_millis(500);

#[derive(Args, Clone)]
pub(crate) struct Sessions {
    /// Where the carrier listens
    #[arg(long)]
    near: SocketAddr,
    /// Where the carrier connects to
    #[arg(long)]
    far: SocketAddr,
    /// Sessions, open from the beginning to the end
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Messages a second, by all of them together
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Shell command that reloads the carrier; it finds the number of the reload in `N`
    #[arg(long)]
    reload: String,
    /// Seconds from one reload to the next
    #[arg(long, default_value_t = 2)]
    every: u64,
}

/// What became of the messages of one session.
#[derive(Default)]
struct Ledger {
    sent: u64,
    closed: u64,
    doubled: u64,
    overtaken: u64,
    /// By number: how long it took, once it is back.
    took: Vec<Option<Duration>>,
    /// By number: when it was due.
    due: Vec<Instant>,
}

impl Sessions {
    pub(crate) async fn run(self) -> anyhow::Result<Json> {
        let mut echoes = JoinSet::new();
        echoes.spawn(traffic::accept(TcpListener::bind(self.far).await.context("the far end")?));
        let begin = Instant::now() + Duration::from_secs(1);
        let mut sessions = JoinSet::new();
        for number in 0..self.connections {
            sessions.spawn(self.clone().session(number, begin));
        }
        let reloads = self.reloads(begin).await?;
        let mut ledgers = Vec::new();
        for ledger in sessions.join_all().await {
            ledgers.push(ledger?);
        }
        Ok(report(&ledgers, &reloads))
    }

    /// Reloads until the end; returns when each began, and how long it took.
    async fn reloads(&self, begin: Instant) -> anyhow::Result<Vec<(Instant, Duration)>> {
        let mut reloads = Vec::new();
        for at in (self.every..self.seconds).step_by(usize::try_from(self.every)?) {
            sleep_until((begin + Duration::from_secs(at)).into()).await;
            let began = Instant::now();
            let n = reloads.len().to_string();
            let done = Command::new("sh").args(["-c", &self.reload]).env("N", n).output().await?;
            ensure!(done.status.success(), "reload: {}", String::from_utf8_lossy(&done.stderr));
            reloads.push((began, began.elapsed()));
        }
        Ok(reloads)
    }

    async fn session(self, number: u32, begin: Instant) -> anyhow::Result<Ledger> {
        let stream = TcpStream::connect(self.near).await?;
        stream.set_nodelay(true)?;
        let (mut read, mut write) = stream.into_split();
        let gap = Duration::from_secs(1) * self.connections / self.rate;
        let first = begin + gap * number / self.connections;
        let end = begin + Duration::from_secs(self.seconds);
        let mut ledger = Ledger::default();
        let (mut buffer, mut frame) = (BytesMut::new(), BytesMut::new());
        let (mut next, mut oldest) = (0_u32, 0_u64);
        loop {
            let due = first + gap * next;
            let is_over = due >= end;
            let until = if is_over { end + GRACE } else { due };
            if is_over && oldest == ledger.sent {
                return Ok(ledger);
            }
            match timeout_at(until.into(), read.read_buf(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => {
                    ledger.closed = 1;
                    return Ok(ledger);
                }
                Ok(Ok(_)) => oldest = ledger.take(&mut buffer, oldest),
                Err(_) if is_over => return Ok(ledger),
                Err(_) => {
                    frame.put_u16(FRAME_BYTES as u16);
                    frame.put_u64(ledger.sent);
                    frame.put_bytes(b'x', FRAME_BYTES - size_of::<u64>());
                    write.write_all_buf(&mut frame).await?;
                    ledger.sent += 1;
                    ledger.due.push(due);
                    ledger.took.push(None);
                    next += 1;
                }
            }
        }
    }
}

impl Ledger {
    /// Enters what came back; returns the number that is to come next.
    fn take(&mut self, buffer: &mut BytesMut, mut oldest: u64) -> u64 {
        let now = Instant::now();
        while buffer.len() >= 2 + FRAME_BYTES {
            buffer.advance(2);
            let number = buffer.get_u64();
            buffer.advance(FRAME_BYTES - size_of::<u64>());
            let at = usize::try_from(number).expect("numbers of ours");
            if self.took[at].replace(now.saturating_duration_since(self.due[at])).is_some() {
                self.doubled += 1;
            } else if number < oldest {
                self.overtaken += 1;
            }
            oldest = oldest.max(number + 1);
        }
        oldest
    }
}

fn report(ledgers: &[Ledger], reloads: &[(Instant, Duration)]) -> Json {
    let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(of).sum::<u64>();
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for ledger in ledgers {
        for (due, took) in ledger.due.iter().zip(&ledger.took) {
            let Some(took) = took else { continue };
            let is_near = reloads.iter().any(|(began, _)| (*began..*began + NEAR).contains(due));
            if is_near { &mut near } else { &mut far }.push(took.as_secs_f64() * 1e3);
        }
    }
    near.sort_by(f64::total_cmp);
    far.sort_by(f64::total_cmp);
    let at = |times: &[f64], q: f64| times.get((times.len() as f64 * q) as usize).copied();
    let mut took: Vec<_> = reloads.iter().map(|(_, took)| took.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    json!({
        "sent": sum(|ledger| ledger.sent),
        "closed": sum(|ledger| ledger.closed),
        "lost": sum(|ledger| ledger.took.iter().filter(|took| took.is_none()).count() as u64),
        "doubled": sum(|ledger| ledger.doubled),
        "overtaken": sum(|ledger| ledger.overtaken),
        "reloads": reloads.len(),
        "reload_ms": at(&took, 0.5),
        "p50_ms": at(&far, 0.5),
        "p999_ms": at(&far, 0.999),
        "p999_near_ms": at(&near, 0.999),
        "max_ms": far.last(),
        "max_near_ms": near.last(),
    })
}
