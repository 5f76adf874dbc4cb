//! Whoever follows what happens in a fleet: over the stream of events, taken up again where it was left.

use std::time::Duration;

use anyhow::{Context, anyhow};
use flux_world::{Backoff, BackoffPolicy};
use http_body_util::BodyExt;
use hyper::{Method, StatusCode, body::Incoming, header::HeaderName};

use super::{
    client::{Asking, BYTES_MAX, Client, refused},
    sse::{Reader, Sent},
};
use crate::http::{Driver, whole};

/// A Mixer that says nothing for so long is away: it says something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Between attempts to reach it.
const POLICY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(10),
    stable_after: Duration::from_secs(30),
    is_first_immediate: true,
};

/// What there is to do for whoever follows.
#[derive(Debug)]
pub(crate) enum News {
    /// Look again: something happened, or it is not known whether something did.
    Look,
    /// The Mixer is not reached, and tried again: why. Said once.
    Away(anyhow::Error),
}

/// Follows what happens.
pub(crate) struct Follower {
    client: Client,
    stream: Option<Stream>,
    /// The last event that was told.
    at: Option<String>,
    backoff: Backoff,
    is_away: bool,
}

/// A stream of events that is open.
struct Stream {
    body: Incoming,
    driver: Driver,
    reader: Reader,
}

impl Follower {
    /// Follows what happens from now on: what is looked at afterwards is not missed.
    pub(crate) async fn begin(client: &Client) -> anyhow::Result<Follower> {
        let stream = Some(Stream::open(client, None).await?);
        let backoff = Backoff::new(POLICY);
        Ok(Follower { client: client.clone(), stream, at: None, backoff, is_away: false })
    }

    /// Waits for something that is minded. Cancel-safe.
    ///
    /// # Errors
    /// When the Mixer refuses to tell.
    pub(crate) async fn news(&mut self, is_minded: impl Fn(&str) -> bool) -> anyhow::Result<News> {
        let (clock, entropy) = (self.client.world.clock, self.client.world.entropy.clone());
        loop {
            let why = match &mut self.stream {
                Some(stream) => match clock.timeout(SILENCE_MAX, stream.more()).await {
                    Ok(Ok(sent)) => match self.heed(sent, &is_minded) {
                        true => return Ok(News::Look),
                        false => continue,
                    },
                    Ok(Err(why)) => why,
                    Err(_) => anyhow!("it is silent"),
                },
                None => {
                    clock.sleep(self.backoff.wait(clock.now(), &entropy)).await;
                    match Stream::open(&self.client, self.at.as_deref()).await {
                        Ok(stream) => {
                            self.backoff.up(clock.now());
                            self.stream = Some(stream);
                            let was_away = std::mem::take(&mut self.is_away);
                            if was_away || self.at.is_none() {
                                return Ok(News::Look);
                            }
                            continue;
                        }
                        Err(why) if is_final(&why) => return Err(why),
                        Err(why) => why,
                    }
                }
            };
            self.stream = None;
            if !std::mem::replace(&mut self.is_away, true) {
                return Ok(News::Away(why));
            }
        }
    }

    /// Takes in what was told; whether there is a reason to look again.
    fn heed(&mut self, sent: Vec<Sent>, is_minded: impl Fn(&str) -> bool) -> bool {
        let mut is_news = false;
        for Sent { id, event, .. } in sent {
            match event.as_str() {
                "behind" => (self.at, self.stream) = (None, None),
                "again" => self.stream = None,
                what => is_news |= is_minded(what),
            }
            self.at = id.or(self.at.take());
        }
        is_news
    }
}

/// Whether asking again would change nothing.
pub(crate) fn is_final(why: &anyhow::Error) -> bool {
    refused(why).is_some_and(|problem| (400..=404).contains(&problem.status))
}

impl Stream {
    /// What happened behind an event, or from now on.
    async fn open(client: &Client, after: Option<&str>) -> anyhow::Result<Stream> {
        let mut asking = Asking::new(Method::GET, "/events");
        if let Some(after) = after {
            asking = asking.header(HeaderName::from_static("last-event-id"), after);
        }
        let request = client.request(asking)?;
        let opened = async {
            let (mut sender, mut driver) = client.connect().await?;
            let answer = driver.drive(async { Ok(sender.send_request(request).await?) }).await?;
            let (status, body) = (answer.status(), answer.into_body());
            match status {
                StatusCode::OK => Ok(Ok(Stream { body, driver, reader: Reader::default() })),
                _ => Ok(Err((status, driver.drive(whole(body, BYTES_MAX)).await?))),
            }
        };
        client.within(opened).await?.map_err(|(status, body)| client.refusal(status, &body))
    }

    /// What is told next, one event or several. Cancel-safe.
    async fn more(&mut self) -> anyhow::Result<Vec<Sent>> {
        loop {
            let Stream { body, driver, reader } = self;
            let frame = driver.drive(async { body.frame().await.context("it ended the stream") }).await??;
            if let Some(bytes) = frame.data_ref() {
                reader.take(bytes)?;
            }
            let sent: Vec<Sent> = std::iter::from_fn(|| reader.next()).collect();
            if !sent.is_empty() {
                return Ok(sent);
            }
        }
    }
}
