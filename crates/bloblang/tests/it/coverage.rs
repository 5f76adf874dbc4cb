//! The table of the README: every documented name, whether it works here, and why if not.
//!
//! The names stand in `names.txt`, methods with a dot before them. A name works if it is known and a case calls it:
//! one that only exists does not. With `UPDATE_EXPECT=1` the table is written anew.

use std::fmt::Write;

use bloblang::reference;
use expect_test::expect_file;

use crate::cases::ALL;

const MARKS: [&str; 2] = ["<!-- coverage -->\n", "<!-- end of coverage -->"];

/// Whether any case calls it.
fn is_tried(name: &str) -> bool {
    let call = format!("{name}(");
    let begins_word = |before: &str| {
        name.starts_with('.') || !before.ends_with(|c: char| c.is_alphanumeric() || "_.".contains(c))
    };
    ALL.iter().any(|text| text.match_indices(&call).any(|(at, _)| begins_word(&text[..at])))
}

fn known() -> Vec<String> {
    let functions = reference::functions().into_iter().map(|function| function.name.to_owned());
    functions.chain(reference::methods().into_iter().map(|method| format!(".{}", method.name))).collect()
}

#[test]
fn the_table_of_the_readme_is_true() {
    let known = known();
    let works = |name: &&str| known.iter().any(|other| other == name) && is_tried(name);
    let (mut rows, mut sums) = (String::new(), [0, 0]);
    for section in include_str!("names.txt").split("# ").skip(1) {
        let (title, names) = section.split_once('\n').expect("a section has names");
        let names: Vec<&str> = names.split_whitespace().collect();
        let missing: Vec<&str> = names.iter().copied().filter(|name| !works(name)).collect();
        let why = |name: &&str| {
            let why = reference::absent(name.trim_start_matches('.')).unwrap_or("untried");
            format!("`{}`: {why}", name.trim_start_matches('.'))
        };
        let missing_words = missing.iter().map(why).collect::<Vec<_>>().join("; ");
        let count = names.len() - missing.len();
        writeln!(rows, "| {title} | {count} of {} | {missing_words} |", names.len()).expect("a string");
        sums = [sums[0] + count, sums[1] + names.len()];
    }
    let percent = sums[0] * 1000 / sums[1];
    let head = format!(
        "{} of {} documented names work: {}.{} %.\n\n| names | work | missing |\n|---|---|---|\n",
        sums[0],
        sums[1],
        percent / 10,
        percent % 10
    );
    let readme = include_str!("../../README.md");
    let (before, rest) = readme.split_once(MARKS[0]).expect("the table begins");
    let (_, after) = rest.split_once(MARKS[1]).expect("the table ends");
    expect_file!["../../README.md"]
        .assert_eq(&format!("{before}{}{head}{rows}{}{after}", MARKS[0], MARKS[1]));
}

#[test]
fn nothing_is_known_that_no_case_calls() {
    let untried: Vec<_> = known().into_iter().filter(|name| !is_tried(name)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn what_is_absent_says_why_before_it_runs() {
    let error = bloblang::Mapping::compile("root = this.ip.geoip_city(\"x.mmdb\")").unwrap_err();
    assert!(
        error.to_string().contains("the method `geoip_city` is not available: it needs a MaxMind database")
    );
    let documented = include_str!("names.txt");
    let known = known();
    for name in documented.split_whitespace().filter(|word| word.starts_with('.')) {
        let is_absent = reference::absent(&name[1..]).is_some();
        assert_ne!(is_absent, known.iter().any(|other| other == name), "{name}");
    }
}
