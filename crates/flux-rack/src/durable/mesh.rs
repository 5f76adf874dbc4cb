//! A durable wire whose other end is on another rack: an outbox that a sender empties, or an inbox that a receiver fills.

use std::{pin::Pin, sync::Arc, time::Duration};

use flux_gear::{Bytes, FluxId, FluxMsg};
use flux_journal::{ConsumerError, ReadError};
use flux_mesh::{EndError, Letters, Line, MeshWire, Receiver, Sender};
use flux_scenario::circuit::CircuitWire;
use flux_world::{Clock, World};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::STALLED_RETRY;
use crate::{
    custody::{Appender, JournalError, Site},
    dead_letters::{DeadLetter, DeadLetters},
};

/// How long a consumer that another task still has is waited for.
const IN_USE_RETRY: Duration = Duration::from_millis(20);

/// Which end of a mesh wire is here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MeshEnd {
    Out,
    In,
}

/// What carries a wire to another rack, or from one.
pub(crate) enum Carrier {
    Out(Sender),
    In(Receiver),
}

/// How a mesh wire stands, at the end that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "end")]
pub enum MeshStats {
    /// It sends.
    Out {
        /// The rack that receives.
        to: String,
        /// Whether the bus takes what is sent.
        is_connected: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
        /// Messages that were sent and that the other rack is not known to have.
        in_flight: u64,
        /// Messages that the other rack has on disk, since the rack was made.
        acknowledged: u64,
        /// How often something was sent again.
        sent_again: u64,
        /// How long the oldest message has been in the outbox, when it is not empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oldest_ms: Option<u64>,
        /// How long ago the other rack was heard; none when it never was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heard_ms: Option<u64>,
    },
    /// It receives.
    In {
        /// The rack that sends.
        from: String,
        /// Whether the bus gives what was sent.
        is_connected: bool,
        /// Why not, or why the inbox takes none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
        /// Messages that were received, since the rack was made.
        received: u64,
        /// Packs that brought nothing new.
        again: u64,
        /// How often something was missing and was asked for.
        gaps: u64,
        /// Packs and messages that became dead letters instead.
        refused: u64,
        /// Messages that the other rack did not have any more.
        gone: u64,
    },
}

impl MeshStats {
    /// Whether the bus works, and why not.
    pub fn link(&self) -> (bool, Option<&str>) {
        match self {
            MeshStats::Out { is_connected, trouble, .. } | MeshStats::In { is_connected, trouble, .. } => {
                (*is_connected, trouble.as_deref())
            }
        }
    }
}

impl MeshEnd {
    /// The end of a wire that is here.
    pub(crate) fn of(wire: &CircuitWire) -> MeshEnd {
        if wire.from.here().is_some() { MeshEnd::Out } else { MeshEnd::In }
    }
}

impl Carrier {
    pub(super) fn new(
        (route, line, end): (MeshWire, Line, MeshEnd),
        name: &str,
        site: &Site,
        dead_letters: &Arc<DeadLetters>,
    ) -> Carrier {
        let world = site.world.clone();
        match end {
            MeshEnd::Out => Carrier::Out(Sender::new(world, route, line)),
            MeshEnd::In => {
                let letters = Refused {
                    wire: name.to_owned(),
                    dead_letters: dead_letters.clone(),
                    world: world.clone(),
                };
                Carrier::In(Receiver::new(world, route, line, Arc::new(letters), &site.config))
            }
        }
    }

    /// Makes the journal what it is to be, before anything is appended.
    pub(super) async fn prepare(&self, appender: &Appender) -> Result<(), JournalError> {
        let Some((journal, _)) = appender.usable(0).await else { return Err(JournalError::Stopping) };
        match self {
            Carrier::Out(_) => {
                let clock = appender.site().world.clock;
                flux_mesh::make_outbox(&journal, clock).map_err(JournalError::Outbox)
            }
            Carrier::In(_) => Ok(()),
        }
    }

