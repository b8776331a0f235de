//! The stage of these tests: hosts with links and without a domain, whose part the test plays.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kiln_archive::{BlobFacts, PackedArtifacts};
use kiln_domain::peering::{DialAnswer, DialFailure, KnockAnswer, Purpose};
use kiln_domain::{Event, peering, work};
use kiln_engine::links::Links;
use kiln_model::witness::Approved;
use kiln_model::{
    BlobId, Capabilities, CloseReason, Endpoint, FirmwareOffset, FriendlyName, Hello, IntentReason,
    LinkId, LinkIntent, PeerFacts, Pin, ResponseKind, SubmitHeader, WireJobId,
};
use kiln_peer_link::StaticKey;
use kiln_ports::{Net, Store};
use kiln_testkit::{DirStore, SimClock, SimMulticast, SimNet, Stranger};
use serde_json::Value;
use tokio::sync::mpsc;

/// Port on which every host listens.
pub(crate) const PORT: u16 = 6055;

/// A hung test fails by itself after this much real time.
const WATCHDOG: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) net: SimNet,
    pub(crate) multicast: SimMulticast,
}

pub(crate) struct Host {
    pub(crate) links: Links,
    pub(crate) store: Arc<DirStore>,
    pub(crate) secret: [u8; 32],
    events: mpsc::Receiver<Event>,
}

/// Host number `n` has this address.
pub(crate) fn ip(n: u8) -> IpAddr {
    [10, 0, 0, n].into()
}

/// Host number `n` has this secret key.
pub(crate) fn secret(n: u8) -> [u8; 32] {
    [n; 32]
}

pub(crate) fn pin(secret: &[u8; 32]) -> Pin {
    StaticKey::from_bytes((*secret).into()).unwrap().pin()
}

pub(crate) fn job(id: &str) -> WireJobId {
    WireJobId(id.to_owned())
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    Pin(digest.as_ref().try_into().unwrap()).to_string()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// Bytes that compress to nothing useful and are never the same twice in a row.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Lets everything happen that can happen without time passing. Everything in these tests runs on
/// one thread, so giving way often enough is enough.
pub(crate) async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(SimClock::new());
        let net = SimNet::new(clock.clone());
        Self {
            clock,
            net,
            multicast: SimMulticast::new(),
        }
    }

    pub(crate) fn host(&self, n: u8) -> Host {
        self.host_with(n, secret(n))
    }

    pub(crate) fn host_with(&self, n: u8, secret: [u8; 32]) -> Host {
        let store = Arc::new(DirStore::new());
        let (sender, events) = mpsc::channel(64);
        let links = Links::new(
            Arc::new(self.net.host(ip(n))),
            self.clock.clone(),
            Arc::new(self.multicast.join(ip(n))),
            store.clone(),
            sender,
        );
        links.set_identity(StaticKey::from_bytes(secret.into()).unwrap());
        Host {
            links,
            store,
            secret,
            events,
        }
    }

    /// A receiver that listens.
    pub(crate) async fn listening(&self, n: u8) -> Host {
        let mut host = self.host(n);
        host.links.listen("0.0.0.0", PORT);
        match host.peering().await {
            peering::Event::Listening { port: PORT } => host,
            other => panic!("expected to listen, got {other:?}"),
        }
    }

    /// A receiver with an open session to an offloader, both Kilns.
    pub(crate) async fn kilns(&self) -> Kilns {
        let mut receiver = self.listening(1).await;
        let mut offloader = self.host(2);
        let theirs = LinkId(2);
        offloader.dial(theirs, ip(1), Some(receiver.pin()), peer_link());
        let (ours, _) = receiver.knock().await;
        receiver.admit(ours, offloader.pin());
        offloader.dialled().await.1.unwrap();
        Kilns {
            receiver,
            offloader,
            ours,
            theirs,
        }
    }

    /// A receiver with an open session to a stranger in the offloader's role.
    pub(crate) async fn receiver(&self) -> (Host, LinkId, Stranger) {
        let mut receiver = self.listening(1).await;
        let (link, stranger) = self.stranger_at(&mut receiver).await;
        (receiver, link, stranger)
    }

    /// Opens one more session of the same stranger.
    pub(crate) async fn stranger_at(&self, receiver: &mut Host) -> (LinkId, Stranger) {
        let net = self.net.host(ip(9));
        let asking = tokio::spawn(async move {
            let (intent, hello) = (r#"{"intent":"peer_link"}"#, r#"{"dashboard_id":"abc"}"#);
            Stranger::initiate(&net, at(1), &secret(9), intent, hello).await
        });
        let (link, _) = receiver.knock().await;
        receiver.admit(link, pin(&secret(9)));
        let (stranger, answer) = watched(asking).await.unwrap();
        assert_eq!(answer["intent_response"], "ok");
        (link, stranger)
    }

    /// An offloader with an open session to a stranger in the receiver's role.
    pub(crate) async fn offloader(&self) -> (Host, LinkId, Stranger) {
        let mut offloader = self.host(2);
        let net = self.net.host(ip(9));
        let mut listener = net.listen("", PORT).await.unwrap();
        let link = LinkId(2);
        offloader.dial(link, ip(9), Some(pin(&secret(9))), peer_link());
        let connection = listener.accept().await;
        let (mut stranger, _, _) = Stranger::respond(connection, &secret(9)).await;
        stranger.says(&answer("ok")).await;
        offloader.dialled().await.1.unwrap();
        (offloader, link, stranger)
    }
}

/// Two Kilns with a session between them.
pub(crate) struct Kilns {
    pub(crate) receiver: Host,
    pub(crate) offloader: Host,
    /// The session at the receiver.
    pub(crate) ours: LinkId,
    /// The session at the offloader.
    pub(crate) theirs: LinkId,
}

