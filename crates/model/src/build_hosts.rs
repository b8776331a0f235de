//! [`BuildHosts`]: the hosts that a build for somebody else may reach.
use std::fmt;

/// What `default` in the setting stands for: where ESPHome, PlatformIO, ESP-IDF and pip fetch
/// packages, toolchains and sources, and where components, fonts and pictures usually lie.
const DEFAULT: &[&str] = &[
    "*.arduino.cc",
    "*.espressif.com",
    "*.githubusercontent.com",
    "*.platformio.org",
    "*.pythonhosted.org",
    "bitbucket.org",
    "codeberg.org",
    "codeload.github.com",
    "api.github.com",
    "esphome.io",
    "fonts.googleapis.com",
    "fonts.gstatic.com",
    "github.com",
    "gitlab.com",
    "pypi.org",
];

/// Ports that packages and sources come from.
const PORTS: [u16; 2] = [80, 443];

/// Longest setting that is taken, in characters.
const MAX_TEXT: usize = 4_096;

/// A list of host names: `name` means itself, `*.name` everything below it, `default` the built-in
/// list. An empty text is the built-in list as well, `none` an empty one. Addresses are never in it:
/// what a name stands for is checked when it is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildHosts(Vec<String>);

impl BuildHosts {
    /// Reads the setting: words separated by spaces or commas.
    ///
    /// # Errors
    /// The first word that is not a host name.
    pub fn from_setting(text: &str) -> Result<Self, String> {
        if text.chars().count() > MAX_TEXT {
            return Err(format!("a text of more than {MAX_TEXT} characters"));
        }
        let words: Vec<&str> = text
            .split([' ', ',', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        let mut names = Vec::new();
        let words = if words.is_empty() {
            vec!["default"]
        } else {
            words
        };
        for word in words {
            match word {
                "default" => names.extend(DEFAULT.iter().map(|&name| name.to_owned())),
                "none" => {}
                _ if is_pattern(word) => names.push(word.to_ascii_lowercase()),
                _ => return Err(word.to_owned()),
            }
        }
        Ok(Self(names))
    }

    /// Returns whether a build may ask for this host and port.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let fits = |pattern: &String| match pattern.strip_prefix('*') {
            // The dot stays: `*.a.b` is not `xa.b`.
            Some(ending) => host.len() > ending.len() && host.ends_with(ending),
            None => host == *pattern,
        };
        PORTS.contains(&port) && self.0.iter().any(fits)
    }
}

impl fmt::Display for BuildHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Letters, digits, hyphens and dots, with a dot inside, and not an address.
fn is_pattern(word: &str) -> bool {
    let name = word.strip_prefix("*.").unwrap_or(word);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.contains('.')
        && name.split('.').all(label)
        && last.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_what_an_empty_setting_means() {
        let hosts = BuildHosts::from_setting("").unwrap();
        assert!(hosts.allows("github.com", 443));
        assert!(hosts.allows("GitHub.com.", 443));
        assert!(hosts.allows("dl.registry.platformio.org", 443));
        assert!(!hosts.allows("github.com", 22));
        assert!(!hosts.allows("github.com.evil.example", 443));
        assert!(!hosts.allows("evilgithub.com", 443));
        assert!(!hosts.allows("xplatformio.org", 443));
        assert!(!hosts.allows("192.168.1.1", 80));
    }

    #[test]
    fn hosts_are_added_replaced_and_taken_away() {
        let added = BuildHosts::from_setting("default, mirror.example.net").unwrap();
        assert!(added.allows("mirror.example.net", 443) && added.allows("pypi.org", 443));
        let replaced = BuildHosts::from_setting("*.example.net").unwrap();
        assert!(replaced.allows("a.example.net", 80) && !replaced.allows("pypi.org", 443));
        assert!(!replaced.allows("example.net", 80));
        let none = BuildHosts::from_setting("none").unwrap();
        assert!(!none.allows("pypi.org", 443));
    }

    #[test]
    fn addresses_and_odd_words_are_no_host_names() {
        for word in [
            "10.0.0.1",
            "localhost",
            "*",
            "*.*",
            "a..b",
            "a_b.c",
            "http://a.b",
            "[::1]",
        ] {
            assert_eq!(BuildHosts::from_setting(word), Err(word.to_owned()));
        }
    }
}
