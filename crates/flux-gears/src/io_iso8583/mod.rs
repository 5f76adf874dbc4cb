//! `io_iso8583`: ISO 8583 messages over TCP and TLS, with the framing and the headers of payment networks.

mod config;
mod dialect;
mod header;
mod network_management;
#[cfg(test)]
mod tests;
mod visa;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use flux_gear::{
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Legacy, Outbox, Parcel,
    Step, Terminus, keys,
};
use flux_iso8583::FrameEncoding;
use flux_pool::{
    AcceptConfig, PeerConfig,
    framing::{ByteOrder, LengthPrefixed, Width},
};
use flux_world::Target;

pub use crate::endpoint::{ClientAuth, Tls, WhenQueueFull, options::Mode};
pub use config::{Config, Encoding, Endian, LengthSize, Variant};

use crate::{
    codec_iso8583::load_spec,
    endpoint::{
        Berth, ConnIds, Endpoint, Line, ListenAddress, OnMalformed, PeerSettings, Way, connections_max,
        no_connection, not_now,
        options::{bad_config, target},
        send,
    },
};
use dialect::{Iso8583, Reading};
use header::Header;

/// Sends ISO 8583 messages, and emits those received.
pub struct IoIso8583 {
    line: IsoLine,
    /// Whether a message goes by another connection when its own is gone.
    falls_back: bool,
    berth: Berth<IsoLine>,
}

/// What its configuration says of its connections.
struct IsoLine {
    ctx: GearContext,
    config: Config,
    plan: Plan,
    reading: Reading,
    peer: PeerConfig,
}

/// Which way it runs.
enum Plan {
    Server { bind: ListenAddress, connections_max: NonZeroUsize, is_encrypted: bool },
    Client { target: Target, pool_size: u16 },
}

impl Gear for IoIso8583 {
    const KIND: &'static str = "io_iso8583";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "sends and receives ISO 8583 messages over TCP or TLS")
            .terminus(Terminus::Io)
            .input("in", "messages to send")
            .source("out", "messages received, with `conn.id`, `peer.ip` and `peer.port`")
    }

    fn init(config: Config, ctx: &GearContext) -> Result<IoIso8583, Fault> {
        let plan = Plan::new(&config)?;
        let transport = match &plan {
            Plan::Server { .. } => Tls::server(config.tls.as_ref(), ctx)?,
            Plan::Client { .. } => Tls::client(config.tls.as_ref(), ctx)?,
        };
        let framing = framing(&config, ctx.limits().message_bytes_max);
        let peer =
            PeerConfig { framing: Arc::new(framing), transport, ..peer_config(&config, &plan, &framing) };
        peer.check().map_err(|why| bad_config(why.to_string()))?;
        let falls_back = !config.strict_connection_routing;
        let reading = reading(&config, ctx)?;
        let line = IsoLine { ctx: ctx.clone(), plan, reading, peer, config };
        Ok(IoIso8583 { line, falls_back, berth: Berth::Empty })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let gear = self.line.ctx.name();
        if self.falls_back {
            tracing::warn!(gear, "strict_connection_routing is off: a reply may reach a stranger");
        }
        if self.line.reading.logs_frames {
            tracing::warn!(gear, "unsafe_raw_frame_log is on: the trace log holds card data");
        }
        self.berth.start(&self.line, emit).await
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if msg.payload.is_empty() {
            return Err(Fault::invalid("the message has no payload; encode it first").reason("no_payload"));
        }
        let header = &self.line.reading.header;
        let Some(Endpoint { conns, dialect, dialled, .. }) = self.berth.endpoint() else {
            return Err(no_connection("the gear is not started"));
        };
        let ids = &dialect.ids;
        // A message that brings a connection of ours goes back by it: it answers what came in there.
        let back = msg.metadata.get(keys::CONN_ID).filter(|id| dialled.is_none() || ids.is_own(id));
        if let Some(id) = back {
            let frame = header.frame(msg, true)?;
            match conns.with(id, |conn| send(&conn.peer, frame.clone(), msg)) {
                Some(sent) => return sent,
                None if !self.falls_back => return Err(no_connection("the connection is gone")),
                None => {}
            }
        }
        let frame = header.frame(msg, dialled.is_none())?;
        match dialled {
            Some(dialled) => dialled.send(conns, frame, msg),
            None => conns.among(|up| match up {
                [] => Err(not_now(msg, "nobody is connected")),
                [first, others @ ..] if others.is_empty() || back.is_some() => send(&first.peer, frame, msg),
                several => {
                    let problem =
                        format!("{} clients are connected and the message has no conn.id", several.len());
                    Err(Fault::invalid(problem).reason("ambiguous"))
                }
            }),
        }
    }

    fn drain(&mut self) -> Drain {
        match (&self.line.plan, self.berth.endpoint()) {
            (Plan::Server { .. }, Some(endpoint)) => Box::pin(endpoint.drain()),
            // A client goes on reading: replies to what is in hand elsewhere still arrive.
            (Plan::Server { .. } | Plan::Client { .. }, _) => Box::pin(async {}),
        }
    }

    fn hand_over(&mut self) -> Option<Legacy> {
        self.berth.hand_over(&self.line)
    }

    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        self.berth.take_over(&self.line, legacy)
    }

    fn pause(&mut self, within: Duration) -> Drain {
        self.berth.pause(within)
    }

    fn resume(&mut self) {
        self.berth.resume();
    }

    async fn move_out(self) -> Parcel {
        self.berth.move_out().await
    }

    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        self.berth = Berth::Arrived(parcel);
        Ok(())
    }

    async fn stop(self) {
        self.berth.stop().await;
    }
}

