//! The configuration of `io_iso8583`.

use std::num::{NonZeroU8, NonZeroU16};

use flux_gear::Duration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::endpoint::{
    Tls, WhenQueueFull,
    options::{Mode, max_connections, max_queued_messages, one, seconds, yes},
};

/// An ISO 8583 endpoint: it listens for terminals (`server`) or connects to a network (`client`).
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
    /// Client: connections to open. They are used in turn, and a reply may come back by any.
    #[serde(default = "one")]
    pub pool_size: NonZeroU16,
    /// What message types and bitmaps are written in, for `heuristic_validation`.
    #[serde(default)]
    pub encoding: Encoding,
    /// Bytes of the length in front of each frame: 2 or 4. A frame of length 0 is a sign of life and nothing else.
    #[serde(default)]
    pub frame_length_size: LengthSize,
    /// Which byte of the length comes first.
    #[serde(default)]
    pub frame_length_endian: Endian,
    /// Whether the length counts its own bytes too.
    #[serde(default)]
    pub frame_includes_header: bool,
    /// Whether a frame must look like a message: a message type, bitmaps, and a byte for each field they announce. A
    /// server closes the connection of a frame that does not, a client skips the frame.
    #[serde(default = "yes")]
    pub heuristic_validation: bool,
    /// Silence of the peer after which the connection is closed; `0` never closes it. What we send does not count.
    #[serde(default = "seconds::<15>")]
    pub idle_timeout: Duration,
    /// Time to complete a frame that has begun; `0` for as long as it takes.
    #[serde(default = "seconds::<5>")]
    pub read_timeout: Duration,
    /// Time for a peer to take what is written to it; then the connection is closed.
    #[serde(default = "seconds::<2>")]
    pub write_timeout: Duration,
    /// Server: how long to go on writing replies to a client that ended its own sending. One that got as many messages
    /// as it sent is owed nothing, and its connection closes at once.
    #[serde(default = "seconds::<1>")]
    pub half_close_timeout: Duration,
    /// Silence after which the operating system probes the peer; `0` turns the probes off.
    #[serde(default = "seconds::<30>")]
    pub tcp_keepalive: Duration,
    /// Server: connections at the same time; one more is refused. `0` is no limit.
    #[serde(default = "max_connections")]
    #[schemars(range(max = 1_000_000))]
    pub max_connections: u32,
    /// Messages queued for one connection.
    #[serde(default = "max_queued_messages")]
    pub max_queued_messages: NonZeroU16,
    /// What happens when they are reached.
    #[serde(default = "when_queue_full")]
    pub when_queue_full: WhenQueueFull,
    /// Bytes of a protocol header in front of each message, taken off and put on. Not beside `tpdu_enabled`.
    #[serde(default)]
    pub protocol_header_size: u8,
    /// Whether the protocol header of a request is put back on its reply; without it, it is made of zeros.
    #[serde(default)]
    pub preserve_headers: bool,
    /// Whether frames begin with a TPDU.
    #[serde(default)]
    pub tpdu_enabled: bool,
    /// Bytes of the TPDU.
    #[serde(default = "tpdu_length")]
    pub tpdu_length: NonZeroU8,
    /// Whether replies carry the TPDU of the request with source and destination exchanged. Only with 5 bytes.
    #[serde(default = "yes")]
    pub tpdu_swap: bool,
    /// The TPDU of messages that bring none, in hexadecimal; without it, 60 and zeros.
    #[serde(default)]
    pub tpdu: Option<String>,
    /// The network's header.
    #[serde(default)]
    pub variant: Variant,
    /// `visa`: our station, six hexadecimal digits.
    #[serde(default)]
    pub visa_src_id: Option<String>,
    /// `visa`: the other station, six hexadecimal digits.
    #[serde(default)]
    pub visa_dst_id: Option<String>,
    /// Whether a network management request (0800) is answered here (0810, field 39 `00`, the other fields as they
    /// came) rather than emitted. Needs `spec_path` or `spec`.
    #[serde(default)]
    pub answer_network_management: bool,
    /// The spec that network management is read by: a file, relative to the scenario.
    #[serde(default)]
    #[schemars(extend("x-flux-file" = true))]
    pub spec_path: Option<String>,
    /// The same: a built-in layout, `iso87ascii` or `iso87binary`.
    #[serde(default)]
    pub spec: Option<String>,
    /// Whether a message for a connection that is gone fails. With `false` it goes by any other connection of this
    /// gear, to whoever is there.
    #[serde(default = "yes")]
    pub strict_connection_routing: bool,
    /// Client: longest wait before the second attempt to connect; it doubles with each one that fails. The wait
    /// itself is random, from 0 to that, so that many clients do not come back in step.
    #[serde(default = "seconds::<5>")]
    pub reconnect_wait: Duration,
    /// Client: longest wait between attempts.
    #[serde(default = "seconds::<60>")]
    pub reconnect_wait_max: Duration,
    /// Encryption; without it connections are plain.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Whether whole frames are logged, at level `trace`, card data included. For a test bench.
    #[serde(default)]
    pub unsafe_raw_frame_log: bool,
}

