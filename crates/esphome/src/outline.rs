//! [`Outline`]: what a configuration says of its device at a glance.
//!
//! A best effort on the text alone: nothing is included, no secret is read, no Python runs, so a
//! package or a Jinja expression may hide a fact. What ESPHome itself wrote down (the sidecar) is
//! better and wins where it exists.
use std::collections::HashMap;

use kiln_model::{Sentence, say};
use saphyr_parser::{Event, Parser, Span};

/// Largest configuration looked at, in bytes; real ones have some tens of thousands.
pub const MAX_YAML_BYTES: usize = 2 << 20;

/// Deepest nesting kept; everything of interest is at depth four.
const MAX_DEPTH: usize = 8;

/// Rounds of substitution inside substitutions.
const MAX_ROUNDS: usize = 8;

/// Facts of one configuration; each `None` if it is not plainly in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// `esphome.name`.
    pub name: Option<String>,
    /// `esphome.friendly_name`.
    pub friendly_name: Option<String>,
    /// Platform key, upper case like the sidecar's, for example `ESP32`.
    pub platform: Option<String>,
    /// `use_address`, the static address, or the name in its domain (`.local` unless said).
    pub address: Option<String>,
    /// What is wrong with the text, for the owner.
    pub problem: Option<Sentence>,
}

impl Outline {
    /// Reads a configuration. Never fails: what cannot be read becomes `problem`.
    pub fn of(text: &str) -> Self {
        if text.len() > MAX_YAML_BYTES {
            return Self::with_problem(say::configuration_too_large(MAX_YAML_BYTES >> 20));
        }
        let root = match read(text) {
            Ok(root) => root,
            Err(problem) => return Self::with_problem(problem),
        };
        let Node::Map(_) = &root else {
            return Self::with_problem(say::configuration_no_mapping());
        };
        let substitutions = Substitutions::of(&root);
        let fact = |path: &[&str]| substitutions.resolve(root.at(path)?.scalar()?);
        let name = fact(&["esphome", "name"]);
        let platform = PLATFORMS
            .iter()
            .find(|key| root.at(&[key]).is_some())
            .map(|key| key.to_ascii_uppercase())
            .or_else(|| Some(fact(&["esphome", "platform"])?.to_ascii_uppercase()));
        let network = NETWORKS.iter().find(|key| root.at(&[key]).is_some());
        let address = network.and_then(|network| {
            let by_name = || {
                let domain = fact(&[network, "domain"]).unwrap_or_else(|| ".local".to_owned());
                name.as_ref().map(|name| format!("{name}{domain}"))
            };
            fact(&[network, "use_address"])
                .or_else(|| fact(&[network, "manual_ip", "static_ip"]))
                .or_else(by_name)
        });
        // A package or a merged file may bring the section.
        let named = ["esphome", "packages", "<<"]
            .iter()
            .any(|key| root.at(&[key]).is_some());
        Self {
            friendly_name: fact(&["esphome", "friendly_name"]),
            problem: (!named).then(say::configuration_no_esphome),
            name,
            platform,
            address,
        }
    }

    fn with_problem(problem: impl Into<Sentence>) -> Self {
        Self {
            problem: Some(problem.into()),
            ..Self::default()
        }
    }
}

const PLATFORMS: [&str; 9] = [
    "esp32", "esp8266", "rp2", "rp2040", "bk72xx", "rtl87xx", "ln882x", "nrf52", "host",
];

const NETWORKS: [&str; 3] = ["wifi", "ethernet", "openthread"];

/// The part of a document that is kept.
#[derive(Debug)]
enum Node {
    Scalar(String),
    Map(Vec<(String, Node)>),
    /// Sequences, aliases, tagged values (`!secret`, `!include`, …), and what lies too deep.
    Opaque,
}

impl Node {
    fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| match node {
            // ESPHome lets the last of equal keys win.
            Node::Map(pairs) => pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            Node::Scalar(_) | Node::Opaque => None,
        })
    }

    fn scalar(&self) -> Option<&str> {
        match self {
            Node::Scalar(text) => Some(text),
            Node::Map(_) | Node::Opaque => None,
        }
    }
}

/// A collection that is being read.
enum Open {
    Map {
        pairs: Vec<(String, Node)>,
        key: Option<String>,
    },
    /// Its content does not matter.
    Skipped,
}

/// Reads the first document without recursion, so that no nesting exhausts the stack.
fn read(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _): (Event<'_>, Span) = event.map_err(|error| {
            let at = error.marker();
            format!("line {}: {}", at.line(), error.info())
        })?;
        let done = match event {
            Event::MappingStart(_, tag) => {
                let skipped = tag.is_some() || open.len() >= MAX_DEPTH;
                open.push(match skipped {
                    true => Open::Skipped,
                    false => Open::Map {
                        pairs: Vec::new(),
                        key: None,
                    },
                });
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open::Skipped);
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Map { pairs, .. }) => Node::Map(pairs),
                Some(Open::Skipped) | None => Node::Opaque,
            },
            Event::Scalar(text, _, _, None) => Node::Scalar(text.into_owned()),
            Event::Scalar(_, _, _, Some(_)) | Event::Alias(_) => Node::Opaque,
            Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                continue;
            }
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::Skipped) => {}
            Some(Open::Map { pairs, key }) => match key.take() {
                Some(name) => pairs.push((name, done)),
                None => *key = Some(done.scalar().unwrap_or_default().to_owned()),
            },
        }
    }
    Ok(Node::Opaque)
}

