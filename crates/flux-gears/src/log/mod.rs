//! Writes one line per message: who it is, how long, and the values asked for. Never the payload.

mod mask;

use std::{
    fmt::{self, Write},
    sync::LazyLock,
};

use flux_gear::{
    Category, Data, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, Key, OutPort, Outbox, Step,
    Terminus, Text,
};
use flux_iso8583::Spec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use mask::masked;

/// Characters of one value that are written; the rest is cut off.
const VALUE_CHARS_MAX: usize = 256;

/// Writes one line per message.
pub struct Log {
    name: String,
    level: Level,
    fields: Vec<Key>,
    pass: Option<OutPort>,
}

/// What is written, and what becomes of the messages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How loud the lines are.
    pub level: Level,
    /// Values to write besides id and size: paths of metadata or data. What the spec of a decoded message classifies is
    /// masked, and so are card numbers and tracks wherever they stand.
    pub fields: Vec<Key>,
    /// The output at which messages go on, for instance `out`. Without it they end here.
    #[schemars(extend("format" = "name", "x-flux-port" = { "direction": "out", "name": "{}" }))]
    pub pass: Option<String>,
}

/// How loud a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A human must act.
    Error,
    /// Something is odd.
    Warn,
    /// Worth knowing.
    #[default]
    Info,
    /// For finding mistakes.
    Debug,
    /// For finding the last mistake.
    Trace,
}

impl Default for Config {
    fn default() -> Config {
        Config { level: Level::Info, fields: Vec::new(), pass: None }
    }
}

impl Gear for Log {
    const KIND: &'static str = "log";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Observability, "writes one line per message to the log, never its payload")
            .terminus(Terminus::Transparent)
            .input("in", "messages to write about")
            .partitionable()
    }

    fn init(config: Config, ctx: &GearContext) -> Result<Log, Fault> {
        if config.fields.iter().any(|field| field.as_str() == "payload") {
            return Err(
                Fault::fatal("`payload` is never written to a log: name values of it").reason("config")
            );
        }
        Ok(Log {
            name: ctx.name().into(),
            level: config.level,
            fields: config.fields,
            pass: config.pass.map(|port| ctx.output(&port)).transpose()?,
        })
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        self.write_line(msg);
        if let Some(port) = self.pass {
            out.forward(port);
        }
        Ok(Step::Done)
    }
}

impl Log {
    fn write_line(&self, msg: &FluxMsg) {
        // The level of an event is part of its call site, so each level has its own.
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    tracing::Level::$level,
                    gear = self.name,
                    id = %msg.id,
                    payload_bytes = msg.payload.len(),
                    fields = %Fields { keys: &self.fields, msg },
                    "message"
                )
            };
        }
        match self.level {
            Level::Error => line!(ERROR),
            Level::Warn => line!(WARN),
            Level::Info => line!(INFO),
            Level::Debug => line!(DEBUG),
            Level::Trace => line!(TRACE),
        }
    }
}

/// The values asked for as `name=value`, in the order asked for, without those the message lacks.
struct Fields<'a> {
    keys: &'a [Key],
    msg: &'a FluxMsg,
}

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.keys.iter().filter_map(|key| Some((key, shown(key, self.msg)?)));
        for (at, (key, value)) in values.enumerate() {
            if at > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{key}=")?;
            // Escaped, so that a value cannot begin a line of its own.
            for shown in value.chars().take(VALUE_CHARS_MAX).flat_map(char::escape_debug) {
                f.write_char(shown)?;
            }
        }
        Ok(())
    }
}

/// What is sensitive in ISO 8583 data that no codec has seen, such as that of a gear which makes messages up.
static BASE_LAYOUT: LazyLock<Spec> =
    LazyLock::new(|| Spec::builtin("iso87ascii").expect("the layout is built in"));

