//! [`pack_artifacts`]: makes the archive of a finished build that an offloader fetches.
//!
//! The build tree was written by a peer's code, so nothing in it is trusted: every file is opened
//! by handle without following a link, must be a plain file with one name, and lies in a place that
//! the platform's table names (builds.md §8, trust.md §1.4).
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, File};
use kiln_esphome::artifact_set::{
    ArtifactSetError, BUILD_INFO, IDEDATA, MAX_ARTIFACT_BYTES, Need, PLACEHOLDER_INI,
    PLATFORMIO_INI, STORAGE, VALIDATED_JSON, VALIDATED_MAX_AGE_SECONDS, VALIDATED_YAML,
};
use kiln_esphome::sidecar::{MAX_SIDECAR_BYTES, SidecarError};
use kiln_esphome::{ArtifactSet, Sidecar, remap};
use kiln_model::{ArtifactsRefusal, ConfigurationName, FirmwareOffset};

use crate::blob_facts::{BlobFacts, Measured};
use crate::gzip::GzipWriter;
use crate::member_name::is_invisible;
use crate::tree::{Walk, open_plain};

/// Longest detail of a refusal, in characters (builds.md §5.8).
const MAX_DETAIL: usize = 256;

/// Where a finished build lies.
#[derive(Clone, Copy, Debug)]
pub struct BuildTree<'a> {
    /// Data directory of the build (`ESPHOME_DATA_DIR`).
    pub data: &'a Dir,
    /// Its path exactly as the build was told it; the sidecar's paths start with it.
    pub data_path: &'a str,
    /// What was built.
    pub configuration: &'a ConfigurationName,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedArtifacts {
    /// Size and digest of the archive.
    pub facts: BlobFacts,
    /// Where the main image is flashed.
    pub firmware_offset: FirmwareOffset,
    /// Names of the members, in order.
    pub members: Vec<String>,
}

/// Why there is no archive. What was written so far is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The build is not there, or lacks what every build has; building again may help.
    #[error("The build left no files to send: {0}.")]
    BuildDirMissing(String),
    /// The build is there and cannot be packed.
    #[error("The build cannot be packed: {0}.")]
    PackFailed(String),
    /// The caller asked to stop.
    #[error("Packing was cancelled.")]
    Cancelled,
}

impl PackError {
    /// Returns the word for the peer (builds.md §5.8).
    pub fn refusal(&self) -> ArtifactsRefusal {
        match self {
            PackError::BuildDirMissing(_) => ArtifactsRefusal::BuildDirMissing,
            PackError::PackFailed(_) => ArtifactsRefusal::PackFailed,
            PackError::Cancelled => ArtifactsRefusal::ShuttingDown,
        }
    }

    /// Returns the detail for the peer, at most 256 characters. It names files below the build
    /// folder and never a path of this machine.
    pub fn detail(&self) -> String {
        let detail = match self {
            PackError::BuildDirMissing(detail) | PackError::PackFailed(detail) => detail.as_str(),
            PackError::Cancelled => "",
        };
        detail.chars().take(MAX_DETAIL).collect()
    }

    fn missing(what: impl AsRef<str>) -> Self {
        PackError::BuildDirMissing(plain_text(what.as_ref()))
    }

    fn failed(why: impl AsRef<str>) -> Self {
        PackError::PackFailed(plain_text(why.as_ref()))
    }
}

impl From<ArtifactSetError> for PackError {
    fn from(error: ArtifactSetError) -> Self {
        match error.refusal() {
            ArtifactsRefusal::BuildDirMissing => PackError::missing(error.to_string()),
            _ => PackError::failed(error.to_string()),
        }
    }
}

