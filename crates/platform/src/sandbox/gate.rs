//! [`Proxy`]: the only way out of a box: an HTTP proxy of Kiln's own that resolves names itself and
//! dials outside addresses of allowed hosts, nothing else.
mod outside;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kiln_model::BuildHosts;
use kiln_ports::sandbox::{Answer, Contact, Gate};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(super) use self::outside::is_outside;

/// Largest request head, in bytes; real ones have less than 1 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// Headers that are looked at.
const MAX_HEADERS: usize = 64;

/// Connections of one box at a time; package managers open up to ten.
const MAX_CONNECTIONS: usize = 64;

/// Time for a request to arrive, and for a host to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Contacts that wait to be noted.
const CONTACTS: usize = 256;

/// Bytes copied at once.
const BLOCK: usize = 32 * 1024;

/// Decides which addresses may be dialled; a value, so that tests can reach their own servers.
pub(super) type Reachable = fn(IpAddr) -> bool;

/// A running proxy. Dropping it ends all its connections.
pub(super) struct Proxy {
    contacts: mpsc::Receiver<Contact>,
    passed: Arc<AtomicU64>,
    serving: JoinHandle<()>,
    /// Folder of its socket, which goes with it.
    _folder: Option<tempfile::TempDir>,
}

/// Where boxes knock.
enum Door {
    /// A loopback port.
    Port(TcpListener),
    /// A socket in the file system.
    #[cfg(target_os = "linux")]
    Socket(tokio::net::UnixListener),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Door {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Port(listener) => Box::new(listener.accept().await?.0),
            #[cfg(target_os = "linux")]
            Self::Socket(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// What every connection of a box shares.
struct Rules {
    hosts: BuildHosts,
    max_bytes: u64,
    /// Password that a client on a shared loopback has to know; empty where nobody else gets here.
    password: String,
    reachable: Reachable,
    passed: Arc<AtomicU64>,
    contacts: mpsc::Sender<Contact>,
}

impl Proxy {
    /// Serves a loopback port of this computer to who knows the password.
    pub(super) async fn on_port(
        hosts: BuildHosts,
        max_bytes: u64,
        password: String,
        reachable: Reachable,
    ) -> io::Result<(Self, u16)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let door = Door::Port(listener);
        let proxy = Self::serve(door, None, hosts, max_bytes, password, reachable);
        Ok((proxy, port))
    }

    /// Serves a socket in a folder of its own, which is shown to nobody but one box.
    #[cfg(target_os = "linux")]
    pub(super) fn on_socket(
        hosts: BuildHosts,
        max_bytes: u64,
        reachable: Reachable,
    ) -> io::Result<(Self, std::path::PathBuf)> {
        let folder = tempfile::Builder::new().prefix("kiln-").tempdir()?;
        let path = folder.path().join("gate");
        let door = Door::Socket(tokio::net::UnixListener::bind(&path)?);
        let password = String::new();
        let proxy = Self::serve(door, Some(folder), hosts, max_bytes, password, reachable);
        Ok((proxy, path))
    }

    fn serve(
        door: Door,
        folder: Option<tempfile::TempDir>,
        hosts: BuildHosts,
        max_bytes: u64,
        password: String,
        reachable: Reachable,
    ) -> Self {
        let (sender, contacts) = mpsc::channel(CONTACTS);
        let passed = Arc::<AtomicU64>::default();
        let rules = Arc::new(Rules {
            hosts,
            max_bytes,
            password,
            reachable,
            passed: Arc::clone(&passed),
            contacts: sender,
        });
        let serving = tokio::spawn(async move {
            let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            // Connections end with this task.
            let mut open = tokio::task::JoinSet::new();
            loop {
                let Ok(place) = Arc::clone(&free).acquire_owned().await else {
                    return;
                };
                while open.try_join_next().is_some() {}
                match door.accept().await {
                    Ok(stream) => {
                        let rules = Arc::clone(&rules);
                        open.spawn(async move {
                            let _place = place;
                            // A client that breaks off is its own business.
                            let _ = rules.serve(stream).await;
                        });
                    }
                    // Out of file descriptors, most likely: some come free with time.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Self {
            contacts,
            passed,
            serving,
            _folder: folder,
        }
    }
}

#[async_trait::async_trait]
impl Gate for Proxy {
    async fn next(&mut self) -> Contact {
        match self.contacts.recv().await {
            Some(contact) => contact,
            None => std::future::pending().await,
        }
    }

    fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A request as far as a proxy cares.
struct Wanted {
    host: String,
    port: u16,
    /// What is sent on instead of the head that came; `None` for a tunnel.
    onwards: Option<Vec<u8>>,
}

/// Why a request is not served: the status line.
struct Refused(&'static str);

const BAD: Refused = Refused("400 Bad Request");
const WHO: Refused = Refused("407 Proxy Authentication Required");
const NO: Refused = Refused("403 Forbidden by Kiln: this host is not in build_hosts");
const SPENT: Refused = Refused("403 Forbidden by Kiln: this build fetched too much");
const AWAY: Refused = Refused("502 Bad Gateway");

impl Rules {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut near: S) -> io::Result<()> {
        let answer = match timeout(PATIENCE, self.read(&mut near)).await {
            Ok(Ok((wanted, rest))) => match self.dial(&wanted).await {
                Ok(far) => return self.connect(near, far, wanted, rest).await,
                Err(refused) => refused,
            },
            Ok(Err(refused)) => refused,
            Err(_) => BAD,
        };
        let text = format!(
            "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: 0\r\n\
             Proxy-Authenticate: Basic realm=\"kiln\"\r\n\r\n",
            answer.0
        );
        near.write_all(text.as_bytes()).await?;
        near.shutdown().await
    }

    /// Reads a request head; what came behind it is returned as well.
    async fn read<S: AsyncRead + Unpin>(&self, near: &mut S) -> Result<(Wanted, Vec<u8>), Refused> {
        let mut head = Vec::new();
        let mut block = [0; 4096];
        let length = loop {
            let count = near.read(&mut block).await.map_err(|_| BAD)?;
            head.extend_from_slice(block.get(..count).unwrap_or_default());
            let end = head.windows(4).position(|w| w == b"\r\n\r\n");
            match end {
                Some(at) => break at + 4,
                None if count == 0 || head.len() > MAX_HEAD => return Err(BAD),
                None => {}
            }
        };
        let rest = head.split_off(length);
        let wanted = self.understand(&head)?;
        Ok((wanted, rest))
    }

    fn understand(&self, head: &[u8]) -> Result<Wanted, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(head).map_err(|_| BAD)?;
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(BAD);
        };
        let header = |name: &str| {
            let mut all = request.headers.iter();
            all.find(|h| h.name.eq_ignore_ascii_case(name))
                .map(|h| h.value)
        };
        if !self.password.is_empty() {
            let expected = format!(
                "Basic {}",
                base64_simd::STANDARD.encode_to_string(format!("kiln:{}", self.password))
            );
            if header("proxy-authorization") != Some(expected.as_bytes()) {
                return Err(WHO);
            }
        }
        if method == "CONNECT" {
            let (host, port) = authority(target, None).ok_or(BAD)?;
            return Ok(Wanted {
                host,
                port,
                onwards: None,
            });
        }
        let rest = target.strip_prefix("http://").ok_or(BAD)?;
        let (place, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (host, port) = authority(place, Some(80)).ok_or(BAD)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut onwards = format!("{method} {slash}{path} HTTP/1.1\r\n").into_bytes();
        for header in request.headers.iter() {
            let name = header.name.to_ascii_lowercase();
            if name.starts_with("proxy-") || name == "connection" || name == "host" {
                continue;
            }
            onwards.extend_from_slice(header.name.as_bytes());
            onwards.extend_from_slice(b": ");
            onwards.extend_from_slice(header.value);
            onwards.extend_from_slice(b"\r\n");
        }
        // The host that was checked is the one that is asked for; one request per connection.
        onwards.extend_from_slice(format!("Host: {place}\r\nConnection: close\r\n\r\n").as_bytes());
        Ok(Wanted {
            host,
            port,
            onwards: Some(onwards),
        })
    }

    async fn dial(&self, wanted: &Wanted) -> Result<TcpStream, Refused> {
        let (host, port) = (wanted.host.as_str(), wanted.port);
        // Who asks faster than is noted waits: nothing goes out of which nobody hears.
        let note = async |answer| {
            let host = host.to_owned();
            let _ = self.contacts.send(Contact { host, port, answer }).await;
        };
        if !self.hosts.allows(host, port) {
            note(Answer::NotAllowed).await;
            return Err(NO);
        }
        if self.passed.load(Ordering::Relaxed) >= self.max_bytes {
            return Err(SPENT);
        }
        let found = timeout(PATIENCE, lookup_host((host, port))).await;
        let found: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                note(Answer::Failed(error.to_string())).await;
                return Err(AWAY);
            }
            Err(_) => {
                note(Answer::Failed("its name was not found in time".to_owned())).await;
                return Err(AWAY);
            }
        };
        // The address that was checked is the one that is dialled: no second look-up in between.
        let mut outside = found
            .into_iter()
            .filter(|address| (self.reachable)(address.ip()))
            .peekable();
        if outside.peek().is_none() {
            note(Answer::NotPublic).await;
            return Err(NO);
        }
        let mut why = String::new();
        for address in outside {
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(far)) => {
                    note(Answer::Reached).await;
                    return Ok(far);
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = "it did not answer in time".to_owned(),
            }
        }
        note(Answer::Failed(why)).await;
        Err(AWAY)
    }

    async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut near: S,
        mut far: TcpStream,
        wanted: Wanted,
        rest: Vec<u8>,
    ) -> io::Result<()> {
        match wanted.onwards {
            Some(head) => far.write_all(&head).await?,
            None => {
                near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await?;
            }
        }
        far.write_all(&rest).await?;
        let (mut near_in, mut near_out) = tokio::io::split(near);
        let (mut far_in, mut far_out) = far.split();
        let (there, back) = tokio::join!(
            self.copy(&mut near_in, &mut far_out),
            self.copy(&mut far_in, &mut near_out)
        );
        there.and(back)
    }

    /// Copies until the end, or until the box has had its share.
    async fn copy(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            let count = from.read(&mut block).await?;
            let before = self.passed.fetch_add(count as u64, Ordering::Relaxed);
            if count == 0 || before >= self.max_bytes {
                return to.shutdown().await;
            }
            to.write_all(block.get(..count).unwrap_or_default()).await?;
        }
    }
}

/// Splits `host:port`; an address in brackets is taken apart as well.
fn authority(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    if text.contains('@') {
        return None;
    }
    let split = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        Some(_) | None => (text, default?),
    };
    let host = split.0.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), split.1))
}

#[cfg(test)]
mod tests;
