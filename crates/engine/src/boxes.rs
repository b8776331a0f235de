//! [`rules`]: the box of one received build: what it may write, and what it has to read so that
//! its ESPHome runs.
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_esphome::{Launcher, Surroundings};
use kiln_model::{BuildHosts, Settings};
use kiln_ports::sandbox::{BoxRules, Network};

use crate::discard::Discard;
use crate::limits::Limits;

/// Most links and scripts that are followed to an interpreter.
const MAX_HOPS: usize = 32;

/// Bytes of a script that may name its interpreter (execve(2)).
const SHEBANG: u64 = 256;

/// Bytes of a script or list that are read. Those that only start something else are short.
const SCRIPT: u64 = 16 << 10;

/// Interpreters of scripts that start other programs.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "zsh", "ksh"];

/// Variables that name files and folders of certificates.
const CERTIFICATES: [&str; 4] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Folder of an offloader's build data, shared by its configurations so that caches stay warm.
pub(crate) const DATA: &str = ".esphome";

/// Folder of Kiln's own in it, and folders in that.
const KILN: &str = "kiln";
const HOME: &str = "home";
const SCRATCH: &str = "tmp";

/// Folders of one received build.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The unpacked configuration.
    pub(crate) tree: PathBuf,
    /// Everything of this offloader. No build may change what lies directly in it.
    pub(crate) sender: PathBuf,
    /// Where things lie while they are being deleted.
    pub(crate) discard: PathBuf,
}

impl Places {
    /// Makes what a box needs, anew where nothing is to be kept. The builds of this offloader may have
    /// put anything in its place, so nothing is gone to by its path.
    pub(crate) fn prepare(&self) -> std::io::Result<()> {
        let discard = Discard::at(&self.discard)?;
        std::fs::create_dir_all(&self.sender)?;
        let sender = Dir::open_ambient_dir(&self.sender, ambient_authority())?;
        let data = discard.real_folder(&sender, DATA)?;
        let kiln = discard.real_folder(&data, KILN)?;
        discard.real_folder(&kiln, HOME)?;
        discard.take(&kiln, SCRATCH)?;
        discard.real_folder(&kiln, SCRATCH)?;
        discard.empty()
    }

    /// Returns ESPHome's data folder of this offloader.
    pub(crate) fn data(&self) -> PathBuf {
        self.sender.join(DATA)
    }

    /// Returns the home folder of this offloader's builds. It is in the data folder, so that toolchains
    /// stay for the next build and go with everything else of it.
    pub(crate) fn home(&self) -> PathBuf {
        self.data().join(KILN).join(HOME)
    }

    /// Returns the folder of temporary files of this offloader's builds.
    fn scratch(&self) -> PathBuf {
        self.data().join(KILN).join(SCRATCH)
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
        writable: vec![places.tree.clone(), places.data()],
        readable,
        scratch: places.scratch(),
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
    let mut next = vec![program.to_owned()];
    for _ in 0..MAX_HOPS {
        let Some(here) = next.pop() else { break };
        if needed.contains(&here) {
            continue;
        }
        if let Some(prefix) = here.parent().and_then(Path::parent) {
            match fs::read_to_string(prefix.join("pyvenv.cfg")) {
                Ok(about) => {
                    // An environment may be the folder in which its owner keeps configurations.
                    let own = ["bin", "share", "pyvenv.cfg"].map(|part| prefix.join(part));
                    needed.extend(own.into_iter().chain(library(prefix)));
                    needed.extend(base_of(&about).into_iter().flat_map(library));
                    needed.extend(added_to(prefix));
                }
                Err(_) => needed.extend(library(prefix)),
            }
        }
        match fs::read_link(&here) {
            Ok(target) => next.extend(here.parent().map(|folder| folder.join(target))),
            Err(_) => next.extend(named_by(&here)),
        }
        needed.push(here);
    }
    needed
}

/// Returns what a Python installed below `prefix` reads.
fn library(prefix: &Path) -> impl Iterator<Item = PathBuf> {
    ["lib", "lib64", "include"]
        .into_iter()
        .map(|part| prefix.join(part))
}

/// Returns where the Python lies that an environment was made from, as its `pyvenv.cfg` says: an
/// environment may hold a copy of the program in place of a link to it.
fn base_of(about: &str) -> Option<&Path> {
    let mut settings = about.lines().filter_map(|line| line.split_once('='));
    let (_, folder) = settings.find(|(key, _)| key.trim() == "home")?;
    Path::new(folder.trim()).parent()
}

/// Returns the folders that an environment takes modules from besides its own, as its `.pth` files
/// say (a package under development is installed so).
fn added_to(prefix: &Path) -> Vec<PathBuf> {
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut added = Vec::new();
    for python in inside(prefix.join("lib")) {
        for file in inside(python.path().join("site-packages")) {
            if file
                .path()
                .extension()
                .is_some_and(|ending| ending == "pth")
            {
                let lines = head(&file.path(), SCRIPT).unwrap_or_default();
                let folders = lines.lines().map(PathBuf::from);
                added.extend(folders.filter(|folder| folder.is_absolute() && folder.is_dir()));
            }
        }
    }
    added
}

/// Returns the files that a script needs: the program in its first line, and where that is a shell,
/// the files whose whole paths are written in it, as in `exec /opt/venv/bin/python /opt/run.py "$@"`.
/// Their folders are not taken along.
fn named_by(script: &Path) -> Vec<PathBuf> {
    let first = head(script, SHEBANG).unwrap_or_default();
    let line = first
        .strip_prefix("#!")
        .and_then(|rest| rest.lines().next());
    let Some(program) = line.and_then(|line| line.split_whitespace().next()) else {
        return Vec::new();
    };
    let mut named = vec![PathBuf::from(program)];
    let called = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str());
    if called.is_some_and(|name| SHELLS.contains(&name)) {
        let text = head(script, SCRIPT).unwrap_or_default();
        let words = text.split(|c: char| c.is_whitespace() || "\"'`=;:&|()<>".contains(c));
        let files = words.map(Path::new);
        named.extend(
            files
                .filter(|p| p.is_absolute() && p.is_file())
                .map(Path::to_owned),
        );
    }
    named
}