/// Packs a finished build into `to` (a fresh file, 0600: the validated configuration inside holds
/// resolved secrets). The caller syncs it before it promises anything.
///
/// Call it when the whole process tree of the build is dead. Blocks on disk and processor, streams,
/// and looks at `cancel` before every piece.
///
/// # Errors
/// [`PackError::BuildDirMissing`] or [`PackError::PackFailed`] as builds.md §8 divides them.
pub fn pack_artifacts(
    tree: BuildTree<'_>,
    to: &std::fs::File,
    cancel: &AtomicBool,
) -> Result<PackedArtifacts, PackError> {
    let storage = format!("storage/{}.json", tree.configuration);
    let mut storage =
        open(tree.data, &storage)?.ok_or_else(|| PackError::missing("there is no sidecar"))?;
    let built_at = storage.modified;
    let sidecar = storage.read_whole(MAX_SIDECAR_BYTES as u64)?;
    let parsed = Sidecar::parse(&sidecar).map_err(ArtifactSetError::from)?;
    let set = ArtifactSet::of(&parsed)?;
    let mut walk = Walk::new(tree.data);
    let build = build_folder(&mut walk, &parsed, tree.data_path)?;

    let mut members = vec![Source::bytes(STORAGE, sidecar)];
    members.extend(metadata(tree, build, &set, built_at)?);
    for file in build_files(build, &set)? {
        let found = open(build, &file)?.ok_or_else(|| PackError::failed(vanished(&file)))?;
        members.push(Source::file(&file, found));
    }
    let total: u64 = members.iter().map(Source::size).sum();
    if total > MAX_ARTIFACT_BYTES {
        return Err(PackError::failed("the build is larger than 256 MiB"));
    }
    let names = members.iter().map(|member| member.name.clone()).collect();
    let facts = write_archive(members, to, cancel)?;
    Ok(PackedArtifacts {
        facts,
        firmware_offset: set.platform.firmware_offset(),
        members: names,
    })
}

/// Opens the build folder that the sidecar names, if it lies below the data directory: a build
/// must not be able to send files of this machine.
fn build_folder<'w>(
    walk: &'w mut Walk<'_>,
    sidecar: &Sidecar,
    data_path: &str,
) -> Result<&'w Dir, PackError> {
    let named = sidecar
        .build_path()
        .ok_or(ArtifactSetError::Sidecar(SidecarError::Missing(
            "build_path",
        )))?;
    let below = match remap::below(&named, data_path) {
        Ok(Some(below)) if !below.is_empty() => below,
        Ok(Some(_) | None) | Err(remap::Escapes) => {
            return Err(PackError::missing("the build folder lies elsewhere"));
        }
    };
    walk.enter(below.split('/'))
        .map_err(|_| PackError::missing("the build folder is not there"))
}

/// Collects what is not a build file, in the order of builds.md §8.
fn metadata(
    tree: BuildTree<'_>,
    build: &Dir,
    set: &ArtifactSet,
    built_at: Option<SystemTime>,
) -> Result<Vec<Source>, PackError> {
    let mut members = Vec::new();
    let idedata = format!("idedata/{}{}", set.name, set.toolchain.idedata_suffix());
    match open(tree.data, &idedata)? {
        Some(found) => members.push(Source::file(IDEDATA, found)),
        None if set.toolchain.idedata() == Need::Optional => {}
        None => return Err(PackError::missing("there is no idedata")),
    }
    match open(build, PLATFORMIO_INI)? {
        Some(found) => members.push(Source::file(PLATFORMIO_INI, found)),
        None if set.wants_placeholder_ini() => {
            members.push(Source::bytes(PLATFORMIO_INI, PLACEHOLDER_INI.into()));
        }
        None if set.toolchain.platformio_ini() == Need::Optional => {}
        None => return Err(PackError::missing("there is no platformio.ini")),
    }
    if let Some(found) = open(build, BUILD_INFO)? {
        members.push(Source::file(BUILD_INFO, found));
    }
    members.extend(validated(tree, built_at)?);
    Ok(members)
}

/// Finds the freshest validated configuration, unless it is left over from an earlier build.
fn validated(
    tree: BuildTree<'_>,
    built_at: Option<SystemTime>,
) -> Result<Option<Source>, PackError> {
    let mut freshest: Option<(&str, PlainFile)> = None;
    for (member, ending) in [(VALIDATED_JSON, "json"), (VALIDATED_YAML, "yaml")] {
        let path = format!("storage/{}.validated.{ending}", tree.configuration);
        let Some(found) = open(tree.data, &path)? else {
            continue;
        };
        if freshest
            .as_ref()
            .is_none_or(|(_, other)| found.modified > other.modified)
        {
            freshest = Some((member, found));
        }
    }
    let allowed = Duration::from_secs(VALIDATED_MAX_AGE_SECONDS);
    let fresh = |found: &PlainFile| {
        let limit = found.modified.and_then(|at| at.checked_add(allowed));
        limit
            .zip(built_at)
            .is_some_and(|(limit, built)| limit >= built)
    };
    Ok(freshest
        .filter(|(_, found)| fresh(found))
        .map(|(member, found)| Source::file(member, found)))
}

fn build_files(build: &Dir, set: &ArtifactSet) -> Result<Vec<String>, PackError> {
    let listed = match set.firmware_json() {
        Some(path) => match open(build, &path)? {
            Some(mut found) => Some(found.read_whole(MAX_SIDECAR_BYTES as u64)?),
            None => None,
        },
        None => None,
    };
    // Whatever is not a plain file counts as absent; if it is the firmware, the plan fails.
    let exists = |path: &str| matches!(open_plain(build, path), Ok(Some(_)));
    Ok(set.plan(&exists, listed.as_deref())?)
}

