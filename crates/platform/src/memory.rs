//! [`leave_no_core`]: no file of what this process holds in memory when it crashes.

/// Lets the system write no core file of this process: keys, secrets of peers and bundles are in its
/// memory. Programs that it starts may set their limit as high as before.
#[cfg(unix)]
pub fn leave_no_core() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Nothing fits into one byte. At 0 Linux would still hand all of it to a program that collects
    // crashes, to which no other limit applies (its `fs/coredump.c`).
    let limit = Rlimit {
        current: Some(1),
        ..getrlimit(Resource::Core)
    };
    // Where that is more than is allowed, nothing is written, and only who collects crashes gets one.
    let _ = setrlimit(Resource::Core, limit);
}

/// Nothing: Windows keeps such a file only where its administrator asked for it.
#[cfg(windows)]
pub fn leave_no_core() {}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn what_crashes_leaves_no_core_file() {
        let folder = tempfile::tempdir().unwrap();
        let leaves_core = || {
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", "kill -SEGV $$"]);
            shell.current_dir(&folder).status().unwrap().core_dumped()
        };
        let most = getrlimit(Resource::Core).maximum;
        if most == Some(0) {
            // Nothing can be tried here.
            return;
        }
        let unlimited = Rlimit {
            current: most,
            maximum: most,
        };
        setrlimit(Resource::Core, unlimited).unwrap();
        if !leaves_core() {
            // Nobody's programs leave any on this system.
            return;
        }
        leave_no_core();
        assert!(!leaves_core());
        assert_eq!(getrlimit(Resource::Core).maximum, most);
    }
}
