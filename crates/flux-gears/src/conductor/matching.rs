//! Whether a request takes a route: a test on one value, compiled so that a long BIN table costs one search.

use flux_gear::{FluxMsg, Key};

use super::config::Match;

/// A compiled [`Match`].
#[derive(Debug)]
pub(crate) struct Matcher {
    field: Key,
    test: Test,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    /// Sorted, and none is a prefix of another.
    BeginsWith(Vec<String>),
    /// Sorted.
    OneOf(Vec<String>),
    /// By number of digits.
    Within(Vec<Ranges>),
}

/// Ranges of numbers of one length, sorted, none touching another.
#[derive(Debug, PartialEq, Eq)]
struct Ranges {
    digits: usize,
    bounds: Vec<(String, String)>,
}

/// The match says nothing, or too much, or something impossible.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MatchError {
    /// Not exactly one test.
    #[error(
        "a match has exactly one of `prefix`, `prefixes`, `equals`, `one_of`, `range`, `ranges`; this has {0}"
    )]
    NotOne(usize),
    /// An empty prefix would match everything.
    #[error("a prefix must not be empty")]
    EmptyPrefix,
    /// Not a range of digits.
    #[error("`{0}` is not a range: write two numbers of equal length, the lower first, like 400000-499999")]
    NotARange(String),
}

impl Matcher {
    pub(crate) fn new(config: &Match) -> Result<Matcher, MatchError> {
        let one = |text: &Option<String>| text.iter().cloned().collect::<Vec<_>>();
        let given: Vec<(Vec<String>, Compile)> = [
            (one(&config.prefix), begins_with as Compile),
            (config.prefixes.clone(), begins_with),
            (one(&config.equals), is_one_of),
            (config.one_of.clone(), is_one_of),
            (one(&config.range), within),
            (config.ranges.clone(), within),
        ]
        .into_iter()
        .filter(|(texts, _)| !texts.is_empty())
        .collect();
        let count = given.len();
        match <[_; 1]>::try_from(given) {
            Ok([(texts, compile)]) => Ok(Matcher { field: config.field.clone(), test: compile(texts)? }),
            Err(_) => Err(MatchError::NotOne(count)),
        }
    }

    pub(crate) fn holds(&self, msg: &FluxMsg) -> bool {
        self.field.text(msg).is_some_and(|value| self.test.holds(&value))
    }
}

type Compile = fn(Vec<String>) -> Result<Test, MatchError>;

fn begins_with(mut prefixes: Vec<String>) -> Result<Test, MatchError> {
    if prefixes.iter().any(String::is_empty) {
        return Err(MatchError::EmptyPrefix);
    }
    prefixes.sort_unstable();
    // A prefix of the one before adds nothing; sorted, it would stand right behind it.
    prefixes.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
    Ok(Test::BeginsWith(prefixes))
}

fn is_one_of(mut values: Vec<String>) -> Result<Test, MatchError> {
    values.sort_unstable();
    Ok(Test::OneOf(values))
}

fn within(ranges: Vec<String>) -> Result<Test, MatchError> {
    let mut all = Vec::new();
    for text in ranges {
        let bounds = text.split_once('-').map(|(low, high)| (low.trim(), high.trim()));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match bounds {
            Some((low, high))
                if is_number(low) && is_number(high) && low.len() == high.len() && low <= high =>
            {
                all.push((low.to_owned(), high.to_owned()));
            }
            _ => return Err(MatchError::NotARange(text)),
        }
    }
    // Of digits in equal number, text order is the order of numbers.
    all.sort_unstable_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    let mut widths: Vec<Ranges> = Vec::new();
    for (low, high) in all {
        match widths.last_mut() {
            Some(ranges) if ranges.digits == low.len() => match ranges.bounds.last_mut() {
                Some((_, end)) if low <= *end => *end = std::mem::take(end).max(high),
                _ => ranges.bounds.push((low, high)),
            },
            _ => widths.push(Ranges { digits: low.len(), bounds: vec![(low, high)] }),
        }
    }
    Ok(Test::Within(widths))
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            // Whatever stands between a prefix of the value and the value begins with that prefix too, and none of
            // them begins with another: so only the one right before the value can be its prefix.
            Test::BeginsWith(prefixes) => {
                let before = prefixes.partition_point(|prefix| prefix.as_str() <= value);
                before > 0 && value.starts_with(&prefixes[before - 1])
            }
            Test::OneOf(values) => values.binary_search_by(|one| one.as_str().cmp(value)).is_ok(),
            Test::Within(widths) => widths.iter().any(|ranges| ranges.hold(value)),
        }
    }
}

