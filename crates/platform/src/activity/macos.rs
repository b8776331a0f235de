//! macOS: what the window server, `pmset(1)`, `vm_stat(1)` and `ps(1)` say.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_model::{Foreground, Heat, Inputs, Power, RemoteKind, RemoteSession, Saver};
use kiln_ports::activity::{Depth, Reading};
use objc2_core_foundation::{
    CFArray, CFDictionary, CFNumber, CFRetained, CFString, CFType, CGRect,
};
use objc2_core_graphics::{
    CGDisplayBounds, CGError, CGGetActiveDisplayList, CGRectMakeWithDictionaryRepresentation,
    CGWindowListCopyWindowInfo, CGWindowListOption, kCGNullWindowID, kCGWindowBounds,
    kCGWindowLayer,
};
use objc2_foundation::{NSProcessInfo, NSProcessInfoThermalState};

use super::{MIB, free_disk, least, utc_offset};
use crate::process::OwnPrograms;

#[link(name = "CoreGraphics", kind = "framework")]
#[expect(
    unsafe_code,
    reason = "the system's own way to tell the time since the last input"
)]
unsafe extern "C" {
    fn CGEventSourceSecondsSinceLastEventType(state: i32, event: u32) -> f64;
}

/// `kCGEventSourceStateHIDSystemState` and `kCGAnyInputEventType`.
const HARDWARE: i32 = 1;
const ANY_INPUT: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Machine;

impl Machine {
    pub(super) fn new(_own: OwnPrograms, _power_supply: Option<PathBuf>) -> Self {
        Self
    }

    pub(super) async fn read(&self, reading: &Reading) -> Inputs {
        let idle = std::future::ready(idle()).await;
        let remote = remote();
        if reading.depth == Depth::Owner {
            return Inputs {
                idle,
                remote,
                free_disk: least(&reading.folders, free_disk),
                ..Inputs::default()
            };
        }
        Inputs {
            idle,
            remote,
            power: power(&said("/usr/bin/pmset", &["-g", "batt"])),
            // A portable Mac with a closed lid sleeps whatever is held, unless it is in use with a display.
            lid: None,
            saver: saver(&said("/usr/bin/pmset", &["-g"])),
            heat: heat(NSProcessInfo::processInfo().thermalState()),
            other_load: None,
            free_memory: free_memory(&said("/usr/bin/vm_stat", &[])),
            free_disk: least(&reading.folders, free_disk),
            network: None,
            apps: Some(running(&reading.apps)),
            foreground: foreground(),
            utc_offset: Some(utc_offset()),
        }
    }
}

#[expect(unsafe_code, reason = "input is read through the system's API")]
fn idle() -> Option<Duration> {
    // SAFETY: the function takes two numbers and touches no memory of ours.
    let seconds = unsafe { CGEventSourceSecondsSinceLastEventType(HARDWARE, ANY_INPUT) };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Returns who is logged in over a shell, with when its terminal was last read from. Who shares the
/// screen uses the same one as whoever sits here, and is not told apart.
#[expect(
    unsafe_code,
    reason = "the table of logins is read through the system's API"
)]
fn remote() -> Option<Vec<RemoteSession>> {
    /// The system reads on where it was, for everybody.
    static TABLE: Mutex<()> = Mutex::new(());
    let _alone = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut terminals = None;
    // SAFETY: nobody else here asks for entries, and each is read before the next is asked for.
    unsafe {
        libc::setutxent();
        while let Some(entry) = libc::getutxent().as_ref() {
            let terminals: &mut Vec<String> = terminals.get_or_insert_default();
            if entry.ut_type == libc::USER_PROCESS && !text(&entry.ut_host).is_empty() {
                terminals.push(text(&entry.ut_line));
            }
        }
        libc::endutxent();
    }
    let unread = |terminal: &String| {
        let terminal = std::fs::metadata(Path::new("/dev").join(terminal));
        let read = terminal.ok()?.accessed().ok()?;
        Some(read.elapsed().unwrap_or_default())
    };
    let session = |terminal: &String| RemoteSession {
        kind: RemoteKind::Shell,
        idle: unread(terminal),
    };
    terminals.map(|terminals| terminals.iter().map(session).collect())
}

