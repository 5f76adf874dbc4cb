//! Compiling a mapping, and running it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::compile::{self, Settings};
use crate::diagnostic::CompileError;
use crate::explain;
use crate::host::{Host, System};
use crate::message::{Mapped, Message};
use crate::node::Program;
use crate::run::{self, RunError};
use crate::{Limits, Value};

/// What mappings are compiled with: the world they may ask, and how much each run may use.
#[derive(Clone)]
pub struct Compiler(Settings);

impl Compiler {
    /// A compiler for mappings of a world.
    pub fn new(host: impl Host + 'static) -> Compiler {
        Compiler(Settings {
            host: Arc::new(host),
            limits: Limits::default(),
            name: "mapping".into(),
            directory: PathBuf::new(),
            is_confined: false,
        })
    }

    /// What a run may use.
    pub fn limits(mut self, limits: Limits) -> Compiler {
        self.0.limits = limits;
        self
    }

    /// What messages call the source.
    pub fn name(mut self, name: impl Into<String>) -> Compiler {
        self.0.name = name.into();
        self
    }

    /// Where relative imports and the files of `file_rel` are; the working directory unless told.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Compiler {
        self.0.directory = directory.into();
        self
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0
    }

    /// The source laid out: two blanks for each open bracket, nothing else changed. Only what can be read is laid out.
    pub fn format(&self, source: &str) -> Result<String, CompileError> {
        compile::format(source, &self.0)
    }

    /// Compiles a mapping. Every problem is told, up to twenty.
    pub fn compile(&self, source: &str) -> Result<Mapping, CompileError> {
        compile::compile(source, &self.0).map(|program| Mapping(Arc::new(program)))
    }
}

impl Default for Compiler {
    /// For the machine this runs on, its variables and files closed.
    fn default() -> Compiler {
        Compiler::new(System::new())
    }
}

/// A compiled mapping. It is made once, runs on any thread, and is cheap to clone.
///
/// ```
/// use bloblang::{Mapping, Message, Value};
///
/// let mapping = Mapping::compile(r#"root.greeting = "hello " + this.name.capitalize()"#)?;
/// let mapped = mapping.map(&Message::new(r#"{"name":"ada"}"#))?;
/// assert_eq!(mapped.payload(&Message::default()).unwrap(), r#"{"greeting":"hello Ada"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Mapping(Arc<Program>);

impl Mapping {
    /// Compiles a mapping with the default [`Compiler`].
    pub fn compile(source: &str) -> Result<Mapping, CompileError> {
        Compiler::default().compile(source)
    }

    /// Maps one message, whose new document begins empty.
    pub fn map(&self, message: &Message) -> Result<Mapped, RunError> {
        self.map_in(std::slice::from_ref(message), 0)
    }

    /// Maps a message of a batch, whose new document begins empty. The others are there to be looked at.
    pub fn map_in(&self, batch: &[Message], index: usize) -> Result<Mapped, RunError> {
        run::run(&self.0, batch, index, Value::Nothing)
    }

    /// Maps a message of a batch, whose new document begins as its own: assignments change it.
    pub fn mutate_in(&self, batch: &[Message], index: usize) -> Result<Mapped, RunError> {
        let document = batch.get(index).and_then(Message::document).cloned();
        run::run(&self.0, batch, index, document.unwrap_or(Value::Nothing))
    }
}

impl Mapping {
    /// Says in words what each assignment writes, what it reads, and what it asks of the message and the world.
    pub fn explain(&self) -> String {
        explain::explain(&self.0)
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("source", &self.0.body.source.name).finish_non_exhaustive()
    }
}
