//! The keys of the envelope.

/// A field of the envelope, in the canonical order of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Id,
    Ts,
    Raw,
    Data,
    Hops,
    Meta,
    Path,
    Flags,
    Trace,
    RefId,
    SrcId,
}

impl Field {
    /// The key as it is encoded, head and all.
    #[inline(always)]
    pub(super) const fn encoded(self) -> &'static [u8] {
        match self {
            Field::Id => b"\x62id",
            Field::Ts => b"\x62ts",
            Field::Raw => b"\x63raw",
            Field::Data => b"\x64data",
            Field::Hops => b"\x64hops",
            Field::Meta => b"\x64meta",
            Field::Path => b"\x64path",
            Field::Flags => b"\x65flags",
            Field::Trace => b"\x65trace",
            Field::RefId => b"\x66ref_id",
            Field::SrcId => b"\x66src_id",
        }
    }

    /// The key as text.
    pub(super) fn key(self) -> &'static str {
        std::str::from_utf8(&self.encoded()[1..]).expect("every key is ASCII")
    }

    #[inline]
    pub(super) fn of(key: &[u8]) -> Option<Field> {
        Some(match key {
            b"id" => Field::Id,
            b"ts" => Field::Ts,
            b"raw" => Field::Raw,
            b"data" => Field::Data,
            b"hops" => Field::Hops,
            b"meta" => Field::Meta,
            b"path" => Field::Path,
            b"flags" => Field::Flags,
            b"trace" => Field::Trace,
            b"ref_id" => Field::RefId,
            b"src_id" => Field::SrcId,
            _ => return None,
        })
    }
}

/// The keys of a timed hop, in canonical order: gear, port, time.
pub(super) const HOP_GEAR: &str = "g";
pub(super) const HOP_PORT: &str = "p";
pub(super) const HOP_TIME: &str = "t";
