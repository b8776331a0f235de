//! [`launched`]: what every program that hosts a node does first in `main`.
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code of a launcher that could not start its program (as shells have it).
const NOT_STARTED: u8 = 126;

/// Becomes the launcher of a box or the warden of a build, if this process was started as one (both are
/// the program that hosts the node, started once more); it does not come back then. To be called before there
/// are threads. Returns what to end with when the box could not be made; `None` if this process is
/// no launcher.
pub fn launched() -> Option<ExitCode> {
    let why = kiln_platform::sandbox::launch_if_asked()?;
    // Whoever reads no errors gets the exit code.
    let _ = writeln!(
        std::io::stderr(),
        "kiln: this build could not be boxed: {why}."
    );
    Some(ExitCode::from(NOT_STARTED))
}
