//! [`extract_bundle`]: unpacks a peer's bundle into the folder where esphome will build it.
//!
//! The archive is unpacked into a staging folder beside the target and takes the target's place
//! only when all of it was read and accepted. A refused archive therefore changes nothing: an
//! earlier tree of the same configuration stays usable, and where there was none there is none.
use std::io::{self, Seek, Write};
use std::sync::atomic::AtomicBool;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, Permissions};
use kiln_model::{ConfigurationName, storable_component};

use crate::fault::ArchiveFault;
use crate::folder_lock::FolderLock;
use crate::manifest::{MANIFEST, MAX_MANIFEST, Manifest, ManifestFault};
use crate::member_name::{MemberName, folded};
use crate::members::{Limits, MemberKind, Members, ReadFault};
use crate::next_step::next_step;
use crate::tree::{
    Walk, create_fresh, is_absent, is_real_folder, real_folder, remove_any, split_leaf,
};

/// What a bundle may hold.
///
/// Bytes as in builds.md §5.2 and §6.3, ratio as in trust.md §1.7. Members: the 100,000 of builds.md §6.3, because a bundle
/// carries whole local component libraries; what a flood of members may cost is bounded by the
/// memory of names (4 MiB), by 4 MiB of extension headers, and by counting implied folders too.
const BUNDLE_LIMITS: Limits = Limits {
    packed: 128 * 1024 * 1024,
    files: 524_288_000,
    members: 100_000,
    ratio: 200,
};

/// Folders of an earlier build that survive and win over the archive (builds.md §6.3).
const PRESERVED: [&str; 3] = [".esphome", ".pioenvs", ".pio"];

/// Where trees wait beside their targets. No configuration can have this stem.
const STAGING: &str = ".bundle_staging";
/// New trees, below [`STAGING`].
const INCOMING: &str = "incoming";
/// Old trees that make room, below [`STAGING`].
const OUTGOING: &str = "outgoing";

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractedBundle {
    /// Files and folders that the archive brought.
    pub members: usize,
    /// Bytes of all files written.
    pub bytes: u64,
    /// ESPHome version named by the manifest; the sender's word, possibly empty. Display only.
    pub esphome_version: String,
}

/// Why a bundle is refused: the sender is to blame, and nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefused {
    /// The archive itself is not acceptable.
    #[error("The bundle is refused: {0}.")]
    Archive(#[from] ArchiveFault),
    /// There is no `manifest.json`.
    #[error("The bundle is refused: it has no manifest.json.")]
    NoManifest,
    /// `manifest.json` is not acceptable.
    #[error("The bundle is refused: its manifest {0}.")]
    Manifest(#[from] ManifestFault),
    /// The announced configuration is not in the archive.
    #[error("The bundle is refused: the configuration itself is not in it.")]
    NoConfiguration,
}

/// Why a bundle was not unpacked. The target is as it was in every case.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive is at fault.
    #[error(transparent)]
    Refused(#[from] BundleRefused),
    /// This machine is at fault: disk full, no permission.
    #[error("The bundle could not be unpacked here: {0}.{step}", step = next_step(.0, "send it"))]
    Io(#[from] io::Error),
    /// The caller asked to stop.
    #[error("Unpacking was cancelled.")]
    Cancelled,
}

impl From<ReadFault> for ExtractError {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Refused(fault) => BundleRefused::Archive(fault).into(),
            ReadFault::Io(error) => error.into(),
            ReadFault::Cancelled => ExtractError::Cancelled,
        }
    }
}

