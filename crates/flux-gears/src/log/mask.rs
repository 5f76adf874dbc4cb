//! Hides card numbers, and what follows them on a magnetic stripe, in text of which nothing else is known.

/// Digits of a card number (ISO/IEC 7812-1 has 19 at most; shorter than 13 is not in use).
const PAN_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digits left at the front and at the back: the most that PCI DSS 3.4.1 lets anybody see of a 16-digit number.
const SHOWN_FRONT: usize = 6;
const SHOWN_BACK: usize = 4;

/// The text with every card number and track in it masked: 13 to 19 digits, single spaces or hyphens between them or not, that
/// pass the Luhn check. A longer run of digits is searched for numbers inside it. Rather one too many than one too few.
pub(crate) fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let run = digits_from(&bytes, at);
        at = run.last().expect("the run has the digit it begins with") + 1;
        if mask_run(&mut bytes, &run) {
            at = mask_track(&mut bytes, at);
        }
    }
    String::from_utf8(bytes).expect("a star for a digit keeps UTF-8 valid")
}

/// The places of digits from `start` on, up to the first gap that is more than one separator.
fn digits_from(bytes: &[u8], start: usize) -> Vec<usize> {
    let mut run = vec![start];
    let mut at = start + 1;
    loop {
        let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        if is_digit(at) {
            run.push(at);
            at += 1;
        } else if matches!(bytes.get(at), Some(b' ' | b'-')) && is_digit(at + 1) {
            at += 1;
        } else {
            return run;
        }
    }
}

/// Masks the card numbers in a run of digits; says whether there were any.
fn mask_run(bytes: &mut [u8], run: &[usize]) -> bool {
    let mut is_card = false;
    let digits: Vec<u8> = run.iter().map(|&place| bytes[place] - b'0').collect();
    for start in 0..digits.len() {
        for length in PAN_DIGITS.rev() {
            if digits.get(start..start + length).is_some_and(passes_luhn) {
                is_card = true;
                for &place in &run[start + SHOWN_FRONT..start + length - SHOWN_BACK] {
                    bytes[place] = b'*';
                }
            }
        }
    }
    is_card
}

/// Masks what follows a card number on a magnetic stripe (ISO/IEC 7813): on track 2 digits behind a separator, on track 1
/// all up to the end sentinel, the name first. Returns where it ends.
fn mask_track(bytes: &mut [u8], at: usize) -> usize {
    let is_masked: fn(&u8) -> bool = match bytes.get(at) {
        Some(b'=' | b'D' | b'd') => u8::is_ascii_digit,
        Some(b'^') => |byte| *byte != b'?',
        _ => return at,
    };
    let length = bytes[at + 1..].iter().take_while(|byte| is_masked(byte)).count();
    bytes[at + 1..][..length].fill(b'*');
    at + 1 + length
}

/// The check of ISO/IEC 7812-1 annex B.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| u32::from(digit) * if at % 2 == 0 { 1 } else { 2 })
        .map(|digit| if digit > 9 { digit - 9 } else { digit })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn card_numbers_are_masked_and_the_rest_is_not() {
        for (text, want) in [
            ("4111111111111111", "411111******1111"),
            ("4111 1111-1111 1111", "4111 11**-**** 1111"),
            (";4111111111111111=2512101?", ";411111******1111=*******?"),
            ("4111111111111111D2512101F", "411111******1111D*******F"),
            ("%B4111111111111111^DOÉ/J^2512101?;", "%B411111******1111^**************?;"),
            ("4111111111111111 = 12", "411111******1111 = 12"),
            ("378282246310005", "378282*****0005"),
            ("1234567890123", "1234567890123"),
            ("123456789012", "123456789012"),
            ("4111  1111 1111 1111", "4111  1111 1111 1111"),
            ("card 5500005555555559 é", "card 550000******5559 é"),
            ("", ""),
        ] {
            assert_eq!(masked(text), want);
        }
    }

    fn with_check_digit(mut digits: Vec<u8>) -> Vec<u8> {
        digits.push(0);
        let last = digits.len() - 1;
        let check = (0..10).find(|&check| {
            digits[last] = check;
            passes_luhn(&digits)
        });
        digits[last] = check.expect("one of ten digits makes the sum round");
        digits
    }

    proptest! {
        #[test]
        fn no_card_number_comes_through(
            digits in prop::collection::vec(0..10_u8, 12..19),
            before in "[0-9a-f =-]{0,8}",
            after in "[0-9a-f =-]{0,8}",
        ) {
            let digits = with_check_digit(digits);
            let pan: String = digits.iter().map(|&digit| char::from(b'0' + digit)).collect();
            let shown = masked(&format!("{before}{pan}{after}"));
            prop_assert!(!shown.contains(&pan), "{}", shown);
        }
    }
}
