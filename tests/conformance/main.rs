//! `docs/CONFORMANCE.md`: every numbered statement and the tests that cover it, kept true here.
//!
//! A test names what it covers in a line `// Covers: R-11, M24` above its `#[test]`. Set
//! `KILN_BLESS=1` to write the table anew.
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use kiln_tests::tree::{root, sources};

const STATEMENTS: &str = include_str!("statements.txt");
/// Statements that no test covers, each with the reason.
const OPEN: &str = include_str!("open.txt");
/// Statements that are followed differently, each with the reason.
const DEVIATES: &str = include_str!("deviates.txt");

#[test]
fn every_statement_is_covered_by_a_test_or_listed_as_open_with_a_reason() {
    let covers = covers();
    let open = pairs(OPEN);
    let known: BTreeSet<&str> = pairs(STATEMENTS).into_iter().map(|(id, _)| id).collect();
    let excused: BTreeMap<&str, &str> = open.into_iter().collect();
    for id in covers.keys() {
        assert!(
            known.contains(id.as_str()),
            "{id} is covered by a test but is no statement"
        );
    }
    let missing: Vec<&str> = known
        .iter()
        .copied()
        .filter(|id| !covers.contains_key(*id) && !excused.contains_key(id))
        .collect();
    assert!(missing.is_empty(), "nothing covers {missing:?}");
    let stale: Vec<&&str> = excused
        .keys()
        .filter(|id| covers.contains_key(**id))
        .collect();
    assert!(stale.is_empty(), "covered, yet listed as open: {stale:?}");
    for (id, _) in pairs(DEVIATES) {
        assert!(
            covers.contains_key(id),
            "no test holds what {id} is instead"
        );
    }
}

#[test]
fn the_conformance_table_is_up_to_date() {
    let path = root().join("docs/CONFORMANCE.md");
    let table = table();
    if std::env::var_os("KILN_BLESS").is_some() {
        std::fs::write(&path, &table).expect("the table can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "run the conformance test with KILN_BLESS=1 to write the table anew"
    );
}

/// Returns each covered id with the tests that name it (`path: test`).
fn covers() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["crates", "tests"] {
        for extension in ["rs", "py"] {
            for source in sources(folder, extension) {
                let mut ids: Vec<String> = Vec::new();
                for line in source.text.lines().map(str::trim) {
                    let marked = line
                        .strip_prefix("// Covers: ")
                        .or(line.strip_prefix("# Covers: "));
                    if let Some(list) = marked {
                        ids.extend(list.split(',').map(|id| id.trim().to_owned()));
                    } else if let Some(name) = test_name(line) {
                        for id in ids.drain(..) {
                            let place = format!("`{}`: {}", source.path, name.replace('_', " "));
                            found.entry(id).or_default().push(place);
                        }
                    }
                }
            }
        }
    }
    found
}

fn test_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ").or(line.strip_prefix("def "))?;
    rest.split('(').next()
}

fn table() -> String {
    let covers = covers();
    let open: BTreeMap<&str, &str> = pairs(OPEN).into_iter().collect();
    let mut text = String::from(
        "# Conformance\n\nEvery numbered statement of the peer link (B both roles, R receiver, O \
         offloader) and of builds (M), and the tests that cover it.\nMade by `KILN_BLESS=1 cargo \
         test -p kiln-tests --test conformance`; the same test fails when it is out of date.\n\n\
         | id | statement | tests |\n|---|---|---|\n",
    );
    let deviates: BTreeMap<&str, &str> = pairs(DEVIATES).into_iter().collect();
    for (id, statement) in pairs(STATEMENTS) {
        let tests = match (covers.get(id), open.get(id)) {
            (Some(tests), _) => tests.join("<br>"),
            (None, Some(reason)) => format!("open: {reason}"),
            (None, None) => String::new(),
        };
        let differently = match deviates.get(id) {
            Some(reason) => format!("<br>**Differently, on purpose:** {reason}."),
            None => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {id} | {}{differently} | {tests} |",
            statement.replace('|', "\\|")
        );
    }
    text
}

fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once('\t'))
        .collect()
}
