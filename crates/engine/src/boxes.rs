//! [`rules`]: the box of one received build: what it may write, and what it has to read so that
//! its ESPHome runs.
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use kiln_esphome::{Launcher, Surroundings};
use kiln_model::{BuildHosts, Settings};
use kiln_ports::sandbox::{BoxRules, Network};

use crate::limits::Limits;

/// Longest chain of links and scripts that is followed to an interpreter.
const MAX_HOPS: usize = 16;

/// Bytes of a script that may name its interpreter (execve(2)).
const SHEBANG: u64 = 256;

/// Variables that name files and folders of certificates.
const CERTIFICATES: [&str; 4] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Folders of one received build.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The unpacked configuration.
    pub(crate) tree: PathBuf,
    /// ESPHome's data folder of this offloader.
    pub(crate) data: PathBuf,
    /// Home folder of this offloader's builds, in `data`.
    pub(crate) home: PathBuf,
    /// Temporary files of this offloader's builds, in `data`.
    pub(crate) scratch: PathBuf,
}

impl Places {
    /// Makes what a box needs, anew where nothing is to be kept.
    pub(crate) fn prepare(&self) -> std::io::Result<()> {
        match fs::remove_dir_all(&self.scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir_all(&self.home)?;
        fs::create_dir_all(&self.scratch)
    }
}

/// Returns the box for a build with this launcher.
pub(crate) fn rules(
    places: &Places,
    launcher: &Launcher,
    settings: &Settings,
    surroundings: &Surroundings,
    limits: &Limits,
) -> BoxRules {
    let mut readable = needed_by(&launcher.program);
    let certificates = CERTIFICATES.iter().filter_map(|key| surroundings.get(key));
    readable.extend(certificates.map(PathBuf::from));
    readable.extend(std::env::split_paths(&settings.build_folders));
    readable.retain(|path| path.is_absolute());
    // A setting that cannot be read any more lets nothing through.
    let hosts = BuildHosts::from_setting(&settings.build_hosts);
    BoxRules {
        writable: vec![places.tree.clone(), places.data.clone()],
        readable,
        scratch: places.scratch.clone(),
        network: match hosts {
            Ok(hosts) => Network::Gate {
                hosts,
                max_bytes: limits.network_bytes,
            },
            Err(_) => Network::None,
        },
        limits: limits.of_process(),
    }
}

/// Returns the files and folders that a program of a Python environment reads: the environment, the
/// links and scripts that lead to its interpreter, and the interpreter's own library. Interpreters
/// lie anywhere (pyenv, uv, conda), often in the home folder, so that nothing around them is taken
/// along.
fn needed_by(program: &Path) -> Vec<PathBuf> {
    let mut needed = Vec::new();
    let mut next = Some(program.to_owned());
    for _ in 0..MAX_HOPS {
        let Some(here) = next.take() else { break };
        if let Some(prefix) = here.parent().and_then(Path::parent) {
            if prefix.join("pyvenv.cfg").is_file() {
                needed.push(prefix.to_owned());
            } else {
                needed.extend(["lib", "lib64", "include"].map(|part| prefix.join(part)));
            }
        }
        next = match fs::read_link(&here) {
            Ok(target) => here.parent().map(|folder| folder.join(target)),
            Err(_) => interpreter(&here),
        };
        needed.push(here);
    }
    needed
}

/// Returns the program that a script names in its first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    let file = fs::File::open(script).ok()?;
    file.take(SHEBANG).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_whitespace().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_brings_its_interpreter_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in ["venv/bin", "home/.pyenv/3.13/bin", "home/.pyenv/3.13/lib"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("venv/pyvenv.cfg"), "home = x").unwrap();
        fs::write(at("home/.pyenv/3.13/bin/python3.13"), "ELF").unwrap();
        let script = format!("#!{}\nimport esphome", at("venv/bin/python").display());
        fs::write(at("venv/bin/esphome"), script).unwrap();
        // Links are what a system without them has copies instead of.
        let link = |from: &str, to: &str| fs::write(at(from), format!("#!{}\n", at(to).display()));
        link("venv/bin/python", "home/.pyenv/3.13/bin/python3.13").unwrap();
        let needed = needed_by(&at("venv/bin/esphome"));
        for path in [
            "venv",
            "venv/bin/python",
            "home/.pyenv/3.13/bin/python3.13",
            "home/.pyenv/3.13/lib",
        ] {
            assert!(needed.contains(&at(path)), "{path} in {needed:?}");
        }
        for path in ["", "home", "home/.pyenv", "home/.pyenv/3.13"] {
            assert!(!needed.contains(&at(path)), "{path} in {needed:?}");
        }
    }

    #[test]
    fn a_build_may_write_its_own_tree_and_data_and_reads_what_the_owner_added() {
        let places = Places {
            tree: "/r/pin/kitchen".into(),
            data: "/r/pin/.esphome".into(),
            home: "/r/pin/.esphome/kiln/home".into(),
            scratch: "/r/pin/.esphome/kiln/tmp".into(),
        };
        let folders = [Path::new("/opt/tools"), Path::new("relative")];
        let folders = std::env::join_paths(folders).unwrap();
        let settings = Settings {
            build_folders: folders.into_string().unwrap(),
            build_hosts: "mirror.example.net".to_owned(),
            ..Settings::default()
        };
        let launcher = Launcher::program(Path::new("/usr/bin/esphome"));
        let limits = Limits::default();
        let rules = rules(
            &places,
            &launcher,
            &settings,
            &Surroundings::default(),
            &limits,
        );
        assert_eq!(rules.writable, [places.tree, places.data]);
        assert!(rules.readable.contains(&"/opt/tools".into()));
        assert!(!rules.readable.iter().any(|path| path.is_relative()));
        let Network::Gate { hosts, .. } = rules.network else {
            panic!("no network");
        };
        assert!(hosts.allows("mirror.example.net", 443) && !hosts.allows("pypi.org", 443));
    }
}
