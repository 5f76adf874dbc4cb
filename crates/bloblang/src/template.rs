//! Text with queries in it: `order ${! json("id") } of ${! @topic }`.

use crate::compile::{self, Settings};
use crate::diagnostic::CompileError;
use crate::library::to_text;
use crate::message::{Message, Root};
use crate::node::Program;
use crate::run::{self, RunError};
use crate::{Compiler, Value};

/// Text with queries in it, compiled once. What stands between `${!` and `}` is a query; `${{!` and `}}` around
/// anything say that it is none, and lose a pair of braces.
///
/// ```
/// use bloblang::{Compiler, Message};
///
/// let template = Compiler::default().template(r#"order ${! json("id") } is ${! this.state.uppercase() }"#)?;
/// let message = Message::new(r#"{"id":7,"state":"paid"}"#);
/// assert_eq!(template.render(std::slice::from_ref(&message), 0)?, "order 7 is PAID");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Query(Program),
}

impl Compiler {
    /// Compiles text with queries in it.
    pub fn template(&self, text: &str) -> Result<Template, CompileError> {
        Template::compile(text, self.settings())
    }
}

impl Template {
    fn compile(text: &str, settings: &Settings) -> Result<Template, CompileError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find("${") {
            let (before, mark) = rest.split_at(at);
            pieces.push(Piece::Text(before.to_owned()));
            if mark.starts_with("${!") {
                let (program, length) = compile::query(text, text.len() - mark.len() + 3, settings)?;
                pieces.push(Piece::Query(program));
                rest = &mark[3 + length..];
            } else if let Some(quoted) = mark.strip_prefix("${{!").and_then(|rest| rest.split_once("}}")) {
                pieces.push(Piece::Text(format!("${{!{}}}", quoted.0)));
                rest = quoted.1;
            } else {
                pieces.push(Piece::Text("${".into()));
                rest = &mark[2..];
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Template(pieces))
    }

    /// Whether it has no query, and so is the same for every message.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The text for a message of a batch.
    pub fn render(&self, batch: &[Message], index: usize) -> Result<String, RunError> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Query(program) => match run::run(program, batch, index, Value::Nothing)?.root {
                    Root::New(value) => out.push_str(&to_text(&value)),
                    Root::Unchanged | Root::Deleted => out.push_str("null"),
                },
            }
        }
        Ok(out)
    }
}
