//! `fluxrig iso8583 decode`: what is in a message.

use std::{process::ExitCode, sync::Arc};

use bytes::Bytes;
use clap::Args;
use flux_iso8583::{Message, Place, WireError, explain, render};
use flux_world::World;
use serde_json::{Value as Json, json};

use super::spec_option::SpecOption;
use crate::{cmd::msg, input, stdout, terminal};

/// Show what is in a message, card data masked
///
/// Prints every field: where it starts, its name, its value and its bytes, with card data masked as the spec says.
///
/// With `--json` it prints `{"mti":"0200","fields":{"2":"4111...",...}}`, which `encode` reads back. That form is
/// complete and NOT masked: keep it away from logs.
///
/// Example: fluxrig iso8583 decode --spec iso87binary 08008220000000000000040000000000000011051430150000420301
///
/// Exit status: 0 when the whole message was understood; 1 when it was not, with the field and the byte, or when the
/// spec has errors; 2 when the spec cannot be read or the usage is wrong.
#[derive(Args)]
pub(crate) struct Decode {
    /// The message in hexadecimal digits, without length and TPDU; standard input when absent
    hex: Option<String>,
    #[command(flatten)]
    spec: SpecOption,
    /// Print JSON, unmasked
    #[arg(long)]
    json: bool,
}

impl Decode {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let disk = World::real().disk;
        let Some(spec) = self.spec.load(&disk, self.json)? else { return Ok(ExitCode::FAILURE) };
        let text = match self.hex {
            Some(text) => text,
            None => input::message_text(&disk, None)?,
        };
        let frame = match bytes_of(&text) {
            Ok(frame) => frame,
            Err(flaw) => return flaw.tell(self.json),
        };
        if !self.json {
            stdout::print(render(&explain(&spec, &frame)))?;
        }
        match Message::decode(Arc::clone(&spec), frame) {
            Ok(message) if self.json => stdout::line(message.to_json())?,
            Ok(_) => {}
            Err(why) => return Flaw::from(&why).tell(self.json),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The bytes that hexadecimal digits stand for, white space between them allowed.
fn bytes_of(text: &str) -> Result<Bytes, Flaw> {
    if let Some(bytes) = msg::from_hex(text) {
        return Ok(bytes.into());
    }
    let is_odd_one = |c: char| !c.is_ascii_hexdigit() && !c.is_whitespace();
    let message = match text.chars().enumerate().find(|(_, c)| is_odd_one(*c)) {
        Some((at, _)) => format!("expected hexadecimal digits, character {} is none", at + 1),
        None => "expected an even number of hexadecimal digits".into(),
    };
    Err(Flaw::other(message))
}

/// Why a message, or what stands for one, was not understood. Never its content.
pub(super) struct Flaw {
    /// `mti`, `bitmap`, or a field number.
    field: Option<String>,
    /// The byte of the message.
    offset: Option<usize>,
    message: String,
}

impl Flaw {
    /// One that is in no field.
    pub(super) fn other(message: String) -> Flaw {
        Flaw { field: None, offset: None, message }
    }

    /// Tells the person or the script, and gives the exit status.
    pub(super) fn tell(self, as_json: bool) -> anyhow::Result<ExitCode> {
        let Flaw { field, offset, message } = self;
        if as_json {
            let error: Json = json!({ "field": field, "offset": offset, "message": message });
            stdout::line(json!({ "error": error }))?;
        } else {
            terminal::complain(&anyhow::Error::msg(message));
        }
        Ok(ExitCode::FAILURE)
    }
}

impl From<&WireError> for Flaw {
    fn from(why: &WireError) -> Flaw {
        let field = match why.place() {
            Place::Message => None,
            Place::Mti => Some("mti".to_owned()),
            Place::Bitmap => Some("bitmap".to_owned()),
            Place::Field(number) if why.part().is_empty() => Some(number.to_string()),
            Place::Field(number) => Some(format!("{number}.{}", why.part())),
        };
        Flaw { field, offset: why.offset(), message: why.to_string() }
    }
}

impl From<anyhow::Error> for Flaw {
    fn from(why: anyhow::Error) -> Flaw {
        match why.downcast_ref::<WireError>() {
            Some(why) => Flaw::from(why),
            None => Flaw::other(format!("{why:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_and_the_first_other_character_is_named() {
        assert_eq!(bytes_of("08 00\n").ok().unwrap(), &[8, 0][..]);
        let why = |text| bytes_of(text).err().unwrap().message;
        assert_eq!(why("08 0x"), "expected hexadecimal digits, character 5 is none");
        assert_eq!(why("080"), "expected an even number of hexadecimal digits");
    }
}
