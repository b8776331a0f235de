//! Windows: the registry value behind "Contrast themes", and word from the registry when it changes.
#![expect(unsafe_code, reason = "waiting for a registry key has no safe wrapper")]
use kiln_ports::appearance::Contrast;
use tokio::task::JoinHandle;
use windows::Win32::Foundation::ERROR_SUCCESS;
use windows::Win32::System::Registry::{HKEY, REG_NOTIFY_CHANGE_LAST_SET, RegNotifyChangeKeyValue};
use windows_registry::CURRENT_USER;

const KEY: &str = r"Control Panel\Accessibility\HighContrast";

/// `HCF_HIGHCONTRASTON` of `Flags` (HIGHCONTRASTW, Microsoft).
const ON: u32 = 1;

/// A thread that waits for the key, kept when a call is given up, so that there is never a second.
pub(super) struct Watch(Option<JoinHandle<bool>>);

impl Watch {
    /// The thread waits before the value is read: a change in between is heard.
    #[expect(clippy::unused_async, reason = "other systems wait here")]
    pub(super) async fn begin() -> (Contrast, Self) {
        let watch = Self(Some(tokio::task::spawn_blocking(changed)));
        (read(), watch)
    }

    pub(super) async fn next(&mut self) -> Contrast {
        if let Some(waiting) = &mut self.0
            && let Ok(true) = waiting.await
        {
            let (contrast, watch) = Self::begin().await;
            *self = watch;
            return contrast;
        }
        // The key cannot be watched: what was read stays.
        self.0 = None;
        std::future::pending().await
    }
}

fn read() -> Contrast {
    let flags = CURRENT_USER
        .open(KEY)
        .and_then(|key| key.get_string("Flags"));
    let flags = flags.ok().and_then(|flags| flags.parse::<u32>().ok());
    match flags.map(|flags| flags & ON) {
        Some(ON) => Contrast::High,
        Some(_) | None => Contrast::Normal,
    }
}

/// Waits until the key changes; returns whether it did.
fn changed() -> bool {
    let Ok(key) = CURRENT_USER.options().read().open(KEY) else {
        return false;
    };
    let filter = REG_NOTIFY_CHANGE_LAST_SET;
    // SAFETY: the handle is open until the call is over.
    let result = unsafe { RegNotifyChangeKeyValue(HKEY(key.as_raw()), false, filter, None, false) };
    result == ERROR_SUCCESS
}
