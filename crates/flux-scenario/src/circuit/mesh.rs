//! What a wire between racks is called on the bus.

use serde::Serialize;

use crate::limits::WIRE_TOKEN_BYTES_MAX;

/// Where a mesh wire runs on the bus. Each name is a token of a subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MeshRoute {
    /// The rack that sends.
    pub from: String,
    /// The rack that receives.
    pub to: String,
    /// The wire: its id, where that is short.
    pub wire: String,
}

impl MeshRoute {
    /// The route of the wire of this name, between two racks.
    pub(super) fn new((from, to): (&str, &str), wire: &str) -> MeshRoute {
        MeshRoute { from: from.to_owned(), to: to.to_owned(), wire: token(wire) }
    }
}

/// The name of a wire as a token of a subject: itself where it is one, short and without `_`, which is before it in the name of
/// its stream; else as much of it as fits, and a number that tells it from others.
pub(crate) fn token(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let slug: String = name.replace(" -> ", "-").chars().map(plain).collect();
    if slug == name && name.len() <= WIRE_TOKEN_BYTES_MAX {
        return slug;
    }
    // FNV-1a.
    let number =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{:.*}-{number:08x}", WIRE_TOKEN_BYTES_MAX - 9, slug)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_wire_is_a_short_token_on_the_bus() {
        let of = |name: &str| MeshRoute::new(("north", "south"), name).wire;
        let told = [
            "bookings",
            "north.tills.out -> south.ledger.in",
            "tills.out -> ledger.in",
            "a-name-that-is-longer-than-a-token-may-be",
            "a-name-that-is-longer-than-a-token-may-be-2",
            "tills_out",
        ]
        .map(of);
        assert!(told.iter().all(|token| token.len() <= WIRE_TOKEN_BYTES_MAX));
        expect![[r#"
            bookings
            north-tills-out-south-l-ce3aa3d6
            tills-out-ledger-in-5b5c06d6
            a-name-that-is-longer-t-ecf7ba39
            a-name-that-is-longer-t-7e7091ca
            tills-out-b68c32cc"#]]
        .assert_eq(&told.join("\n"));
    }
}
