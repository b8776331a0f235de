//! Windows: what the system's own API says of input, power, memory, disk and programs.
use std::ffi::OsStr;
use std::os::windows::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use kiln_model::{Foreground, Inputs, Network, Power, RemoteKind, RemoteSession, Saver};
use kiln_ports::activity::{Depth, Reading};
use windows::Networking::Connectivity::{NetworkCostType, NetworkInformation};
use windows::Win32::Foundation::{CloseHandle, FILETIME};
use windows::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};
use windows::Win32::System::RemoteDesktop::{
    ProcessIdToSessionId, WTS_INFO_CLASS, WTS_SESSION_INFOW, WTSActive, WTSClientProtocolType,
    WTSEnumerateSessionsW, WTSFreeMemory, WTSINFOW, WTSQuerySessionInformationW, WTSSessionInfo,
};
use windows::Win32::System::SystemInformation::{
    GetTickCount, GlobalMemoryStatusEx, MEMORYSTATUSEX,
};
use windows::Win32::System::Threading::{GetCurrentProcessId, GetSystemTimes};
use windows::Win32::UI::Input::KeyboardAndMouse::{GetLastInputInfo, LASTINPUTINFO};
use windows::Win32::UI::Shell::{
    QUNS_BUSY, QUNS_PRESENTATION_MODE, QUNS_RUNNING_D3D_FULL_SCREEN, SHQueryUserNotificationState,
};
use windows::core::{PCWSTR, PWSTR};

use super::{MIB, least, utc_offset};
use crate::process::OwnPrograms;

#[derive(Debug)]
pub(super) struct Machine {
    own: OwnPrograms,
    last: std::sync::Mutex<Option<(u64, u64)>>,
}

impl Machine {
    pub(super) fn new(own: OwnPrograms, _power_supply: Option<std::path::PathBuf>) -> Self {
        Self {
            own,
            last: std::sync::Mutex::default(),
        }
    }

    pub(super) async fn read(&self, reading: &Reading) -> Inputs {
        let visitors = std::future::ready(visitors(idle())).await;
        let Visitors { idle, remote } = visitors;
        if reading.depth == Depth::Owner {
            return Inputs {
                idle,
                remote,
                free_memory: free_memory(),
                free_disk: least(&reading.folders, free_disk),
                ..Inputs::default()
            };
        }
        let (power, saver) = power();
        Inputs {
            idle,
            remote,
            power,
            // Told to windows only, and Kiln has none.
            lid: None,
            saver,
            heat: None,
            other_load: self.load(),
            free_memory: free_memory(),
            free_disk: least(&reading.folders, free_disk),
            network: network(),
            apps: running(&reading.apps),
            foreground: foreground(),
            utc_offset: Some(utc_offset()),
        }
    }

    /// Returns the load since the last reading. While programs of ours run it is not told apart from
    /// theirs, and so not known.
    fn load(&self) -> Option<u8> {
        let now = system_times()?;
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = last.replace(now).filter(|_| !self.own.any())?;
        let all = now.0.checked_sub(before.0).filter(|all| *all > 0)?;
        let busy = all.saturating_sub(now.1.saturating_sub(before.1));
        Some(u8::try_from((busy * 100 / all).min(100)).unwrap_or(100))
    }
}

#[expect(unsafe_code, reason = "input is read through the system's API")]
fn idle() -> Option<Duration> {
    let mut info = LASTINPUTINFO {
        cbSize: u32::try_from(size_of::<LASTINPUTINFO>()).ok()?,
        dwTime: 0,
    };
    // SAFETY: the structure carries its own size and outlives the call.
    let now = unsafe {
        GetLastInputInfo(&mut info).ok().ok()?;
        GetTickCount()
    };
    Some(Duration::from_millis(now.wrapping_sub(info.dwTime).into()))
}

/// Who is here, and who is elsewhere.
struct Visitors {
    idle: Option<Duration>,
    remote: Option<Vec<RemoteSession>>,
}