impl Config {
    /// Whether connections that a gear with the configuration `former` opened can go on with this one.
    ///
    /// Those of a server can when frames have the same shape: what else is said of connections holds for those to come.
    /// A client opens others as soon as anything about them changes. What is said of messages holds at once for all.
    pub(super) fn goes_on_from(&self, former: &Config) -> bool {
        let frames = |of: &Config| (of.frame_length_size, of.frame_length_endian, of.frame_includes_header);
        let connections = |of: &Config| Config {
            encoding: Encoding::default(),
            heuristic_validation: true,
            protocol_header_size: 0,
            preserve_headers: false,
            tpdu_enabled: false,
            tpdu_length: tpdu_length(),
            tpdu_swap: true,
            tpdu: None,
            variant: Variant::default(),
            visa_src_id: None,
            visa_dst_id: None,
            answer_network_management: false,
            spec_path: None,
            spec: None,
            strict_connection_routing: true,
            unsafe_raw_frame_log: false,
            ..of.clone()
        };
        match (former.mode, self.mode) {
            (Mode::Server, Mode::Server) => frames(former) == frames(self),
            // A certificate may have changed in its file, which only a new connection would show.
            (Mode::Client, Mode::Client) => self.tls.is_none() && connections(former) == connections(self),
            _ => false,
        }
    }
}

/// What message types and bitmaps are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// ASCII; bitmaps in hexadecimal or binary.
    #[default]
    Ascii,
    /// EBCDIC; bitmaps in hexadecimal or binary.
    Ebcdic,
    /// Binary coded decimal; bitmaps in binary.
    Bcd,
}

/// Which byte of a length comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// The most significant one.
    #[default]
    Big,
    /// The least significant one.
    Little,
}

/// The header a network puts in front of its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// None, or `protocol_header_size` bytes that are passed along.
    #[default]
    Generic,
    /// The header of 22 bytes, 26 when a message is rejected.
    Visa,
    /// None.
    Mastercard,
}

/// Bytes of the length: 2 or 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LengthSize {
    /// Frames up to 65,535 bytes.
    #[default]
    Two,
    /// Frames up to the message limit of the rack.
    Four,
}

impl<'de> Deserialize<'de> for LengthSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LengthSize, D::Error> {
        match u64::deserialize(deserializer)? {
            2 => Ok(LengthSize::Two),
            4 => Ok(LengthSize::Four),
            other => Err(de::Error::custom(format!("`frame_length_size` is 2 or 4, not {other}"))),
        }
    }
}

impl JsonSchema for LengthSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LengthSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": [2, 4] })
    }
}

impl Serialize for LengthSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self {
            LengthSize::Two => 2,
            LengthSize::Four => 4,
        })
    }
}

fn bind() -> String {
    ":8583".into()
}

fn when_queue_full() -> WhenQueueFull {
    WhenQueueFull::Disconnect
}

fn tpdu_length() -> NonZeroU8 {
    NonZeroU8::new(5).expect("5 is not 0")
}
