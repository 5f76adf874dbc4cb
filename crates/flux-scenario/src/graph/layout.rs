//! Where everything in the picture stands: a band per shared task and one for the rest, a column per step from the
//! sources, ports at the edges, wires back through a channel at the foot of a band.

use crate::catalog::ERROR_PORT;
use crate::circuit::{Circuit, CircuitWire};

pub(super) const MARGIN: i64 = 24;
pub(super) const HEADER: i64 = 40;
pub(super) const PORT_ROW: i64 = 18;
const TITLE_HEIGHT: i64 = 32;
const COLUMN_GAP: i64 = 72;
const ROW_GAP: i64 = 20;
const BAND_PADDING: i64 = 16;
const BAND_LABEL: i64 = 16;
const BAND_GAP: i64 = 20;
/// Room at the foot of a band for wires back.
const CHANNEL: i64 = 24;
const CHANNEL_STEP: i64 = 5;
const CHANNELS: usize = 4;
/// Widths of a character in the two sizes of text; there is no font to ask.
const NAME_CHAR: i64 = 8;
const PORT_CHAR: i64 = 7;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// A gear with the ports that are shown.
#[derive(Debug, Default)]
pub(super) struct GearBox {
    pub(super) area: Area,
    /// Indexes of the inputs shown, top to bottom.
    pub(super) inputs: Vec<usize>,
    /// Indexes of the outputs shown, top to bottom.
    pub(super) outputs: Vec<usize>,
}

impl GearBox {
    /// Where an input's dot is.
    pub(super) fn input(&self, port: usize) -> Option<(i64, i64)> {
        let row = self.inputs.iter().position(|&shown| shown == port)?;
        Some((self.area.x, self.row(row)))
    }

    /// Where an output's dot is.
    pub(super) fn output(&self, port: usize) -> Option<(i64, i64)> {
        let row = self.outputs.iter().position(|&shown| shown == port)?;
        Some((self.area.x + self.area.width, self.row(row)))
    }

    fn row(&self, row: usize) -> i64 {
        self.area.y + HEADER + PORT_ROW / 2 + PORT_ROW * count(row)
    }
}

/// Gears side by side.
#[derive(Debug, Default)]
pub(super) struct Band {
    pub(super) area: Area,
    /// The segment whose gears these are; none for the gears that have a task each.
    pub(super) segment: Option<usize>,
}

/// The whole picture.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: i64,
    pub(super) height: i64,
    /// One per gear.
    pub(super) gears: Vec<GearBox>,
    pub(super) bands: Vec<Band>,
    /// The band of each gear.
    band_of: Vec<usize>,
}

impl Layout {
    /// The height at which the `count`-th wire back between two gears runs: at the foot of the upper band.
    pub(super) fn channel(&self, from: usize, to: usize, count: usize) -> i64 {
        let area = self.bands[self.band_of[from].min(self.band_of[to])].area;
        area.y + area.height - 6 - CHANNEL_STEP * self::count(count % CHANNELS)
    }
}

pub(super) fn lay_out(circuit: &Circuit) -> Layout {
    let mut gears: Vec<GearBox> = (0..circuit.gears.len()).map(|gear| sized(circuit, gear)).collect();
    let columns = columns(circuit);
    place_columns(&mut gears, &columns);
    let mut bands = Vec::new();
    let mut band_of = vec![0; circuit.gears.len()];
    let mut y = MARGIN + TITLE_HEIGHT;
    for (segment, members) in groups(circuit) {
        members.iter().for_each(|&gear| band_of[gear] = bands.len());
        let area = place_band(circuit, &mut gears, &members, &columns, y);
        y += area.height + BAND_GAP;
        bands.push(Band { area, segment });
    }
    let right = bands.iter().map(|band| band.area.x + band.area.width).max().unwrap_or(0);
    Layout { width: right.max(620) + MARGIN, height: y + MARGIN, gears, bands, band_of }
}

/// Each segment of several gears, then everything else.
fn groups(circuit: &Circuit) -> Vec<(Option<usize>, Vec<usize>)> {
    let shared = circuit.segments.iter().enumerate().filter(|(_, segment)| segment.len() > 1);
    let mut groups: Vec<(Option<usize>, Vec<usize>)> =
        shared.map(|(index, segment)| (Some(index), segment.clone())).collect();
    let alone: Vec<usize> =
        circuit.segments.iter().filter(|segment| segment.len() == 1).flatten().copied().collect();
    groups.extend((!alone.is_empty()).then_some((None, alone)));
    groups
}

