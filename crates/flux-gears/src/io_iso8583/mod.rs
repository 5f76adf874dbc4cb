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
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, InPort, Legacy, Outbox, Step,
    Terminus, keys,
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
        ConnIds, Dialled, Endpoint, ListenAddress, OnMalformed, PeerSettings, connections_max, no_connection,
        not_now,
        options::{bad_config, target},
        send, warn_if_exposed,
    },
};
use dialect::{Iso8583, Reading};
use header::Header;

/// Sends ISO 8583 messages, and emits those received.
pub struct IoIso8583 {
    ctx: GearContext,
    config: Config,
    plan: Plan,
    reading: Reading,
    peer: PeerConfig,
    /// Whether a message goes by another connection when its own is gone.
    falls_back: bool,
    /// What it runs on, from `start` to `stop`.
    running: Option<Running>,
    /// What the gear before it left, until `start`.
    inherited: Option<Inherited>,
}

/// What a gear leaves to the one in its place: its connections, as its configuration made them.
struct Inherited {
    config: Config,
    bind: Option<ListenAddress>,
    running: Running,
}

/// Which way it runs.
enum Plan {
    Server { bind: ListenAddress, connections_max: NonZeroUsize, is_encrypted: bool },
    Client { target: Target, pool_size: u16 },
}

struct Running {
    endpoint: Endpoint<Iso8583>,
    dialled: Option<Dialled>,
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
        Ok(IoIso8583 {
            ctx: ctx.clone(),
            plan,
            reading: reading(&config, ctx)?,
            peer,
            falls_back: !config.strict_connection_routing,
            running: None,
            inherited: None,
            config,
        })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        let gear = self.ctx.name();
        if self.falls_back {
            tracing::warn!(gear, "strict_connection_routing is off: a reply may reach a stranger");
        }
        if self.reading.logs_frames {
            tracing::warn!(gear, "unsafe_raw_frame_log is on: the trace log holds card data");
        }
        if let Some(inherited) =
            self.inherited.take_if(|inherited| !self.config.goes_on_from(&inherited.config))
        {
            return self.supersede(inherited, emit).await;
        }
        if let Some(mut inherited) = self.inherited.take() {
            let outcome = self.go_on(&mut inherited, emit).await;
            match outcome {
                Ok(()) => self.running = Some(inherited.running),
                Err(_) => self.inherited = Some(inherited),
            }
            return outcome;
        }
        let dialect = self.dialect(Arc::new(ConnIds::new(&self.ctx)));
        let peers_max = match &self.plan {
            // The listener has the limit; peers may outlast their connection.
            Plan::Server { .. } => usize::MAX,
            Plan::Client { pool_size, .. } => usize::from(*pool_size),
        };
        let mut endpoint = Endpoint::open(&self.ctx, emit, dialect, self.plan.on_malformed(), peers_max)?;
        let mut dialled = None;
        match &self.plan {
            Plan::Server { bind, .. } => endpoint.listen(bind, self.accepting()).await?,
            Plan::Client { target, pool_size } => {
                let peers = Dialled::dial(&endpoint.pool, target, *pool_size, &self.peer);
                dialled = Some(peers.map_err(|why| bad_config(why.to_string()))?);
            }
        }
        self.warn_if_exposed();
        self.running = Some(Running { endpoint, dialled });
        Ok(())
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if msg.payload.is_empty() {
            return Err(Fault::invalid("the message has no payload; encode it first").reason("no_payload"));
        }
        let Some(Running { endpoint, dialled }) = &mut self.running else {
            return Err(no_connection("the gear is not started"));
        };
        let (conns, ids) = (&endpoint.conns, &endpoint.dialect.ids);
        // A message that brings a connection of ours goes back by it: it answers what came in there.
        let back = msg.metadata.get(keys::CONN_ID).filter(|id| dialled.is_none() || ids.is_own(id));
        if let Some(id) = back {
            let frame = self.reading.header.frame(msg, true)?;
            match conns.with(id, |conn| send(&conn.peer, frame.clone(), msg)) {
                Some(sent) => return sent,
                None if !self.falls_back => return Err(no_connection("the connection is gone")),
                None => {}
            }
        }
        let frame = self.reading.header.frame(msg, dialled.is_none())?;
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
        match (&self.plan, &mut self.running) {
            (Plan::Server { .. }, Some(running)) => Box::pin(running.endpoint.drain()),
            // A client goes on reading: replies to what is in hand elsewhere still arrive.
            (Plan::Server { .. } | Plan::Client { .. }, _) => Box::pin(async {}),
        }
    }

    fn hand_over(&mut self) -> Option<Legacy> {
        let inherited = match self.running.take() {
            Some(Running { endpoint, dialled }) => {
                let bind = self.plan.bind().cloned();
                let running = Running { endpoint: endpoint.let_go(), dialled };
                Inherited { config: self.config.clone(), bind, running }
            }
            None => self.inherited.take()?,
        };
        Some(Box::new(inherited))
    }

    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        match legacy.downcast::<Inherited>() {
            // Of a server, at least the listening socket goes on.
            Ok(inherited) if self.config.goes_on_from(&inherited.config) || self.succeeds(&inherited) => {
                self.inherited = Some(*inherited);
                None
            }
            Ok(inherited) => Some(inherited),
            Err(other) => Some(other),
        }
    }

    async fn stop(self) {
        if let Some(running) = self.running.or(self.inherited.map(|inherited| inherited.running)) {
            running.endpoint.stop().await;
        }
    }
}

