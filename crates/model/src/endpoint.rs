//! [`Endpoint`]: where a peer listens.
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Port that a receiver listens on unless told otherwise (peer-link.md §3.1).
const DEFAULT_PORT: u16 = 6055;

/// A host (name or IP literal, lower case) and a TCP port (1–65535).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is not an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Empty, longer than 255 characters, or with characters that no host has.
    #[error("this is not a host name or address")]
    Host,
    /// Zero, above 65535 or not a number.
    #[error("a port is a number from 1 to 65535")]
    Port,
}

impl Endpoint {
    /// Checks `host` (peer-link.md §6.6: stripped, lower-cased, 1–255 characters, usable as a URL
    /// host) and `port`.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let host = host.trim().to_lowercase();
        let length = host.chars().count();
        let literal = host
            .split('%')
            .next()
            .unwrap_or(&host)
            .parse::<IpAddr>()
            .is_ok();
        let odd = |c: char| c.is_control() || c.is_whitespace() || "/?#@[]\\<>^`{|}".contains(c);
        if !(1..=255).contains(&length) || host.contains(odd) || (host.contains(':') && !literal) {
            return Err(InvalidEndpoint::Host);
        }
        if port == 0 {
            return Err(InvalidEndpoint::Port);
        }
        Ok(Self { host, port })
    }

    /// Returns the host, lower case, possibly with a trailing dot.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether both name the same place: trailing dots of the host do not count
    /// (peer-link.md §2.7).
    pub fn same_place(&self, other: &Endpoint) -> bool {
        self.port == other.port
            && self.host.trim_end_matches('.') == other.host.trim_end_matches('.')
    }

    /// Returns the same endpoint without trailing dots in its host.
    pub fn normalised(&self) -> Endpoint {
        Endpoint {
            host: self.host.trim_end_matches('.').to_owned(),
            port: self.port,
        }
    }

    /// Returns the address if the host is an IP literal.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    /// Parses `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT` or a bare IPv6 address; the port defaults
    /// to 6055.
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let text = text.trim();
        let port_of = |p: &str| p.parse::<u16>().map_err(|_| InvalidEndpoint::Port);
        if let Some(rest) = text.strip_prefix('[') {
            let (host, tail) = rest.split_once(']').ok_or(InvalidEndpoint::Host)?;
            let port = match tail.strip_prefix(':') {
                Some(p) => port_of(p)?,
                None if tail.is_empty() => DEFAULT_PORT,
                None => return Err(InvalidEndpoint::Host),
            };
            return Endpoint::new(host, port);
        }
        match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => Endpoint::new(host, port_of(port)?),
            Some(_) | None => Endpoint::new(text, DEFAULT_PORT),
        }
    }
}
