//! `io_tcp`: messages over TCP and TLS, listening or connecting.

mod acknowledge;
mod config;
mod dialect;
mod framing;
#[cfg(test)]
mod tests;
mod upstreams;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use flux_gear::{
    Bytes, Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, Held, InPort, Legacy,
    Outbox, Parcel, Step, Terminus, keys,
};
use flux_pool::{AcceptConfig, PeerConfig};
use flux_world::Target;
use parking_lot::Mutex;

pub use crate::endpoint::{ClientAuth, Tls, WhenQueueFull, options::Mode};
pub use config::{Config, Framing, Position, Sharing};

use crate::endpoint::{
    Berth, ConnIds, Dialect, Endpoint, Line, ListenAddress, OnMalformed, PeerSettings, WaitingRoom, Way,
    connections_max, no_connection, not_now,
    options::{bad_config, target},
    send, send_back, wait,
};
use acknowledge::{Acknowledging, Unacknowledged};
use dialect::Tcp;
use framing::{WriteOnly, unescape};
use upstreams::Upstreams;

/// Sends messages over TCP, and emits what comes back.
pub struct IoTcp {
    line: TcpLine,
    payload_bytes_max: usize,
    berth: Berth<TcpLine>,
}

/// What its configuration says of its connections.
struct TcpLine {
    ctx: GearContext,
    config: Config,
    plan: Plan,
    peer: PeerConfig,
    connections_max: NonZeroUsize,
    max_buffered_messages: usize,
    /// What is said of a message that is safe; nothing when it is empty.
    acknowledgement: Bytes,
}

/// Which way it runs.
enum Plan {
    Server { bind: ListenAddress, is_encrypted: bool },
    Shared { target: Target, pool_size: u16, reads_responses: bool },
    Acknowledged { target: Target },
    PerSource { target: Target, reads_responses: bool },
}

