//! The gear of the tutorial in a binary of its own, beside the built-in ones.

use std::process::ExitCode;

use flux_gear::{
    ByteSize, Category, Descriptor, Fault, FluxMsg, Gear, GearContext, InPort, OutPort, Outbox, Step,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a user writes under `config`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Text to put before each payload.
    greeting: String,
    /// Longest payload that is greeted.
    #[serde(default = "longest")]
    payload_bytes_max: ByteSize,
}

fn longest() -> ByteSize {
    ByteSize(1024)
}

struct Greet {
    config: Config,
    out: OutPort,
}

impl Gear for Greet {
    const KIND: &'static str = "greet";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Logic, "puts a greeting before each payload")
            .input("in", "payloads to greet")
            .output("out", "greeted payloads")
    }

    // Pure: no sockets, no tasks. `fluxrig check` calls it to try a configuration.
    fn init(config: Config, ctx: &GearContext) -> Result<Greet, Fault> {
        Ok(Greet { config, out: ctx.output("out")? })
    }

    // The message is borrowed: the host keeps it, so whatever happens here loses nothing.
    fn process(&mut self, _: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        if msg.payload.len() as u64 > self.config.payload_bytes_max.0 {
            // To the error port, or to the dead letters where no wire leaves it.
            return Err(Fault::invalid("payload too long to greet").reason("too_long"));
        }
        let mut greeted = msg.clone(); // O(1): what it holds is copied when it is written
        greeted.payload = [self.config.greeting.as_bytes(), &msg.payload].concat().into();
        out.emit(self.out, greeted);
        Ok(Step::Done)
    }
}

fn main() -> ExitCode {
    fluxrig::run(flux_gears::builtin().with::<Greet>())
}
