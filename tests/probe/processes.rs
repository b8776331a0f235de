//! Processes: runs a shell script the way a build is run, and passes its output on; or lets one give
//! way to its owner again and again.
use std::time::Duration;

use kiln_platform::OsProcesses;
use kiln_ports::Processes as _;
use kiln_ports::process::{Command, Pace, Priority};

use crate::say;

fn command(script: &str) -> Command {
    Command {
        program: "/bin/bash".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: "/".into(),
        priority: Priority::Background,
    }
}

pub(crate) async fn run(instance: &str, script: &str) {
    match OsProcesses::new(instance).spawn(command(script)).await {
        Ok(mut child) => {
            while let Some(block) = child.read().await {
                say(String::from_utf8_lossy(&block).trim_end());
            }
        }
        Err(error) => say(&format!("{error:?}")),
    }
}

/// Runs the script over and over, each time through every way in which it can be treated. Says the
/// numbers that the script begins with, and each treatment before it begins.
pub(crate) async fn give_way(processes: OsProcesses, script: &str, numbers: usize) {
    let paces = [
        ("gentle", Pace::Gentle { cores: 1 }),
        ("stopped", Pace::Stopped),
        ("free", Pace::AS_STARTED),
        ("stopped", Pace::Stopped),
        ("gentle", Pace::Gentle { cores: 1 }),
        ("stopped", Pace::Stopped),
    ];
    loop {
        let mut child = match processes.spawn(command(script)).await {
            Ok(child) => child,
            Err(error) => return say(&format!("{error:?}")),
        };
        let mut said = Vec::new();
        while said.iter().filter(|byte| **byte == b'\n').count() < numbers {
            match child.read().await {
                Some(block) => said.extend(block),
                None => return say("the script ended"),
            }
        }
        say(String::from_utf8_lossy(&said).trim_end());
        for (name, pace) in paces {
            say(name);
            child.set_pace(pace).await;
        }
        say("handed back");
        child.kill(Duration::ZERO).await;
    }
}
