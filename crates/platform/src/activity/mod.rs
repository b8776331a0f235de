//! [`SystemActivity`]: what this machine says of itself and of its owner.
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

#[cfg(target_os = "linux")]
mod bus;
#[cfg(target_os = "linux")]
mod display;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod power;
#[cfg(target_os = "linux")]
mod remote;
#[cfg(target_os = "linux")]
mod toplevels;
#[cfg(target_os = "linux")]
mod wayland;
#[cfg(target_os = "linux")]
mod x11;

use std::path::{Path, PathBuf};

use kiln_model::Inputs;
use kiln_ports::Activity;
use kiln_ports::activity::Reading;

use crate::process::OwnPrograms;

/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// Reads the machine that Kiln runs on.
#[derive(Debug)]
pub struct SystemActivity(os::Machine);

impl SystemActivity {
    /// Reads this machine. Load that `own` programs make is left out. `power_supply` is a folder to be
    /// read instead of the system's list of batteries and mains, on Linux.
    pub fn new(own: OwnPrograms, power_supply: Option<PathBuf>) -> Self {
        Self(os::Machine::new(own, power_supply))
    }
}

#[async_trait::async_trait]
impl Activity for SystemActivity {
    async fn read(&self, reading: &Reading) -> Inputs {
        self.0.read(reading).await
    }
}

/// Returns the room on the disk that has the least, of those that can be read.
fn least(folders: &[PathBuf], free: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    folders.iter().filter_map(|folder| free(folder)).min()
}

/// Returns the room for ordinary users on the disk of a folder, or of the nearest one above it that
/// exists, in MiB.
#[cfg(unix)]
fn free_disk(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize) / MIB)
}

/// Returns local time minus UTC, in seconds.
fn utc_offset() -> i32 {
    let zone = jiff::tz::TimeZone::system();
    zone.to_offset(jiff::Timestamp::now()).seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_disk_of_a_folder_that_is_not_there_yet_is_read() {
        assert!(free_disk(Path::new("/there/is/none")).is_some());
    }

    #[test]
    fn of_several_disks_the_one_with_the_least_room_counts() {
        let free = |folder: &Path| match folder.to_str() {
            Some("/cache") => Some(9_000),
            Some("/state") => Some(7),
            _ => None,
        };
        let folders = ["/cache", "/state", "/not/there"].map(PathBuf::from);
        assert_eq!(least(&folders, free), Some(7));
        assert_eq!(least(&folders[..1], free), Some(9_000));
        assert_eq!(least(&folders[2..], free), None);
    }
}
