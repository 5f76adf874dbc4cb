//! The connections of an I/O gear through its life: opened, left to the gear in its place, moved to another process.
//!
//! ```text
//!            start                 hand_over            take_over (the next gear)       start
//!   empty ──────────> endpoint ──────────────> legacy ──────────────────────────> left ──────> the same endpoint
//!                        └─ move_out ─> parcel ─ move_in (another process) ──> arrived ──────> the same sockets
//! ```

use std::time::Duration;

use flux_gear::{Drain, Emitter, Fault, GearContext, Legacy, Parcel};
use flux_pool::{AcceptConfig, PeerConfig};
use flux_world::Target;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Dialect, Endpoint, ListenAddress, OnMalformed};

/// What an I/O gear says of its connections.
pub(crate) trait Line: Sync {
    /// Its configuration.
    type Config: Clone + PartialEq + DeserializeOwned + Send + 'static;
    /// What it makes of its frames.
    type Dialect: Dialect;

    /// The gear's context.
    fn ctx(&self) -> &GearContext;

    /// Its configuration.
    fn config(&self) -> &Self::Config;

    /// How its connections come about.
    fn way(&self) -> Way<'_>;

    /// What is done about a frame that is no message.
    fn on_malformed(&self) -> OnMalformed;

    /// What it makes of its frames. Connections of a former gear go on with what that one knows of them.
    fn dialect(&self, emit: &Emitter, former: Option<&Self::Dialect>) -> Self::Dialect;

    /// Whether the connections of a gear with another configuration can go on with this one.
    fn goes_on_from(&self, former: &Self::Config) -> bool;

    /// Whether connections of its own can take their place and bring to its end what those have in hand, where they cannot.
    fn follows(&self, former: &Self::Config) -> bool {
        let _ = former;
        false
    }
}

/// How connections come about.
pub(crate) enum Way<'a> {
    /// Others connect.
    Listen { bind: &'a ListenAddress, accept: Box<AcceptConfig>, is_encrypted: bool },
    /// The gear connects, so many times.
    Dial { target: &'a Target, connections: u16, peer: &'a PeerConfig },
    /// The gear connects when a message asks for it.
    DialLater { connections_max: usize },
}

/// What a gear has to do with connections.
pub(crate) enum Berth<L: Line> {
    /// Nothing yet.
    Empty,
    /// It has those of a gear that was before it, until it starts.
    Left(Former<L>),
    /// The same, of a gear in another process.
    Arrived(Parcel),
    /// It runs on them.
    Open(Endpoint<L::Dialect>),
}

/// What a gear leaves: its connections, as its configuration made them.
pub(crate) struct Former<L: Line> {
    config: L::Config,
    listens: bool,
    endpoint: Endpoint<L::Dialect>,
}

impl Way<'_> {
    fn peers_max(&self) -> usize {
        match self {
            // The listener has the limit; peers may outlast their connection.
            Way::Listen { .. } => usize::MAX,
            Way::Dial { connections, .. } => usize::from(*connections),
            Way::DialLater { connections_max } => *connections_max,
        }
    }

    fn listens(&self) -> bool {
        matches!(self, Way::Listen { .. })
    }
}

impl<L: Line + 'static> Berth<L> {
    /// The endpoint, from `start` on.
    pub(crate) fn endpoint(&mut self) -> Option<&mut Endpoint<L::Dialect>> {
        match self {
            Berth::Open(endpoint) => Some(endpoint),
            Berth::Empty | Berth::Left(_) | Berth::Arrived(_) => None,
        }
    }

    /// Opens the connections, or goes on with those that are there.
    pub(crate) async fn start(&mut self, line: &L, emit: Emitter) -> Result<(), Fault> {
        let endpoint = match std::mem::replace(self, Berth::Empty) {
            Berth::Left(former) => {
                let gone_on = match former.passes_on(line) {
                    true => former.go_on(line, emit).await,
                    false => former.supersede(line, emit).await,
                };
                gone_on.map_err(|(why, former)| {
                    *self = Berth::Left(former);
                    why
                })?
            }
            Berth::Arrived(parcel) => arrive(line, emit, parcel).await?,
            Berth::Empty | Berth::Open(_) => open(line, emit).await?,
        };
        endpoint.warn_if_exposed(line);
        *self = Berth::Open(endpoint);
        Ok(())
    }

    /// See [`flux_gear::Gear::hand_over`].
    pub(crate) fn hand_over(&mut self, line: &L) -> Option<Legacy> {
        Some(match std::mem::replace(self, Berth::Empty) {
            Berth::Open(endpoint) => {
                let (config, listens) = (line.config().clone(), line.way().listens());
                Box::new(Former::<L> { config, listens, endpoint: endpoint.let_go() })
            }
            Berth::Left(former) => Box::new(former),
            other => {
                *self = other;
                return None;
            }
        })
    }

    /// See [`flux_gear::Gear::take_over`].
    pub(crate) fn take_over(&mut self, line: &L, legacy: Legacy) -> Option<Legacy> {
        let former = match legacy.downcast::<Former<L>>() {
            Ok(former) => former,
            Err(other) => return Some(other),
        };
        // Of a server, at least the listening socket goes on.
        let is_of_use = former.passes_on(line) || (former.listens && line.way().listens());
        if !is_of_use {
            return Some(former);
        }
        *self = Berth::Left(*former);
        None
    }

    /// See [`flux_gear::Gear::pause`].
    pub(crate) fn pause(&mut self, within: Duration) -> Drain {
        match self.endpoint() {
            Some(endpoint) => endpoint.pause(within),
            None => Box::pin(async {}),
        }
    }

    /// See [`flux_gear::Gear::resume`].
    pub(crate) fn resume(&mut self) {
        self.endpoint().into_iter().for_each(Endpoint::resume);
    }

    /// See [`flux_gear::Gear::move_out`].
    pub(crate) async fn move_out(self) -> Parcel {
        match self {
            Berth::Open(endpoint) | Berth::Left(Former { endpoint, .. }) => endpoint.move_out().await,
            Berth::Arrived(parcel) => parcel,
            Berth::Empty => Parcel::default(),
        }
    }

    /// See [`flux_gear::Gear::stop`].
    pub(crate) async fn stop(self) {
        match self {
            // It was never told to go on: what came from another process is still that one's.
            Berth::Open(endpoint) if endpoint.is_paused() => endpoint.give_up().await,
            Berth::Open(endpoint) | Berth::Left(Former { endpoint, .. }) => endpoint.stop().await,
            Berth::Empty | Berth::Arrived(_) => {}
        }
    }
}

