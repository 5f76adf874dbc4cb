//! The number of each problem: stable once released, one page each in `docs/errors`.

use std::fmt;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scenario cannot run.
    Error,
    /// It runs, and probably not as meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The word in a report.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal $severity:ident,)+) => {
        /// A kind of problem. FR01xx syntax, FR02xx names and structure, FR03xx wires, FR04xx gear config,
        /// FR05xx claims and graph, FR06xx settings, FR07xx a gear's own refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &[Code] = &[$(Code::$name,)+];

            /// The four digits after `FR`.
            pub fn number(self) -> u16 {
                match self { $(Code::$name => $number,)+ }
            }

            /// How bad it is; the same each time.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// The YAML cannot be read.
    YamlSyntax = 101 Error,
    /// The TOML cannot be read.
    TomlSyntax = 102 Error,
    /// A key is written twice in one table.
    DuplicateKey = 103 Error,
    /// The file is longer, deeper or fuller than allowed.
    TooLarge = 104 Error,
    /// A feature of YAML that a scenario does not use.
    UnsupportedYaml = 105 Error,
    /// The file name says neither YAML nor TOML.
    UnknownFormat = 106 Error,
    /// The file is not UTF-8 text.
    NotText = 107 Error,

    /// A key that a scenario does not have.
    UnknownKey = 201 Error,
    /// A value of the wrong type.
    WrongType = 202 Error,
    /// A required key is absent.
    MissingKey = 203 Error,
    /// A value that is not one of the allowed ones, or not of the required form.
    BadValue = 204 Error,
    /// A number, a length or a count outside its limits.
    OutOfRange = 205 Error,
    /// There is no gear, so nothing would run.
    NoGears = 206 Error,
    /// Two racks or groups of the same name.
    DuplicateRack = 207 Error,
    /// Two gears of the same name.
    DuplicateGear = 208 Error,
    /// Two wires of the same id.
    DuplicateWireId = 209 Error,
    /// A rack that the scenario does not declare.
    UnknownRack = 210 Error,
    /// A kind that no catalog entry describes.
    UnknownKind = 211 Error,
    /// A group of racks, which this version cannot resolve.
    GroupOfFleet = 212 Warning,
    /// `parallel` where order per key could not hold.
    NotPartitionable = 213 Error,
    /// The scenario has several racks and nobody said which one.
    RackNotChosen = 214 Error,

    /// A wire names a gear that does not exist.
    UnknownGear = 301 Error,
    /// A wire names a port that the gear does not have.
    UnknownPort = 302 Error,
    /// A wire starts at an input or ends at an output.
    WrongDirection = 303 Error,
    /// A hot wire would have to leave the rack.
    HotAcrossRacks = 304 Error,
    /// A lane that this version does not run.
    NoMesh = 305 Error,
    /// Two wires between the same two ports.
    DuplicateWire = 306 Error,
    /// An output that no wire takes.
    UnconsumedOutput = 307 Warning,
    /// A wire looks for a gear on a rack where it is not deployed.
    WrongRack = 308 Error,
    /// Not `gear.port` or `rack.gear.port`.
    BadEndpoint = 309 Error,
    /// A declared port that the gear has already.
    DuplicatePort = 310 Error,
    /// A promise of durable wires on one that is not.
    NotDurable = 311 Error,

    /// A config key that the kind does not have.
    ConfigUnknownKey = 401 Error,
    /// A config value of the wrong type.
    ConfigWrongType = 402 Error,
    /// A required config key is absent.
    ConfigMissingKey = 403 Error,
    /// A config value that is not one of the allowed ones, or not of the required form.
    ConfigBadValue = 404 Error,
    /// A config number, length or count outside its limits.
    ConfigOutOfRange = 405 Error,
    /// Not an address to listen at.
    BadListenAddress = 406 Error,
    /// A reference to a secret that names none.
    BadReference = 407 Error,

    /// Two gears of one rack claim the same thing.
    ClaimConflict = 501 Error,
    /// A cycle made only of `process` halves, which waits on itself.
    ProcessCycle = 502 Error,
    /// A gear that no signal can reach.
    UnreachedGear = 503 Warning,

    /// A setting that does not exist.
    SettingUnknownKey = 601 Error,
    /// A setting of the wrong type.
    SettingWrongType = 602 Error,
    /// A setting that is not one of the allowed values, or not of the required form.
    SettingBadValue = 604 Error,
    /// A setting outside its limits.
    SettingOutOfRange = 605 Error,
    /// A setting that this version accepts and does not act on.
    SettingInert = 606 Info,

    /// A gear refused its config at init.
    InitRefused = 701 Error,
    /// A secret that a config refers to is not there.
    NoSecret = 702 Error,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FR{:04}", self.number())
    }
}

#[cfg(test)]
mod tests;
