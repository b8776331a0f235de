//! Prints what a box costs a build, per tier: `KILN_PROGRAM=kiln cargo bench -p kiln-tests --bench box`.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, reads the clock, and ends with what must not be"
)]
// A measurement is read by people, reads the clock, and may stop at the first surprise.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kiln_model::{BuildHosts, Tier};
use kiln_platform::OsSandbox;
use kiln_ports::Sandbox as _;
use kiln_ports::process::{Command as Order, Priority};
use kiln_ports::sandbox::{BoxRules, Boxed, Network, ProcessLimits};

/// Starts of each kind. They take turns, so that what else the machine does hits all of them.
const TURNS: usize = 101;

/// Folders and files that an ESPHome in an environment of its own needs beside the system's.
const ENVIRONMENT: usize = 8;

/// The most that a box may cost on Linux.
const AIM: Duration = Duration::from_millis(15);

#[tokio::main]
async fn main() {
    let launcher = PathBuf::from(std::env::var_os("KILN_PROGRAM").expect("KILN_PROGRAM is set"));
    let place = tempfile::tempdir().expect("a folder");
    let mut bare = Command::new("/usr/bin/true");
    let mut kinds = Vec::new();
    for tier in [Tier::Boxed, Tier::Confined] {
        let sandbox = OsSandbox::new(launcher.clone(), place.path().join("proof")).at_most(tier);
        if sandbox.prove().await.tier == tier {
            let boxed = boxed(&sandbox, place.path()).await;
            kinds.push((tier, command(&boxed.command), boxed.gate, Vec::new()));
        }
    }
    let mut without = Vec::new();
    for _ in 0..TURNS {
        without.push(start(&mut bare));
        for (_, command, _, took) in &mut kinds {
            took.push(start(command));
        }
    }
    let without = median(&mut without);
    println!("| | Kiln | aim | met |\n|---|---|---|---|");
    for (tier, _, _, mut took) in kinds {
        let more = median(&mut took).saturating_sub(without);
        let met = if more <= AIM { "yes" } else { "**no**" };
        println!(
            "| start of a program in a box of tier {}, more than without | {:.1} ms | <= {} ms | {met} |",
            tier.number(),
            more.as_secs_f64() * 1e3,
            AIM.as_millis(),
        );
    }
}

/// A box as a build gets it: with a way out, trees to write, and what ESPHome and its Python are made of.
async fn boxed(sandbox: &OsSandbox, place: &Path) -> Boxed {
    let [tree, data] = ["tree", "data"].map(|name| place.join(name));
    let scratch = data.join("tmp");
    let readable: Vec<PathBuf> = (0..ENVIRONMENT)
        .map(|part| place.join(format!("environment{part}")))
        .collect();
    for folder in readable.iter().chain([&tree, &scratch]) {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    let order = Order {
        program: "/usr/bin/true".into(),
        arguments: Vec::new(),
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        directory: tree.clone(),
        priority: Priority::Normal,
    };
    let rules = BoxRules {
        writable: vec![tree, data],
        readable,
        scratch,
        network: Network::Gate {
            hosts: BuildHosts::from_setting("").expect("a list"),
            max_bytes: 1 << 20,
        },
        limits: ProcessLimits {
            processes: 512,
            open_files: 1_024,
            file_bytes: 2 << 30,
            memory_percent: 75,
        },
    };
    sandbox.enclose(order, &rules).await.expect("a box")
}

fn command(order: &Order) -> Command {
    let mut command = Command::new(&order.program);
    command
        .args(&order.arguments)
        .env_clear()
        .envs(order.environment.clone())
        .current_dir(&order.directory);
    command
}

fn start(command: &mut Command) -> Duration {
    let begun = Instant::now();
    assert!(command.status().expect("it starts").success());
    begun.elapsed()
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
