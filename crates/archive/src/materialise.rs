//! [`materialise`]: makes the local tree look as if a received build had been made here.
//!
//! Everything is read, checked and unpacked into a staging folder first; a refused archive changes
//! nothing. What a receiver sends is content for files that the platform is known to build, and
//! never a path, a program or a configuration (trust.md §1.4, P3). Three members are therefore
//! looked at and not taken over:
//!
//! - `validated.*`, from which `esphome upload` would take host names and passwords. Without it
//!   upload validates the local YAML again, which takes a second or two.
//! - `platformio.ini`: what stands outside ESPHome's own markers survives every later local build,
//!   and PlatformIO runs the scripts it names. An existing local one stays as it is; where there is
//!   none a bare one is written, which ESPHome fills in at the next local build.
//! - all of `idedata.json` but the choice among known files (see [`kiln_esphome::idedata`]).
use std::fs::FileTimes;
use std::io::{self, Read, Write};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, File, Permissions};
use kiln_esphome::artifact_set::{
    ArtifactSetError, BUILD_INFO, MAX_ARTIFACT_BYTES, Member, Need, PLATFORMIO_INI,
};
use kiln_esphome::idedata::{IdedataError, MAX_IDEDATA_BYTES, Places, local_idedata};
use kiln_esphome::sidecar::MAX_SIDECAR_BYTES;
use kiln_esphome::{ArtifactSet, Sidecar, remap};
use kiln_model::{ConfigurationName, DeviceName, storable_component};

use crate::fault::ArchiveFault;
use crate::folder_lock::FolderLock;
use crate::image::{HEAD, WrongImage, check_image};
use crate::member_name::shown;
use crate::members::{Limits, MemberKind, Members, ReadFault};
use crate::next_step::next_step;
use crate::tree::{
    Walk, create_fresh, is_absent, is_real_folder, open_plain, real_folder, remove_any, split_leaf,
};

/// What an artifact archive may hold (builds.md §9.1). Real ones have at most thirty members. An
/// image may be one long run of 0xff, which deflate shrinks a thousandfold.
const ARTIFACT_LIMITS: Limits = Limits {
    packed: MAX_ARTIFACT_BYTES,
    files: MAX_ARTIFACT_BYTES,
    members: 256,
    ratio: 2_000,
};

/// Largest `build_info.json`, in bytes; real ones have about 200.
const MAX_BUILD_INFO: u64 = 64 * 1024;

/// Staging folder in the data directory, on the file system of the tree it becomes.
const STAGING: &str = ".kiln_staging";

/// Images of an earlier full build that must not be flashed after one without bootloader
/// (builds.md §9.1).
const STALE_IMAGES: [&str; 2] = [
    "build/firmware.factory.bin",
    "build/bootloader/bootloader.bin",
];

/// A `platformio.ini` without any setting, with the markers between which ESPHome writes its own.
const BARE_INI: &str = "; This configuration was built on another computer.\n\
    ; ========== AUTO GENERATED CODE BEGIN ===========\n\
    ; =========== AUTO GENERATED CODE END ============\n";

/// Where received artifacts go.
#[derive(Clone, Copy, Debug)]
pub struct LocalTree<'a> {
    /// The owner's ESPHome data directory, usually `.esphome` beside the YAML.
    pub data: &'a Dir,
    /// Its absolute path as ESPHome will see it; the local paths start with it.
    pub data_path: &'a str,
    /// Whose build it is.
    pub configuration: &'a ConfigurationName,
    /// The device this must be, if it is known; another one is refused.
    pub device: Option<&'a DeviceName>,
    /// PlatformIO's core directory here, if known.
    pub platformio: Option<&'a str>,
}

/// What is in place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Materialised {
    /// The device's name, which is the name of its build folder.
    pub device: DeviceName,
    /// Local path of the firmware.
    pub firmware: String,
    /// What became of the objects of earlier builds.
    pub objects: Objects,
}

/// What became of the object files of earlier local builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// They fit and stay.
    Kept,
    /// There were none, or they did not fit (builds.md §9.3).
    Wiped,
}

