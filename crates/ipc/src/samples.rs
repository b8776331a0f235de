//! One value of everything, for tests.
use kiln_model::{
    Absence, Alert, AlertKind, AuditFilter, AuditQuestion, AuditSpan, Availability,
    AvailabilityReason, Bootloader, BuildChoice, Built, Capabilities, ChainFault, Confinement,
    ContactedHost, Device, Digest, DiscoveredHost, Entry, EnvironmentInfo, EnvironmentState,
    ErrorCode, EsphomeVersion, Fact, FactKind, FailureReason, FriendlyName, Gained, Given,
    IdentityView, Input, InputVerdict, Job, JobFact, JobId, JobKind, JobOrigin, JobOutcome,
    JobStatus, JobStep, Kept, Label, LinkState, Pairing, PairingFact, PairingStatus, PairingStep,
    PairingView, Party, Peer, PeerView, PendingPeer, Pin, Placement, Port, PortState, Presence,
    PublicKey, QueueStatus, Reach, Reclaimed, Reply, Request, RequestError, SerialPort,
    SessionFact, SessionStep, Side, Snooze, Statistics, Storage, StoredItem, StoredKind, Tier,
    Timestamp, UsbId, Verdict, Verification, View, WindowView, WireJobId, say,
};

pub(crate) fn pin() -> Pin {
    "aaa8fff703b50b2297f4f6e13508f72420d96fd01ebb84cb074449caaef64041"
        .parse()
        .unwrap()
}

pub(crate) fn job_id() -> JobId {
    JobId::from_random(0x0123_4567_89ab)
}

fn version() -> EsphomeVersion {
    EsphomeVersion::parse("2026.10.0").unwrap()
}

const NOW: Timestamp = Timestamp(1_790_000_000_123_457);

pub(crate) fn job() -> Job {
    Job {
        id: job_id(),
        kind: JobKind::Upload,
        configuration: "kitchen.yaml".to_owned(),
        device_name: "kitchen \u{202e}\u{1b}[31m".to_owned(),
        origin: JobOrigin::Offloader {
            pin: pin(),
            dashboard_id: "abc".parse().unwrap(),
            wire_job_id: WireJobId("w1".to_owned()),
            label: Label::clipped("Laptop"),
        },
        placement: Placement::Remote {
            pin: pin(),
            label: Label::clipped("Tower"),
            esphome_version: Some(version()),
        },
        status: JobStatus::Failed,
        depends_on: Some(job_id()),
        port: Some(Port::Serial("/dev/ttyUSB0".to_owned())),
        bootloader: Bootloader::Skip,
        target_version: Some(version()),
        created_at: NOW,
        started_at: Some(NOW),
        completed_at: None,
        exit_code: Some(-1),
        error: Some("The device did not answer.".into()),
        failure_reason: Some(FailureReason::Provision),
        progress: Some(42),
        reason: say::standing_of("Tower", say::standing_idle()),
        deferred: true,
    }
}

pub(crate) fn view() -> View {
    let endpoint = "tower.local:6055".parse().unwrap();
    let pairing = |link| PairingView {
        pairing: Pairing {
            pin: pin(),
            public_key: PublicKey([7; 32]),
            endpoint: "[fd00::1]:6056".parse().unwrap(),
            label: Label::clipped("Tower"),
            label_auto: true,
            paired_at: NOW,
            status: PairingStatus::Approved,
            enabled: true,
            esphome_version: None,
            capabilities: Capabilities {
                auto_provision: true,
                reset_build_env: false,
                kiln: true,
            },
            friendly_name: FriendlyName::clipped("tower"),
            ha_addon: false,
        },
        link,
        queue: Some(QueueStatus {
            absence: Some(Absence {
                reason: AvailabilityReason::Hours,
                until: Some(NOW),
            }),
            ..QueueStatus::of(true, 2)
        }),
    };
    View {
        identity: IdentityView {
            pin: pin(),
            dashboard_id: "abc".parse().unwrap(),
            friendly_name: FriendlyName::clipped("desk"),
            version: "0.1.0".to_owned(),
            esphome_version: Some(version()),
        },
        availability: Availability {
            reason: AvailabilityReason::Battery,
            since: Some(NOW),
            until: None,
            inputs: vec![InputVerdict {
                input: Input::Power,
                value: say::battery_at(80_u8),
                limit: say::mains(),
                verdict: Verdict::Blocks,
            }],
        },
        sandbox: Confinement {
            tier: Tier::Boxed,
            detail: "bubblewrap".to_owned(),
        },
        listening: Some(6055),
        window: WindowView::Open { seconds_left: 299 },
        pairings: vec![
            pairing(LinkState::Connected),
            pairing(LinkState::Connecting(say::refused_by_host())),
            pairing(LinkState::Orphaned),
            pairing(LinkState::AwaitingApproval),
        ],
        peers: vec![PeerView {
            peer: Peer {
                dashboard_id: "abc".parse().unwrap(),
                pin: pin(),
                public_key: PublicKey([7; 32]),
                label: Label::clipped("Laptop"),
                label_auto: false,
                paired_at: NOW,
                peer_ip: Some("10.0.0.7".parse().unwrap()),
                connect_back_port: None,
                friendly_name: FriendlyName::default(),
                ha_addon: true,
            },
            connected: true,
        }],
        pending: vec![PendingPeer {
            dashboard_id: "def".parse().unwrap(),
            pin: pin(),
            public_key: PublicKey([7; 32]),
            label: Label::clipped("Phone"),
            label_auto: false,
            peer_ip: None,
            friendly_name: FriendlyName::default(),
            ha_addon: false,
            requested_at: NOW,
        }],
        alerts: vec![Alert {
            pin: pin(),
            label: Label::clipped("Tower"),
            endpoint,
            kind: AlertKind::PinMismatch,
            observed: Some(pin()),
            since: NOW,
        }],
        discovered: vec![DiscoveredHost {
            name: "esphome-builder-ab".to_owned(),
            hostname: "esphome-builder-ab.local.".to_owned(),
            port: 6052,
            addresses: vec!["fe80::1".parse().unwrap()],
            server_version: "1.26.1b3".to_owned(),
            esphome_version: "2026.10.0".to_owned(),
            friendly_name: FriendlyName::clipped("MacBook-Pro"),
            pin: None,
            endpoint: None,
            ha_addon: false,
        }],
        jobs: vec![job()],
        queue: QueueStatus::of(false, 0),
        storage: storage(),
        notices: vec!["Quoted.".into(), say::keyring_locked()],
        at: NOW,
        own_label: Label::clipped("desk"),
    }
}

