//! [`ReceivedTrees`]: where received configurations and their build data lie, how much they take,
//! and how they are deleted.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use data_encoding::BASE32_NOPAD;
use kiln_domain::storage::{Found, Stock};
use kiln_esphome::Sidecar;
use kiln_esphome::sidecar::MAX_SIDECAR_BYTES;
use kiln_model::{ConfigurationName, Pin, Timestamp};

use crate::boxes::{DATA, Places};
use crate::discard::Discard;
use crate::held::Held;

/// Folders in it: builds, and what ESPHome knows of each.
const BUILDS: &str = "build";
const SIDECARS: &str = "storage";
const IDEDATA: &str = "idedata";

/// Where things lie while they are being deleted. No offloader's folder is called so.
const DISCARD: &str = ".evicted";

/// The folder that holds everything received, one folder per offloader inside, named by its whole
/// pin in base 32 (52 characters; two offloaders can never meet).
#[derive(Clone, Debug)]
pub(crate) struct ReceivedTrees {
    root: PathBuf,
}

impl ReceivedTrees {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns the folder of one offloader.
    pub(crate) fn of(&self, pin: Pin) -> PathBuf {
        self.root.join(base32(&pin.0))
    }

    /// Returns where a configuration is unpacked.
    pub(crate) fn tree(&self, pin: Pin, configuration: &ConfigurationName) -> PathBuf {
        self.of(pin).join(configuration.stem())
    }

    /// Returns the data directory of an offloader's builds.
    pub(crate) fn data(&self, pin: Pin) -> PathBuf {
        self.of(pin).join(DATA)
    }

    /// Returns the folders of one build.
    pub(crate) fn places(&self, pin: Pin, configuration: &ConfigurationName) -> Places {
        Places {
            tree: self.tree(pin, configuration),
            sender: self.of(pin),
            discard: self.root.join(DISCARD),
        }
    }

    /// Removes everything of one offloader.
    pub(crate) fn reset(&self, pin: Pin) -> io::Result<()> {
        let discard = self.discard()?;
        self.take_sender(&discard, pin)?;
        discard.empty()
    }

    /// Returns what there is of one offloader, or of all. Sizes of what a build changes meanwhile are
    /// about right. What is left of an interrupted deletion goes.
    pub(crate) fn inventory(&self, of: Option<Pin>) -> Vec<Found> {
        let pins = match of {
            Some(pin) => vec![pin],
            None => {
                if let Err(error) = self.discard().and_then(|discard| discard.empty()) {
                    tracing::warn!(%error, "an interrupted deletion was not finished");
                }
                let names = folder_names(&self.root).into_iter();
                names.filter_map(|name| pin_of(&name)).collect()
            }
        };
        let found = pins.into_iter().flat_map(|pin| self.inventory_of(pin));
        found.collect()
    }

    fn inventory_of(&self, pin: Pin) -> Vec<Found> {
        let Ok(sender) = self.open(pin) else {
            return Vec::new();
        };
        let data = sender.open_dir(DATA);
        let devices = data.as_ref().map(devices).unwrap_or_default();
        let mut all = Vec::new();
        let mut add = |stock, devices: BTreeSet<String>, inside: &[String]| {
            let paths = inside.iter().map(|path| (self.of(pin).join(path), path));
            let held = paths
                .clone()
                .fold(Held::default(), |sum, (path, _)| sum.with(&path));
            let touched = paths.filter_map(|(_, path)| touched(&sender, path)).max();
            all.push(Found {
                stock,
                devices,
                bytes: held.bytes,
                touched: touched.unwrap_or_default(),
            });
        };
        for name in names_in(&sender, ".") {
            if name != DATA {
                // A configuration that is being unpacked lies in a folder that is none yet.
                let device = (!name.starts_with('.')).then(|| name.clone());
                let devices = device.into_iter().collect();
                add(Stock::Bundle(pin, name.clone()), devices, &[name]);
            }
        }
        let builds = format!("{DATA}/{BUILDS}");
        for name in names_in(&sender, &builds) {
            let of = devices.get(&name).cloned().unwrap_or_default();
            let path = format!("{builds}/{name}");
            add(Stock::Build(pin, name), of, &[path]);
        }
        let shared = shared(&sender);
        if !shared.is_empty() {
            add(Stock::Toolchains(pin), BTreeSet::new(), &shared);
        }
        all
    }

