//! What tests of this crate are played with: a view, devices, jobs and peers to put into it.
use jiff::tz::TimeZone;
use kiln_model::{
    Alert, AlertKind, Availability, AvailabilityReason, Bootloader, Device, Endpoint, FriendlyName,
    IdentityView, Job, JobId, JobKind, JobOrigin, JobStatus, Label, LinkState, Pairing,
    PairingStatus, PairingView, Peer, PeerView, PendingPeer, Pin, Placement, Presence, PublicKey,
    QueueStatus, Sentence, Timestamp, View, WindowView, WireJobId,
};

use crate::{Language, Words};

/// 2026-11-27 17:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp(1_795_798_800_000_000);

/// Returns the time this many seconds after [`NOW`].
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1_000_000)
}

pub(crate) fn english() -> Words {
    Words::new(Language::English, TimeZone::UTC)
}

pub(crate) fn german() -> Words {
    Words::new(Language::German, TimeZone::UTC)
}

/// A quiet evening: ready, nobody paired, nothing done.
pub(crate) fn quiet() -> View {
    View {
        identity: IdentityView {
            pin: Pin([0; 32]),
            dashboard_id: "own".parse().unwrap(),
            friendly_name: FriendlyName::clipped("desk"),
            version: "0.1.0".to_owned(),
            esphome_version: kiln_model::EsphomeVersion::parse("2026.10.0"),
        },
        availability: judged(AvailabilityReason::Ready),
        sandbox: kiln_model::Confinement::default(),
        listening: Some(6055),
        window: WindowView::Closed,
        pairings: Vec::new(),
        peers: Vec::new(),
        pending: Vec::new(),
        alerts: Vec::new(),
        discovered: Vec::new(),
        jobs: Vec::new(),
        queue: QueueStatus::of(false, 0),
        storage: kiln_model::Storage::default(),
        notices: Vec::new(),
        at: NOW,
        own_label: Label::clipped("desk"),
    }
}

pub(crate) fn switched_off() -> Availability {
    judged(AvailabilityReason::UserOff)
}

/// Availability with this reason and nothing else known.
pub(crate) fn judged(reason: AvailabilityReason) -> Availability {
    Availability {
        reason,
        since: None,
        until: None,
        inputs: Vec::new(),
    }
}

/// An offloader that may use us.
pub(crate) fn offloader(label: &str) -> PeerView {
    PeerView {
        peer: Peer {
            dashboard_id: "garage-id".parse().unwrap(),
            pin: Pin([3; 32]),
            public_key: PublicKey([3; 32]),
            label: Label::clipped(label),
            label_auto: false,
            paired_at: NOW,
            peer_ip: None,
            connect_back_port: None,
            friendly_name: FriendlyName::default(),
            ha_addon: false,
        },
        connected: true,
    }
}

/// An offloader that asks to use us.
pub(crate) fn asker(id: &str, label: &str) -> PendingPeer {
    PendingPeer {
        dashboard_id: id.parse().unwrap(),
        pin: Pin([4; 32]),
        public_key: PublicKey([4; 32]),
        label: Label::clipped(label),
        label_auto: false,
        peer_ip: None,
        friendly_name: FriendlyName::default(),
        ha_addon: false,
        requested_at: NOW,
    }
}

/// A receiver we may use.
pub(crate) fn receiver(number: u8, label: &str, link: LinkState) -> PairingView {
    PairingView {
        pairing: Pairing {
            pin: Pin([number; 32]),
            public_key: PublicKey([number; 32]),
            endpoint: Endpoint::new("laptop.local", 6055).unwrap(),
            label: Label::clipped(label),
            label_auto: false,
            paired_at: NOW,
            status: PairingStatus::Approved,
            enabled: true,
            esphome_version: None,
            capabilities: kiln_model::Capabilities::default(),
            friendly_name: FriendlyName::default(),
            ha_addon: false,
        },
        link,
        queue: Some(QueueStatus::of(false, 0)),
    }
}

pub(crate) fn alert(kind: AlertKind) -> Alert {
    Alert {
        pin: Pin([9; 32]),
        label: Label::clipped("Laptop"),
        endpoint: Endpoint::new("laptop.local", 6055).unwrap(),
        kind,
        observed: None,
        since: NOW,
    }
}

/// A job of the owner for this device, made at [`NOW`], that runs since then if it runs.
pub(crate) fn job(number: u64, kind: JobKind, device: &str, status: JobStatus) -> Job {
    Job {
        id: JobId::from_random(number),
        kind,
        configuration: format!("{device}.yaml"),
        device_name: device.to_owned(),
        origin: JobOrigin::Owner,
        placement: Placement::Local,
        status,
        depends_on: None,
        port: None,
        bootloader: Bootloader::Include,
        target_version: None,
        created_at: NOW,
        started_at: Some(NOW),
        completed_at: None,
        exit_code: None,
        error: None,
        failure_reason: None,
        progress: None,
        reason: Sentence::default(),
        deferred: false,
    }
}

pub(crate) fn compile(number: u64, device: &str, status: JobStatus) -> Job {
    job(number, JobKind::Compile, device, status)
}

/// The same on a receiver.
pub(crate) fn on_laptop(job: Job) -> Job {
    Job {
        placement: Placement::Remote {
            pin: Pin([9; 32]),
            label: Label::clipped("Laptop"),
            esphome_version: None,
        },
        ..job
    }
}

/// The same for an offloader.
pub(crate) fn for_garage(job: Job) -> Job {
    Job {
        origin: JobOrigin::Offloader {
            pin: Pin([3; 32]),
            dashboard_id: "garage-id".parse().unwrap(),
            wire_job_id: WireJobId("1".to_owned()),
            label: Label::clipped("Garage"),
        },
        ..job
    }
}

pub(crate) fn device(name: &str, deployed: &str, built: i64) -> Device {
    Device {
        configuration: format!("{name}.yaml").parse().unwrap(),
        name: name.to_owned(),
        friendly_name: String::new(),
        platform: "ESP32".to_owned(),
        address: String::new(),
        presence: Presence::Online,
        built_version: deployed.to_owned(),
        deployed_version: deployed.to_owned(),
        last_build: Some(at(built)),
        problem: None,
    }
}
