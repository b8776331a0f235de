//! The program `kiln-desktop`: puts [`kiln_desk::Desk`] together with the world around it.
mod deed;
mod door;
mod hosting;
mod node;
#[cfg_attr(target_os = "linux", path = "panel/linux.rs")]
#[cfg_attr(target_os = "macos", path = "panel/macos.rs")]
#[cfg_attr(windows, path = "panel/windows.rs")]
mod panel;
mod second;
mod tellings;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::tz::TimeZone;
use kiln_desk::{Desk, Event, Start};
use kiln_host::Door;
use kiln_platform::notify::Program;
use kiln_platform::{DoorOf, EngineLock, LocalControl, LockError, Paths, SystemClock};
use kiln_ports::{Clock as _, Notify as _};
use tokio::sync::{Notify, mpsc, watch};

use crate::arguments::{Arguments, Shown};
use crate::kept::Kept;
use crate::program;
use deed::Deeds;
use panel::Panel;

/// Name of the program.
const NAME: &str = "kiln-desktop";

/// Runs the program.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    if let Some(code) = kiln_host::launched() {
        return code;
    }
    program::run(NAME, words, |arguments| {
        panel::with(|panel| program::ended(NAME, start(arguments, panel)))
    })
}

/// Prepares folders, log and runtime, and runs until the desktop ends.
fn start(arguments: Arguments, panel: Panel) -> Result<ExitCode, String> {
    let paths = Paths::find(std::env::var_os("KILN_HOME")).map_err(|e| e.to_string())?;
    paths.prepare().map_err(|e| e.to_string())?;
    kiln_host::start_log(&paths.logs, "desktop", 0)
        .map_err(|e| format!("the log cannot be written: {e}"))?;
    // Two threads do: the node's heavy work is in programs of its own and in the blocking pool.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| format!("Kiln cannot start: {e}"))?;
    let ended = runtime.block_on(run(&paths, arguments, panel));
    // Blocking calls that still wait, for a keyring for example, are not waited for.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn run(paths: &Paths, arguments: Arguments, panel: Panel) -> Result<(), String> {
    let _lock = match EngineLock::of_desktop(&paths.state) {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return second::knock(paths, arguments).await,
        Err(error) => return Err(error.to_string()),
    };
    // Whoever finds the door open may already ask for an end.
    let asked_to_stop = kiln_platform::asked_to_stop(1);
    let control =
        LocalControl::bind(&paths.runtime, DoorOf::Desk).map_err(|error| error.to_string())?;
    let kept = Kept::of(paths);
    let notify = Arc::new(kiln_platform::notify::DesktopNotify::new(Program {
        name: "Kiln".to_owned(),
        id: "io.esphome.kiln".to_owned(),
        icon: "kiln".to_owned(),
    }));
    let (events, mut inbox) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(());
    let again = Arc::new(Notify::new());
    let zone = TimeZone::system();
    let mut desk = Desk::new(
        Start {
            settings: kept.read(),
            locale: sys_locale::get_locale().unwrap_or_default(),
            zone: zone.clone(),
            look: panel.look(),
        },
        SystemClock.now(),
    );
    if panel.shown(arguments.window) == Shown::Now {
        // Nobody can have hung up: the inbox is ours.
        let _ = events.send(Event::Show(arguments.goal));
    }
    let mut deeds = Deeds::new(
        events.clone(),
        panel,
        notify.clone(),
        kept.clone(),
        again.clone(),
        stop,
        paths,
    );
    let door = door::keep(control, deeds.line(), events.clone(), kept);
    let follow = node::follow(Door::new(paths, "kiln-desktop"), zone, events.clone());
    let contrast = panel::contrast(events.clone());
    let host = hosting::host(paths, events.clone(), again, stopped);
    let clicks = async {
        loop {
            let _ = events.send(Event::Notification(notify.next().await));
        }
    };
    let signals = async {
        asked_to_stop.await;
        let _ = events.send(Event::Stop);
        std::future::pending::<()>().await;
    };
    let decide = async {
        loop {
            while let Some(effect) = desk.poll_effect() {
                if deeds.perform(effect).is_break() {
                    return;
                }
            }
            let due = async {
                match desk.poll_timeout() {
                    Some(at) => SystemClock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => desk.handle(event, SystemClock.now()),
                    None => return,
                },
                () = due => desk.handle_timeout(SystemClock.now()),
            }
        }
    };
    tokio::select! {
        () = decide => {}
        () = async { tokio::join!(door, follow, contrast, host, clicks, signals); } => {}
    }
    deeds.end().await;
    Ok(())
}
