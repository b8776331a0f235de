//! The directions and absences of `docs/ARCHITECTURE.md`, as tests.
#![expect(clippy::expect_used, reason = "a test cannot go on")]
mod licences;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use kiln_tests::tree::{Source, is_test_only, root, sources, without_tests};

/// Who may depend on whom among Kiln's own crates (not for tests).
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("kiln-model", &[]),
    ("kiln-peer-link", &["kiln-model"]),
    ("kiln-domain", &["kiln-model"]),
    ("kiln-esphome", &["kiln-model"]),
    ("kiln-glance", &["kiln-model"]),
    ("kiln-desk", &["kiln-glance", "kiln-model", "kiln-ports"]),
    ("kiln-ports", &["kiln-model"]),
    ("kiln-audit", &["kiln-model"]),
    ("kiln-ipc", &["kiln-audit", "kiln-model"]),
    ("kiln-update", &["kiln-model"]),
    ("kiln-archive", &["kiln-esphome", "kiln-model"]),
    ("kiln-platform", &["kiln-model", "kiln-ports"]),
    ("kiln-client", &["kiln-ipc", "kiln-model"]),
    (
        "kiln-cli",
        &["kiln-client", "kiln-esphome", "kiln-ipc", "kiln-model"],
    ),
    (
        "kiln-engine",
        &[
            "kiln-archive",
            "kiln-audit",
            "kiln-domain",
            "kiln-esphome",
            "kiln-ipc",
            "kiln-model",
            "kiln-peer-link",
            "kiln-ports",
        ],
    ),
    (
        "kiln-host",
        &[
            "kiln-client",
            "kiln-engine",
            "kiln-esphome",
            "kiln-model",
            "kiln-platform",
            "kiln-ports",
        ],
    ),
    (
        "kiln",
        &[
            "kiln-cli",
            "kiln-engine",
            "kiln-host",
            "kiln-model",
            "kiln-platform",
            "kiln-ports",
        ],
    ),
    ("kiln-testkit", &["kiln-model", "kiln-ports"]),
];

/// Crates that never wait, read a clock, open a file or a socket.
const PURE: &[&str] = &[
    "model",
    "peer-link",
    "domain",
    "esphome",
    "glance",
    "update",
    "audit",
    "desk",
];

/// What pure crates must not name outside their tests.
const IMPURE: &[&str] = &[
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "tokio",
];

#[test]
fn crates_depend_on_each_other_only_in_the_drawn_directions() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = DIRECTIONS
        .iter()
        .map(|(name, deps)| (*name, deps.iter().copied().collect()))
        .collect();
    for (name, depends) in own_dependencies() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            continue;
        };
        for other in depends {
            assert!(
                allowed.contains(other.as_str()),
                "{name} must not depend on {other}"
            );
        }
    }
}

#[test]
fn every_crate_is_drawn() {
    let drawn: BTreeSet<&str> = DIRECTIONS.iter().map(|(name, _)| *name).collect();
    for (name, _) in own_dependencies() {
        let outside = ["kiln-tests", "xtask", "kiln-desktop"].contains(&name.as_str());
        assert!(
            outside || drawn.contains(name.as_str()),
            "{name} is missing in DIRECTIONS"
        );
    }
}

#[test]
fn pure_crates_name_nothing_that_waits_or_touches_the_world() {
    for krate in PURE {
        for source in sources(&format!("crates/{krate}/src"), "rs") {
            for word in IMPURE {
                let hit = code_lines(&source).find(|line| line.contains(word));
                assert_eq!(hit, None, "{} names {word}", source.path);
            }
        }
    }
}

#[test]
fn every_source_file_says_in_its_first_line_what_it_is_for() {
    for folder in ["crates", "tests", "xtask", "src-tauri", "fuzz"] {
        for source in sources(folder, "rs") {
            let first = source.text.lines().next().unwrap_or_default();
            let said = first.starts_with("//! ") && first.len() > 12;
            assert!(said, "{} begins with {first:?}", source.path);
        }
    }
}

#[test]
fn every_fuzz_target_is_built_and_its_body_runs_on_stable_too() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("a manifest");
    let smoke: String = sources("crates", "rs")
        .into_iter()
        .filter(|source| source.path.ends_with("/tests/smoke.rs"))
        .map(|source| source.text)
        .collect();
    let targets = sources("fuzz/fuzz_targets", "rs");
    assert!(targets.len() >= 16, "a decoder lost its target");
    for target in targets {
        assert!(
            manifest.contains(&format!("path = \"{}\"", &target.path["fuzz/".len()..])),
            "{} is not in fuzz/Cargo.toml",
            target.path
        );
        let body = target.text.split("|data: &[u8]| ").nth(1);
        let body = body.and_then(|rest| rest.split('(').next());
        let body = body.and_then(|path| path.split("::").last());
        let run = format!("::{}", body.expect("a target calls its body"));
        assert!(
            smoke.contains(&run),
            "{} runs in no smoke test",
            target.path
        );
    }
}

