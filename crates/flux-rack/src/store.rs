//! Where a rack keeps what must outlive it, and how.

use std::path::PathBuf;

use flux_journal::Config;
use flux_scenario::{Ack, settings};
use flux_world::World;

use crate::{custody::Site, tuning::Tuning};

/// What is kept of the rack: a directory with a journal for each thing.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) world: World,
    pub(crate) state_dir: PathBuf,
    pub(crate) settings: settings::Store,
}

/// What waits to be written, at least.
const GATHER_BYTES_MIN: usize = 4 << 20;

/// What an encoded message has beside what it weighs, at most, where it is no heavier than a rack allows.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;

impl Store {
    /// The journal in a directory of the state directory.
    pub(crate) fn site(&self, path: &[&str], ack: Ack, tuning: &Tuning) -> Site {
        let settings = &self.settings;
        let gather_bytes = (2 * tuning.message_bytes_max + ENVELOPE_BYTES_MAX).max(GATHER_BYTES_MIN);
        let gather_bytes_max =
            gather_bytes.min(usize::try_from(settings.segment_bytes.0 / 2).unwrap_or(usize::MAX));
        Site {
            world: self.world.clone(),
            directory: path.iter().fold(self.state_dir.clone(), |directory, name| directory.join(name)),
            config: Config {
                ack: journal_level(ack),
                segment_bytes: settings.segment_bytes.0,
                bytes_max: settings.bytes_max.0,
                append_deadline: tuning.lane_send_timeout,
                gather_bytes_max,
                window_records: settings.window_messages.get(),
                sync_every: settings.sync_every.0,
                ..Config::default()
            },
            state_dir: self.state_dir.clone(),
            backoff: tuning.restart_backoff,
        }
    }
}

/// The level of a wire as that of its journal.
pub(crate) fn journal_level(ack: Ack) -> flux_journal::Ack {
    match ack {
        Ack::Disk => flux_journal::Ack::Disk,
        Ack::Os => flux_journal::Ack::Os,
    }
}
