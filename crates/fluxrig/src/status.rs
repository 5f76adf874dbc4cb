//! How a running rack does, as data for scripts and as text for people.

use std::fmt;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use flux_rack::{DurableStats, Left, MeshStats, WaitingStats};
use flux_scenario::units::Duration;
use serde::{Deserialize, Serialize};

use crate::alarms::AlarmStatus;

/// One line below the head.
const TABLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A rack at one moment. Counts are since a gear was first made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RackStatus {
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// The file it runs.
    pub(crate) scenario: String,
    pub(crate) uptime_ms: u64,
    /// What is wrong now.
    pub(crate) alarms: Vec<AlarmStatus>,
    pub(crate) gears: Vec<GearStatus>,
    pub(crate) wires: Vec<WireStatus>,
    /// Dead letters held.
    pub(crate) dead_letters: usize,
    /// What waits for a durable wire that is not in the scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_on_disk: Vec<Left>,
}

/// A gear at that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GearStatus {
    pub(crate) gear: String,
    pub(crate) kind: String,
    /// Time since it was made; a reload that keeps it does not reset it, a restart after a fault neither.
    pub(crate) uptime_ms: u64,
    pub(crate) processed: u64,
    pub(crate) emitted: u64,
    /// Messages it refused for good.
    pub(crate) invalid: u64,
    /// Times it failed as a whole and was started again.
    pub(crate) restarted: u64,
    pub(crate) dead_lettered: u64,
    /// What it waits for, with what a durable wire brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<WaitingStats>,
}

/// A wire at that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireStatus {
    pub(crate) wire: String,
    pub(crate) lane: String,
    /// Messages in it now.
    pub(crate) depth: usize,
    pub(crate) passed: u64,
    /// Times a sender waited for room.
    pub(crate) blocked: u64,
    /// What its journal holds, when it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) durable: Option<DurableStats>,
}

impl fmt::Display for RackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RackStatus { version, pid, scenario, uptime_ms, alarms, gears, wires, .. } = self;
        writeln!(f, "{scenario}: up {}, process {pid}, fluxrig {version}", rough(*uptime_ms))?;
        for AlarmStatus { alarm, why, for_ms } in alarms {
            writeln!(f, "ALARM {}: {why} (for {})", alarm.word(), rough(*for_ms))?;
        }
        let mut table = columns(["gear", "kind", "up", "processed", "emitted", "invalid", "restarted"], 2);
        for gear in gears {
            let counts = [gear.processed, gear.emitted, gear.invalid, gear.restarted].map(|n| n.to_string());
            let words = [gear.gear.clone(), gear.kind.clone(), rough(gear.uptime_ms)];
            table.add_row(words.into_iter().chain(counts));
        }
        writeln!(f, "\n{}", table)?;
        for (gear, waiting) in gears.iter().filter_map(|gear| Some((&gear.gear, gear.waiting.as_ref()?))) {
            writeln!(f, "\n{gear} {waiting} (for {})", rough(waiting.for_ms))?;
        }
        let mut table = columns(["wire", "lane", "depth", "passed", "blocked"], 2);
        for wire in wires {
            let counts = [wire.depth as u64, wire.passed, wire.blocked].map(|n| n.to_string());
            table.add_row([wire.wire.clone(), wire.lane.clone()].into_iter().chain(counts));
        }
        writeln!(f, "\n{}", table)?;
        let durable = wires.iter().filter_map(|wire| Some((&wire.wire, wire.durable.as_ref()?)));
        let durable: Vec<_> = durable.collect();
        if !durable.is_empty() {
            let counts = ["unsettled", "delivered", "redelivered", "duplicates", "bytes"];
            let mut table =
                columns(["durable wire", "ack", counts[0], counts[1], counts[2], counts[3], counts[4]], 2);
            for (wire, stats) in &durable {
                let DurableStats { unsettled, delivered, redelivered, duplicates, bytes, .. } = stats;
                let counts = [unsettled, delivered, redelivered, duplicates, bytes].map(|n| n.to_string());
                table.add_row([(*wire).clone(), stats.ack.word().into()].into_iter().chain(counts));
            }
            writeln!(f, "\n{}", table)?;
            for (wire, stuck) in
                durable.iter().filter_map(|(wire, stats)| Some((wire, stats.stuck.as_ref()?)))
            {
                writeln!(f, "\n{wire} takes no more: {stuck}")?;
            }
        }
        self.show_mesh(f)?;
        for left in &self.left_on_disk {
            writeln!(f, "\nleft on disk: {left}, which is not in the scenario")?;
        }
        writeln!(f, "\ndead letters: {}", self.dead_letters)
    }
}

