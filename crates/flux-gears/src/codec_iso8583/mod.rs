//! `codec_iso8583`: bytes to an ISO 8583 message and back, under a spec.
//!
//! Decoding makes a view, not a tree: fields are found, checked and read in place, and a message that nobody edits is
//! encoded by copying nothing.

use std::sync::Arc;

use flux_gear::{
    Category, Data, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Step, Value, keys,
};
use flux_iso8583::{Message, MessageView, Spec, WireError};
use schemars::JsonSchema;
use serde::Deserialize;

mod dialect;
#[cfg(test)]
mod tests;

pub(crate) use dialect::load_spec;

/// Metadata written on decoding, and read on encoding when the data has no message type.
const MTI: &str = "iso8583.mti";
/// Metadata: the spec a message was decoded with.
const SPEC_ID: &str = "codec.spec_id";

/// Configuration of `codec_iso8583`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Spec file, relative to the scenario. Either this or `spec` is required.
    #[serde(default)]
    #[schemars(extend("x-flux-file" = true))]
    spec_path: Option<String>,
    /// Built-in layout: `iso87ascii` or `iso87binary`.
    #[serde(default)]
    spec: Option<String>,
    /// Which way. `auto` decodes a message that has a payload and encodes one that has none.
    #[serde(default)]
    direction: Direction,
    /// What happens to a message that does not fit the spec.
    #[serde(default)]
    on_error: OnError,
}

/// Which way a codec works.
#[derive(Deserialize, JsonSchema, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// Decodes a message that has a payload, encodes one that has none.
    #[default]
    Auto,
    /// Payload to data.
    Decode,
    /// Data to payload.
    Encode,
}

/// What a codec does with a message that does not fit.
#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum OnError {
    /// It goes to the error port, else to the dead letters.
    #[default]
    Reject,
    /// It is discarded on purpose, and a warning is logged.
    Drop,
    /// As `reject`, and the connection it came by is closed.
    Kill,
}

/// The codec.
pub struct CodecIso8583 {
    ctx: GearContext,
    spec: Arc<Spec>,
    direction: Direction,
    on_error: OnError,
    out: OutPort,
}

impl Gear for CodecIso8583 {
    const KIND: &'static str = "codec_iso8583";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Codec, "decodes and encodes ISO 8583 messages under a spec")
            .input("in", "messages with a payload to decode, or data to encode")
            .output("out", "the same messages, decoded or encoded")
            .partitionable()
    }

    fn init(config: Config, ctx: &GearContext) -> Result<CodecIso8583, Fault> {
        Ok(CodecIso8583 {
            spec: load_spec(config.spec_path.as_deref(), config.spec.as_deref(), ctx)?,
            ctx: ctx.clone(),
            direction: config.direction,
            on_error: config.on_error,
            out: ctx.output("out")?,
        })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        let is_decode = match self.direction {
            Direction::Auto => !msg.payload.is_empty(),
            Direction::Decode => true,
            Direction::Encode => false,
        };
        let (what, done) =
            if is_decode { ("decode", self.decode(msg)) } else { ("encode", self.encode(msg)) };
        match done {
            Ok(done) => out.emit(self.out, done),
            Err(why) => self.failed(what, why, msg)?,
        }
        Ok(Step::Done)
    }
}

impl CodecIso8583 {
    fn decode(&self, msg: &FluxMsg) -> Result<FluxMsg, WireError> {
        let message = Message::decode(self.spec.clone(), msg.payload.clone())?;
        let mut msg = msg.clone();
        let decoded = &mut *msg;
        decoded.metadata.set(MTI, message.mti());
        decoded.metadata.set(SPEC_ID, self.spec.id.clone());
        decoded.data = Data::View(Arc::new(MessageView::new(message)));
        Ok(msg)
    }

    fn encode(&self, msg: &FluxMsg) -> Result<FluxMsg, WireError> {
        let payload = match &msg.data {
            Data::View(view) => match view.as_any().downcast_ref::<MessageView>().map(MessageView::message) {
                Some(message) if self.is_own(message) => message.to_bytes(),
                Some(_) | None => self.encode_tree(msg, view.to_value())?,
            },
            data => self.encode_tree(msg, data.to_value())?,
        };
        let mut msg = msg.clone();
        msg.payload = payload;
        Ok(msg)
    }

    /// Whether a message was decoded under the same spec: by this gear, or by another that read the same file.
    fn is_own(&self, message: &Message) -> bool {
        let (own, other) = (&self.spec, message.spec());
        Arc::ptr_eq(own, other) || own.fingerprint == other.fingerprint
    }

    fn encode_tree(&self, msg: &FluxMsg, mut tree: Value) -> Result<flux_gear::Bytes, WireError> {
        if tree.get(MTI).is_none()
            && let Some(mti) = msg.metadata.get(MTI)
        {
            // It can only fail where the data has something else in its place, and then encoding says so.
            let _ = tree.set(MTI, mti.into());
        }
        Ok(Message::from_value(self.spec.clone(), &tree)?.to_bytes())
    }

    fn failed(&self, what: &'static str, why: WireError, msg: &FluxMsg) -> Result<(), Fault> {
        let conn = msg.metadata.get(keys::CONN_ID);
        match self.on_error {
            OnError::Reject => {}
            OnError::Drop => {
                tracing::warn!(gear = self.ctx.name(), id = %msg.id, error = %why, "message discarded: cannot {what}");
                return Ok(());
            }
            OnError::Kill => {
                if let Some(conn) = conn {
                    self.ctx.control().close_conn(conn, "bad message");
                }
            }
        }
        Err(Fault::invalid(format!("cannot {what} as `{}`", self.spec.id))
            .reason("bad_message")
            .caused_by(why))
    }
}
