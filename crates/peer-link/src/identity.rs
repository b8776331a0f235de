//! [`StaticKey`]: the secret half of who we are, and [`pin_of`], the public name of a key.
use std::fmt;

use aws_lc_rs::digest;
use kiln_model::{Pin, PublicKey};
use zeroize::Zeroizing;

use crate::crypto;
use crate::error::Result;

/// A static X25519 private key. It does not print and is wiped when dropped.
#[derive(Clone)]
pub struct StaticKey {
    secret: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl StaticKey {
    /// Takes over 32 stored bytes. Every value is a key, degenerate ones too: X25519 clamps on use
    /// (peer-link.md §1.1).
    ///
    /// # Errors
    /// [`crate::Error::Crypto`] if the crypto library fails.
    pub fn from_bytes(secret: Zeroizing<[u8; 32]>) -> Result<Self> {
        let public = PublicKey(crypto::public_of(&secret)?);
        Ok(Self { secret, public })
    }

    /// Makes a new random key.
    ///
    /// # Errors
    /// [`crate::Error::Crypto`] if the system gives no randomness.
    pub fn generate() -> Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        crypto::fill_random(secret.as_mut_slice())?;
        Self::from_bytes(secret)
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the pin of the public half.
    pub fn pin(&self) -> Pin {
        pin_of(&self.public)
    }

    /// Returns the 32 secret bytes, for the secret store only.
    pub fn expose(&self) -> &Zeroizing<[u8; 32]> {
        &self.secret
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKey({})", self.pin().short())
    }
}

/// Returns the SHA-256 of the 32 raw bytes (peer-link.md §1.2).
pub fn pin_of(key: &PublicKey) -> Pin {
    let mut pin = [0; 32];
    pin.copy_from_slice(digest::digest(&digest::SHA256, &key.0).as_ref());
    Pin(pin)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{key, rows, unhex, vectors};

    // Covers: B-03
    #[test]
    fn keys_give_the_public_keys_and_pins_of_the_vectors() {
        let vectors = vectors!("identity");
        for case in rows(&vectors["cases"]) {
            if case["private_hex"].is_null() {
                continue;
            }
            let key = key(&case["private_hex"]);
            assert_eq!(key.public().0.as_slice(), unhex(&case["public_hex"]));
            assert_eq!(key.pin().to_string(), case["pin_sha256"]);
        }
    }

    #[test]
    fn degenerate_keys_are_keys_and_no_key_prints_its_secret() {
        for byte in [0, 0xff] {
            let key = super::StaticKey::from_bytes(zeroize::Zeroizing::new([byte; 32])).unwrap();
            assert_eq!(
                format!("{key:?}"),
                format!("StaticKey({})", key.pin().short())
            );
        }
    }
}
