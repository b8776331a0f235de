//! [`Surroundings`]: the environment variables that ESPHome and pip are run with (builds.md §7.1).
//!
//! The parent's variables come in as values: nobody here reads them.
use std::path::{Path, PathBuf};

/// What a process is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// The owner's own builds and flashes.
    Own,
    /// A build for an offloader: it sees little of this machine.
    Received {
        /// ESPHome's data folder for everything from this offloader.
        data_dir: &'a str,
        /// The home folder in its box; `None` without a box.
        home: Option<&'a str>,
    },
    /// Installing an ESPHome version.
    Provision,
}

/// Variables of the process that runs Kiln.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings(Vec<(String, String)>);

/// Makes output coloured, unbuffered and UTF-8.
const ALWAYS: [(&str, &str); 6] = [
    ("PLATFORMIO_FORCE_ANSI", "true"),
    ("FORCE_COLOR", "1"),
    ("CLICOLOR_FORCE", "1"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONUTF8", "1"),
    ("PYTHONIOENCODING", "utf-8"),
];

/// Never passed on: the first two break every ESP32 build, the others belong to the interpreter of
/// whoever started Kiln.
const NEVER: [&str; 6] = [
    "IDF_PATH",
    "IDF_TOOLS_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
];

/// What a build for somebody else may know: where programs and temporary files are, language, how
/// to get out, where toolchains are. Compared without case.
const FOR_OTHERS: [&str; 46] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "USERNAME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "OS",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "TEMP",
    "TMP",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "XDG_CACHE_HOME",
    "PLATFORMIO_CORE_DIR",
    "ESPHOME_ESP_IDF_PREFIX",
    "ESPHOME_PCH_ENABLE",
    "ESPHOME_DEFAULT_COMPILE_PROCESS_LIMIT",
    "CCACHE_DIR",
    "CCACHE_MAXSIZE",
    "CCACHE_DISABLE",
    "CC",
    "CXX",
    "SDKROOT",
];

/// What leads out of a box: the owner's folders and proxies. Without these, programs use the home
/// that they are given.
const OUTSIDE: [&str; 13] = [
    "HOME",
    "TEMP",
    "TMP",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "XDG_CACHE_HOME",
    "PLATFORMIO_CORE_DIR",
    "ESPHOME_ESP_IDF_PREFIX",
    "CCACHE_DIR",
    "USERPROFILE",
];

/// Where packages come from; may hold credentials, so builds for others do not see it.
const PACKAGE_SOURCES: [&str; 2] = ["PIP_", "UV_"];

impl Surroundings {
    /// Takes the parent's variables.
    pub fn new(parent: Vec<(String, String)>) -> Self {
        Self(parent)
    }

    /// Returns a variable of the parent, compared as Windows does; `None` if unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns ESPHome's data folder for the owner's own configurations in `configurations`: the
    /// add-on's, the one that is set, or `.esphome` in it (builds.md §0).
    pub fn own_data_dir(&self, configurations: &Path) -> PathBuf {
        let addon = self.get("ESPHOME_IS_HA_ADDON").is_some_and(|v| {
            ["1", "true", "yes", "on"]
                .iter()
                .any(|yes| v.eq_ignore_ascii_case(yes))
        });
        match self.get("ESPHOME_DATA_DIR") {
            _ if addon => PathBuf::from("/data"),
            Some(set) => configurations.join(set),
            None => configurations.join(".esphome"),
        }
    }

    /// Returns PlatformIO's folder: the one that is set, or `.platformio` in the home.
    pub fn platformio_dir(&self) -> Option<PathBuf> {
        let in_home = || Some(Path::new(self.home()?).join(".platformio"));
        self.get("PLATFORMIO_CORE_DIR")
            .map(PathBuf::from)
            .or_else(in_home)
    }

    /// Returns the user's home folder.
    pub fn home(&self) -> Option<&str> {
        self.get("HOME").or_else(|| self.get("USERPROFILE"))
    }

