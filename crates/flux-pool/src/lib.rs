//! Peers that stay connected: dialled and accepted, watched, reconnected, counted.
//!
//! A [`PeerPool`] owns peers by name. Each has a worker, a bounded queue of outgoing frames and a bounded way in; its
//! session is the same whoever opened it. No peer ever waits for another one, nor for somebody who does not listen.

pub mod blocks;
mod budget;
mod byte_link;
mod config;
mod control;
mod event;
pub mod framing;
mod gate;
mod id;
mod inbox;
mod outbound;
mod peer;
mod pool;
mod reason;
pub mod session;
mod state;
mod stats;
pub mod tls;
pub mod transport;
mod worker;
mod write_batch;

pub use blocks::dialer::{DialFactory, Dialer, NetDialer};
pub use config::{
    AcceptConfig, ConfigError, InboundConfig, OutboundConfig, PeerConfig, PoolConfig, Probe, WhenDown,
    WhenFull,
};
pub use control::{Control, Stop};
pub use event::{Event, EventKind, EventSender, Events, Queue};
pub use gate::{DialGate, Turn};
pub use id::PeerId;
pub use inbox::{Batch, BoxFuture, Consumer, Delivery, Inbox, InboxSender, Message};
pub use outbound::{InFlight, Outbound, SendError, TrySendError, Work};
pub use peer::PeerHandle;
pub use pool::{AddError, CloseReport, ListenError, Listening, NotFound, PeerPool, PoolBuilder};
pub use reason::{CloseReason, DialError};
pub use state::{LinkInfo, PeerState, Role, TlsInfo};
pub use stats::{Counts, Latency, PeerStats, PoolStats};
pub use worker::{PoolPlugin, Worker, WorkerFactory};
pub use write_batch::WriteBatch;
