//! Lines between Kiln's own programs: bounded, and one read at a time.
use std::io;

use kiln_ports::control::Stream;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    ReadHalf, WriteHalf,
};

/// Longest line, in bytes: a question and two buttons in any language.
const LONGEST: u64 = 64 * 1024;

/// The reading half.
pub(crate) type Hearing = BufReader<ReadHalf<Box<dyn Stream>>>;

/// Cuts a stream into its halves.
pub(crate) fn halves(stream: Box<dyn Stream>) -> (Hearing, WriteHalf<Box<dyn Stream>>) {
    let (read, write) = tokio::io::split(stream);
    (BufReader::new(read), write)
}

/// Reads the next line, without its end; `None` when the other side is gone or is not one of ours.
pub(crate) async fn hear(from: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = from.take(LONGEST).read_until(b'\n', &mut line).await;
    match (read, line.pop()) {
        (Ok(_), Some(b'\n')) => Some(line),
        _ => None,
    }
}

/// Writes a line.
pub(crate) async fn say(to: &mut (impl AsyncWrite + Unpin), line: &str) -> io::Result<()> {
    to.write_all(line.as_bytes()).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_or_measure_is_none() {
        let mut whole = BufReader::new(&b"one\ntwo"[..]);
        assert_eq!(hear(&mut whole).await.unwrap(), b"one");
        assert_eq!(hear(&mut whole).await, None);
        let endless = vec![b'x'; 100_000];
        assert_eq!(hear(&mut BufReader::new(endless.as_slice())).await, None);
    }
}
