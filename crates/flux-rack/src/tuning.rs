//! The settings that a running rack acts on, in its own units.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use flux_scenario::settings::RackSettings;
use flux_world::BackoffPolicy;

/// See the fields of [`RackSettings`] of the same names; `message_bytes_max` is `max_payload_size`.
#[derive(Clone)]
pub(crate) struct Tuning {
    pub(crate) batch_messages_max: usize,
    pub(crate) lane_queue_size: usize,
    pub(crate) lane_send_timeout: Duration,
    pub(crate) process_timeout: Duration,
    pub(crate) start_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) message_bytes_max: usize,
    pub(crate) retry_backoff: BackoffPolicy,
    pub(crate) restart_backoff: BackoffPolicy,
}

/// Longest time a gear may take to start: a bind is retried, a dial is not waited for.
const START_TIMEOUT: Duration = Duration::from_secs(30);

impl From<&RackSettings> for Tuning {
    fn from(settings: &RackSettings) -> Tuning {
        let size = |n: NonZeroU32| NonZeroUsize::try_from(n).map_or(usize::MAX, NonZeroUsize::get);
        let (retry, restart) = (&settings.retry, &settings.error_restart);
        Tuning {
            batch_messages_max: size(settings.batch_messages_max),
            lane_queue_size: size(settings.lane_queue_size),
            lane_send_timeout: settings.lane_send_timeout.0,
            process_timeout: settings.process_timeout.0,
            start_timeout: START_TIMEOUT,
            stop_timeout: settings.cleanup_timeout.0,
            drain_timeout: settings.drain_timeout.0,
            attempts_max: retry.attempts,
            message_bytes_max: usize::try_from(settings.max_payload_size.0).unwrap_or(usize::MAX),
            retry_backoff: BackoffPolicy {
                base: retry.backoff.0,
                cap: retry.backoff_max.0,
                ..BackoffPolicy::default()
            },
            restart_backoff: BackoffPolicy {
                base: restart.backoff.0,
                cap: restart.backoff_max.0,
                stable_after: restart.stable_after.0,
                is_first_immediate: false,
            },
        }
    }
}