impl IoIso8583 {
    fn dialect(&self, ids: Arc<ConnIds>) -> Iso8583 {
        Iso8583 { ctx: self.ctx.clone(), ids, reading: self.reading.clone() }
    }

    /// Whether both listen.
    fn succeeds(&self, inherited: &Inherited) -> bool {
        inherited.bind.is_some() && self.plan.bind().is_some()
    }

    /// Listens in place of the gear before, whose connections cannot go on.
    async fn supersede(&mut self, inherited: Inherited, emit: Emitter) -> Result<(), Fault> {
        let (Some(former), Some(bind)) = (&inherited.bind, self.plan.bind()) else { return Ok(()) };
        let dialect = self.dialect(Arc::new(ConnIds::new(&self.ctx)));
        let mut endpoint =
            Endpoint::open(&self.ctx, emit.clone(), dialect, self.plan.on_malformed(), usize::MAX)?;
        let superseded = endpoint.supersede(inherited.running.endpoint, former, bind, self.accepting()).await;
        if let Err((why, former)) = superseded {
            let running = Running { endpoint: former, ..inherited.running };
            self.inherited = Some(Inherited { running, ..inherited });
            return Err(why);
        }
        self.warn_if_exposed();
        self.running = Some(Running { endpoint, dialled: None });
        Ok(())
    }

    /// Goes on with the connections of the gear before.
    async fn go_on(&self, inherited: &mut Inherited, emit: Emitter) -> Result<(), Fault> {
        let endpoint = &mut inherited.running.endpoint;
        if let (Plan::Server { bind, .. }, Some(former)) = (&self.plan, &inherited.bind) {
            endpoint.listen_on(former, bind, self.accepting()).await?;
            inherited.bind = Some(bind.clone());
        }
        let dialect = self.dialect(endpoint.dialect.ids.clone());
        endpoint.go_on(&self.ctx, emit, Arc::new(dialect), self.plan.on_malformed())?;
        self.warn_if_exposed();
        Ok(())
    }

    fn accepting(&self) -> AcceptConfig {
        let accept = AcceptConfig::new(self.peer.clone());
        match &self.plan {
            Plan::Server { connections_max, .. } => {
                AcceptConfig { connections_max: *connections_max, ..accept }
            }
            Plan::Client { .. } => accept,
        }
    }

    fn warn_if_exposed(&self) {
        if let Plan::Server { is_encrypted, .. } = self.plan {
            warn_if_exposed(&self.ctx, is_encrypted);
        }
    }
}

impl Plan {
    fn bind(&self) -> Option<&ListenAddress> {
        match self {
            Plan::Server { bind, .. } => Some(bind),
            Plan::Client { .. } => None,
        }
    }

    fn on_malformed(&self) -> OnMalformed {
        match self {
            Plan::Server { .. } => OnMalformed::Disconnect,
            Plan::Client { .. } => OnMalformed::Skip,
        }
    }

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