/// Stacks the gears of a band column by column, and says what room they take.
fn place_band(
    circuit: &Circuit,
    gears: &mut [GearBox],
    members: &[usize],
    columns: &[usize],
    y: i64,
) -> Area {
    let top = y + BAND_LABEL + BAND_PADDING;
    let mut bottoms = vec![top; columns.iter().max().map_or(0, |last| last + 1)];
    for gear in ordered(circuit, members, columns) {
        let bottom = &mut bottoms[columns[gear]];
        gears[gear].area.y = *bottom;
        *bottom += gears[gear].area.height + ROW_GAP;
    }
    let areas = || members.iter().map(|&gear| gears[gear].area);
    let left = areas().map(|area| area.x).min().unwrap_or(0);
    let right = areas().map(|area| area.x + area.width).max().unwrap_or(0);
    let bottom = areas().map(|area| area.y + area.height).max().unwrap_or(top);
    Area { x: left - BAND_PADDING, y, width: right - left + 2 * BAND_PADDING, height: bottom - y + CHANNEL }
}

fn sized(circuit: &Circuit, gear: usize) -> GearBox {
    let this = &circuit.gears[gear];
    let is_wired = |output: usize| circuit.wires.iter().any(|wire| wire.from.here() == Some((gear, output)));
    let outputs: Vec<usize> = (0..this.outputs.len())
        .filter(|&output| this.outputs[output] != ERROR_PORT || is_wired(output))
        .collect();
    let inputs: Vec<usize> = (0..this.inputs.len()).collect();
    let chars = |text: &str| count(text.chars().count());
    let longest =
        |names: &[String], shown: &[usize]| shown.iter().map(|&at| chars(&names[at])).max().unwrap_or(0);
    let ports = longest(&this.inputs, &inputs) + longest(&this.outputs, &outputs) + 4;
    let width = (chars(&this.name).max(chars(&this.kind) + 6) * NAME_CHAR + 24).max(ports * PORT_CHAR);
    let height = HEADER + PORT_ROW * count(inputs.len().max(outputs.len())) + 6;
    GearBox { area: Area { x: 0, y: 0, width, height }, inputs, outputs }
}

/// The column of each gear: one more than that of everything that leads to it, wires back to an earlier gear aside.
fn columns(circuit: &Circuit) -> Vec<usize> {
    let mut place = vec![0; circuit.gears.len()];
    circuit.drain_order.iter().enumerate().for_each(|(at, &gear)| place[gear] = at);
    let mut columns = vec![0; circuit.gears.len()];
    for &gear in &circuit.drain_order {
        let inner = circuit.wires.iter().filter_map(CircuitWire::inner);
        for (_, to) in inner.filter(|(from, _)| *from == gear) {
            if place[to] > place[gear] {
                columns[to] = columns[to].max(columns[gear] + 1);
            }
        }
    }
    columns
}

/// Gives each column the width of its widest gear.
fn place_columns(gears: &mut [GearBox], columns: &[usize]) {
    let mut widths = vec![0; columns.iter().max().map_or(0, |last| last + 1)];
    for (gear, &column) in gears.iter().zip(columns) {
        widths[column] = gear.area.width.max(widths[column]);
    }
    let mut lefts = Vec::with_capacity(widths.len());
    let mut x = MARGIN + BAND_PADDING;
    for width in &widths {
        lefts.push(x);
        x += width + COLUMN_GAP;
    }
    for (gear, &column) in gears.iter_mut().zip(columns) {
        gear.area.x = lefts[column];
        gear.area.width = widths[column];
    }
}

/// The gears of a segment column by column, in each column near what leads to them.
fn ordered(circuit: &Circuit, segment: &[usize], columns: &[usize]) -> Vec<usize> {
    let mut rank = vec![0_usize; circuit.gears.len()];
    let mut order: Vec<usize> = segment.to_vec();
    order.sort_by_key(|&gear| (columns[gear], gear));
    let mut result: Vec<usize> = Vec::with_capacity(order.len());
    for column in order.chunk_by(|&a, &b| columns[a] == columns[b]) {
        let mut column = column.to_vec();
        column.sort_by_key(|&gear| {
            let before: Vec<usize> = circuit
                .wires
                .iter()
                .filter(|wire| wire.to.gear() == Some(gear))
                .filter_map(|wire| wire.from.here())
                .filter(|(from, _)| columns[*from] < columns[gear])
                .map(|(from, port)| rank[from] * 16 + port)
                .collect();
            (before.iter().sum::<usize>().checked_div(before.len()).unwrap_or(usize::MAX), gear)
        });
        for (at, &gear) in column.iter().enumerate() {
            rank[gear] = at;
        }
        result.extend(column);
    }
    result
}

fn count(number: usize) -> i64 {
    i64::try_from(number).expect("a scenario has fewer than 2^63 of anything")
}
