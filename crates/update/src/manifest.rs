//! [`Manifest`]: what was signed, read and checked for sense.
use std::collections::BTreeMap;

use kiln_model::Timestamp;
use semver::Version;
use serde::Deserialize;

use crate::Refusal;

/// Largest manifest in bytes. One with ten platforms has about 4 KiB.
pub const MAX_MANIFEST: usize = 64 * 1024;

/// Largest signature file in bytes; minisign writes about 400.
pub const MAX_SIGNATURE: usize = 4 * 1024;

/// Largest package in bytes. Kiln's have less than 10 MiB.
const MAX_PACKAGE: u64 = 512 * 1024 * 1024;

/// Longest address in bytes, as browsers take it.
const MAX_URL: usize = 2048;

/// The one way of writing manifests that is known here.
const FORMAT: u64 = 1;

/// What is offered, for every platform.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) version: Version,
    pub(crate) released: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) packages: BTreeMap<String, Package>,
}

/// One file that can be installed.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
}

/// Only the format: the rest of another one may mean anything.
#[derive(Deserialize)]
struct Outline {
    format: u64,
}

#[derive(Deserialize)]
struct ManifestJson {
    version: String,
    released: i64,
    expires: i64,
    platforms: BTreeMap<String, PackageJson>,
}

#[derive(Deserialize)]
struct PackageJson {
    url: String,
    size: u64,
    sha256: String,
}

impl Manifest {
    /// Reads what was signed.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let outline: Outline =
            serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed("it is no manifest"))?;
        if outline.format != FORMAT {
            return Err(Refusal::UnknownFormat);
        }
        let json: ManifestJson =
            serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed("a part is missing"))?;
        let version = Version::parse(&json.version)
            .map_err(|_| Refusal::Malformed("its version is no version"))?;
        let packages = json.platforms.into_iter().map(|(platform, package)| {
            let package = Package::check(package)?;
            Ok((platform, package))
        });
        let manifest = Self {
            version,
            released: time(json.released)?,
            expires: time(json.expires)?,
            packages: packages.collect::<Result<_, Refusal>>()?,
        };
        if manifest.expires <= manifest.released {
            return Err(Refusal::Malformed("it expires before it was made"));
        }
        Ok(manifest)
    }
}

impl Package {
    fn check(json: PackageJson) -> Result<Self, Refusal> {
        let plain = |b: u8| b.is_ascii_graphic();
        if !json.url.starts_with("https://")
            || json.url.len() > MAX_URL
            || !json.url.bytes().all(plain)
        {
            return Err(Refusal::Malformed("its address is not safe"));
        }
        if json.size == 0 || json.size > MAX_PACKAGE {
            return Err(Refusal::TooLarge);
        }
        let sha256 = digest(&json.sha256).ok_or(Refusal::Malformed("its digest is no digest"))?;
        Ok(Self {
            url: json.url,
            size: json.size,
            sha256,
        })
    }
}

/// Seconds since 1970, as a time that can be counted with.
fn time(seconds: i64) -> Result<Timestamp, Refusal> {
    let micros = seconds.checked_mul(1_000_000).filter(|at| *at >= 0);
    micros
        .map(Timestamp)
        .ok_or(Refusal::Malformed("a time is out of range"))
}

/// 64 lower-case hex digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let lower = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 64 || !digits.iter().all(lower) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}
