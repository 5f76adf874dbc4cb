//! The bus on NATS JetStream.
//!
//! [`NatsBus`] keeps what `flux_bus` promises, in the words of its conformance suite, on a real `nats-server` of 2.9 or later.
//! It speaks JetStream's requests itself and leaves to `async-nats` the connection, so that what a name may do on the server is
//! exactly what is said here:
//!
//! | for | it asks the server for |
//! |---|---|
//! | [`store`](flux_bus::Bus::store) | to publish on the subject, with `Nats-Msg-Id` |
//! | a consumer | `CONSUMER.INFO`, `CONSUMER.MSG.NEXT`, and to publish on `$JS.ACK.>` |
//! | a bucket | to publish on `$KV.<bucket>.>`, `STREAM.MSG.GET`, `STREAM.INFO`; a list makes a consumer that goes after it |
//! | a watch | to listen on `$KV.<bucket>.>`, `STREAM.MSG.GET`, `STREAM.INFO`, and what a list needs |
//! | `make_*` | `STREAM.CREATE`, `CONSUMER.DURABLE.CREATE`, `STREAM.INFO` |
//!
//! **Watches have no consumer.** What is heard on the bucket's subject is a hint only; what is told is read from the bucket,
//! behind the last revision that was told. So a watch cannot hang after the server was away, it misses nothing that nobody
//! heard, and nothing is left on the server when it goes. After every reconnection, and from time to time without any reason, it
//! makes sure: a bucket that was made anew is told from the beginning.
//!
//! **When the server is away** operations end with [`Error::Away`](flux_bus::Error::Away) or
//! [`Error::Deadline`](flux_bus::Error::Deadline) within their deadlines, and succeed again by themselves when it is back; what
//! has the same id is stored once. A server acknowledges what it stores before it is on disk, unless it is set to
//! `sync_interval: always`: who cannot store it again must not forget it for that.
//!
//! What was lent on a connection that was lost can still be acknowledged, and nobody says whether that was heard: it ends with
//! [`Error::Away`](flux_bus::Error::Away), for a server that was killed may have forgotten the loan. A fetch with nobody to ask
//! brings nothing for as long as it waits.
//!
//! **When the server comes back with an empty store**, streams, consumers and buckets are missing until somebody makes them;
//! [`StreamState::epoch`](flux_bus::StreamState) is another one then, and watches begin anew when the bucket is made.

mod api;
mod bucket;
mod bus;
mod bus_key;
mod consumer;
mod convert;
mod objects;
pub mod server;
mod settings;
mod watch;

pub use bus::NatsBus;
pub use bus_key::BusKey;
pub use settings::{Credentials, Settings, Tls};
