//! The settings of a rack: every section and key of `fluxrig.toml` beside `[gears]` and `[bus]`, with its default.
//!
//! The doc comment of a field is its entry in the reference and in an editor. A field marked `x-flux-inert` is
//! accepted so that one file serves several versions; `check` says that it has no effect yet.

mod secret;
mod secrets;
mod store;

use std::num::{NonZeroU16, NonZeroU32};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use secret::REDACTED;
pub use secret::Secret;
pub use secrets::{Secrets, Vault};
pub use store::{DeadLetterPlace, Store};

use crate::units::{ByteSize, Duration};

/// Directory for state where none is named, relative to the working directory.
pub const STATE_DIR: &str = "./data";
/// Port of the HTTP API.
pub const API_PORT: u16 = 8090;
/// Port of the bus.
pub const SNAKE_PORT: u16 = 4222;
/// Port a server for ISO 8583 listens at.
pub const ISO8583_PORT: u16 = 8583;
/// Port a server for plain TCP listens at.
pub const TCP_PORT: u16 = 9000;

/// Everything a rack can be told besides what to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who this rack is and where it keeps its state.
    pub base: Base,
    /// What is logged, and where.
    pub logging: Logging,
    /// What is measured, and where it goes.
    pub telemetry: Telemetry,
    /// Storage on disk.
    pub store: Store,
    /// How the rack runs gears.
    pub rack: RackSettings,
    /// The bus: between racks, and between rack and mixer.
    pub snake: Snake,
    /// Where secrets are that a scenario refers to.
    pub secrets: Secrets,
    /// The HTTP API of the rack.
    pub api: Api,
}

/// Who this rack is and where it keeps its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Base {
    /// Name of the rack. Of several racks in a scenario it is this one, unless `--rack` says otherwise.
    #[schemars(extend("format" = "name-or-empty"))]
    pub name: String,
    /// Directory for all that outlives the process: the last good scenario, the passport, journals; and the control
    /// socket. One rack has it at a time. When it is not set it is `./data`, and used only by a scenario that keeps
    /// something on disk. `--state-dir` wins.
    pub state_dir: Option<String>,
    /// File of the passport, in the state directory: the key pair that signs what is kept there.
    pub state_file: String,
    /// File of the scenario that ran last, in the state directory: what `fluxrig run` without a file runs. Empty: none
    /// is kept.
    pub scenario_file: String,
}

/// What is logged, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// Least severe level that is logged. `--log-level` wins.
    pub level: Level,
    /// Log file. The terminal is used meanwhile.
    #[schemars(extend("x-flux-inert" = true))]
    pub filename: String,
    /// Size at which the log file is rotated, in MB.
    #[schemars(extend("x-flux-inert" = true))]
    pub max_size_mb: NonZeroU32,
    /// Rotated log files that are kept.
    #[schemars(extend("x-flux-inert" = true))]
    pub max_backups: u32,
    /// Whether rotated log files are compressed.
    #[schemars(extend("x-flux-inert" = true))]
    pub compress: bool,
    /// Shortcut for level `trace`.
    pub trace: bool,
    /// Shortcut for level `debug`.
    pub debug: bool,
    /// Limit on the log lines shipped to a mixer.
    #[schemars(extend("x-flux-inert" = true))]
    pub throttling: Throttling,
}

