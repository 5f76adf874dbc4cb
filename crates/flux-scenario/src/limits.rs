//! Every bound of this crate, by name: a file from outside can cost no more than these allow.

/// Longest scenario or settings file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of lists and tables in a file.
pub const DEPTH_MAX: usize = 64;
/// Most values in a file, counting what aliases repeat.
pub const NODES_MAX: usize = 200_000;
/// Longest name of a rack, gear, port or wire, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Most gears in a scenario.
pub const GEARS_MAX: usize = 4_096;
/// Most wires in a scenario.
pub const WIRES_MAX: usize = 16_384;
/// Most racks in a scenario.
pub const RACKS_MAX: usize = 4_096;
/// Most issues a report keeps; it counts the rest.
pub const ISSUES_MAX: usize = 1_000;
/// Most instances of one partitioned gear.
pub const PARALLEL_MAX: u16 = 256;

const _: () = assert!(WIRES_MAX < NODES_MAX && GEARS_MAX < NODES_MAX);

/// Longest token of a subject that stands for a wire.
pub const WIRE_TOKEN_BYTES_MAX: usize = 32;

/// Longest name of a rack with a mesh wire: with the wire's token it names a stream of the bus.
pub const MESH_RACK_BYTES_MAX: usize = 27;
