//! The message type indicator (ISO 8583 clause 4.1): version, class, function, origin.

/// The message type that answers `mti`: `0200` is answered by `0210`, `0421` by `0430`.
///
/// The function digit goes from request, advice, notification or instruction (0, 2, 4, 6) to its answer (1, 3, 5, 7),
/// and a repeat (origin 1, 3, 5) is answered like the message it repeats. `None` for what is no message type, is an
/// answer already, or has a reserved function.
pub fn response_mti(mti: &str) -> Option<[u8; 4]> {
    let digits: [u8; 4] = mti.as_bytes().try_into().ok()?;
    let [version, class, function, origin] = digits;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(function, b'0' | b'2' | b'4' | b'6') {
        return None;
    }
    Some([version, class, function + 1, first_origin(origin)])
}

/// What a message type has in common with those that repeat or answer it, and with no other: the type of the request.
/// `0200`, `0201`, `0210` and `0211` are of the exchange `0200`; a reversal `0400` and an advice `0220` are of others.
///
/// `None` for what is no message type. Functions that are reserved (8, 9) have no answer: each is an exchange of its own.
pub fn exchange(mti: &str) -> Option<[u8; 4]> {
    let digits: [u8; 4] = mti.as_bytes().try_into().ok()?;
    let [version, class, function, origin] = digits;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let function = if matches!(function, b'1' | b'3' | b'5' | b'7') { function - 1 } else { function };
    Some([version, class, function, first_origin(origin)])
}

/// The origin of the message that one of this origin may repeat.
fn first_origin(origin: u8) -> u8 {
    if matches!(origin, b'1' | b'3' | b'5') { origin - 1 } else { origin }
}

/// Four digits as text.
pub(crate) fn text(mti: &[u8; 4]) -> &str {
    std::str::from_utf8(mti).expect("a message type is four ASCII digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_answers_and_answers_have_none() {
        let cases = [
            ("0200", Some("0210")),
            ("0201", Some("0210")),
            ("0100", Some("0110")),
            ("0420", Some("0430")),
            ("0421", Some("0430")),
            ("0422", Some("0432")),
            ("0800", Some("0810")),
            ("1804", Some("1814")),
            ("2645", Some("2654")),
            ("0210", None),
            ("0430", None),
            ("0280", None),
            ("02", None),
            ("02a0", None),
        ];
        for (mti, answer) in cases {
            let found = response_mti(mti);
            assert_eq!(found.as_ref().map(text), answer, "{mti}");
        }
    }

    #[test]
    fn an_exchange_is_a_request_its_repeats_and_their_answers() {
        for (of, mtis) in [
            ("0200", &["0200", "0201", "0210", "0211"][..]),
            ("0220", &["0220", "0221", "0230", "0231"]),
            ("0400", &["0400", "0401", "0410"]),
            ("0420", &["0420", "0421", "0430"]),
            ("0422", &["0422", "0423", "0432"]),
            ("1804", &["1804", "1805", "1814"]),
            ("0280", &["0280"]),
            ("0290", &["0290"]),
        ] {
            for mti in mtis {
                assert_eq!(exchange(mti).as_ref().map(text), Some(of), "{mti}");
            }
        }
        for no_type in ["", "02", "02a0", "02000"] {
            assert_eq!(exchange(no_type), None, "{no_type}");
        }
    }
}
