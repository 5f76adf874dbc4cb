//! Every limit of what is said, by name.

/// Longest name of a Rack: it is a part of the names of streams.
pub const RACK_NAME_BYTES_MAX: usize = 48;

/// Longest request to enrol, signed.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Longest answer to it: a passport has the part of a scenario in it.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Longest passport that a Mixer signed.
pub const SIGNED_PASSPORT_BYTES_MAX: usize = 4 << 20;

/// Longest request for a certificate, as PEM.
pub const CSR_BYTES_MAX: usize = 4 << 10;

/// Labels a Rack may have, and bytes of a key or a value.
pub const LABELS_MAX: usize = 32;
/// Longest key or value of a label.
pub const LABEL_BYTES_MAX: usize = 64;

/// Kinds of gears a Rack may say that it offers.
pub const KINDS_MAX: usize = 256;

/// Longest heartbeat.
pub const HEARTBEAT_BYTES_MAX: usize = 32 << 10;

/// Longest tag of a release.
pub const TAG_BYTES_MAX: usize = 64;

/// Longest `name:tag` of a release.
pub const RELEASE_BYTES_MAX: usize = 60 + 1 + TAG_BYTES_MAX;
