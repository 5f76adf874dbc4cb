//! Three real `nats-server` processes that are one cluster: on the loopback, or each on a machine of its own whose line can be cut.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use async_nats::Client;
use flux_world::World;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value as Json;

use crate::nats_server::{PATIENCE, Server, free_port, missing};

/// Nodes of the cluster: one of them may fail.
pub(crate) const NODES: usize = 3;

/// A cluster whose streams have three copies.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
    pub(crate) lines: Option<Lines>,
}

/// Network namespaces, one a node and one for everybody else, with a bridge between them.
pub(crate) struct Lines {
    prefix: String,
}

impl Cluster {
    /// Three nodes on the loopback; `more` is added to what each is configured with.
    pub(crate) fn start(program: PathBuf, more: &str) -> Cluster {
        Cluster::start_at(program, more, None)
    }

    /// Three nodes, each at the end of a line.
    pub(crate) fn start_on(lines: Lines, program: PathBuf, more: &str) -> Cluster {
        Cluster::start_at(program, more, Some(lines))
    }

    fn start_at(program: PathBuf, more: &str, lines: Option<Lines>) -> Cluster {
        let place = |at| match &lines {
            Some(lines) => (Some(lines.namespace(at)), Lines::host(at)),
            None => (None, "127.0.0.1".to_owned()),
        };
        let routes: Vec<String> = (0..NODES).map(|at| format!("{}:{}", place(at).1, free_port())).collect();
        // By its name it is told from another one that is found on a port that was free just now.
        let name = routes[0].replace(['.', ':'], "-");
        let node = |at: usize| {
            let (namespace, host) = place(at);
            let others: Vec<String> =
                routes.iter().map(|route| format!("\"nats-route://{route}\"")).collect();
            let text = format!(
                "server_name: n{at}\ncluster {{ name: \"{name}\", listen: \"{}\", routes: [{}] }}\nping_interval: 2s\nping_max: 2\n{more}",
                routes[at],
                others.join(", ")
            );
            Server::start_at((namespace, &host), program.clone(), None, &text)
        };
        Cluster { nodes: (0..NODES).map(node).collect(), lines }
    }

    /// Addresses of all nodes, with commas between them.
    pub(crate) fn url(&self, scheme: &str) -> String {
        let of = |node: &Server| format!("{scheme}://{}:{}", node.host, node.port);
        self.nodes.iter().map(of).collect::<Vec<_>>().join(",")
    }

    /// Waits until a stream has a leader, and as many other nodes have all of it; says which node leads.
    pub(crate) async fn leader(&self, client: &Client, stream: &str, followers: usize) -> usize {
        let (clock, mut told) = (World::real().clock, Json::Null);
        let deadline = clock.now() + PATIENCE;
        while clock.now() < deadline {
            let request = client.request(format!("$JS.API.STREAM.INFO.{stream}"), "".into());
            if let Ok(Ok(answer)) = clock.timeout(Duration::from_secs(1), request).await {
                told = serde_json::from_slice(&answer.payload).unwrap();
            }
            let copies = told["cluster"]["replicas"].as_array().into_iter().flatten();
            let is_whole = |copy: &&Json| copy["current"] == true && copy["offline"] != true;
            let leader = told["cluster"]["leader"].as_str().and_then(|name| name.strip_prefix('n'));
            match leader {
                Some(leader) if copies.filter(is_whole).count() >= followers => {
                    return leader.parse().unwrap();
                }
                _ => clock.sleep(Duration::from_millis(100)).await,
            }
        }
        panic!("stream {stream} has no leader that {followers} follow: {told:#}")
    }
}

impl Lines {
    /// A network with a line for each node, which this thread and what it starts are in from now on: to be called on a thread of
    /// its own. None where it cannot be made, which is noted, and fails the test where peers are required.
    pub(crate) fn enter() -> Option<Lines> {
        let lines = Lines { prefix: format!("flux-{}", std::process::id()) };
        match lines.make() {
            Ok(()) => Some(lines),
            Err(why) => {
                missing(&format!("network namespaces (root, iproute2): {why}"));
                None
            }
        }
    }

    fn make(&self) -> Result<(), String> {
        let hub = format!("{}-hub", self.prefix);
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link set lo up"))?;
        ip(&format!("-n {hub} link add hub type bridge"))?;
        ip(&format!("-n {hub} address add {}/24 dev hub", address(1)))?;
        ip(&format!("-n {hub} link set hub up"))?;
        for at in 0..NODES {
            let name = self.namespace(at);
            ip(&format!("netns add {name}"))?;
            ip(&format!("link add line{at} netns {hub} type veth peer name eth0 netns {name}"))?;
            ip(&format!("-n {hub} link set line{at} master hub up"))?;
            ip(&format!("-n {name} address add {}/24 dev eth0", Lines::host(at)))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        let place = File::open(format!("/run/netns/{hub}")).map_err(|why| why.to_string())?;
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(place.as_fd(), kind).map_err(|why| why.to_string())
    }

    fn namespace(&self, at: usize) -> String {
        format!("{}-n{at}", self.prefix)
    }

    fn host(at: usize) -> String {
        address(11 + at)
    }

    /// Cuts the line of a node, or mends it: what is sent meanwhile is gone, and nobody is told.
    pub(crate) fn set(&self, at: usize, is_up: bool) {
        let state = if is_up { "up" } else { "down" };
        ip(&format!("link set line{at} {state}")).unwrap();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        for name in (0..NODES).map(|at| self.namespace(at)).chain([format!("{}-hub", self.prefix)]) {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn address(last: usize) -> String {
    format!("10.77.0.{last}")
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output().map_err(|why| why.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("`ip {words}`: {}", told.trim()))
}
