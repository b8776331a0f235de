//! [`Settings`]: everything the owner can change, with its default.
use std::path::{Path, PathBuf};

use crate::link::words;
use crate::{Pause, SandboxMode};

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
    /// Who of those logged in from elsewhere counts as the owner at this computer.
    RemoteSessions {
        /// Everybody.
        Count = "count",
        /// Who works at a remote desktop.
        Desktop = "desktop",
        /// Nobody.
        Ignore = "ignore",
    }
}

words! {
    /// What becomes of builds for others while the owner is at this computer.
    WhileInUse {
        /// They give way, and new ones are not taken.
        Stop = "stop",
        /// They go on within the limits for that.
        Limit = "limit",
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
        /// Minutes without input after which the owner counts as away; 0: input is not looked at.
        IdleMinutes = "idle_minutes",
        /// What becomes of builds for others while the owner is there.
        WhileInUse = "while_in_use",
        /// Whose input from elsewhere counts as the owner's.
        RemoteSessions = "remote_sessions",
        /// Compile for others on battery.
        OnBattery = "on_battery",
        /// Compile for others over a metered network.
        OnMetered = "on_metered",
        /// Hours per weekday in which to compile for others; empty: always.
        Hours = "hours",
        /// Programs that get the computer for themselves, by name.
        ExclusiveApps = "exclusive_apps",
        /// Compile for others beside a program in full screen.
        BesideFullScreen = "beside_full_screen",
        /// Load of other programs above which nothing is compiled for others.
        CpuLimit = "cpu_limit",
        /// Memory that stays free.
        RamFloor = "ram_floor_mb",
        /// Disk space that stays free.
        DiskFloor = "disk_floor_mb",
        /// Disk space that stays free while the owner is there.
        InUseDiskFloor = "in_use_disk_floor_mb",
        /// Disk space that Kiln may use.
        StorageBudget = "storage_budget_mb",
        /// Cores of a build for others while nobody is there.
        IdleCores = "idle_cores",
        /// Cores left to a build for others while it is in the owner's way.
        InUseCores = "in_use_cores",
        /// Memory that a build for others may hold while nobody is there.
        IdleRam = "idle_ram_percent",
        /// Memory that a build for others may hold while it is in the owner's way.
        InUseRam = "in_use_ram_percent",
        /// Minutes for which a build of others is held before it is handed back.
        YieldMinutes = "yield_minutes",
        /// Minutes in a day for which each offloader's builds may run here; 0: any number.
        DailyMinutes = "daily_minutes",
        /// The owner's pause.
        PausedUntil = "paused_until",
        /// Whether builds for others have to run in a box.
        Sandbox = "sandbox",
        /// Hosts that builds for others may reach; empty: the built-in list.
        BuildHosts = "build_hosts",
        /// Folders that builds for others may read beside ESPHome's own; empty: none.
        BuildFolders = "build_folders",
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
    /// Minutes without input after which the owner counts as away, up to 1,440; 0: input is not
    /// looked at. 3, as in BOINC.
    pub idle_minutes: u16,
    /// What becomes of builds for others while the owner is there: less than `idle_minutes` without
    /// input.
    pub while_in_use: WhileInUse,
    /// Whose input from elsewhere counts as the owner's. That over a remote desktop: its user works
    /// with this computer, only farther away. A shell is as often a look at a machine that has no
    /// owner in front of it, `kiln status` included.
    pub remote_sessions: RemoteSessions,
    /// Compile for others on battery, too.
    pub on_battery: bool,
    /// Compile for others over a metered network, too.
    pub on_metered: bool,
    /// Hours per weekday, as in `mon-fri 18:00-08:00; sat,sun all`; empty: always.
    pub hours: String,
    /// Names of programs, separated by commas, beside which nothing is compiled for others.
    pub exclusive_apps: String,
    /// Compile for others beside a program in full screen, too. Off: who watches a film or holds a talk
    /// gives no input for a long time, and a game wants the whole computer.
    pub beside_full_screen: bool,
    /// Load of other programs, in percent of all cores, above which nothing is compiled for others;
    /// 0: load is not looked at. It counts only where the owner's input can be seen: a machine without
    /// a screen has nobody who waits for it. 50, as in BOINC.
    pub cpu_limit: u8,
    /// Memory that stays free, in MiB; 0: not looked at.
    pub ram_floor_mb: u32,
    /// Disk space that stays free, in MiB; 0: not looked at. Below it nothing is compiled for others;
    /// while less than twice as much is free, what can be made again is deleted.
    pub disk_floor_mb: u32,
    /// Disk space that stays free while the owner is there, in MiB; what is less than `disk_floor_mb`
    /// changes nothing.
    pub in_use_disk_floor_mb: u32,
    /// Disk space that Kiln may use for bundles, builds, toolchains and environments, in MiB; 0: any
    /// amount. 20 GiB (trust.md §1.7).
    pub storage_budget_mb: u32,
    /// Cores of a build for others while it is in nobody's way: up to 64; 0: all.
    pub idle_cores: u8,
    /// Cores left to a build for others while it is in the owner's way, or the owner is there: 1 to 64.
    pub in_use_cores: u8,
    /// Memory that a build for others may hold while it is in nobody's way, in percent of this
    /// machine's: 5 to 75. 75 (trust.md §1.7).
    pub idle_ram_percent: u8,
    /// The same while it is in the owner's way, or the owner is there.
    pub in_use_ram_percent: u8,
    /// Minutes for which a build of others is held before it is handed back: 0 to 60.
    pub yield_minutes: u16,
    /// Minutes in 24 hours for which the builds of one offloader may run here, up to 1,440; 0: any
    /// number. 480: a large household after a release of ESPHome, and nobody's compute farm.
    pub daily_minutes: u16,
    /// The owner's pause.
    pub paused: Pause,
    /// Whether builds for others have to run in a box.
    pub sandbox: SandboxMode,
    /// Hosts that builds for others may reach, as [`crate::BuildHosts`] reads them.
    pub build_hosts: String,
    /// Folders that builds for others may read beside ESPHome's own: absolute paths, separated as
    /// in the system's search path.
    pub build_folders: String,
}

impl Settings {
    /// Returns the folder of the owner's configurations: as set, below `home` for `~/`, and
    /// `~/esphome` if nothing is set.
    pub fn esphome_folder(&self, home: &Path) -> PathBuf {
        match self.esphome_dir.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None if self.esphome_dir.is_empty() => home.join("esphome"),
            None => PathBuf::from(&self.esphome_dir),
        }
    }
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
            idle_minutes: 3,
            while_in_use: WhileInUse::Stop,
            remote_sessions: RemoteSessions::Desktop,
            on_battery: false,
            on_metered: false,
            hours: String::new(),
            exclusive_apps: String::new(),
            beside_full_screen: false,
            cpu_limit: 50,
            ram_floor_mb: 512,
            disk_floor_mb: 2_048,
            in_use_disk_floor_mb: 0,
            storage_budget_mb: 20_480,
            idle_cores: 0,
            in_use_cores: 1,
            idle_ram_percent: 75,
            in_use_ram_percent: 75,
            yield_minutes: 10,
            daily_minutes: 480,
            paused: Pause::Off,
            sandbox: SandboxMode::Required,
            build_hosts: String::new(),
            build_folders: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_configurations_may_begin_at_home() {
        for (set, folder) in [
            ("", "/home/anna/esphome"),
            ("~/smart home", "/home/anna/smart home"),
            ("/srv/esphome", "/srv/esphome"),
        ] {
            let settings = Settings {
                esphome_dir: set.to_owned(),
                ..Settings::default()
            };
            let found = settings.esphome_folder(Path::new("/home/anna"));
            assert_eq!(found, Path::new(folder), "{set:?}");
        }
    }
}