/// Where host number `n` listens.
pub(crate) fn at(n: u8) -> SocketAddr {
    (ip(n), PORT).into()
}

pub(crate) fn peer_link() -> Purpose {
    Purpose::PeerLink {
        dashboard_id: "abc".parse().unwrap(),
        friendly_name: FriendlyName::clipped("kitchen"),
        connect_back_port: None,
    }
}

/// A reference receiver's answer.
pub(crate) fn answer(word: &str) -> Value {
    serde_json::json!({
        "intent_response": word,
        "esphome_version": "2026.10.0",
        "auto_provision_supported": true,
        "reset_build_env_supported": true,
        "friendly_name": "buildbox",
        "ha_addon": false,
    })
}

/// Waits for something that has to come.
pub(crate) async fn watched<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WATCHDOG, future)
        .await
        .expect("nothing happens any more")
}

impl Host {
    pub(crate) fn pin(&self) -> Pin {
        pin(&self.secret)
    }

    pub(crate) async fn event(&mut self) -> Event {
        watched(self.events.recv()).await.expect("the links live")
    }

    pub(crate) async fn peering(&mut self) -> peering::Event {
        match self.event().await {
            Event::Peering(event) => event,
            other => panic!("expected news of peers, got {other:?}"),
        }
    }

    pub(crate) async fn work(&mut self) -> work::Event {
        match self.event().await {
            Event::Work(event) => event,
            other => panic!("expected news of work, got {other:?}"),
        }
    }

    /// Returns what has happened and was not looked at.
    pub(crate) fn unseen(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    pub(crate) async fn knock(&mut self) -> (LinkId, Knock) {
        match self.peering().await {
            peering::Event::Knocked {
                link,
                intent,
                pin,
                hello,
                source,
                ..
            } => (
                link,
                Knock {
                    intent,
                    pin,
                    hello,
                    source,
                },
            ),
            other => panic!("expected a knock, got {other:?}"),
        }
    }

    pub(crate) async fn dialled(&mut self) -> (LinkId, Result<DialAnswer, DialFailure>) {
        match self.peering().await {
            peering::Event::Dialled { link, outcome } => (link, outcome),
            other => panic!("expected an outcome, got {other:?}"),
        }
    }

    pub(crate) async fn closed(&mut self) -> (LinkId, CloseReason) {
        match self.peering().await {
            peering::Event::Closed { link, reason } => (link, reason),
            other => panic!("expected an end, got {other:?}"),
        }
    }

    pub(crate) fn dial(&self, link: LinkId, to: IpAddr, expect: Option<Pin>, purpose: Purpose) {
        let endpoint = Endpoint::new(&to.to_string(), PORT).unwrap();
        self.links.dial(link, endpoint, vec![], expect, purpose);
    }

    pub(crate) fn answer(&self, link: LinkId, kind: ResponseKind, reason: Option<IntentReason>) {
        let answer = KnockAnswer {
            reason,
            ..KnockAnswer::saying(kind, facts())
        };
        self.links.answer(link, answer);
    }

    pub(crate) fn admit(&self, link: LinkId, pin: Pin) {
        let answer = KnockAnswer::admitting(Approved::assertion(pin), facts());
        self.links.answer(link, answer);
    }

    /// Serves a tarball, of which `file` is what lies on disk.
    pub(crate) fn serve(
        &self,
        link: LinkId,
        id: &str,
        tarball: &[u8],
        file: &[u8],
    ) -> impl Future<Output = ()> + use<> {
        let (links, id) = (self.links.clone(), job(id));
        let facts = BlobFacts {
            bytes: tarball.len() as u64,
            sha256: sha256(tarball),
        };
        let packed = PackedArtifacts {
            facts,
            firmware_offset: FirmwareOffset::Esp32,
            members: vec![],
        };
        let path = self.store.blob_path(&self.blob(file));
        async move { watched(links.serve_artifacts(link, &id, path, &packed)).await }
    }

    /// Puts a blob into the store.
    pub(crate) fn blob(&self, bytes: &[u8]) -> BlobId {
        let id = BlobId::new("made", bytes.len() as u64);
        std::fs::write(self.store.blob_path(&id), bytes).unwrap();
        id
    }

    /// Takes a blob out of the store.
    pub(crate) fn take(&self, id: &BlobId) -> Vec<u8> {
        let bytes = std::fs::read(self.store.blob_path(id)).unwrap();
        self.store.drop_blob(id).unwrap();
        bytes
    }
}

pub(crate) struct Knock {
    pub(crate) intent: Option<LinkIntent>,
    pub(crate) pin: Pin,
    pub(crate) hello: Hello,
    pub(crate) source: IpAddr,
}

pub(crate) fn facts() -> PeerFacts {
    PeerFacts {
        esphome_version: Some("2026.10.0".parse().unwrap()),
        friendly_name: FriendlyName::clipped("buildbox"),
        ha_addon: false,
        capabilities: Capabilities {
            auto_provision: true,
            reset_build_env: true,
            kiln: true,
        },
    }
}

pub(crate) fn header(id: &str, bundle: &[u8]) -> SubmitHeader {
    SubmitHeader {
        job_id: job(id),
        configuration_filename: "kitchen.yaml".into(),
        target: "compile".into(),
        total_bundle_bytes: bundle.len() as i64,
        num_chunks: 0,
        bundle_sha256: sha256(bundle),
        device_name: "kitchen".into(),
        device_friendly_name: "Kitchen".into(),
        target_esphome_version: None,
        skip_bootloader: false,
    }
}