impl Logging {
    /// The level, its shortcuts considered.
    pub fn least(&self) -> Level {
        match self {
            Logging { trace: true, .. } => Level::Trace,
            Logging { debug: true, level: Level::Info | Level::Warn | Level::Error, .. } => Level::Debug,
            Logging { level, .. } => *level,
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything, step by step.
    Trace,
    /// Per message.
    Debug,
    /// Lifecycle.
    #[default]
    Info,
    /// The house coped.
    Warn,
    /// A human must act.
    Error,
}

/// A token bucket for shipped log lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Throttling {
    /// Whether there is a limit.
    pub enabled: bool,
    /// Lines per second.
    pub rate: NonZeroU32,
    /// Lines above the rate that may come at once.
    pub burst: u32,
}

/// What is measured, and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Service name in traces and metrics.
    #[schemars(extend("x-flux-inert" = true))]
    pub service_name: String,
    /// Whether nothing is sent.
    #[schemars(extend("x-flux-inert" = true))]
    pub disabled: bool,
    /// Longest wait before a batch is sent.
    #[schemars(extend("x-flux-inert" = true))]
    pub batch_interval: Duration,
    /// Most records in a batch.
    #[schemars(extend("x-flux-inert" = true))]
    pub max_batch_size: NonZeroU32,
    /// Subject under which batches are published.
    #[schemars(extend("x-flux-inert" = true))]
    pub base_subject: String,
    /// Stream that keeps the batches.
    #[schemars(extend("x-flux-inert" = true))]
    pub stream_name: String,
    /// Subjects of that stream.
    #[schemars(extend("x-flux-inert" = true))]
    pub stream_subjects: Vec<String>,
    /// Sets of metrics beyond those of gears and wires.
    #[schemars(extend("x-flux-inert" = true))]
    pub metrics: Metrics,
}

/// Sets of metrics beyond those of gears and wires.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Metrics of the host.
    pub host_enabled: bool,
    /// Metrics of the runtime.
    pub runtime_enabled: bool,
    /// Metrics of bento pipelines.
    pub bento_enabled: bool,
}

/// How the rack runs gears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RackSettings {
    /// Start of a generated rack name.
    #[schemars(extend("x-flux-inert" = true))]
    pub name_prefix: String,
    /// Address announced to the mixer. Empty: detected.
    #[schemars(extend("x-flux-inert" = true))]
    pub ip: String,
    /// Secret for enrolment. There is no default: without one the rack does not enrol.
    #[schemars(extend("x-flux-inert" = true))]
    pub bootstrap_secret: Option<Secret>,
    /// Data threads. 0: as many as the machine has cores.
    #[schemars(range(max = 1024))]
    pub threads: u16,
    /// Whether gears that can share a task do.
    pub fuse: bool,
    /// Most messages that cross from one task to another at once.
    #[schemars(range(max = 65536))]
    pub batch_messages_max: NonZeroU32,
    /// Messages a wire between tasks can hold before its sender waits.
    #[schemars(range(max = 1_048_576))]
    pub lane_queue_size: NonZeroU32,
    /// How long a sender waits for a full wire before the rack logs a warning. It goes on waiting: nothing is lost.
    pub lane_send_timeout: Duration,
    /// Longest time a gear that waits may take for one message, retries included.
    pub process_timeout: Duration,
    /// Where dead letters are kept.
    pub dead_letters: DeadLetterPlace,
    /// Dead letters kept in memory; when they are full, the gear that fails waits until some are taken out.
    #[schemars(range(max = 10_000_000))]
    pub dead_letters_max: u32,
    /// Bytes of the messages among those; the same happens at this bound.
    pub dead_letters_bytes_max: ByteSize,
    /// What happens after a transient fault.
    pub retry: Retry,
    /// What happens after a fatal fault or a panic.
    pub error_restart: Restart,
    /// Longest time for draining before what is left is named in the log and dropped.
    pub drain_timeout: Duration,
    /// Longest time for a gear to stop after draining.
    pub cleanup_timeout: Duration,
    /// Most gears a message may pass.
    #[schemars(range(max = 65_535))]
    pub max_hops: NonZeroU16,
    /// Largest message, nested data counted.
    pub max_payload_size: ByteSize,
    /// Longest wait for all wires to the mixer to carry a probe.
    #[schemars(extend("x-flux-inert" = true))]
    pub convergence_timeout: Duration,
    /// Time between probes.
    #[schemars(extend("x-flux-inert" = true))]
    pub handshake_interval: Duration,
    /// Time between heartbeats to the mixer.
    #[schemars(extend("x-flux-inert" = true))]
    pub heartbeat_interval: Duration,
    /// Longest wait for an answer to an enrolment.
    #[schemars(extend("x-flux-inert" = true))]
    pub enrollment_timeout: Duration,
    /// Time between attempts to enrol.
    #[schemars(extend("x-flux-inert" = true))]
    pub enrollment_interval: Duration,
}

