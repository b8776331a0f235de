//! macOS: the bundle itself as a login item (SMAppService, macOS 13). It is listed under its own name
//! in System Settings, where the person may switch it off.
#![expect(unsafe_code, reason = "the bindings leave classes unchecked")]
use kiln_ports::autostart::{AutostartError, StartAtLogin};
use objc2::msg_send;
use objc2::rc::Retained;
use objc2_foundation::{NSAppleEventDescriptor, NSAppleEventManager, NSBundle, NSError};
use objc2_service_management::{SMAppService, SMAppServiceStatus};

use super::LoginItem;

/// `keyAEPropData`: how the program was opened (AE/AERegistry.h).
const PROPERTY: u32 = u32::from_be_bytes(*b"prdt");

/// `keyAELaunchedAsLogInItem`.
const LOGIN_ITEM: u32 = u32::from_be_bytes(*b"lgit");

/// Why the system started this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// It is among the login items, and the person has just logged in.
    AtLogin,
    /// Anything else.
    Otherwise,
}

/// Returns why the system started this program. Login items get no arguments; the first event that a
/// program gets says it, and is at hand on the first thread while the program begins.
pub fn launch() -> Launch {
    let Some(event) = NSAppleEventManager::sharedAppleEventManager().currentAppleEvent() else {
        return Launch::Otherwise;
    };
    // SAFETY: the method takes a four-character code and returns a descriptor or nil.
    let property: Option<Retained<NSAppleEventDescriptor>> =
        unsafe { msg_send![&*event, paramDescriptorForKeyword: PROPERTY] };
    match property.map(|property| property.enumCodeValue()) {
        Some(LOGIN_ITEM) => Launch::AtLogin,
        Some(_) | None => Launch::Otherwise,
    }
}

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
