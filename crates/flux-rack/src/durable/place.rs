//! Where the journal of a wire is, by which journals are told apart.

use flux_mesh::is_outbox;
use flux_scenario::circuit::CircuitWire;

use super::{MeshEnd, feeder::CONSUMER};

/// Where the journals of wires are, in the state directory: of those inside the rack, of those out of it, of those into it.
pub(crate) const DIRECTORIES: [&str; 3] = ["wires", "outbox", "inbox"];

/// Where the journal of a wire is in the state directory, if it has one: what tells it from those of other wires.
pub(crate) fn journal_of(wire: &CircuitWire) -> Option<String> {
    wire.durable?;
    let [inner, outbox, inbox] = DIRECTORIES;
    let directory = match (&wire.mesh, MeshEnd::of(wire)) {
        (None, _) => inner,
        (Some(_), MeshEnd::Out) => outbox,
        (Some(_), MeshEnd::In) => inbox,
    };
    Some(format!("{directory}/{}", directory_name(&wire.id)))
}

/// Whether a consumer of a wire's journal is whoever it is for.
pub(crate) fn is_receiver(consumer: &str) -> bool {
    consumer == CONSUMER || is_outbox(consumer)
}

/// The name of a wire as that of a directory: the same for no two wires. `from -> to` becomes `from+to`; what is neither
/// letter, digit, `.`, `_` nor `-` becomes `%` and two hexadecimal digits.
fn directory_name(wire: &str) -> String {
    let mut name = String::with_capacity(wire.len());
    for (at, end) in wire.split(" -> ").enumerate() {
        if at > 0 {
            name.push('+');
        }
        for byte in end.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(byte.into()),
                b'.' if !name.is_empty() => name.push('.'),
                _ => name.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    name
}
