//! The source tree, as tests about structure read it.
use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub struct Source {
    /// Path below the root, with forward slashes.
    pub path: String,
    /// Text.
    pub text: String,
}

/// Returns the root of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .map_or_else(|| tests.to_owned(), Path::to_owned)
}

/// Returns every file with this extension below `folder`, sorted by path; build output is left out.
pub fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && name != "node_modules" && name != ".git" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                let Ok(text) = fs::read_to_string(&path) else {
                    continue;
                };
                let short = path.strip_prefix(&root).unwrap_or(&path);
                found.push(Source {
                    path: short.to_string_lossy().replace('\\', "/"),
                    text,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Returns the text without its tests: everything before the first `#[cfg(test)]`.
pub fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// Returns whether a file is no part of the program: an integration test, a benchmark, or a module
/// that its parent declares under `#[cfg(test)]`.
pub fn is_test_only(source: &Source, all: &[Source]) -> bool {
    if source.path.contains("/tests/") || source.path.contains("/benches/") {
        return true;
    }
    let Some((folder, file)) = source.path.rsplit_once('/') else {
        return false;
    };
    let name = file.trim_end_matches(".rs");
    let declared = format!("#[cfg(test)]\nmod {name};");
    let parents = [
        format!("{folder}/mod.rs"),
        format!("{folder}/lib.rs"),
        format!("{folder}.rs"),
    ];
    all.iter()
        .any(|s| parents.contains(&s.path) && s.text.contains(&declared))
}
