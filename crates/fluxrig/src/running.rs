//! A rack while it runs: what it is asked, what makes it another, and its end.

use std::{
    collections::BTreeMap,
    path::Path,
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;
use flux_rack::{DurableStats, Estate, Handled, JournalError, MeshStats, Rack, Remains, Surroundings};
use flux_scenario::{
    Settings,
    edition::ContentHash,
    settings::{DeadLetterPlace, STATE_DIR},
    units::ByteSize,
};
use flux_world::Instant;
use serde_json::Value as Json;
use tokio::{
    net::UnixStream,
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};

use crate::{
    alarms::{Alarm, Alarms, millis},
    bus::{BusOptions, Given, Way},
    control::{self, Answer, Asked, ControlSocket, Request},
    files::FilesNow,
    last_good::{LastGood, ToKeep},
    mixer::Wish,
    plan::{Plan, PlanOptions},
    state_dir::StateDir,
    status::{GearStatus, RackStatus, WireStatus},
    stop::StopSignal,
    terminal,
    watch::Watch,
    watchman::{Findings, Watchman},
};

mod giving_way;
mod obeying;
mod reading;
mod reloading;

use giving_way::GaveWay;
use reading::{Reader, Wanted};

/// How full a journal of a wire to another rack may be before the alarm is raised.
const OUTBOX_FULL_PERCENT: u64 = 80;

/// How it is to run.
pub(crate) struct RunOptions {
    /// What to run; asked again at each reload.
    pub(crate) plan: PlanOptions,
    /// Its state directory, where it has one.
    pub(crate) state_dir: Option<StateDir>,
    /// Whether it reloads when its files change.
    pub(crate) is_watching: bool,
    /// Whether it runs what ran last, which is kept already; and why not the very last, where that is so.
    pub(crate) restored: Option<Option<String>>,
    /// What the gears of the rack left that it takes over from.
    pub(crate) estate: Estate,
    /// Where the bus is, in place of what the settings say.
    pub(crate) bus: Option<String>,
    /// What its Mixer is told.
    pub(crate) vitals: Arc<Vitals>,
    /// What its Mixer wants, where it has one, and how to its bus.
    pub(crate) wishes: Option<watch::Receiver<Wish>>,
    pub(crate) given: Option<Given>,
}

/// A rack and what is around it in this process.
pub(crate) struct Running {
    options: PlanOptions,
    /// What runs.
    plan: Plan,
    /// The settings it was started with, which are those in effect.
    settings: Settings,
    files: Arc<FilesNow>,
    rack: Rack,
    bus: BusOptions,
    /// The way to other racks, once there is one.
    way: Option<Way>,
    began: Instant,
    /// Since when each gear is what it is.
    since: BTreeMap<String, Instant>,
    alarms: Alarms,
    hangup: Signal,
    /// Reads versions that are to go live.
    reader: Reader,
    watch: Option<Watch>,
    watchman: Watchman,
    control: Option<ControlSocket>,
    /// Where what runs is kept.
    last_good: Option<LastGood>,
    /// Whether it is still to be kept.
    is_to_keep: bool,
    /// Ours until the rack is down.
    state_dir: Option<StateDir>,
    /// What a Mixer is told.
    vitals: Arc<Vitals>,
    /// What it wants.
    wishes: Option<watch::Receiver<Wish>>,
    /// When what it wanted and was refused is tried again.
    obey_at: Option<Instant>,
}

/// How a rack does, in two numbers that are known from the last time it was minded.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub(crate) gears: AtomicU64,
    pub(crate) alarms: AtomicU64,
    /// The orders that it obeys.
    pub(crate) obeyed: watch::Sender<Option<ContentHash>>,
}

