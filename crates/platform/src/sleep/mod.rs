//! [`SystemSleep`]: when this machine sleeps, and what holds it off.
#[cfg(not(target_os = "linux"))]
mod lapse;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use kiln_model::Wakefulness;
use kiln_ports::Sleep;
use kiln_ports::sleep::Turn;

/// The sleep of the machine that Kiln runs on.
#[derive(Debug, Default)]
pub struct SystemSleep(os::Rest);

#[async_trait::async_trait]
impl Sleep for SystemSleep {
    async fn next(&self) -> Turn {
        self.0.next().await
    }

    fn ready(&self) {
        self.0.ready();
    }

    async fn hold(&self, wakefulness: Wakefulness) {
        self.0.hold(wakefulness).await;
    }
}