impl Line for IsoLine {
    type Config = Config;
    type Dialect = Iso8583;

    fn ctx(&self) -> &GearContext {
        &self.ctx
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn way(&self) -> Way<'_> {
        match &self.plan {
            Plan::Server { bind, is_encrypted, .. } => {
                Way::Listen { bind, accept: Box::new(self.accepting()), is_encrypted: *is_encrypted }
            }
            Plan::Client { target, pool_size } => {
                Way::Dial { target, connections: *pool_size, peer: &self.peer }
            }
        }
    }

    fn on_malformed(&self) -> OnMalformed {
        match self.plan {
            Plan::Server { .. } => OnMalformed::Disconnect,
            Plan::Client { .. } => OnMalformed::Skip,
        }
    }

    fn dialect(&self, _: &Emitter, former: Option<&Iso8583>) -> Iso8583 {
        let ids = former.map_or_else(|| Arc::new(ConnIds::new(&self.ctx)), |former| former.ids.clone());
        Iso8583 { ctx: self.ctx.clone(), ids, reading: self.reading.clone() }
    }

    fn goes_on_from(&self, former: &Config) -> bool {
        self.config.goes_on_from(former)
    }
}

impl IsoLine {
    fn accepting(&self) -> AcceptConfig {
        let accept = AcceptConfig::new(self.peer.clone());
        match &self.plan {
            Plan::Server { connections_max, .. } => {
                AcceptConfig { connections_max: *connections_max, ..accept }
            }
            Plan::Client { .. } => accept,
        }
    }
}

impl Plan {
    fn new(config: &Config) -> Result<Plan, Fault> {
        match config.mode {
            Mode::Server => Ok(Plan::Server {
                bind: config.bind.parse()?,
                connections_max: connections_max(config.max_connections),
                is_encrypted: config.tls.as_ref().is_some_and(|tls| tls.enabled),
            }),
            Mode::Client => {
                let target = target(config.connect.as_deref())?;
                Ok(Plan::Client { target, pool_size: config.pool_size.get() })
            }
        }
    }
}

fn framing(config: &Config, frame_bytes_max: usize) -> LengthPrefixed {
    LengthPrefixed {
        width: match config.frame_length_size {
            LengthSize::Two => Width::Two,
            LengthSize::Four => Width::Four,
        },
        order: match config.frame_length_endian {
            Endian::Big => ByteOrder::Big,
            Endian::Little => ByteOrder::Little,
        },
        counts_itself: config.frame_includes_header,
        frame_bytes_max,
    }
}

fn reading(config: &Config, ctx: &GearContext) -> Result<Reading, Fault> {
    let answers_by = match config.answer_network_management {
        true => Some(load_spec(config.spec_path.as_deref(), config.spec.as_deref(), ctx)?),
        false => None,
    };
    Ok(Reading {
        header: Header::new(config).map_err(bad_config)?,
        encoding: match config.encoding {
            Encoding::Ascii => FrameEncoding::Ascii,
            Encoding::Ebcdic => FrameEncoding::Ebcdic,
            Encoding::Bcd => FrameEncoding::Bcd,
        },
        must_look_right: config.heuristic_validation,
        answers_by,
        logs_frames: config.unsafe_raw_frame_log,
    })
}

fn peer_config(config: &Config, plan: &Plan, framing: &LengthPrefixed) -> PeerConfig {
    let is_server = matches!(plan, Plan::Server { .. });
    PeerSettings {
        frame_bytes_max: framing.frame_bytes_max,
        queued_messages_max: config.max_queued_messages.into(),
        connect_timeout: config.connect_timeout.0,
        idle_timeout: config.idle_timeout.0,
        read_timeout: config.read_timeout.0,
        tcp_keepalive: config.tcp_keepalive.0,
        half_close_timeout: if is_server { config.half_close_timeout.0 } else { Duration::ZERO },
        write_timeout: config.write_timeout.0,
        when_queue_full: config.when_queue_full,
        reconnect_wait: config.reconnect_wait.0,
        reconnect_wait_max: config.reconnect_wait_max.0,
    }
    .config()
}
