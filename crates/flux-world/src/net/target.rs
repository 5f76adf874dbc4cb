//! Where to connect to: a host, by name or address, and a port.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A host and a port, written `host:port`, `10.0.0.1:port` or `[::1]:port`.
///
/// Not resolved: a name is looked up at each attempt, since that is when its address may have changed. Host names are
/// case-insensitive (RFC 4343) and kept in lower case, so that equal targets compare equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    host: String,
    port: u16,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no `:port` at the end.
    #[error("`{0}` has no port, write host:port")]
    NoPort(String),
    /// The port is not a number from 1 to 65535.
    #[error("the port of `{0}` is not a number from 1 to 65535")]
    BadPort(String),
    /// The host is empty, has a bare colon, or a character no host has.
    #[error("the host of `{0}` is not a name or an address")]
    BadHost(String),
}

impl Target {
    /// A target from its parts; the host may be an IPv6 address with or without brackets.
    pub fn new(host: &str, port: u16) -> Result<Self, TargetError> {
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_v6 = bracketed.unwrap_or(host).parse::<std::net::Ipv6Addr>().is_ok();
        let host = bracketed.unwrap_or(host);
        let is_name = bracketed.is_none()
            && !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        match (is_v6 || is_name, port) {
            (false, _) => Err(TargetError::BadHost(host.to_owned())),
            (true, 0) => Err(TargetError::BadPort(host.to_owned())),
            (true, port) => Ok(Self { host: host.to_ascii_lowercase(), port }),
        }
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| TargetError::NoPort(text.to_owned()))?;
        if host.ends_with(':') || (host.contains(':') && !host.starts_with('[')) {
            // `::1` is an address without a port, not the host `:` with the port 1.
            return Err(TargetError::NoPort(text.to_owned()));
        }
        let port = port.parse().map_err(|_| TargetError::BadPort(text.to_owned()))?;
        Self::new(host, port).map_err(|error| match error {
            TargetError::NoPort(_) => TargetError::NoPort(text.to_owned()),
            TargetError::BadPort(_) => TargetError::BadPort(text.to_owned()),
            TargetError::BadHost(_) => TargetError::BadHost(text.to_owned()),
        })
    }
}

impl From<SocketAddr> for Target {
    /// The target a socket address names; connecting to port 0 fails when it is tried.
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let shown = match text.parse::<Target>() {
            Ok(target) => format!("{target} host={}", target.host()),
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn targets() {
        check("issuer.example:8583", expect!["issuer.example:8583 host=issuer.example"]);
        check("Issuer.EXAMPLE:8583", expect!["issuer.example:8583 host=issuer.example"]);
        check("10.0.0.1:1", expect!["10.0.0.1:1 host=10.0.0.1"]);
        check("[::1]:65535", expect!["[::1]:65535 host=::1"]);
        check("::1", expect!["error: `::1` has no port, write host:port"]);
        check("issuer", expect!["error: `issuer` has no port, write host:port"]);
        check("issuer:0", expect!["error: the port of `issuer:0` is not a number from 1 to 65535"]);
        check("issuer:65536", expect!["error: the port of `issuer:65536` is not a number from 1 to 65535"]);
        check(":80", expect!["error: the host of `:80` is not a name or an address"]);
        check("a b:80", expect!["error: the host of `a b:80` is not a name or an address"]);
        check("[issuer]:80", expect!["error: the host of `[issuer]:80` is not a name or an address"]);
    }
}