    /// Deletes something of an offloader, as a whole: what is left after a crash is not found where it
    /// was. Links that a build made lead nowhere outside the folder of its offloader. Fine if absent.
    pub(crate) fn evict(&self, stock: &Stock) -> io::Result<()> {
        let Some(pin) = stock.pin() else {
            return Ok(());
        };
        let sender = match self.open(pin) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let paths = match stock {
            Stock::Bundle(_, name) => vec![name.clone()],
            Stock::Build(_, name) => {
                let mut paths = facts_of(&sender, name);
                paths.push(format!("{DATA}/{BUILDS}/{name}"));
                paths
            }
            Stock::Toolchains(_) => shared(&sender),
            Stock::Environment(_) | Stock::Transfers | Stock::Logs => Vec::new(),
        };
        let discard = self.discard()?;
        for path in paths {
            discard.take(&sender, path)?;
        }
        let left = names_in(&sender, ".").iter().any(|name| name != DATA)
            || !names_in(&sender, &format!("{DATA}/{BUILDS}")).is_empty()
            || !shared(&sender).is_empty();
        drop(sender);
        if !left {
            self.take_sender(&discard, pin)?;
        }
        discard.empty()
    }

    fn discard(&self) -> io::Result<Discard> {
        Discard::at(&self.root.join(DISCARD))
    }

    fn take_sender(&self, discard: &Discard, pin: Pin) -> io::Result<()> {
        let root = Dir::open_ambient_dir(&self.root, ambient_authority())?;
        discard.take(&root, base32(&pin.0))
    }

    fn open(&self, pin: Pin) -> io::Result<Dir> {
        Dir::open_ambient_dir(self.of(pin), ambient_authority())
    }
}

/// Returns the configurations, without ending, by the name of the folder in which ESPHome builds
/// them: its sidecars say it. One that was renamed or copied shares it with the old one.
fn devices(data: &Dir) -> BTreeMap<String, BTreeSet<String>> {
    let mut devices = BTreeMap::<_, BTreeSet<_>>::new();
    let Ok(entries) = data.read_dir(SIDECARS) else {
        return devices;
    };
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let configuration = file.strip_suffix(".json").map(ConfigurationName::from_str);
        let Some(Ok(configuration)) = configuration else {
            continue;
        };
        if let Some(build) = build_of(data, &file) {
            let of = devices.entry(build).or_default();
            of.insert(configuration.stem().to_owned());
        }
    }
    devices
}

/// Returns the name of the folder that a sidecar says was built in.
fn build_of(data: &Dir, file: &str) -> Option<String> {
    let mut options = OpenOptions::new();
    // A build may have left a pipe there, which nobody ever writes into.
    options.read(true).nonblock(true).follow(FollowSymlinks::No);
    let sidecar = data
        .open_with(format!("{SIDECARS}/{file}"), &options)
        .ok()?;
    sidecar.metadata().ok().filter(|facts| facts.is_file())?;
    let mut text = Vec::new();
    let limit = MAX_SIDECAR_BYTES as u64 + 1;
    sidecar.take(limit).read_to_end(&mut text).ok()?;
    let path = Sidecar::parse(&text).ok()?.build_path()?;
    let name = path.rsplit(['/', '\\']).next()?;
    Some(name.to_owned())
}

/// Returns the files in which ESPHome keeps facts about what it built in this folder.
fn facts_of(sender: &Dir, build: &str) -> Vec<String> {
    let Ok(data) = sender.open_dir(DATA) else {
        return Vec::new();
    };
    let mut facts = Vec::new();
    let mut add = |folder: &str, about: &dyn Fn(&str) -> bool| {
        let entries = data.read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if about(&name) {
                facts.push(format!("{DATA}/{folder}/{name}"));
            }
        }
    };
    add(SIDECARS, &|file| {
        build_of(&data, file).as_deref() == Some(build)
    });
    add(IDEDATA, &|file| file.split('.').next() == Some(build));
    facts
}

/// Returns what all builds of an offloader share.
fn shared(sender: &Dir) -> Vec<String> {
    let entries = sender.read_dir(DATA).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| ![BUILDS, SIDECARS, IDEDATA].contains(&name.as_str()))
        .map(|name| format!("{DATA}/{name}"))
        .collect()
}