/// The protocol of a session over a remote desktop (WTSClientProtocolType).
const REMOTE_DESKTOP: u16 = 2;

/// Tells input here from that over remote desktops. `idle` is that of the session that Kiln runs in,
/// which may be one of these. Whoever comes over SSH has no session of their own and is not told.
fn visitors(idle: Option<Duration>) -> Visitors {
    let Some(sessions) = active_sessions() else {
        return Visitors { idle, remote: None };
    };
    let own = own_session();
    let mut here = idle;
    let mut remote = Vec::new();
    for id in sessions {
        if ask::<u16>(id, WTSClientProtocolType) != Some(REMOTE_DESKTOP) {
            continue;
        }
        let kind = RemoteKind::Desktop;
        let idle = match own == Some(id) {
            true => here.take(),
            false => ask::<WTSINFOW>(id, WTSSessionInfo).and_then(|info| since_input(&info)),
        };
        remote.push(RemoteSession { kind, idle });
    }
    Visitors {
        idle: here,
        remote: Some(remote),
    }
}

/// Returns the time since the last input of a session; some systems tell none.
fn since_input(info: &WTSINFOW) -> Option<Duration> {
    let last = Some(info.LastInputTime).filter(|last| *last > 0)?;
    let ticks = u64::try_from(info.CurrentTime.checked_sub(last)?).ok()?;
    // A tick is 100 ns.
    Some(Duration::from_micros(ticks / 10))
}

#[expect(unsafe_code, reason = "sessions are read through the system's API")]
fn own_session() -> Option<u32> {
    let mut id = 0;
    // SAFETY: the number outlives the call.
    unsafe { ProcessIdToSessionId(GetCurrentProcessId(), &mut id) }.ok()?;
    Some(id)
}

/// Returns the sessions that somebody is connected to.
#[expect(unsafe_code, reason = "sessions are read through the system's API")]
fn active_sessions() -> Option<Vec<u32>> {
    let mut list: *mut WTS_SESSION_INFOW = std::ptr::null_mut();
    let mut count = 0;
    // SAFETY: both outlive the call, and it says how long the list is that is freed once.
    unsafe {
        WTSEnumerateSessionsW(None, 0, 1, &mut list, &mut count).ok()?;
        let length = usize::try_from(count).unwrap_or_default();
        let all = match list.is_null() {
            true => &[][..],
            false => std::slice::from_raw_parts(list, length),
        };
        let active = all.iter().filter(|session| session.State == WTSActive);
        let ids = active.map(|session| session.SessionId).collect();
        WTSFreeMemory(list.cast());
        Some(ids)
    }
}

/// Asks something of a session that is answered with a `T`.
#[expect(unsafe_code, reason = "sessions are read through the system's API")]
fn ask<T: Copy>(session: u32, what: WTS_INFO_CLASS) -> Option<T> {
    let mut answer = PWSTR::null();
    let mut length = 0;
    // SAFETY: the answer is read only if it is as long as a `T`, which has no invalid values here,
    // and freed once.
    unsafe {
        WTSQuerySessionInformationW(None, session, what, &mut answer, &mut length).ok()?;
        let long_enough = usize::try_from(length).is_ok_and(|length| length >= size_of::<T>());
        let read = (long_enough && !answer.is_null())
            .then(|| answer.as_ptr().cast::<T>().read_unaligned());
        WTSFreeMemory(answer.as_ptr().cast());
        read
    }
}

/// Returns how the program in front is shown, as the system judges before it shows notifications. While
/// the screen is locked there is none.
#[expect(unsafe_code, reason = "the screen is read through the system's API")]
fn foreground() -> Option<Foreground> {
    // SAFETY: the function takes nothing and returns a number.
    let state = unsafe { SHQueryUserNotificationState() }.ok()?;
    Some(match state {
        QUNS_BUSY | QUNS_RUNNING_D3D_FULL_SCREEN | QUNS_PRESENTATION_MODE => Foreground::FullScreen,
        _ => Foreground::Windowed,
    })
}

