//! [`Inputs`]: what a machine says of itself and its owner at one moment.
use std::time::Duration;

/// One reading. Every part can be missing: what cannot be read is `None`, never a guess.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Time since the owner's last key or pointer event at this computer.
    pub idle: Option<Duration>,
    /// Who is logged in from elsewhere, in no order; empty: nobody.
    pub remote: Option<Vec<RemoteSession>>,
    /// Where the power comes from.
    pub power: Option<Power>,
    /// Whether the lid of a laptop is open.
    pub lid: Option<Lid>,
    /// Whether the system saves power.
    pub saver: Option<Saver>,
    /// Whether the system says that it is too hot.
    pub heat: Option<Heat>,
    /// Load that other programs make, in percent of all cores. Kiln and what it runs are left out.
    pub other_load: Option<u8>,
    /// Memory that a program could still get, in MiB.
    pub free_memory: Option<u64>,
    /// Room on the disk that builds are made on, in MiB.
    pub free_disk: Option<u64>,
    /// Whether the network is metered.
    pub network: Option<Network>,
    /// Programs that run, of those that were asked about.
    pub apps: Option<Vec<String>>,
    /// How the program in front is shown.
    pub foreground: Option<Foreground>,
    /// Local time minus UTC, in seconds.
    pub utc_offset: Option<i32>,
}

/// Somebody who is logged in from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteSession {
    /// How.
    pub kind: RemoteKind,
    /// Time since the last input from there; `None`: it is not told.
    pub idle: Option<Duration>,
}

/// How somebody is logged in from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteKind {
    /// With a screen of this computer.
    Desktop,
    /// With a terminal, as over SSH.
    Shell,
}

/// Where the power comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// The mains, or a machine without a battery.
    Mains,
    /// The battery; with its charge in percent, if that is known.
    Battery(Option<u8>),
}

/// Whether the lid of a laptop is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lid {
    /// It is, or it is closed over a machine in its dock.
    Open,
    /// It is closed.
    Closed,
}

/// Whether the system saves power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saver {
    /// No.
    Off,
    /// Yes.
    On,
}

/// Whether it is too hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heat {
    /// No.
    Normal,
    /// The system slows down because of it.
    Hot,
}

/// How the program in front is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreground {
    /// In a window, or there is none.
    Windowed,
    /// It covers a whole screen.
    FullScreen,
}

/// What the network costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nothing by the byte.
    Free,
    /// The owner pays for bytes.
    Metered,
}
