//! [`SystemAppearance`]: what the system's settings say about drawing. Not on macOS, which colours
//! the icon in its menu bar itself.
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use kiln_ports::appearance::Contrast;
use tokio::sync::Mutex;

/// The settings of this session.
#[derive(Default)]
pub struct SystemAppearance {
    /// What was told last, with the watch that hears of a change.
    told: Mutex<Option<(Contrast, os::Watch)>>,
}

impl SystemAppearance {
    /// Returns what is wanted now: at once when called first, then whenever it changes. Never
    /// fails: without an answer nothing is known, and it waits. Cancelling it loses nothing.
    pub async fn contrast(&self) -> Contrast {
        let mut told = self.told.lock().await;
        match &mut *told {
            None => {
                let (contrast, watch) = os::Watch::begin().await;
                *told = Some((contrast, watch));
                contrast
            }
            Some((last, watch)) => loop {
                let contrast = watch.next().await;
                if contrast != *last {
                    *last = contrast;
                    return contrast;
                }
            },
        }
    }
}
