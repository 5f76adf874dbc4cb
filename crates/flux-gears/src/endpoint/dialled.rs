//! The connections a gear opens to one remote: any of them will do.

use std::{collections::BTreeMap, sync::Arc};

use flux_gear::{Bytes, Fault, FluxMsg, Step};
use flux_pool::{AddError, PeerConfig, PeerHandle, PeerPool, PeerState, Resumed, TrySendError};
use flux_world::{Stream, Target};

use super::{
    Conn, Conns,
    send::{not_now, send, send_when_there_is_room, try_send},
    wait,
};

/// Peers dialled for the life of the gear, used in turn.
pub(crate) struct Dialled {
    peers: Vec<PeerHandle>,
    target: Target,
    next: usize,
}

impl Dialled {
    /// Dials `target` so many times, and again after each loss. A connection that is open already is the first of its name.
    pub(crate) fn dial(
        pool: &PeerPool,
        target: &Target,
        connections: u16,
        config: &PeerConfig,
        resumed: &mut BTreeMap<String, Stream>,
    ) -> Result<Dialled, AddError> {
        let dial = |n| {
            let (name, target, config) = (format!("{target}#{n}"), target.clone(), config.clone());
            match resumed.remove(&name) {
                Some(stream) => pool.dial_with(name, target, config, Arc::new(Resumed::new(stream))),
                None => pool.dial(name, target, config),
            }
        };
        let peers = (1..=connections).map(dial).collect::<Result<_, _>>()?;
        Ok(Dialled { peers, target: target.clone(), next: 0 })
    }

    /// Sends a frame by the next connection that is up and has room; by the next one that will have, where none has.
    ///
    /// While none is up, an attempt under way is waited for, but for what a durable wire keeps: that waits elsewhere.
    /// Between attempts the message fails at once.
    pub(crate) fn send(&mut self, conns: &Conns, frame: Bytes, msg: &FluxMsg) -> Result<Step, Fault> {
        let first = self.next;
        self.next = self.next.wrapping_add(1);
        let by_next = |up: &[Arc<Conn>]| {
            if let [only] = up {
                return Some(send(&only.peer, frame.clone(), msg));
            }
            let in_turn = |n: usize| &up[(first % up.len() + n) % up.len()].peer;
            for peer in (0..up.len()).map(in_turn) {
                match try_send(peer, frame.clone(), msg) {
                    Ok(()) => return Some(Ok(Step::Done)),
                    Err(
                        TrySendError::Full(_)
                        | TrySendError::Overflowed
                        | TrySendError::Disconnected(_)
                        | TrySendError::Closed(_),
                    ) => {}
                    Err(TrySendError::TooLarge(_) | TrySendError::Dropped) => break,
                }
            }
            (!up.is_empty()).then(|| send(in_turn(0), frame.clone(), msg))
        };
        conns.among(by_next).unwrap_or_else(|| self.send_when_up(frame, msg))
    }

    #[cold]
    fn send_when_up(&self, frame: Bytes, msg: &FluxMsg) -> Result<Step, Fault> {
        let absent = format!("{} is not connected", self.target);
        let under_way = self.peers.iter().find(|peer| is_under_way(&peer.state()));
        let Some(peer) = under_way.filter(|_| !msg.is_patient()).cloned() else {
            return Err(not_now(msg, &absent));
        };
        let msg = msg.clone();
        Ok(wait(async move {
            // Ends with the attempt, which has a deadline.
            let settled =
                peer.watch().wait_for(|state| !is_under_way(state)).await.is_ok_and(|state| state.is_up());
            if settled {
                send_when_there_is_room(&peer, frame, &msg).await
            } else {
                Err(not_now(&msg, &absent))
            }
        }))
    }
}

fn is_under_way(state: &PeerState) -> bool {
    matches!(state, PeerState::Idle | PeerState::Dialing { .. })
}
