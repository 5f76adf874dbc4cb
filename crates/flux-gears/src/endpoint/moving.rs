//! To another process: what an endpoint leaves, and how the next one goes on with it.
//!
//! ```text
//! state        {"listens": "0.0.0.0:8583", "sessions": [{"conn": .., "peer": .., "unread": h'..'}, ..]}
//! descriptors  [the listening socket, if any, then one for each session]
//! ```
//! `conn` is the `conn.id`, `peer` the name of the peer in the pool, `unread` what was read and is no whole frame yet.

use std::{collections::BTreeMap, os::fd::OwnedFd, time::Duration};

use flux_gear::{Bytes, Drain, Fault, InPort, Parcel, Value};
use flux_pool::{AcceptConfig, PeerHandle};
use flux_signal::Map;
use flux_world::Stream;

use super::{Conn, Dialect, Endpoint, ListenAddress};

/// How often it is looked whether a connection has all its answers.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// Time for what is queued to be written to connections that move.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Time for connections that came to be up.
const UP_WITHIN: Duration = Duration::from_secs(5);

/// Where messages to send come in, the only input of an I/O gear.
const IN: InPort = InPort(0);

/// What came from another process.
#[derive(Default)]
pub(super) struct Sockets {
    listener: Option<(String, OwnedFd)>,
    sessions: Vec<Session>,
    /// The names of those peers whose connections these are from now on.
    peers: Vec<String>,
}

/// A connection on its way.
struct Session {
    conn: String,
    peer: String,
    unread: Bytes,
    socket: OwnedFd,
}

impl<D: Dialect> Endpoint<D> {
    /// See [`flux_gear::Gear::pause`].
    pub(crate) fn pause(&mut self, within: Duration) -> Drain {
        // Whoever takes over obeys.
        self.ended.cancel();
        self.is_paused = true;
        let (pool, conns, dialect) = (self.pool.clone(), self.conns.clone(), self.dialect.clone());
        let (clock, answers) = (self.ctx.world().clock, self.dialled.is_none());
        let settled = async move {
            dialect.settled().await;
            while conns.among(|up| up.iter().any(|conn| !may_move(conn) && is_owed(&conn.peer, answers))) {
                clock.sleep(LOOKS_EVERY).await;
            }
        };
        Box::pin(async move {
            // What is not settled in time ends with this process.
            let settled = clock.timeout(within, settled);
            if answers {
                pool.pause().await;
                let _ = settled.await;
            } else {
                let _ = settled.await;
                pool.pause().await;
            }
        })
    }

