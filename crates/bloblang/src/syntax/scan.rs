//! Reading characters: blanks, comments, words, and what to say when something else was expected.

use super::Parsed;
use crate::diagnostic::{Problem, Span};
use crate::limits::BRACKETS_MAX;

/// A place in a source. Newlines end a statement, so every blank is skipped deliberately.
pub(crate) struct Scanner<'s> {
    pub(super) text: &'s str,
    pub(super) at: usize,
    /// Whether a newline is a blank: within brackets.
    pub(super) is_bracketed: bool,
    brackets: usize,
}

impl<'s> Scanner<'s> {
    pub(super) fn new(text: &'s str) -> Scanner<'s> {
        Scanner { text, at: 0, is_bracketed: false, brackets: 0 }
    }

    pub(super) fn rest(&self) -> &'s str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn is_at(&self, token: &str) -> bool {
        self.rest().starts_with(token)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Steps over a token, if it is next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let is_next = self.is_at(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    /// Steps over a word, if it is next and no longer word begins with it.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let is_next = self.rest().strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_of_name));
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    /// Skips blanks of the line.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r'));
    }

    /// Skips blanks, comments and newlines.
    pub(super) fn skip_lines(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.is_at("#") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    /// Skips what does not end an expression here.
    pub(super) fn skip(&mut self) {
        if self.is_bracketed { self.skip_lines() } else { self.skip_blanks() }
    }

    pub(super) fn take_while(&mut self, is_of: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !is_of(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// A name: a letter or underscore, then letters, digits and underscores.
    pub(super) fn name(&mut self) -> Option<&'s str> {
        self.peek().filter(|c| c.is_ascii_alphabetic() || *c == '_')?;
        Some(self.take_while(is_of_name))
    }

    /// The end of a statement: the end of the line, of the block, or of the source.
    pub(super) fn end_of_statement(&mut self) -> Parsed<()> {
        self.skip_blanks();
        if self.is_at_end() || self.is_at("\n") || self.is_at("#") || self.is_at("}") {
            return Ok(());
        }
        let help = match self.peek() {
            Some('=') => Some("compare with `==`; an assignment is a statement of its own".into()),
            Some('&' | '|' | '?') => Some("the operators are `&&`, `||` and `|`".into()),
            _ => None,
        };
        Err(self.unexpected("an operator, a method, or the end of the line").help(help))
    }

    /// What goes wrong here, given what was expected.
    pub(super) fn unexpected(&self, expected: &str) -> Box<Problem> {
        let found = match self.peek() {
            None => "the source ends too early".to_owned(),
            Some('\n') => "the line ends too early".to_owned(),
            Some(c) if is_of_name(c) => {
                let rest = self.rest();
                let word = &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())];
                return self.problem(word.len(), format!("unexpected `{word}`"), expected);
            }
            Some(c) => {
                return self.problem(c.len_utf8(), format!("unexpected `{}`", c.escape_debug()), expected);
            }
        };
        self.problem(0, found, expected)
    }

    fn problem(&self, length: usize, message: String, expected: &str) -> Box<Problem> {
        Problem::new(self.span_of(self.at, self.at + length), message, format!("expected {expected}"))
    }

    pub(super) fn span_of(&self, start: usize, end: usize) -> Span {
        Span::new(start, end)
    }

    /// The span from a place to here.
    pub(super) fn since(&self, start: usize) -> Span {
        Span::new(start, self.at)
    }

    /// Reads what is in brackets or braces, with newlines as blanks or not; nesting is bounded here.
    pub(super) fn within<T>(
        &mut self,
        is_bracketed: bool,
        read: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        if self.brackets == BRACKETS_MAX {
            let label = format!("at most {BRACKETS_MAX} levels of brackets");
            return Err(Problem::new(self.since(self.at), "this nests too deeply", label));
        }
        self.brackets += 1;
        let outer = std::mem::replace(&mut self.is_bracketed, is_bracketed);
        let read = read(self);
        self.is_bracketed = outer;
        self.brackets -= 1;
        read
    }

    /// After a statement that went wrong: to the next line that begins at the margin.
    pub(super) fn recover(&mut self) {
        self.is_bracketed = false;
        self.brackets = 0;
        loop {
            self.take_while(|c| c != '\n');
            self.eat("\n");
            if self.peek().is_none_or(|c| !c.is_whitespace() && !matches!(c, '}' | ')' | ']' | '#')) {
                return;
            }
        }
    }
}

pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
