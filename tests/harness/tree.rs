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

/// Returns the text without the tests that stand at its end. Those in a file of their own are told by
/// [`is_test_only`].
pub fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

/// Returns whether a file is no part of the program: an integration test, a benchmark, or a module
/// that its parent declares under `#[cfg(test)]`, and what such a module declares in turn.
pub fn is_test_only(source: &Source, all: &[Source]) -> bool {
    if source.path.contains("/tests/") || source.path.contains("/benches/") {
        return true;
    }
    let Some((folder, file)) = source.path.rsplit_once('/') else {
        return false;
    };
    let (folder, name) = match file.trim_end_matches(".rs") {
        // The roots of a crate.
        "lib" | "main" => return false,
        // A folder is declared beside it.
        "mod" => folder.rsplit_once('/').unwrap_or(("", folder)),
        name => (folder, name),
    };
    let parents = [
        format!("{folder}/mod.rs"),
        format!("{folder}/lib.rs"),
        format!("{folder}/main.rs"),
        format!("{folder}.rs"),
    ];
    let mut parents = all.iter().filter(|s| parents.contains(&s.path));
    parents.any(|parent| declares_for_tests(&parent.text, name, file) || is_test_only(parent, all))
}

/// Returns whether a text declares a module of this name, or with this file, under `#[cfg(test)]`.
fn declares_for_tests(text: &str, name: &str, file: &str) -> bool {
    let module = format!("mod {name};");
    let path = format!("path = \"{file}\"");
    let (mut for_tests, mut has_path) = (false, false);
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            for_tests = true;
        } else if line.starts_with("#[") {
            has_path |= line.contains(&path);
        } else {
            let declares = line == module || has_path && line.starts_with("mod ");
            if for_tests && declares {
                return true;
            }
            (for_tests, has_path) = (false, false);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<Source> {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        files.iter().map(source).collect()
    }

    fn test_only(all: &[Source]) -> Vec<&str> {
        let found = all.iter().filter(|source| is_test_only(source, all));
        found.map(|source| source.path.as_str()).collect()
    }

    #[test]
    fn a_module_for_tests_takes_all_with_it_that_it_declares_and_nothing_else() {
        let all = tree(&[
            ("a/src/lib.rs", "mod b;\n#[cfg(test)]\nmod c;\nmod d;\n"),
            ("a/src/b.rs", ""),
            ("a/src/c.rs", "mod e;\n"),
            ("a/src/c/e.rs", ""),
            ("a/src/d/mod.rs", "#[cfg(test)]\nmod f;\nmod g;\n"),
            ("a/src/d/f/mod.rs", ""),
            ("a/src/d/g.rs", ""),
        ]);
        assert_eq!(
            test_only(&all),
            ["a/src/c.rs", "a/src/c/e.rs", "a/src/d/f/mod.rs"]
        );
    }

    #[test]
    fn attributes_may_stand_between_and_name_the_file() {
        let all = tree(&[
            (
                "a/src/mod.rs",
                "#[cfg(test)]\n#[cfg_attr(unix, path = \"unix_tests.rs\")]\nmod tests;\n\
                 #[path = \"own.rs\"]\nmod os;\n",
            ),
            ("a/src/unix_tests.rs", ""),
            ("a/src/own.rs", ""),
        ]);
        assert_eq!(test_only(&all), ["a/src/unix_tests.rs"]);
    }

    #[test]
    fn what_follows_a_declaration_of_tests_elsewhere_is_the_program() {
        let text = "#[cfg(test)]\nmod tests;\nfn program() {}\n";
        assert_eq!(without_tests(text), text);
        let with_tests = "fn program() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(without_tests(with_tests), "fn program() {}\n");
    }
}
