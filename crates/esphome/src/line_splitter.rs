//! [`LineSplitter`]: blocks of tool output become chunks that each keep their terminator
//! (builds.md §11.3).

/// Longest chunk in bytes before decoding. Even if every byte becomes a six-character JSON escape,
/// the frame that carries it stays under the peer's limit of 61,440 bytes (builds.md §5.5).
pub const MAX_CHUNK_BYTES: usize = 8192;

/// Splits at `\n`, `\r` and `\r\n`. A longer line is cut between characters, so no text is lost.
#[derive(Debug, Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
}

impl LineSplitter {
    /// Takes a block and returns the chunks it completes. Bytes that are no UTF-8 become U+FFFD.
    pub fn feed(&mut self, block: &[u8]) -> Vec<String> {
        self.pending.extend_from_slice(block);
        let mut chunks = Vec::new();
        let mut rest = self.pending.as_slice();
        while let Some(length) = chunk_length(rest) {
            let (chunk, after) = rest.split_at(length);
            chunks.push(String::from_utf8_lossy(chunk).into_owned());
            rest = after;
        }
        let consumed = self.pending.len() - rest.len();
        self.pending.drain(..consumed);
        chunks
    }

    /// Returns what is left at the end of the stream.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.pending);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }
}

/// Length of the first whole chunk. A `\r` at the end waits: a `\n` may follow.
fn chunk_length(bytes: &[u8]) -> Option<usize> {
    let window = bytes.get(..MAX_CHUNK_BYTES).unwrap_or(bytes);
    let end = window.iter().position(|b| matches!(b, b'\n' | b'\r'));
    match end {
        Some(at) if bytes.get(at) == Some(&b'\n') => Some(at + 1),
        Some(at) => match bytes.get(at + 1) {
            Some(b'\n') => Some(at + 2),
            Some(_) => Some(at + 1),
            None => None,
        },
        None if bytes.len() > MAX_CHUNK_BYTES => {
            let continues = |at: usize| bytes.get(at).is_some_and(|b| b & 0xc0 == 0x80);
            let boundary = (MAX_CHUNK_BYTES - 3..=MAX_CHUNK_BYTES)
                .rev()
                .find(|&at| !continues(at));
            Some(boundary.unwrap_or(MAX_CHUNK_BYTES))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::vectors;

    fn split<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut chunks: Vec<String> = blocks.into_iter().flat_map(|b| splitter.feed(b)).collect();
        chunks.extend(splitter.finish());
        chunks
    }

    // Covers: M96
    #[test]
    fn every_splitter_row_of_the_vectors_is_reproduced() {
        let rows = vectors("splitter");
        assert_eq!(rows.len(), 8);
        for row in rows {
            let reads = row["reads"].as_array().unwrap().iter();
            // Each character of a row stands for one byte.
            let bytes = |read: &str| read.chars().map(|c| u8::try_from(c).unwrap()).collect();
            let reads: Vec<Vec<u8>> = reads.map(|read| bytes(read.as_str().unwrap())).collect();
            let chunks = split(reads.iter().map(Vec::as_slice));
            assert_eq!(serde_json::json!(chunks), row["chunks"], "{row}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_between_characters_and_nothing_is_lost() {
        let line = format!("x{}\n", "ü".repeat(10_000));
        let chunks = split([line.as_bytes()]);
        assert_eq!(chunks.concat(), line);
        assert!(chunks.len() > 2 && chunks.iter().all(|c| c.len() <= MAX_CHUNK_BYTES));
    }

    #[test]
    fn a_line_of_bytes_that_are_no_text_is_cut_too() {
        let chunks = split([[0xbf; 20_000].as_slice()]);
        assert_eq!(
            chunks.iter().map(|c| c.chars().count()).sum::<usize>(),
            20_000
        );
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_into_blocks_does_not_matter(
            text in "([a-zü]|\r|\n|\r\n){0,60}",
            cuts in prop::collection::vec(0..200_usize, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let blocks = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]);
            let chunks = split(blocks);
            prop_assert_eq!(chunks.concat(), text.clone());
            prop_assert_eq!(chunks, split([bytes]));
        }
    }
}