fn write_archive(
    members: Vec<Source>,
    to: &std::fs::File,
    cancel: &AtomicBool,
) -> Result<BlobFacts, PackError> {
    let broken = |error: io::Error| PackError::failed(format!("it cannot be written ({error})"));
    let mut gzip = GzipWriter::new(Measured::new(to)).map_err(broken)?;
    let mut buffer = vec![0; 128 * 1024];
    for mut member in members {
        let header = member.header()?;
        gzip.write_all(header.as_bytes()).map_err(broken)?;
        let size = member.size();
        let mut left = size;
        while left > 0 {
            if cancel.load(Ordering::Relaxed) {
                return Err(PackError::Cancelled);
            }
            let want = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let wanted = buffer.get_mut(..want).unwrap_or_default();
            let got = member.read(wanted)?;
            gzip.write_all(wanted.get(..got).unwrap_or_default())
                .map_err(broken)?;
            left -= got as u64;
            if gzip.get_ref().bytes() > MAX_ARTIFACT_BYTES {
                return Err(PackError::failed("the archive is larger than 256 MiB"));
            }
        }
        let padding = usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0);
        gzip.write_all([0; 512].get(..padding).unwrap_or_default())
            .map_err(broken)?;
    }
    gzip.write_all(&[0; 1024]).map_err(broken)?;
    let facts = gzip.finish().map_err(broken)?.finish();
    if facts.bytes > MAX_ARTIFACT_BYTES {
        return Err(PackError::failed("the archive is larger than 256 MiB"));
    }
    Ok(facts)
}

/// A member to be.
struct Source {
    name: String,
    content: Content,
}

enum Content {
    Bytes(io::Cursor<Vec<u8>>),
    File(PlainFile),
}

impl Source {
    fn bytes(name: &str, bytes: Vec<u8>) -> Self {
        let content = Content::Bytes(io::Cursor::new(bytes));
        let name = name.to_owned();
        Self { name, content }
    }

    fn file(name: &str, file: PlainFile) -> Self {
        let content = Content::File(file);
        let name = name.to_owned();
        Self { name, content }
    }

    fn size(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.get_ref().len() as u64,
            Content::File(file) => file.size,
        }
    }

    /// Returns a header with the default fields of Python's `TarInfo`.
    fn header(&self) -> Result<tar::Header, PackError> {
        let mut header = tar::Header::new_ustar();
        header
            .set_path(&self.name)
            .map_err(|_| PackError::failed(format!("the name {} is too long", self.name)))?;
        header.set_size(self.size());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        Ok(header)
    }

    /// Reads at least one byte; a file that became shorter is an error.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PackError> {
        let got = match &mut self.content {
            Content::Bytes(bytes) => bytes.read(buffer),
            Content::File(file) => file.file.read(buffer),
        };
        match got {
            Ok(0) | Err(_) => Err(PackError::failed(vanished(&self.name))),
            Ok(got) => Ok(got),
        }
    }
}

/// An open plain file, its size when it was opened and its time.
struct PlainFile {
    file: File,
    size: u64,
    modified: Option<SystemTime>,
}

impl PlainFile {
    fn read_whole(&mut self, limit: u64) -> Result<Vec<u8>, PackError> {
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut self.file)
            .take(limit + 1)
            .read_to_end(&mut bytes);
        match read {
            Ok(_) if bytes.len() as u64 <= limit => Ok(bytes),
            Ok(_) | Err(_) => Err(PackError::missing("a metadata file cannot be read")),
        }
    }
}

/// Opens a plain file; anything else of that name is an attempt to send something it should not.
fn open(root: &Dir, path: &str) -> Result<Option<PlainFile>, PackError> {
    let odd = |_| PackError::failed(format!("{path} is not a plain file of its own"));
    let Some(file) = open_plain(root, path).map_err(odd)? else {
        return Ok(None);
    };
    let found = file.metadata().map_err(odd)?;
    Ok(Some(PlainFile {
        size: found.len(),
        modified: found
            .modified()
            .ok()
            .map(cap_std::time::SystemTime::into_std),
        file,
    }))
}

/// Reasons quote the sidecar, which a peer's code wrote: nothing in them may steer a terminal.
fn plain_text(text: &str) -> String {
    let plain = |c: char| if is_invisible(c) { '?' } else { c };
    text.chars().map(plain).collect()
}

fn vanished(name: &str) -> String {
    format!("{name} changed while it was packed")
}
