//! Listen addresses: `host:port`, `:port`, `[::]:port`, and when two of them cannot both be had.

use std::net::IpAddr;
use std::str::FromStr;

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Every address of the machine: nothing, `*`, `0.0.0.0` or `[::]`.
    Any,
    Ip(IpAddr),
    Name(String),
}

impl ListenAddress {
    /// Whether both cannot be had on one machine. Port 0 is a new port each time.
    pub(crate) fn overlaps(&self, other: &ListenAddress) -> bool {
        let same_host = match (&self.host, &other.host) {
            (Host::Any, _) | (_, Host::Any) => true,
            (Host::Name(name), Host::Ip(ip)) | (Host::Ip(ip), Host::Name(name)) => {
                name == "localhost" && ip.is_loopback()
            }
            (one, other) => one == other,
        };
        same_host && self.port == other.port && self.port != 0
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is every address of the machine.
    pub(crate) fn is_any(&self) -> bool {
        self.host == Host::Any
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or("write `host:port`, or `:port` for every address")?;
        let port = port.parse().map_err(|_| "the port is a number from 0 to 65535")?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare.unwrap_or(host) {
            "" | "*" if bare.is_none() => Host::Any,
            host => match host.parse::<IpAddr>() {
                Ok(ip) if ip.is_unspecified() => Host::Any,
                Ok(IpAddr::V6(_)) if bare.is_none() => {
                    return Err("put an IPv6 address in brackets: `[::1]:8583`");
                }
                Ok(ip) => Host::Ip(ip),
                Err(_) if bare.is_some() || host.contains([':', '/', ' ']) => {
                    return Err("write `host:port`, or `:port` for every address");
                }
                Err(_) => Host::Name(host.to_ascii_lowercase()),
            },
        };
        Ok(ListenAddress { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_overlaps_each() {
        let overlap = |a: &str, b: &str| {
            let (a, b): (ListenAddress, ListenAddress) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(overlap("0.0.0.0:8583", "127.0.0.1:8583"));
        assert!(overlap(":8583", "[::]:8583"));
        assert!(overlap("[::]:1", "10.0.0.1:1"));
        assert!(overlap("localhost:1", "127.0.0.1:1"));
        assert!(overlap("Edge:1", "edge:1"));
        assert!(!overlap("10.0.0.1:1", "10.0.0.2:1"));
        assert!(!overlap(":1", ":2"));
        assert!(!overlap(":0", ":0"), "port 0 is a new port each time");
    }

    #[test]
    fn what_is_no_address_says_why() {
        let why = |text: &str| text.parse::<ListenAddress>().unwrap_err();
        assert_eq!(why("8583"), "write `host:port`, or `:port` for every address");
        assert_eq!(why(":http"), "the port is a number from 0 to 65535");
        assert_eq!(why(":99999"), "the port is a number from 0 to 65535");
        assert_eq!(why("::1:80"), "put an IPv6 address in brackets: `[::1]:8583`");
        assert_eq!(why("http://a:80"), "write `host:port`, or `:port` for every address");
    }
}