fn storage() -> Storage {
    let item = |kind, kept| StoredItem {
        kind,
        pin: Some(pin()),
        device: "kitchen".to_owned(),
        version: Some(version()),
        bytes: 5_000_000_000,
        last_used: NOW,
        kept,
    };
    Storage {
        measured_at: Some(NOW),
        used_bytes: 10_000_000_000,
        budget_bytes: Some(20 << 30),
        free_bytes: None,
        floor_bytes: Some(2 << 30),
        items: vec![
            item(StoredKind::Build, None),
            item(StoredKind::Environment, Some(Kept::OwnBuilds)),
        ],
    }
}

pub(crate) fn requests() -> Vec<Request> {
    let device = "kitchen".to_owned();
    vec![
        Request::Status,
        Request::RotateIdentity,
        Request::Preview("tower".parse().unwrap()),
        Request::Pair {
            endpoint: "tower".parse().unwrap(),
            pin: pin(),
            pairing_key: Some("ABCD-EFGH-JKMN-PQRS".to_owned()),
            label: Label::default(),
        },
        Request::Unpair(pin()),
        Request::SetPairingEnabled(pin(), false),
        Request::EditEndpoint(pin(), "tower:1".parse().unwrap()),
        Request::OpenWindow,
        Request::CloseWindow,
        Request::Approve("abc".parse().unwrap(), Some(Pin([7; 32]))),
        Request::Reject("abc".parse().unwrap()),
        Request::RemovePeer("abc".parse().unwrap()),
        Request::Devices,
        Request::Install {
            device: device.clone(),
            build: BuildChoice::On(pin()),
            port: Port::Address("10.0.0.9".to_owned()),
        },
        Request::Flash {
            device: device.clone(),
            port: Port::Ota,
        },
        Request::Compile {
            device: device.clone(),
            build: BuildChoice::Local,
        },
        Request::Clean { device },
        Request::Jobs,
        Request::Job(job_id()),
        Request::Cancel(job_id()),
        Request::BuildHere(job_id()),
        Request::Environments,
        Request::NewestEnvironment,
        Request::InstallEnvironment("2026.10.0".to_owned()),
        Request::ResetEnvironment(None),
        Request::ResetEnvironment(Some(pin())),
        Request::SerialPorts,
        Request::Settings,
        Request::SetSettings(vec![("receiver".to_owned(), "true".to_owned())]),
        Request::Audit(AuditQuestion::Entries(AuditFilter {
            since: Some(NOW),
            kind: Some(FactKind::Job),
            peer: Some(pin()),
            limit: Some(50),
        })),
        Request::Audit(AuditQuestion::Verify {
            noted: Some(Digest([9; 32])),
        }),
        Request::Audit(AuditQuestion::Statistics { since: Some(NOW) }),
        Request::Pause(Snooze::HalfHour),
        Request::Resume,
        Request::Storage,
        Request::Reclaim,
        Request::Shutdown,
    ]
}

pub(crate) fn devices() -> Vec<Device> {
    vec![Device {
        configuration: "kitchen.yaml".parse().unwrap(),
        name: "kitchen".to_owned(),
        friendly_name: "Kitchen".to_owned(),
        platform: "ESP32".to_owned(),
        address: "kitchen.local".to_owned(),
        presence: Presence::Unknown,
        built_version: String::new(),
        deployed_version: String::new(),
        last_build: Some(NOW),
        problem: None,
    }]
}