/// Retries in place after a transient fault; order holds, since later messages wait. What a durable wire keeps is tried for
/// as long as it takes, and waits on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts at most, the first included. 0 and 1: a transient fault is final at once.
    #[schemars(range(max = 1000))]
    pub attempts: u32,
    /// Wait before the first retry; it doubles each time, with jitter.
    pub backoff: Duration,
    /// Longest wait between two attempts.
    pub backoff_max: Duration,
}

/// Restarts after a fatal fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restart {
    /// Wait before the first restart; it doubles each time, with jitter.
    pub backoff: Duration,
    /// Longest wait between two restarts.
    pub backoff_max: Duration,
    /// Time without a fault after which the wait starts over.
    pub stable_after: Duration,
}

/// The bus: between racks, and between rack and mixer. Files are relative to the file of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Snake {
    /// Address of the bus, or several of one cluster with commas between them: `nats://`, `tls://` or `host:port`. `--bus`
    /// wins. Names and passwords do not belong here.
    pub url: String,
    /// First word of every subject.
    #[schemars(extend("x-flux-inert" = true))]
    pub domain: String,
    /// Domain of the streams, where they are not the server's own: a leaf node reaches those of its hub by it.
    pub jetstream_domain: Option<String>,
    /// Servers of the bus that keep a copy of each stream this rack makes there: 3 in a cluster, so that one may fail. What is
    /// there already stays as it is.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u8,
    /// Who this rack is on the bus: a JWT with its seed, as `nsc` writes them.
    #[schemars(extend("x-flux-file" = true))]
    pub credentials_file: Option<String>,
    /// The same with an NKey: its seed. It does not travel.
    #[schemars(extend("x-flux-file" = true))]
    pub nkey_file: Option<String>,
    /// How long a message may wait in an outbox before the alarm `outbox` is raised. It goes on waiting.
    pub alarm_after: Duration,
    /// Stream that carries messages.
    #[schemars(extend("x-flux-inert" = true))]
    pub stream_name: String,
    /// Longest wait for a connection.
    #[schemars(extend("x-flux-inert" = true))]
    pub connect_timeout: Duration,
    /// Wait before connecting again.
    #[schemars(extend("x-flux-inert" = true))]
    pub reconnect_wait: Duration,
    /// Longest wait for an operation.
    pub operation_timeout: Duration,
    /// Wait before subscribing again.
    #[schemars(extend("x-flux-inert" = true))]
    pub subscription_retry_wait: Duration,
    /// Attempts to subscribe.
    #[schemars(extend("x-flux-inert" = true))]
    pub subscription_retry_attempts: u32,
    /// Time after which an idle consumer is removed.
    #[schemars(extend("x-flux-inert" = true))]
    pub inactive_threshold: Duration,
    /// Wait for subscriptions to settle.
    #[schemars(extend("x-flux-inert" = true))]
    pub convergence_delay: Duration,
    /// Wait before the second attempt to connect at start.
    #[schemars(extend("x-flux-inert" = true))]
    pub initial_retry_wait: Duration,
    /// Attempts to connect at start.
    #[schemars(extend("x-flux-inert" = true))]
    pub initial_retry_attempts: u32,
    /// Longest wait for a mixer before starting without it.
    #[schemars(extend("x-flux-inert" = true))]
    pub offline_start_timeout: Duration,
    /// Time between attempts to join a mixer later.
    #[schemars(extend("x-flux-inert" = true))]
    pub offline_retry_interval: Duration,
    /// Certificate authorities to trust, as PEM. With them the connection is encrypted, and nothing is said before it is.
    #[schemars(extend("x-flux-file" = true))]
    pub root_ca_file: Option<String>,
    /// Whether the certificate of the bus goes unchecked.
    #[schemars(extend("x-flux-inert" = true))]
    pub insecure_skip_verify: bool,
    /// Client certificate, as PEM.
    #[schemars(extend("x-flux-file" = true))]
    pub tls_cert_file: Option<String>,
    /// Key of the client certificate, as PEM.
    #[schemars(extend("x-flux-file" = true))]
    pub tls_key_file: Option<String>,
}

