//! The label of folders: low, so that a box may write in them and in what comes to lie there.
use std::path::Path;

use widestring::U16CString;
use windows::Win32::Foundation::{ERROR_INVALID_NAME, HLOCAL, LocalFree};
use windows::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
    SE_FILE_OBJECT, SetNamedSecurityInfoW,
};
use windows::Win32::Security::{
    GetSecurityDescriptorSacl, LABEL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
};
use windows::core::{BOOL, PCWSTR, PWSTR, w};

/// Low, for what is in the folder as well, and whoever is lower may not write.
const LOW: PCWSTR = w!("S:(ML;OICI;NW;;;LW)");

/// How a label of this kind is written.
const WRITTEN: &str = "(ML;OICI;NW;;;LW)";

/// Labels a folder and all that is in it, unless it is labelled.
#[expect(unsafe_code, reason = "labels are set through the system's API")]
pub(super) fn lower(folder: &Path) -> windows::core::Result<()> {
    let name = U16CString::from_os_str(folder.as_os_str())
        .map_err(|_| windows::core::Error::from(ERROR_INVALID_NAME))?;
    let name = PCWSTR(name.as_ptr());
    if is_low(name) {
        return Ok(());
    }
    // SAFETY: the list lies in the descriptor, which is freed once, after its use.
    unsafe {
        let mut descriptor = PSECURITY_DESCRIPTOR::default();
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            LOW,
            SDDL_REVISION_1,
            &mut descriptor,
            None,
        )?;
        let (mut present, mut defaulted) = (BOOL::default(), BOOL::default());
        let mut list = std::ptr::null_mut();
        let set = GetSecurityDescriptorSacl(descriptor, &mut present, &mut list, &mut defaulted)
            .and_then(|()| {
                SetNamedSecurityInfoW(
                    name,
                    SE_FILE_OBJECT,
                    LABEL_SECURITY_INFORMATION,
                    None,
                    None,
                    None,
                    Some(list),
                )
                .ok()
            });
        LocalFree(Some(HLOCAL(descriptor.0)));
        set
    }
}

/// Returns whether a folder is labelled. What cannot be read counts as not.
#[expect(unsafe_code, reason = "labels are read through the system's API")]
fn is_low(name: PCWSTR) -> bool {
    // SAFETY: descriptor and text are freed once each, after their use; the text ends with 0.
    unsafe {
        let mut descriptor = PSECURITY_DESCRIPTOR::default();
        let read = GetNamedSecurityInfoW(
            name,
            SE_FILE_OBJECT,
            LABEL_SECURITY_INFORMATION,
            None,
            None,
            None,
            None,
            &mut descriptor,
        );
        if read.is_err() {
            return false;
        }
        let mut text = PWSTR::null();
        let written = ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            LABEL_SECURITY_INFORMATION,
            &mut text,
            None,
        );
        LocalFree(Some(HLOCAL(descriptor.0)));
        if written.is_err() {
            return false;
        }
        let low = text.to_string().is_ok_and(|text| text.contains(WRITTEN));
        LocalFree(Some(HLOCAL(text.0.cast())));
        low
    }
}
