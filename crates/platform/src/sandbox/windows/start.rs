//! [`run`]: a program runs with a lower token, in a job, to its end.
use std::ffi::OsString;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use widestring::U16CString;
use windows::Win32::Foundation::{HANDLE, WAIT_OBJECT_0};
use windows::Win32::System::Console::{
    GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
};
use windows::Win32::System::JobObjects::AssignProcessToJobObject;
use windows::Win32::System::Threading::{
    CREATE_NO_WINDOW, CREATE_SUSPENDED, CreateProcessAsUserW, GetExitCodeProcess, INFINITE,
    PROCESS_INFORMATION, ResumeThread, STARTF_USESTDHANDLES, STARTUPINFOW, TerminateProcess,
    WaitForSingleObject,
};
use windows::core::{PCWSTR, PWSTR};

use super::super::orders::ORDERS;

/// A program that was started and does nothing yet.
struct Standing {
    process: OwnedHandle,
    thread: OwnedHandle,
}

/// Runs the program that these words name and their rest goes to; returns its exit code, or why
/// there is none.
pub(super) fn run(
    mut words: impl Iterator<Item = OsString>,
    token: &OwnedHandle,
    job: &OwnedHandle,
) -> Result<i32, String> {
    let program = words.next().ok_or("nothing to run")?;
    let failed =
        |error: windows::core::Error| format!("{} did not start: {error}", program.display());
    let standing = stand(token, &program, words)?;
    resume(&standing, job).map_err(failed)?;
    wait(&standing).map_err(failed)
}

/// Starts a program that stands still before its first instruction.
#[expect(unsafe_code, reason = "programs get a token through the system's API")]
fn stand(
    token: &OwnedHandle,
    program: &OsString,
    words: impl Iterator<Item = OsString>,
) -> Result<Standing, String> {
    let name = program.display();
    let failed = |error: windows::core::Error| format!("{name} did not start: {error}");
    let wide = |text: &OsString| {
        U16CString::from_os_str(text).map_err(|_| format!("{name} has an argument with a 0 in it"))
    };
    let mut line = quoted(&program.to_string_lossy());
    for word in words {
        let word = word.into_string();
        let word = word.map_err(|_| format!("{name} has an argument that is no text"))?;
        line.push(' ');
        line.push_str(&quoted(&word));
    }
    let application = wide(program)?;
    let mut line = wide(&line.into())?;
    let mut started = PROCESS_INFORMATION::default();
    // SAFETY: this is Windows, which guards the environment itself.
    unsafe { std::env::remove_var(ORDERS) };
    // SAFETY: both texts end with 0 and outlive the call, and the line is its own to change; the
    // handles that come back are new, and owned from here on.
    unsafe {
        let startup = STARTUPINFOW {
            cb: u32::try_from(size_of::<STARTUPINFOW>()).unwrap_or_default(),
            dwFlags: STARTF_USESTDHANDLES,
            hStdInput: GetStdHandle(STD_INPUT_HANDLE).map_err(failed)?,
            hStdOutput: GetStdHandle(STD_OUTPUT_HANDLE).map_err(failed)?,
            hStdError: GetStdHandle(STD_ERROR_HANDLE).map_err(failed)?,
            ..Default::default()
        };
        CreateProcessAsUserW(
            Some(HANDLE(token.as_raw_handle())),
            PCWSTR(application.as_ptr()),
            Some(PWSTR(line.as_mut_ptr())),
            None,
            None,
            true,
            // Whoever has no console gives none, and one that is made is a window.
            CREATE_SUSPENDED | CREATE_NO_WINDOW,
            None,
            None,
            &startup,
            &mut started,
        )
        .map_err(failed)?;
        Ok(Standing {
            process: OwnedHandle::from_raw_handle(started.hProcess.0),
            thread: OwnedHandle::from_raw_handle(started.hThread.0),
        })
    }
}

/// Lets it go, in its job or not at all.
#[expect(
    unsafe_code,
    reason = "programs get into jobs through the system's API"
)]
fn resume(standing: &Standing, job: &OwnedHandle) -> windows::core::Result<()> {
    let process = HANDLE(standing.process.as_raw_handle());
    // SAFETY: all handles are open as long as their owners are here.
    unsafe {
        if let Err(error) = AssignProcessToJobObject(HANDLE(job.as_raw_handle()), process) {
            TerminateProcess(process, 1)?;
            return Err(error);
        }
        match ResumeThread(HANDLE(standing.thread.as_raw_handle())) {
            u32::MAX => Err(windows::core::Error::from_thread()),
            _ => Ok(()),
        }
    }
}

/// Waits for its end.
#[expect(
    unsafe_code,
    reason = "programs are waited for through the system's API"
)]
fn wait(standing: &Standing) -> windows::core::Result<i32> {
    let process = HANDLE(standing.process.as_raw_handle());
    let mut code = 0;
    // SAFETY: the handle is open as long as its owner is here.
    unsafe {
        if WaitForSingleObject(process, INFINITE) != WAIT_OBJECT_0 {
            return Err(windows::core::Error::from_thread());
        }
        GetExitCodeProcess(process, &mut code)?;
    }
    Ok(code.cast_signed())
}

/// Writes one word of a command line so that programs read the same word (the rules of
/// `CommandLineToArgvW`): backslashes count only before a quotation mark. What needs none gets none: the
/// shell takes a quoted word for a program.
fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '"']) {
        return word.to_owned();
    }
    let mut line = String::from("\"");
    let mut backslashes = 0;
    for character in word.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                line.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        line.push(character);
    }
    line.push_str(&"\\".repeat(backslashes));
    line.push('"');
    line
}

#[cfg(test)]
mod tests {
    use kiln_ports::process::Priority;
    use kiln_ports::sandbox::ProcessLimits;

    use super::super::super::orders::{Orders, WayOut};
    use super::super::{job, token};
    use super::*;

    #[test]
    fn a_program_runs_in_its_job_with_its_token_to_its_end() {
        let limits = ProcessLimits {
            processes: 8,
            open_files: 256,
            file_bytes: 1 << 20,
            memory_percent: 50,
        };
        let none = Vec::new;
        let orders = Orders::new(1, none(), none(), WayOut::None, Priority::Normal, &limits);
        let job = job::limited(&orders).unwrap();
        let token = token::lowered().unwrap();
        let shell = std::env::var_os("ComSpec").unwrap();
        let words = [shell, "/c".into(), "exit".into(), "7".into()];
        assert_eq!(run(words.into_iter(), &token, &job), Ok(7));
    }

    #[test]
    fn a_word_of_a_command_line_is_read_as_it_was_meant() {
        for (word, line) in [
            ("", r#""""#),
            ("compile", "compile"),
            (r"C:\My Tools\", r#""C:\My Tools\\""#),
            (r#"-DNAME="a b""#, r#""-DNAME=\"a b\"""#),
            (r#"\\""#, r#""\\\\\"""#),
            (r"a\\b", r"a\\b"),
        ] {
            assert_eq!(quoted(word), line);
        }
    }
}
