//! [`ConfigurationName`]: a YAML leaf name that is safe to use as a path segment on every OS.
use std::fmt;
use std::str::FromStr;

/// A leaf name ending in `.yaml` or `.yml` (any case) whose stem is usable as a directory on
/// Linux, macOS and Windows alike (builds.md §5.2, with our stricter rules).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigurationName {
    name: String,
    stem_len: usize,
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfigurationName {
    /// Contains a separator or NUL, so it is not a leaf.
    #[error("a configuration is named without folders")]
    NotALeaf,
    /// Does not end in `.yaml` or `.yml`.
    #[error("a configuration's name ends in .yaml or .yml")]
    NotYaml,
    /// Empty, dots only, reserved, or not storable on some OS.
    #[error("this configuration name cannot be stored on every system")]
    Reserved,
}

impl ConfigurationName {
    /// Returns the whole leaf name, for example `kitchen.yaml`.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the name without its extension, for example `kitchen`.
    pub fn stem(&self) -> &str {
        &self.name[..self.stem_len]
    }
}

impl fmt::Display for ConfigurationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for ConfigurationName {
    type Err = InvalidConfigurationName;

    fn from_str(name: &str) -> Result<Self, InvalidConfigurationName> {
        use InvalidConfigurationName::{NotALeaf, NotYaml, Reserved};
        if name.contains(['/', '\\', '\0']) {
            return Err(NotALeaf);
        }
        let lower = name.to_ascii_lowercase();
        let stem_len = lower
            .strip_suffix(".yaml")
            .or_else(|| lower.strip_suffix(".yml"))
            .map(str::len)
            .ok_or(NotYaml)?;
        let stem = &name[..stem_len];
        if !storable_component(stem) || !storable_component(name) || reserved(stem) {
            return Err(Reserved);
        }
        Ok(Self {
            name: name.to_owned(),
            stem_len,
        })
    }
}

/// Names that mean something else inside a build tree or to ESPHome itself.
fn reserved(stem: &str) -> bool {
    [
        "secrets",
        "venvs",
        ".esphome",
        ".pioenvs",
        ".pio",
        ".bundle_staging",
    ]
    .iter()
    .any(|r| stem.eq_ignore_ascii_case(r))
        || stem.to_lowercase() == ".esphome"
}

/// Returns whether `name` can be one path component on Linux, macOS and Windows alike
/// (builds.md §5.2): no separator, control or shell-of-Windows character, no leading space, no
/// trailing dot or space, no device name, at most 255 bytes. `.` and `..` are not.
pub fn storable_component(name: &str) -> bool {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let bad = |c: char| c.is_control() || "/\\:<>\"|?*".contains(c);
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return false;
    }
    if name.starts_with(' ') || name.ends_with([' ', '.']) {
        return false;
    }
    let base = name
        .split('.')
        .next()
        .unwrap_or(name)
        .trim_end()
        .to_lowercase();
    let numbered = |p: &str| {
        base.strip_prefix(p).is_some_and(|n| {
            n.chars().count() == 1 && n.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c))
        })
    };
    !DEVICES.contains(&base.as_str()) && !numbered("com") && !numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reference accepts and some system cannot store, or ESPHome does not build.
    const OURS: &[&str] = &[
        "....yaml",
        "CON.yaml",
        "con.yaml",
        "a:b.yaml",
        " .yaml",
        "secrets.yaml",
    ];

    // Covers: M55, R-34
    #[test]
    fn names_are_refused_where_the_vectors_or_our_own_rules_say_so_and_nowhere_else() {
        let files = [
            include_str!("../../../tests/vectors/validators.json"),
            include_str!("../../../tests/vectors/build-vectors.json"),
        ];
        let mut refused_by_us = 0;
        for file in files {
            let vectors: serde_json::Value = serde_json::from_str(file).unwrap();
            for row in vectors["configuration_filename"].as_array().unwrap() {
                let name = row["name"]
                    .as_str()
                    .or(row["configuration_filename"].as_str());
                let stem = row["stem"].as_str().or(row["device_stem"].as_str());
                let name = name.unwrap();
                let ours = name.parse::<ConfigurationName>();
                if OURS.contains(&name) || name.len() > 255 {
                    assert!(ours.is_err(), "{name:?}");
                    refused_by_us += 1;
                } else {
                    let ours = ours.as_ref().ok().map(ConfigurationName::stem);
                    assert_eq!(ours, stem, "{name:?}");
                }
            }
        }
        assert!(refused_by_us >= OURS.len());
    }
}
