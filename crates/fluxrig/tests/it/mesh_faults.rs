//! Two racks and a cluster of three servers, under load the whole time: what is killed, stopped, started again or cut off loses
//! nothing, and nothing comes twice for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use async_nats::ConnectOptions;
use tokio::runtime::Runtime;

use crate::{
    mesh::{Client, House},
    nats_cluster::{Cluster, Lines, NODES},
    nats_server::Version,
};

/// The stream of the wire of the scenario.
const STREAM: &str = "south_bookings";
/// Messages that are sent at a time.
const BURST: u32 = 100;

/// A client that sends all the time.
struct Load {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Client>,
}

impl Load {
    fn start(house: &mut House<Cluster>) -> Load {
        let (till, mut client) = (house.north.till(), std::mem::take(&mut house.client));
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                client.send(&till, BURST);
                thread::sleep(Duration::from_millis(10));
            }
            client
        });
        Load { is_over, thread }
    }

    fn stop(self, house: &mut House<Cluster>) {
        self.is_over.store(true, Ordering::Relaxed);
        house.client = self.thread.join().unwrap();
    }
}

/// The wire as somebody sees it who only looks at the cluster.
struct Watcher {
    runtime: Runtime,
    client: async_nats::Client,
}

impl Watcher {
    fn new(cluster: &Cluster) -> Watcher {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let servers: Vec<String> = cluster.url("nats").split(',').map(String::from).collect();
        let options = ConnectOptions::new().retry_on_initial_connect();
        let client = runtime.block_on(options.connect(servers)).unwrap();
        Watcher { runtime, client }
    }

    /// Which node leads the stream, once so many follow it.
    fn leader(&self, cluster: &Cluster, followers: usize) -> usize {
        self.runtime.block_on(cluster.leader(&self.client, STREAM, followers))
    }
}

fn pause(seconds: f64) {
    thread::sleep(Duration::from_secs_f64(seconds));
}

/// Racks on the first node of a cluster, with a wire that has arrived at all nodes.
fn started(cluster: Cluster) -> (House<Cluster>, Watcher) {
    let (url, watcher) = (cluster.nodes[0].settings().servers.remove(0), Watcher::new(&cluster));
    let mut house = House::on(cluster, &url, "replicas = 3\n");
    house.north.start();
    house.south.start();
    watcher.leader(&house.server, NODES - 1);
    (house, watcher)
}

#[test]
fn a_cluster_whose_nodes_are_killed_stopped_and_started_again_loses_and_repeats_nothing() {
    let Some(program) = Version::Newest.program() else { return };
    let (mut house, watcher) = started(Cluster::start(program, ""));
    let load = Load::start(&mut house);
    let leader = watcher.leader(&house.server, NODES - 1);
    let follower = (leader + 1) % NODES;
    house.server.nodes[follower].kill();
    pause(1.0);
    house.server.nodes[follower].begin();
    let leader = watcher.leader(&house.server, NODES - 1);
    house.server.nodes[leader].kill();
    // The others elect one of them.
    assert_ne!(watcher.leader(&house.server, 1), leader);
    pause(1.0);
    house.server.nodes[leader].begin();
    let leader = watcher.leader(&house.server, NODES - 1);
    house.server.nodes[leader].signal("STOP");
    pause(3.0);
    house.server.nodes[leader].signal("CONT");
    watcher.leader(&house.server, NODES - 1);
    load.stop(&mut house);
    house.finish();
    house.arrived_once();
}

/// What is sent to a node that is cut off is lost on the way, and no connection is closed.
#[test]
fn a_cluster_that_is_parted_loses_and_repeats_nothing() {
    let parted = || {
        let (Some(program), Some(lines)) = (Version::Newest.program(), Lines::enter()) else { return };
        let (mut house, watcher) = started(Cluster::start_on(lines, program, ""));
        let set = |house: &House<Cluster>, at, is_up| house.server.lines.as_ref().unwrap().set(at, is_up);
        let load = Load::start(&mut house);
        pause(1.0);
        // Both racks are connected to this one. They find out, and it arrives by way of the others.
        set(&house, 0, false);
        pause(1.0);
        load.stop(&mut house);
        house.finish();
        house.arrived_once();
        set(&house, 0, true);
        let leader = watcher.leader(&house.server, NODES - 1);
        let load = Load::start(&mut house);
        // Nobody is left who could decide: it waits in the outbox.
        let cut = [leader, (leader + 1) % NODES];
        for at in cut {
            set(&house, at, false);
        }
        pause(4.0);
        for at in cut {
            set(&house, at, true);
        }
        watcher.leader(&house.server, NODES - 1);
        load.stop(&mut house);
        house.finish();
        house.arrived_once();
    };
    // What it starts is in a network of its own, as it is.
    thread::Builder::new().spawn(parted).unwrap().join().unwrap();
}
