//! Real process trees on Windows. Each test waits for a line of output, never for time.
use std::time::Duration;

use kiln_ports::Processes as _;
use kiln_ports::process::{Child, Command, Exit, Priority};

use super::OsProcesses;

fn cmd(script: &str) -> Command {
    let system = std::env::var_os("SystemRoot").unwrap();
    let system = system.into_string().unwrap();
    Command {
        program: format!(r"{system}\system32\cmd.exe").into(),
        arguments: vec!["/d".into(), "/c".into(), script.into()],
        environment: vec![("SystemRoot".into(), system)],
        directory: r"C:\".into(),
        priority: Priority::Background,
    }
}

async fn output(child: &mut dyn Child) -> String {
    let mut all = Vec::new();
    while let Some(block) = child.read().await {
        all.extend(block);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn both_outputs_come_in_order_and_the_exit_code_is_told() {
    let processes = OsProcesses::new("kiln:test");
    let script = "echo out& echo err>&2& echo out again& exit 7";
    let mut child = processes.spawn(cmd(script)).await.unwrap();
    assert_eq!(output(&mut *child).await, "out\r\nerr\r\nout again\r\n");
    assert_eq!(child.wait().await, Exit::Code(7));
}

#[tokio::test]
async fn nothing_is_inherited_but_what_was_asked_for() {
    let processes = OsProcesses::new("kiln:test");
    let mut child = processes.spawn(cmd("set")).await.unwrap();
    let text = output(&mut *child).await;
    assert!(text.contains("KILN_RUN=kiln:test#"), "{text}");
    assert!(!text.contains("CARGO_MANIFEST_DIR"), "{text}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut command = cmd("");
    command.program = r"C:\no\such\program.exe".into();
    let error = OsProcesses::new("kiln:test").spawn(command).await;
    assert_eq!(error.err().unwrap().program, r"C:\no\such\program.exe");
}

// Covers: M100
#[tokio::test]
async fn a_kill_ends_children_too_and_with_them_the_stream() {
    let processes = OsProcesses::new("kiln:test");
    let script = "echo ready& cmd.exe /d /c ping -n 1000 127.0.0.1";
    let mut child = processes.spawn(cmd(script)).await.unwrap();
    let first = child.read().await.unwrap();
    assert!(first.starts_with(b"ready"));
    child.kill(Duration::ZERO).await;
    output(&mut *child).await;
    assert_eq!(child.wait().await, Exit::Signal);
}
