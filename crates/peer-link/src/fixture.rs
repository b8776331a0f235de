//! What the tests of this crate share: vectors, hex, keys.
use serde_json::Value;
use zeroize::Zeroizing;

use crate::identity::StaticKey;

macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            "../../../tests/vectors/",
            $name,
            ".json"
        )))
        .unwrap()
    };
}
pub(crate) use vectors;

pub(crate) fn rows(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub(crate) fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

pub(crate) fn key(hex: &Value) -> StaticKey {
    StaticKey::from_bytes(Zeroizing::new(unhex(hex).try_into().unwrap())).unwrap()
}
