//! Processes: runs a shell script the way a build is run, and passes its output on.
use kiln_platform::OsProcesses;
use kiln_ports::Processes as _;
use kiln_ports::process::{Command, Priority};

use crate::say;

pub(crate) async fn run(instance: &str, script: &str) {
    let command = Command {
        program: "/bin/bash".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: "/".into(),
        priority: Priority::Background,
    };
    match OsProcesses::new(instance).spawn(command).await {
        Ok(mut child) => {
            while let Some(block) = child.read().await {
                say(String::from_utf8_lossy(&block).trim_end());
            }
        }
        Err(error) => say(&format!("{error:?}")),
    }
}
