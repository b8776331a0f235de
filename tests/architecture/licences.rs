//! Every locked dependency of every platform may come in: its licence is on the list of `deny.toml`,
//! and it comes from the crate registry.
use std::collections::BTreeSet;
use std::process::Command;

use kiln_tests::tree::root;
use serde_json::Value;
use spdx::{Expression, ParseMode};

/// What `deny.toml` allows.
struct Allowed {
    everywhere: BTreeSet<String>,
    /// Licences of single crates.
    exceptions: Vec<(String, BTreeSet<String>)>,
}

impl Allowed {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
        let deny: toml::Table = toml::from_str(&text).expect("deny.toml is TOML");
        let words = |value: &toml::Value| -> BTreeSet<String> {
            let list = value.as_array().expect("a list of licences");
            let words = list.iter().filter_map(toml::Value::as_str);
            words.map(str::to_owned).collect()
        };
        let licences = &deny["licenses"];
        let exceptions = licences.get("exceptions").and_then(toml::Value::as_array);
        let exception = |entry: &toml::Value| {
            let name = entry["crate"]
                .as_str()
                .expect("an exception names its crate");
            (name.to_owned(), words(&entry["allow"]))
        };
        Self {
            everywhere: words(&licences["allow"]),
            exceptions: exceptions.into_iter().flatten().map(exception).collect(),
        }
    }

    fn has(&self, package: &str, licence: &str) -> bool {
        let mut exceptions = self.exceptions.iter();
        self.everywhere.contains(licence)
            || exceptions.any(|(name, allowed)| name == package && allowed.contains(licence))
    }
}

/// Returns every package of the lock file, for all platforms and features.
fn packages() -> Vec<Value> {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--all-features"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    metadata["packages"]
        .as_array()
        .expect("there are packages")
        .clone()
}

#[test]
fn every_locked_dependency_has_a_licence_that_is_allowed() {
    let allowed = Allowed::read();
    let packages = packages();
    assert!(packages.len() > 100, "the lock file was not read");
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        // Older crates write `MIT/Apache-2.0`.
        let licence = Expression::parse_mode(licence, ParseMode::LAX)
            .unwrap_or_else(|error| panic!("the licence of {name} is not understood: {error}"));
        assert!(
            licence.evaluate(|wanted| allowed.has(name, &wanted.to_string())),
            "{name} is under {licence}, which deny.toml does not allow"
        );
    }
}

#[test]
fn every_locked_dependency_is_ours_or_comes_from_the_registry() {
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        let registry = match package["source"].as_str() {
            Some(source) => source.starts_with("registry+"),
            None => name.starts_with("kiln") || name == "xtask",
        };
        assert!(registry, "{name} comes from {}", package["source"]);
    }
}