#[expect(unsafe_code, reason = "power is read through the system's API")]
fn power() -> (Option<Power>, Option<Saver>) {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: the structure outlives the call.
    if unsafe { GetSystemPowerStatus(&mut status) }.is_err() {
        return (None, None);
    }
    let percent = Some(status.BatteryLifePercent).filter(|percent| *percent <= 100);
    let power = match status.ACLineStatus {
        0 => Some(Power::Battery(percent)),
        1 => Some(Power::Mains),
        _ => None,
    };
    let saver = match status.SystemStatusFlag {
        0 => Saver::Off,
        _ => Saver::On,
    };
    (power, Some(saver))
}

/// Returns whether the network that leads to the internet is paid by volume, or its owner said so.
fn network() -> Option<Network> {
    let profile = NetworkInformation::GetInternetConnectionProfile().ok()?;
    match profile.GetConnectionCost().ok()?.NetworkCostType().ok()? {
        NetworkCostType::Unrestricted => Some(Network::Free),
        NetworkCostType::Fixed | NetworkCostType::Variable => Some(Network::Metered),
        _ => None,
    }
}

#[expect(unsafe_code, reason = "memory is read through the system's API")]
fn free_memory() -> Option<u64> {
    let mut status = MEMORYSTATUSEX {
        dwLength: u32::try_from(size_of::<MEMORYSTATUSEX>()).ok()?,
        ..Default::default()
    };
    // SAFETY: the structure carries its own size and outlives the call.
    unsafe { GlobalMemoryStatusEx(&mut status) }.ok()?;
    Some(status.ullAvailPhys / MIB)
}

#[expect(unsafe_code, reason = "disk space is read through the system's API")]
fn free_disk(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let name: Vec<u16> = OsStr::new(there).encode_wide().chain([0]).collect();
    let mut free = 0;
    // SAFETY: the name ends with a zero, and both outlive the call.
    unsafe { GetDiskFreeSpaceExW(PCWSTR(name.as_ptr()), Some(&mut free), None, None) }.ok()?;
    Some(free / MIB)
}

/// Returns all and idle time of all processors together.
#[expect(unsafe_code, reason = "load is read through the system's API")]
fn system_times() -> Option<(u64, u64)> {
    let (mut idle, mut kernel, mut user) = (
        FILETIME::default(),
        FILETIME::default(),
        FILETIME::default(),
    );
    // SAFETY: the structures outlive the call.
    unsafe { GetSystemTimes(Some(&mut idle), Some(&mut kernel), Some(&mut user)) }.ok()?;
    let ticks = |t: FILETIME| u64::from(t.dwHighDateTime) << 32 | u64::from(t.dwLowDateTime);
    // Kernel time holds the idle time.
    Some((ticks(kernel) + ticks(user), ticks(idle)))
}

/// Returns which of these programs run, with or without `.exe`.
#[expect(
    unsafe_code,
    reason = "the process table is read through the system's API"
)]
fn running(wanted: &[String]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    if wanted.is_empty() {
        return Some(found);
    }
    // SAFETY: the snapshot is closed once; the entry carries its own size, as the API wants.
    unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0).ok()?;
        let mut entry = PROCESSENTRY32W {
            dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or_default(),
            ..Default::default()
        };
        let mut next = Process32FirstW(snapshot, &mut entry);
        while next.is_ok() {
            let name = String::from_utf16_lossy(&entry.szExeFile).to_lowercase();
            let name = name.trim_end_matches('\0');
            let bare = name.strip_suffix(".exe").unwrap_or(name);
            let hit = wanted.iter().find(|w| *w == name || *w == bare);
            if let Some(hit) = hit.filter(|hit| !found.contains(*hit)) {
                found.push(hit.clone());
            }
            next = Process32NextW(snapshot, &mut entry);
        }
        let _ = CloseHandle(snapshot);
    }
    found.sort();
    Some(found)
}
