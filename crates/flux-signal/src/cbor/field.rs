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
    #[inline]
    pub(super) const fn key(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::Ts => "ts",
            Field::Raw => "raw",
            Field::Data => "data",
            Field::Hops => "hops",
            Field::Meta => "meta",
            Field::Path => "path",
            Field::Flags => "flags",
            Field::Trace => "trace",
            Field::RefId => "ref_id",
            Field::SrcId => "src_id",
        }
    }

    #[inline]
    pub(super) fn of(key: &str) -> Option<Field> {
        Some(match key {
            "id" => Field::Id,
            "ts" => Field::Ts,
            "raw" => Field::Raw,
            "data" => Field::Data,
            "hops" => Field::Hops,
            "meta" => Field::Meta,
            "path" => Field::Path,
            "flags" => Field::Flags,
            "trace" => Field::Trace,
            "ref_id" => Field::RefId,
            "src_id" => Field::SrcId,
            _ => return None,
        })
    }
}

/// The keys of a timed hop, in canonical order: gear, port, time.
pub(super) const HOP_GEAR: &str = "g";
pub(super) const HOP_PORT: &str = "p";
pub(super) const HOP_TIME: &str = "t";
