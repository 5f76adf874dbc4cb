//! Where those who asked can be reached now: the latest connection of each.

use flux_gear::{Control, FluxMsg, Key, Metadata, keys};
use rustc_hash::FxHashMap;

use crate::{
    correlation::{Correlation, Normalize},
    return_address,
};

/// Senders that are remembered, about: when there are more, those not heard of for longest are forgotten first.
const SENDERS_MAX: usize = 100_000;

/// The connections that senders were last heard of by.
pub(crate) struct Addresses {
    identity: Correlation,
    /// Those heard of lately, and those before; whoever is heard of again moves.
    recent: FxHashMap<Box<[u8]>, Metadata>,
    before: FxHashMap<Box<[u8]>, Metadata>,
    /// A field so that its buffer is reused.
    sender: Vec<u8>,
}

impl Addresses {
    /// By the values that tell whom a request is from; `None` without any.
    pub(crate) fn new(identity: Vec<Key>) -> Option<Addresses> {
        (!identity.is_empty()).then(|| Addresses {
            identity: Correlation::new(identity, Normalize::Trim),
            recent: FxHashMap::default(),
            before: FxHashMap::default(),
            sender: Vec::new(),
        })
    }

    /// Notes by which connection a request came.
    pub(crate) fn note(&mut self, request: &FluxMsg) {
        if request.metadata.get(keys::CONN_ID).is_none()
            || self.identity.write(request, &mut self.sender).is_err()
        {
            return;
        }
        let address = return_address::of(&request.metadata);
        if let Some(known) = self.recent.get_mut(&self.sender[..]) {
            *known = address;
            return;
        }
        if self.recent.len() >= SENDERS_MAX / 2 {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(self.sender.as_slice().into(), address);
    }

    /// Gives a request whose connection is gone the address of the one that its sender has now, if it is up.
    pub(crate) fn redirect(&mut self, request: &mut FluxMsg, control: &Control) {
        if is_up(&request.metadata, control) || self.identity.write(request, &mut self.sender).is_err() {
            return;
        }
        let known = self.recent.get(&self.sender[..]).or_else(|| self.before.get(&self.sender[..]));
        if let Some(address) = known
            && is_up(address, control)
        {
            return_address::copy(address, &mut request.metadata);
        }
    }
}

fn is_up(address: &Metadata, control: &Control) -> bool {
    let (gear, conn) = (address.get(keys::SOURCE), address.get(keys::CONN_ID));
    gear.zip(conn).is_some_and(|(gear, conn)| control.link(gear).has(conn))
}
