//! The parts of a run: what is done to a house, and what has to be true while it is.

use std::{collections::BTreeSet, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use super::{
    Random, Report,
    house::{House, Site},
    ledger::Verdict,
    options::Options,
    signal,
    tear::{self, Flip},
};

/// A disk that a journal fills in seconds, and still has room enough when it is empty.
const SMALL_DISK_MIB: u64 = 48;
/// Messages that are accepted while the receiver stands still, before a bit is flipped.
const BACKLOG: u64 = 10_000;
/// A line is gone at most for so long.
const LONGEST_PARTITION: Duration = Duration::from_secs(3);
/// When a ledger does not change for so long, what was under way has arrived.
const QUIET: Duration = Duration::from_millis(300);

/// Kills the rack again and again.
pub(super) fn kills(
    site: Site,
    options: &Options,
    random: &mut Random,
    report: &mut Report,
) -> Result<Verdict> {
    let mut house = House::open(site)?;
    let mut in_flight = Vec::new();
    for kill in 1..=options.kills {
        // One in ten is killed while it recovers from the kill before.
        if random.below(10) > 0 {
            house.wait_for_progress()?;
        }
        thread::sleep(random.span(options.longest_life));
        in_flight.push(house.in_flight()?);
        let is_cut_off = house.network.is_bad() && random.below(8) == 0;
        if is_cut_off {
            report.partitions += 1;
            house.network.set_line(false)?;
            thread::sleep(random.span(LONGEST_PARTITION));
        }
        house.kill_rack()?;
        if options.are_files_torn {
            report.torn += u64::from(tear::tear(&house.journal(), random)?);
        }
        if random.below(20) == 0 {
            // Now and then the others find nobody for a while.
            thread::sleep(Duration::from_millis(random.below(500)));
        }
        house.start_rack()?;
        if is_cut_off {
            thread::sleep(random.span(LONGEST_PARTITION));
            house.network.set_line(true)?;
        }
        if options.stops_at == Some(kill) {
            house.stop_rack_for(options.stop_for)?;
        }
        if !options.is_json && kill % 50 == 0 {
            println!("{kill} kills");
        }
    }
    in_flight.sort_unstable();
    report.in_flight_median = in_flight.get(in_flight.len() / 2).copied().unwrap_or_default();
    let verdict = house.close(&[])?;
    Ok(verdict)
}

/// Whether a file system can be mounted here. Where it cannot, that is said, and is an error where it must be.
pub(super) fn can_mount() -> Result<bool> {
    let mut command = Command::new("unshare");
    let output = command.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let can = output.is_ok_and(|output| output.status.success());
    ensure!(can || !crate::peers::is_required(), "no tmpfs can be mounted here: root and util-linux can");
    if !can {
        eprintln!("no tmpfs can be mounted here: the part with full disks is left out");
    }
    Ok(can)
}

/// Fills the disk under the rack again and again.
pub(super) fn full_disks(
    mut site: Site,
    options: &Options,
    random: &mut Random,
    report: &mut Report,
) -> Result<Verdict> {
    site.disk_mib = Some(SMALL_DISK_MIB);
    let mut house = House::open(site)?;
    for time in 0..options.full_disks {
        house.wait_for_progress()?;
        signal(&house.receiver, "STOP")?;
        house.wait_for_status("the journal fills the disk, and says so", |status| {
            has_alarm(status, "disk_full", "")
                && stuck(status).is_some_and(|why| why.contains("disk is full"))
        })?;
        let is_killed = time == 0 || random.below(2) == 0;
        if is_killed {
            house.kill_rack()?;
            house.start_rack()?;
            house.wait_for_status("a rack starts on a full disk", |_| true)?;
        }
        let (accepted, before) = (house.accepted.clone(), house.accepted.count());
        signal(&house.receiver, "CONT")?;
        house.wait_until("what arrives makes room for more", Duration::from_millis(10), |_| {
            Ok(accepted.count() > before)
        })?;
        // Who sends faster than others receive keeps the disk full.
        signal(&house.sender, "STOP")?;
        house.wait_for_status("there is room again, and all goes on", |status| {
            !has_alarm(status, "disk_full", "") && stuck(status).is_none()
        })?;
        signal(&house.sender, "CONT")?;
        report.full_disks += 1;
    }
    house.close(&[])
}

/// Flips bits of what was acknowledged: each has to be told, and nothing else may be lost.
pub(super) fn flips(
    site: Site,
    options: &Options,
    random: &mut Random,
    report: &mut Report,
) -> Result<Verdict> {
    let mut house = House::open(site)?;
    let mut reported = Vec::new();
    for _ in 0..options.flips {
        house.wait_for_progress()?;
        signal(&house.receiver, "STOP")?;
        let (accepted, before) = (house.accepted.clone(), house.accepted.count());
        house.wait_until("messages wait on disk", Duration::from_millis(10), |_| {
            Ok(accepted.count() >= before + BACKLOG)
        })?;
        house.kill_rack()?;
        signal(&house.receiver, "CONT")?;
        let flip = flip_one(&house, random)?.context("nothing waits on disk")?;
        report.flips += 1;
        find_damaged(&mut house, &flip)?;
        reported.push(flip.number);
        let (code, told) = house.journal_command("repair")?;
        ensure!(code == Some(0), "the journal is not repaired: {told}");
        house.start_rack()?;
    }
    house.wait_for_progress()?;
    let verdict = house.close(&reported)?;
    ensure!(
        verdict.damaged.len() == reported.len(),
        "of {reported:?}, whose records were damaged, only {:?} did not arrive: a damaged record was delivered",
        verdict.damaged
    );
    Ok(verdict)
}

/// Flips a bit of a record that was acknowledged and has not arrived.
fn flip_one(house: &House, random: &mut Random) -> Result<Option<Flip>> {
    // What the rack had written to its socket arrives all the same.
    let mut count = house.arrived.count();
    loop {
        thread::sleep(QUIET);
        if std::mem::replace(&mut count, house.arrived.count()) == house.arrived.count() {
            break;
        }
    }
    let accepted = house.accepted.read()?.len() as u64;
    let arrived: BTreeSet<u64> = house.arrived.read()?.into_iter().collect();
    tear::flip(&house.journal(), random, |number| number < accepted && !arrived.contains(&number))
}

/// The damage has to be found, by `fluxrig journal check` and by the rack, and it has to be the one that was done.
fn find_damaged(house: &mut House, flip: &Flip) -> Result<()> {
    let file = flip.file.file_name().context("a segment has a name")?.to_string_lossy().into_owned();
    let place = format!("{file} is damaged at offset {}: ", flip.offset);
    let record = format!("(record {})", flip.sequence);
    let (code, told) = house.journal_command("check")?;
    let problems: Vec<&str> = told.lines().filter(|line| line.starts_with("problem: ")).collect();
    let is_named = matches!(problems[..], [line] if line.contains(&place) && line.contains(&record));
    ensure!(code == Some(1) && is_named, "{place}.. {record} is not what is reported: {told}");

    let logged = house.log().len();
    house.start_rack()?;
    // Where it is in the last segment the rack does not start; else it delivers what is before, and raises an alarm.
    let mut has_ended = false;
    let wanted = place.clone();
    let found = house.wait_until("the damage raises an alarm", Duration::from_millis(50), |house| {
        has_ended = house.has_rack_ended()?;
        Ok(has_ended || house.status()?.is_some_and(|status| has_alarm(&status, "journal", &wanted)))
    });
    found?;
    if has_ended {
        let log = house.log();
        let told = &log[logged..];
        ensure!(
            told.contains(&place) && told.contains("fluxrig journal repair"),
            "{place}.. is not why: {told}"
        );
        return Ok(());
    }
    house.kill_rack()
}

fn has_alarm(status: &Json, alarm: &str, why: &str) -> bool {
    let alarms = status["alarms"].as_array();
    alarms.into_iter().flatten().any(|raised| {
        raised["alarm"] == alarm && raised["why"].as_str().is_some_and(|text| text.contains(why))
    })
}

/// Why the wire takes no more, when it does not.
fn stuck(status: &Json) -> Option<&str> {
    status["wires"][0]["durable"]["stuck"].as_str()
}
