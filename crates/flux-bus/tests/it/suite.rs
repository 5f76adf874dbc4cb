//! The embedded bus keeps what the seam promises, on a real disk and in a simulated world.

use std::path::PathBuf;
use std::sync::Arc;

use flux_bus::conformance::{self, Site};
use flux_bus::{Bus, EmbeddedBus, Error, Settings};
use flux_journal::{Key, Keys};
use flux_world::sim::Sim;
use flux_world::{Clock, World};

struct Embedded {
    world: World,
    directory: PathBuf,
    keys: Keys,
    bus: Option<Arc<EmbeddedBus>>,
}

impl Embedded {
    async fn open(world: World, directory: PathBuf, keys: Keys) -> Self {
        let mut site = Self { world, directory, keys, bus: None };
        site.begin().await;
        site
    }

    async fn begin(&mut self) {
        let bus =
            EmbeddedBus::open(&self.world, &self.directory, Settings::default(), self.keys.clone()).await;
        self.bus = Some(Arc::new(bus.unwrap()));
    }
}

impl Site for Embedded {
    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone().unwrap()
    }

    fn clock(&self) -> Clock {
        self.world.clock
    }

    async fn restart(&mut self) {
        let bus = self.bus.take().unwrap();
        bus.close().await.unwrap();
        drop(bus);
        self.begin().await;
    }
}

#[tokio::test]
async fn on_a_real_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut site = Embedded::open(World::real(), directory.path().join("bus"), Keys::none()).await;
    conformance::check(&mut site).await;
}

#[test]
fn in_a_simulated_world_sealed() {
    Sim::run(1, async |sim| {
        let keys = Keys::new(vec![Key { id: 7, secret: [7; 32] }]);
        let mut site = Embedded::open(sim.world(), "/var/lib/flux/bus".into(), keys).await;
        conformance::check(&mut site).await;
    });
}

#[tokio::test]
async fn a_directory_has_one_bus() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::real();
    let open = || EmbeddedBus::open(&world, directory.path(), Settings::default(), Keys::none());
    let first = open().await.unwrap();
    assert!(matches!(open().await, Err(Error::Failed(_))));
    first.close().await.unwrap();
    assert!(matches!(first.bucket("b".parse().unwrap()).await, Err(Error::Closed)));
    drop(first);
    open().await.unwrap();
}
