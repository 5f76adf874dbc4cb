//! One life of the rack, and the operator who looks after it: boots it, takes dead letters out, reloads, and ends it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flux_gear::FluxMsg;
use flux_gear::mock::FilesInMemory;
use flux_rack::{
    ChangeError, DeadLetters, Filter, JournalError, Letter, Rack, Remains, Surroundings, search,
};
use flux_world::sim::{DiskLatency, Sim, SimDisk};
use flux_world::{Clock, Instant, World};

use crate::far_end::FarEnd;
use crate::house::{House, house};
use crate::plan::{Act, Life, LifeEnd};
use crate::rules::Rule;
use crate::run::{HOST, Stage, latency};
use crate::trace::Event;
use crate::{gears, judge, scenario};

/// Who looks after a rack, and what he knows.
pub(crate) struct Shift<'a> {
    stage: &'a Stage,
    life: &'a Life,
    world: World,
    clock: Clock,
    disk: SimDisk,
    /// What is still to be done to the rack.
    acts: VecDeque<(u32, Act)>,
    /// The version that runs.
    version: usize,
    /// When what is wrong with the disk is over.
    heals_at: Option<Instant>,
    /// Whether something was wrong with the disk in this life.
    is_disk_ill: bool,
    /// What the rack is connected to.
    far_ends: Vec<FarEnd>,
    looks_at: Instant,
    /// Letters the rack said it dropped. Before their notes come to the disk they are still found there.
    dropped: BTreeSet<u64>,
}

/// Longest time, simulated, in which nothing happens although something is owed: every wait in a rack is shorter.
const QUIET_MAX: Duration = Duration::from_secs(20);

/// With nothing happening for so long, what was to be done later is done now.
const RESTS: Duration = Duration::from_millis(1_200);

/// How often the driver looks whether something happened.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// Longest time a reload may take, or to take letters out.
const ACTS_WITHIN: Duration = Duration::from_secs(120);

/// Longest time until a machine that fails is down.
const DOWN_WITHIN: Duration = Duration::from_millis(20);

/// Times the rack is told to become its first version when nothing happens in another.
const RETURNS_MAX: u32 = 20;

/// Events a life has at most: many times what the longest needs.
const EVENTS_MAX: u32 = 1_000_000;

/// Where the rack keeps its state.
const STATE_DIR: &str = "/var/lib/fluxrig";

/// Times a rack is booted after its disk lied, each with one journal more repaired.
const BOOTS_MAX: usize = 40;

