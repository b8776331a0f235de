//! [`DashboardFiles`]: what a Device Builder dashboard that is being retired keeps on disk.
use std::path::PathBuf;

use crate::secrets::SecretBytes;

/// The state files of a dashboard as they were read, unjudged (peer-link.md §1.1, §1.3, §4.8).
/// `None` where there is no such file.
#[derive(Debug)]
pub struct DashboardFiles {
    /// Its configuration directory, absolute.
    pub dir: PathBuf,
    /// Whether device configurations lie there.
    pub has_configurations: bool,
    /// `.device-builder-peer-link-key.bin`.
    pub key: Option<SecretBytes>,
    /// `.device-builder.json`.
    pub metadata: Option<Vec<u8>>,
    /// `.receiver_peers.json`.
    pub receiver_peers: Option<Vec<u8>>,
    /// `.offloader_pairings.json`.
    pub offloader_pairings: Option<Vec<u8>>,
}
