//! [`PublicKey`] and [`Pin`]: who a peer is.
use std::fmt;
use std::str::FromStr;

/// A raw X25519 public key (32 bytes). Public, so it prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        write_hex(&self.0, f)?;
        f.write_str(")")
    }
}

/// The SHA-256 of a static X25519 public key (peer-link.md §1.2), written as 64 lower-case hex
/// digits. A pin is public; ordinary comparison is fine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(pub [u8; 32]);

/// The text is not a pin: 64 characters of `0-9a-f`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is 64 lower-case hex digits")]
pub struct InvalidPin;

impl Pin {
    /// Returns 32 two-character groups joined by spaces, the form that people compare.
    pub fn grouped(&self) -> String {
        let hex = self.to_string();
        let groups: Vec<&str> = (0..32).map(|i| &hex[2 * i..2 * i + 2]).collect();
        groups.join(" ")
    }

    /// Returns the first eight hex digits, for logs and lists.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    /// Upper case is refused, not folded (peer-link.md §1.2).
    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(InvalidPin);
        }
        let nibble = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(InvalidPin),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Pin(bytes))
    }
}