impl Ranges {
    fn hold(&self, value: &str) -> bool {
        let Some(head) = value.get(..self.digits) else { return false };
        let before = self.bounds.partition_point(|(low, _)| low.as_str() <= head);
        before > 0 && head <= self.bounds[before - 1].1.as_str() && head.bytes().all(|b| b.is_ascii_digit())
    }
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxId;
    use proptest::prelude::*;

    use super::*;

    fn matcher(json: serde_json::Value) -> Result<Matcher, MatchError> {
        let mut config = json;
        config["field"] = "pan".into();
        Matcher::new(&serde_json::from_value(config).unwrap())
    }

    fn check(json: serde_json::Value, taken: &[&str], left: &[&str]) {
        let matcher = matcher(json.clone()).unwrap();
        for (values, want) in [(taken, true), (left, false)] {
            for value in values {
                let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, "");
                msg.metadata.set("pan", *value);
                assert_eq!(matcher.holds(&msg), want, "{json} on {value:?}");
            }
        }
        assert!(!matcher.holds(&FluxMsg::new(FluxId::v7(1, 1), 0, "")), "{json} without a value");
    }

    #[test]
    fn each_test_takes_what_it_says() {
        use serde_json::json;
        check(json!({ "prefix": "4" }), &["4", "4111"], &["", "5", "54"]);
        check(json!({ "prefixes": ["51", "5", "5500"] }), &["5", "5199", "59"], &["4", "6"]);
        check(json!({ "equals": "978" }), &["978"], &["97", "9780", ""]);
        check(json!({ "one_of": ["978", "840"] }), &["978", "840"], &["826", "9"]);
        check(
            json!({ "range": "400000-499999" }),
            &["400000", "4999999"],
            &["39", "399999", "500000", "40000a", "4"],
        );
        check(
            json!({ "ranges": ["51-55", "222100-272099", "54-56"] }),
            &["51", "5600", "222100", "2720990"],
            &["50", "57", "222099", "272100", "2"],
        );
    }

    #[test]
    fn a_match_that_says_nothing_or_too_much_is_refused() {
        use serde_json::json;
        assert_eq!(matcher(json!({})).unwrap_err(), MatchError::NotOne(0));
        assert_eq!(matcher(json!({ "prefix": "4", "one_of": ["5"] })).unwrap_err(), MatchError::NotOne(2));
        assert_eq!(matcher(json!({ "prefixes": [""] })).unwrap_err(), MatchError::EmptyPrefix);
        for text in ["4", "5-4", "4-50", "a-b", "-", "4-"] {
            assert_eq!(matcher(json!({ "range": text })).unwrap_err(), MatchError::NotARange(text.into()));
        }
    }

    proptest! {
        #[test]
        fn a_search_finds_what_a_scan_finds(
            prefixes in prop::collection::vec("[0-3]{1,4}", 1..12),
            bounds in prop::collection::vec((0..1000_u32, 0..1000_u32), 1..8),
            value in "[0-3]{0,6}",
        ) {
            let scan = prefixes.iter().any(|prefix| value.starts_with(prefix.as_str()));
            prop_assert_eq!(begins_with(prefixes).unwrap().holds(&value), scan);

            let bounds: Vec<_> = bounds.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            let head: Option<u32> = value.get(..3).map(|head| head.parse().unwrap());
            let scan = head.is_some_and(|head| bounds.iter().any(|&(low, high)| (low..=high).contains(&head)));
            let texts = bounds.iter().map(|(low, high)| format!("{low:03}-{high:03}")).collect();
            prop_assert_eq!(within(texts).unwrap().holds(&value), scan);
        }
    }
}
