//! A picture on the terminal that is drawn over and over in the same place.

use std::io::{IsTerminal, stderr};

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
        terminal::say(&format!("{back}{picture}"));
        self.lines = picture.lines().count();
    }
}
