//! Subjects: every one we use is spelled here, with the algebra of their wildcards.
//!
//! A subject is tokens between dots. In a pattern `*` stands for one token, and `>`, at the end only, for one or more.
//!
//! ```text
//! fluxrig.agent.<rack>.<what>       what a Rack says of itself: enrolment, heartbeat
//! flux.telemetry.<rack>.<what>      what a Rack measures
//! flux.msg.<rack>.<wire>            what flows between Racks, to the one named
//! flux.ctrl.<rack>.<what>           what a Rack is told
//! ```

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{SUBJECT_BYTES_MAX, SUBJECT_TOKENS_MAX};
use crate::names::Name;

/// What Racks say of themselves.
pub const AGENT: &str = "fluxrig.agent";
/// What Racks measure.
pub const TELEMETRY: &str = "flux.telemetry";
/// What flows between Racks.
pub const MESSAGE: &str = "flux.msg";
/// What Racks are told.
pub const CONTROL: &str = "flux.ctrl";
/// Where answers to requests go.
pub const INBOX: &str = "_INBOX";

/// A place to send to: no wildcards.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

/// A set of subjects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<str>);

impl Subject {
    /// Takes a subject if it is one.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        match problem(text, |token| token != "*" && token != ">") {
            Some(why) => Err(Error::Invalid(format!("{text:?} is no subject: {why}"))),
            None => Ok(Self(text.into())),
        }
    }

    /// `hierarchy.rack.what`, of the hierarchies above.
    pub fn of(hierarchy: &'static str, rack: &Name, what: &Name) -> Self {
        Self(format!("{hierarchy}.{rack}.{what}").into())
    }

    /// The subject with one more token.
    pub fn join(&self, token: &Name) -> Result<Self, Error> {
        Self::new(format!("{}.{token}", self.0))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// Takes a pattern if it is one.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        let last = text.rsplit('.').next();
        let is_end = text.split('.').filter(|token| *token == ">").count() <= usize::from(last == Some(">"));
        match problem(text, |_| true) {
            Some(why) => Err(Error::Invalid(format!("{text:?} is no pattern: {why}"))),
            None if !is_end => {
                Err(Error::Invalid(format!("{text:?} is no pattern: `>` stands at the end only")))
            }
            None => Ok(Self(text.into())),
        }
    }

    /// Everything of a hierarchy.
    pub fn under(hierarchy: &'static str) -> Self {
        Self(format!("{hierarchy}.>").into())
    }

    /// Everything of a hierarchy that belongs to one Rack.
    pub fn under_rack(hierarchy: &'static str, rack: &Name) -> Self {
        Self(format!("{hierarchy}.{rack}.>").into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the subject is one of these.
    pub fn matches(&self, subject: &Subject) -> bool {
        is_within(&subject.0, &self.0)
    }

    /// Whether some subject is both one of these and one of those.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        let (mut ours, mut theirs) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(one), Some(two)) if one == two || one == "*" || two == "*" => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }

    /// Whether each of these subjects is one of those.
    pub fn is_subset(&self, other: &Pattern) -> bool {
        is_within(&self.0, &other.0)
    }
}

/// A subject is the pattern of itself alone, so that one walk serves both.
fn is_within(ours: &str, theirs: &str) -> bool {
    let (mut ours, mut theirs) = (ours.split('.'), theirs.split('.'));
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) | (Some(_), Some(">")) => return true,
            (None, Some(_)) | (Some(_), None) | (Some(">"), Some(_)) => return false,
            (Some(_), Some("*")) => {}
            (Some(one), Some(two)) if one == two => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

fn problem(text: &str, is_allowed: impl Fn(&str) -> bool) -> Option<&'static str> {
    let is_plain =
        |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>'));
    if text.len() > SUBJECT_BYTES_MAX || text.split('.').count() > SUBJECT_TOKENS_MAX {
        return Some("it is too long");
    }
    if text.starts_with('$') {
        return Some("what begins with `$` belongs to the server");
    }
    let is_token = |token: &str| {
        !token.is_empty() && is_allowed(token) && (is_plain(token) || token == "*" || token == ">")
    };
    (!text.split('.').all(is_token))
        .then_some("tokens of visible ASCII between single dots, without wildcards inside")
}

macro_rules! text {
    ($word:ident) => {
        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl std::str::FromStr for $word {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $word {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl From<$word> for String {
            fn from(word: $word) -> String {
                word.as_str().to_owned()
            }
        }
    };
}
pub(crate) use text;

text!(Subject);
text!(Pattern);

impl From<&Subject> for Pattern {
    fn from(subject: &Subject) -> Pattern {
        Pattern(subject.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All subjects of up to five tokens of three words: of patterns of up to three tokens of two of the words, no longer
    /// subject and no further word tells more.
    fn universe() -> Vec<Subject> {
        let mut all: Vec<String> = Vec::new();
        let mut last = vec![String::new()];
        for _ in 0..5 {
            let longer = |head: &String| ["a", "b", "c"].map(|token| format!("{head}.{token}"));
            last = last.iter().flat_map(longer).collect();
            all.extend(last.iter().map(|text| text[1..].to_owned()));
        }
        all.into_iter().map(|text| Subject::new(text).unwrap()).collect()
    }

    fn patterns() -> impl Strategy<Value = Pattern> {
        let token = prop::sample::select(vec!["a", "b", "*"]);
        (prop::collection::vec(token, 0..3), prop::sample::select(vec!["a", "b", "*", ">"]))
            .prop_map(|(head, last)| Pattern::new([head, vec![last]].concat().join(".")).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_algebra_is_that_of_the_sets(one in patterns(), two in patterns()) {
            let (mut is_overlap, mut is_subset) = (false, true);
            for subject in universe() {
                let (in_one, in_two) = (one.matches(&subject), two.matches(&subject));
                is_overlap |= in_one && in_two;
                is_subset &= !in_one || in_two;
            }
            prop_assert_eq!(one.overlaps(&two), is_overlap, "{} overlaps {}", one, two);
            prop_assert_eq!(two.overlaps(&one), is_overlap);
            prop_assert_eq!(one.is_subset(&two), is_subset, "{} within {}", one, two);
        }

        #[test]
        fn any_text_is_a_subject_or_refused(text in ".{0,12}") {
            if let Ok(subject) = Subject::new(&text) {
                prop_assert!(Pattern::from(&subject).matches(&subject));
                prop_assert_eq!(Pattern::new(&text).unwrap(), Pattern::from(&subject));
            }
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\tb",
            "$JS.API.x",
            "a.*",
            ">",
            "a.b*",
            "ä",
            &"a.".repeat(200),
        ] {
            assert!(Subject::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "a.>.b", ">.>", "a*.b", "a>", "**", "$SYS.>"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        for good in ["*", ">", "a.*.b.>", "_INBOX.>"] {
            assert!(Pattern::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_hierarchies_are_apart() {
        let all = [AGENT, TELEMETRY, MESSAGE, CONTROL, INBOX].map(Pattern::under);
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|two| !one.overlaps(two)));
        }
        let (rack, wire) = (Name::new("north").unwrap(), Name::new("w1").unwrap());
        let subject = Subject::of(MESSAGE, &rack, &wire);
        assert_eq!(subject.as_str(), "flux.msg.north.w1");
        assert!(Pattern::under_rack(MESSAGE, &rack).matches(&subject));
        assert!(!Pattern::under_rack(MESSAGE, &wire).overlaps(&Pattern::under_rack(MESSAGE, &rack)));
    }
}
