//! [`PairingKey`]: the one-time key of a headless receiver, and [`PresentedKey`], what is compared
//! with it (peer-link.md §1.5).
use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

/// 30 symbols without 0 O 1 I L U, which people confuse.
const ALPHABET: &[u8; 30] = b"ABCDEFGHJKMNPQRSTVWXYZ23456789";

/// Symbols in a key.
const SYMBOLS: usize = 16;

/// Longest presented text that is looked at, in code points.
const MAX_PRESENTED: usize = 256;

/// A one-time key of 16 symbols, about 78 bits. A secret: it does not print by accident.
pub struct PairingKey(Zeroizing<String>);

impl PairingKey {
    /// Makes a key from 128 random bits; the bias is below 2⁻⁴⁹.
    pub fn from_random(mut bits: u128) -> Self {
        let mut key = Zeroizing::new(String::with_capacity(SYMBOLS));
        for _ in 0..SYMBOLS {
            key.push(char::from(ALPHABET[(bits % 30) as usize]));
            bits /= 30;
        }
        Self(key)
    }

    /// Takes over a key that is kept as text, in any of the forms that people type.
    pub fn from_text(text: &str) -> Self {
        Self(normalised(text))
    }

    /// Returns the form for people: groups of four joined by `-`. The caller shows it once.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SYMBOLS + SYMBOLS / 4));
        for (i, symbol) in self.0.chars().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push('-');
            }
            text.push(symbol);
        }
        text
    }

    /// Returns whether `presented` is this key. Case, separators and white space do not count; the
    /// time taken does not tell how much of it is right.
    pub fn matches(&self, presented: Option<&str>) -> bool {
        let Some(text) = presented else { return false };
        if text.is_empty() || self.0.is_empty() || text.chars().nth(MAX_PRESENTED).is_some() {
            return false;
        }
        let given = normalised(text);
        let differing = self
            .0
            .bytes()
            .zip(given.bytes())
            .fold(0, |acc, (a, b)| acc | (a ^ b));
        given.len() == self.0.len() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for PairingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingKey(..)")
    }
}

/// A pairing key as somebody typed or sent it, not yet compared. It does not print and is wiped
/// when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedKey(Zeroizing<String>);

impl From<String> for PresentedKey {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Deref for PresentedKey {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedKey(..)")
    }
}

/// Upper-cases by the full Unicode rules, then keeps `0-9A-Z` only.
fn normalised(text: &str) -> Zeroizing<String> {
    let kept = text.chars().flat_map(char::to_uppercase);
    // Sized before it is filled, so that no outgrown copy stays behind in memory.
    let mut key = Zeroizing::new(String::with_capacity(3 * text.len()));
    key.extend(kept.filter(|c| c.is_ascii_digit() || c.is_ascii_uppercase()));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_has_four_groups_of_the_alphabet_and_matches_itself() {
        let key = PairingKey::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let shown = key.expose();
        let groups: Vec<&str> = shown.split('-').collect();
        assert_eq!(groups.len(), 4);
        assert!(
            groups
                .iter()
                .all(|g| g.len() == 4 && g.bytes().all(|b| ALPHABET.contains(&b)))
        );
        assert!(key.matches(Some(&shown)));
        assert!(key.matches(Some(&shown.to_lowercase())));
    }

    #[test]
    fn presented_keys_match_as_the_vectors_say() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/pairing_key.json")).unwrap();
        assert_eq!(vectors["alphabet"].as_str().unwrap().as_bytes(), ALPHABET);
        for case in vectors["cases"].as_array().unwrap() {
            let key = PairingKey::from_text(case["expected"].as_str().unwrap());
            let presented = case["presented"].as_str();
            assert_eq!(key.matches(presented), case["match"], "{presented:?}");
            if let Some(text) = presented {
                assert_eq!(*normalised(text), case["normalized"].as_str().unwrap());
            }
        }
    }

    #[test]
    fn a_key_never_prints() {
        assert_eq!(
            format!("{:?}", PairingKey::from_random(7)),
            "PairingKey(..)"
        );
        assert_eq!(
            format!("{:?}", PresentedKey::from("ABCD".to_owned())),
            "PresentedKey(..)"
        );
    }
}
