//! Thousands of Racks without gears: each enrols with keys of its own, has an identity and a connection of its own on the bus, says
//! that it lives, and listens for what it is told. What that costs the Mixer is read from the system.

mod http;
mod process;
mod rack;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use flux_scenario::passport::Passport;
use flux_world::World;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use http::Http;
use process::Usage;
use rack::{Asking, Beats, Member};

/// Racks of which each step is taken at a time.
const BATCH: usize = 500;
/// Requests, and connections, that are under way at a time.
const AT_ONCE: usize = 64;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often each listing is asked for.
const LISTINGS: usize = 30;
/// Racks of a page that lists all.
const PAGE: usize = 1_000;
/// Label values among which the Racks are spread.
const SITES: usize = 50;

#[derive(Args, Clone)]
pub(crate) struct Fleet {
    /// Where the API of a Mixer in `--dev` listens
    #[arg(long)]
    api: SocketAddr,
    /// The process of the Mixer; its server is its child
    #[arg(long)]
    pid: u32,
    /// Racks
    #[arg(long, default_value_t = 1_000)]
    racks: usize,
    /// Time between two heartbeats of a Rack, which the Mixer is to be set to
    #[arg(long, default_value_t = 1_000)]
    heartbeat_ms: u64,
    /// How long heartbeats are measured
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

impl Fleet {
    pub(crate) async fn run(&self) -> Result<Json> {
        let directory = tempfile::tempdir()?;
        let server = process::child_of(self.pid)?;
        let (members, enrolment) = self.enrol(&directory).await?;
        let beats = Arc::new(Beats::default());
        let (began, mut racks) = (Instant::now(), JoinSet::new());
        let connected = Arc::new(AtomicU64::new(0));
        let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        for member in members {
            let every = Duration::from_millis(self.heartbeat_ms);
            racks.spawn(member.live(World::real(), every, turns.clone(), connected.clone(), beats.clone()));
        }
        while (connected.load(Ordering::Relaxed) as usize) < self.racks {
            if let Some(ended) = racks.try_join_next() {
                ended??;
            }
            let count = connected.load(Ordering::Relaxed);
            ensure!(began.elapsed() < PATIENCE, "only {count} Racks are connected");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let connecting = began.elapsed();
        self.until_online().await?;
        let steady = self.steady(server, &beats).await?;
        let listings = self.listings().await?;
        racks.shutdown().await;
        Ok(json!({
            "racks": self.racks, "heartbeat_ms": self.heartbeat_ms, "enrolment": enrolment,
            "connected_per_s": self.racks as f64 / connecting.as_secs_f64(), "steady": steady, "listings_ms": listings,
        }))
    }

    /// Invites and enrols all, in batches: the time is that of the requests alone, not that of making keys for them.
    async fn enrol(&self, directory: &TempDir) -> Result<(Vec<Member>, Json)> {
        let (mut members, mut inviting, mut enrolling) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        let before = Usage::of(self.pid)?;
        for batch in (0..self.racks).step_by(BATCH) {
            let names: Vec<usize> = (batch..self.racks.min(batch + BATCH)).collect();
            let began = Instant::now();
            let tokens = self.each(names, move |mut http, number| async move {
                let label = json!({ "site": format!("s{:02}", number % SITES) });
                let wanted = json!({ "rack": rack::name(number), "labels": label });
                let made = http.post("/enrolment-tokens", &wanted).await?;
                let token = made["token"].as_str().context("no token")?.to_owned();
                Ok((http, (number, token)))
            });
            let tokens = tokens.await?;
            inviting += began.elapsed();
            let asking: Result<Vec<Asking>> =
                tokens.into_iter().map(|(number, token)| Asking::new(number, token)).collect();
            let began = Instant::now();
            let path = directory.path().to_owned();
            let enrolled = self.each(asking?, move |mut http, asking| {
                let path = path.clone();
                async move {
                    let answer = http.post("/racks/enrol", &asking.body()).await?;
                    Ok((http, asking.accept(&path, answer)?))
                }
            });
            members.extend(enrolled.await?);
            enrolling += began.elapsed();
        }
        let spent = Usage::of(self.pid)?.cpu - before.cpu;
        let racks = self.racks as f64;
        let figures = json!({
            "invited_per_s": racks / inviting.as_secs_f64(), "enrolled_per_s": racks / enrolling.as_secs_f64(),
            "mixer_cpu_ms_each": spent.as_secs_f64() * 1e3 / racks,
        });
        Ok((members, figures))
    }

    /// Does something for each, on as many connections as there are at once.
    async fn each<T, R, F>(
        &self,
        all: Vec<T>,
        work: impl Fn(Http, T) -> F + Clone + Send + 'static,
    ) -> Result<Vec<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: Future<Output = Result<(Http, R)>> + Send,
    {
        let (mut done, mut tasks) = (Vec::with_capacity(all.len()), JoinSet::new());
        let mut lanes: Vec<Vec<T>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
        for (at, one) in all.into_iter().enumerate() {
            lanes[at % AT_ONCE].push(one);
        }
        for lane in lanes.into_iter().filter(|lane| !lane.is_empty()) {
            let (api, work) = (self.api, work.clone());
            tasks.spawn(async move {
                let (mut http, mut done) = (Http::connect(api).await?, Vec::new());
                for one in lane {
                    let (next, result) = work(http, one).await?;
                    http = next;
                    done.push(result);
                }
                Ok::<_, anyhow::Error>(done)
            });
        }
        while let Some(lane) = tasks.join_next().await {
            done.extend(lane??);
        }
        Ok(done)
    }

    async fn until_online(&self) -> Result<()> {
        let (began, mut http) = (Instant::now(), Http::connect(self.api).await?);
        loop {
            let listed = http.get("/racks?liveness=online&limit=1").await?.0;
            if listed["total"].as_u64() == Some(self.racks as u64) {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "{} of {} Racks are online", listed["total"], self.racks);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What heartbeats cost, when nothing else happens.
    async fn steady(&self, server: u32, beats: &Beats) -> Result<Json> {
        let pids = [self.pid, server, std::process::id()];
        let usage = || pids.map(Usage::of).into_iter().collect::<Result<Vec<_>>>();
        // On a connection of its own each time: one on which nothing is asked is closed.
        let ask = async |path: &str| anyhow::Ok(Http::connect(self.api).await?.get(path).await?.0);
        let heard = async || ask("/health").await?["counts"]["heartbeats"].as_u64().context("no count");
        let (before, sent, first) = (usage()?, beats.sent(), heard().await?);
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let (after, took) = (usage()?, began.elapsed().as_secs_f64());
        let (sent, heard) = (beats.sent() - sent, heard().await? - first);
        let online = ask("/racks?liveness=online&limit=1").await?["total"].clone();
        let of = |at: usize| {
            let cpu = (after[at].cpu - before[at].cpu).as_secs_f64() / took * 100.0;
            json!({ "cpu_percent": cpu, "rss_mib": after[at].rss_bytes as f64 / f64::from(1 << 20) })
        };
        Ok(json!({
            "sent_per_s": sent as f64 / took, "heard_per_s": heard as f64 / took, "online": online,
            "mixer": of(0), "server": of(1), "racks": of(2),
        }))
    }

    /// How long listings take while heartbeats go on.
    async fn listings(&self) -> Result<Json> {
        let mut http = Http::connect(self.api).await?;
        let mut figures = json!({});
        for (what, path) in [
            ("page_of_100", "/racks?limit=100".to_owned()),
            ("filtered_page_of_100", "/racks?label=site%3Ds07&liveness=online&limit=100".to_owned()),
            ("topology_page_of_100", "/topology?limit=100".to_owned()),
            ("page_of_1000", format!("/racks?limit={PAGE}")),
        ] {
            let mut times = Vec::new();
            for _ in 0..LISTINGS {
                times.push(http.get(&path).await?.1);
            }
            figures[what] = spread(times);
        }
        let mut times = Vec::new();
        for _ in 0..LISTINGS {
            times.push(self.list_all(&mut http).await?);
        }
        figures["all_in_pages_of_1000"] = spread(times);
        Ok(figures)
    }

    async fn list_all(&self, http: &mut Http) -> Result<Duration> {
        let (mut path, mut count, mut time) = (format!("/racks?limit={PAGE}"), 0, Duration::ZERO);
        loop {
            let (page, took) = http.get(&path).await?;
            time += took;
            count += page["racks"].as_array().map_or(0, Vec::len);
            match page["next"].as_str() {
                Some(after) => path = format!("/racks?limit={PAGE}&after={after}"),
                None => break,
            }
        }
        ensure!(count == self.racks, "{count} Racks are listed");
        Ok(time)
    }
}

fn spread(mut times: Vec<Duration>) -> Json {
    times.sort();
    let [min, median, max] = [0, times.len() / 2, times.len() - 1].map(|at| times[at].as_secs_f64() * 1e3);
    json!({ "min": min, "median": median, "max": max })
}

/// Keys of a Rack that is not there otherwise.
fn passport() -> Passport {
    Passport::from_seed(rack::chance())
}

/// Where the files of a Rack are.
fn place(directory: &Path, rack: &str, what: &str) -> std::path::PathBuf {
    directory.join(format!("{rack}.{what}"))
}