/// Unpacks `tarball` (from its start) as the folder `leaf` of `parent`, replacing an earlier tree of that name.
///
/// `parent` belongs to one offloader; calls for it wait for each other. `announced` is the
/// configuration that the submit header named; it must be what the manifest names and a file of
/// the archive. Folders `.esphome`, `.pioenvs` and `.pio` of an earlier tree survive and members
/// of those names are ignored. Every file gets the permissions of `tarball` (0600 in the store)
/// and is never executable. Blocks on the disk; memory stays below 8 MiB; `cancel` is looked at
/// before every piece.
///
/// # Errors
/// [`ExtractError::Refused`] if the archive breaks a rule, [`ExtractError::Io`] if this machine
/// cannot store it. Both leave the target as it was.
pub fn extract_bundle(
    tarball: &std::fs::File,
    parent: &Dir,
    leaf: &str,
    announced: &ConfigurationName,
    cancel: &AtomicBool,
) -> Result<ExtractedBundle, ExtractError> {
    if !storable_component(leaf) || folded(leaf) == STAGING {
        let refusal = format!("{leaf:?} cannot be a folder name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, refusal).into());
    }
    let Some(_lock) = FolderLock::hold(parent, cancel)? else {
        return Err(ExtractError::Cancelled);
    };
    finish_interrupted(parent)?;
    let permissions = Permissions::from_std(tarball.metadata()?.permissions());
    let staging = real_folder(parent, STAGING)?;
    let done = unpack(tarball, &staging, leaf, announced, &permissions, cancel)
        .and_then(|unpacked| Ok(swap(parent, &staging, leaf).map(|()| unpacked)?));
    drop(staging);
    // A rest of staging that cannot be deleted is met again by the next call.
    let _ = finish_interrupted(parent);
    done
}

/// Cleans up after a crash: half-unpacked trees go, an interrupted replacement is completed or
/// taken back. Every [`extract_bundle`] begins with it; the node calls it at start as well, before
/// any of them.
///
/// # Errors
/// When the folder cannot be read or changed.
pub fn finish_interrupted(parent: &Dir) -> io::Result<()> {
    if !is_real_folder(parent, STAGING) {
        return remove_any(parent, STAGING);
    }
    let staging = parent.open_dir_nofollow(STAGING)?;
    if is_real_folder(&staging, OUTGOING) {
        let outgoing = staging.open_dir_nofollow(OUTGOING)?;
        for entry in outgoing.entries()? {
            if let Ok(leaf) = entry?.file_name().into_string() {
                settle(parent, &outgoing, &leaf)?;
            }
        }
    }
    drop(staging);
    remove_any(parent, STAGING)
}

fn unpack(
    tarball: &std::fs::File,
    staging: &Dir,
    leaf: &str,
    announced: &ConfigurationName,
    permissions: &Permissions,
    cancel: &AtomicBool,
) -> Result<ExtractedBundle, ExtractError> {
    let incoming = real_folder(staging, INCOMING)?;
    incoming.create_dir(leaf)?;
    let root = incoming.open_dir_nofollow(leaf)?;
    let mut folders = Walk::new(&root);
    let mut packed = tarball;
    packed.rewind()?;
    let mut members = Members::new(packed, BUNDLE_LIMITS, cancel);
    let mut manifest = None;
    let mut has_configuration = false;
    let mut bytes = 0;
    while let Some(member) = members.next()? {
        if is_preserved(&member.name) {
            continue;
        }
        let MemberKind::File(size) = member.kind else {
            folders.make(member.name.components())?;
            continue;
        };
        has_configuration |= member.name.as_str() == announced.as_str();
        let (above, name) = split_leaf(member.name.as_str());
        let mut file = create_fresh(folders.make(above)?, name)?;
        file.set_permissions(permissions.clone())?;
        if member.name.as_str() == MANIFEST {
            if size > MAX_MANIFEST {
                return Err(BundleRefused::from(ManifestFault::TooLarge).into());
            }
            let json = members.read_whole(MAX_MANIFEST)?;
            file.write_all(&json)?;
            manifest = Some(Manifest::read(&json, announced).map_err(BundleRefused::from)?);
        } else {
            members.copy_to::<ExtractError>(&mut file)?;
        }
        bytes += size;
    }
    let manifest = manifest.ok_or(BundleRefused::NoManifest)?;
    if !has_configuration {
        return Err(BundleRefused::NoConfiguration.into());
    }
    Ok(ExtractedBundle {
        members: members.count(),
        bytes,
        esphome_version: manifest.esphome_version,
    })
}

fn is_preserved(name: &MemberName) -> bool {
    let first = name.components().next().map(folded).unwrap_or_default();
    PRESERVED.contains(&first.as_str())
}

/// Puts the new tree in the place of the old one. Each step leaves a state from which
/// [`finish_interrupted`] goes on.
fn swap(parent: &Dir, staging: &Dir, leaf: &str) -> io::Result<()> {
    let incoming = staging.open_dir_nofollow(INCOMING)?;
    let outgoing = real_folder(staging, OUTGOING)?;
    remove_any(&outgoing, leaf)?;
    match parent.rename(leaf, &outgoing, leaf) {
        Err(error) if !is_absent(&error) => return Err(error),
        _ => {}
    }
    match incoming.rename(leaf, parent, leaf) {
        Ok(()) => settle(parent, &outgoing, leaf),
        Err(error) => {
            settle(parent, &outgoing, leaf)?;
            Err(error)
        }
    }
}

/// Ends a replacement: hands the preserved folders of the old tree to the new one and deletes the
/// rest, or puts the old tree back if no new one arrived.
fn settle(parent: &Dir, outgoing: &Dir, leaf: &str) -> io::Result<()> {
    if !is_real_folder(outgoing, leaf) {
        return remove_any(outgoing, leaf);
    }
    if !is_real_folder(parent, leaf) {
        remove_any(parent, leaf)?;
        return outgoing.rename(leaf, parent, leaf);
    }
    let old = outgoing.open_dir_nofollow(leaf)?;
    let new = parent.open_dir_nofollow(leaf)?;
    for name in PRESERVED {
        // Only real folders: a build may have left a link of that name.
        if is_real_folder(&old, name) && !is_real_folder(&new, name) {
            old.rename(name, &new, name)?;
        }
    }
    drop((old, new));
    remove_any(outgoing, leaf)
}
