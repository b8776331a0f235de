//! [`Node`]: one engine: starts everything in a written order, runs the loop, stops politely.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::{Domain, Event};
use kiln_model::{DashboardId, Pin};
use kiln_ports::store::StoreError;
use kiln_ports::{Clock, Control, Discovery, Net, Processes, Secrets, Store};
use tokio::sync::{mpsc, watch};

use crate::identity::IdentityError;

/// Events that may wait for the loop before senders have to.
const EVENTS_WAITING: usize = 1024;

/// The world, as the engine needs it.
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Peer-link connections.
    pub net: Arc<dyn Net>,
    /// mDNS.
    pub discovery: Arc<dyn Discovery>,
    /// Programs.
    pub processes: Arc<dyn Processes>,
    /// Private key and trust anchors.
    pub secrets: Arc<dyn Secrets>,
    /// Records, blobs, logs.
    pub store: Arc<dyn Store>,
    /// The local front door.
    pub control: Box<dyn Control>,
}

/// Folders and facts that do not change while a node runs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Received configurations and their build trees.
    pub received: PathBuf,
    /// ESPHome environments.
    pub environments: PathBuf,
    /// Scratch files of one run; emptied at start.
    pub scratch: PathBuf,
    /// The owner's home, for `~/esphome`.
    pub home: PathBuf,
    /// Version of Kiln.
    pub version: String,
    /// Name of this machine.
    pub machine: String,
    /// The environment Kiln was started with, from which children get a chosen part.
    pub environment: Vec<(String, String)>,
    /// Interpreter named on the command line or in `KILN_PYTHON`.
    pub python: Option<PathBuf>,
    /// Seed for ids; from the system's random numbers.
    pub seed: u64,
}

/// Printed once when the node serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Our pin.
    pub pin: Pin,
    /// Our id.
    pub dashboard_id: DashboardId,
    /// Address and port of the peer link, when it listens.
    pub link: Option<String>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
