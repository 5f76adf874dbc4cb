//! Which accounts pay: shares by the beginning of the account number, and the numbers that tell requests apart.

use std::str::FromStr;

/// Digits of every account number.
pub(super) const PAN_DIGITS: usize = 16;
/// Trace numbers run from 000001 to 999999 and begin again.
const STANS: u64 = 999_999;
/// Multiplier of a Fibonacci hash, 2^64 divided by the golden ratio: neighbouring numbers fall far apart.
const SCATTER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Shares of account numbers by how they begin, as in `4:80,5:20`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    shares: Vec<Share>,
    total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    prefix: String,
    weight: u64,
}

/// The digits by which a request is told from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Which share of the mix its account belongs to.
    pub(super) share: usize,
    /// Account number, with a check digit that fits.
    pub(super) pan: [u8; PAN_DIGITS],
    /// Systems trace audit number.
    pub(super) stan: [u8; 6],
    /// Retrieval reference number.
    pub(super) reference: [u8; 12],
}

impl Mix {
    /// The beginnings of the account numbers, in the order given.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.shares.iter().map(|share| share.prefix.as_str())
    }

    /// Who pays in request `sequence` of a connection. Deterministic, and no two requests of a run share the whole of
    /// it while fewer than ten thousand connections send fewer than a hundred million requests each.
    pub(super) fn identity(&self, connection: u16, sequence: u64) -> Identity {
        let share = self.share(connection, sequence);
        let mut pan = [b'0'; PAN_DIGITS];
        let (account, check) = pan.split_at_mut(PAN_DIGITS - 1);
        let (prefix, rest) = account.split_at_mut(self.shares[share].prefix.len());
        prefix.copy_from_slice(self.shares[share].prefix.as_bytes());
        let (owner, serial) = rest.split_at_mut(4.min(rest.len()));
        write_digits(u64::from(connection), owner);
        write_digits(sequence, serial);
        check[0] = check_digit(account);
        let (mut stan, mut reference) = ([0; 6], [0; 12]);
        write_digits(u64::from(stan_of(sequence)), &mut stan);
        write_digits(u64::from(connection), &mut reference[..4]);
        write_digits(sequence, &mut reference[4..]);
        Identity { share, pan, stan, reference }
    }

    fn share(&self, connection: u16, sequence: u64) -> usize {
        let scattered = (sequence + u64::from(connection) * STANS).wrapping_mul(SCATTER) >> 32;
        let mut left = scattered % self.total;
        for (index, share) in self.shares.iter().enumerate() {
            match left.checked_sub(share.weight) {
                None => return index,
                Some(rest) => left = rest,
            }
        }
        unreachable!("the weights add up to the total")
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let share = |part: &str| {
            let (prefix, weight) = part.split_once(':').unwrap_or((part, "1"));
            let is_prefix = (1..=8).contains(&prefix.len()) && prefix.bytes().all(|c| c.is_ascii_digit());
            let weight = weight.parse().ok().filter(|weight| (1..=1_000_000).contains(weight));
            let share = weight.filter(|_| is_prefix).map(|weight| Share { prefix: prefix.into(), weight });
            share.ok_or_else(|| {
                format!("`{part}` is no share: expected 1 to 8 digits, a colon and a weight, as in 4:80,5:20")
            })
        };
        let shares: Vec<Share> = text.split(',').map(share).collect::<Result<_, _>>()?;
        let total = shares.iter().map(|share| share.weight).sum();
        Ok(Mix { shares, total })
    }
}

/// The trace number of a request.
pub(super) fn stan_of(sequence: u64) -> u32 {
    (sequence % STANS) as u32 + 1
}

/// How many requests after `first` the one with this trace number was sent, if it was sent at all.
pub(super) fn requests_since(first: u64, stan: &[u8]) -> Option<usize> {
    let is_number = stan.len() == 6 && stan.iter().all(u8::is_ascii_digit);
    let number = stan.iter().fold(0, |number, digit| number * 10 + u64::from(digit & 15));
    let since = (number + STANS).checked_sub(u64::from(stan_of(first)))?;
    (is_number && number > 0).then_some((since % STANS) as usize)
}

/// Writes the last digits of a number.
fn write_digits(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The check digit of ISO/IEC 7812-1 Annex B.
fn check_digit(account: &[u8]) -> u8 {
    let value = |(place, digit): (usize, &u8)| match u32::from(digit - b'0') << ((place + 1) % 2) {
        two_digits @ 10.. => two_digits - 9,
        digit => digit,
    };
    let sum: u32 = account.iter().rev().enumerate().map(value).sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn accounts_begin_as_asked_and_in_the_shares_asked() {
        let mix: Mix = "4:80,5:20".parse().unwrap();
        let identities: Vec<Identity> = (0..1_000).map(|sequence| mix.identity(3, sequence)).collect();
        let declined = identities.iter().filter(|identity| identity.share == 1).count();
        assert!((180..220).contains(&declined), "{declined} of 1000");
        assert!(identities.iter().all(|identity| identity.pan[0] == [b'4', b'5'][identity.share]));
        let pans: BTreeSet<_> = identities.iter().map(|identity| identity.pan).collect();
        assert_eq!(pans.len(), 1_000);
    }

    #[test]
    fn check_digits_fit() {
        for pan in [b"4111111111111111", b"5555555555554444"] {
            assert_eq!(check_digit(&pan[..15]), pan[15]);
        }
    }

    #[test]
    fn trace_numbers_lead_back_to_their_requests() {
        let mix: Mix = "4".parse().unwrap();
        for first in [0, 5, 999_997, 999_998, 999_999, 12_345_678] {
            for since in [0, 1, 3, 400_000] {
                let stan = mix.identity(0, first + since).stan;
                assert_eq!(requests_since(first, &stan), Some(since as usize), "{first} {since}");
            }
        }
        assert_eq!(requests_since(7, b"000000"), None);
        assert_eq!(requests_since(7, b"12345"), None);
        assert_eq!(requests_since(7, b"12345x"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "4:", "4:0", "x:1", "123456789:1", "4:1,,5:1"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