impl RackStatus {
    /// The wires to and from other racks.
    fn show_mesh(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wires = self.wires.iter().filter_map(|wire| {
            let durable = wire.durable.as_ref()?;
            Some((&wire.wire, durable, durable.mesh.as_ref()?))
        });
        let wires: Vec<_> = wires.collect();
        if wires.is_empty() {
            return Ok(());
        }
        let mut table = columns(
            ["mesh wire", "rack", "connected", "waiting", "in flight", "arrived", "oldest", "again"],
            3,
        );
        for (wire, durable, mesh) in &wires {
            let (rack, in_flight, arrived, oldest_ms, again) = match mesh {
                MeshStats::Out { to, in_flight, acknowledged, sent_again, oldest_ms, .. } => {
                    (format!("to {to}"), *in_flight, *acknowledged, *oldest_ms, *sent_again)
                }
                MeshStats::In { from, received, again, .. } => {
                    (format!("from {from}"), 0, *received, None, *again)
                }
            };
            let connected = if mesh.link().0 { "yes" } else { "no" };
            let counts = [durable.unsettled, in_flight, arrived].map(|n| n.to_string());
            let rest = [oldest_ms.map_or_else(|| "-".into(), rough), again.to_string()];
            table.add_row([(*wire).clone(), rack, connected.into()].into_iter().chain(counts).chain(rest));
        }
        writeln!(f, "\n{}", table)?;
        for (wire, trouble) in wires.iter().filter_map(|(wire, _, mesh)| Some((wire, mesh.link().1?))) {
            writeln!(f, "\n{wire} waits for the bus: {trouble}")?;
        }
        Ok(())
    }
}

/// A table whose columns after the first `words` are numbers.
fn columns<const N: usize>(head: [&str; N], words: usize) -> Table {
    let mut table = Table::new();
    table.load_style(TABLE).set_header(head);
    table.column_iter_mut().skip(words).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table
}

/// A span as people say it: seconds, below one milliseconds.
fn rough(ms: u64) -> String {
    let ms = if ms < 1_000 { ms } else { ms / 1_000 * 1_000 };
    Duration(std::time::Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn people_see_what_scripts_read() {
        let status: RackStatus = serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "pid": 4711, "scenario": "switch.yaml", "uptime_ms": 192_345,
            "alarms": [{"alarm": "control_socket", "why": "no room", "for_ms": 90}],
            "gears": [{"gear": "term", "kind": "io_iso8583", "uptime_ms": 192_300, "processed": 1, "emitted": 22,
                "invalid": 0, "restarted": 3, "dead_lettered": 4,
                "waiting": {"why": "h:1 is not connected", "for_ms": 3_700_000, "wire": "bookings", "is_long": true}}],
            "wires": [
                {"wire": "term.out -> dec.in", "lane": "hot", "depth": 5, "passed": 600, "blocked": 7},
                {"wire": "bookings", "lane": "durable", "depth": 0, "passed": 90, "blocked": 0, "durable": {
                    "ack": "disk", "accepted": 90, "unsettled": 30, "delivered": 20, "redelivered": 1, "duplicates": 2,
                    "bytes": 65536, "stuck": "the disk is full"}}
            ],
            "dead_letters": 4, "left_on_disk": [{"name": "old", "messages": 12}]
        }))
        .unwrap();
        expect![[r#"
            switch.yaml: up 3m12s, process 4711, fluxrig 0.1.0
            ALARM control_socket: no room (for 90ms)

             gear   kind            up   processed   emitted   invalid   restarted 
            ───────────────────────────────────────────────────────────────────────
             term   io_iso8583   3m12s           1        22         0           3 

            term waits with what came by `bookings`: h:1 is not connected (for 1h1m40s)

             wire                 lane      depth   passed   blocked 
            ─────────────────────────────────────────────────────────
             term.out -> dec.in   hot           5      600         7 
             bookings             durable       0       90         0 

             durable wire   ack    unsettled   delivered   redelivered   duplicates   bytes 
            ────────────────────────────────────────────────────────────────────────────────
             bookings       disk          30          20             1            2   65536 

            bookings takes no more: the disk is full

            left on disk: 12 messages on old, which is not in the scenario

            dead letters: 4
        "#]]
        .assert_eq(&status.to_string());
    }
}
