//! [`GzipWriter`]: one gzip member, fast on firmware and at copying speed on what cannot shrink.
//!
//! Firmware comes in two kinds: code, which level 1 of deflate shrinks nearly as far as level 9,
//! and encrypted or already packed images, on which any level only burns time. Blocks of the second
//! kind are stored. The result is an ordinary single gzip member that every reader understands.
use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes looked at and written at a time.
const BLOCK: usize = 128 * 1024;
/// Most bytes of one stored block of deflate.
const STORED: usize = 65_535;
/// Bytes of a block that are looked at to guess whether it can shrink.
const SAMPLE: usize = 16 * 1024;
/// Level of deflate: the fastest one; measured against 2 to 6 in the crate's history.
const LEVEL: Compression = Compression::new(1);

/// Compresses into one gzip member.
pub(crate) struct GzipWriter<W: Write> {
    to: W,
    block: Vec<u8>,
    packed: Vec<u8>,
    crc: Crc,
    deflate: Compress,
    trial: Compress,
    /// Whether `deflate` holds bytes that are not flushed to a byte boundary.
    open: bool,
}

impl<W: Write> GzipWriter<W> {
    /// Begins the member.
    pub(crate) fn new(mut to: W) -> io::Result<Self> {
        // Magic, deflate, no flags, no time, "fastest", unknown system (RFC 1952).
        to.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255])?;
        Ok(Self {
            to,
            block: Vec::with_capacity(BLOCK),
            packed: Vec::with_capacity(BLOCK),
            crc: Crc::new(),
            deflate: Compress::new(LEVEL, false),
            trial: Compress::new(LEVEL, false),
            open: false,
        })
    }

    /// Ends the member and returns what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.emit()?;
        self.align()?;
        // An empty last block, then checksum and length.
        self.to.write_all(&[3, 0])?;
        self.to.write_all(&self.crc.sum().to_le_bytes())?;
        self.to.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.to)
    }

    /// Returns what it writes to.
    pub(crate) fn get_ref(&self) -> &W {
        &self.to
    }

    fn emit(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        self.crc.update(&block);
        if self.shrinks(&block) {
            self.compress(&block, FlushCompress::None)?;
            self.open = true;
        } else {
            self.align()?;
            for piece in block.chunks(STORED) {
                let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
                self.to.write_all(&[0])?;
                self.to.write_all(&length.to_le_bytes())?;
                self.to.write_all(&(!length).to_le_bytes())?;
                self.to.write_all(piece)?;
            }
        }
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// Flushes deflate to a byte boundary and forgets its window: what is stored next will not
    /// be in it, so later references across would be wrong.
    fn align(&mut self) -> io::Result<()> {
        if self.open {
            self.compress(&[], FlushCompress::Sync)?;
            self.deflate.reset();
            self.open = false;
        }
        Ok(())
    }

    fn compress(&mut self, mut input: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            let before = self.deflate.total_in();
            self.packed.clear();
            let status = self
                .deflate
                .compress_vec(input, &mut self.packed, flush)
                .map_err(io::Error::other)?;
            self.to.write_all(&self.packed)?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(0);
            input = input.get(taken..).unwrap_or_default();
            let room_left = self.packed.len() < self.packed.capacity();
            if input.is_empty() && (room_left || status == Status::BufError) {
                return Ok(());
            }
        }
    }

    /// Guesses from a sample. Evenly spread bytes usually cannot shrink, but a regular pattern is
    /// spread evenly too, so a sample that looks random is tried out.
    fn shrinks(&mut self, block: &[u8]) -> bool {
        let sample = block.get(..SAMPLE).unwrap_or(block);
        if !is_evenly_spread(sample) {
            return true;
        }
        self.trial.reset();
        self.packed.clear();
        let tried = self
            .trial
            .compress_vec(sample, &mut self.packed, FlushCompress::Finish);
        tried.is_err() || self.packed.len() < sample.len() - sample.len() / 32
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK - self.block.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.block.extend_from_slice(taken);
        if self.block.len() == BLOCK {
            self.emit()?;
        }
        Ok(taken.len())
    }

    /// Does nothing: everything is written by [`GzipWriter::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether all byte values are about equally frequent (chi-square over 256 values; 255 is
/// expected of random bytes, and less than one random sample in a million exceeds 400).
fn is_evenly_spread(sample: &[u8]) -> bool {
    let mut counts = [0u64; 256];
    for &byte in sample {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = sample.len() as u64;
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    // chi² = 256/n · Σc² - n, compared without division.
    256 * squares < total * (total + 400)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::GzDecoder;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn pack(pieces: &[&[u8]]) -> Vec<u8> {
        let mut gzip = GzipWriter::new(Vec::new()).unwrap();
        for piece in pieces {
            gzip.write_all(piece).unwrap();
        }
        gzip.finish().unwrap()
    }

    fn unpack(packed: &[u8]) -> Vec<u8> {
        let mut decoder = GzDecoder::new(packed);
        let mut bytes = Vec::new();
        decoder.read_to_end(&mut bytes).unwrap();
        assert!(
            decoder.into_inner().is_empty(),
            "one member, nothing behind"
        );
        bytes
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let next = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        next.take(length).collect()
    }

    #[test]
    fn noise_is_stored_and_text_is_compressed() {
        let noise = noise(1 << 20);
        let text = b"the same words again and again ".repeat(40_000);
        assert!(pack(&[&noise]).len() < noise.len() + noise.len() / 1000);
        assert!(pack(&[&text]).len() < text.len() / 20);
    }

    #[test]
    fn a_regular_pattern_that_looks_random_by_its_counts_is_compressed() {
        let pattern: Vec<u8> = (0..1u32 << 20).map(|i| (7 * i + 3) as u8).collect();
        assert!(pack(&[&pattern]).len() < pattern.len() / 20);
    }

    #[test]
    fn changing_between_stored_and_compressed_loses_nothing() {
        let noise = noise(300_000);
        let text = b"abcabcabd".repeat(50_000);
        let all = [&text[..], &noise, &text, &text, &noise, b"x"];
        assert_eq!(unpack(&pack(&all)), all.concat());
    }

    #[test]
    fn nothing_at_all_is_a_valid_member() {
        assert_eq!(unpack(&pack(&[])), b"");
    }

    proptest! {
        #[test]
        fn any_pieces_come_back(pieces in vec((0usize..200_000, any::<bool>()), 0..5)) {
            let pieces: Vec<Vec<u8>> = pieces
                .into_iter()
                .map(|(length, random)| if random { noise(length) } else { vec![7; length] })
                .collect();
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(unpack(&pack(&slices)), pieces.concat());
        }
    }
}