/// Returns the first bytes of a text; what is no text, is none.
fn head(file: &Path, bytes: u64) -> Option<String> {
    let mut head = Vec::new();
    let file = fs::File::open(file).ok()?;
    file.take(bytes).read_to_end(&mut head).ok()?;
    let whole = match std::str::from_utf8(&head) {
        Ok(_) => head.len(),
        // Cut inside of a character.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return None,
    };
    head.truncate(whole);
    String::from_utf8(head).ok()
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
            "venv/lib",
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
    fn a_script_that_starts_esphome_brings_the_files_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in [
            "bin",
            "venv/bin",
            "venv/lib/python3.13/site-packages",
            "tools",
            "source",
        ] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["venv/bin/python", "tools/run.py", "tools/beside.py"] {
            fs::write(at(file), "ELF").unwrap();
        }
        let base = format!("home = {}\n", at("base/bin").display());
        fs::write(at("venv/pyvenv.cfg"), base).unwrap();
        let list = format!("import site\n{}\nrelative\n", at("source").display());
        fs::write(at("venv/lib/python3.13/site-packages/mine.pth"), list).unwrap();
        let [python, run] =
            ["venv/bin/python", "tools/run.py"].map(|p| at(p).display().to_string());
        let script = format!("#!/bin/sh\nexec \"{python}\" '{run}' \"$@\"\n");
        fs::write(at("bin/esphome"), script).unwrap();
        let needed = needed_by(&at("bin/esphome"));
        for path in [
            "venv/lib",
            "venv/bin/python",
            "tools/run.py",
            "base/lib",
            "source",
        ] {
            assert!(needed.contains(&at(path)), "{path} in {needed:?}");
        }
        for path in ["tools", "tools/beside.py", "", "base"] {
            assert!(!needed.contains(&at(path)), "{path} in {needed:?}");
        }
    }

    #[test]
    fn a_program_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("esphome");
        fs::write(&program, b"\x7fELF\xff\xfe/bin/true").unwrap();
        assert_eq!(named_by(&program), Vec::<PathBuf>::new());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_build_put_in_place_of_kilns_folders_leads_to_nothing_of_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            tree: dir.path().join("received/pin/kitchen"),
            sender: dir.path().join("received/pin"),
            discard: dir.path().join("received/.evicted"),
        };
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("tmp")).unwrap();
        fs::write(home.join("tmp/letter"), "x").unwrap();
        places.prepare().unwrap();
        fs::write(places.home().join("toolchain"), "x").unwrap();
        fs::write(places.scratch().join("rest"), "x").unwrap();
        places.prepare().unwrap();
        assert!(places.home().join("toolchain").exists());
        assert!(!places.scratch().join("rest").exists());

        for link in [places.data().join(KILN), places.data()] {
            fs::remove_dir_all(&link).unwrap();
            std::os::unix::fs::symlink(&home, &link).unwrap();
            places.prepare().unwrap();
            assert!(link.symlink_metadata().unwrap().is_dir());
            assert!(places.home().is_dir() && places.scratch().is_dir());
        }
        assert!(home.join("tmp/letter").exists());
        assert!(!home.join("home").exists());
    }

    #[test]
    fn a_build_may_write_its_own_tree_and_data_and_reads_what_the_owner_added() {
        let places = Places {
            tree: "/r/pin/kitchen".into(),
            sender: "/r/pin".into(),
            discard: "/r/.evicted".into(),
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
        assert_eq!(rules.writable, [places.tree.clone(), places.data()]);
        assert!(rules.readable.contains(&"/opt/tools".into()));
        assert!(!rules.readable.iter().any(|path| path.is_relative()));
        let Network::Gate { hosts, .. } = rules.network else {
            panic!("no network");
        };
        assert!(hosts.allows("mirror.example.net", 443) && !hosts.allows("pypi.org", 443));
    }
}
