//! Makes the messages of a `generate` gear, one number after another.

use std::time::Duration;

use flux_gear::{Bytes, Data, EmitError, Emitter, FluxMsg, GearContext, Metadata, OutPort, Value};
use flux_world::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Config, Literal,
    template::{Template, TemplateError},
};

/// Messages per batch, at most: what the schema says.
const BATCH_MAX: u32 = 4096;

pub(super) struct Maker {
    ctx: GearContext,
    interval: Duration,
    left: u64,
    batch: u64,
    /// The number of the next message.
    next: u64,
    payload: Payload,
    /// What is the same in every message, shared by them all; and what is not.
    data: (Data, Vec<(String, Template)>),
    metadata: (Metadata, Vec<(String, Template)>),
}

enum Payload {
    Fixed(Bytes),
    Text(Template),
}

impl Maker {
    pub(super) fn new(config: Config, ctx: &GearContext) -> Result<Maker, String> {
        if config.batch.get() > BATCH_MAX {
            return Err(format!("`batch` is at most {BATCH_MAX}"));
        }
        let mut maker = Maker {
            ctx: ctx.clone(),
            interval: config.interval.0,
            left: config.count.unwrap_or(u64::MAX),
            batch: config.batch.get().into(),
            next: 0,
            payload: payload(config.payload, config.payload_hex)?,
            data: Default::default(),
            metadata: Default::default(),
        };
        for (path, literal) in config.data {
            let value = match literal {
                Literal::Bool(is) => Value::Bool(is),
                Literal::Int(n) => Value::Int(n),
                Literal::Text(text) => match template(&text)? {
                    template if template.is_fixed() => text.as_str().into(),
                    template => {
                        maker.data.1.push((path, template));
                        continue;
                    }
                },
            };
            maker.data.0.set(&path, value).map_err(|error| of_data(&path, &error))?;
        }
        for (key, text) in config.metadata {
            match template(&text)? {
                template if template.is_fixed() => maker.metadata.0.set(&key, text),
                template => maker.metadata.1.push((key, template)),
            }
        }
        // What is wrong with the first message is wrong with all.
        let first = maker.message(0)?;
        ctx.limits().check(&first).map_err(|error| error.to_string())?;
        maker.next = 0;
        Ok(maker)
    }

    /// Makes messages until there are enough of them.
    pub(super) async fn run(mut self, emit: Emitter, out: OutPort, enough: CancellationToken) {
        let clock = self.ctx.world().clock;
        let mut batch = Vec::new();
        let mut next_at = clock.now();
        while self.left > 0 {
            tokio::select! {
                biased;
                () = enough.cancelled() => break,
                () = self.turn(next_at) => {}
            }
            // A batch that waited for room moves those behind it; they do not come in a burst.
            next_at = (next_at + self.interval).max(clock.now());
            let unix_ns = clock.unix_ns();
            for _ in 0..self.batch.min(self.left) {
                batch
                    .push(self.message(unix_ns).expect("the first message could be made, and all are alike"));
                self.left -= 1;
            }
            match emit.emit_all(out, &mut batch).await {
                Ok(()) => {}
                Err(EmitError::Stopping) => return,
                Err(EmitError::Limit(why)) => {
                    tracing::error!(gear = self.ctx.name(), error = %why, "made a message that is too large");
                    return;
                }
            }
        }
        tracing::info!(gear = self.ctx.name(), messages = self.next, "no more messages are made");
    }

    /// Ends when the next batch is due.
    async fn turn(&self, due_at: Instant) {
        if self.interval.is_zero() {
            // A timer would wait for the next millisecond.
            tokio::task::coop::consume_budget().await;
        } else {
            self.ctx.world().clock.sleep_until(due_at).await;
        }
    }

    fn message(&mut self, unix_ns: i64) -> Result<FluxMsg, String> {
        let n = self.next;
        self.next += 1;
        let payload = match &self.payload {
            Payload::Fixed(bytes) => bytes.clone(),
            Payload::Text(template) => template.text(n).into(),
        };
        let mut msg = self.ctx.arrival(payload, self.metadata.0.clone(), unix_ns);
        msg.data = self.data.0.clone();
        for (key, template) in &self.metadata.1 {
            msg.metadata.set(key, template.text(n));
        }
        for (path, template) in &self.data.1 {
            let text = template.text(n);
            msg.data.set(path, text.as_str().into()).map_err(|error| of_data(path, &error))?;
        }
        Ok(msg)
    }
}

fn payload(text: Option<String>, hex: Option<String>) -> Result<Payload, String> {
    match (text, hex) {
        (Some(_), Some(_)) => Err("write `payload` or `payload_hex`, not both".into()),
        (None, Some(hex)) => bytes(&hex).map(Payload::Fixed),
        (text, None) => {
            let text = text.unwrap_or_default();
            let template = template(&text)?;
            Ok(if template.is_fixed() { Payload::Fixed(text.into()) } else { Payload::Text(template) })
        }
    }
}

fn of_data(path: &str, error: &dyn std::fmt::Display) -> String {
    format!("data at `{path}`: {error}")
}

fn template(text: &str) -> Result<Template, String> {
    text.parse().map_err(|error: TemplateError| error.to_string())
}

fn bytes(hex: &str) -> Result<Bytes, String> {
    let digit = |c: char| {
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digit.ok_or_else(|| format!("`payload_hex`: {c:?} is not a hexadecimal digit"))
    };
    let digits: Vec<u8> = hex.chars().filter(|c| !c.is_whitespace()).map(digit).collect::<Result<_, _>>()?;
    if digits.len() % 2 == 1 {
        return Err("`payload_hex` has half a byte at its end".into());
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
