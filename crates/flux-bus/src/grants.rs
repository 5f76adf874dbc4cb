//! What somebody may do on a bus: a list, and nothing that is not on it.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::names::Name;
use crate::subject::{self, AGENT, CONTROL, INBOX, MESSAGE, Pattern, Subject, TELEMETRY};

/// What may be done. An implementation turns it into the words of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// What may be sent and stored.
    pub publish: Vec<Pattern>,
    /// What may be listened to, beside the own inbox.
    pub subscribe: Vec<Pattern>,
    /// Streams whose consumers may be read, acknowledged and looked at; none may be made.
    pub read_streams: Vec<Name>,
    /// Where answers come to: for a Rack `_INBOX_<rack>`, one token, which no other Rack listens to.
    pub inbox: String,
    /// Whether streams, consumers and buckets may be made, changed and removed, and everything in them.
    pub may_make: bool,
}

/// A wire from one Rack to another, as the bus sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeshWire {
    /// What it is called: one token of a subject.
    pub wire: Name,
    /// The Rack that sends.
    pub from: Name,
    /// The Rack that receives.
    pub to: Name,
}

impl Grants {
    /// What a Rack may do that has these mesh wires; those of others grant it nothing.
    ///
    /// | a Rack | may |
    /// |---|---|
    /// | any | send on `fluxrig.agent.<rack>.>` and `flux.telemetry.<rack>.>`, listen to `flux.ctrl.<rack>.>` and `flux.msg.<rack>.>` |
    /// | any | read the stream of its own messages ([`subject::stream_of`]) |
    /// | that sends on a wire | send on `flux.msg.<receiver>.<wire>` |
    /// | that receives from a wire | acknowledge to its sender on `flux.msg.<sender>.<wire>` and `flux.ctrl.<sender>.<wire>` |
    ///
    /// # Errors
    /// When a name makes a subject too long.
    pub fn of_rack(rack: &Name, wires: &[MeshWire]) -> Result<Grants, Error> {
        let mut publish = vec![Pattern::under_rack(AGENT, rack), Pattern::under_rack(TELEMETRY, rack)];
        for MeshWire { wire, from, to } in wires {
            let mut grant = |hierarchy, other| {
                let subject = Pattern::from(&Subject::new(format!("{hierarchy}.{other}.{wire}"))?);
                if !publish.contains(&subject) {
                    publish.push(subject);
                }
                Ok::<(), Error>(())
            };
            if from == rack {
                grant(MESSAGE, to)?;
            }
            if to == rack {
                grant(MESSAGE, from)?;
                grant(CONTROL, from)?;
            }
        }
        Ok(Grants {
            publish,
            subscribe: vec![Pattern::under_rack(CONTROL, rack), Pattern::under_rack(MESSAGE, rack)],
            read_streams: vec![subject::stream_of(rack)?],
            inbox: format!("{INBOX}_{rack}"),
            may_make: false,
        })
    }

    /// What a Mixer may do: everything in the hierarchies, and to make what Racks use.
    pub fn of_mixer() -> Grants {
        let all: Vec<Pattern> = [AGENT, TELEMETRY, MESSAGE, CONTROL].map(Pattern::under).into();
        Grants {
            publish: all.clone(),
            subscribe: all,
            read_streams: Vec::new(),
            inbox: INBOX.into(),
            may_make: true,
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
                "flux.msg.south.w2",
                "flux.ctrl.south.w2",
            ]
        "#]]
        .assert_debug_eq(&texts(&grants.publish));
        assert_eq!(texts(&grants.subscribe), ["flux.ctrl.north.>", "flux.msg.north.>"]);
        assert_eq!(grants.read_streams, [name("flux-msg-north")]);
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
