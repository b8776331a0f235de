//! [`TcpPeerListener`]: accepts, upgrades and bounds incoming peer-link connections.
use std::future::Future;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use kiln_model::say;
use kiln_ports::net::{Connection, FIRST_MESSAGE_LIMIT, Listener, NetError, Outdated};
use tokio::net::{TcpListener, TcpStream};

use super::admission::Admission;
use super::wire::{self, Role};
use super::{tune, upgrade};

/// Time for the whole HTTP request (trust.md §1.4).
const REQUEST_TIME: Duration = Duration::from_secs(3);

/// Ports tried after the first one (peer-link.md §3.1).
const MORE_PORTS: u16 = 9;

/// How often the addresses of an interface are compared with those bound.
const ADDRESS_CHECK: Duration = Duration::from_secs(60);

/// Pause after the system refused to hand over a connection, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Upgrade = Pin<Box<dyn Future<Output = Option<Connection>> + Send>>;

enum Event {
    Upgraded(Option<Connection>),
    Arrived(std::io::Result<(TcpStream, SocketAddr)>),
}

/// Sockets of one port, one for each address of the host.
pub(super) struct TcpPeerListener {
    /// What was asked for, and what that stood for.
    host: (String, Vec<SocketAddr>),
    sockets: Vec<TcpListener>,
    port: u16,
    admission: Admission,
    upgrading: FuturesUnordered<Upgrade>,
}

impl TcpPeerListener {
    pub(super) async fn bind(
        host: &str,
        first_port: u16,
        admission: Admission,
    ) -> Result<Self, NetError> {
        let addresses = addresses_of(host)?;
        if first_port == 0 && addresses.len() > 1 {
            return Err(NetError::Failed(say::several_addresses(host)));
        }
        let last = match first_port {
            0 => 0,
            first => first.saturating_add(MORE_PORTS),
        };
        for port in first_port..=last {
            match bind_all(&addresses, port).await {
                Ok(sockets) => return Self::on((host.to_owned(), addresses), sockets, admission),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(NetError::Failed(say::cannot_listen(
                        host,
                        port,
                        error.to_string(),
                    )));
                }
            }
        }
        Err(NetError::NoFreePort {
            first: first_port,
            last,
            host: host.to_owned(),
        })
    }

    fn on(
        host: (String, Vec<SocketAddr>),
        sockets: Vec<TcpListener>,
        admission: Admission,
    ) -> Result<Self, NetError> {
        let port = sockets
            .first()
            .and_then(|socket| socket.local_addr().ok())
            .map(|address| address.port())
            .ok_or_else(|| NetError::Failed("the host has no address".into()))?;
        Ok(Self {
            host,
            sockets,
            port,
            admission,
            upgrading: FuturesUnordered::new(),
        })
    }

    fn begin(&mut self, tcp: TcpStream, from: SocketAddr) {
        tune(&tcp);
        let tcp = Arc::new(tcp);
        let source = from.ip().to_canonical();
        let Some(ticket) = self.admission.admit(source, &tcp) else {
            return;
        };
        self.upgrading.push(Box::pin(async move {
            let early = tokio::time::timeout(REQUEST_TIME, upgrade::accept(&tcp))
                .await
                .ok()??;
            let limit = FIRST_MESSAGE_LIMIT;
            wire::connection(tcp, Role::Server, early, limit, Some(ticket)).ok()
        }));
    }
}

