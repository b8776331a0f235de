//! Names in documents: the tests that they give as evidence and the sources that they point to are there.
use std::collections::BTreeSet;

use kiln_tests::tree::{Source, root, sources};

/// Returns what stands between backticks, code blocks left out.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let lines = prose.flat_map(str::lines);
    lines
        .flat_map(|l| l.split('`').skip(1).step_by(2))
        .collect()
}

fn documents() -> Vec<Source> {
    let mut all = sources("docs", "md");
    for name in ["README.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        let path = name.to_owned();
        all.push(Source { path, text });
    }
    all
}

/// Returns the source files of the project, without build output.
fn code() -> Vec<Source> {
    let folders = [
        "crates",
        "tests",
        "src-tauri",
        "xtask",
        "fuzz",
        "ui/src",
        "ui/tests",
    ];
    let extensions = ["rs", "py", "ts", "svelte"];
    let all = folders.iter().flat_map(|f| extensions.map(|e| (*f, e)));
    all.flat_map(|(folder, extension)| sources(folder, extension))
        .collect()
}

#[test]
fn every_test_that_the_intended_behaviour_names_is_there() {
    let code = code();
    let functions: BTreeSet<String> = code
        .iter()
        .flat_map(|source| source.text.lines().map(str::trim))
        .filter_map(super::test_name)
        .map(|name| name.trim_start_matches("test_").to_owned())
        .collect();
    let text = std::fs::read_to_string(root().join("docs/INTENDED-BEHAVIOUR.md"));
    let text = text.expect("the document can be read");
    // Settings and reasons have no module before them.
    let is_evidence =
        |name: &&str| name.contains("::") || name.split_once('.').is_some_and(is_scenario);
    let last = |name: &str| {
        name.rsplit([':', '.'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let named: BTreeSet<String> = quoted(&text)
        .into_iter()
        .filter(is_evidence)
        .map(last)
        .collect();
    assert!(named.len() > 100, "only {} tests are named", named.len());
    // All the tests of a module.
    let is_module = |name: &str| {
        let file = format!("/{name}.rs");
        name == "tests" || code.iter().any(|source| source.path.ends_with(&file))
    };
    let is_there = |name: &str| match name.strip_suffix('*') {
        Some(beginning) => functions.iter().any(|f| f.starts_with(beginning)),
        None => functions.contains(name) || is_module(name),
    };
    let missing: Vec<&String> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no test is called {missing:?}");
}

/// Whether a name in two parts is a scenario with real dashboards.
fn is_scenario((module, _): (&str, &str)) -> bool {
    root().join(format!("tests/interop/{module}.py")).exists()
}

#[test]
fn every_source_file_that_a_document_points_to_is_there() {
    let files = code();
    // `engine/runtime.rs` stands for crates/engine/src/runtime.rs.
    let is_there = |path: &str| {
        let in_crate = path.replacen('/', "/src/", 1);
        let ends = [format!("/{path}"), format!("/{in_crate}")];
        let ends_so = |s: &Source| {
            ends.iter()
                .any(|end| format!("/{}", s.path).ends_with(end.as_str()))
        };
        files.iter().any(ends_so)
    };
    let is_source = |path: &&str| {
        let extension = path.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|e| ["rs", "py", "svelte"].contains(&e))
            && !path.contains(['*', ' ', '<'])
    };
    let mut missing = Vec::new();
    for document in documents() {
        let paths = quoted(&document.text).into_iter().filter(is_source);
        let gone = paths.filter(|path| !is_there(path));
        missing.extend(gone.map(|path| format!("{}: {path}", document.path)));
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
}
