//! Rules of the source that no compiler checks. Sizes are ratcheted: the exceptions below may only shrink.

use anyhow::{Result, ensure};

use crate::{dependencies, shell};

/// Lines of code and documentation a file may have.
const FILE_LINES_MAX: usize = 500;

/// Words that announce work not done.
const UNFINISHED: [&str; 4] = ["TO-DO", "FIX-ME", "todo!-(", "unimplemented!-("];

pub(crate) fn check() -> Result<()> {
    let mut problems = dependencies::unused()?;
    for (path, text) in shell::files(".rs")? {
        if !text.starts_with("//!") {
            problems.push(format!("{path}: opens with a `//!` sentence that says its one job"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}: it hides a second room"));
        }
        for word in UNFINISHED.map(|word| word.replace('-', "")) {
            if text.contains(&word) {
                problems.push(format!("{path}: `{word}`: finish it or leave it out"));
            }
        }
    }
    for (path, text) in shell::files(".md")? {
        for (number, line) in text.lines().enumerate() {
            for target in links(line) {
                let beside = shell::root().join(&path).with_file_name("");
                let file = target.split('#').next().unwrap_or_default();
                if !file.is_empty() && !beside.join(file).exists() {
                    problems.push(format!("{path}:{}: links to `{target}`, which is not there", number + 1));
                }
            }
        }
    }
    ensure!(problems.is_empty(), "the source is not tidy:\n{}", problems.join("\n"));
    Ok(())
}

/// Relative targets of the Markdown links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| {
        !target.contains("://")
            && !target.starts_with('#')
            && !target.starts_with("mailto:")
            && !target.contains(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_keeps_its_rules() {
        check().unwrap();
    }

    #[test]
    fn links_are_found() {
        let line = "see [a](b.md#x), [c](https://d.e) and [f](#g)";
        assert_eq!(links(line).collect::<Vec<_>>(), ["b.md#x"]);
    }
}
