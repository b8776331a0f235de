//! [`verify`]: from a manifest and its signature to an update, or to why there is none.
use std::cmp::Ordering;

use kiln_model::Timestamp;
use minisign_verify::{Error, PublicKey, Signature};
use semver::Version;

use crate::manifest::{MAX_MANIFEST, MAX_SIGNATURE, Manifest};
use crate::refusal::Refusal;

/// The first line of a signature file. It is not covered by the signature, so only this one is taken.
const FIRST_LINE: &str = "untrusted comment: signature of a Kiln update\n";

/// How far ahead of this computer's clock a manifest may be made, in microseconds: one day.
const CLOCK_SKEW: i64 = 24 * 60 * 60 * 1_000_000;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The makers' public key, as minisign prints it: one line of base64.
    pub key: &'a str,
    /// The version that runs.
    pub running: &'a Version,
    /// The newest version that any earlier manifest offered; guards against old ones that are shown
    /// again.
    pub newest_seen: Option<&'a Version>,
    /// System, processor and kind of package, for example `linux-x86_64-deb`.
    pub platform: &'a str,
    /// What this computer's clock shows.
    pub now: Timestamp,
}

/// What a believed manifest means for this computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A newer version can be had.
    Update(Update),
    /// The newest one runs.
    UpToDate,
}

/// A version that may be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Its version.
    pub version: Version,
    /// When it was released.
    pub released: Timestamp,
    /// Where the package is; `https` only.
    pub url: String,
    /// Size of the package in bytes; 512 MiB at most.
    pub size: u64,
    /// SHA-256 of the package.
    pub sha256: [u8; 32],
}

impl Update {
    /// Checks a downloaded package by its size in bytes and its SHA-256.
    ///
    /// # Errors
    /// [`Refusal::Truncated`], [`Refusal::TooLarge`] or [`Refusal::Altered`].
    pub fn check_package(&self, size: u64, sha256: &[u8; 32]) -> Result<(), Refusal> {
        match size.cmp(&self.size) {
            Ordering::Less => Err(Refusal::Truncated),
            Ordering::Greater => Err(Refusal::TooLarge),
            Ordering::Equal if *sha256 != self.sha256 => Err(Refusal::Altered),
            Ordering::Equal => Ok(()),
        }
    }
}

/// Judges a manifest: signature first, then its content, then whether it is for this computer.
///
/// # Errors
/// [`Refusal`]; nothing of a refused manifest may be used.
pub fn verify(manifest: &[u8], signature: &[u8], asked: &Asked<'_>) -> Result<Answer, Refusal> {
    if manifest.len() > MAX_MANIFEST || signature.len() > MAX_SIGNATURE {
        return Err(Refusal::TooLarge);
    }
    check_signature(manifest, signature, asked.key)?;
    let manifest = Manifest::read(manifest)?;
    if manifest.expires <= asked.now {
        return Err(Refusal::Expired);
    }
    if manifest.released.0 > asked.now.0.saturating_add(CLOCK_SKEW) {
        return Err(Refusal::FromTheFuture);
    }
    let known = match asked.newest_seen {
        Some(seen) if seen.cmp_precedence(asked.running).is_gt() => seen,
        Some(_) | None => asked.running,
    };
    if manifest.version.cmp_precedence(known).is_lt() {
        return Err(Refusal::Older {
            offered: manifest.version,
            known: known.clone(),
        });
    }
    if manifest.version.cmp_precedence(asked.running).is_eq() {
        return Ok(Answer::UpToDate);
    }
    let mut packages = manifest.packages;
    let package = packages
        .remove(asked.platform)
        .ok_or_else(|| Refusal::MissingPlatform(asked.platform.to_owned()))?;
    Ok(Answer::Update(Update {
        version: manifest.version,
        released: manifest.released,
        url: package.url,
        size: package.size,
        sha256: package.sha256,
    }))
}

fn check_signature(manifest: &[u8], signature: &[u8], key: &str) -> Result<(), Refusal> {
    let key = PublicKey::from_base64(key).map_err(|_| Refusal::Key)?;
    let text = std::str::from_utf8(signature).map_err(|_| Refusal::BrokenSignature)?;
    // What the library would skip is not taken either: there is one way to write a signature.
    let whole = text.starts_with(FIRST_LINE)
        && text.ends_with('\n')
        && text.matches('\n').count() == 4
        && !text.contains('\r');
    if !whole {
        return Err(Refusal::BrokenSignature);
    }
    let signature = Signature::decode(text).map_err(|_| Refusal::BrokenSignature)?;
    let legacy = false;
    key.verify(manifest, &signature, legacy)
        .map_err(|error| match error {
            Error::UnexpectedKeyId => Refusal::WrongKey,
            Error::InvalidSignature => Refusal::Altered,
            _ => Refusal::BrokenSignature,
        })
}
