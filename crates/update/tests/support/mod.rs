//! Makers who sign manifests, and the manifest they sign.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a test cannot go on, and each test file uses a part of it"
)]

use std::io::Cursor;

use kiln_model::Timestamp;
use kiln_update::{Asked, Version};
use minisign::KeyPair;

/// A day in microseconds.
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// When the manifest is released.
pub(crate) const NOW: i64 = 1_790_000_000_000_000;

/// What the manifest has a package for.
pub(crate) const PLATFORM: &str = "linux-x86_64-deb";

/// The version that the makers' computers run in most stories.
static RUNNING: std::sync::LazyLock<Vec<(String, Version)>> = std::sync::LazyLock::new(|| {
    ["0.0.0", "0.1.0", "0.2.0"]
        .map(|text| (text.to_owned(), version(text)))
        .to_vec()
});

/// Somebody with a key.
pub(crate) struct Maker {
    pair: KeyPair,
    public: String,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let public = pair.pk.to_base64();
        Self { pair, public }
    }

    /// The question of a computer that trusts this maker.
    pub(crate) fn asks<'a>(&'a self, running: &str, seen: Option<&'a Version>) -> Asked<'a> {
        let mut known = RUNNING.iter();
        let (_, running) = known.find(|(text, _)| text == running).unwrap();
        Asked {
            key: &self.public,
            running,
            newest_seen: seen,
            platform: PLATFORM,
            now: Timestamp(NOW),
        }
    }

    /// Signs, as `minisign -S` does.
    pub(crate) fn sign(&self, text: &str) -> Vec<u8> {
        let data = Cursor::new(text.as_bytes());
        let (trusted, untrusted) = (Some("kiln"), Some("signature of a Kiln update"));
        let signature =
            minisign::sign(Some(&self.pair.pk), &self.pair.sk, data, trusted, untrusted).unwrap();
        signature.to_string().into_bytes()
    }

    /// Puts the number of this maker's key into somebody else's signature.
    pub(crate) fn borrow_name(&self, signature: &[u8]) -> Vec<u8> {
        use base64_simd::STANDARD as base64;
        let own = base64.decode_to_vec(&self.public).unwrap();
        let text = String::from_utf8(signature.to_vec()).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut bytes = base64.decode_to_vec(&lines[1]).unwrap();
        bytes[2..10].copy_from_slice(&own[2..10]);
        lines[1] = base64.encode_to_string(&bytes);
        format!("{}\n", lines.join("\n")).into_bytes()
    }
}

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A manifest that offers a version for five kinds of computers, good for thirty days.
pub(crate) fn manifest(version: &str) -> String {
    let sha = "ab".repeat(32);
    let package = |platform: &str, file: &str| {
        format!(
            "\"{platform}\":{{\"url\":\"https://updates.example/{file}\",\"size\":1000,\
             \"sha256\":\"{sha}\"}}"
        )
    };
    let packages = [
        package(PLATFORM, "kiln_amd64.deb"),
        package("linux-x86_64-rpm", "kiln.x86_64.rpm"),
        package("linux-aarch64-deb", "kiln_arm64.deb"),
        package("windows-x86_64-nsis", "kiln-setup.exe"),
        package("macos-aarch64-dmg", "kiln.dmg"),
    ];
    format!(
        "{{\"format\":1,\"version\":\"{version}\",\"released\":1790000000,\"expires\":1792592000,\
         \"platforms\":{{{}}}}}",
        packages.join(",")
    )
}
