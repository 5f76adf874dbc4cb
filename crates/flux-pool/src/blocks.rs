//! The building blocks of a worker. Replace one, or write a worker from scratch with the others.
//!
//! | block | its one job |
//! |---|---|
//! | [`dialer`] | opens a link to a target; the worker that does so again and again |
//! | [`acceptor`] | makes peers of the connections of a listener |
//! | [`reader`] | frames from the link to the inbox |
//! | [`writer`] | frames from the queue to the link |
//! | [`halt`] | the order to stop reading |
//! | [`heartbeat`] | remembers when the peer was last heard |
//! | [`keepalive`] | tells when it has been silent for too long |
//! | [`stop_monitor`] | waits for whatever ends a session first |

pub mod acceptor;
pub mod dialer;
pub mod halt;
pub mod heartbeat;
pub mod keepalive;
pub mod reader;
pub mod stop_monitor;
pub mod writer;
