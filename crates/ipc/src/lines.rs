//! [`Lines`]: cuts a byte stream into lines without ever holding more than one that is too long.

/// Longest line a client may send, in bytes without the newline.
pub const MAX_REQUEST: usize = 1024 * 1024;

/// Longest line a node may send, in bytes without the newline: a view with some ten thousand jobs.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The other side sent, or was about to be sent, a line above the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line on the control channel is longer than {0} bytes")]
pub struct TooLong(pub usize);

/// Bytes in, lines out.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    searched: usize,
    limit: usize,
}

impl Lines {
    /// Accepts lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            searched: 0,
            limit,
        }
    }

    /// Takes over bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next whole line without its newline, or `None` until more bytes came. After an
    /// error the stream is of no further use.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let fresh = self.bytes.get(self.searched..).unwrap_or_default();
        let found = fresh.iter().position(|b| *b == b'\n');
        let length = self.searched + found.unwrap_or(fresh.len());
        if length > self.limit {
            return Err(TooLong(self.limit));
        }
        if found.is_none() {
            self.searched = length;
            return Ok(None);
        }
        let rest = self.bytes.split_off(length + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_the_bytes_are_cut() {
        let mut lines = Lines::new(5);
        let mut seen = Vec::new();
        for piece in [&b"on"[..], b"e\ntwo\r\n", b"\n12345", b"\n"] {
            lines.push(piece);
            while let Some(line) = lines.next_line().unwrap() {
                seen.push(String::from_utf8(line).unwrap());
            }
        }
        assert_eq!(seen, ["one", "two", "", "12345"]);
    }

    #[test]
    fn a_line_above_the_limit_is_refused_before_its_end_is_seen() {
        let mut lines = Lines::new(5);
        lines.push(b"123456");
        assert_eq!(lines.next_line(), Err(TooLong(5)));
    }
}
