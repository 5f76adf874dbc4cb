//! The only door to the world: time, chance, the network and the disk, each real or simulated.
//!
//! A [`World`] is handed in from the top and cloned freely. Nothing below it asks the operating system for the time,
//! for randomness, for a socket or for a file. With the feature `sim`, `sim::Sim` makes a world out of a seed: the
//! same seed replays the same world, event by event.
//!
//! ```
//! # async fn f() -> std::io::Result<()> {
//! let world = flux_world::World::real();
//! let listener = world.net.listen("127.0.0.1:0", &flux_world::ListenOptions::default()).await?;
//! # Ok(()) }
//! ```

pub mod backoff;
mod clock;
pub mod disk;
mod entropy;
pub mod net;
mod planted;
pub mod resources;
#[cfg(feature = "sim")]
pub mod sim;

pub use backoff::{Backoff, BackoffPolicy};
pub use clock::{Clock, Elapsed, Instant};
pub use disk::{Disk, DiskFile, read_bounded};
pub use entropy::Entropy;
pub use net::{ConnectOptions, ListenOptions, Listener, Net, ReadHalf, Stream, Target, WriteHalf};
#[cfg(feature = "planted")]
pub use planted::plant;
pub use planted::planted;

/// Everything a part of the house may ask of what lies outside it.
#[derive(Clone, Debug)]
pub struct World {
    /// What time it is, and waiting.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    /// Sockets.
    pub net: Net,
    /// Files.
    pub disk: Disk,
}

impl World {
    /// The world of the operating system.
    pub fn real() -> Self {
        Self { clock: Clock::real(), entropy: Entropy::from_os(), net: Net::real(), disk: Disk::real() }
    }
}
