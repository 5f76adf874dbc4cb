//! A wire between two Racks by name, and what it is called on the bus.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::names::Name;
use crate::subject::{CONTROL, MESSAGE, Subject};

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

impl MeshWire {
    /// A wire between two Racks, by names that are tokens of a subject, and short enough to name a stream together.
    ///
    /// # Errors
    /// When they are not.
    pub fn new(from: &str, to: &str, wire: &str) -> Result<Self, Error> {
        let this = Self { from: Name::new(from)?, to: Name::new(to)?, wire: Name::new(wire)? };
        this.stream()?;
        Ok(this)
    }

    /// Where it sends: `flux.msg.<to>.<wire>`.
    pub fn packs(&self) -> Subject {
        Subject::of(MESSAGE, &self.to, &self.wire)
    }

    /// Where its receiver reports what it has: `flux.ctrl.<from>.mesh.<wire>`.
    ///
    /// # Errors
    /// When the names make a subject too long.
    pub fn reports(&self) -> Result<Subject, Error> {
        Subject::of(CONTROL, &self.from, &Name::new("mesh")?).join(&self.wire)
    }

    /// The stream of what it sends: `<to>_<wire>`, where no `_` is in the wire, so that it is of no other one.
    ///
    /// # Errors
    /// When the names make it too long, or the wire has a `_`.
    pub fn stream(&self) -> Result<Name, Error> {
        if self.wire.as_str().contains('_') {
            return Err(Error::Invalid(format!("the name of a wire on the bus has no `_`: {}", self.wire)));
        }
        Name::new(format!("{}_{}", self.to, self.wire))
    }

    /// The consumer of that stream.
    pub fn consumer(&self) -> Name {
        Name::new("inbox").expect("it is a name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let wire = MeshWire::new("north", "south", "bookings").unwrap();
        assert!(MeshWire::new("north", "south", &"x".repeat(55)).is_err(), "the stream has no such name");
        let why = MeshWire::new("a", "b", "c_d").unwrap_err().to_string();
        assert!(why.contains("c_d"), "b and c_d are not b_c and d: {why}");
        assert_eq!(wire.packs().as_str(), "flux.msg.south.bookings");
        assert_eq!(wire.reports().unwrap().as_str(), "flux.ctrl.north.mesh.bookings");
        assert_eq!((wire.stream().unwrap().as_str(), wire.consumer().as_str()), ("south_bookings", "inbox"));
    }
}
