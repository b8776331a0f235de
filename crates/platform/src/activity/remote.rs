//! Who is logged in from elsewhere, as the login manager lists them, and when their last input was: that
//! of a terminal is when it was last read from, as `w` tells; that of a desktop what its X server says.
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kiln_model::{RemoteKind, RemoteSession};

use super::bus::{Distant, System};
use super::x11::Screen;

/// Most processes of one session that are looked at for its terminals. Those of SSH are three steps
/// away at most; who runs more without a terminal is no person.
const MOST: usize = 64;

/// Sessions from elsewhere.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Screens of remote desktops, by the name of their display.
    screens: Mutex<BTreeMap<String, Arc<Screen>>>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Visitors {
    pub(super) sessions: Option<Vec<RemoteSession>>,
    displays: Vec<String>,
}

impl Visitors {
    /// Returns whether this display is that of a remote desktop: input there is from elsewhere.
    pub(super) fn hold(&self, display: &str) -> bool {
        let number = |name: &str| name.split('.').next().map(str::to_owned);
        let mut displays = self.displays.iter();
        displays.any(|of| number(of) == number(display))
    }
}

impl Elsewhere {
    pub(super) async fn read(&self, system: &System) -> Visitors {
        let Some(listed) = system.distant().await else {
            return Visitors {
                sessions: None,
                displays: Vec::new(),
            };
        };
        let desktops = listed.iter().filter(|one| one.kind == RemoteKind::Desktop);
        let displays: Vec<String> = desktops.map(|one| one.display.clone()).collect();
        self.forget_all_but(&displays);
        let mut sessions = Vec::new();
        for one in &listed {
            let idle = match one.kind {
                RemoteKind::Desktop => self.desktop(one).await,
                RemoteKind::Shell => terminals(one).iter().filter_map(unread).min(),
            };
            let kind = one.kind;
            sessions.push(RemoteSession { kind, idle });
        }
        Visitors {
            sessions: Some(sessions),
            displays,
        }
    }

    async fn desktop(&self, session: &Distant) -> Option<Duration> {
        if session.display.is_empty() {
            return session.hinted;
        }
        let screen = {
            let mut screens = self.screens.lock().unwrap_or_else(PoisonError::into_inner);
            let known = screens.entry(session.display.clone());
            Arc::clone(known.or_insert_with(|| Arc::new(Screen::new(&session.display))))
        };
        screen.since_input().await.or(session.hinted)
    }

    /// Closes the screens of sessions that are over.
    fn forget_all_but(&self, displays: &[String]) {
        let mut screens = self.screens.lock().unwrap_or_else(PoisonError::into_inner);
        screens.retain(|name, _| displays.contains(name));
    }
}

/// Returns the terminals of a session: the one that the login manager knows, or else those of what the
/// session runs. Over SSH it is told only by some systems.
fn terminals(session: &Distant) -> Vec<PathBuf> {
    if !session.terminal.is_empty() {
        return vec![PathBuf::from("/dev").join(&session.terminal)];
    }
    let mut ahead = vec![session.leader];
    let mut found = Vec::new();
    for _ in 0..MOST {
        let Some(pid) = ahead.pop() else {
            break;
        };
        match terminal_of(pid) {
            Some(terminal) => found.push(terminal),
            None => ahead.extend(children(pid)),
        }
    }
    found
}

/// Reads the pseudo terminal of a process from `tty_nr` of proc_pid_stat(5).
fn terminal_of(pid: u32) -> Option<PathBuf> {
    /// Unix98 pseudo terminals, in the kernel's list of devices.
    const PSEUDO_TERMINAL: u32 = 136;
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit(|b| *b == b')').next()?;
    let text = String::from_utf8_lossy(after_name);
    let number: u32 = text.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
    (major == PSEUDO_TERMINAL).then(|| PathBuf::from(format!("/dev/pts/{minor}")))
}

fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    let pids = listed.split_ascii_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

/// Returns the time since a terminal was last read from. The kernel notes it to eight seconds.
fn unread(terminal: &PathBuf) -> Option<Duration> {
    let read = fs::metadata(terminal).ok()?.accessed().ok()?;
    Some(read.elapsed().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_of_a_remote_desktop_is_known_by_its_number() {
        let visitors = Visitors {
            sessions: None,
            displays: vec![":10".to_owned(), ":11.0".to_owned()],
        };
        for (display, held) in [(":10.0", true), (":11", true), (":1", false), (":0", false)] {
            assert_eq!(visitors.hold(display), held, "{display}");
        }
    }

    #[test]
    fn who_runs_without_a_terminal_has_none() {
        let nobody = Distant {
            kind: RemoteKind::Shell,
            display: String::new(),
            terminal: String::new(),
            leader: u32::MAX,
            hinted: None,
        };
        assert!(terminals(&nobody).is_empty());
    }
}
