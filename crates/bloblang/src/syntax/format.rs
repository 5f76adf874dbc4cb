//! Laying out a source: two blanks for each open bracket, no blanks at an end, one empty line at most.

/// The source laid out. It is the same mapping: only blanks at the ends of lines and empty lines change.
pub(crate) fn format(text: &str) -> String {
    let (mut out, mut layout, mut was_empty) = (String::with_capacity(text.len()), Layout::default(), true);
    for line in text.split('\n') {
        if layout.is_raw {
            // Inside a raw string every blank counts.
            layout.read(line);
            out.push_str(line);
            was_empty = false;
        } else {
            let line = line.trim_start();
            let is_empty = line.is_empty();
            if is_empty && was_empty {
                continue;
            }
            was_empty = is_empty;
            let closing = line.chars().take_while(|c| matches!(c, '}' | ')' | ']')).count();
            let levels = layout.levels(closing) + usize::from(line.starts_with('.'));
            out.extend(std::iter::repeat_n("  ", if is_empty { 0 } else { levels }));
            layout.read(line);
            out.push_str(if layout.is_raw { line } else { line.trim_end() });
        }
        out.push('\n');
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// The brackets that are open, by the line that opened them: several opened on one line indent once.
#[derive(Default)]
struct Layout {
    open: Vec<usize>,
    line: usize,
    is_raw: bool,
}

impl Layout {
    fn levels(&self, closing: usize) -> usize {
        let mut open = self.open[..self.open.len().saturating_sub(closing)].to_vec();
        open.dedup();
        open.len()
    }

    fn read(&mut self, line: &str) {
        self.line += 1;
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            if self.is_raw || rest.starts_with("\"\"\"") {
                let skip = if self.is_raw { 0 } else { 3 };
                let end = rest[skip..].find("\"\"\"");
                self.is_raw = end.is_none();
                let Some(end) = end else { return };
                rest = &rest[skip + end + 3..];
                continue;
            }
            match c {
                '#' => return,
                '"' => {
                    rest = after_string(rest);
                    continue;
                }
                '{' | '(' | '[' => self.open.push(self.line),
                '}' | ')' | ']' => drop(self.open.pop()),
                _ => {}
            }
            rest = &rest[c.len_utf8()..];
        }
    }
}

/// What follows the string that a text begins with.
fn after_string(text: &str) -> &str {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_laid_out() {
        let check = |text: &str, expected: &str| {
            assert_eq!(format(text), expected);
            assert_eq!(format(expected), expected);
        };
        check("\n\nroot = this  \n\n\n\nroot.a = 1\n\n", "root = this\n\nroot.a = 1\n");
        check("map a {\nroot = match {\n_ => this } }", "map a {\n  root = match {\n    _ => this } }\n");
        check("root = f({\n\"a\": 1 # {\n})\n.b()", "root = f({\n  \"a\": 1 # {\n})\n  .b()\n");
        check(
            "root = \"\"\"{\n  x  \n}\"\"\"\n  a = \"\\\"{\"",
            "root = \"\"\"{\n  x  \n}\"\"\"\na = \"\\\"{\"\n",
        );
    }
}
