//! Where sender, rack and receiver find each other: on the loopback, or each in a network namespace of its own with a
//! proxy in the middle.
//!
//! ```text
//! sender 10.0.1.2 ── 10.0.1.1 proxy 10.0.2.1 ── 10.0.2.2 rack
//!                             proxy 10.0.3.1 ── 10.0.3.2 receiver
//! ```
//!
//! The proxy does not route: what it does not pass on by itself does not pass.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::janitor::Janitor;

/// Who is in the network, with the last but one number of an address.
const PARTIES: [(&str, u8); 3] = [("sender", 1), ("rack", 2), ("receiver", 3)];

/// See above.
pub(super) struct Network {
    /// Where the rack listens, and where the sender finds it.
    pub(super) front: [String; 2],
    /// Where the receiver listens, and where the rack finds it.
    pub(super) back: [String; 2],
    /// How the names of the namespaces begin, where there are some.
    prefix: Option<String>,
    proxy: Option<Child>,
}

impl Network {
    /// One in which nothing goes wrong.
    pub(super) fn good() -> Result<Network> {
        let (front, back) = (loopback()?, loopback()?);
        Ok(Network { front: [front.clone(), front], back: [back.clone(), back], prefix: None, proxy: None })
    }

    /// One that is no good, in namespaces where we may make some.
    pub(super) fn bad(seed: u64, janitor: &mut Janitor) -> Result<Network> {
        let prefix = format!("chaos-{}", std::process::id());
        let mut network = match make_namespaces(&prefix, janitor) {
            Ok(()) => Network {
                front: ["10.0.2.2:7001".into(), "10.0.1.1:7001".into()],
                back: ["10.0.3.2:7002".into(), "10.0.2.1:7002".into()],
                prefix: Some(prefix),
                proxy: None,
            },
            Err(why) => {
                let is_required = crate::peers::is_required();
                ensure!(!is_required, "no network namespaces here: {why:#}; root and iproute2 make them");
                eprintln!("no network namespaces here, the proxy is on the loopback: {why:#}");
                Network {
                    front: [loopback()?, loopback()?],
                    back: [loopback()?, loopback()?],
                    prefix: None,
                    proxy: None,
                }
            }
        };
        let mut proxy = network.command("proxy", std::env::current_exe()?);
        proxy.args(["chaos-proxy", &seed.to_string()]);
        for [target, listen] in [&network.front, &network.back] {
            proxy.args([listen, target]);
        }
        network.proxy = Some(proxy.stdin(Stdio::piped()).spawn().context("cannot start the proxy")?);
        Ok(network)
    }

    /// How a party of it starts a program.
    pub(super) fn command(&self, party: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.prefix {
            Some(prefix) => {
                // It becomes the program: they are one process.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &format!("{prefix}-{party}")]).arg(program);
                command
            }
            None => Command::new(program),
        }
    }

    pub(super) fn is_bad(&self) -> bool {
        self.proxy.is_some()
    }

    /// Takes the rack's line away, or brings it back; where there are no namespaces, has the proxy stand still.
    pub(super) fn set_line(&self, is_up: bool) -> Result<()> {
        let Some(proxy) = &self.proxy else { return Ok(()) };
        match &self.prefix {
            Some(prefix) => {
                let state = if is_up { "up" } else { "down" };
                ip(&["-n", &format!("{prefix}-proxy"), "link", "set", "to-rack", state])
            }
            None => super::signal(proxy, if is_up { "CONT" } else { "STOP" }),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            let _ = proxy.kill();
            let _ = proxy.wait();
        }
    }
}

fn make_namespaces(prefix: &str, janitor: &mut Janitor) -> Result<()> {
    let proxy = format!("{prefix}-proxy");
    let mut add = |name: &str| {
        janitor.expect_namespace(name)?;
        ip(&["netns", "add", name])
    };
    add(&proxy)?;
    for (party, number) in PARTIES {
        let (name, near) = (format!("{prefix}-{party}"), format!("to-{party}"));
        add(&name)?;
        ip(&["link", "add", &near, "netns", &proxy, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        for (namespace, line, host) in [(&proxy, near.as_str(), 1), (&name, "eth0", 2)] {
            let address = format!("10.0.{number}.{host}/24");
            ip(&["-n", namespace, "address", "add", &address, "dev", line])?;
            ip(&["-n", namespace, "link", "set", line, "up"])?;
        }
    }
    Ok(())
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output().context("cannot run `ip`")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip {}`: {}", words.join(" "), told.trim());
    Ok(())
}

/// An address nobody listens at yet.
fn loopback() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