/// The HTTP API of the rack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Address to listen at.
    #[schemars(extend("x-flux-inert" = true))]
    pub listen: String,
}

const fn ms(count: u64) -> Duration {
    Duration(std::time::Duration::from_millis(count))
}

const fn secs(count: u64) -> Duration {
    Duration(std::time::Duration::from_secs(count))
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a default above zero")
}

impl Default for Base {
    fn default() -> Self {
        Base {
            name: String::new(),
            state_dir: None,
            state_file: "rack.flux".into(),
            scenario_file: "scenario.flux".into(),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Logging {
            level: Level::Info,
            filename: "logs/fluxrig.log".into(),
            max_size_mb: at_least_one(100),
            max_backups: 7,
            compress: true,
            trace: false,
            debug: false,
            throttling: Throttling::default(),
        }
    }
}

impl Default for Throttling {
    fn default() -> Self {
        Throttling { enabled: true, rate: at_least_one(500), burst: 50 }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            service_name: "flux.rack".into(),
            disabled: false,
            batch_interval: secs(5),
            max_batch_size: at_least_one(512),
            base_subject: "flux.telemetry".into(),
            stream_name: "flux-telemetry".into(),
            stream_subjects: vec!["flux.telemetry.>".into()],
            metrics: Metrics::default(),
        }
    }
}

impl Default for RackSettings {
    fn default() -> Self {
        RackSettings {
            name_prefix: "node-".into(),
            ip: String::new(),
            bootstrap_secret: None,
            threads: 0,
            fuse: true,
            batch_messages_max: at_least_one(64),
            lane_queue_size: at_least_one(1024),
            lane_send_timeout: secs(5),
            process_timeout: secs(5),
            dead_letters: DeadLetterPlace::Auto,
            dead_letters_max: 10_000,
            dead_letters_bytes_max: ByteSize(64 << 20),
            retry: Retry::default(),
            error_restart: Restart::default(),
            drain_timeout: secs(35),
            cleanup_timeout: secs(2),
            max_hops: NonZeroU16::new(64).expect("a default above zero"),
            max_payload_size: ByteSize(2 << 20),
            convergence_timeout: secs(5),
            handshake_interval: ms(500),
            heartbeat_interval: secs(30),
            enrollment_timeout: secs(15),
            enrollment_interval: secs(2),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: 5, backoff: ms(50), backoff_max: secs(1) }
    }
}

impl Default for Restart {
    fn default() -> Self {
        Restart { backoff: ms(100), backoff_max: secs(30), stable_after: secs(60) }
    }
}

impl Default for Snake {
    fn default() -> Self {
        Snake {
            url: format!("nats://localhost:{SNAKE_PORT}"),
            domain: "flux".into(),
            jetstream_domain: None,
            replicas: 1,
            credentials_file: None,
            nkey_file: None,
            alarm_after: secs(300),
            stream_name: "flux-msg".into(),
            connect_timeout: secs(10),
            reconnect_wait: secs(1),
            operation_timeout: secs(5),
            subscription_retry_wait: ms(200),
            subscription_retry_attempts: 5,
            inactive_threshold: secs(30),
            convergence_delay: ms(100),
            initial_retry_wait: ms(500),
            initial_retry_attempts: 10,
            offline_start_timeout: secs(3),
            offline_retry_interval: secs(5),
            root_ca_file: None,
            insecure_skip_verify: false,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Api { listen: format!("127.0.0.1:{API_PORT}") }
    }
}

#[cfg(test)]
mod tests;