    /// See [`flux_gear::Gear::resume`].
    pub(crate) fn resume(&mut self) {
        if std::mem::take(&mut self.is_paused) {
            self.pool.resume();
            self.dialect.reopen();
            self.ended = Default::default();
            self.obey();
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Lets go of what came from another process, which has it still: no connection ends by that.
    pub(super) async fn give_up(self) {
        drop(self.door.lock().await.take().await);
        drop(self.pool.detach(WRITE_TIMEOUT, |_| true).await);
    }

    /// Ends, but for the connections that can go on without it. Called after a [pause](Endpoint::pause).
    pub(crate) async fn move_out(mut self) -> Parcel {
        self.redialling = None;
        let listener = self.door.lock().await.take().await;
        let conns = self.conns.among(|up| up.to_vec());
        let undone = self.dialect.take_waiting().into_iter().filter_map(|held| {
            // What a durable wire keeps waits there.
            (!held.msg().is_patient()).then(|| (IN, held.release()))
        });
        let undone = undone.collect();
        let is_movable = |peer: &PeerHandle| {
            conns
                .iter()
                .any(|conn| conn.peer.id() == peer.id() && may_move(conn) && self.dialect.may_move(conn))
        };
        let (detached, report) = self.pool.detach(WRITE_TIMEOUT, is_movable).await;
        let left_behind = conns.len().saturating_sub(detached.len());
        self.report_left(&report);
        tracing::info!(gear = self.ctx.name(), connections = detached.len(), left_behind, "connections move");
        let mut descriptors = Vec::new();
        let mut state = Map::new();
        if let Some((address, socket)) = listener {
            state.insert("listens", (&*address.to_string()).into());
            descriptors.push(socket);
        }
        let mut sessions = Vec::new();
        for (peer, detached) in detached {
            let Some(conn) = conns.iter().find(|conn| conn.peer.id() == peer.id()) else { continue };
            let mut session = Map::new();
            session.insert("conn", (&*conn.id).into());
            session.insert("peer", peer.id().as_str().into());
            session.insert("unread", Value::Bytes(detached.unread));
            sessions.push(Value::Map(session));
            descriptors.push(detached.socket);
        }
        state.insert("sessions", Value::List(sessions));
        Parcel { state: Value::Map(state), descriptors, undone, ..Parcel::default() }
    }

    /// What is in a parcel.
    ///
    /// # Errors
    /// When that is none of an endpoint.
    pub(super) fn unpack(&self, parcel: Parcel) -> Result<Sockets, Fault> {
        unpack(parcel)
            .ok_or_else(|| Fault::fatal("what another process left is not understood").reason("move_in"))
    }

    /// Listens by the socket that came, if it is that of this address, and takes in the connections that came with it.
    pub(super) async fn listen_by(
        &mut self,
        sockets: &mut Sockets,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), Fault> {
        match sockets.listener.take().filter(|(listened, _)| *listened == address.to_string()) {
            Some((_, socket)) => {
                let addr = self.door.lock().await.adopt(&self.pool, socket, address, config)?;
                self.note_listening(Some(addr));
            }
            None => self.listen(address, config).await?,
        }
        let door = self.door.clone();
        let door = door.lock().await;
        for (_, stream) in self.streams(sockets) {
            let peer = door.admit(stream);
            sockets.peers.extend(peer.map(|peer| peer.id().as_str().to_owned()));
        }
        Ok(())
    }

    /// Has the connections that came be the first of those that are dialled.
    pub(super) fn resume_dialled(&mut self, sockets: &mut Sockets) {
        self.resumed = self.streams(sockets).collect::<BTreeMap<_, _>>();
        sockets.peers.extend(self.resumed.keys().cloned());
    }

    /// Has the connections that came be those for whom a message asked before.
    pub(super) fn resume_later(&mut self, sockets: &mut Sockets) {
        for (peer, stream) in self.streams(sockets) {
            self.dialect.resume(&peer, stream, &self.pool);
            sockets.peers.push(peer);
        }
    }

    /// Ends when every connection that came is up.
    pub(super) async fn all_up(&self, sockets: Sockets) {
        let all = async {
            for peer in sockets.peers.iter().filter_map(|name| self.pool.peer(name)) {
                // Nothing but its task has to get its turn.
                while peer.wait_up().await && self.conns.of_peer(peer.id()).is_none() {
                    tokio::task::yield_now().await;
                }
            }
        };
        let _ = self.ctx.world().clock.timeout(UP_WITHIN, all).await;
        self.intake.known.lock().clear();
    }

    /// The connections that came, by the names of their peers. Each is known again when it is up.
    fn streams(&self, sockets: &mut Sockets) -> impl Iterator<Item = (String, Stream)> + use<D> {
        let (intake, gear) = (self.intake.clone(), self.ctx.name().to_owned());
        std::mem::take(&mut sockets.sessions).into_iter().filter_map(move |session| {
            match Stream::resume(session.socket, session.unread) {
                Ok(stream) => {
                    intake.known.lock().insert((stream.local, stream.peer), session.conn);
                    Some((session.peer, stream))
                }
                Err(why) => {
                    // Its other end was not there any more.
                    tracing::info!(gear, conn = session.conn, error = %why, "a connection ended meanwhile");
                    None
                }
            }
        })
    }
}

impl Sockets {
    /// Connections among them.
    pub(super) fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// Ends the connections.
    pub(super) fn hang_up(&mut self) {
        self.sessions.clear();
    }
}

/// Whether all there is to a connection is its socket.
fn may_move(conn: &Conn) -> bool {
    conn.peer.link().is_some_and(|link| link.tls.is_none())
}

/// Whether there are frames without an answer: of the peer's, where we answer, else of ours. Without knowing the protocol, an
/// answer for each is all that can be said.
fn is_owed(peer: &PeerHandle, answers: bool) -> bool {
    let counts = peer.stats().counts;
    match answers {
        true => counts.frames_in > counts.frames_out,
        false => counts.frames_out > counts.frames_in,
    }
}

fn unpack(parcel: Parcel) -> Option<Sockets> {
    let mut descriptors = parcel.descriptors.into_iter();
    let listener = match parcel.state.get("listens") {
        Some(address) => Some((address.as_text()?.to_owned(), descriptors.next()?)),
        None => None,
    };
    let Some(Value::List(sessions)) = parcel.state.get("sessions") else { return None };
    let session = |session: &Value| {
        let text = |key| Some(session.get(key)?.as_text()?.to_owned());
        let Some(Value::Bytes(unread)) = session.get("unread") else { return None };
        let (conn, peer) = (text("conn")?, text("peer")?);
        Some(Session { conn, peer, unread: unread.clone(), socket: descriptors.next()? })
    };
    let sessions = sessions.iter().map(session).collect::<Option<_>>()?;
    Some(Sockets { listener, sessions, peers: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::io::pipe;

    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            "[a-z:0-9]{0,6}".prop_map(|text| text.as_str().into()),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let key = prop::sample::select(vec!["listens", "sessions", "conn", "peer", "unread"]);
            let map = prop::collection::vec((key, inner.clone()), 0..4).prop_map(|entries| {
                let mut map = Map::new();
                entries.into_iter().for_each(|(key, value)| drop(map.insert(key, value)));
                Value::Map(map)
            });
            prop_oneof![prop::collection::vec(inner, 0..4).prop_map(Value::List), map]
        })
    }

    proptest! {
        #[test]
        fn any_state_is_understood_or_not(state in value(), descriptors in 0..3_usize) {
            let descriptors = (0..descriptors).map(|_| pipe().unwrap().0.into()).collect();
            let _ = unpack(Parcel { state, descriptors, ..Parcel::default() });
        }
    }
}
