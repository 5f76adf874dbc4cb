//! What somebody may do on a bus: a list, and nothing that is not on it.

use crate::error::Error;
use crate::mesh_wire::MeshWire;
use crate::names::Name;
use crate::subject::{AGENT, CONTROL, INBOX, MESSAGE, Pattern, TELEMETRY};

/// What may be done. An implementation turns it into the words of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// What may be sent and stored.
    pub publish: Vec<Pattern>,
    /// What may be listened to, beside the own inbox.
    pub subscribe: Vec<Pattern>,
    /// Streams whose consumers may be read, acknowledged and looked at; none may be made.
    pub read_streams: Vec<Name>,
    /// Streams that may be looked at, and no more.
    pub watch_streams: Vec<Name>,
    /// Where answers come to: for a Rack `_INBOX_<rack>`, one token, which no other Rack listens to.
    pub inbox: String,
    /// Whether streams, consumers and buckets may be made, changed and removed, and everything in them.
    pub may_make: bool,
}

impl Grants {
    /// What a Rack may do that has these mesh wires; those of others grant it nothing.
    ///
    /// | a Rack | may |
    /// |---|---|
    /// | any | send on `fluxrig.agent.<rack>.>` and `flux.telemetry.<rack>.>`, listen to `flux.ctrl.<rack>.>` |
    /// | that sends on a wire | send on `flux.msg.<receiver>.<wire>`, look at the wire's stream |
    /// | that receives from a wire | read the wire's stream, acknowledge on `flux.ctrl.<sender>.mesh.<wire>` |
    ///
    /// # Errors
    /// When the names make a subject too long.
    pub fn of_rack(rack: &Name, wires: &[MeshWire]) -> Result<Grants, Error> {
        let mut grants = Grants {
            publish: vec![Pattern::under_rack(AGENT, rack), Pattern::under_rack(TELEMETRY, rack)],
            subscribe: vec![Pattern::under_rack(CONTROL, rack)],
            inbox: format!("{INBOX}_{rack}"),
            ..Grants::default()
        };
        for wire in wires {
            if wire.from == *rack {
                grants.publish.push(Pattern::from(&wire.packs()));
                grants.watch_streams.push(wire.stream()?);
            }
            if wire.to == *rack {
                grants.publish.push(Pattern::from(&wire.reports()?));
                grants.read_streams.push(wire.stream()?);
            }
        }
        Ok(grants)
    }

    /// What a Mixer may do: everything in the hierarchies, and to make what Racks use.
    pub fn of_mixer() -> Grants {
        let all: Vec<Pattern> = [AGENT, TELEMETRY, MESSAGE, CONTROL].map(Pattern::under).into();
        Grants {
            publish: all.clone(),
            subscribe: all,
            inbox: INBOX.into(),
            may_make: true,
            ..Grants::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn wire(wire: &str, from: &str, to: &str) -> MeshWire {
        MeshWire { wire: name(wire), from: name(from), to: name(to) }
    }

    #[test]
    fn a_rack_may_what_its_wires_need_and_no_more() {
        let wires = [wire("w1", "north", "south"), wire("w2", "south", "north"), wire("w3", "south", "east")];
        let grants = Grants::of_rack(&name("north"), &wires).unwrap();
        let texts = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        expect_test::expect![[r#"
            [
                "fluxrig.agent.north.>",
                "flux.telemetry.north.>",
                "flux.msg.south.w1",
                "flux.ctrl.south.mesh.w2",
            ]
        "#]]
        .assert_debug_eq(&texts(&grants.publish));
        assert_eq!(texts(&grants.subscribe), ["flux.ctrl.north.>"]);
        assert_eq!(
            (grants.read_streams, grants.watch_streams),
            (vec![name("north_w2")], vec![name("south_w1")])
        );
        assert_eq!(grants.inbox, "_INBOX_north");
    }

    /// No two Racks listen to one subject, and none may send where another speaks of itself.
    #[test]
    fn racks_are_apart_from_each_other() {
        let grants = ["north", "north-2", "n"].map(|rack| Grants::of_rack(&name(rack), &[]).unwrap());
        for (at, one) in grants.iter().enumerate() {
            for two in &grants[at + 1..] {
                for (ours, theirs) in [(&one.publish, &two.publish), (&one.subscribe, &two.subscribe)] {
                    assert!(ours.iter().all(|our| theirs.iter().all(|their| !our.overlaps(their))));
                }
                assert_ne!(one.inbox, two.inbox);
            }
        }
    }
}
