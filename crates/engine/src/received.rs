//! [`ReceivedTrees`]: where received configurations and their build data lie, and the sweep of
//! those that nobody needs any more.
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_domain::work::BuildTree;
use kiln_model::{ConfigurationName, Pin};

use crate::boxes::Places;

/// Folder of an offloader's build data, shared by its configurations so that caches stay warm.
const DATA: &str = ".esphome";

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

    /// Returns the folders of one build. Home and temporary files are the offloader's own, and in its
    /// data folder, so that toolchains stay for its next build and go with everything else of it.
    pub(crate) fn places(&self, pin: Pin, configuration: &ConfigurationName) -> Places {
        let data = self.data(pin);
        Places {
            tree: self.tree(pin, configuration),
            home: data.join("kiln/home"),
            scratch: data.join("kiln/tmp"),
            data,
        }
    }

    /// Removes everything of one offloader.
    pub(crate) fn reset(&self, pin: Pin) -> std::io::Result<()> {
        match std::fs::remove_dir_all(self.of(pin)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Deletes unpacked configurations not touched for `age` (as of `now`, time since the epoch)
    /// that are not in `keep`, and the data directory of an offloader of whom nothing else is left.
    /// Links are never followed. An entry that cannot be deleted is logged and skipped.
    pub(crate) fn sweep(&self, age: Duration, now: Duration, keep: &[BuildTree]) {
        let mut trees = HashSet::new();
        let mut owners = HashSet::new();
        for tree in keep {
            match tree {
                BuildTree::Received { pin, configuration } => {
                    trees.insert(self.tree(*pin, configuration));
                    owners.insert(self.of(*pin));
                }
                BuildTree::ReceivedAll(pin) => {
                    owners.insert(self.of(*pin));
                }
                BuildTree::Own(_) | BuildTree::OwnAll => {}
            }
        }
        for owner in folders(&self.root) {
            let mut left = false;
            for tree in folders(&owner) {
                if tree.file_name().is_some_and(|name| name == DATA) {
                    continue;
                }
                if trees.contains(&tree) || !is_older(&tree, age, now) {
                    left = true;
                } else {
                    remove(&tree);
                }
            }
            if !left && !owners.contains(&owner) {
                remove(&owner);
            }
        }
    }
}

/// Returns the real folders inside `folder`; links are left out.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn is_older(folder: &Path, age: Duration, now: Duration) -> bool {
    let touched = std::fs::symlink_metadata(folder).and_then(|m| m.modified());
    let Ok(touched) = touched else { return false };
    let since_epoch = touched
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(since_epoch) > age
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "this folder could not be swept");
    }
}

/// RFC 4648 base 32, lower case, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (mut text, mut buffer, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_matches_the_rfc() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(&[0; 32]).len(), 52);
    }

    fn world() -> (tempfile::TempDir, ReceivedTrees, Pin, ConfigurationName) {
        let dir = tempfile::tempdir().unwrap();
        let trees = ReceivedTrees::new(dir.path().to_owned());
        let (pin, name) = (Pin([7; 32]), "kitchen.yaml".parse().unwrap());
        std::fs::create_dir_all(trees.tree(pin, &name)).unwrap();
        std::fs::create_dir_all(trees.data(pin).join("build")).unwrap();
        (dir, trees, pin, name)
    }

    const DAY: Duration = Duration::from_secs(86_400);
    const FAR_FUTURE: Duration = Duration::from_secs(1 << 40);

    // Covers: M82
    #[test]
    fn a_tree_in_use_survives_the_sweep_however_old_it_is() {
        let (_dir, trees, pin, name) = world();
        let keep = BuildTree::Received {
            pin,
            configuration: name.clone(),
        };
        trees.sweep(DAY, FAR_FUTURE, &[keep]);
        assert!(trees.tree(pin, &name).exists() && trees.data(pin).exists());
    }

    // Covers: M83
    #[test]
    fn the_data_directory_goes_only_with_the_last_tree() {
        let (_dir, trees, pin, name) = world();
        trees.sweep(FAR_FUTURE, FAR_FUTURE, &[]);
        assert!(trees.data(pin).exists());
        trees.sweep(DAY, FAR_FUTURE, &[]);
        assert!(!trees.tree(pin, &name).exists() && !trees.of(pin).exists());
    }

    // Covers: M63
    #[test]
    fn two_offloaders_with_the_same_configuration_build_in_different_folders() {
        let (_dir, trees, pin, name) = world();
        assert_ne!(trees.tree(pin, &name), trees.tree(Pin([8; 32]), &name));
        assert_ne!(trees.data(pin), trees.data(Pin([8; 32])));
    }
}
