//! A source of made-up messages: at an interval, or as fast as they are taken.

mod maker;
mod template;

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration as Span};

use flux_gear::{
    Category, Descriptor, Drain, Duration, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Outbox, Step,
    Terminus,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use maker::Maker;

/// Makes messages up.
pub struct Generate {
    ctx: GearContext,
    maker: Option<Maker>,
    /// No further message.
    enough: CancellationToken,
    /// No message is in hand.
    finished: CancellationToken,
}

/// What the messages are, and how often they come. In texts `{n}` stands for the number of the message, from 0, and
/// `{n:06}` for its last six digits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between batches; `0` for as fast as they are taken.
    pub interval: Duration,
    /// Messages in all; without it they do not end.
    pub count: Option<u64>,
    /// Messages per batch.
    #[schemars(range(max = 4096))]
    pub batch: NonZeroU32,
    /// The payload, as text.
    pub payload: Option<String>,
    /// The payload, as hexadecimal digits; spaces between bytes are allowed.
    pub payload_hex: Option<String>,
    /// Data by dotted path. A number or a truth value is what it is, a text may have counters in it.
    pub data: BTreeMap<String, Literal>,
    /// Metadata by key.
    pub metadata: BTreeMap<String, String>,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Literal {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text, with counters.
    Text(String),
}

impl Default for Config {
    fn default() -> Config {
        Config {
            interval: Duration(Span::from_secs(1)),
            count: None,
            batch: NonZeroU32::MIN,
            payload: None,
            payload_hex: None,
            data: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }
}

impl Gear for Generate {
    const KIND: &'static str = "generate";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "makes messages up, at an interval or as fast as they are taken")
            .terminus(Terminus::Io)
            .source("out", "the messages")
    }

    fn init(config: Config, ctx: &GearContext) -> Result<Generate, Fault> {
        let maker = Maker::new(config, ctx).map_err(|problem| Fault::fatal(problem).reason("config"))?;
        Ok(Generate {
            ctx: ctx.clone(),
            maker: Some(maker),
            enough: CancellationToken::new(),
            finished: CancellationToken::new(),
        })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let (Some(maker), out) = (self.maker.take(), self.ctx.output("out")?) else { return Ok(()) };
        let (enough, finished) = (self.enough.clone(), self.finished.clone().drop_guard());
        self.ctx.spawn(async move {
            maker.run(emit, out, enough).await;
            drop(finished);
        });
        Ok(())
    }

    fn process(&mut self, _: InPort, _: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        Err(Fault::invalid("a source takes no messages"))
    }

    fn drain(&mut self) -> Drain {
        self.enough.cancel();
        // Never started, it has nothing in hand.
        let (finished, is_idle) = (self.finished.clone(), self.maker.is_some());
        Box::pin(async move {
            if !is_idle {
                finished.cancelled().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use flux_gear::{conformance, mock::Mock};
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn it_is_a_gear() {
        conformance::check::<Generate>(json!({}), Mock::new);
        conformance::check::<Generate>(json!({ "data": { "a.b": 1, "c": true, "d": "{n}" } }), Mock::new);
    }

    async fn made(config: Json, count: usize) -> Vec<FluxMsg> {
        let mut gear = Mock::new().build::<Generate>(config).unwrap();
        gear.start().await.unwrap();
        let mut made = Vec::new();
        for _ in 0..count {
            made.push(gear.emitted().await.1);
        }
        gear.stop().await;
        made
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_made_as_asked() {
        let config = json!({
            "interval": "0s", "count": 3, "batch": 2, "payload": "msg {n:02}",
            "data": { "iso8583.field.11": "{n:06}", "amount": 7, "is_test": true },
            "metadata": { "fixed": "x", "trace": "t{n}" },
        });
        for (n, msg) in made(config, 3).await.iter().enumerate() {
            assert_eq!(msg.payload, format!("msg {n:02}"));
            assert_eq!(msg.data.get("iso8583.field.11"), Some(format!("{n:06}").as_str().into()));
            assert_eq!(msg.data.get("amount"), Some(7.into()));
            assert_eq!(
                (msg.metadata.get("fixed"), msg.metadata.get("trace")),
                (Some("x"), Some(&*format!("t{n}")))
            );
        }
        assert_eq!(made(json!({ "payload_hex": "00 ff 7a" }), 1).await[0].payload, &b"\x00\xffz"[..]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_no_time_passes() {
        let clock = Mock::new().context::<Generate>(&json!({})).world().clock;
        let began = clock.now();
        made(json!({ "interval": "0s", "count": 100 }), 100).await;
        assert_eq!(clock.now(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_keep_their_interval_and_draining_ends_them() {
        let mut gear = Mock::new().build::<Generate>(json!({ "interval": "10s", "payload": "{n}" })).unwrap();
        gear.start().await.unwrap();
        let clock = gear.ctx.world().clock;
        let began = clock.now();
        for n in 0..3_u32 {
            assert_eq!(gear.emitted().await.1.payload, n.to_string());
            assert_eq!(clock.now() - began, Span::from_secs(10) * n);
        }
        gear.gear.drain().await;
        assert!(
            clock.timeout(Span::from_secs(60), gear.emitted()).await.is_err(),
            "nothing comes after a drain"
        );
        gear.stop().await;
    }

    #[test]
    fn a_configuration_that_cannot_be_is_refused() {
        for (config, why) in [
            (json!({ "payload": "a", "payload_hex": "00" }), "not both"),
            (json!({ "payload_hex": "0g" }), "'g' is not a hexadecimal digit"),
            (json!({ "payload_hex": "000" }), "half a byte"),
            (json!({ "payload": "{n:6}" }), "is no counter"),
            (json!({ "data": { "a": 1, "a.b": 2 } }), "data at `a.b`"),
            (json!({ "batch": 5000 }), "at most 4096"),
            (json!({ "metadata": { "k": "x".repeat(3 << 20) } }), "at most 2097152"),
        ] {
            let refused = Mock::new().build::<Generate>(config.clone()).err().unwrap().to_string();
            assert!(refused.contains(why), "{why:?} in {refused:?}");
        }
    }
}