/// The configuration's own `substitutions`.
struct Substitutions<'a>(HashMap<&'a str, &'a str>);

impl<'a> Substitutions<'a> {
    fn of(root: &'a Node) -> Self {
        Self(match root.at(&["substitutions"]) {
            Some(Node::Map(pairs)) => pairs
                .iter()
                .filter_map(|(key, value)| Some((key.as_str(), value.scalar()?)))
                .collect(),
            Some(Node::Scalar(_) | Node::Opaque) | None => HashMap::new(),
        })
    }

    /// Replaces `$name` and `${name}`; `None` if something is unknown or is an expression.
    fn resolve(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for _ in 0..MAX_ROUNDS {
            if !text.contains('$') {
                return (!text.is_empty()).then_some(text);
            }
            text = self.replace_once(&text)?;
        }
        None
    }

    fn replace_once(&self, text: &str) -> Option<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut parts = text.split('$');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = match part.strip_prefix('{') {
                Some(braced) => braced.split_once('}')?,
                None => part.split_at(part.find(|c| !is_name(c)).unwrap_or(part.len())),
            };
            out.push_str(self.0.get(name.trim())?);
            out.push_str(rest);
            if out.len() > 4096 {
                return None;
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_usual_configuration_is_understood_with_its_substitutions() {
        let outline = Outline::of(
            "substitutions:\n  room: kitchen\n  node: ${room}-light\n\
             esphome:\n  name: $node\n  friendly_name: \"Light in ${ room }\"\n\
             esp32:\n  board: x\n\
             wifi:\n  ssid: !secret ssid\n  password: !secret password\n\
             packages:\n  base: !include {file: base.yaml, vars: {a: 1}}\n\
             sensor:\n  - platform: x\n    lambda: |-\n      return 1;\n\
             <<: !include common.yaml\n",
        );
        assert_eq!(
            outline,
            Outline {
                name: some("kitchen-light"),
                friendly_name: some("Light in kitchen"),
                platform: some("ESP32"),
                address: some("kitchen-light.local"),
                problem: None,
            }
        );
    }

    #[test]
    fn the_address_is_what_the_network_section_says() {
        let address = |network: &str| {
            Outline::of(&format!("esphome: {{name: a}}\nhost:\n{network}\n")).address
        };
        assert_eq!(address("wifi: {use_address: 192.0.2.9}"), some("192.0.2.9"));
        assert_eq!(
            address("ethernet: {manual_ip: {static_ip: 192.0.2.8}}"),
            some("192.0.2.8")
        );
        assert_eq!(address("wifi: {domain: .lan}"), some("a.lan"));
        assert_eq!(address("wifi:"), some("a.local"));
        assert_eq!(address("logger:"), None, "no network, nothing to reach");
    }

    #[test]
    fn what_the_text_does_not_say_plainly_is_unknown_and_no_problem() {
        for name in [
            "${missing}",
            "${ room | upper }",
            "$",
            "!secret name",
            "[a]",
            "*anchor",
            "${a",
        ] {
            let outline = Outline::of(&format!("x: &anchor y\nesphome:\n  name: {name}\nhost:\n"));
            assert_eq!((outline.name, outline.problem), (None, None), "{name}");
        }
        let looped = "substitutions: {a: $b, b: $a}\nesphome: {name: $a}\n";
        assert_eq!(Outline::of(looped).name, None);
        let doubling = "substitutions: {a: $a$a$a$a}\nesphome: {name: $a}\n";
        assert_eq!(Outline::of(doubling).name, None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let problem = |text: &str| Outline::of(text).problem.unwrap();
        assert!(problem("esphome:\n  name: [a\n").starts_with("line "));
        assert_eq!(problem(""), "not a mapping of components");
        assert_eq!(problem("- a\n"), "not a mapping of components");
        assert_eq!(problem("logger:\n"), "no esphome section");
        assert_eq!(
            problem(&"x".repeat(MAX_YAML_BYTES + 1)),
            "larger than 2 MiB"
        );
        assert_eq!(Outline::of("packages: !include x.yaml\n").problem, None);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_anything() {
        for opening in ["[", "{a: ", "- ", "? "] {
            let _ = Outline::of(&opening.repeat(20_000));
        }
        assert_eq!(
            Outline::of(&format!(
                "esphome: {{name: a}}\nx: {}{}",
                "[".repeat(200),
                "]".repeat(200)
            ))
            .name,
            some("a")
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in r"([a-z]+: ?|esphome:|name:|\n|  |- |\[|\]|\{|\}|!secret |&a |\*a|'|\x22|\||>|---|\$\{|%|#|\PC){0,40}") {
            let _ = Outline::of(&text);
        }
    }
}