/// What there is to do next.
enum Task {
    Answer(Request, oneshot::Sender<Answer<Json>>),
    GiveWay(Duration, UnixStream),
    Reload(&'static str),
    /// Its Mixer wants something.
    Obey,
    /// A version was read, or why it could not be.
    GoOver(Wanted, Box<Result<Plan, String>>),
    Mind(Findings),
}

impl Running {
    /// Boots what was planned, which has no errors.
    ///
    /// # Errors
    /// When a gear cannot start. Nothing is left running, and what another rack left is as it was.
    ///
    /// Nobody can ask it anything, and what came from another rack waits, until [`Running::go_on`].
    pub(crate) async fn boot(plan: Plan, options: RunOptions) -> anyhow::Result<Running> {
        let circuit = plan.circuit.clone().ok_or_else(|| anyhow!("the scenario has errors"))?;
        let (world, settings) = (plan.world.clone(), plan.settings.clone());
        // Listened for from the start: a rack that boots must not be killed by a reload that comes early.
        let hangup = signal(SignalKind::hangup())?;
        let state_dir = options.state_dir;
        let kept_in = state_dir.as_ref().map_or(STATE_DIR.as_ref(), StateDir::path);
        let files = FilesNow::new(plan.files.clone());
        let names: Vec<String> = circuit.gears.iter().map(|gear| gear.name.clone()).collect();
        let bus = BusOptions {
            url: options.bus,
            given: options.given,
            settings: settings.clone(),
            directory: plan.settings_directory(),
        };
        let way = bus.way(&world, &circuit).await?;
        let mut surroundings = surroundings(&plan, kept_in, files.clone(), state_dir.is_some());
        surroundings.mesh = way.as_ref().map(|way| way.line.clone());
        let rack = Rack::boot_with(circuit, surroundings, options.estate).await;
        let rack = rack.map_err(|why| anyhow!("{}: {why}", plan.place(why.gear())))?;
        let began = world.clock.now();
        let watch = || Watch::new(plan.files.contents(), world.disk.clone(), world.clock);
        let watch = options.is_watching.then(watch);
        let path = state_dir.as_ref().map(|state_dir| state_dir.path().to_owned());
        let last_good = path.as_ref().and_then(|path| LastGood::new(world.clone(), path, &settings.base));
        let latest_unix_ms = last_good.as_ref().map_or(0, LastGood::saved_unix_ms);
        let watchman = Watchman::new(world.disk.clone(), world.clock, path, latest_unix_ms);
        let mut running = Running {
            reader: Reader::new(options.plan.clone(), world.disk.clone(), world.clock),
            options: options.plan,
            plan,
            settings,
            files,
            rack,
            bus,
            way,
            began,
            since: names.into_iter().map(|name| (name, began)).collect(),
            alarms: Alarms::new(world.clock),
            hangup,
            watch,
            watchman,
            control: None,
            last_good,
            is_to_keep: options.restored.is_none(),
            state_dir,
            vitals: options.vitals,
            wishes: options.wishes,
            obey_at: None,
        };
        running.alarms.set(Alarm::LastGood, options.restored.flatten());
        Ok(running)
    }

    /// Says that it is the rack that runs: the one it took over from, if any, is gone.
    pub(crate) async fn go_on(&mut self) {
        self.rack.resume().await;
        self.open_control();
        self.keep().await;
        self.note_vitals();
        if let Some(wish) = self.wishes.as_mut().map(|wishes| wishes.borrow_and_update().clone()) {
            terminal::set_log_level(wish.log_level);
            self.vitals.obeyed.send_replace(wish.digest);
        }
        let gears = self.since.len();
        tracing::info!(scenario = self.plan.name(), gears, "rack is up");
    }