    /// Carries until the rack stops it. Why the journal cannot be read is told while it is so.
    pub(super) async fn run(
        self: Arc<Self>,
        name: String,
        appender: Arc<Appender>,
        unreadable: Arc<Mutex<Option<String>>>,
    ) {
        let clock = appender.site().world.clock;
        let mut generation = 0;
        while let Some((journal, opened)) = appender.usable(generation).await {
            let ended = match &*self {
                Carrier::Out(sender) => match sender.run(&journal).await {
                    Err(why) => Ended::of_end(why),
                },
                Carrier::In(receiver) => match receiver.run(&journal).await {
                    Err(why) => Ended::of_end(why),
                },
            };
            match ended {
                Ended::Failed(why) => {
                    appender.failed(opened, &*why);
                    generation = opened;
                }
                Ended::InUse(why) => {
                    tracing::debug!(wire = name, %why, "mesh wire waits for its journal");
                    clock.sleep(IN_USE_RETRY).await;
                }
                Ended::Unreadable(why) => {
                    let directory = appender.site().directory.display();
                    let told = format!("{why}; look into it with `fluxrig journal check {directory}`");
                    if unreadable.lock().replace(told.clone()).is_none() {
                        tracing::error!(wire = name, error = told, "mesh wire cannot read its journal");
                    }
                    clock.sleep(STALLED_RETRY).await;
                    unreadable.lock().take();
                }
            }
        }
    }

    /// Whether it leads to another rack.
    pub(super) fn is_out(&self) -> bool {
        matches!(self, Carrier::Out(_))
    }

    pub(super) fn stats(&self, clock: Clock, route: &MeshWire) -> MeshStats {
        match self {
            Carrier::Out(sender) => {
                let status = sender.status();
                let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                let age = |time_ns: i64| {
                    let ns = clock.unix_ns().saturating_sub(time_ns);
                    ms(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)))
                };
                MeshStats::Out {
                    to: route.to.to_string(),
                    is_connected: status.is_connected,
                    trouble: status.trouble,
                    in_flight: status.sent,
                    acknowledged: status.acknowledged,
                    sent_again: status.sent_again,
                    oldest_ms: status.oldest_unix_ns.map(age),
                    heard_ms: status.heard.map(|heard| ms(clock.now().saturating_duration_since(heard))),
                }
            }
            Carrier::In(receiver) => {
                let status = receiver.status();
                MeshStats::In {
                    from: route.from.to_string(),
                    is_connected: status.is_connected,
                    trouble: status.trouble,
                    received: status.received,
                    again: status.again,
                    gaps: status.gaps,
                    refused: status.refused,
                    gone: status.gone,
                }
            }
        }
    }
}

/// Why a carrier does not go on with an opening of the journal.
enum Ended {
    /// The journal has to be opened again.
    Failed(Box<dyn std::error::Error + Send>),
    /// Another task has not let go of it yet.
    InUse(ConsumerError),
    /// Somebody has to see to its files.
    Unreadable(String),
}

impl Ended {
    fn of_end(why: EndError) -> Ended {
        match why {
            EndError::Read(why) => Ended::of_reader(why),
            EndError::Consumer(why) => Ended::InUse(why),
            EndError::Journal(why) => Ended::Failed(Box::new(why)),
        }
    }

    fn of_reader(why: ReadError) -> Ended {
        match why {
            ReadError::Format(why) => Ended::Unreadable(why.to_string()),
            why => Ended::Failed(Box::new(why)),
        }
    }
}

/// What came by a mesh wire and is no message is a dead letter of the wire. It has no gear, so that nothing is made of it.
#[derive(Debug)]
struct Refused {
    wire: String,
    dead_letters: Arc<DeadLetters>,
    world: World,
}

impl Letters for Refused {
    fn keep(
        &self,
        bytes: Bytes,
        reason: &'static str,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let World { clock, entropy, .. } = &self.world;
        let id = FluxId::v7(clock.unix_ms(), entropy.next_u64().into());
        let msg = FluxMsg::new(id, clock.unix_ns(), bytes);
        let letter = DeadLetter::new(msg, &self.wire, "mesh", reason, message, 1, clock.unix_ns());
        Box::pin(async move {
            self.dead_letters.keep(letter).await;
            if let Some(disk) = self.dead_letters.disk() {
                disk.all_safe().await;
            }
        })
    }
}
