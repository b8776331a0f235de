//! [`BlobReader`]: a file that goes out over a link, read ahead while its last block is sent.
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;

use tokio::task::JoinHandle;

/// Pieces read at once, so that a hand-over between threads pays.
const PIECES: usize = 8;

/// A file being read in order, in pieces.
pub(super) struct BlobReader {
    ahead: JoinHandle<io::Result<(File, Vec<u8>)>>,
    block: Vec<u8>,
    at: usize,
    block_len: usize,
    unread: u64,
}

impl BlobReader {
    /// Begins to read `total` bytes of the file at `path`, to be taken in pieces of `piece` bytes,
    /// the last one excepted.
    pub(super) fn open(path: PathBuf, total: u64, piece: usize) -> Self {
        let block_len = piece * PIECES;
        let first = len_of_next(total, block_len);
        let ahead = tokio::task::spawn_blocking(move || read(File::open(path)?, Vec::new(), first));
        let unread = total - first as u64;
        Self {
            ahead,
            block: Vec::new(),
            at: 0,
            block_len,
            unread,
        }
    }

    /// Takes the next `len` bytes. Cancel safe.
    ///
    /// # Errors
    /// What the system said; also if the file ends early. No piece can be taken after that.
    pub(super) async fn piece(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.at == self.block.len() {
            let (file, block) = (&mut self.ahead).await.map_err(io::Error::other)??;
            let spare = std::mem::replace(&mut self.block, block);
            self.at = 0;
            let next = len_of_next(self.unread, self.block_len);
            self.unread -= next as u64;
            self.ahead = tokio::task::spawn_blocking(move || read(file, spare, next));
        }
        let start = self.at;
        self.at = self.block.len().min(start + len);
        self.block
            .get(start..self.at)
            .ok_or_else(|| io::Error::other("a piece out of place"))
    }
}

fn len_of_next(unread: u64, block_len: usize) -> usize {
    usize::try_from(unread).unwrap_or(block_len).min(block_len)
}

fn read(mut file: File, mut block: Vec<u8>, len: usize) -> io::Result<(File, Vec<u8>)> {
    block.resize(len, 0);
    file.read_exact(&mut block).map_err(|e| match e.kind() {
        ErrorKind::UnexpectedEof => io::Error::other("the file is shorter than it was"),
        _ => e,
    })?;
    Ok((file, block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn pieces_come_in_order_and_the_last_one_is_short() {
        let bytes: Vec<u8> = (0..20 * 100 + 7u32).map(|i| (i % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let mut reader = BlobReader::open(file.path().to_owned(), bytes.len() as u64, 100);
        for piece in bytes.chunks(100) {
            assert_eq!(reader.piece(piece.len()).await.unwrap(), piece);
        }
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[1; 50]).unwrap();
        let mut reader = BlobReader::open(file.path().to_owned(), 100, 100);
        assert!(reader.piece(100).await.is_err());
    }
}
