//! Every bound of this crate, by name: neither a frame nor a spec from outside can cost more than these allow.

/// Longest message, in bytes; the offsets of an index are 32 bits wide.
pub const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// Highest field number: three bitmaps of 64 bits.
pub const FIELD_MAX: u8 = 192;
/// Longest spec file, in bytes.
pub const SPEC_BYTES_MAX: usize = 1 << 20;
/// Most values in a spec file.
pub const SPEC_NODES_MAX: usize = 100_000;
/// Deepest nesting of lists and maps in a spec file.
pub const SPEC_DEPTH_MAX: usize = 32;
/// Longest chain of specs that extend one another.
pub const EXTENDS_DEPTH_MAX: usize = 8;
/// Most files that one spec is put together from.
pub const SPEC_FILES_MAX: usize = 16;
/// Longest field or part, in the units its length counts.
pub const FIELD_LENGTH_MAX: u32 = 999_999;
/// Most parts of one composite.
pub const PARTS_MAX: usize = 512;
/// Deepest nesting of composites.
pub const COMPOSITE_DEPTH_MAX: usize = 4;
/// Longest tag of a TLV composite, in bytes on the wire.
pub const TAG_BYTES_MAX: usize = 8;
/// Longest bitmap of a bitmapped composite, in bytes.
pub const PART_BITMAP_BYTES_MAX: usize = 16;
/// Most problems a report keeps; it counts the rest.
pub const PROBLEMS_MAX: usize = 200;

const _: () =
    assert!((FIELD_LENGTH_MAX as usize) < MESSAGE_BYTES_MAX && MESSAGE_BYTES_MAX < u32::MAX as usize / 2);
