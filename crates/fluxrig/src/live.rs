//! A picture on the terminal that is drawn over and over in the same place.

use std::io::{IsTerminal, stderr};

use rustix::termios::tcgetwinsize;

use crate::terminal;

/// Draws on standard error where that is a terminal, and nowhere else.
pub(crate) struct Live {
    is_shown: bool,
    /// Lines of the last picture.
    lines: usize,
}

impl Live {
    pub(crate) fn new() -> Live {
        Live { is_shown: stderr().is_terminal(), lines: 0 }
    }

    /// Draws over the last picture. Lines end with a line break.
    pub(crate) fn draw(&mut self, picture: &str) {
        if !self.is_shown {
            return;
        }
        let back = if self.lines > 0 { format!("\x1b[{}A\x1b[J", self.lines) } else { String::new() };
        let picture = match tcgetwinsize(stderr()) {
            Ok(size) if size.ws_row > 0 => fitted(picture, size.ws_row.into(), size.ws_col.into()),
            Ok(_) | Err(_) => picture.to_owned(),
        };
        terminal::say(&format!("{back}{picture}"));
        self.lines = picture.lines().count();
    }

    /// Draws over the last picture, or says it where nothing is drawn.
    pub(crate) fn tell(&mut self, picture: &str) {
        match self.is_shown {
            true => self.draw(picture),
            false => terminal::say(picture),
        }
    }

    /// Adds to the last picture.
    pub(crate) fn add(&mut self, lines: &str) {
        if self.is_shown {
            terminal::say(lines);
            self.lines += lines.lines().count();
        }
    }
}

/// As much of a picture as a terminal has room for: what scrolls away cannot be drawn over, and a line that is broken is two.
fn fitted(picture: &str, rows: usize, columns: usize) -> String {
    let room = rows.saturating_sub(2).max(1);
    let lines = picture.lines().count();
    let mut fitted = String::new();
    let shown = if lines > room { room - 1 } else { lines };
    for line in picture.lines().take(shown) {
        // What is drawn in colour is narrow, and stays whole.
        match line.contains('\x1b') {
            true => fitted.push_str(line),
            false => fitted.extend(line.chars().take(columns)),
        }
        fitted.push('\n');
    }
    if lines > shown {
        fitted.push_str(&format!("… and {} lines more\n", lines - shown));
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_its_terminal() {
        assert_eq!(fitted("ab\ncd\n", 4, 80), "ab\ncd\n");
        assert_eq!(fitted("abc\ncd\nef\ngh\n", 5, 2), "ab\ncd\n… and 2 lines more\n");
        assert_eq!(fitted("\x1b[1mabc\n", 5, 2), "\x1b[1mabc\n");
    }
}
