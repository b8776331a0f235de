//! The job of a box: how many programs it may start, how much memory each may use, and that they
//! end with it.
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use windows::Win32::Foundation::HANDLE;
use windows::Win32::System::JobObjects::{
    CreateJobObjectW, JOB_OBJECT_LIMIT_ACTIVE_PROCESS, JOB_OBJECT_LIMIT_BREAKAWAY_OK,
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    QueryInformationJobObject, SetInformationJobObject,
};
use windows::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};

use super::super::orders::Orders;

/// Makes a job with the limits that the orders name. Nothing breaks away from it.
#[expect(unsafe_code, reason = "jobs are made through the system's API")]
pub(super) fn limited(orders: &Orders) -> io::Result<OwnedHandle> {
    // SAFETY: the handle is new, and owned from here on.
    let job = unsafe {
        let job = CreateJobObjectW(None, None)?;
        OwnedHandle::from_raw_handle(job.0)
    };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_ACTIVE_PROCESS
        | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION
        | JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
        | JOB_OBJECT_LIMIT_PROCESS_MEMORY;
    limits.BasicLimitInformation.ActiveProcessLimit = orders.processes;
    limits.ProcessMemoryLimit = memory(orders.memory_percent)?;
    // SAFETY: the structure is the one of this class, and outlives the call.
    unsafe {
        SetInformationJobObject(
            HANDLE(job.as_raw_handle()),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size(&limits),
        )?;
    }
    Ok(job)
}

/// Returns whether the job of this process limits its programs and their memory, and lets none go.
#[expect(unsafe_code, reason = "limits are read back through the system's API")]
pub(super) fn holds_this_process() -> bool {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    let size = size(&limits);
    // SAFETY: the structure is the one of this class, as large as said, and outlives the call.
    let read = unsafe {
        QueryInformationJobObject(
            None,
            JobObjectExtendedLimitInformation,
            (&raw mut limits).cast(),
            size,
            None,
        )
    };
    let flags = limits.BasicLimitInformation.LimitFlags;
    read.is_ok()
        && flags.contains(JOB_OBJECT_LIMIT_ACTIVE_PROCESS | JOB_OBJECT_LIMIT_PROCESS_MEMORY)
        && !flags.contains(JOB_OBJECT_LIMIT_BREAKAWAY_OK)
        && !flags.contains(JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK)
}

/// Returns this part of the machine's memory, in bytes.
#[expect(unsafe_code, reason = "memory is read through the system's API")]
fn memory(percent: u8) -> io::Result<usize> {
    let mut status = MEMORYSTATUSEX::default();
    status.dwLength = size(&status);
    // SAFETY: the structure carries its own size and outlives the call.
    unsafe { GlobalMemoryStatusEx(&mut status)? };
    let part = status.ullTotalPhys / 100 * u64::from(percent);
    Ok(usize::try_from(part).unwrap_or(usize::MAX))
}

/// Returns the size of a structure as the system's API wants it, in bytes.
fn size<T>(structure: &T) -> u32 {
    u32::try_from(size_of_val(structure)).unwrap_or_default()
}
