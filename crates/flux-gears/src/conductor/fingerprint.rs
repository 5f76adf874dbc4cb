//! What tells a repeat from another transaction that came under the same key.

use std::hash::{DefaultHasher, Hasher};

use flux_gear::{FluxMsg, Key, Value};

use super::exchange::Exchange;

/// The processing code: as one value where the spec takes it apart, and where it does not.
const PROCESSING_CODE: [&str; 2] = ["iso8583.raw.3", "iso8583.field.3"];
const AMOUNT: &str = "iso8583.field.4";
const ACCOUNT_NUMBER: &str = "iso8583.field.2";
/// It begins with the account number (ISO/IEC 7813), which ends at one of [`TRACK_SEPARATORS`].
const TRACK_2: &str = "iso8583.field.35";
const TRACK_SEPARATORS: [char; 2] = ['=', 'D'];

/// Makes fingerprints: hashes under a secret, which say whether two requests ask for the same and nothing else of them.
pub(crate) struct Fingerprinter {
    fields: Vec<Key>,
    secret: [u64; 2],
}

/// Equal for requests that ask for the same; differs for others but for one chance in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(super) u64);

impl Fingerprinter {
    /// With the values that identify what a request asks for; without any, those that are usual for its kind.
    pub(crate) fn new(fields: Vec<Key>, secret: [u64; 2]) -> Fingerprinter {
        Fingerprinter { fields, secret }
    }

    /// The secret; fingerprints made with another are never equal.
    pub(crate) fn secret(&self) -> [u64; 2] {
        self.secret
    }

    /// Goes on with the secret of the fingerprints there are.
    pub(crate) fn set_secret(&mut self, secret: [u64; 2]) {
        self.secret = secret;
    }

    pub(crate) fn of(&self, request: &FluxMsg, exchange: Option<Exchange>) -> Fingerprint {
        let mut hash = Hash(DefaultHasher::new());
        self.secret.iter().for_each(|half| hash.0.write_u64(*half));
        // No message repeats one of another exchange, whatever else they share.
        hash.text(exchange.as_ref().map(|digits| &digits[..]));
        match (self.fields.is_empty(), exchange) {
            (false, _) => {
                self.fields.iter().for_each(|field| hash.value(field.value(request).as_ref()));
            }
            (true, Some(_)) => hash.card_transaction(request),
            (true, None) => hash.text(Some(&request.payload)),
        }
        Fingerprint(hash.0.finish())
    }
}

/// Values one after another, so that none is taken for another.
struct Hash(DefaultHasher);

impl Hash {
    fn card_transaction(&mut self, request: &FluxMsg) {
        let account = request.data.get(ACCOUNT_NUMBER).or_else(|| {
            let track = request.data.get(TRACK_2)?;
            Some(track.as_text()?.split(TRACK_SEPARATORS).next()?.into())
        });
        self.value(account.as_ref());
        self.value(PROCESSING_CODE.iter().find_map(|path| request.data.get(path)).as_ref());
        self.value(request.data.get(AMOUNT).as_ref());
    }

    fn value(&mut self, value: Option<&Value>) {
        match value {
            Some(Value::Text(text)) => self.text(Some(text.as_bytes())),
            Some(Value::Bytes(bytes)) => self.text(Some(bytes)),
            Some(Value::Map(map)) => {
                self.0.write_u64(map.len() as u64);
                for (key, value) in map.iter() {
                    self.text(Some(key.as_bytes()));
                    self.value(Some(value));
                }
            }
            Some(Value::List(list)) => {
                self.0.write_u64(list.len() as u64);
                list.iter().for_each(|value| self.value(Some(value)));
            }
            Some(other) => self.text(Some(format!("{other:?}").as_bytes())),
            None => self.text(None),
        }
    }

    fn text(&mut self, text: Option<&[u8]>) {
        self.0.write_u64(text.map_or(u64::MAX, |text| text.len() as u64));
        self.0.write(text.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxId;

    use super::*;
    use crate::conductor::exchange::Part;

    /// Whether a request with these values has the fingerprint of the first one.
    #[track_caller]
    fn check(fields: &[&str], first: &[(&str, &str)], second: &[(&str, &str)], is_same: bool) {
        let fields = fields.iter().map(|key| key.parse().unwrap()).collect();
        let fingerprinter = Fingerprinter::new(fields, [1, 2]);
        let of = |values: &[(&str, &str)]| {
            let payload: Vec<u8> =
                values.iter().flat_map(|(path, text)| [*path, *text]).collect::<String>().into();
            let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, payload);
            values.iter().for_each(|(path, text)| msg.data.set(path, (*text).into()).unwrap());
            fingerprinter.of(&msg, Part::of(&msg).exchange())
        };
        assert_eq!(of(first) == of(second), is_same, "{first:?} {second:?}");
    }

    #[test]
    fn card_transactions_are_told_apart_by_card_code_and_amount() {
        let (mti, pan, code) = ("iso8583.mti", "iso8583.field.2", "iso8583.field.3");
        let (amount, track) = ("iso8583.field.4", "iso8583.field.35");
        let first = [(mti, "0200"), (pan, "4111"), (code, "00"), (amount, "10")];
        check(&[], &first, &[(mti, "0201"), (pan, "4111"), (code, "00"), (amount, "10"), ("x", "1")], true);
        for other in [
            [(mti, "0400"), (pan, "4111"), (code, "00"), (amount, "10")],
            [(mti, "0200"), (pan, "4112"), (code, "00"), (amount, "10")],
            [(mti, "0200"), (pan, "4111"), (code, "20"), (amount, "10")],
            [(mti, "0200"), (pan, "4111"), (code, "00"), (amount, "11")],
            [(mti, "0200"), (pan, "4111"), (code, "0010"), (amount, "")],
        ] {
            check(&[], &first, &other, false);
        }
        let by_track = [(mti, "0200"), (track, "4111=2812")];
        check(&[], &by_track, &[(mti, "0200"), (track, "4111D2901")], true);
        check(&[], &by_track, &[(mti, "0200"), (track, "4112=2812")], false);
        check(
            &[],
            &[(mti, "0800"), ("iso8583.field.12", "1")],
            &[(mti, "0800"), ("iso8583.field.12", "2")],
            true,
        );
    }

    #[test]
    fn other_requests_are_told_apart_by_their_bytes_or_by_the_values_asked_for() {
        check(&[], &[("a", "1")], &[("a", "1")], true);
        check(&[], &[("a", "1")], &[("a", "2")], false);
        check(&["data.a"], &[("a", "1"), ("b", "1")], &[("a", "1"), ("b", "2")], true);
        check(&["data.a"], &[("a", "1")], &[("b", "1")], false);
        check(&["data.a", "data.b"], &[("a", "12"), ("b", "3")], &[("a", "1"), ("b", "23")], false);
        check(&["data.a"], &[("a.x", "1"), ("a.y", "2")], &[("a.x", "1"), ("a.y", "3")], false);
    }

    #[test]
    fn a_fingerprint_says_nothing_without_the_secret() {
        let msg = FluxMsg::new(FluxId::v7(1, 1), 0, &b"4111111111111111"[..]);
        let with = |secret| Fingerprinter::new(Vec::new(), secret).of(&msg, None);
        assert_ne!(with([1, 2]), with([1, 3]));
        assert_ne!(with([1, 2]), with([2, 2]));
    }
}
