//! The configuration of `io_tcp`.

use std::num::NonZeroU16;

use flux_gear::{ByteSize, Duration};
use flux_world::planted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoint::{
    Tls, WhenQueueFull,
    options::{Mode, max_connections, max_queued_messages, one, seconds, yes},
};

/// A TCP endpoint: it listens (`server`) or connects (`client`), and turns bytes into messages and back.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which side opens the connections.
    pub mode: Mode,
    /// Server: where to listen, `host:port` or `:port` for every address.
    #[serde(default = "bind")]
    #[schemars(extend("x-flux-claim" = { "kind": "listen", "when": { "mode": "server" } }))]
    pub bind: String,
    /// Client: where to connect to, `host:port`. Names are looked up at each attempt.
    #[serde(default)]
    pub connect: Option<String>,
    /// Client: time for resolving, connecting and the TLS handshake of one attempt.
    #[serde(default = "seconds::<5>")]
    pub connect_timeout: Duration,
    /// How bytes become messages, and messages bytes.
    #[serde(default)]
    pub framing: Framing,
    /// `delimiter`: the delimiter, with the escapes `\n \r \t \0 \\ \xHH`. Empty means lines, ended by LF or CR LF.
    #[serde(default)]
    pub delimiter: String,
    /// `delimiter`: whether it follows a message or precedes it.
    #[serde(default)]
    pub delimiter_position: Position,
    /// `delimiter`: whether received messages keep it.
    #[serde(default)]
    pub delimiter_include: bool,
    /// `delimiter`: whether it is added to messages sent. What is in a message is not escaped.
    #[serde(default)]
    pub delimiter_append: bool,
    /// The largest frame, either way. A peer that sends a larger one is disconnected.
    #[serde(default = "frame_bytes_max")]
    pub frame_bytes_max: ByteSize,
    /// Silence of the peer after which the connection is closed; `0` never closes it. What we send does not count, nor does
    /// the silence of a client that waits for `acknowledge`.
    #[serde(default = "seconds::<60>")]
    pub idle_timeout: Duration,
    /// Time for a peer to take what is written to it; then the connection is closed.
    #[serde(default = "seconds::<10>")]
    pub write_timeout: Duration,
    /// Server: how long to go on writing replies to a client that ended its own sending. One that got as many messages
    /// as it sent is owed nothing, and its connection closes at once.
    #[serde(default = "seconds::<1>")]
    pub half_close_timeout: Duration,
    /// Silence after which the operating system probes the peer; `0` turns the probes off.
    #[serde(default = "seconds::<30>")]
    pub tcp_keepalive: Duration,
    /// Server: messages without `conn.id` that wait while no client is connected. `per_source`: messages of one
    /// source that wait for its connection. A message that finds no room fails with `buffer_full`. At most
    /// `max_queued_messages`. By default that or 1000, whichever is less.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub max_buffered_messages: Option<u32>,
    /// Messages queued for one connection.
    #[serde(default = "max_queued_messages")]
    pub max_queued_messages: NonZeroU16,
    /// What happens when they are reached.
    #[serde(default = "when_queue_full")]
    pub when_queue_full: WhenQueueFull,
    /// Connections at the same time; one more is refused. `0` is no limit.
    #[serde(default = "max_connections")]
    #[schemars(range(max = 1_000_000))]
    pub max_connections: u32,
    /// Client: whether what the server sends becomes messages. Otherwise it is read and discarded.
    #[serde(default = "yes")]
    #[schemars(extend("x-flux-silences" = { "port": "out", "value": false, "when": { "mode": "client" } }))]
    pub read_responses: bool,
    /// Client: whose messages share a connection.
    #[serde(default)]
    pub connections: Sharing,
    /// Client with `shared` connections: how many. They are used in turn.
    #[serde(default = "one")]
    pub pool_size: NonZeroU16,
    /// Client: longest wait before the second attempt to connect; it doubles with each one that fails. The wait
    /// itself is random, from 0 to that, so that many clients do not come back in step.
    #[serde(default = "seconds::<5>")]
    pub reconnect_wait: Duration,
    /// Client: longest wait between attempts.
    #[serde(default = "seconds::<60>")]
    pub reconnect_wait_max: Duration,
    /// Server: text sent back for each message, in their order, once the message is safe: on disk in a durable wire,
    /// accepted by a sink, or a dead letter. It has the escapes of `delimiter` and is framed as messages are. A connection
    /// of which a message was given up is closed. Empty: nothing is sent.
    #[serde(default)]
    pub acknowledge: String,
    /// Client with one `shared` connection: a message is kept until the server sends a frame for it, whatever is in the
    /// frame, and is sent again by the next connection when this one ends before. At most `max_queued_messages` are
    /// kept; one more waits, for `rack.process_timeout` at most. What the server sends becomes no message.
    #[serde(default)]
    #[schemars(extend("x-flux-silences" = { "port": "out", "value": true, "when": { "mode": "client" } }))]
    pub await_acknowledgement: bool,
    /// Encryption; without it connections are plain.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// Messages that wait for a connection, if nothing is said.