/// Reads a text that ends with a zero, if it does not fill its place.
fn text(place: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = place.iter().map(|c| c.cast_unsigned()).collect();
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Largest number of screens that are looked at.
const SCREENS: usize = 16;

/// Returns how the program in front is shown: its window is the first of those on the usual layer, and
/// in full screen when it covers a screen from edge to edge. A maximised one leaves out the menu bar.
fn foreground() -> Option<Foreground> {
    let window = front_window()?;
    let covered = screens()?.contains(&window);
    Some(match covered {
        true => Foreground::FullScreen,
        false => Foreground::Windowed,
    })
}

/// Returns where the frontmost window is; an empty place if there is none. Places need no permission,
/// titles would.
#[expect(unsafe_code, reason = "windows are read through the system's API")]
fn front_window() -> Option<CGRect> {
    let shown = CGWindowListOption::OptionOnScreenOnly | CGWindowListOption::ExcludeDesktopElements;
    let windows = CGWindowListCopyWindowInfo(shown, kCGNullWindowID)?;
    // SAFETY: the system documents a list of dictionaries whose keys are strings.
    let windows: CFRetained<CFArray<CFDictionary<CFString, CFType>>> =
        unsafe { CFRetained::cast_unchecked(windows) };
    // SAFETY: both are constants of the system.
    let (layer, bounds) = unsafe { (kCGWindowLayer, kCGWindowBounds) };
    let on_usual_layer = |window: &CFDictionary<CFString, CFType>| {
        let layer = window.get(layer)?.downcast::<CFNumber>().ok()?;
        (layer.as_i32()? == 0).then_some(())
    };
    let Some(front) = windows
        .iter()
        .find(|window| on_usual_layer(window).is_some())
    else {
        return Some(CGRect::ZERO);
    };
    let bounds = front.get(bounds)?.downcast::<CFDictionary>().ok()?;
    let mut place = CGRect::ZERO;
    // SAFETY: the dictionary is one of those the function is made for, and the place outlives the call.
    let read = unsafe { CGRectMakeWithDictionaryRepresentation(Some(&bounds), &mut place) };
    read.then_some(place)
}

/// Returns where the screens are.
#[expect(unsafe_code, reason = "screens are read through the system's API")]
fn screens() -> Option<Vec<CGRect>> {
    let (mut ids, mut count) = ([0; SCREENS], 0);
    let room = u32::try_from(ids.len()).ok()?;
    // SAFETY: there is room for as many as are asked for, and both outlive the call.
    let done = unsafe { CGGetActiveDisplayList(room, ids.as_mut_ptr(), &mut count) };
    let count = usize::try_from(count).ok()?;
    (done == CGError::Success).then(|| {
        let found = ids.iter().take(count);
        found.map(|id| CGDisplayBounds(*id)).collect()
    })
}

fn said(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let bytes = done.map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads `Now drawing from 'Battery Power'` and `80%;`.
fn power(batt: &str) -> Option<Power> {
    let source = batt.lines().next()?;
    if source.contains("AC Power") {
        return Some(Power::Mains);
    }
    let percent = batt.split_once('%').and_then(|(before, _)| {
        let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    source
        .contains("Battery Power")
        .then_some(Power::Battery(percent))
}

/// Reads ` lowpowermode         1`.
fn saver(settings: &str) -> Option<Saver> {
    let line = settings.lines().map(str::trim);
    let value = line
        .filter_map(|l| l.strip_prefix("lowpowermode"))
        .next_back()?;
    Some(match value.trim() {
        "1" => Saver::On,
        _ => Saver::Off,
    })
}

/// At "serious" the system slows down; it asks programs before that only to put off what can wait.
fn heat(state: NSProcessInfoThermalState) -> Option<Heat> {
    match state {
        NSProcessInfoThermalState::Nominal | NSProcessInfoThermalState::Fair => Some(Heat::Normal),
        NSProcessInfoThermalState::Serious | NSProcessInfoThermalState::Critical => Some(Heat::Hot),
        _ => None,
    }
}

/// Adds up what is free and what can be had at once.
fn free_memory(vm_stat: &str) -> Option<u64> {
    let (_, page) = vm_stat.split_once("page size of ")?;
    let page: u64 = page.split(' ').next()?.parse().ok()?;
    let pages = |name: &str| {
        let line = vm_stat.lines().find_map(|l| l.strip_prefix(name))?;
        line.trim().trim_end_matches('.').parse::<u64>().ok()
    };
    let free = pages("Pages free:")? + pages("Pages inactive:")? + pages("Pages speculative:")?;
    Some(free.saturating_mul(page) / MIB)
}

/// Returns which of these programs run, by their file name.
fn running(wanted: &[String]) -> Vec<String> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let listing = said("/bin/ps", &["-axo", "comm="]);
    let mut found: Vec<String> = listing
        .lines()
        .filter_map(|line| Path::new(line.trim()).file_name())
        .map(|name| name.to_string_lossy().to_lowercase())
        .filter(|name| wanted.contains(name))
        .collect();
    found.sort();
    found.dedup();
    found
}
