//! The token of a box: no administrator, no privileges, low integrity. What is not labelled low can
//! only be read with it.
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use windows::Win32::Foundation::HANDLE;
use windows::Win32::Security::{
    CreateRestrictedToken, CreateWellKnownSid, DISABLE_MAX_PRIVILEGE, GetTokenInformation,
    LUA_TOKEN, PSID, SECURITY_MAX_SID_SIZE, SID_AND_ATTRIBUTES, SetTokenInformation,
    TOKEN_ACCESS_MASK, TOKEN_ADJUST_DEFAULT, TOKEN_ASSIGN_PRIMARY, TOKEN_DUPLICATE,
    TOKEN_MANDATORY_LABEL, TOKEN_PRIVILEGES, TOKEN_QUERY, TokenIntegrityLevel, TokenPrivileges,
    WELL_KNOWN_SID_TYPE, WinBuiltinAdministratorsSid, WinLowLabelSid,
};
use windows::Win32::System::SystemServices::SE_GROUP_INTEGRITY;
use windows::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// A name that the system knows, of the largest size there is.
struct WellKnown([u8; SECURITY_MAX_SID_SIZE as usize]);

impl WellKnown {
    #[expect(unsafe_code, reason = "names are made through the system's API")]
    fn new(kind: WELL_KNOWN_SID_TYPE) -> io::Result<Self> {
        let mut bytes = [0; SECURITY_MAX_SID_SIZE as usize];
        let mut size = SECURITY_MAX_SID_SIZE;
        // SAFETY: the buffer has the size that is said, which every such name fits in.
        unsafe {
            let place = PSID(bytes.as_mut_ptr().cast());
            CreateWellKnownSid(kind, None, Some(place), &mut size)?;
        }
        Ok(Self(bytes))
    }

    fn with(&mut self, attributes: u32) -> SID_AND_ATTRIBUTES {
        SID_AND_ATTRIBUTES {
            Sid: PSID(self.0.as_mut_ptr().cast()),
            Attributes: attributes,
        }
    }
}

/// Makes a token of this process's own with what a build must not have taken away.
#[expect(unsafe_code, reason = "tokens are made through the system's API")]
pub(super) fn lowered() -> io::Result<OwnedHandle> {
    let access = TOKEN_ADJUST_DEFAULT | TOKEN_ASSIGN_PRIMARY | TOKEN_DUPLICATE | TOKEN_QUERY;
    let own = of_this_process(access)?;
    let mut administrators = WellKnown::new(WinBuiltinAdministratorsSid)?;
    let mut low = WellKnown::new(WinLowLabelSid)?;
    let mut token = HANDLE::default();
    // SAFETY: the names outlive the call; the handle is new, and owned from here on.
    let token = unsafe {
        CreateRestrictedToken(
            HANDLE(own.as_raw_handle()),
            DISABLE_MAX_PRIVILEGE | LUA_TOKEN,
            Some(&[administrators.with(0)]),
            None,
            None,
            &mut token,
        )?;
        OwnedHandle::from_raw_handle(token.0)
    };
    let label = TOKEN_MANDATORY_LABEL {
        Label: low.with(SE_GROUP_INTEGRITY.cast_unsigned()),
    };
    let size = size_of::<TOKEN_MANDATORY_LABEL>() + low.0.len();
    // SAFETY: the label and the name that it points to outlive the call.
    unsafe {
        SetTokenInformation(
            HANDLE(token.as_raw_handle()),
            TokenIntegrityLevel,
            (&raw const label).cast(),
            u32::try_from(size).unwrap_or_default(),
        )?;
    }
    Ok(token)
}

/// Returns whether this process has more than the one privilege that nobody is without: to pass
/// through folders. What cannot be read counts as having.
#[expect(unsafe_code, reason = "privileges are read through the system's API")]
pub(super) fn has_privileges() -> bool {
    let Ok(own) = of_this_process(TOKEN_QUERY) else {
        return true;
    };
    // 32-bit words, as aligned as the structure is; room for more privileges than there are.
    let mut list = [0_u32; 256];
    let mut size = 0;
    // SAFETY: the buffer is as large as is said, and begins with the count after the call.
    unsafe {
        GetTokenInformation(
            HANDLE(own.as_raw_handle()),
            TokenPrivileges,
            Some(list.as_mut_ptr().cast()),
            u32::try_from(size_of_val(&list)).unwrap_or_default(),
            &mut size,
        )
        .is_err()
            || (*list.as_ptr().cast::<TOKEN_PRIVILEGES>()).PrivilegeCount > 1
    }
}

#[expect(
    unsafe_code,
    reason = "the own token is opened through the system's API"
)]
fn of_this_process(access: TOKEN_ACCESS_MASK) -> io::Result<OwnedHandle> {
    let mut own = HANDLE::default();
    // SAFETY: the handle is new, and owned from here on.
    unsafe {
        OpenProcessToken(GetCurrentProcess(), access, &mut own)?;
        Ok(OwnedHandle::from_raw_handle(own.0))
    }
}
