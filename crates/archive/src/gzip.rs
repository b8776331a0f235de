//! [`GzipWriter`]: one gzip member, fast on firmware and at copying speed on what cannot shrink.
//!
//! Firmware comes in two kinds: code, which level 1 of deflate shrinks nearly as far as level 9,
//! and encrypted or already packed images, on which any level only burns time. Blocks of the second
//! kind are stored. The result is an ordinary single gzip member that every reader understands.
use std::io::{self, Write};
use std::num::NonZero;
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes packed by one thread at a time. Each block stands alone, which costs about one percent.
const BLOCK: usize = 512 * 1024;
/// Most threads that pack: with more, reading and hashing are what takes the time.
const MAX_THREADS: usize = 4;
/// Most bytes of one stored block of deflate.
const STORED: usize = 65_535;
/// Bytes of a block that are looked at to guess whether it can shrink.
const SAMPLE: usize = 16 * 1024;
/// Level of deflate. On 60 MB of program code level 1 does 153 MB/s per core and leaves 61 %,
/// level 2 does 91 MB/s and leaves 51 %, level 6 does 61 MB/s and leaves 49 %; Python's level 9
/// does 9 MB/s and leaves 47 %. On a wire of 1 Gbit/s the first is done soonest.
const LEVEL: Compression = Compression::new(1);

/// Compresses into one gzip member, block by block on several threads.
pub(crate) struct GzipWriter<W: Write> {
    to: W,
    /// Blocks being filled; `at` is the one that takes the next byte.
    filling: Vec<Packer>,
    at: usize,
    /// Blocks that are packed and not written yet: that is done while the next are packed.
    packed: Vec<Packer>,
    crc: Crc,
}

impl<W: Write> GzipWriter<W> {
    /// Begins the member.
    pub(crate) fn new(mut to: W) -> io::Result<Self> {
        // Magic, deflate, no flags, no time, "fastest", unknown system (RFC 1952).
        to.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255])?;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let blocks = || {
            let fresh = std::iter::repeat_with(Packer::new);
            fresh.take(threads.min(MAX_THREADS)).collect()
        };
        Ok(Self {
            to,
            filling: blocks(),
            at: 0,
            packed: blocks(),
            crc: Crc::new(),
        })
    }

    /// Ends the member and returns what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.turn()?;
        self.turn()?;
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

    /// Packs the filled blocks and meanwhile writes those packed before, then changes their parts.
    fn turn(&mut self) -> io::Result<()> {
        let mut filled = self.filling.iter_mut().filter(|p| !p.block.is_empty());
        let first = filled.next();
        thread::scope(|scope| {
            let others: Vec<_> = filled
                .map(|packer| thread::Builder::new().spawn_scoped(scope, || packer.pack()))
                .collect::<io::Result<_>>()?;
            for packer in &mut self.packed {
                self.to.write_all(&packer.packed)?;
                self.crc.combine(&packer.crc);
                packer.clear();
            }
            if let Some(packer) = first {
                packer.pack()?;
            }
            let broken = |_| Err(io::Error::other("a packing thread failed"));
            others
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(broken))
        })?;
        std::mem::swap(&mut self.filling, &mut self.packed);
        self.at = 0;
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.at == self.filling.len() {
            self.turn()?;
        }
        let Some(packer) = self.filling.get_mut(self.at) else {
            return Ok(0);
        };
        let room = BLOCK - packer.block.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        packer.block.extend_from_slice(taken);
        if packer.block.len() == BLOCK {
            self.at += 1;
        }
        Ok(taken.len())
    }

    /// Does nothing: the rest is written by [`GzipWriter::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One block, before and after packing.
struct Packer {
    block: Vec<u8>,
    /// Whole bytes of raw deflate that refer to nothing before them.
    packed: Vec<u8>,
    crc: Crc,
    deflate: Compress,
}

impl Packer {
    fn new() -> Self {
        Self {
            block: Vec::new(),
            packed: Vec::new(),
            crc: Crc::new(),
            deflate: Compress::new(LEVEL, false),
        }
    }

    fn clear(&mut self) {
        self.block.clear();
        self.packed.clear();
        self.crc.reset();
    }

    fn pack(&mut self) -> io::Result<()> {
        self.crc.update(&self.block);
        if self.shrinks()? {
            self.packed.clear();
            self.deflate.reset();
            let Self {
                block,
                deflate,
                packed,
                ..
            } = self;
            return compress(deflate, block, packed, FlushCompress::Sync);
        }
        self.packed.clear();
        for piece in self.block.chunks(STORED) {
            let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
            self.packed.push(0);
            self.packed.extend_from_slice(&length.to_le_bytes());
            self.packed.extend_from_slice(&(!length).to_le_bytes());
            self.packed.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Guesses from a sample. Evenly spread bytes usually cannot shrink, but a regular pattern is
    /// spread evenly too, so a sample that looks random is tried out.
    fn shrinks(&mut self) -> io::Result<bool> {
        let Self {
            block,
            deflate,
            packed,
            ..
        } = self;
        let sample = block.get(..SAMPLE).unwrap_or(block);
        if !is_evenly_spread(sample) {
            return Ok(true);
        }
        packed.clear();
        deflate.reset();
        compress(deflate, sample, packed, FlushCompress::Sync)?;
        Ok(packed.len() < sample.len() - sample.len() / 32)
    }
}

/// Appends all of `input`, compressed and flushed to a whole byte.
fn compress(
    deflate: &mut Compress,
    mut input: &[u8],
    to: &mut Vec<u8>,
    flush: FlushCompress,
) -> io::Result<()> {
    loop {
        to.reserve(input.len() / 2 + 4096);
        let before = deflate.total_in();
        let status = deflate
            .compress_vec(input, to, flush)
            .map_err(io::Error::other)?;
        let taken = usize::try_from(deflate.total_in() - before).unwrap_or(0);
        input = input.get(taken..).unwrap_or_default();
        let room_left = to.len() < to.capacity();
        if input.is_empty() && (room_left || status == Status::BufError) {
            return Ok(());
        }
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
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        #[test]
        fn any_pieces_come_back(pieces in vec((0usize..1_500_000, any::<bool>()), 0..5)) {
            let pieces: Vec<Vec<u8>> = pieces
                .into_iter()
                .map(|(length, random)| if random { noise(length) } else { vec![7; length] })
                .collect();
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(unpack(&pack(&slices)), pieces.concat());
        }
    }
}