const BUFFERED_MESSAGES: u16 = 1000;

impl Config {
    /// Messages that wait for a connection: no default contradicts what is written beside it.
    pub(super) fn buffered_messages_max(&self) -> u32 {
        let queued = self.max_queued_messages.get();
        self.max_buffered_messages.unwrap_or(queued.min(BUFFERED_MESSAGES).into())
    }

    /// Whether connections that a gear with the configuration `former` opened can go on with this one.
    ///
    /// Those of a server can when bytes become frames, and are acknowledged, in the same way: what else is said of connections holds for those
    /// to come. A client opens others as soon as anything changes; one connection per source ends with its gear.
    pub(super) fn goes_on_from(&self, former: &Config) -> bool {
        match (former.mode, self.mode) {
            (Mode::Server, Mode::Server) => {
                former.frames() == self.frames() && former.acknowledge == self.acknowledge
            }
            // A certificate may have changed in its file, which only a new connection would show.
            (Mode::Client, Mode::Client) => {
                self.connections == Sharing::Shared && self.tls.is_none() && former == self
            }
            _ => false,
        }
    }

    /// Whether a client with this configuration sends what one with the configuration `former` sent and was not
    /// acknowledged: whatever fitted into a frame of that one fits into one of this.
    pub(super) fn follows(&self, former: &Config) -> bool {
        let awaits = |of: &Config| of.mode == Mode::Client && of.await_acknowledgement;
        awaits(former) && awaits(self) && former.frames() == self.frames() && !planted("in_hand_left_behind")
    }

    /// How bytes become frames.
    fn frames(&self) -> impl PartialEq + use<'_> {
        let flags = (self.delimiter_position, self.delimiter_include, self.delimiter_append);
        (self.framing, &self.delimiter, flags, self.frame_bytes_max)
    }
}

/// How bytes become messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A delimiter between them.
    #[default]
    Delimiter,
    /// A length of two bytes, big endian, before each; it does not count itself.
    LengthPrefix2,
    /// A length of four bytes, big endian, before each; it does not count itself.
    LengthPrefix4,
    /// None: whatever one read returns is a message.
    Raw,
}

/// Where the delimiter stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// After each message.
    #[default]
    Suffix,
    /// Before each message.
    Prefix,
}

/// Whose messages share a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Everybody's: `pool_size` connections, each with a `conn.id` of its own.
    #[default]
    Shared,
    /// Each incoming `conn.id` gets a connection of its own, which lives as long as that one does; what comes back
    /// carries that `conn.id`. A proxy.
    PerSource,
}

fn bind() -> String {
    ":8080".into()
}

fn frame_bytes_max() -> ByteSize {
    ByteSize(1 << 20)
}

fn when_queue_full() -> WhenQueueFull {
    WhenQueueFull::Wait
}
