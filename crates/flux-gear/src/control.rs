//! What gears tell each other beside the wires: which links are up, and commands to a connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Events a subscriber may fall behind by before the oldest are dropped for it (and counted).
const EVENTS_MAX: usize = 1024;

/// The control plane inside one rack. Cheap to clone.
///
/// Whether a link is up is a level, not an event: it is read when needed and never missed. Events are for those who
/// act on one connection.
#[derive(Debug, Clone)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    links: Mutex<BTreeMap<String, Arc<Link>>>,
    events: broadcast::Sender<ControlEvent>,
}

/// Something that happened to one connection, or should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlEvent {
    /// A connection of `gear` came up.
    ConnUp {
        /// The I/O gear.
        gear: String,
        /// Its `conn.id`.
        conn: String,
    },
    /// A connection of `gear` went down.
    ConnDown {
        /// The I/O gear.
        gear: String,
        /// Its `conn.id`.
        conn: String,
        /// Why, as one stable word.
        reason: String,
    },
    /// Whoever owns connection `conn` is to close it.
    ConnClose {
        /// The `conn.id`.
        conn: String,
        /// Why, for the log.
        reason: String,
    },
}

/// The connections of one I/O gear, as a level.
#[derive(Debug, Default)]
pub struct Link {
    connections: AtomicUsize,
    ids: Mutex<BTreeSet<String>>,
    listening: Mutex<Option<SocketAddr>>,
    frames_refused: AtomicU64,
}

impl Link {
    /// Whether at least one connection is up.
    pub fn is_up(&self) -> bool {
        self.connections() > 0
    }

    /// How many are up.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Whether the connection with this `conn.id` is up.
    pub fn has(&self, conn: &str) -> bool {
        self.ids.lock().contains(conn)
    }

    /// Where the gear listens, with the port the operating system chose; `None` while it does not.
    pub fn listening(&self) -> Option<SocketAddr> {
        *self.listening.lock()
    }

    /// The gear listens at `addr` from now on, or nowhere any more.
    pub fn set_listening(&self, addr: Option<SocketAddr>) {
        *self.listening.lock() = addr;
    }

    /// Frames that came in and were not accepted as messages: malformed, too large, or too late.
    pub fn frames_refused(&self) -> u64 {
        self.frames_refused.load(Ordering::Relaxed)
    }

    /// Counts frames that were not accepted; returns how many there are now.
    pub fn refuse_frames(&self, frames: u64) -> u64 {
        self.frames_refused.fetch_add(frames, Ordering::Relaxed) + frames
    }
}

impl Default for Control {
    fn default() -> Control {
        Control(Arc::new(Shared { links: Mutex::default(), events: broadcast::channel(EVENTS_MAX).0 }))
    }
}

impl Control {
    /// The link of a gear. It exists, down, before the gear does.
    pub fn link(&self, gear: &str) -> Arc<Link> {
        self.0.links.lock().entry(gear.into()).or_default().clone()
    }

    /// Says that a connection came up.
    pub fn conn_up(&self, gear: &str, conn: &str) {
        let link = self.link(gear);
        if link.ids.lock().insert(conn.into()) {
            link.connections.fetch_add(1, Ordering::AcqRel);
        }
        self.tell(ControlEvent::ConnUp { gear: gear.into(), conn: conn.into() });
    }

    /// Says that a connection which was up went down.
    pub fn conn_down(&self, gear: &str, conn: &str, reason: &str) {
        let link = self.link(gear);
        // Once only, even for a gear that says it twice.
        if link.ids.lock().remove(conn) {
            link.connections.fetch_sub(1, Ordering::AcqRel);
        }
        self.tell(ControlEvent::ConnDown { gear: gear.into(), conn: conn.into(), reason: reason.into() });
    }

    /// Whether some gear other than `gear` has a connection up with this `conn.id`.
    pub fn is_up_elsewhere(&self, conn: &str, gear: &str) -> bool {
        self.0.links.lock().iter().any(|(name, link)| name != gear && link.has(conn))
    }

    /// Asks the owner of a connection to close it.
    pub fn close_conn(&self, conn: &str, reason: &str) {
        self.tell(ControlEvent::ConnClose { conn: conn.into(), reason: reason.into() });
    }

    /// What happens from now on. A subscriber who falls behind is told how many events it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<ControlEvent> {
        self.0.events.subscribe()
    }

    fn tell(&self, event: ControlEvent) {
        // An error means that nobody listens, which is allowed.
        let _ = self.0.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_up_while_any_connection_is() {
        let control = Control::default();
        let link = control.link("visa");
        assert!(!link.is_up());
        control.conn_up("visa", "1");
        control.conn_up("visa", "2");
        control.conn_down("visa", "1", "idle");
        assert!(link.is_up());
        control.conn_down("visa", "2", "idle");
        control.conn_down("visa", "2", "idle");
        assert!(!link.is_up());
        assert_eq!(link.connections(), 0);
    }

    #[test]
    fn a_connection_is_known_by_its_id() {
        let control = Control::default();
        control.conn_up("terminals", "t:1");
        control.conn_up("terminals", "t:1");
        assert_eq!(control.link("terminals").connections(), 1);
        assert!(control.link("terminals").has("t:1"));
        assert!(control.is_up_elsewhere("t:1", "proxy"));
        assert!(!control.is_up_elsewhere("t:1", "terminals"));
        control.conn_down("terminals", "t:1", "idle");
        assert!(!control.is_up_elsewhere("t:1", "proxy"));
    }
}