#[test]
fn each_witness_is_asserted_in_one_file_only() {
    for witness in ["Approved", "PinConfirmed", "DigestVerified"] {
        let call = format!("{witness}::assertion(");
        let callers: Vec<String> = program("crates")
            .into_iter()
            .filter(|source| !source.path.ends_with("model/src/witness.rs"))
            .filter(|source| without_tests(&source.text).contains(&call))
            .map(|source| source.path)
            .collect();
        assert_eq!(callers.len(), 1, "{witness} is asserted in {callers:?}");
    }
}

#[test]
fn the_parts_of_the_domain_do_not_name_each_other() {
    for (part, others) in [
        ("peering", &["crate::work"][..]),
        ("work", &["crate::peering"]),
        ("availability", &["crate::peering", "crate::work"]),
        ("storage", &["crate::peering", "crate::work"]),
    ] {
        let sources = program(&format!("crates/domain/src/{part}"));
        assert!(!sources.is_empty(), "{part} is somewhere else");
        for source in sources {
            for other in others {
                let hit = code_lines(&source).find(|line| line.contains(other));
                assert_eq!(hit, None, "{} names {other}", source.path);
            }
        }
    }
}

#[test]
fn only_platform_asks_which_system_it_runs_on_and_the_shell_only_chooses_files_by_it() {
    let systems = ["target_os", "target_family", "unix", "windows)", "windows,"];
    for source in program("crates").iter().chain(&program("src-tauri")) {
        let shell = source.path.starts_with("src-tauri/");
        let asks = |line: &&str| {
            let chooses = shell && line.contains(", path = \"");
            line.contains("cfg") && systems.iter().any(|s| line.contains(s)) && !chooses
        };
        if !source.path.starts_with("crates/platform/") {
            assert_eq!(code_lines(source).find(asks), None, "{}", source.path);
        }
    }
}

#[test]
fn only_platform_and_main_read_clocks_and_the_environment() {
    for source in program("crates") {
        let may = ["crates/platform/", "crates/host/", "crates/kiln/"]
            .iter()
            .any(|p| source.path.starts_with(p));
        for word in ["Instant::now(", "SystemTime::now(", "env::var"] {
            let hit = code_lines(&source).find(|line| line.contains(word));
            assert!(may || hit.is_none(), "{} reads {word}", source.path);
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    for source in program("crates") {
        let may = ["crates/cli/", "crates/kiln/"]
            .iter()
            .any(|p| source.path.starts_with(p));
        for word in ["println!(", "print!(", "eprint!(", "eprintln!("] {
            let hit = code_lines(&source).find(|line| line.contains(word));
            assert!(may || hit.is_none(), "{} prints", source.path);
        }
    }
}

#[test]
fn only_the_shell_names_tauri() {
    for source in program("crates") {
        let hit = code_lines(&source).find(|line| line.contains("tauri::"));
        assert_eq!(hit, None, "{} names tauri", source.path);
    }
}

#[test]
fn model_types_are_not_serializable() {
    for source in program("crates/model/src") {
        let hit = code_lines(&source).find(|line| line.contains("serde"));
        assert_eq!(hit, None, "{} names serde", source.path);
    }
}

#[test]
fn unsafe_code_stands_only_where_it_is_listed_with_a_reason() {
    for source in program("crates") {
        let uses = code_lines(&source).any(|line| line.contains("unsafe {"));
        let explained = source.text.contains("SAFETY:");
        assert!(
            !uses || (source.path.starts_with("crates/platform/") && explained),
            "{} has unsafe code without a reason",
            source.path
        );
    }
}

/// Returns the source files that are part of the program.
fn program(folder: &str) -> Vec<Source> {
    let all = sources(folder, "rs");
    let (_, program): (Vec<_>, Vec<_>) = sources(folder, "rs")
        .into_iter()
        .partition(|source| is_test_only(source, &all));
    program
}

/// Returns the lines of code outside tests and comments.
fn code_lines(source: &Source) -> impl Iterator<Item = &str> {
    without_tests(&source.text)
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
}

/// Returns every workspace package with its normal dependencies on others of the workspace.
fn own_dependencies() -> Vec<(String, Vec<String>)> {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    packages
        .iter()
        .map(|package| {
            let depends = package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|d| d["kind"].is_null())
                .filter_map(|d| d["name"].as_str())
                .filter(|name| name.starts_with("kiln"))
                .map(str::to_owned)
                .collect();
            (
                package["name"].as_str().unwrap_or_default().to_owned(),
                depends,
            )
        })
        .collect()
}
