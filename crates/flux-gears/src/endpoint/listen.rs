//! Opening a listener: the address as written, a port that is still being given back, a warning when exposed.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use flux_gear::{Fault, GearContext};
use flux_pool::{AcceptConfig, ListenError, Listening, PeerPool};
use flux_world::Clock;

/// Attempts to open a listener whose address is in use, and the pause between them: a former process may be on its
/// way out.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// Where to listen: `host:port`, or `:port` and `*:port` for every IPv4 address of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenAddress(String);

impl FromStr for ListenAddress {
    type Err = Fault;

    fn from_str(text: &str) -> Result<ListenAddress, Fault> {
        let split = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let Some((host, port)) = split else {
            let problem = format!("`bind` is `{text}`: write `host:port`, or `:port` for every address");
            return Err(Fault::fatal(problem).reason("config"));
        };
        let host = if matches!(host, "" | "*") { "0.0.0.0" } else { host };
        Ok(ListenAddress(format!("{host}:{port}")))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ListenAddress {
    pub(super) fn port(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(_, port)| port)
    }
}

pub(super) async fn listen(
    pool: &PeerPool,
    address: &ListenAddress,
    config: AcceptConfig,
    clock: Clock,
) -> Result<Listening, Fault> {
    let mut attempt = 1;
    loop {
        match pool.listen(&address.0, config.clone()).await {
            Ok(listening) => return Ok(listening),
            Err(ListenError::Io { error, .. })
                if error.kind() == std::io::ErrorKind::AddrInUse && attempt < ATTEMPTS =>
            {
                attempt += 1;
                clock.sleep(PAUSE).await;
            }
            Err(why) => return Err(Fault::fatal(why.to_string()).reason("listen")),
        }
    }
}

/// Says so once when others than this machine can connect and nothing is encrypted.
pub(super) fn warn_if_exposed(ctx: &GearContext, is_encrypted: bool) {
    let addr: Option<SocketAddr> = ctx.control().link(ctx.name()).listening();
    if let Some(addr) = addr.filter(|addr| !is_encrypted && !addr.ip().is_loopback()) {
        tracing::warn!(gear = ctx.name(), %addr, "listening beyond this machine without tls");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_is_every_address() {
        let shown = |text: &str| {
            text.parse::<ListenAddress>().map(|address| address.0).map_err(|why| why.to_string())
        };
        assert_eq!(shown(":8583"), Ok("0.0.0.0:8583".into()));
        assert_eq!(shown("*:8583"), Ok("0.0.0.0:8583".into()));
        assert_eq!(shown("[::1]:0"), Ok("[::1]:0".into()));
        assert!(shown("localhost").is_err());
        assert!(shown("localhost:http").is_err());
    }
}
