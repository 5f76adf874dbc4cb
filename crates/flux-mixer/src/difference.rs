//! What differs between two texts, line by line, as `diff -u` writes it.

use std::fmt::Write;

use crate::limits::CHANGED_LINES_MAX;

/// Lines around a change.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The difference, empty where there is none. None where more than [`CHANGED_LINES_MAX`] lines differ.
pub(crate) fn difference(old: &str, new: &str) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(one, two)| one == two).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, two)| one == two).count();
    let changed = shortest(&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail])?;
    let same = |lines: std::ops::Range<usize>| old[lines].iter().map(|line| Line::Same(line)).collect();
    let lines: Vec<Line<'_>> = [same(0..head), changed, same(old.len() - tail..old.len())].concat();
    Some(hunks(&lines))
}

/// The shortest way from one text to another (Myers): `trace[d]` has, for each diagonal, how far `d` changes lead.
fn shortest<'a>(old: &[&'a str], new: &[&'a str]) -> Option<Vec<Line<'a>>> {
    let (n, m) = (old.len() as isize, new.len() as isize);
    let most = (n + m).min(CHANGED_LINES_MAX as isize);
    let at = |k: isize| (k + most + 1) as usize;
    let mut far = vec![0_isize; 2 * most as usize + 3];
    let mut trace = Vec::new();
    for d in 0..=most {
        // Only the diagonals that `d` changes reach are kept: together they are bounded by the square of the most changes.
        trace.push(far[at(-d) - 1..=at(d) + 1].to_vec());
        for k in (-d..=d).step_by(2) {
            let is_down = k == -d || (k != d && far[at(k - 1)] < far[at(k + 1)]);
            let mut x = if is_down { far[at(k + 1)] } else { far[at(k - 1)] + 1 };
            while x < n && x - k < m && old[x as usize] == new[(x - k) as usize] {
                x += 1;
            }
            far[at(k)] = x;
            if x >= n && x - k >= m {
                return Some(way_back(old, new, &trace));
            }
        }
    }
    None
}

fn way_back<'a>(old: &[&'a str], new: &[&'a str], trace: &[Vec<isize>]) -> Vec<Line<'a>> {
    let (mut x, mut y) = (old.len() as isize, new.len() as isize);
    let mut lines = Vec::new();
    for (d, far) in trace.iter().enumerate().rev() {
        let (d, k) = (d as isize, x - y);
        let at = |k: isize| far[(k + d + 1) as usize];
        let is_down = k == -d || (k != d && at(k - 1) < at(k + 1));
        let before = if is_down { k + 1 } else { k - 1 };
        let (from_x, from_y) = if d == 0 { (0, 0) } else { (at(before), at(before) - before) };
        while x > from_x && y > from_y {
            (x, y) = (x - 1, y - 1);
            lines.push(Line::Same(old[x as usize]));
        }
        if d > 0 {
            lines.push(if is_down {
                Line::New(new[from_y as usize])
            } else {
                Line::Gone(old[from_x as usize])
            });
            (x, y) = (from_x, from_y);
        }
    }
    lines.reverse();
    lines
}

/// Changes with the lines around them, each group under a line that says where it is.
fn hunks(lines: &[Line<'_>]) -> String {
    let is_near = |at: usize| {
        let near = at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(lines.len());
        lines[near].iter().any(|line| !matches!(line, Line::Same(_)))
    };
    let (mut text, mut at, mut old, mut new) = (String::new(), 0, 1, 1);
    while at < lines.len() {
        let end = (at..lines.len()).find(|&at| !is_near(at)).unwrap_or(lines.len());
        let hunk = &lines[at..end];
        let gone = hunk.iter().filter(|line| !matches!(line, Line::New(_))).count();
        let came = hunk.iter().filter(|line| !matches!(line, Line::Gone(_))).count();
        if !hunk.is_empty() {
            let start = |line: usize, count: usize| if count == 0 { line - 1 } else { line };
            let _ = writeln!(text, "@@ -{},{gone} +{},{came} @@", start(old, gone), start(new, came));
        }
        for line in hunk {
            let (sign, line) = match line {
                Line::Same(line) => (' ', line),
                Line::Gone(line) => ('-', line),
                Line::New(line) => ('+', line),
            };
            let _ = writeln!(text, "{sign}{line}");
        }
        (old, new) = (old + gone, new + came);
        let next = (end..lines.len()).find(|&at| is_near(at)).unwrap_or(lines.len());
        (at, old, new) = (next, old + next - end, new + next - end);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        let old: String = (1..=20).map(|line| format!("line {line}\n")).collect();
        let new = old
            .replace("line 4\n", "line four\n")
            .replace("line 17\n", "")
            .replace("line 20", "line 20\nend");
        expect_test::expect![[r#"
            @@ -1,7 +1,7 @@
             line 1
             line 2
             line 3
            -line 4
            +line four
             line 5
             line 6
             line 7
            @@ -14,7 +14,7 @@
             line 14
             line 15
             line 16
            -line 17
             line 18
             line 19
             line 20
            +end
        "#]]
        .assert_eq(&difference(&old, &new).unwrap());
        assert_eq!(difference(&old, &old).unwrap(), "");
        let other: String = (0..CHANGED_LINES_MAX + 1).map(|line| format!("{line}\n")).collect();
        assert_eq!(difference("", &other), None);
    }

    /// As `patch` does.
    fn apply(old: &str, difference: &str) -> String {
        let (mut new, mut rest) = (Vec::new(), old.lines());
        let mut at = 1;
        for line in difference.lines() {
            if let Some(place) = line.strip_prefix("@@ -") {
                let (start, count) = place.split(' ').next().unwrap().split_once(',').unwrap();
                let start = start.parse::<usize>().unwrap() + usize::from(count == "0");
                new.extend(rest.by_ref().take(start - at));
                at = start;
                continue;
            }
            let (sign, line) = line.split_at(1);
            if sign != "+" {
                assert_eq!(rest.next(), Some(line));
                at += 1;
            }
            if sign != "-" {
                new.push(line);
            }
        }
        new.extend(rest);
        new.join("\n")
    }

    proptest! {
        #[test]
        fn the_difference_makes_one_of_the_other(
            old in prop::collection::vec("[ab]", 0..24), new in prop::collection::vec("[abc]", 0..24)
        ) {
            let (old, new) = (old.join("\n"), new.join("\n"));
            prop_assert_eq!(apply(&old, &difference(&old, &new).unwrap()), new);
        }
    }
}
