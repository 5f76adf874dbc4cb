//! `fluxrig blobl`: a Bloblang mapping over lines, or what is wrong with it.

use std::{
    io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, ensure};
use bloblang::{Compiler, Mapping, Message, Object, System, Value};
use clap::Args;
use flux_world::Disk;

use crate::{
    input::{self, MESSAGE_TEXT_BYTES_MAX},
    stdout,
};

mod repl;

/// Text of one mapping.
const MAPPING_BYTES_MAX: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  What is in each event?
    fluxrig blobl 'root.who = this.user.name | \"nobody\"' < events.jsonl
  The same mapping from a file, checked first:
    fluxrig blobl --check -f who.blobl && fluxrig blobl -f who.blobl < events.jsonl
  Lines that are not JSON:
    fluxrig blobl --raw 'root = content().uppercase()' < notes.txt
  Try expressions one after the other:
    fluxrig blobl --repl";

/// Map lines with Bloblang, the mapping language of Bento
///
/// Each line of standard input is a JSON document, and maps to a line of output; a mapping that yields `deleted()` drops
/// it. A line that cannot be mapped is told on standard error, and the rest goes on.
///
/// The mapping may read environment variables, and files for `file` and `import`.
///
/// Exit status: 0 when every line was mapped, 1 when one was not or the mapping is wrong, 2 when the usage is wrong.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Blobl {
    /// The mapping
    #[arg(required_unless_present_any = ["file", "repl"], conflicts_with = "file")]
    mapping: Option<String>,
    /// Read the mapping from a file
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// Take lines as they are, JSON or not
    #[arg(long)]
    raw: bool,
    /// Give each message metadata
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, String)>,
    /// Say what is wrong with the mapping, and map nothing
    #[arg(long, group = "instead")]
    check: bool,
    /// Print the mapping laid out, and map nothing
    #[arg(long, group = "instead")]
    fmt: bool,
    /// Print what each assignment reads and writes, and map nothing
    #[arg(long, group = "instead")]
    explain: bool,
    /// Evaluate what is typed, line by line
    #[arg(long, group = "instead")]
    repl: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Blobl {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut compiler = Compiler::new(System::new().allow_variables().allow_files());
        let metadata = self.metadata.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        let metadata: Object = metadata.collect();
        if self.repl {
            return repl::run(&compiler, metadata);
        }
        let source = match &self.file {
            Some(path) => {
                compiler = compiler.name(path.display().to_string());
                compiler = compiler.directory(path.parent().map(PathBuf::from).unwrap_or_default());
                let bytes = input::file(&Disk::real(), path, MAPPING_BYTES_MAX)?;
                String::from_utf8(bytes.into())
                    .with_context(|| format!("`{}` is not UTF-8", path.display()))?
            }
            None => self.mapping.clone().unwrap_or_default(),
        };
        let mapping = match compiler.compile(&source) {
            Ok(mapping) => mapping,
            Err(error) => {
                eprint!("{}", error.render());
                return Ok(ExitCode::FAILURE);
            }
        };
        if self.check {
            return Ok(ExitCode::SUCCESS);
        }
        if self.explain {
            stdout::print(mapping.explain())?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.fmt {
            stdout::print(compiler.format(&source)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.map_lines(&mapping, &metadata)
    }

    /// Maps standard input to standard output. What is mapped is written when no more input waits, or much is mapped.
    fn map_lines(&self, mapping: &Mapping, metadata: &Object) -> anyhow::Result<ExitCode> {
        let mut input = BufReader::with_capacity(64 << 10, std::io::stdin().lock());
        let mut output = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
        let mut exit = ExitCode::SUCCESS;
        for number in 1u64.. {
            let Some(line) = line(&mut input)? else { break };
            match self.map(mapping, metadata, line) {
                Ok(Some(payload)) => {
                    match output.write_all(&payload).and_then(|()| output.write_all(b"\n")) {
                        // Whoever reads it has seen enough.
                        Err(why) if why.kind() == ErrorKind::BrokenPipe => return Ok(exit),
                        written => written.context("cannot write to standard output")?,
                    }
                }
                Ok(None) => {}
                Err(why) => {
                    eprintln!("line {number}: {why}");
                    exit = ExitCode::FAILURE;
                }
            }
            if input.buffer().is_empty() {
                match output.flush() {
                    Err(why) if why.kind() == ErrorKind::BrokenPipe => return Ok(exit),
                    flushed => flushed.context("cannot write to standard output")?,
                }
            }
        }
        match output.flush() {
            Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(exit),
            flushed => flushed.context("cannot write to standard output").map(|()| exit),
        }
    }

    fn map(
        &self,
        mapping: &Mapping,
        metadata: &Object,
        line: Vec<u8>,
    ) -> anyhow::Result<Option<bytes::Bytes>> {
        let message = if self.raw {
            Message::new(line)
        } else if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        } else {
            Message::structured(Value::from_json(&line).context("not a document; `--raw` takes other lines")?)
        };
        let message = message.with_metadata(metadata.clone());
        Ok(mapping.map(&message)?.payload(&message))
    }
}

/// The next line, without its end.
fn line(input: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = input.take(MESSAGE_TEXT_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
    read.context("cannot read standard input")?;
    ensure!(line.len() <= MESSAGE_TEXT_BYTES_MAX, "a line is longer than {MESSAGE_TEXT_BYTES_MAX} bytes");
    if line.is_empty() {
        return Ok(None);
    }
    let end = line.strip_suffix(b"\n").unwrap_or(&line);
    let end = end.strip_suffix(b"\r").unwrap_or(end).len();
    line.truncate(end);
    Ok(Some(line))
}