impl Gear for IoTcp {
    const KIND: &'static str = "io_tcp";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(Category::Io, "sends and receives messages over TCP or TLS")
            .terminus(Terminus::Io)
            .input("in", "messages to send")
            .source("out", "messages received, with `conn.id`, `peer.ip` and `peer.port`")
    }

    fn init(config: Config, ctx: &GearContext) -> Result<IoTcp, Fault> {
        let frame_bytes_max = usize::try_from(config.frame_bytes_max.0).unwrap_or(usize::MAX);
        if frame_bytes_max == 0 {
            return Err(bad_config("`frame_bytes_max` is 0".into()));
        }
        if config.buffered_messages_max() > u32::from(config.max_queued_messages.get()) {
            let problem = "`max_buffered_messages` is above `max_queued_messages`: what waited for a connection is queued";
            return Err(bad_config(problem.into()));
        }
        let frame_bytes_max = frame_bytes_max.min(ctx.limits().message_bytes_max);
        let (framing, payload_bytes_max) = framing::framing(&config, frame_bytes_max)?;
        let plan = Plan::new(&config)?;
        let (framing, transport) = match &plan {
            Plan::Server { .. } => (framing, Tls::server(config.tls.as_ref(), ctx)?),
            Plan::Acknowledged { .. } => (framing, Tls::client(config.tls.as_ref(), ctx)?),
            Plan::Shared { reads_responses, .. } | Plan::PerSource { reads_responses, .. } => {
                let framing = if *reads_responses { framing } else { Arc::new(WriteOnly(framing)) as _ };
                (framing, Tls::client(config.tls.as_ref(), ctx)?)
            }
        };
        let acknowledgement =
            unescape(&config.acknowledge).map_err(|why| bad_config(format!("`acknowledge`: {why}")))?;
        let peer = PeerConfig { framing, transport, ..peer_config(&config, &plan, frame_bytes_max) };
        peer.check().map_err(|why| bad_config(why.to_string()))?;
        let line = TcpLine {
            ctx: ctx.clone(),
            plan,
            peer,
            connections_max: connections_max(config.max_connections),
            max_buffered_messages: config.buffered_messages_max() as usize,
            acknowledgement,
            config,
        };
        Ok(IoTcp { line, payload_bytes_max, berth: Berth::Empty })
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        self.berth.start(&self.line, emit).await
    }

    fn process(&mut self, _: InPort, msg: &FluxMsg, _: &mut Outbox) -> Result<Step, Fault> {
        if msg.payload.len() > self.payload_bytes_max {
            let (bytes, max) = (msg.payload.len(), self.payload_bytes_max);
            let problem = format!("the message of {bytes} bytes is over the frame limit of {max}");
            return Err(Fault::invalid(problem).reason("frame_too_large"));
        }
        match self.berth.endpoint() {
            Some(endpoint) => endpoint.send(msg),
            None => Err(no_connection("the gear is not started")),
        }
    }

    fn drain(&mut self) -> Drain {
        let Some(endpoint) = self.berth.endpoint() else { return Box::pin(async {}) };
        let dialect = endpoint.dialect.clone();
        match &*dialect {
            Tcp::Server { .. } => {
                let (drained, ctx, emit) = (endpoint.drain(), self.line.ctx.clone(), endpoint.emit.clone());
                Box::pin(async move {
                    drained.await;
                    // Nobody can connect any more to take what waits.
                    if let Tcp::Server { room, .. } = &*dialect {
                        let left = room.lock().close().into_iter();
                        let (patient, left): (Vec<_>, _) = left.partition(|held| held.msg().is_patient());
                        patient.into_iter().for_each(Held::give_back);
                        send_back(&ctx, &emit, left, "nobody connected in time").await;
                    }
                })
            }
            // A client goes on reading: replies to what is in hand elsewhere still arrive.
            Tcp::Shared { .. } => Box::pin(async {}),
            Tcp::Acknowledged { .. } | Tcp::PerSource { .. } => dialect.settled(),
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

impl Line for TcpLine {
    type Config = Config;
    type Dialect = Tcp;

    fn ctx(&self) -> &GearContext {
        &self.ctx
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn way(&self) -> Way<'_> {
        match &self.plan {
            Plan::Server { bind, is_encrypted } => {
                Way::Listen { bind, accept: Box::new(self.accepting()), is_encrypted: *is_encrypted }
            }
            Plan::Shared { target, pool_size, .. } => {
                Way::Dial { target, connections: *pool_size, peer: &self.peer }
            }
            Plan::Acknowledged { target } => Way::Dial { target, connections: 1, peer: &self.peer },
            Plan::PerSource { .. } => Way::DialLater { connections_max: self.connections_max.get() },
        }
    }

    fn on_malformed(&self) -> OnMalformed {
        OnMalformed::Disconnect
    }

    fn dialect(&self, emit: &Emitter, former: Option<&Tcp>) -> Tcp {
        match (former, self.new_dialect(emit)) {
            (Some(Tcp::Server { ids, room, acknowledging, .. }), Tcp::Server { ctx, .. }) => {
                room.lock().resize(self.max_buffered_messages);
                let (ids, room, acknowledging) = (ids.clone(), room.clone(), acknowledging.clone());
                Tcp::Server { ctx, ids, room, acknowledging }
            }
            (Some(Tcp::Acknowledged { ids, unacknowledged }), Tcp::Acknowledged { .. }) => {
                unacknowledged.resize(self.config.max_queued_messages.get().into());
                Tcp::Acknowledged { ids: ids.clone(), unacknowledged: unacknowledged.clone() }
            }
            (Some(Tcp::Shared { ids, .. }), Tcp::Shared { ctx, reads_responses, .. }) => {
                Tcp::Shared { ctx, ids: ids.clone(), reads_responses }
            }
            (_, dialect) => dialect,
        }
    }

    fn goes_on_from(&self, former: &Config) -> bool {
        self.config.goes_on_from(former)
    }

    fn follows(&self, former: &Config) -> bool {
        self.config.follows(former)
    }
}

impl TcpLine {
    fn accepting(&self) -> AcceptConfig {
        AcceptConfig { connections_max: self.connections_max, ..AcceptConfig::new(self.peer.clone()) }
    }

    fn new_dialect(&self, emit: &Emitter) -> Tcp {
        let (ctx, ids) = (self.ctx.clone(), Arc::new(ConnIds::new(&self.ctx)));
        match &self.plan {
            Plan::Server { .. } => {
                let room = Arc::new(Mutex::new(WaitingRoom::new(self.max_buffered_messages)));
                let is_acknowledging = !self.acknowledgement.is_empty();
                let acknowledging =
                    is_acknowledging.then(|| Arc::new(Acknowledging::new(self.acknowledgement.clone())));
                Tcp::Server { ctx, ids, room, acknowledging }
            }
            Plan::Acknowledged { .. } => {
                let unacknowledged = Unacknowledged::new(self.config.max_queued_messages.get().into());
                Tcp::Acknowledged { ids, unacknowledged: Arc::new(unacknowledged) }
            }
            Plan::Shared { reads_responses, .. } => {
                Tcp::Shared { ctx, ids, reads_responses: *reads_responses }
            }
            Plan::PerSource { target, reads_responses } => {
                let (target, config, max) = (target.clone(), self.peer.clone(), self.max_buffered_messages);
                let upstreams = Upstreams::new(&ctx, emit.clone(), target, config, max);
                Tcp::PerSource { ctx, upstreams, reads_responses: *reads_responses }
            }
        }
    }
}

impl Endpoint<Tcp> {
    fn send(&mut self, msg: &FluxMsg) -> Result<Step, Fault> {
        let conn_id = msg.metadata.get(keys::CONN_ID);
        let conns = &self.conns;
        match (&*self.dialect, conn_id, &mut self.dialled) {
            (Tcp::Server { .. }, Some(id), _) => conns
                .with(id, |conn| send(&conn.peer, msg.payload.clone(), msg))
                .unwrap_or_else(|| Err(no_connection("the connection is gone"))),
            (Tcp::Server { room, .. }, None, _) => self.send_to_the_only_one(room, msg),
            (Tcp::Shared { ids, .. }, Some(id), _) if ids.is_own(id) => conns
                .with(id, |conn| send(&conn.peer, msg.payload.clone(), msg))
                .unwrap_or_else(|| Err(no_connection("the connection is gone"))),
            (Tcp::Shared { .. }, _, Some(dialled)) => dialled.send(conns, msg.payload.clone(), msg),
            (Tcp::Acknowledged { unacknowledged, .. }, ..) => {
                Ok(match unacknowledged.try_send(msg.clone()) {
                    Ok(()) => Step::Done,
                    Err(msg) if msg.is_patient() && !unacknowledged.is_connected() => {
                        return Err(not_now(&msg, "the server is not connected"));
                    }
                    Err(msg) => {
                        let unacknowledged = unacknowledged.clone();
                        wait(async move {
                            unacknowledged.send(msg).await;
                            Ok(())
                        })
                    }
                })
            }
            (Tcp::Shared { .. }, _, None) => Err(no_connection("nothing was dialled")),
            (Tcp::PerSource { upstreams, .. }, Some(id), _) => upstreams.send(id, msg, &self.pool),
            (Tcp::PerSource { .. }, None, _) => {
                Err(Fault::invalid("the message has no conn.id to open a connection for").reason("no_source"))
            }
        }
    }

    /// A message without `conn.id` is for the only client; while there is none, it waits for one.
    fn send_to_the_only_one(&self, room: &Mutex<WaitingRoom>, msg: &FluxMsg) -> Result<Step, Fault> {
        self.conns.among(|up| match up {
            [] => room.lock().keep(msg).map(|()| Step::Done),
            [only] => {
                // What could not be queued when it connected goes first.
                let mut room = room.lock();
                room.empty_into(&only.peer);
                if room.is_empty() {
                    send(&only.peer, msg.payload.clone(), msg)
                } else {
                    room.keep(msg).map(|()| Step::Done)
                }
            }
            several => {
                let problem =
                    format!("{} clients are connected and the message has no conn.id", several.len());
                Err(Fault::invalid(problem).reason("ambiguous"))
            }
        })
    }
}

impl Plan {
    fn new(config: &Config) -> Result<Plan, Fault> {
        let reads_responses = config.read_responses;
        match config.mode {
            Mode::Server => {
                let is_encrypted = config.tls.as_ref().is_some_and(|tls| tls.enabled);
                Ok(Plan::Server { bind: config.bind.parse()?, is_encrypted })
            }
            Mode::Client => {
                let target = target(config.connect.as_deref())?;
                let is_one = config.connections == Sharing::Shared && config.pool_size.get() == 1;
                if config.await_acknowledgement && !(is_one && config.read_responses) {
                    let problem = "`await_acknowledgement` needs one shared connection that is read";
                    return Err(bad_config(problem.into()));
                }
                Ok(match config.connections {
                    Sharing::Shared if config.await_acknowledgement => Plan::Acknowledged { target },
                    Sharing::Shared => {
                        Plan::Shared { target, pool_size: config.pool_size.get(), reads_responses }
                    }
                    Sharing::PerSource => Plan::PerSource { target, reads_responses },
                })
            }
        }
    }
}

fn peer_config(config: &Config, plan: &Plan, frame_bytes_max: usize) -> PeerConfig {
    let is_server = matches!(plan, Plan::Server { .. });
    let settings = PeerSettings {
        frame_bytes_max,
        queued_messages_max: config.max_queued_messages.into(),
        connect_timeout: config.connect_timeout.0,
        // A peer that is not listened to is silent for good.
        idle_timeout: if is_server || config.read_responses { config.idle_timeout.0 } else { Duration::ZERO },
        read_timeout: Duration::ZERO,
        tcp_keepalive: config.tcp_keepalive.0,
        half_close_timeout: if is_server { config.half_close_timeout.0 } else { Duration::ZERO },
        write_timeout: config.write_timeout.0,
        when_queue_full: config.when_queue_full,
        reconnect_wait: config.reconnect_wait.0,
        reconnect_wait_max: config.reconnect_wait_max.0,
    };
    let attempts_max = matches!(plan, Plan::PerSource { .. }).then_some(NonZeroU32::MIN);
    PeerConfig { attempts_max, ..settings.config() }
}