    /// Returns the whole environment for a purpose.
    pub fn environment(&self, purpose: Purpose<'_>) -> Vec<(String, String)> {
        let known = |list: &[&str], key: &str| list.iter().any(|k| k.eq_ignore_ascii_case(key));
        let starts = |key: &str, prefix: &str| {
            key.get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        let harmless = |key: &str| known(&FOR_OTHERS, key) || starts(key, "LC_");
        let passes = |key: &str| match purpose {
            Purpose::Own => true,
            Purpose::Received { home: None, .. } => harmless(key),
            Purpose::Received { home: Some(_), .. } => harmless(key) && !known(&OUTSIDE, key),
            Purpose::Provision => {
                harmless(key) || PACKAGE_SOURCES.iter().any(|prefix| starts(key, prefix))
            }
        };
        let replaced = ALWAYS.map(|(key, _)| key);
        let mut environment: Vec<(String, String)> = self
            .0
            .iter()
            .filter(|(key, _)| passes(key) && !known(&NEVER, key) && !known(&replaced, key))
            .cloned()
            .collect();
        environment.extend(ALWAYS.map(|(key, value)| (key.to_owned(), value.to_owned())));
        match purpose {
            Purpose::Own | Purpose::Provision => {}
            Purpose::Received { data_dir, home } => {
                environment.extend(home.map(|home| ("HOME".to_owned(), home.to_owned())));
                environment.push(("ESPHOME_DATA_DIR".to_owned(), data_dir.to_owned()));
            }
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent() -> Surroundings {
        let pairs = [
            ("Path", "/bin"),
            ("HOME", "/home/me"),
            ("LC_ALL", "de_DE.UTF-8"),
            ("https_proxy", "http://proxy"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("KILN_HOME", "/k"),
            ("ESPHOME_IS_HA_ADDON", "1"),
            ("ESPHOME_DATA_DIR", "/data"),
            ("IDF_PATH", "/idf"),
            ("IDF_TOOLS_PATH", "/tools"),
            ("PYTHONPATH", "/x"),
            ("PYTHONUTF8", "0"),
            ("PIP_INDEX_URL", "https://user:password@mirror/"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ];
        Surroundings::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec())
    }

    fn keys(environment: &[(String, String)]) -> Vec<&str> {
        environment.iter().map(|(key, _)| key.as_str()).collect()
    }

    // Covers: M73
    #[test]
    fn a_received_build_has_its_own_data_folder_and_knows_little_of_this_machine() {
        let environment = parent().environment(Purpose::Received {
            data_dir: "/peer/.esphome",
            home: None,
        });
        assert_eq!(
            keys(&environment),
            [
                "Path",
                "HOME",
                "LC_ALL",
                "https_proxy",
                "PLATFORMIO_FORCE_ANSI",
                "FORCE_COLOR",
                "CLICOLOR_FORCE",
                "PYTHONUNBUFFERED",
                "PYTHONUTF8",
                "PYTHONIOENCODING",
                "ESPHOME_DATA_DIR",
            ]
        );
        let data_dir = environment.last().map(|(_, value)| value.as_str());
        assert_eq!(data_dir, Some("/peer/.esphome"));
    }

    #[test]
    fn a_boxed_build_has_a_home_of_its_own_and_no_way_round_its_gate() {
        let mut parent = parent();
        for key in OUTSIDE {
            parent.0.push((key.to_owned(), "/owner".to_owned()));
        }
        let environment = parent.environment(Purpose::Received {
            data_dir: "/peer/.esphome",
            home: Some("/peer/home"),
        });
        let owners = |value: &str| value.starts_with("/owner") || value.starts_with("/home");
        assert!(
            !environment.iter().any(|(_, value)| owners(value)),
            "{environment:?}"
        );
        let home = ("HOME".to_owned(), "/peer/home".to_owned());
        assert!(environment.contains(&home) && !keys(&environment).contains(&"https_proxy"));
    }

    #[test]
    fn an_own_build_inherits_all_but_what_breaks_it() {
        let environment = parent().environment(Purpose::Own);
        let keys = keys(&environment);
        for kept in [
            "SSH_AUTH_SOCK",
            "ESPHOME_IS_HA_ADDON",
            "ESPHOME_DATA_DIR",
            "PIP_INDEX_URL",
        ] {
            assert!(keys.contains(&kept), "{kept}");
        }
        for dropped in NEVER {
            assert!(!keys.contains(&dropped), "{dropped}");
        }
        let utf8: Vec<_> = environment
            .iter()
            .filter(|(k, _)| k == "PYTHONUTF8")
            .collect();
        assert_eq!(utf8, [&("PYTHONUTF8".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn installing_knows_where_packages_come_from_and_no_secrets_besides() {
        let environment = parent().environment(Purpose::Provision);
        let keys = keys(&environment);
        assert!(keys.contains(&"PIP_INDEX_URL"));
        assert!(!keys.contains(&"AWS_SECRET_ACCESS_KEY"));
        assert!(!keys.contains(&"ESPHOME_DATA_DIR"));
    }

    #[test]
    fn the_data_folder_is_where_esphome_itself_would_put_it() {
        let with = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Surroundings::new(pairs.collect()).own_data_dir(Path::new("/c"))
        };
        assert_eq!(with(&[]), Path::new("/c/.esphome"));
        assert_eq!(with(&[("ESPHOME_DATA_DIR", "/d")]), Path::new("/d"));
        assert_eq!(with(&[("ESPHOME_IS_HA_ADDON", "True")]), Path::new("/data"));
        assert_eq!(
            with(&[("ESPHOME_IS_HA_ADDON", "0")]),
            Path::new("/c/.esphome")
        );
    }

    #[test]
    fn platformio_is_in_the_home_unless_it_is_set() {
        let folder = |key: &str, value: &str| {
            Surroundings::new(vec![(key.to_owned(), value.to_owned())]).platformio_dir()
        };
        assert_eq!(folder("HOME", "/h"), Some("/h/.platformio".into()));
        assert_eq!(folder("USERPROFILE", "/u"), Some("/u/.platformio".into()));
        assert_eq!(folder("PLATFORMIO_CORE_DIR", "/p"), Some("/p".into()));
        assert_eq!(folder("X", "y"), None);
    }

    #[test]
    fn a_variable_is_found_in_any_case_and_an_empty_one_is_none() {
        assert_eq!(parent().get("PATH"), Some("/bin"));
        let empty = Surroundings::new(vec![("A".to_owned(), String::new())]);
        assert_eq!(empty.get("A"), None);
    }
}