impl<'a> Shift<'a> {
    pub(crate) fn new(stage: &'a Stage, sim: &Sim, life: &'a Life) -> Shift<'a> {
        let world = sim.host(HOST);
        let clock = world.clock;
        Shift {
            stage,
            life,
            clock,
            disk: sim.disk(HOST),
            acts: life.acts.iter().copied().collect(),
            version: life.version,
            heals_at: None,
            is_disk_ill: false,
            far_ends: FarEnd::all(sim, &stage.plan),
            looks_at: clock.now(),
            dropped: BTreeSet::new(),
            world,
        }
    }

    /// One life of the rack, up to its end; a crash leaves it as it stands.
    pub(crate) async fn live(mut self, number: usize) {
        let end = self.life.end;
        house(|house| house.begin_life(number, self.clock, end.events()));
        let Some(mut rack) = self.boot().await else {
            return house(|house| house.end_life());
        };
        let is_going_on = self.watch(&mut rack).await;
        match end {
            _ if !is_going_on && house(|house| house.was_lied_to) && self.is_damaged(&rack) => {
                // The wire has said so in the log, and goes no further.
                house(|house| house.coverage.saw("journal_stalled"));
                house(|house| house.is_over = true);
            }
            _ if !is_going_on => house(|house| judge::stuck(house, &rack.stats())),
            LifeEnd::Crash { writes, .. } => {
                self.go_down(writes.into()).await;
                self.end_suddenly(rack.dead_letters(), "crash", Event::Crashes);
            }
            LifeEnd::Kill { .. } => self.end_suddenly(rack.dead_letters(), "kill", Event::Killed),
            LifeEnd::Drain { .. } => self.drain(rack).await,
            LifeEnd::Finish => {
                house(|house| judge::finished(house, &rack.stats()));
                self.drain(rack).await;
            }
        }
    }

    /// Boots the rack; nothing when that did not come to its end.
    async fn boot(&mut self) -> Option<Rack> {
        let Life { version, end, .. } = *self.life;
        if let LifeEnd::Crash { events: 0, writes } = end {
            self.disk.stop_after(writes.into());
            let booted = self.clock.timeout(DOWN_WITHIN, self.boot_once(version)).await;
            house(|house| house.coverage.saw("crash_while_booting"));
            let letters = booted.ok().and_then(Result::ok).map(|rack| rack.dead_letters().clone());
            self.end_suddenly(
                &letters.unwrap_or_else(|| Arc::new(DeadLetters::new(1, 1))),
                "crash",
                Event::Crashes,
            );
            return None;
        }
        for _ in 0..BOOTS_MAX {
            let why = match Box::pin(self.boot_once(version)).await {
                Ok(rack) => return Some(rack),
                Err(why) => why,
            };
            // The process is gone by the time somebody reads why.
            self.disk.end_process();
            self.clock.sleep(LOOKS_EVERY).await;
            if !house(|house| house.was_lied_to) || !self.repair(&why) {
                house(|house| house.ledger.violate(Rule::Boots, why.to_string()));
                return None;
            }
        }
        house(|house| house.ledger.violate(Rule::Boots, "repairs do not help".into()));
        None
    }

    async fn boot_once(&self, version: usize) -> Result<Rack, ChangeError> {
        let Stage { plan, registry, catalog } = self.stage;
        let circuit = scenario::circuit(plan, version, catalog).expect("a drawn version is a valid scenario");
        let surroundings = Surroundings {
            registry: registry.clone(),
            settings: scenario::settings(&plan.knobs),
            world: self.world.clone(),
            files: Arc::new(FilesInMemory(BTreeMap::new())),
            state_dir: STATE_DIR.into(),
            store: scenario::store(&plan.knobs),
            mesh: None,
        };
        Rack::boot(circuit, surroundings).await
    }

    /// Does what the rack says has to be done about a journal that a lying disk damaged. False when it says nothing of use.
    fn repair(&self, why: &ChangeError) -> bool {
        let ChangeError::Journal { source, .. } = why else { return false };
        let directory = match source {
            JournalError::Open { directory, .. } | JournalError::Damaged { directory, .. } => directory,
            _ => return false,
        };
        let says_what_to_do = ["fluxrig journal repair", "fluxrig journal check"]
            .iter()
            .any(|command| source.to_string().contains(&format!("{command} {}", directory.display())));
        if !says_what_to_do {
            return false;
        }
        let repaired = flux_journal::repair(&self.world, directory, false);
        let is_mended = repaired.is_ok_and(|report| !report.moved.is_empty() && report.left.is_empty());
        house(|house| house.coverage.saw(if is_mended { "journal_repaired" } else { "journal_set_aside" }));
        if !is_mended {
            // What cannot be repaired is kept elsewhere, and the wire begins anew.
            for entry in self.world.disk.list(directory).unwrap_or_default() {
                let _ = self.world.disk.remove(&directory.join(entry.name));
            }
        }
        true
    }

    /// Whether a journal of a wire is not what it should be, as `fluxrig journal check` says.
    fn is_damaged(&self, rack: &Rack) -> bool {
        let durable = rack.stats().wires.into_iter().filter(|wire| wire.durable.is_some());
        durable.into_iter().any(|wire| {
            let directory = format!("{STATE_DIR}/wires/{}", wire.name.replace(" -> ", "+"));
            !flux_journal::check(&self.world, directory.as_ref()).is_ok_and(|report| report.is_clean())
        })
    }

    /// Does what is to be done until this life is to end. False when nothing moves any more.
    async fn watch(&mut self, rack: &mut Rack) -> bool {
        let (mut quiet, mut events, mut returns) = (Duration::ZERO, 0, 0);
        loop {
            if house(|house| house.is_to_stop() || !house.ledger.violations.is_empty()) {
                return true;
            }
            self.tend();
            let is_idle = quiet >= RESTS;
            if let Some((_, act)) =
                self.acts.pop_front_if(|(at, _)| is_idle || *at <= house(|house| house.events()))
            {
                self.act(rack, act).await;
                quiet = Duration::ZERO;
                continue;
            }
            if is_idle && self.version != 0 && returns < RETURNS_MAX {
                returns += 1;
                // What waits in journals of other versions comes out.
                self.act(rack, Act::Reload(0)).await;
                quiet = Duration::ZERO;
                continue;
            }
            if self.clock.now() >= self.looks_at {
                self.take_letters(rack).await;
            }
            if is_idle && house(|house| house.ledger.is_all_done(&house.plan)) {
                return true;
            }
            if quiet >= QUIET_MAX {
                return false;
            }
            let bell = house(|house| {
                let next = self.acts.front().map_or(u32::MAX, |(at, _)| *at);
                house.wakes_at = next.min(self.life.end.events().unwrap_or(u32::MAX));
                house.bell.clone()
            });
            let _ = self.clock.timeout(LOOKS_EVERY, bell.notified()).await;
            let so_far = house(|house| house.events());
            quiet = if so_far == events { quiet + LOOKS_EVERY } else { Duration::ZERO };
            events = so_far;
            if events > EVENTS_MAX {
                house(|house| house.ledger.violate(Rule::Progress, "it never comes to an end".into()));
            }
        }
    }

    async fn act(&mut self, rack: &mut Rack, act: Act) {
        house(|house| {
            house.coverage.act(act);
            house.note(Event::Mishap { act });
        });
        self.is_disk_ill |= !matches!(act, Act::Reload(_) | Act::Line(_));
        match act {
            Act::Reload(to) => self.reload(rack, to).await,
            Act::FailSyncs(times) => {
                house(|house| house.ledger.journals_fail(times));
                self.disk.fail_syncs(times);
            }
            Act::Fill(ms) => {
                self.disk.set_capacity(Some(self.disk.used_bytes()));
                self.heals_at = Some(self.clock.now() + Duration::from_millis(ms.into()));
            }
            Act::Slow(ms) => {
                let each = Duration::from_millis(ms.into());
                self.disk.set_latency(DiskLatency { read: each, write: each, sync: each });
                self.heals_at = Some(self.clock.now() + each * 100);
            }
            Act::Line(fault) => {
                house(|house| house.ledger.line_fails());
                self.far_ends.iter_mut().for_each(|far_end| far_end.suffer(fault));
            }
            Act::Lie => {
                house(|house| house.has_lied = true);
                self.disk.set_lying(true);
            }
        }
    }

    /// What is wrong with the disk, or with the line, ends in its time.
    fn tend(&mut self) {
        self.far_ends.iter_mut().for_each(FarEnd::tend);
        if self.heals_at.take_if(|at| *at <= self.clock.now()).is_some() {
            self.disk.set_capacity(None);
            self.disk.set_latency(latency(&self.stage.plan.knobs));
        }
    }

    /// Has something done while time goes on; nothing when the machine stops in the middle, or when it takes too long.
    async fn wait_for<T>(
        &mut self,
        letters: &DeadLetters,
        what: &str,
        done: impl Future<Output = T>,
    ) -> Option<T> {
        let began = self.clock.now();
        let mut done = Box::pin(done);
        loop {
            if let Ok(done) = self.clock.timeout(LOOKS_EVERY, &mut done).await {
                return Some(done);
            }
            self.tend();
            house(|house| collect(house, letters));
            if self.life.end.is_sudden() && house(|house| house.is_to_stop()) {
                house(|house| house.coverage.saw("end_in_the_middle"));
                return None;
            }
            if self.clock.now() - began > ACTS_WITHIN {
                house(|house| house.ledger.violate(Rule::Progress, format!("{what} does not end")));
                return None;
            }
        }
    }

    async fn reload(&mut self, rack: &mut Rack, to: usize) {
        let Stage { plan, catalog, .. } = self.stage;
        let circuit = scenario::circuit(plan, to, catalog).expect("a drawn version is a valid scenario");
        house(|house| {
            house.note(Event::Reloads { to });
            house.ledger.returned();
        });
        let (before, letters) = (names(rack), rack.dead_letters().clone());
        let Some(result) =
            self.wait_for(&letters, "a reload", rack.reload(circuit, Remains::LeftOnDisk)).await
        else {
            return;
        };
        house(|house| house.note(Event::Reloaded { is_done: result.is_ok() }));
        if let Err(why) = &result {
            tracing::warn!(error = %why, "reload refused");
        }
        let broken = plan.versions[to].broken;
        let is_unchanged = names(rack) == before;
        let mut lie = None;
        house(|house| match result {
            Ok(_) if broken.is_some() => {
                house.ledger.violate(Rule::Reloads, format!("version {to} cannot run and went live"));
            }
            Ok(_) => {
                house.coverage.reloaded(&plan.versions[self.version], &plan.versions[to]);
                self.version = to;
            }
            Err(why) if !is_unchanged => {
                house.ledger.violate(Rule::Reloads, format!("refused, and something changed: {why}"));
            }
            Err(ChangeError::Busy { .. }) => house.coverage.saw("reload_refused_busy"),
            Err(why @ ChangeError::Journal { .. }) if house.was_lied_to => lie = Some(why),
            Err(ChangeError::Journal { .. }) if self.is_disk_ill => {
                house.coverage.saw("reload_refused_by_disk")
            }
            Err(ChangeError::Init { .. } | ChangeError::Start { .. }) if broken.is_some() => {
                house.coverage.saw("reload_refused");
            }
            Err(why) => house.ledger.violate(Rule::Reloads, format!("version {to}: {why}")),
        });
        if let Some(why) = lie {
            self.clock.sleep(LOOKS_EVERY).await;
            if !self.repair(&why) && !self.is_disk_ill {
                house(|house| house.ledger.violate(Rule::Reloads, why.to_string()));
            }
        }
    }

    /// Takes dead letters out, as an operator does.
    async fn take_letters(&mut self, rack: &Rack) {
        self.looks_at = self.clock.now() + Duration::from_millis(self.stage.plan.knobs.looks_ms.into());
        let letters = rack.dead_letters().clone();
        house(|house| collect(house, &letters));
        if letters.is_empty() {
            return;
        }
        let found = match search(&self.world, STATE_DIR.as_ref(), &Filter::default(), usize::MAX) {
            Ok(found) => found.letters,
            Err(_) if self.is_disk_ill => return,
            Err(why) => {
                return house(|house| {
                    house.ledger.violate(Rule::NothingLost, format!("dead letters: {why}"))
                });
            }
        };
        let all = Filter::default();
        // Those that come meanwhile lie behind them.
        let dropped = rack.drop_letters(&all, found.len());
        match self.wait_for(&letters, "to drop dead letters", dropped).await {
            Some(Ok(dropped)) => {
                self.dropped.extend(dropped.iter().map(|letter| letter.sequence));
                dropped.iter().for_each(take);
            }
            Some(Err(_)) if self.is_disk_ill => {}
            Some(Err(why)) => {
                house(|house| house.ledger.violate(Rule::NothingLost, format!("dead letters: {why}")));
            }
            // Nobody tells which of them are gone.
            None => {
                found.iter().filter(|letter| !self.dropped.contains(&letter.sequence)).for_each(take);
            }
        }
    }

    /// The machine fails, and is down after some more writes, or when there are none.
    async fn go_down(&self, writes: u64) {
        let (from, until) = (self.disk.changes(), self.clock.now() + DOWN_WITHIN);
        self.disk.stop_after(writes);
        while self.disk.changes() - from < writes && self.clock.now() < until {
            self.clock.sleep(Duration::from_micros(50)).await;
        }
    }

    fn end_suddenly(&self, letters: &DeadLetters, how: &'static str, event: Event) {
        house(|house| {
            house.coverage.saw(how);
            collect(house, letters);
            house.note(event);
            house.ledger.disturbed();
            house.end_life();
        });
    }

    async fn drain(&mut self, rack: Rack) {
        house(|house| {
            house.note(Event::Drains);
            house.ledger.returned();
        });
        let letters = rack.dead_letters().clone();
        let Some(report) = self.wait_for(&letters, "a drain", rack.shut_down()).await else { return };
        let is_ill = self.heals_at.is_some();
        house(|house| {
            let left_over = collect(house, &letters);
            if is_ill {
                // What was settled last may have found no room.
                house.ledger.disturbed();
            }
            house.note(Event::Drained { is_clean: report.is_clean() });
            judge::drained(house, &report, left_over);
            house.end_life();
        });
    }
}

/// What runs, by name.
fn names(rack: &Rack) -> (Vec<String>, Vec<String>) {
    let stats = rack.stats();
    (
        stats.gears.into_iter().map(|gear| gear.name).collect(),
        stats.wires.into_iter().map(|wire| wire.name).collect(),
    )
}

/// Takes all dead letters out of memory; returns how many there were.
fn collect(house: &mut House, letters: &DeadLetters) -> u64 {
    let letters = letters.take(usize::MAX);
    for letter in &letters {
        bury(house, &letter.gear, letter.reason.as_str(), &letter.msg, letter.unix_ns);
    }
    letters.len() as u64
}

fn bury(house: &mut House, gear: &str, reason: &str, msg: &FluxMsg, unix_ns: i64) {
    house.coverage.saw("dead_letter");
    house.dead(gears::place(gear).unwrap_or(usize::MAX), reason, msg, unix_ns);
}

/// An operator has taken a dead letter out of the journal.
fn take(letter: &Letter) {
    match letter.message() {
        Ok(msg) => house(|house| bury(house, &letter.gear, &letter.reason, &msg, letter.unix_ns)),
        Err(why) => house(|house| house.ledger.violate(Rule::Unaltered, format!("a dead letter: {why}"))),
    }
}
