//! [`Settings`]: everything the owner can change, with its default.
use crate::link::words;

words! {
    /// Which receivers' ESPHome versions are acceptable (builds.md §1.3).
    VersionPolicy {
        /// Every receiver.
        Any = "any",
        /// Same release line.
        Release = "release",
        /// Same version or unknown.
        Exact = "exact",
        /// Same version, both known; never falls back to local silently.
        ExactRequired = "exact_required",
    }
}

words! {
    /// Names of settings, as used by `kiln settings`.
    SettingKey {
        /// Compile for paired offloaders.
        Receiver = "receiver",
        /// Use paired receivers for own installs.
        RemoteBuilds = "remote_builds",
        /// Version policy.
        VersionPolicy = "version_policy",
        /// Overflow to this machine when all receivers are busy with our work.
        IncludeLocal = "include_local",
        /// Folder of the owner's configurations.
        EsphomeDir = "esphome_dir",
        /// Python interpreter to make environments with; empty: found.
        Python = "python",
        /// ESPHome version for own builds; empty: newest installed.
        EsphomeVersion = "esphome_version",
        /// Address the peer link listens on.
        ListenHost = "listen_host",
        /// First port the peer link tries.
        ListenPort = "listen_port",
        /// Seconds after which unused received bundles are deleted.
        CleanupTtl = "cleanup_ttl_seconds",
        /// Name announced to others; empty: the machine's.
        FriendlyName = "friendly_name",
    }
}

/// The owner's settings; every field has a default (builds.md §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Compile for paired offloaders. On, since a node is started to do that; whom it hears is
    /// decided by the pairing window and by approval.
    pub receiver: bool,
    /// Use paired receivers for own installs.
    pub remote_builds: bool,
    /// Which receivers' versions are acceptable.
    pub version_policy: VersionPolicy,
    /// Overflow to this machine when all receivers are busy with our work.
    pub include_local: bool,
    /// Folder of the owner's configurations; empty: `~/esphome`.
    pub esphome_dir: String,
    /// Python interpreter for environments; empty: found.
    pub python: String,
    /// ESPHome version for own builds; empty: newest installed.
    pub esphome_version: String,
    /// Address the peer link listens on.
    pub listen_host: String,
    /// First port the peer link tries (of ten); 0: any free one.
    pub listen_port: u16,
    /// Seconds after which unused received bundles are deleted: 3,600 to 2,592,000.
    pub cleanup_ttl_seconds: u32,
    /// Name announced to others; empty: the machine's.
    pub friendly_name: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receiver: true,
            remote_builds: true,
            version_policy: VersionPolicy::Any,
            include_local: false,
            esphome_dir: String::new(),
            python: String::new(),
            esphome_version: String::new(),
            listen_host: "0.0.0.0".to_owned(),
            listen_port: 6055,
            cleanup_ttl_seconds: 86_400,
            friendly_name: String::new(),
        }
    }
}