#[async_trait::async_trait]
impl Listener for TcpPeerListener {
    async fn accept(&mut self) -> Connection {
        loop {
            let arrivals = self.sockets.iter().map(|s| Box::pin(s.accept()));
            let event = tokio::select! {
                Some(upgraded) = self.upgrading.next() => Event::Upgraded(upgraded),
                (accepted, _, _) = select_all(arrivals) => Event::Arrived(accepted),
            };
            match event {
                Event::Upgraded(Some(mut connection)) => {
                    let canonical = connection.peer.ip().to_canonical();
                    connection.peer.set_ip(canonical);
                    return connection;
                }
                Event::Upgraded(None) => {}
                Event::Arrived(Ok((tcp, from))) => self.begin(tcp, from),
                Event::Arrived(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn outdated(&self) -> Outdated {
        let (host, bound) = self.host.clone();
        Box::pin(async move {
            // An address stands for itself, whatever becomes of the interface that has it.
            if host.parse::<IpAddr>().is_ok() {
                std::future::pending::<()>().await;
            }
            // An interface that is gone for a while may come back as it was.
            while !addresses_of(&host).is_ok_and(|now| differs(&bound, &now)) {
                tokio::time::sleep(ADDRESS_CHECK).await;
            }
        })
    }
}

/// Every address that `host` stands for: itself, or those of the interface of that name.
fn addresses_of(host: &str) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, 0)]);
    }
    let interfaces = if_addrs::get_if_addrs()
        .map_err(|e| NetError::Failed(format!("cannot list the network interfaces: {e}").into()))?;
    let addresses: Vec<SocketAddr> = interfaces
        .iter()
        .filter(|interface| interface.name == host)
        .map(|interface| match interface.ip() {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, 0, 0, interface.index.unwrap_or(0)).into()
            }
            ip => SocketAddr::new(ip, 0),
        })
        .collect();
    if addresses.is_empty() {
        return Err(NetError::Failed(say::no_such_interface(host)));
    }
    Ok(addresses)
}

/// Returns whether others look for us at addresses that are not bound. Temporary IPv6 addresses come
/// and go beside one that stays, and every session ends with its listener.
fn differs(bound: &[SocketAddr], now: &[SocketAddr]) -> bool {
    let v4 = |all: &[SocketAddr]| -> Vec<SocketAddr> {
        all.iter().filter(|a| a.is_ipv4()).copied().collect()
    };
    let (had, has) = (v4(bound), v4(now));
    let moved = !has.is_empty() && has != had;
    moved || !now.iter().any(|address| bound.contains(address))
}

async fn bind_all(addresses: &[SocketAddr], port: u16) -> std::io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        sockets.push(TcpListener::bind(address).await?);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_only_gets_another_temporary_address_stays_bound() {
        let at = |addresses: &[&str]| -> Vec<SocketAddr> {
            let address = |a: &&str| SocketAddr::new(a.parse().unwrap(), 0);
            addresses.iter().map(address).collect()
        };
        let bound = at(&["192.0.2.1", "2001:db8::1", "2001:db8::a"]);
        assert!(!differs(
            &bound,
            &at(&["192.0.2.1", "2001:db8::1", "2001:db8::b"])
        ));
        assert!(
            !differs(&bound, &at(&["2001:db8::1"])),
            "before it has its lease"
        );
        assert!(differs(&bound, &at(&["192.0.2.2", "2001:db8::1"])));
        assert!(differs(&bound, &at(&["2001:db8::2"])));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interface_with_other_addresses_is_bound_anew_and_an_address_never() {
        let loopback = if_addrs::get_if_addrs().unwrap();
        let loopback = loopback.into_iter().find(|i| i.is_loopback()).unwrap();
        let bound = addresses_of(&loopback.name).unwrap();
        let listener = async |host: &str, bound: &[SocketAddr]| {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let host = (host.to_owned(), bound.to_vec());
            TcpPeerListener::on(host, vec![socket], Admission::default()).unwrap()
        };
        let day = Duration::from_secs(24 * 3600);
        for (host, bound, expected) in [
            (loopback.name.as_str(), bound.as_slice(), true),
            ("127.0.0.1", &[], true),
            (loopback.name.as_str(), &[], false),
        ] {
            let outdated = listener(host, bound).await.outdated();
            let stays = tokio::time::timeout(day, outdated).await.is_err();
            assert_eq!(stays, expected, "{host} on {bound:?}");
        }
    }
}
