//! Expressions: operators by how tightly they bind, chains of paths and methods, and what they begin with.

use super::scan::{Scanner, is_of_name};
use super::{Argument, Branches, Call, Expr, Kind, Operator, Parsed};
use crate::{Text, Value};

const OPERATORS: [Operator; 14] = [
    Operator::Or,
    Operator::And,
    Operator::Equal,
    Operator::NotEqual,
    Operator::LessOrEqual,
    Operator::GreaterOrEqual,
    Operator::Less,
    Operator::Greater,
    Operator::Add,
    Operator::Subtract,
    Operator::Multiply,
    Operator::Divide,
    Operator::Modulo,
    Operator::Coalesce,
];

impl Scanner<'_> {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.binary(0)
    }

    /// Operands joined by operators that bind at least as tightly as `level`.
    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        let mut left = self.unary()?;
        loop {
            let before = self.at;
            self.skip();
            let is_next = |operator: &&Operator| self.is_at(operator.symbol());
            let Some(&operator) = OPERATORS.iter().find(is_next).filter(|next| next.level() >= level) else {
                self.at = before;
                return Ok(left);
            };
            self.at += operator.symbol().len();
            self.skip_lines();
            let right = self.binary(operator.level() + 1)?;
            let span = left.span.to(right.span);
            left = Expr::new(Kind::Binary(operator, Box::new(left), Box::new(right)), span)?;
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let kind = match self.peek() {
            Some('!') => Kind::Not,
            Some('-') if !self.is_at_number() => Kind::Negate,
            _ => return self.chain(),
        };
        self.at += 1;
        self.skip_blanks();
        let operand = self.within(self.is_bracketed, Self::unary)?;
        Expr::new(kind(Box::new(operand)), self.since(start))
    }

    /// A beginning and everything that hangs on it: fields, methods, brackets, indexes.
    fn chain(&mut self) -> Parsed<Expr> {
        let mut expr = self.beginning()?;
        loop {
            let before = self.at;
            if self.is_at("[") {
                expr = self.index(expr)?;
                continue;
            }
            self.skip_lines();
            if !self.eat(".") {
                self.at = before;
                return Ok(expr);
            }
            self.skip_lines();
            expr = self.link(expr)?;
        }
    }

    /// What follows a dot.
    fn link(&mut self, target: Expr) -> Parsed<Expr> {
        let (start, outer) = (self.at, target.span);
        let kind = if self.eat("(") {
            let body = self.bracketed()?;
            Kind::Bracket(Box::new(target), Box::new(body))
        } else if self.is_at("\"") {
            Kind::Field(Box::new(target), self.string()?)
        } else {
            let name = self.take_while(|c| is_of_name(c) || c == '*');
            if name.is_empty() {
                return Err(self.unexpected("a field, a method, or `(`"));
            }
            let span = self.since(start);
            if self.is_at("(") {
                let arguments = self.arguments()?;
                Kind::Method(Box::new(target), Call { name: Text::new(name), span, arguments })
            } else {
                Kind::Field(Box::new(target), Text::new(name))
            }
        };
        Expr::new(kind, outer.to(self.since(start)))
    }

    /// An expression and its closing parenthesis.
    fn bracketed(&mut self) -> Parsed<Expr> {
        self.within(true, |scan| {
            scan.skip_lines();
            let body = scan.expression()?;
            scan.skip_lines();
            if scan.eat(")") { Ok(body) } else { Err(scan.unexpected("an operator, a method, or `)`")) }
        })
    }

    fn index(&mut self, target: Expr) -> Parsed<Expr> {
        let outer = target.span;
        self.at += 1;
        let (bounds, colons) = self.within(true, |scan| {
            let (mut bounds, mut colons) = ([None, None, None], 0);
            loop {
                scan.skip_lines();
                if scan.eat("]") {
                    return Ok((bounds, colons));
                }
                if colons < 2 && scan.eat(":") {
                    colons += 1;
                } else if bounds[colons].is_none() {
                    bounds[colons] = Some(Box::new(scan.expression()?));
                } else {
                    return Err(scan.unexpected("`:` or `]`"));
                }
            }
        })?;
        let span = outer.to(self.since(self.at));
        let target = Box::new(target);
        match (colons, bounds) {
            (0, [Some(index), ..]) => Expr::new(Kind::Index(target, index), span),
            (0, _) => {
                self.at -= 1;
                Err(self.unexpected("an index"))
            }
            (_, bounds) => Expr::new(Kind::Slice(target, bounds), span),
        }
    }

    /// What an expression begins with.
    fn beginning(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let kind = match self.peek() {
            Some('(') => {
                self.at += 1;
                return self.bracketed();
            }
            Some('"') => Kind::Literal(Value::String(self.string()?)),
            Some(_) if self.is_at_number() => return self.number(),
            Some('[') => self.array()?,
            Some('{') => self.object()?,
            Some('$') => {
                self.at += 1;
                let name = self.name().ok_or_else(|| self.unexpected("the name of a variable"))?;
                Kind::Variable(Text::new(name))
            }
            Some('@') => {
                self.at += 1;
                let is_quoted = self.is_at("\"");
                let key = if is_quoted { Some(self.string()?) } else { self.name().map(Text::new) };
                Kind::Meta(key)
            }
            _ => return self.word(start),
        };
        Expr::new(kind, self.since(start))
    }

    fn word(&mut self, start: usize) -> Parsed<Expr> {
        let Some(name) = self.name() else { return Err(self.unexpected("an expression")) };
        let span = self.since(start);
        if self.is_at("(") {
            let arguments = self.arguments()?;
            let call = Call { name: Text::new(name), span, arguments };
            return Expr::new(Kind::Function(call), self.since(start));
        }
        if self.is_before("->") {
            self.skip_lines();
            let body = self.within(self.is_bracketed, Self::expression)?;
            return Expr::new(Kind::Lambda(Text::new(name), Box::new(body)), self.since(start));
        }
        let kind = match name {
            "true" => Kind::Literal(Value::Bool(true)),
            "false" => Kind::Literal(Value::Bool(false)),
            "null" => Kind::Literal(Value::Null),
            "this" => Kind::This,
            "root" => Kind::Root,
            "if" => return self.if_expression(start),
            "match" => return self.match_expression(start),
            _ => Kind::Name(Text::new(name)),
        };
        Expr::new(kind, span)
    }

    /// Steps over blanks and a token, if the token comes next.
    fn is_before(&mut self, token: &str) -> bool {
        let before = self.at;
        self.skip_blanks();
        let is_next = self.eat(token);
        if !is_next {
            self.at = before;
        }
        is_next
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        self.list("(", ")", |scan| {
            let start = scan.at;
            let name = scan.name().map(|name| (Text::new(name), scan.since(start)));
            let is_named = name.is_some() && scan.is_before(":");
            if !is_named {
                scan.at = start;
            }
            scan.skip_lines();
            Ok(Argument { name: name.filter(|_| is_named), value: scan.expression()? })
        })
    }

    fn array(&mut self) -> Parsed<Kind> {
        let items = self.list("[", "]", Self::expression)?;
        let is_constant = items.iter().all(|item| matches!(item.kind, Kind::Literal(_)));
        Ok(if is_constant {
            Kind::Literal(Value::array(items.into_iter().filter_map(literal).collect()))
        } else {
            Kind::Array(items)
        })
    }

    fn object(&mut self) -> Parsed<Kind> {
        let entries = self.list("{", "}", |scan| {
            let key = scan.expression()?;
            scan.skip_lines();
            if !scan.eat(":") {
                return Err(scan.unexpected("`:` and the value of this key"));
            }
            scan.skip_lines();
            Ok((key, scan.expression()?))
        })?;
        let is_constant = |(key, value): &(Expr, Expr)| {
            matches!(key.kind, Kind::Literal(Value::String(_))) && matches!(value.kind, Kind::Literal(_))
        };
        if !entries.iter().all(is_constant) {
            return Ok(Kind::Object(entries));
        }
        let constants = entries.into_iter().filter_map(|(key, value)| match literal(key)? {
            Value::String(key) => Some((key, literal(value)?)),
            _ => None,
        });
        Ok(Kind::Literal(Value::object(constants.collect())))
    }

    /// Items with commas between, and perhaps one after the last.
    fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.at += open.len();
        self.within(true, |scan| {
            let mut items = Vec::new();
            loop {
                scan.skip_lines();
                if scan.eat(close) {
                    return Ok(items);
                }
                items.push(item(scan)?);
                scan.skip_lines();
                if !scan.eat(",") && !scan.is_at(close) {
                    return Err(scan.unexpected(&format!("`,` or `{close}`")));
                }
            }
        })
    }

    fn if_expression(&mut self, start: usize) -> Parsed<Expr> {
        let (branches, otherwise) = self.branches(Self::expression)?;
        Expr::new(Kind::If(branches, otherwise.map(Box::new)), self.since(start))
    }

    /// What follows `if`: conditions with their blocks, and perhaps the block of a last `else`.
    pub(super) fn branches<T>(&mut self, read: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Branches<T>> {
        let mut branches = Vec::new();
        loop {
            self.skip_lines();
            let condition = self.within(false, Self::expression)?;
            branches.push((condition, self.block(&read)?));
            if !self.eat_else() {
                return Ok((branches, None));
            }
            self.skip_lines();
            if !self.eat_word("if") {
                return Ok((branches, Some(self.block(&read)?)));
            }
        }
    }

    /// Steps over `else`, which may be on the next line.
    fn eat_else(&mut self) -> bool {
        let before = self.at;
        self.skip_lines();
        let is_next = self.eat_word("else");
        if !is_next {
            self.at = before;
        }
        is_next
    }

    /// What is in braces.
    pub(super) fn block<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.skip_lines();
        if !self.eat("{") {
            return Err(self.unexpected("an operator, a method, or `{`"));
        }
        self.within(false, |scan| {
            scan.skip_lines();
            let read = read(scan)?;
            scan.skip_lines();
            if scan.eat("}") { Ok(read) } else { Err(scan.unexpected("an operator, a method, or `}`")) }
        })
    }

    fn match_expression(&mut self, start: usize) -> Parsed<Expr> {
        self.skip_lines();
        let subject =
            if self.is_at("{") { None } else { Some(Box::new(self.within(false, Self::expression)?)) };
        let cases = self.block(|scan| {
            let mut cases = Vec::new();
            while !scan.is_at("}") {
                cases.push(scan.case()?);
                scan.skip_blanks();
                if !scan.eat(",") && !scan.is_at("}") && !scan.is_at("\n") && !scan.is_at("#") {
                    return Err(
                        scan.unexpected("an operator, a method, or the next case on a line of its own")
                    );
                }
                scan.skip_lines();
            }
            Ok(cases)
        })?;
        Expr::new(Kind::Match(subject, cases), self.since(start))
    }

    fn case(&mut self) -> Parsed<(Option<Expr>, Expr)> {
        let pattern = if self.eat_word("_") { None } else { Some(self.expression()?) };
        self.skip_lines();
        if !self.eat("=>") {
            return Err(self.unexpected("`=>` and what this case yields"));
        }
        self.skip_lines();
        Ok((pattern, self.expression()?))
    }
}

fn literal(expr: Expr) -> Option<Value> {
    match expr.kind {
        Kind::Literal(value) => Some(value),
        _ => None,
    }
}
