//! [`NameSet`]: remembers the names of an archive in bounded memory and spots twins.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use crate::member_name::{MemberName, folded};

/// Which names an archive has used so far.
///
/// Holds one keyed 64-bit hash per name instead of the name, so that 100,000 names take about
/// 4 MiB. The key is random per process, so nobody can prepare a collision; an accidental one
/// (about 1 in 10⁹ archives) refuses an archive and never admits one.
#[derive(Default)]
pub(crate) struct NameSet {
    keys: RandomState,
    seen: HashMap<u64, Seen>,
}

struct Seen {
    exact: u64,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    File,
    Folder,
    /// A folder that only the path of a member mentions.
    ImpliedFolder,
}

/// Why a name does not fit the names before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// Equal to an earlier one, or different only in case or normalisation.
    Twin,
    /// A file where a folder is, or a folder where a file is.
    FileAndFolder,
}

impl NameSet {
    /// Returns how many names are held, folders that paths imply included.
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Adds a file and the folders above it.
    pub(crate) fn add_file(&mut self, name: &MemberName) -> Result<(), Clash> {
        self.add(name, What::File)
    }

    /// Adds a folder and the folders above it.
    pub(crate) fn add_folder(&mut self, name: &MemberName) -> Result<(), Clash> {
        self.add(name, What::Folder)
    }

    fn add(&mut self, name: &MemberName, last: What) -> Result<(), Clash> {
        let whole = name.as_str().len();
        for prefix in name.prefixes() {
            let what = if prefix.len() == whole {
                last
            } else {
                What::ImpliedFolder
            };
            self.add_one(prefix, what)?;
        }
        Ok(())
    }

    fn add_one(&mut self, path: &str, what: What) -> Result<(), Clash> {
        let exact = self.keys.hash_one(path);
        match self.seen.entry(self.keys.hash_one(folded(path))) {
            Entry::Vacant(free) => {
                free.insert(Seen { exact, what });
                Ok(())
            }
            Entry::Occupied(seen) if seen.get().exact != exact => Err(Clash::Twin),
            Entry::Occupied(mut seen) => match (seen.get().what, what) {
                (What::File, What::File) | (What::Folder, What::Folder) => Err(Clash::Twin),
                (What::Folder | What::ImpliedFolder, What::ImpliedFolder) => Ok(()),
                (What::ImpliedFolder, What::Folder) => {
                    seen.get_mut().what = What::Folder;
                    Ok(())
                }
                (What::File, What::Folder | What::ImpliedFolder)
                | (What::Folder | What::ImpliedFolder, What::File) => Err(Clash::FileAndFolder),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MemberName {
        MemberName::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn files_share_the_folders_their_paths_imply() {
        let mut set = NameSet::default();
        set.add_file(&name("a/b/one")).unwrap();
        set.add_file(&name("a/b/two")).unwrap();
        set.add_folder(&name("a")).unwrap();
        assert_eq!(set.len(), 4);
    }

    #[test]
    fn twins_are_spotted_at_every_level() {
        for (first, second) in [
            ("a", "a"),
            ("a", "A"),
            ("x/ü", "x/u\u{308}"),
            ("Lib/one", "lib/two"),
        ] {
            let mut set = NameSet::default();
            set.add_file(&name(first)).unwrap();
            assert_eq!(set.add_file(&name(second)), Err(Clash::Twin), "{second}");
        }
    }

    #[test]
    fn a_file_never_becomes_a_folder_nor_the_reverse() {
        let mut set = NameSet::default();
        set.add_file(&name("a")).unwrap();
        assert_eq!(set.add_file(&name("a/b")), Err(Clash::FileAndFolder));
        assert_eq!(set.add_folder(&name("a")), Err(Clash::FileAndFolder));
        set.add_file(&name("d/e")).unwrap();
        assert_eq!(set.add_file(&name("d")), Err(Clash::FileAndFolder));
    }
}