/// Returns the names of the real folders in one of an offloader's.
fn names_in(sender: &Dir, folder: &str) -> Vec<String> {
    let entries = sender.read_dir(folder).into_iter().flatten().flatten();
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = real.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

/// Returns the names of the real folders inside `folder`; links are left out.
fn folder_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = real.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

fn touched(sender: &Dir, path: &str) -> Option<Timestamp> {
    let at = sender.symlink_metadata(path).ok()?.modified().ok()?;
    let since_epoch = at.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_micros()).ok().map(Timestamp)
}

/// RFC 4648 base 32, lower case, without padding.
fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Reads the name of an offloader's folder.
fn pin_of(name: &str) -> Option<Pin> {
    let bytes = BASE32_NOPAD.decode(name.to_ascii_uppercase().as_bytes());
    let pin = Pin(bytes.ok()?.try_into().ok()?);
    (base32(&pin.0) == name).then_some(pin)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn base_32_matches_the_rfc() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(&[0; 32]).len(), 52);
    }

    #[test]
    fn the_name_of_a_folder_says_whose_it_is() {
        for pin in [Pin([0; 32]), Pin([255; 32]), PIN] {
            assert_eq!(pin_of(&base32(&pin.0)), Some(pin));
        }
        for other in ["", ".evicted", "mzxw6ytboi", &"A".repeat(52)] {
            assert_eq!(pin_of(other), None, "{other}");
        }
    }

    const PIN: Pin = Pin([7; 32]);

    /// Everything of one offloader: two devices, one of which is built in a folder of another name.
    fn world() -> (tempfile::TempDir, ReceivedTrees) {
        let dir = tempfile::tempdir().unwrap();
        let trees = ReceivedTrees::new(dir.path().join("received"));
        let put = |path: &str, bytes: usize| {
            let path = trees.of(PIN).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; bytes]).unwrap();
        };
        put("kitchen/kitchen.yaml", 3);
        put("bath/bath.yaml", 4);
        put(".staging/new.yaml", 1);
        put(".esphome/build/cooking/firmware.bin", 100);
        put(".esphome/build/bath/firmware.bin", 200);
        put(".esphome/idedata/cooking.json", 1);
        put(".esphome/idedata/bath.json", 1);
        put(".esphome/kiln/home/.platformio/gcc", 1_000);
        put(".esphome/external_components/a.py", 50);
        for (file, build) in [("kitchen.yaml", "cooking"), ("bath.yaml", "bath")] {
            let path = trees.data(PIN).join(format!("storage/{file}.json"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(
                path,
                format!(r#"{{"build_path": "/r/.esphome/build/{build}"}}"#),
            )
            .unwrap();
        }
        (dir, trees)
    }

    fn told(found: &[Found]) -> Vec<String> {
        let words = |found: &Found| {
            let name = match &found.stock {
                Stock::Bundle(_, name) => format!("bundle {name}"),
                Stock::Build(_, name) => format!("build {name}"),
                Stock::Toolchains(_) => "toolchains".to_owned(),
                other => panic!("{other:?}"),
            };
            let devices: Vec<&str> = found.devices.iter().map(String::as_str).collect();
            let of = match devices.as_slice() {
                [] => "nobody".to_owned(),
                some => some.join(" and "),
            };
            format!("{name} of {of}: {}", found.bytes)
        };
        let mut lines: Vec<String> = found.iter().map(words).collect();
        lines.sort();
        lines
    }

    fn build(name: &str) -> Stock {
        Stock::Build(PIN, name.to_owned())
    }

    fn bundle(name: &str) -> Stock {
        Stock::Bundle(PIN, name.to_owned())
    }

    #[test]
    fn everything_of_an_offloader_is_found_with_its_size_and_its_device() {
        let (_dir, trees) = world();
        let expected = [
            "build bath of bath: 200",
            "build cooking of kitchen: 100",
            "bundle .staging of nobody: 1",
            "bundle bath of bath: 4",
            "bundle kitchen of kitchen: 3",
            "toolchains of nobody: 1050",
        ];
        let found = trees.inventory(None);
        assert_eq!(told(&found), expected);
        assert!(found.iter().all(|found| found.touched > Timestamp(0)));
        assert_eq!(told(&trees.inventory(Some(PIN))), expected);
        assert!(trees.inventory(Some(Pin([8; 32]))).is_empty());
    }

    #[test]
    fn a_build_belongs_to_every_configuration_that_is_built_in_its_folder() {
        let (_dir, trees) = world();
        let storage = trees.data(PIN).join("storage");
        let old = storage.join("kitchen.yaml.json");
        for copy in ["aaa", "zzz"] {
            fs::copy(&old, storage.join(format!("{copy}.yaml.json"))).unwrap();
        }
        let found = told(&trees.inventory(None));
        let shared = "build cooking of aaa and kitchen and zzz: 100".to_owned();
        assert!(found.contains(&shared), "{found:?}");
    }

    // Covers: M82
    #[test]
    fn what_goes_goes_whole_and_takes_nothing_else_along() {
        let (_dir, trees) = world();
        trees.evict(&build("cooking")).unwrap();
        trees.evict(&bundle("bath")).unwrap();
        let expected = [
            "build bath of bath: 200",
            "bundle .staging of nobody: 1",
            "bundle kitchen of kitchen: 3",
            "toolchains of nobody: 1050",
        ];
        assert_eq!(told(&trees.inventory(None)), expected);
        let data = trees.data(PIN);
        assert!(!data.join("storage/kitchen.yaml.json").exists());
        assert!(!data.join("idedata/cooking.json").exists());
        assert!(data.join("storage/bath.yaml.json").exists());
        assert!(data.join("idedata/bath.json").exists());
        trees.evict(&build("cooking")).unwrap();
    }

    // Covers: M83
    #[test]
    fn the_data_directory_goes_only_with_the_last_of_an_offloader() {
        let (_dir, trees) = world();
        let last = [
            bundle("kitchen"),
            bundle("bath"),
            bundle(".staging"),
            build("cooking"),
            Stock::Toolchains(PIN),
            build("bath"),
        ];
        for stock in &last {
            assert!(trees.data(PIN).exists(), "before {stock:?}");
            trees.evict(stock).unwrap();
        }
        assert!(!trees.of(PIN).exists());
        let aside = fs::read_dir(trees.root.join(DISCARD)).unwrap();
        assert_eq!(aside.count(), 0, "nothing is left aside");
    }

    #[test]
    fn what_an_interrupted_deletion_left_is_cleared_away_and_never_found() {
        let (_dir, trees) = world();
        let aside = trees.root.join(DISCARD).join("0");
        fs::create_dir_all(trees.root.join(DISCARD)).unwrap();
        fs::rename(trees.data(PIN).join("build/bath"), &aside).unwrap();
        assert!(
            !told(&trees.inventory(Some(PIN)))
                .iter()
                .any(|line| line.contains("build bath"))
        );
        trees.inventory(None);
        assert!(!aside.exists());
    }

    // Covers: M82
    #[cfg(unix)]
    #[test]
    fn a_link_that_a_build_left_leads_to_nothing_of_the_owner() {
        let (dir, trees) = world();
        let photos = dir.path().join("photos/holiday");
        fs::create_dir_all(&photos).unwrap();
        fs::write(photos.join("1.jpg"), "x").unwrap();
        fs::remove_dir_all(trees.data(PIN).join("build")).unwrap();
        let builds = trees.data(PIN).join("build");
        std::os::unix::fs::symlink(dir.path().join("photos"), builds).unwrap();
        let found = told(&trees.inventory(None));
        assert!(
            !found.iter().any(|line| line.contains("holiday")),
            "{found:?}"
        );
        assert!(trees.evict(&build("holiday")).is_err());
        trees.evict(&Stock::Toolchains(PIN)).unwrap();
        assert!(photos.join("1.jpg").exists());
    }

    // Covers: M63
    #[test]
    fn two_offloaders_with_the_same_configuration_build_in_different_folders() {
        let (_dir, trees) = world();
        let (other, name) = (Pin([8; 32]), "kitchen.yaml".parse().unwrap());
        assert_ne!(trees.tree(PIN, &name), trees.tree(other, &name));
        assert_ne!(trees.data(PIN), trees.data(other));
    }
}