    /// Does what it is asked until it is told to stop, then drains. Told again, it stops at once.
    pub(crate) async fn run(mut self, mut stop: StopSignal) -> ExitCode {
        loop {
            let task = tokio::select! {
                biased;
                () = stop.wait() => break,
                task = self.next() => task,
            };
            let task = match task {
                Task::Obey if self.is_over() => break,
                Task::GiveWay(within, stream) => match Box::pin(self.give_way(within, stream)).await {
                    GaveWay::Gone(code) => return code,
                    GaveWay::GoesOn(running) => {
                        self = *running;
                        continue;
                    }
                },
                task => task,
            };
            let Some(is_told_to_stop) = finish(Box::pin(self.act(task)), &mut stop).await else {
                return ExitCode::FAILURE;
            };
            if is_told_to_stop {
                break;
            }
        }
        tracing::info!("draining; signal again to stop at once");
        let Running { rack, control, watch, watchman, state_dir: _ours_to_the_end, .. } = self;
        drop((control, watch, watchman));
        tokio::select! {
            biased;
            report = rack.shut_down() => {
                if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            () = stop.wait() => ExitCode::FAILURE,
        }
    }

    /// The next task. Cancel-safe.
    async fn next(&mut self) -> Task {
        let Running { hangup, reader, watch, watchman, control, wishes, obey_at, .. } = self;
        let wanted = obeying::wanted(wishes, *obey_at, self.plan.world.clock);
        let changed = async {
            match watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        let asked = async {
            match control {
                Some(control) => control.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = hangup.recv() => Task::Reload("SIGHUP"),
            () = wanted => Task::Obey,
            (wanted, read) = reader.next() => Task::GoOver(wanted, Box::new(read)),
            asked = asked => match asked {
                Asked::Question { request, answer } => Task::Answer(request, answer),
                Asked::TakeOver { within, stream } => Task::GiveWay(within, stream),
            },
            () = changed => Task::Reload("the files changed"),
            findings = watchman.next() => Task::Mind(findings),
        }
    }

    async fn act(&mut self, task: Task) {
        let (request, answer) = match task {
            Task::Answer(request, answer) => (request, answer),
            // Its stream is dropped, and so whoever asked is told; the loop answers it itself.
            Task::GiveWay(..) => return,
            Task::Reload(because) => return self.reader.want(Wanted::unasked(because)),
            Task::Obey => return self.obey().await,
            Task::GoOver(wanted, read) => return Box::pin(self.go_over(wanted, *read)).await,
            Task::Mind(findings) => {
                self.mind(findings).await;
                return;
            }
        };
        let told = match request {
            Request::Status {} => serde_json::to_value(self.status()),
            Request::Reload { dry_run, leave } => {
                let remains = if leave { Remains::LeftOnDisk } else { Remains::Delivered };
                return self.reader.want(Wanted::asked(dry_run, remains, answer));
            }
            Request::Replay { filter, limit } => Ok(handled(self.rack.replay(&filter, limit).await)),
            Request::TakeOver { .. } => Ok(Json::Null),
            Request::DropLetters { filter, limit } => {
                let dropped = self.rack.drop_letters(&filter, limit).await;
                let letters =
                    |dropped: Vec<_>| Handled { letters: dropped.len() as u64, ..Handled::default() };
                Ok(handled(dropped.map(letters)))
            }
        };
        // Whoever asked may have left.
        let _ = answer.send(told.map_or_else(|why| Answer::Error(why.to_string()), Answer::Ok));
    }

    /// Raises and ends alarms, and makes up for what could not be done before.
    async fn mind(&mut self, findings: Findings) {
        for (alarm, why) in findings {
            match alarm {
                // It is made anew below, and the alarm ends with that. What was found may have been before it was made.
                Alarm::ControlSocket if why.is_some() && self.has_lost_control() => {
                    self.control = None;
                    self.alarms.set(alarm, why);
                }
                Alarm::ControlSocket => {}
                _ => self.alarms.set(alarm, why),
            }
        }
        let waiting = self.rack.waiting();
        let waiting: Vec<_> =
            waiting.iter().map(|(gear, waiting)| format!("gear `{gear}` {waiting}")).collect();
        self.alarms.set(Alarm::Waiting, (!waiting.is_empty()).then(|| waiting.join("; ")));
        self.alarms.set(Alarm::Journal, self.unreadable());
        self.alarms.set(Alarm::Outbox, self.full_or_old());
        let left = self.rack.left_on_disk();
        let left: Vec<_> = left.iter().map(|left| format!("{left}, which is not in the scenario")).collect();
        self.alarms.set(Alarm::LeftOnDisk, (!left.is_empty()).then(|| left.join("; ")));
        if self.control.is_none() {
            self.open_control();
        }
        self.keep().await;
        self.note_vitals();
    }

    fn note_vitals(&self) {
        self.vitals.gears.store(self.since.len() as u64, Ordering::Relaxed);
        self.vitals.alarms.store(self.alarms.list().len() as u64, Ordering::Relaxed);
    }

    /// Keeps what runs where that is still to be done, so that a rack which is given no file starts with it.
    async fn keep(&mut self) {
        let Some(last_good) = self.last_good.clone().filter(|_| self.is_to_keep) else { return };
        let what = ToKeep::new(&self.plan, &self.options);
        let kept = self.plan.world.disk.offload(move || last_good.keep(what)).await;
        self.is_to_keep = kept.is_err();
        let problem = kept.err().map(|why| format!("cannot keep what runs: {why:#}"));
        self.alarms.set(Alarm::LastGood, problem);
    }

    /// Why journals of wires cannot be read on.
    fn unreadable(&self) -> Option<String> {
        let wires = self.rack.stats().wires.into_iter();
        let problems: Vec<String> =
            wires.filter_map(|wire| Some(format!("{}: {}", wire.name, wire.durable?.unreadable?))).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// Which wires to other racks are nearly full, or hold what has waited for long.
    fn full_or_old(&self) -> Option<String> {
        let alarm_after_ms = millis(self.settings.snake.alarm_after.0);
        let mut problems = Vec::new();
        for wire in self.rack.stats().wires {
            let Some(durable @ DurableStats { mesh: Some(mesh), .. }) = &wire.durable else { continue };
            let is_nearly_full = durable.bytes_max > 0
                && durable.bytes / (durable.bytes_max / 100).max(1) >= OUTBOX_FULL_PERCENT;
            if is_nearly_full || durable.stuck.is_some() {
                let bytes_max = ByteSize(durable.bytes_max);
                problems.push(format!(
                    "{}: its journal is nearly full, and takes no more at {bytes_max}",
                    wire.name
                ));
            }
            if let MeshStats::Out { to, oldest_ms: Some(oldest_ms), .. } = mesh
                && *oldest_ms >= alarm_after_ms
            {
                let why = mesh.link().1.map_or_else(|| format!("`{to}` does not take it"), str::to_owned);
                problems
                    .push(format!("{}: {} messages wait for `{to}`: {why}", wire.name, durable.unsettled));
            }
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn has_lost_control(&self) -> bool {
        let state_dir = self.state_dir.as_ref().filter(|_| self.control.is_some());
        state_dir.is_some_and(|state_dir| !control::is_there(state_dir.path()))
    }

    fn open_control(&mut self) {
        let Some(state_dir) = &self.state_dir else { return };
        let opened = ControlSocket::open(state_dir.path(), self.plan.world.clock);
        let problem = opened.as_ref().err().map(|why| format!("cannot make the control socket: {why}"));
        self.alarms.set(Alarm::ControlSocket, problem);
        self.control = opened.ok();
    }

    fn status(&self) -> RackStatus {
        let stats = self.rack.stats();
        let now = self.plan.world.clock.now();
        let ms_since = |began: Instant| millis(now.saturating_duration_since(began));
        let gears = stats.gears.into_iter().map(|gear| GearStatus {
            uptime_ms: self.since.get(&gear.name).copied().map_or(0, ms_since),
            gear: gear.name,
            kind: gear.kind,
            processed: gear.processed,
            emitted: gear.emitted,
            invalid: gear.invalid,
            restarted: gear.restarted,
            dead_lettered: gear.dead_lettered,
            waiting: gear.waiting,
        });
        let lanes = self.plan.circuit.iter().flat_map(|circuit| &circuit.wires).map(|wire| wire.lane);
        let wires = stats.wires.into_iter().zip(lanes).map(|(wire, lane)| WireStatus {
            wire: wire.name,
            lane: lane.word().into(),
            depth: wire.depth,
            passed: wire.passed,
            blocked: wire.blocked,
            durable: wire.durable,
        });
        RackStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            scenario: self.plan.name().into(),
            uptime_ms: ms_since(self.began),
            alarms: self.alarms.list(),
            gears: gears.collect(),
            wires: wires.collect(),
            dead_letters: stats.dead_letters,
            left_on_disk: self.rack.left_on_disk(),
        }
    }
}

/// What a plan runs in. A rack with a directory of its own keeps its dead letters there, unless it is told otherwise.
fn surroundings(plan: &Plan, kept_in: &Path, files: Arc<FilesNow>, has_directory: bool) -> Surroundings {
    let mut surroundings = plan.surroundings(kept_in, files);
    let letters = &mut surroundings.settings.dead_letters;
    if *letters == DeadLetterPlace::Auto && has_directory {
        *letters = DeadLetterPlace::Disk;
    }
    surroundings
}

/// What became of dead letters, or why nothing did.
fn handled(what: Result<Handled, JournalError>) -> serde_json::Value {
    match what {
        Ok(handled) => serde_json::json!({ "handled": handled }),
        Err(why) => serde_json::json!({ "why": why.to_string() }),
    }
}

/// Does something to its end, since a rack must not be left half changed, and says whether it was told to stop
/// meanwhile; `None` when it was told so twice.
async fn finish(mut work: Pin<Box<impl Future<Output = ()>>>, stop: &mut StopSignal) -> Option<bool> {
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            () = &mut work => return Some(is_told),
            () = stop.wait() => {
                if is_told {
                    return None;
                }
                is_told = true;
            }
        }
    }
}
