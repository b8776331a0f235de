//! RFC 6455 frame headers and masking, as pure functions.

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xa,
        }
    }

    fn from_bits(bits: u8) -> Option<Self> {
        [
            Opcode::Continuation,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ]
        .into_iter()
        .find(|o| o.bits() == bits)
    }

    fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// Four bytes that a client's payload is combined with.
pub(super) type Mask = [u8; 4];

/// A decoded frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) length: u64,
    pub(super) mask: Option<Mask>,
}

/// The bytes are no frame that this side may receive: the peer's fault, close 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation(pub(super) &'static str);

impl Header {
    /// Reads a header from the front of `bytes`; returns it with its own length, or `None` while
    /// it is incomplete. Refuses reserved bits (so also compressed frames, which were never
    /// negotiated), unknown opcodes, and fragmented or long control frames.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let Some(&[first, second]) = bytes.first_chunk::<2>() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(Violation("reserved bits are set"));
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation("unknown opcode"))?;
        let last = first & 0x80 != 0;
        let rest = bytes.get(2..).unwrap_or_default();
        let (length, width) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(wide) => (u64::from(u16::from_be_bytes(*wide)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(wide) => (u64::from_be_bytes(*wide), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        if opcode.is_control() && (!last || length > 125) {
            return Err(Violation("a control frame is fragmented or too long"));
        }
        let mask = if second & 0x80 == 0 {
            None
        } else {
            match rest.get(width..).unwrap_or_default().first_chunk::<4>() {
                Some(mask) => Some(*mask),
                None => return Ok(None),
            }
        };
        let header = Header {
            last,
            opcode,
            length,
            mask,
        };
        Ok(Some((
            header,
            2 + width + if mask.is_some() { 4 } else { 0 },
        )))
    }

    /// Writes the header in its shortest form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(14);
        bytes.push(self.opcode.bits() | if self.last { 0x80 } else { 0 });
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short), _) if short < 126 => bytes.push(masked | short),
            (_, Ok(wide)) => {
                bytes.push(masked | 126);
                bytes.extend(wide.to_be_bytes());
            }
            (_, Err(_)) => {
                bytes.push(masked | 127);
                bytes.extend(self.length.to_be_bytes());
            }
        }
        bytes.extend(self.mask.into_iter().flatten());
        bytes
    }
}

/// Combines `payload` with `mask`, where `payload` begins `offset` bytes into its frame. Works on
/// 16 bytes at a time: memory speed, so masking costs a client almost nothing.
pub(super) fn apply_mask(mask: Mask, offset: usize, payload: &mut [u8]) {
    let mut turned = mask;
    turned.rotate_left(offset % 4);
    let [a, b, c, d] = turned;
    let wide = u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]);
    let (blocks, rest) = payload.as_chunks_mut::<16>();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(last: bool, opcode: Opcode, length: u64, mask: Option<Mask>) -> Header {
        Header {
            last,
            opcode,
            length,
            mask,
        }
    }

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        for (length, size) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65_535, 4),
            (65_536, 10),
            (1 << 40, 10),
        ] {
            let plain = header(true, Opcode::Binary, length, None);
            assert_eq!(plain.encode().len(), size, "{length}");
            assert_eq!(Header::decode(&plain.encode()), Ok(Some((plain, size))));
        }
    }

    #[test]
    fn what_a_peer_must_not_send_is_refused() {
        for (bytes, why) in [
            (&[0xc2, 0x00][..], "reserved bits are set"),
            (&[0x83, 0x00], "unknown opcode"),
            (&[0x09, 0x00], "a control frame is fragmented or too long"),
            (
                &[0x89, 0x7e, 0x00, 0x7e],
                "a control frame is fragmented or too long",
            ),
        ] {
            assert_eq!(Header::decode(bytes), Err(Violation(why)));
        }
    }

    proptest! {
        #[test]
        fn any_cut_of_a_header_waits_for_more(length: u64, mask: Option<Mask>) {
            let whole = header(false, Opcode::Binary, length, mask).encode();
            for cut in 0..whole.len() {
                prop_assert_eq!(Header::decode(&whole[..cut]), Ok(None));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Header::decode(&bytes);
        }

        #[test]
        fn masking_in_pieces_equals_masking_byte_by_byte(
            mask: Mask, mut data in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200,
        ) {
            let expected: Vec<u8> =
                data.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]).collect();
            let cut = cut.min(data.len());
            let (head, tail) = data.split_at_mut(cut);
            apply_mask(mask, 0, head);
            apply_mask(mask, cut, tail);
            prop_assert_eq!(data, expected);
        }
    }
}