pub(crate) fn environments() -> Vec<EnvironmentInfo> {
    let environment = |state| EnvironmentInfo {
        version: version(),
        path: "/x".to_owned(),
        state,
        size_bytes: Some(1),
        installed: true,
    };
    vec![
        environment(EnvironmentState::Ready),
        environment(EnvironmentState::Installing(say::installing_python())),
        environment(EnvironmentState::Broken("gone".into())),
    ]
}

fn party() -> Party {
    Party {
        pin: pin(),
        label: Label::clipped("Laptop"),
    }
}

/// The audit tells time to the millisecond.
const MOMENT: Timestamp = Timestamp(1_790_000_000_123_000);

/// One entry of every kind, with every member.
fn entries() -> Vec<Entry> {
    let job = JobFact {
        step: JobStep::Ended,
        job: job_id(),
        kind: JobKind::Compile,
        sender: Some(party()),
        configuration: "kitchen.yaml".to_owned(),
        device: "Kitchen".to_owned(),
        built: Built::There(party()),
        accepted: MOMENT,
        started: Some(MOMENT),
        ended: Some(MOMENT),
        ran: Some(std::time::Duration::from_secs(60)),
        outcome: Some(JobOutcome::HandedBack),
        reason: "on battery".to_owned(),
        esphome_version: Some(version()),
        bundle: Some(Digest([1; 32])),
        artifacts: Some(Digest([2; 32])),
        tier: Some(Tier::Boxed),
        hosts: vec![ContactedHost {
            place: "pypi.org:443".to_owned(),
            reach: Reach::Reached,
        }],
        more_hosts: 3,
    };
    let facts = [
        Fact::Started {
            version: "0.1.0".to_owned(),
            pin: pin(),
            tier: Tier::Boxed,
        },
        Fact::Pairing(PairingFact {
            step: PairingStep::KeyChanged,
            side: Side::Receiver,
            party: party(),
            observed: Some(pin()),
        }),
        Fact::Rotated {
            from: pin(),
            to: pin(),
        },
        Fact::Session(SessionFact {
            step: SessionStep::Closed,
            side: Side::Offloader,
            party: party(),
            why: "the connection broke off".to_owned(),
        }),
        Fact::Job(Box::new(job)),
        Fact::Setting {
            name: "idle_minutes".to_owned(),
            old: "3".to_owned(),
            new: "5".to_owned(),
        },
    ];
    let entry = |(number, fact)| Entry {
        number,
        at: MOMENT,
        hash: Digest([9; 32]),
        fact,
    };
    (1..).zip(facts).map(entry).collect()
}

pub(crate) fn replies() -> Vec<Reply> {
    vec![
        Reply::Done,
        Reply::Status(Box::new(view())),
        Reply::Previewed {
            pin: pin(),
            requires_pairing_key: true,
            friendly_name: "tower".to_owned(),
        },
        Reply::Paired,
        Reply::PairingPending,
        Reply::Devices(devices()),
        Reply::Jobs(vec![job()]),
        Reply::Environments(environments()),
        Reply::NewestEnvironment(version()),
        Reply::SerialPorts {
            ports: vec![SerialPort {
                path: "/dev/ttyUSB0".to_owned(),
                product: "CP2102N USB to UART Bridge".to_owned(),
                usb: Some(UsbId {
                    vendor: 0x10c4,
                    product: 0xea60,
                    serial: "0001".to_owned(),
                }),
                state: PortState::Denied,
                problem: say::port_in_use("/dev/ttyUSB0", "minicom"),
            }],
            advice: say::port_advice_linux(),
        },
        Reply::Settings(Box::default()),
        Reply::Audit {
            entries: entries(),
            unreadable: 1,
        },
        Reply::AuditVerified(Verification::Intact(AuditSpan {
            first: 1,
            last: 6,
            head: Digest([9; 32]),
        })),
        Reply::AuditVerified(Verification::Broken {
            number: 3,
            fault: ChainFault::Changed,
        }),
        Reply::Statistics(Statistics {
            since: Some(NOW),
            given: vec![Given {
                party: party(),
                completed: 3,
                failed: 1,
                cancelled: 0,
                handed_back: 1,
                seconds: 900,
            }],
            gained: vec![Gained {
                party: party(),
                completed: 2,
                seconds: 90,
                compared: 1,
                saved_seconds: -5,
            }],
        }),
        Reply::Storage(Box::new(storage())),
        Reply::Reclaimed(Reclaimed {
            freed: storage().items,
            left: storage().items,
        }),
        Reply::Refused(RequestError {
            code: ErrorCode::NotFound,
            message: say::no_device("kitchen"),
            hint: say::hint_list_devices(),
        }),
    ]
}
