//! [`BlobFacts`]: size and digest of a packed file, as the wire announces them.
use std::fmt::Write as _;
use std::io::{self, Read, Seek, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{Context, SHA256};

/// Size and SHA-256 of a bundle or an artifact archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobFacts {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 as 64 lower-case hex digits.
    pub sha256: String,
}

/// Reads a packed file from its start and returns its facts, for example of a bundle that
/// `esphome bundle` made.
///
/// # Errors
/// When the file cannot be read, or with [`io::ErrorKind::Interrupted`] once `cancel` is set.
pub fn blob_facts(packed: &std::fs::File, cancel: &AtomicBool) -> io::Result<BlobFacts> {
    let mut packed = packed;
    packed.rewind()?;
    let mut facts = Measured::new(io::sink());
    let mut buffer = vec![0; 128 * 1024];
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let got = packed.read(&mut buffer)?;
        if got == 0 {
            return Ok(facts.finish());
        }
        facts.write_all(buffer.get(..got).unwrap_or_default())?;
    }
}

/// Passes bytes on and measures them on the way.
pub(crate) struct Measured<W> {
    inner: W,
    bytes: u64,
    digest: Context,
}

impl<W: Write> Measured<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            bytes: 0,
            digest: Context::new(&SHA256),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> BlobFacts {
        let mut sha256 = String::with_capacity(64);
        for byte in self.digest.finish().as_ref() {
            let _ = write!(sha256, "{byte:02x}");
        }
        BlobFacts {
            bytes: self.bytes,
            sha256,
        }
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_those_of_the_whole_file_wherever_it_stands() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let facts = blob_facts(&file, &AtomicBool::new(false)).unwrap();
        assert_eq!(facts.bytes, 3);
        assert_eq!(
            facts.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(blob_facts(&file, &AtomicBool::new(true)).is_err());
    }
}
