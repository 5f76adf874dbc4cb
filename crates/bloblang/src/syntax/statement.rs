//! Statements: assignments, conditions, named maps and imports; and how to go on after a mistake.

use super::scan::{Scanner, is_of_name};
use super::{Map, Parsed, Statement, Target, Tree};
use crate::Text;
use crate::diagnostic::Problem;
use crate::limits::PROBLEMS_MAX;

/// Reads a whole source. All statements that could not be read are told, up to a limit.
pub(crate) fn parse(text: &str) -> Result<Tree, Vec<Problem>> {
    let mut scan = Scanner::new(text);
    let (mut tree, mut problems) = (Tree::default(), Vec::new());
    loop {
        scan.skip_lines();
        if scan.is_at_end() || problems.len() == PROBLEMS_MAX {
            break;
        }
        let start = scan.at;
        if let Err(problem) = scan.top_level(&mut tree) {
            match scan.lone_query(start, &mut tree, problems.is_empty()) {
                Ok(true) => {}
                Ok(false) => problems.push(*problem),
                // Whichever reading came further is what was meant.
                Err(other) if other.span.start > problem.span.start => problems.push(*other),
                Err(_) => problems.push(*problem),
            }
            scan.recover();
        }
    }
    if problems.is_empty() { Ok(tree) } else { Err(problems) }
}

/// Reads a query that a brace closes, within a text and from a place on; gives back where it ends, the brace included.
pub(crate) fn parse_query(text: &str, start: usize) -> Parsed<(Tree, usize)> {
    let mut scan = Scanner::new(text);
    scan.at = start;
    let value = scan.within(true, |scan| {
        scan.skip_lines();
        let value = scan.expression()?;
        scan.skip_lines();
        if scan.eat("}") { Ok(value) } else { Err(scan.unexpected("an operator, a method, or `}`")) }
    })?;
    Ok((Tree::query(value), scan.at))
}

impl Scanner<'_> {
    fn top_level(&mut self, tree: &mut Tree) -> Parsed<()> {
        let start = self.at;
        if self.eat_keyword("map", is_of_name) {
            let name = self.name().map(Text::new).ok_or_else(|| self.unexpected("the name of the map"))?;
            let span = self.since(start);
            let statements = self.block(Self::statements)?;
            tree.maps.push(Map { name, span, statements });
        } else if self.eat_keyword("import", |c| c == '"') {
            tree.imports.push((self.string()?, self.since(start)));
        } else if self.eat_keyword("from", |c| c == '"') {
            let path = self.string()?;
            if tree.from.replace((path, self.since(start))).is_some() {
                return Err(Problem::new(self.since(start), "a second `from`", "a mapping is one file"));
            }
        } else {
            let statement = self.statement()?;
            tree.statements.push(statement);
        }
        self.end_of_statement()
    }

    /// A source that is one query, and nothing else: what it yields is the new document.
    fn lone_query(&mut self, start: usize, tree: &mut Tree, is_first: bool) -> Parsed<bool> {
        if !is_first || !tree.statements.is_empty() {
            return Ok(false);
        }
        self.at = start;
        self.is_bracketed = false;
        let value = self.expression()?;
        self.end_of_statement()?;
        self.skip_lines();
        if !self.is_at_end() {
            return Ok(false);
        }
        tree.statements.extend(Tree::query(value).statements);
        Ok(true)
    }

    fn statements(&mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            self.skip_lines();
            if self.is_at("}") || self.is_at_end() {
                return Ok(statements);
            }
            statements.push(self.statement()?);
            self.end_of_statement()?;
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let start = self.at;
        if self.eat_keyword("if", |c| !matches!(c, '=' | '.')) {
            let (branches, otherwise) = self.branches(Self::statements)?;
            return Ok(Statement::If { branches, otherwise: otherwise.unwrap_or_default() });
        }
        let target = if self.eat_keyword("let", is_of_name) {
            let name = self.name().ok_or_else(|| self.unexpected("the name of the variable"))?;
            Target::Variable(Text::new(name))
        } else if self.eat_keyword("meta", |c| is_of_name(c) || matches!(c, '"' | '=')) {
            match self.peek() {
                Some('=') => Target::Meta(None),
                Some('"') => Target::Meta(Some(self.string()?)),
                _ => Target::Meta(Some(Text::new(self.take_while(|c| is_of_name(c) || c == '-')))),
            }
        } else {
            Target::Root(self.path()?)
        };
        let target_span = self.since(start);
        self.skip_blanks();
        if !self.is_at("=") || self.is_at("==") || self.is_at("=>") {
            let help = Some("a mapping is lines of the form `root.field = query`, or one query alone".into());
            return Err(self.unexpected("`=` and what to assign").help(help));
        }
        self.at += 1;
        self.skip_lines();
        let value = self.expression()?;
        Ok(Statement::Assign { target, target_span, value })
    }

    /// Steps over a word if what comes after it makes it a keyword here; otherwise it is a field.
    fn eat_keyword(&mut self, word: &str, is_followed_by: impl Fn(char) -> bool) -> bool {
        let before = self.at;
        if self.eat_word(word) {
            self.skip_blanks();
            if self.peek().is_some_and(is_followed_by) {
                return true;
            }
        }
        self.at = before;
        false
    }

    /// The path of a field of the new document; `root` before it says nothing.
    fn path(&mut self) -> Parsed<Vec<Text>> {
        let mut path = vec![self.segment()?];
        while self.eat(".") {
            path.push(self.segment()?);
        }
        if path[0] == "root" || path[0] == "this" {
            path.remove(0);
        }
        Ok(path)
    }

    fn segment(&mut self) -> Parsed<Text> {
        if self.is_at("\"") {
            return self.string();
        }
        let name = if self.eat("-") { "-" } else { self.take_while(is_of_name) };
        if name.is_empty() { Err(self.unexpected("a field")) } else { Ok(Text::new(name)) }
    }
}
