//! Archives made byte by byte (no writer would make most of them), and a watched place on disk.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

pub mod build;

/// A tar under construction.
#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

/// How a member's name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In the header itself, cut at 100 bytes.
    Header,
    /// In a pax `path` record.
    Pax,
    /// In a GNU long-name header.
    LongName,
}

pub const CARRIERS: [Carrier; 3] = [Carrier::Header, Carrier::Pax, Carrier::LongName];

/// Builds one 512-byte header; the checksum is right.
pub fn header(name: &[u8], kind: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let cut = name.len().min(100);
    block[..cut].copy_from_slice(&name[..cut]);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    sealed(block)
}

/// Writes the checksum into a header.
pub fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Writes one pax record, its length included.
pub fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} ").into_bytes();
    record.extend_from_slice(key);
    record.push(b'=');
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

impl Tar {
    /// Adds a header and content, padded.
    pub fn raw(mut self, block: [u8; 512], content: &[u8]) -> Self {
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(content);
        let padded = self.0.len().next_multiple_of(512);
        self.0.resize(padded, 0);
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(header(name.as_bytes(), b'0', content.len() as u64), content)
    }

    pub fn pax(self, records: &[u8]) -> Self {
        self.raw(header(b"pax", b'x', records.len() as u64), records)
    }

    pub fn long_name(self, name: &[u8]) -> Self {
        let mut content = name.to_vec();
        content.push(0);
        self.raw(
            header(b"././@LongLink", b'L', content.len() as u64),
            &content,
        )
    }

    /// Adds a member whose name travels by `carrier`.
    pub fn carried(self, carrier: Carrier, name: &[u8], kind: u8, content: &[u8]) -> Self {
        let size = content.len() as u64;
        match carrier {
            Carrier::Header => self.raw(header(name, kind, size), content),
            Carrier::Pax => self
                .pax(&pax_record(b"path", name))
                .raw(header(b"short", kind, size), content),
            Carrier::LongName => self
                .long_name(name)
                .raw(header(b"short", kind, size), content),
        }
    }

    /// Adds a member with a link target.
    pub fn link(self, name: &str, kind: u8, target: &[u8]) -> Self {
        let mut block = header(name.as_bytes(), kind, 0);
        block[157..157 + target.len()].copy_from_slice(target);
        self.raw(sealed(block), b"")
    }

    /// Ends the tar as Python does: zero blocks up to a multiple of 10 KiB.
    pub fn end(mut self) -> Vec<u8> {
        let padded = (self.0.len() + 1024).next_multiple_of(10240);
        self.0.resize(padded, 0);
        self.0
    }

    pub fn gz(self) -> Vec<u8> {
        gz(&self.end())
    }
}

/// Packs bytes as one gzip member.
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub const MANIFEST: &str = r#"{"manifest_version": 1, "esphome_version": "2026.10.0",
    "config_filename": "kitchen.yaml", "config_dir": "/home/x/esphome", "files": [],
    "has_secrets": true}"#;

/// A bundle as esphome makes it, still open for more members.
pub fn bundle() -> Tar {
    Tar::default()
        .file("manifest.json", MANIFEST.as_bytes())
        .file("secrets.yaml", b"wifi: hidden\n")
        .file("kitchen.yaml", b"esphome:\n  name: kitchen\n")
}

/// A file with these bytes, at its start.
pub fn tarball(bytes: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// Everything below a folder: relative path, what it is, mode, content. Links are not followed.
pub fn snapshot(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                open.push(path);
                "folder".to_owned()
            } else if meta.is_file() {
                let content = fs::read(&path).unwrap();
                let hash: u64 = content
                    .iter()
                    .fold(14_695_981_039_346_656_037, |hash, &byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
                    });
                format!("file {} {hash:x}", content.len())
            } else {
                format!("SPECIAL {:?}", fs::read_link(&path).ok())
            };
            found.push(format!("{shown}: {what} {:?}", meta.permissions()));
        }
    }
    found.sort();
    found
}

/// Returns the paths of everything that is neither a plain file nor a folder.
pub fn specials(root: &Path) -> Vec<String> {
    let all = snapshot(root);
    all.into_iter().filter(|e| e.contains("SPECIAL")).collect()
}

/// Writes a file and the folders above it.
pub fn put(root: &Path, path: &str, content: &[u8]) -> PathBuf {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}
