//! Peers that stay connected: dialled and accepted, watched, reconnected, counted.
//!
//! A [`PeerPool`] owns peers by name. Each has a worker, a bounded queue of outgoing frames and a bounded way in; its
//! session is the same whoever opened it. No peer ever waits for another one, nor for somebody who does not listen.
//!
//! ```no_run
//! use std::sync::Arc;
//! use flux_pool::framing::{LengthPrefixed, Width};
//! use flux_pool::{Batch, Consumer, Delivery, PeerConfig, PeerHandle, PeerPool};
//!
//! /// Sends back what comes in.
//! struct Echo;
//!
//! impl Consumer for Echo {
//!     fn deliver<'a>(&'a self, peer: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
//!         Delivery::Wait(Box::pin(async move {
//!             for frame in batch.frames.drain(..) {
//!                 if peer.send(frame).await.is_err() {
//!                     return; // gone, or deaf for too long: what is left in the batch is counted as dropped
//!                 }
//!             }
//!         }))
//!     }
//! }
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = PeerPool::builder(flux_world::World::real()).consumer(Arc::new(Echo));
//! let config = PeerConfig::new(LengthPrefixed::big_endian(Width::Two, 65_535));
//! pool.listen("127.0.0.1:9000", config.clone()).await?;
//! let issuer = pool.dial("issuer", "issuer.example:8583".parse()?, config)?;
//! issuer.try_send("0800".into())?;
//! let report = pool.close(std::time::Duration::from_secs(5)).await;
//! # Ok(()) }
//! ```
//!
//! # What holds
//!
//! | promise | tested in `tests/it/` |
//! |---|---|
//! | adding a peer registers it, returns at once, and dials; a name is taken once, an address is not a name | `dialing` |
//! | each failed attempt is told with its own error; one we broke off did not fail | `dialing` |
//! | a peer whose attempts run out retires itself; removing it meanwhile is safe | `dialing` |
//! | stopping is prompt in any state: dialling, pausing, open, handing over | `dialing`, `closing` |
//! | full jitter at the cap too; flapping keeps backing off; only a stable session resets it; a kick ends the pause | `dialing` |
//! | so many dials at a time and per second; a thousand peers which lost one server spread over the cap | `dialing`, `gate` |
//! | a name is resolved at each attempt | `dialing` |
//! | frames of one read are one batch with sender, time and number; order holds per peer | `session` |
//! | only what comes in proves a peer alive; silence of our own making does not count; a probe is jittered and must be answered | `session` |
//! | `Connected` and `Disconnected` alternate, with a classified reason | `session`, `closing` |
//! | a frame too large, begun and not completed, or malformed ends the session after the frames before it | `session`, `framing` |
//! | a panic of the consumer ends one session | `session` |
//! | senders are told at once or wait with a deadline; every policy of a full queue and of an absent peer; nothing is sent twice | `sending` |
//! | no sender hangs when its peer goes; a confirmation is for what was written whole | `sending` |
//! | bytes are bounded per peer and per pool, both ways | `sending`, `backpressure` |
//! | a slow consumer of one peer delays no other, one among a thousand neither; the inbox serves in turn | `backpressure` |
//! | unread events delay nothing and are counted; trouble is told once per episode | `backpressure`, `sending`, `listening` |
//! | a listener survives failures to accept (5 ms doubling to 1 s), keeps its limit, and can be handed over | `listening` |
//! | closing flushes, says goodbye, breaks off at its deadline whatever hangs, and accounts for every frame | `closing`, `replay` |
//! | the newest of a name wins and sessions do not overlap; a name is free when removal returns | `closing` |
//! | nothing is left of two thousand sessions | `dialing` |
//! | any split of a stream gives the same frames | `framing`, `fuzz_framing` |
//! | TLS on both sides, mutual, by this world's clock; real sockets behave as the simulated ones | `tls`, `real` |
//! | a transport with frames, pings and a goodbye of its own fits the seam | `message_transport` |
//! | a seed replays the pool | `replay` |
//!
//! Not here, because they concern WebSocket only: request headers, text and binary messages, close codes, normalising
//! of URLs. A caller that wants one outbound connection object without a pool uses [`session::run`] in a [`Worker`] of
//! its own. There is no "unknown" state to print, no nil socket and no nil retry policy: the types have no room for them.

pub mod blocks;
mod budget;
mod byte_link;
mod config;
mod control;
mod doorman;
mod event;
pub mod framing;
mod gate;
mod id;
mod inbox;
mod outbound;
mod peer;
mod pool;
mod reason;
mod room;
pub mod session;
mod state;
mod stats;
pub mod tls;
pub mod transport;
mod worker;
mod write_batch;

pub use blocks::dialer::{DialFactory, Dialer, NetDialer, Resumed};
pub use config::{
    AcceptConfig, ConfigError, InboundConfig, OutboundConfig, PeerConfig, PoolConfig, Probe, WhenDown,
    WhenFull,
};
pub use control::{Control, Stop};
pub use event::{Event, EventKind, EventSender, Events, Queue};
pub use gate::{DialGate, Turn};
pub use id::PeerId;
pub use inbox::{Batch, BoxFuture, Consumer, Delivery, Inbox, InboxSender, Message};
pub use outbound::{Follower, InFlight, Outbound, SendError, TrySendError, Work};
pub use peer::{Detached, PeerHandle};
pub use pool::{AddError, CloseReport, ListenError, Listening, NotFound, PeerPool, PoolBuilder};
pub use reason::{CloseReason, DialError};
pub use state::{LinkInfo, PeerState, Role, TlsInfo};
pub use stats::{Counts, Latency, PeerStats, PoolStats};
pub use worker::{PoolPlugin, Worker, WorkerFactory};
pub use write_batch::WriteBatch;
