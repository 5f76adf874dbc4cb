//! The request of a Rack to enrol, or to have its certificate made anew: signed with its passport.

use std::collections::BTreeMap;
use std::fmt;

use flux_bus::Name;
use flux_scenario::{
    hex::{Hex, from_hex},
    signed::Signed,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::{CSR_BYTES_MAX, KINDS_MAX, LABEL_BYTES_MAX, LABELS_MAX};
use crate::{Token, rack_name};

/// 32 bytes of chance that make a request the only one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(pub [u8; 32]);

/// What a Rack asks for. It signs this with its passport, whose key is thereby known; the request for a certificate is signed
/// with the key of that; the key for the bus stays with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// What it is to be called.
    pub rack: Name,
    /// The token it was given; none to be put on the list of those who wait, and none to renew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Never the same twice.
    pub nonce: Nonce,
    /// When it was made, by the clock of the Mixer as far as the Rack knows it: milliseconds since 1970.
    pub made_unix_ms: u64,
    /// A request for a certificate (PKCS #10) for the name, as PEM.
    pub csr: String,
    /// The public half of its key for the bus.
    pub bus_key: String,
    /// Labels it claims. Those of its token win.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Version of its program.
    pub program: String,
    /// Kinds of gears it offers.
    #[serde(default)]
    pub kinds: Vec<String>,
}

impl EnrolmentRequest {
    /// The token, read.
    ///
    /// # Errors
    /// When it is none.
    pub fn token(&self) -> Result<Option<Token>, &'static str> {
        self.token.as_deref().map(str::parse).transpose()
    }
}

impl Signed for EnrolmentRequest {
    const WHAT: &'static str = "enrolment";
    const VERSION: u32 = 1;

    fn check(&self) -> Result<(), String> {
        rack_name(self.rack.as_str()).map_err(|why| why.to_string())?;
        if self.csr.len() > CSR_BYTES_MAX {
            return Err(format!("the request for a certificate is longer than {CSR_BYTES_MAX} bytes"));
        }
        check_labels(&self.labels)?;
        let is_word = |word: &String| !word.is_empty() && word.len() <= LABEL_BYTES_MAX;
        if self.kinds.len() > KINDS_MAX || !self.kinds.iter().chain([&self.program]).all(is_word) {
            return Err(format!(
                "a version and up to {KINDS_MAX} kinds, each with up to {LABEL_BYTES_MAX} bytes"
            ));
        }
        if self.bus_key.len() > LABEL_BYTES_MAX
            || !self.bus_key.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err("the key for the bus is none".into());
        }
        Ok(())
    }
}

/// Whether labels may be those of a Rack.
///
/// # Errors
/// The rule.
pub(crate) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), String> {
    let is_word = |word: &String| {
        word.len() <= LABEL_BYTES_MAX
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
    };
    let is_good = labels.len() <= LABELS_MAX
        && labels.iter().all(|(key, value)| !key.is_empty() && is_word(key) && is_word(value));
    is_good.then_some(()).ok_or_else(|| {
        format!(
            "labels are up to {LABELS_MAX} pairs of letters, digits, `-`, `_`, `.` and `/`, up to {LABEL_BYTES_MAX} bytes each"
        )
    })
}

impl fmt::Debug for EnrolmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "request of {} to enrol, {} token",
            self.rack,
            if self.token.is_some() { "with a" } else { "without a" }
        )
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nonce, D::Error> {
        let digits = String::deserialize(deserializer)?;
        from_hex(&digits).map(Nonce).ok_or_else(|| de::Error::custom("a nonce has 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use flux_scenario::passport::Passport;
    use proptest::prelude::*;

    use super::*;
    use crate::TokenKind;

    fn request() -> EnrolmentRequest {
        EnrolmentRequest {
            rack: Name::new("north").unwrap(),
            token: Some(Token::new(TokenKind::Enrolment, [1; 8], [2; 32], [3; 32]).expose()),
            nonce: Nonce([4; 32]),
            made_unix_ms: 1_795_242_117_000,
            csr: "-----BEGIN CERTIFICATE REQUEST-----".into(),
            bus_key: "UABC".into(),
            labels: BTreeMap::from([("site".into(), "lisbon/1".into())]),
            program: "0.1.0".into(),
            kinds: vec!["io_tcp".into()],
        }
    }

    #[test]
    fn it_is_known_by_who_signed_it() {
        let passport = Passport::from_seed([7; 32]);
        let text = request().sign(&passport);
        expect_test::expect_file!["../tests/golden/enrolment-1.flux"].assert_eq(&text);
        assert_eq!(
            EnrolmentRequest::verify_own(text.as_bytes()).unwrap(),
            (request(), passport.public_key())
        );
        let changed = text.replace("north", "south");
        let why = EnrolmentRequest::verify_own(changed.as_bytes()).unwrap_err().to_string();
        assert_eq!(why, "its signature does not match: it was changed after it was signed");
        assert!(!format!("{:?}", request()).contains("0202"), "no secret is shown");
    }

    #[test]
    fn names_and_lengths_are_held() {
        let passport = Passport::from_seed([7; 32]);
        let refused = |change: fn(&mut EnrolmentRequest)| {
            let mut request = request();
            change(&mut request);
            EnrolmentRequest::verify_own(request.sign(&passport).as_bytes()).is_err()
        };
        assert!(refused(|request| request.csr = "x".repeat(CSR_BYTES_MAX + 1)));
        assert!(refused(|request| request.bus_key = "U.*.>".into()));
        assert!(refused(|request| drop(request.labels.insert("a b".into(), String::new()))));
        assert!(refused(|request| request.kinds = vec![String::new()]));
        assert!(refused(|request| request.rack = Name::new("n".repeat(49)).unwrap()));
        for bad in ["a.b", "*", ">", "../x", "a/b", "", "a b"] {
            let text = request().sign(&passport).replace("\"north\"", &format!("{bad:?}"));
            let (line, _) = text.split_once("\nkey ").unwrap();
            let signed = format!("{line}\nkey {}\n", passport.public_key());
            let text = format!("{signed}signature {}\n", passport.sign(signed.as_bytes()));
            assert!(EnrolmentRequest::verify_own(text.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(bytes: Vec<u8>) {
            prop_assert!(EnrolmentRequest::verify_own(&bytes).is_err());
        }

        #[test]
        fn no_change_goes_unnoticed(at: prop::sample::Index, to: u8) {
            let mut text = request().sign(&Passport::from_seed([7; 32])).into_bytes();
            let at = at.index(text.len());
            prop_assume!(text[at] != to);
            text[at] = to;
            prop_assert!(EnrolmentRequest::verify_own(&text).is_err());
        }
    }
}
