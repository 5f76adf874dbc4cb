//! A passport as a Mixer signs it: which Rack has it, and what it is to do, and its own part of the scenario, of nobody else's.

use std::collections::BTreeMap;

use flux_bus::Name;
use flux_scenario::{passport::PublicKey, signed::Signed};
use serde::{Deserialize, Serialize};

use crate::orders::Orders;
use crate::request::check_labels;

/// What a Mixer says of a Rack. It does not expire: a Rack that is on its own for a year goes on. What expires is the
/// certificate, and with it the word of the Rack on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedPassport {
    /// Counts what was signed for this Rack; a Rack never goes back to a smaller one.
    pub number: u64,
    /// When it was signed, in milliseconds since 1970.
    pub signed_unix_ms: u64,
    /// The fleet, by the name of its Mixer.
    pub mixer: Name,
    /// The Rack.
    pub rack: Name,
    /// The public key of its passport.
    pub key: PublicKey,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is to do.
    pub orders: Orders,
}

impl Signed for SignedPassport {
    const WHAT: &'static str = "signed-passport";
    const VERSION: u32 = 1;

    fn check(&self) -> Result<(), String> {
        check_labels(&self.labels)?;
        let wires = self.orders.part.iter().flat_map(|part| &part.wires);
        let foreign = wires.filter(|wire| wire.from != self.rack && wire.to != self.rack).count();
        (foreign == 0).then_some(()).ok_or_else(|| format!("{foreign} wires are those of other racks"))
    }
}

#[cfg(test)]
mod tests {
    use flux_bus::MeshWire;
    use flux_scenario::edition::ContentHash;
    use flux_scenario::passport::Passport;
    use flux_scenario::signed::SignedError;

    use super::*;
    use crate::orders::{Duty, LogLevel, Part};

    fn passport() -> SignedPassport {
        let name = |text| Name::new(text).unwrap();
        SignedPassport {
            number: 3,
            signed_unix_ms: 1_795_242_117_000,
            mixer: name("lab"),
            rack: name("north"),
            key: Passport::from_seed([7; 32]).public_key(),
            labels: BTreeMap::from([("site".into(), "lisbon".into())]),
            orders: Orders {
                duty: Duty::Drained,
                log_level: Some(LogLevel::Debug),
                shutdowns: 2,
                part: Some(Part {
                    scenario: "switch".into(),
                    version: Some("1.0.0".into()),
                    whole: ContentHash([5; 32]),
                    text: "{}".into(),
                    wires: vec![MeshWire { wire: name("w1"), from: name("north"), to: name("south") }],
                }),
            },
        }
    }

    #[test]
    fn the_format_is_pinned_and_only_the_cluster_key_signs_it() {
        let cluster = Passport::from_seed([9; 32]);
        let text = passport().sign(&cluster);
        expect_test::expect_file!["../tests/golden/signed-passport-1.flux"].assert_eq(&text);
        assert_eq!(SignedPassport::verify(text.as_bytes(), &cluster.public_key()), Ok(passport()));
        // A rack that signs one for itself, as if that were a passport.
        let forged = passport().sign(&Passport::from_seed([7; 32]));
        let why = SignedPassport::verify(forged.as_bytes(), &cluster.public_key()).unwrap_err();
        assert!(matches!(why, SignedError::OtherKey { .. }), "{why}");
        let relabelled = forged.replace(
            &Passport::from_seed([7; 32]).public_key().to_string(),
            &cluster.public_key().to_string(),
        );
        let why = SignedPassport::verify(relabelled.as_bytes(), &cluster.public_key()).unwrap_err();
        assert_eq!(why, SignedError::Changed);
    }

    #[test]
    fn wires_of_others_have_no_place_in_it() {
        let cluster = Passport::from_seed([9; 32]);
        let foreign = SignedPassport { rack: Name::new("east").unwrap(), ..passport() }.sign(&cluster);
        let why = SignedPassport::verify(foreign.as_bytes(), &cluster.public_key()).unwrap_err();
        assert_eq!(why.to_string(), "it is damaged: 1 wires are those of other racks");
    }
}
