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
use kiln_ports::net::{Connection, FIRST_MESSAGE_LIMIT, Listener, NetError};
use tokio::net::{TcpListener, TcpStream};

use super::admission::Admission;
use super::wire::{self, Role};
use super::{tune, upgrade};

/// Time for the whole HTTP request (trust.md §1.4).
const REQUEST_TIME: Duration = Duration::from_secs(3);

/// Ports tried after the first one (peer-link.md §3.1).
const MORE_PORTS: u16 = 9;

/// Pause after the system refused to hand over a connection, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Upgrade = Pin<Box<dyn Future<Output = Option<Connection>> + Send>>;

enum Event {
    Upgraded(Option<Connection>),
    Arrived(std::io::Result<(TcpStream, SocketAddr)>),
}

/// Sockets of one port, one for each address of the host.
pub(super) struct TcpPeerListener {
    sockets: Vec<TcpListener>,
    port: u16,
    admission: Admission,
    upgrading: FuturesUnordered<Upgrade>,
}

impl TcpPeerListener {
    pub(super) async fn bind(host: &str, first_port: u16) -> Result<Self, NetError> {
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
                Ok(sockets) => return Self::on(sockets),
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

    fn on(sockets: Vec<TcpListener>) -> Result<Self, NetError> {
        let port = sockets
            .first()
            .and_then(|socket| socket.local_addr().ok())
            .map(|address| address.port())
            .ok_or_else(|| NetError::Failed("the host has no address".into()))?;
        Ok(Self {
            sockets,
            port,
            admission: Admission::default(),
            upgrading: FuturesUnordered::new(),
        })
    }

    fn begin(&mut self, tcp: TcpStream, from: SocketAddr) {
        tune(&tcp);
        let tcp = Arc::new(tcp);
        let ticket = self.admission.admit(from.ip().to_canonical(), &tcp);
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

async fn bind_all(addresses: &[SocketAddr], port: u16) -> std::io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        sockets.push(TcpListener::bind(address).await?);
    }
    Ok(sockets)
}