/// Opens connections anew.
async fn open<L: Line>(line: &L, emit: Emitter) -> Result<Endpoint<L::Dialect>, Fault> {
    let mut endpoint = vacant(line, emit, false)?;
    match line.way() {
        Way::Listen { bind, accept, .. } => endpoint.listen(bind, *accept).await?,
        Way::Dial { target, connections, peer } => endpoint.dial(target, connections, peer)?,
        Way::DialLater { .. } => {}
    }
    Ok(endpoint)
}

/// Goes on with the connections that came from another process, as far as they fit; opens the others anew. Reads nothing
/// before it is told to.
async fn arrive<L: Line>(line: &L, emit: Emitter, parcel: Parcel) -> Result<Endpoint<L::Dialect>, Fault> {
    let goes_on = |former: L::Config| former == *line.config() || line.goes_on_from(&former);
    let can_go_on = L::Config::deserialize(&parcel.config).is_ok_and(goes_on);
    let mut endpoint = vacant(line, emit, true)?;
    let mut sockets = endpoint.unpack(parcel)?;
    if !can_go_on && sockets.connected() > 0 {
        tracing::warn!(
            gear = line.ctx().name(),
            connections = sockets.connected(),
            "connections end: the configuration is another"
        );
        sockets.hang_up();
    }
    match line.way() {
        Way::Listen { bind, accept, .. } => endpoint.listen_by(&mut sockets, bind, *accept).await?,
        Way::Dial { target, connections, peer } => {
            endpoint.resume_dialled(&mut sockets);
            endpoint.dial(target, connections, peer)?;
        }
        Way::DialLater { .. } => endpoint.resume_later(&mut sockets),
    }
    endpoint.all_up(sockets).await;
    Ok(endpoint)
}

fn vacant<L: Line>(line: &L, emit: Emitter, is_paused: bool) -> Result<Endpoint<L::Dialect>, Fault> {
    let dialect = line.dialect(&emit, None);
    Endpoint::open(line.ctx(), emit, dialect, line.on_malformed(), (line.way().peers_max(), is_paused))
}

type OrBack<L> = Result<Endpoint<<L as Line>::Dialect>, (Fault, Former<L>)>;

impl<L: Line> Former<L> {
    /// Whether its connections can go on, and are those that its configuration says.
    fn goes_on(&self, line: &L) -> bool {
        line.goes_on_from(&self.config) && !self.endpoint.dialect.is_parting()
    }

    /// Whether they can, or others bring to its end what they have in hand.
    fn passes_on(&self, line: &L) -> bool {
        self.goes_on(line) || line.follows(&self.config)
    }

    /// Its connections belong to another gear from now on, until others take their place if they cannot go on.
    async fn go_on(mut self, line: &L, emit: Emitter) -> OrBack<L> {
        let goes_on = self.goes_on(line);
        if let Way::Listen { bind, accept, .. } = line.way()
            && let Err(why) = self.endpoint.listen_on(bind, *accept).await
        {
            return Err((why, self));
        }
        let dialect = line.dialect(&emit, Some(&self.endpoint.dialect));
        if let Err(why) = self.endpoint.go_on(line.ctx(), emit, dialect.into(), line.on_malformed()) {
            return Err((why, self));
        }
        if let (false, Way::Dial { target, connections, peer }) = (goes_on, line.way()) {
            self.endpoint.redial(target, connections, peer);
        }
        Ok(self.endpoint)
    }

    /// Others listen in its place; its connections cannot go on.
    async fn supersede(self, line: &L, emit: Emitter) -> OrBack<L> {
        let Way::Listen { bind, accept, .. } = line.way() else {
            return open(line, emit).await.map_err(|why| (why, self));
        };
        let mut endpoint = match vacant(line, emit, false) {
            Ok(endpoint) => endpoint,
            Err(why) => return Err((why, self)),
        };
        let Former { config, listens, endpoint: former } = self;
        match endpoint.supersede(former, bind, *accept).await {
            Ok(()) => Ok(endpoint),
            Err((why, former)) => Err((why, Former { config, listens, endpoint: former })),
        }
    }
}