/// The value as it may stand in a log.
fn shown(key: &Key, msg: &FluxMsg) -> Option<String> {
    let mut text: Text = key.masked(msg)?;
    let path = key.as_str().strip_prefix("data.").unwrap_or(key.as_str());
    if let (Data::Tree(_), Some(place)) = (&msg.data, path.strip_prefix("iso8583."))
        && !matches!(place, "mti" | "exchange")
    {
        let place = place.strip_prefix("field.").unwrap_or(place);
        text = flux_iso8583::mask(&BASE_LAYOUT, place, &text).into();
    }
    Some(masked(&text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flux_gear::{conformance, mock::Mock};
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_a_gear() {
        conformance::check::<Log>(json!({}), Mock::new);
        conformance::check::<Log>(json!({ "fields": ["meta.conn.id"], "pass": "out" }), Mock::new);
    }

    #[test]
    fn the_payload_is_not_a_field() {
        let refused = Mock::new().build::<Log>(json!({ "fields": ["payload"] })).err().unwrap();
        assert!(refused.to_string().contains("never written to a log"), "{refused}");
    }

    #[test]
    fn values_are_masked_escaped_and_cut() {
        let ctx = Mock::new().context::<Log>(&json!({}));
        let mut msg = ctx.message("4111111111111111");
        msg.metadata.set("note", "a\nb");
        msg.metadata.set("long", "x".repeat(1000));
        msg.data.set("card.pan", "4111111111111111".into()).unwrap();
        let keys = ["meta.note", "data.card.pan", "data.absent", "meta.long"].map(|key| key.parse().unwrap());
        let shown = Fields { keys: &keys, msg: &msg }.to_string();
        let (start, long) = shown.split_once(" meta.long=").unwrap();
        assert_eq!(start, "meta.note=a\\nb data.card.pan=411111******1111");
        assert_eq!(long, "x".repeat(VALUE_CHARS_MAX));
    }

    /// A message with the values of `fields` by number.
    fn decoded(spec: &str, fields: &[(&str, &str)]) -> flux_iso8583::Message {
        let mut message = flux_iso8583::Message::new(Arc::new(Spec::builtin(spec).unwrap()), "0200").unwrap();
        for (field, text) in fields {
            message.set(field, &(*text).into()).unwrap();
        }
        message
    }

    /// W65: what a spec classifies is masked in every form of it, packed digits and tracks too.
    #[test]
    fn what_the_spec_classifies_is_masked_whatever_the_form_of_the_data() {
        const FIELDS: [(&str, &str); 6] = [
            ("2", "4111111111111111"),
            ("11", "000042"),
            ("14", "2812"),
            ("35", "4111111111111111=28121010000012300000"),
            ("45", "B4111111111111111^DOE/JANE^2812101"),
            ("52", "0123456789ABCDEF"),
        ];
        let keys = FIELDS.map(|(field, _)| format!("data.iso8583.field.{field}").parse().unwrap());
        let want = "data.iso8583.field.2=411111******1111 data.iso8583.field.11=000042 \
            data.iso8583.field.14=**** data.iso8583.field.35=************************************* \
            data.iso8583.field.45=********************************** data.iso8583.field.52=****************";
        for spec in ["iso87ascii", "iso87binary"] {
            let message = decoded(spec, &FIELDS);
            let tree = message.to_value();
            for data in [Data::View(Arc::new(flux_iso8583::MessageView::new(message))), tree.into()] {
                let mut msg = Mock::new().context::<Log>(&json!({})).message("");
                msg.data = data;
                let shown = Fields { keys: &keys, msg: &msg }.to_string();
                // The PIN block of a tree is bytes, which are no text.
                assert!(want.starts_with(&shown) && shown.len() > 200, "{spec}: {shown}");
            }
        }
    }

    #[tokio::test]
    async fn messages_go_on_only_when_asked() {
        let mut sink = Mock::new().build::<Log>(json!({})).unwrap();
        assert_eq!(sink.process("in", "x").await.unwrap(), []);
        let mut pass = Mock::new().build::<Log>(json!({ "pass": "out" })).unwrap();
        assert_eq!(pass.process("in", "x").await.unwrap(), [("out".to_owned(), "x".into())]);
    }

    /// Collects what a subscriber would print.
    #[derive(Clone, Default)]
    struct Printed(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_says_who_and_how_long_and_nothing_of_the_payload() {
        let printed = Printed::default();
        let writer = printed.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for level in ["warn", "debug"] {
                let config = json!({ "level": level, "fields": ["meta.conn.id"] });
                let log = Mock::new().build::<Log>(config).unwrap();
                let mut msg = log.ctx.message("secret");
                msg.metadata.set("conn.id", "c1");
                log.gear.write_line(&msg);
            }
        });
        let printed = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
        assert_eq!(printed.lines().count(), 1, "debug is not shown: {printed}");
        assert!(
            printed.contains("WARN") && printed.contains("payload_bytes=6 fields=meta.conn.id=c1"),
            "{printed}"
        );
        assert!(!printed.contains("secret"));
    }
}
