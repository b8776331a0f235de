//! [`Form`]: how a model type looks in JSON. Model types do not serialise themselves; here each has
//! exactly one form, used wherever it occurs.
use std::net::IpAddr;

use kiln_model::{
    AlertKind, ArtifactsRefusal, AvailabilityReason, Bootloader, BuildChoice, ChainFault,
    ConfigurationName, DashboardId, Digest, Endpoint, ErrorCode, EsphomeVersion, FactKind,
    FailureReason, FriendlyName, Input, JobId, JobKind, JobStatus, Kept, Label, PairingStatus,
    Pause, Pin, Port, PortState, Presence, PublicKey, RemoteSessions, SandboxMode, Snooze,
    StoredKind, Timestamp, Verdict, VersionPolicy, WhileInUse, WireJobId,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes and reads one model type.
pub(crate) trait Form: Sized {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// For `#[serde(with = "form")]`.
pub(crate) fn serialize<T: Form, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.put(to)
}

/// For `#[serde(with = "form")]`.
pub(crate) fn deserialize<'de, T: Form, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::take(from)
}

/// Lends a model type to serde.
pub(crate) struct Put<'a, T>(pub(crate) &'a T);

impl<T: Form> Serialize for Put<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.put(to)
    }
}

/// Receives a model type from serde.
pub(crate) struct Take<T>(pub(crate) T);

impl<'de, T: Form> Deserialize<'de> for Take<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::take(from).map(Take)
    }
}

impl<T: Form> Form for Vec<T> {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Put))
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let items = Vec::<Take<T>>::deserialize(from)?;
        Ok(items.into_iter().map(|item| item.0).collect())
    }
}

impl<T: Form> Form for Option<T> {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Put).serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<Take<T>>::deserialize(from)?.map(|item| item.0))
    }
}

impl<T: Form> Form for Box<T> {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().put(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::take(from).map(Box::new)
    }
}

/// Gives a struct its form by a mirror that serde's remote derive made.
macro_rules! mirrored {
    ($($model:ty => $mirror:ty),+ $(,)?) => {$(
        impl $crate::form::Form for $model {
            fn put<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                <$mirror>::serialize(self, to)
            }
            fn take<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <$mirror>::deserialize(from)
            }
        }
    )+};
}
pub(crate) use mirrored;

/// Gives a type a text form: how it is written, how it is read.
macro_rules! text {
    ($($model:ty: $write:expr, $read:expr;)+) => {$(
        impl Form for $model {
            fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$model) -> String = $write;
                to.serialize_str(&write(self))
            }
            fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                let read: fn(&str) -> Option<$model> = $read;
                read(&text).ok_or_else(|| {
                    let kind = stringify!($model);
                    D::Error::custom(format_args!("{text:?} is no {kind}"))
                })
            }
        }
    )+};
}

text! {
    Pin: Pin::to_string, |t| t.parse().ok();
    PublicKey: |k| Pin(k.0).to_string(), |t| t.parse::<Pin>().ok().map(|pin| PublicKey(pin.0));
    Digest: Digest::to_string, |t| t.parse().ok();
    DashboardId: DashboardId::to_string, |t| t.parse().ok();
    JobId: JobId::to_string, |t| t.parse().ok();
    WireJobId: WireJobId::to_string, |t| Some(WireJobId(t.to_owned()));
    Endpoint: Endpoint::to_string, |t| t.parse().ok();
    ConfigurationName: ConfigurationName::to_string, |t| t.parse().ok();
    EsphomeVersion: EsphomeVersion::to_string, EsphomeVersion::parse;
    Label: Label::to_string, |t| Some(Label::clipped(t));
    FriendlyName: FriendlyName::to_string, |t| Some(FriendlyName::clipped(t));
    IpAddr: IpAddr::to_string, |t| t.parse().ok();
    JobKind: |v| v.word().to_owned(), JobKind::from_word;
    JobStatus: |v| v.word().to_owned(), JobStatus::from_word;
    RemoteSessions: |v| v.word().to_owned(), RemoteSessions::from_word;
    SandboxMode: |v| v.word().to_owned(), SandboxMode::from_word;
    VersionPolicy: |v| v.word().to_owned(), VersionPolicy::from_word;
    WhileInUse: |v| v.word().to_owned(), WhileInUse::from_word;
    AvailabilityReason: |v| v.word().to_owned(), AvailabilityReason::from_word;
    StoredKind: |v| v.word().to_owned(), StoredKind::from_word;
    Kept: |v| v.word().to_owned(), Kept::from_word;
    Input: |v| v.word().to_owned(), Input::from_word;
    Verdict: |v| v.word().to_owned(), Verdict::from_word;
    FactKind: |v| v.word().to_owned(), FactKind::from_word;
    ChainFault: |v| v.word().to_owned(), ChainFault::from_word;
    Snooze: |v| v.word().to_owned(), Snooze::from_word;
    Pause: Pause::to_string, |t| t.parse().ok();
    ArtifactsRefusal: |v| v.word().to_owned(), ArtifactsRefusal::from_word;
    ErrorCode: |v| v.word().to_owned(), ErrorCode::from_word;
    PortState: |v| v.word().to_owned(), PortState::from_word;
    BuildChoice: write_build, read_build;
    Port: write_port, read_port;
}

/// Gives an enum without fields a word for each variant.
macro_rules! choice {
    ($($model:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {$(
        impl Form for $model {
            fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(match self { $($model::$variant => $word),+ })
            }
            fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(from)?;
                match &*word {
                    $($word => Ok($model::$variant),)+
                    _ => Err(D::Error::unknown_variant(&word, &[$($word),+])),
                }
            }
        }
    )+};
}

choice! {
    PairingStatus { Pending = "pending", Approved = "approved" }
    AlertKind {
        PinMismatch = "pin_mismatch", PeerRevoked = "peer_revoked", Superseded = "superseded",
    }
    FailureReason { Provision = "provision" }
    Bootloader { Include = "include", Skip = "skip" }
    Presence { Online = "online", Offline = "offline", Unknown = "unknown" }
}

/// Seconds since the epoch, to the microsecond.
impl Form for Timestamp {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.as_seconds())
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(from)?;
        Ok(Timestamp((seconds * 1e6).round() as i64))
    }
}

/// `auto`, `local`, or the pin of the one receiver.
fn write_build(build: &BuildChoice) -> String {
    match build {
        BuildChoice::Auto => "auto".to_owned(),
        BuildChoice::Local => "local".to_owned(),
        BuildChoice::On(pin) => pin.to_string(),
    }
}

fn read_build(text: &str) -> Option<BuildChoice> {
    match text {
        "auto" => Some(BuildChoice::Auto),
        "local" => Some(BuildChoice::Local),
        pin => pin.parse().ok().map(BuildChoice::On),
    }
}

/// `ota`, `address:HOST` or `serial:PATH`.
fn write_port(port: &Port) -> String {
    match port {
        Port::Ota => "ota".to_owned(),
        Port::Address(host) => format!("address:{host}"),
        Port::Serial(path) => format!("serial:{path}"),
    }
}

fn read_port(text: &str) -> Option<Port> {
    match text.split_once(':') {
        None if text == "ota" => Some(Port::Ota),
        Some(("address", host)) => Some(Port::Address(host.to_owned())),
        Some(("serial", path)) => Some(Port::Serial(path.to_owned())),
        None | Some(_) => None,
    }
}
