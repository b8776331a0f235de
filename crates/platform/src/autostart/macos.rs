//! macOS: the bundle itself as a login item (SMAppService, macOS 13). It is listed under its own name
//! in System Settings, where the person may switch it off.
#![expect(unsafe_code, reason = "the bindings leave the class unchecked")]
use kiln_ports::autostart::{AutostartError, StartAtLogin};
use objc2::rc::Retained;
use objc2_foundation::{NSBundle, NSError};
use objc2_service_management::{SMAppService, SMAppServiceStatus};

use super::LoginItem;

/// The login items of this user.
pub(super) struct List;

impl List {
    /// Name, program and arguments are those of the bundle.
    pub(super) fn new(_item: LoginItem) -> Self {
        Self
    }

    pub(super) fn state(&self) -> Result<StartAtLogin, AutostartError> {
        let service = service()?;
        // SAFETY: a plain getter; any thread may call it.
        let status = unsafe { service.status() };
        Ok(match status {
            SMAppServiceStatus::Enabled => StartAtLogin::On,
            SMAppServiceStatus::RequiresApproval => StartAtLogin::Blocked,
            _ => StartAtLogin::Off,
        })
    }

    pub(super) fn enable(&self) -> Result<(), AutostartError> {
        let service = service()?;
        // SAFETY: the error is returned by value; any thread may call it.
        unsafe { service.registerAndReturnError() }.map_err(|e| failed(&e))
    }

    pub(super) fn disable(&self) -> Result<(), AutostartError> {
        if self.state()? == StartAtLogin::Off {
            return Ok(());
        }
        let service = service()?;
        // SAFETY: the error is returned by value; any thread may call it.
        unsafe { service.unregisterAndReturnError() }.map_err(|e| failed(&e))
    }
}

/// A bare program is no bundle, and cannot be a login item.
fn service() -> Result<Retained<SMAppService>, AutostartError> {
    if NSBundle::mainBundle().bundleIdentifier().is_none() {
        return Err(AutostartError::Unsupported);
    }
    // SAFETY: a constructor without arguments.
    Ok(unsafe { SMAppService::mainAppService() })
}

fn failed(error: &NSError) -> AutostartError {
    AutostartError::Failed(error.localizedDescription().to_string())
}