/// Why artifacts are refused: the receiver is to blame, and nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactsRefused {
    /// The archive itself is not acceptable.
    #[error("The build is refused: {0}.")]
    Archive(#[from] ArchiveFault),
    /// There is no `storage.json`.
    #[error("The build is refused: it has no storage.json.")]
    NoSidecar,
    /// `storage.json` does not describe a build.
    #[error("The build is refused: {0}.")]
    Sidecar(String),
    /// It is a build of another device.
    #[error("The build is refused: it is for \"{0}\", another device.")]
    OtherDevice(DeviceName),
    /// The device's name cannot be a folder on every system.
    #[error("The build is refused: \"{0}\" cannot be stored on every system.")]
    UnsafeName(DeviceName),
    /// A member that no build of this platform has.
    #[error("The build is refused: \"{0}\" has no place in a build of this kind.")]
    UnknownMember(String),
    /// A member that builds of this toolchain need is missing.
    #[error("The build is refused: it has no {0}.")]
    Missing(&'static str),
    /// The firmware that `storage.json` names is missing.
    #[error("The build is refused: the firmware {0} is not in it.")]
    NoFirmware(String),
    /// The firmware is for something else.
    #[error("The build is refused: {}.", shown(.0.to_string().as_bytes()))]
    WrongImage(#[from] WrongImage),
    /// `idedata.json` cannot be used.
    #[error("The build is refused: {0}.")]
    Idedata(#[from] IdedataError),
    /// `build_info.json` is no JSON object of a sensible size.
    #[error("The build is refused: its build_info.json cannot be read.")]
    BuildInfo,
}

/// Why artifacts are not in place.
#[derive(Debug, thiserror::Error)]
pub enum MaterialiseError {
    /// The receiver is at fault; nothing was changed.
    #[error(transparent)]
    Refused(#[from] ArtifactsRefused),
    /// This machine is at fault. Nothing half-written is left; repeating is safe.
    #[error("The build could not be stored here: {0}.{step}", step = next_step(.0, "try"))]
    Io(#[from] io::Error),
    /// The caller asked to stop; nothing was changed.
    #[error("Storing the build was cancelled.")]
    Cancelled,
}

impl From<ReadFault> for MaterialiseError {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Refused(fault) => ArtifactsRefused::Archive(fault).into(),
            ReadFault::Io(error) => error.into(),
            ReadFault::Cancelled => MaterialiseError::Cancelled,
        }
    }
}

impl From<ArtifactSetError> for ArtifactsRefused {
    fn from(error: ArtifactSetError) -> Self {
        ArtifactsRefused::Sidecar(shown(error.to_string().as_bytes()))
    }
}

/// Puts a received build in place (builds.md §9.1 to §9.3), after which `esphome upload` flashes it
/// as if it had been built here.
///
/// Calls for one data directory wait for each other. Blocks on the disk, streams, and looks at `cancel` until
/// everything is checked; the change itself consists of renames only and is not interrupted.
/// Repeating it after a crash is safe.
///
/// # Errors
/// [`MaterialiseError::Refused`] if the archive breaks a rule, [`MaterialiseError::Io`] if this
/// machine cannot store it.
pub fn materialise(
    tarball: &std::fs::File,
    tree: LocalTree<'_>,
    cancel: &AtomicBool,
) -> Result<Materialised, MaterialiseError> {
    let Some(_lock) = FolderLock::hold(tree.data, cancel)? else {
        return Err(MaterialiseError::Cancelled);
    };
    remove_any(tree.data, STAGING)?;
    let done = check_and_place(tarball, tree, cancel);
    // A rest that cannot be deleted is met again by the next call.
    let _ = remove_any(tree.data, STAGING);
    done
}

fn check_and_place(
    tarball: &std::fs::File,
    tree: LocalTree<'_>,
    cancel: &AtomicBool,
) -> Result<Materialised, MaterialiseError> {
    let sidecar = read_sidecar(tarball, cancel)?;
    let build = Build::read(sidecar, tree)?;
    let previous = read_previous(tree);
    let staging = Staging::make(tree.data)?;
    let received = receive(tarball, &build.set, &staging, cancel)?;
    let objects = match build.local.needs_wipe_after(previous.as_ref()) {
        true => Objects::Wiped,
        false => Objects::Kept,
    };
    check_complete(&build, &received, &staging)?;
    check_listed(&build.set, &received, &staging)?;
    staging.write("storage.json", build.local.to_text().as_bytes())?;
    let idedata = prepare_idedata(&build, &received, tree, &staging)?;
    let objects = place_tree(&build, &received, tree.data, &staging, objects)?;
    if idedata {
        place_idedata(&build, tree.data, &staging)?;
    }
    place_sidecar(tree, &staging)?;
    Ok(Materialised {
        firmware: remap::join(&build.local_path, &build.set.firmware),
        device: build.set.name,
        objects,
    })
}

/// What the sidecar says about a build, and where it goes.
struct Build {
    set: ArtifactSet,
    esp_platform: String,
    receiver_path: String,
    local_path: String,
    /// The sidecar as it will lie here.
    local: Sidecar,
}

impl Build {
    fn read(sidecar: Sidecar, tree: LocalTree<'_>) -> Result<Self, ArtifactsRefused> {
        let set = ArtifactSet::of(&sidecar)?;
        if !storable_component(set.name.as_str()) {
            return Err(ArtifactsRefused::UnsafeName(set.name));
        }
        if tree.device.is_some_and(|device| *device != set.name) {
            return Err(ArtifactsRefused::OtherDevice(set.name));
        }
        let local_path = remap::join(tree.data_path, &format!("build/{}", set.name));
        Ok(Self {
            esp_platform: sidecar.esp_platform().unwrap_or_default(),
            receiver_path: sidecar.build_path().unwrap_or_default(),
            local: sidecar.relocated(&local_path, &set.firmware),
            local_path,
            set,
        })
    }
}

/// What the archive brought, as far as it is not in the staging folder.
#[derive(Default)]
struct Received {
    /// Build files, by their place below the build folder.
    files: Vec<String>,
    idedata: Option<Vec<u8>>,
    has_ini: bool,
}

/// The staging folder, open.
struct Staging {
    root: Dir,
    tree: Dir,
}

/// Name of the new tree in the staging folder.
const NEW: &str = "new";
/// Name of a tree that makes room, in the staging folder.
const OLD: &str = "old";

impl Staging {
    fn make(data: &Dir) -> io::Result<Self> {
        let root = real_folder(data, STAGING)?;
        let tree = real_folder(&root, NEW)?;
        Ok(Self { root, tree })
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = create_fresh(&self.root, name)?;
        file.write_all(content)?;
        file.sync_all()
    }
}

/// Finds the sidecar; it comes first in every known writer's archives.
fn read_sidecar(tarball: &std::fs::File, cancel: &AtomicBool) -> Result<Sidecar, MaterialiseError> {
    let mut members = open_archive(tarball, cancel)?;
    while let Some(member) = members.next()? {
        if member.name.as_str() == kiln_esphome::artifact_set::STORAGE {
            let bytes = members.read_whole(MAX_SIDECAR_BYTES as u64)?;
            let sidecar = Sidecar::parse(&bytes).map_err(ArtifactSetError::from);
            return Ok(sidecar.map_err(ArtifactsRefused::from)?);
        }
    }
    Err(ArtifactsRefused::NoSidecar.into())
}

fn open_archive<'a>(
    tarball: &'a std::fs::File,
    cancel: &'a AtomicBool,
) -> io::Result<Members<'a, &'a std::fs::File>> {
    let mut packed = tarball;
    io::Seek::rewind(&mut packed)?;
    Ok(Members::new(packed, ARTIFACT_LIMITS, cancel))
}

/// The last local sidecar of this configuration; one that cannot be read counts as none.
fn read_previous(tree: LocalTree<'_>) -> Option<Sidecar> {
    let path = format!("storage/{}.json", tree.configuration);
    let file = open_plain(tree.data, &path).ok()??;
    let mut bytes = Vec::new();
    file.take(MAX_SIDECAR_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    Sidecar::parse(&bytes).ok()
}

/// Reads the whole archive: build files go to the staging folder, metadata is returned.
fn receive(
    tarball: &std::fs::File,
    set: &ArtifactSet,
    staging: &Staging,
    cancel: &AtomicBool,
) -> Result<Received, MaterialiseError> {
    let permissions = Permissions::from_std(tarball.metadata()?.permissions());
    let mut folders = Walk::new(&staging.tree);
    let mut members = open_archive(tarball, cancel)?;
    let mut received = Received::default();
    while let Some(member) = members.next()? {
        let name = member.name.as_str();
        let unknown = || ArtifactsRefused::UnknownMember(shown(name.as_bytes()));
        let kind = match (set.classify(name), member.kind) {
            (Some(kind), MemberKind::File(_)) => kind,
            (None, _) | (Some(_), MemberKind::Folder) => return Err(unknown().into()),
        };
        match kind {
            // Read before.
            Member::Storage => {}
            // Not taken over; the module's introduction says why.
            Member::ValidatedJson | Member::ValidatedYaml => {}
            Member::PlatformioIni => received.has_ini = true,
            Member::Idedata => {
                received.idedata = Some(members.read_whole(MAX_IDEDATA_BYTES as u64)?);
            }
            Member::BuildInfo => {
                let json = members.read_whole(MAX_BUILD_INFO)?;
                serde_json::from_slice::<BuildInfo>(&json)
                    .map_err(|_| ArtifactsRefused::BuildInfo)?;
                let mut file = create_fresh(&staging.tree, BUILD_INFO)?;
                file.write_all(&json)?;
                settle(file, &permissions)?;
                received.files.push(BUILD_INFO.to_owned());
            }
            Member::BuildFile => {
                let (above, leaf) = split_leaf(name);
                let mut file = create_fresh(folders.make(above)?, leaf)?;
                members.copy_to::<MaterialiseError>(&mut file)?;
                settle(file, &permissions)?;
                received.files.push(name.to_owned());
            }
        }
    }
    Ok(received)
}

/// Only the shape counts here: an object whose hash, if there is one, is a number.
#[derive(serde::Deserialize)]
struct BuildInfo {
    #[serde(rename = "config_hash")]
    _config_hash: Option<u32>,
}

/// Ends writing a build file: on disk, private, and dated 1970 like in the archive, so that a later
/// local build never takes it for newer than the objects it did not come from.
fn settle(file: File, permissions: &Permissions) -> io::Result<()> {
    file.set_permissions(permissions.clone())?;
    let file = file.into_std();
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH))?;
    file.sync_all()
}

fn check_complete(
    build: &Build,
    received: &Received,
    staging: &Staging,
) -> Result<(), MaterialiseError> {
    let set = &build.set;
    if set.toolchain.idedata() == Need::Required && received.idedata.is_none() {
        return Err(ArtifactsRefused::Missing("idedata.json").into());
    }
    if set.toolchain.platformio_ini() == Need::Required && !received.has_ini {
        return Err(ArtifactsRefused::Missing(PLATFORMIO_INI).into());
    }
    if !received.files.contains(&set.firmware) {
        return Err(ArtifactsRefused::NoFirmware(set.firmware.clone()).into());
    }
    let mut head = Vec::new();
    if let Some(image) = open_plain(&staging.tree, &set.firmware)? {
        image.take(HEAD as u64).read_to_end(&mut head)?;
    }
    check_image(set.platform, &build.esp_platform, &set.firmware, &head)
        .map_err(ArtifactsRefused::from)?;
    Ok(())
}

/// Checks that an honest packer would have sent just these files. The names alone decide for most
/// platforms; LibreTiny's further images are those that its own `firmware.json` lists.
fn check_listed(
    set: &ArtifactSet,
    received: &Received,
    staging: &Staging,
) -> Result<(), MaterialiseError> {
    let mut listed = None;
    if let Some(path) = set.firmware_json()
        && let Some(file) = open_plain(&staging.tree, &path)?
    {
        let mut bytes = Vec::new();
        file.take(MAX_SIDECAR_BYTES as u64)
            .read_to_end(&mut bytes)?;
        listed = Some(bytes);
    }
    let has = |file: &str| received.files.iter().any(|have| have == file);
    let plan = set
        .plan(&has, listed.as_deref())
        .map_err(ArtifactsRefused::from)?;
    let unknown = |file: &&String| file.as_str() != BUILD_INFO && !plan.contains(file);
    match received.files.iter().find(unknown) {
        Some(file) => Err(ArtifactsRefused::UnknownMember(shown(file.as_bytes())).into()),
        None => Ok(()),
    }
}

/// Makes the local idedata in the staging folder and returns whether there is one. Toolchains that
/// do not need it can do without one that is not understood.
fn prepare_idedata(
    build: &Build,
    received: &Received,
    tree: LocalTree<'_>,
    staging: &Staging,
) -> Result<bool, MaterialiseError> {
    let Some(bytes) = &received.idedata else {
        return Ok(false);
    };
    let places = Places {
        receiver_build: &build.receiver_path,
        local_build: &build.local_path,
        local_platformio: tree.platformio,
    };
    match local_idedata(bytes, &build.set, places) {
        Ok(text) => {
            staging.write("idedata.json", text.as_bytes())?;
            Ok(true)
        }
        Err(_) if build.set.toolchain.idedata() == Need::Optional => Ok(false),
        Err(error) => Err(ArtifactsRefused::from(error).into()),
    }
}

/// Puts the staged files into the build folder: all at once if the old tree goes, else one by one
/// beside the objects that stay.
fn place_tree(
    build: &Build,
    received: &Received,
    data: &Dir,
    staging: &Staging,
    objects: Objects,
) -> io::Result<Objects> {
    let builds = folder_of_ours(data, "build")?;
    let name = build.set.name.as_str();
    let keeps = objects == Objects::Kept
        && is_real_folder(&builds, name)
        && !is_obstructed(&builds.open_dir_nofollow(name)?, &received.files);
    if keeps {
        let target = builds.open_dir_nofollow(name)?;
        merge(&target, received, staging)?;
        if received.has_ini {
            keep_or_make_ini(&target)?;
        }
        return Ok(Objects::Kept);
    }
    if received.has_ini {
        keep_or_make_ini(&staging.tree)?;
    }
    match builds.rename(name, &staging.root, OLD) {
        Err(error) if !is_absent(&error) => return Err(error),
        _ => {}
    }
    staging.root.rename(NEW, &builds, name).inspect_err(|_| {
        // Best effort: the tree that was there is better than none.
        let _ = staging.root.rename(OLD, &builds, name);
    })?;
    Ok(Objects::Wiped)
}

fn merge(target: &Dir, received: &Received, staging: &Staging) -> io::Result<()> {
    let mut from = Walk::new(&staging.tree);
    let mut to = Walk::new(target);
    for file in &received.files {
        let (above, leaf) = split_leaf(file);
        let source = from.enter(above)?;
        let (above, _) = split_leaf(file);
        source.rename(leaf, to.make(above)?, leaf)?;
    }
    for stale in STALE_IMAGES {
        if !received.files.iter().any(|file| file == stale) {
            let (above, leaf) = split_leaf(stale);
            if let Ok(folder) = to.enter(above) {
                remove_any(folder, leaf)?;
            }
        }
    }
    Ok(())
}

/// Returns whether something other than folders and plain files stands where the files go.
fn is_obstructed(target: &Dir, files: &[String]) -> bool {
    let mut walk = Walk::new(target);
    files.iter().any(|file| {
        let (above, leaf) = split_leaf(file);
        match walk
            .enter(above)
            .map(|folder| folder.symlink_metadata(leaf))
        {
            Ok(Ok(found)) => !found.is_file(),
            Ok(Err(error)) | Err(error) => !is_absent(&error),
        }
    })
}

/// Leaves a local `platformio.ini` and its time alone; makes a bare one where there is none.
fn keep_or_make_ini(target: &Dir) -> io::Result<()> {
    match create_fresh(target, PLATFORMIO_INI) {
        Ok(mut file) => file.write_all(BARE_INI.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts idedata in place, newer than `platformio.ini`: only then ESPHome trusts it instead of
/// asking PlatformIO, which would need a toolchain (builds.md §9.2).
fn place_idedata(build: &Build, data: &Dir, staging: &Staging) -> io::Result<()> {
    let folder = folder_of_ours(data, "idedata")?;
    let ini = format!("build/{}/{PLATFORMIO_INI}", build.set.name);
    let ini = match open_plain(data, &ini) {
        Ok(Some(ini)) => ini.into_std().metadata()?.modified().ok(),
        Ok(None) | Err(_) => None,
    };
    let mut options = cap_std::fs::OpenOptions::new();
    let file = staging
        .root
        .open_with("idedata.json", options.write(true))?
        .into_std();
    let written = file.metadata()?.modified()?;
    if let Some(ini) = ini.filter(|ini| *ini >= written) {
        // Two seconds, the coarsest clock of a file system.
        let newer = ini.checked_add(Duration::from_secs(2)).unwrap_or(ini);
        file.set_times(FileTimes::new().set_modified(newer))?;
    }
    drop(file);
    let suffix = build.set.toolchain.idedata_suffix();
    let leaf = format!("{}{suffix}", build.set.name);
    staging.root.rename("idedata.json", &folder, leaf)
}

/// Puts the sidecar in place and drops the validated configurations of earlier local builds, so
/// that what is flashed next is validated against the YAML of now.
fn place_sidecar(tree: LocalTree<'_>, staging: &Staging) -> io::Result<()> {
    let folder = folder_of_ours(tree.data, "storage")?;
    for ending in ["json", "yaml"] {
        remove_any(
            &folder,
            &format!("{}.validated.{ending}", tree.configuration),
        )?;
    }
    let leaf = format!("{}.json", tree.configuration);
    staging.root.rename("storage.json", &folder, leaf)
}

/// Opens a folder of the data directory, making it if it is not there. A link is the owner's and
/// is not replaced; it is an error.
fn folder_of_ours(data: &Dir, name: &str) -> io::Result<Dir> {
    match data.create_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    data.open_dir_nofollow(name)
}
