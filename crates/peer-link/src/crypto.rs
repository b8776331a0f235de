//! The primitives of `Noise_XX_25519_ChaChaPoly_SHA256` from aws-lc-rs: for snow's handshake, and
//! the AEAD that seals a session in place.
//!
//! Snow runs the handshake and then hands over its two keys. Its own transport state copies every
//! message from one buffer to another; here a message is sealed and opened where it lies. aws-lc-rs
//! has the fastest X25519 and ChaCha20-Poly1305 of the candidates.
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{agreement, digest, rand};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::limits::TAG;

/// Derives the X25519 public key of any 32 bytes.
pub(crate) fn public_of(secret: &[u8; 32]) -> Result<[u8; 32], Error> {
    let key = agreement::PrivateKey::from_private_key(&agreement::X25519, secret)
        .map_err(|_| Error::Crypto)?;
    let public = key.compute_public_key().map_err(|_| Error::Crypto)?;
    public.as_ref().try_into().map_err(|_| Error::Crypto)
}

/// Fills `bytes` from the system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    rand::fill(bytes).map_err(|_| Error::Crypto)
}

/// One direction of a session: a key and the number of the next message.
pub(crate) struct Direction {
    key: LessSafeKey,
    nonce: u64,
}

/// Sealing or opening failed: the counter is used up, or the message is not genuine.
pub(crate) struct Unusable;

impl Direction {
    /// Starts at nonce 0.
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| Error::Crypto)?;
        let key = LessSafeKey::new(key);
        Ok(Self { key, nonce: 0 })
    }

    /// Encrypts `message` where it lies and appends the tag.
    pub(crate) fn seal(&mut self, message: &mut Vec<u8>) -> Result<(), Unusable> {
        let nonce = self.next()?;
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), message)
            .map_err(|_| Unusable)
    }

    /// Decrypts `message` where it lies and returns it without the tag.
    pub(crate) fn open<'m>(&mut self, message: &'m mut [u8]) -> Result<&'m mut [u8], Unusable> {
        let nonce = self.next()?;
        self.key
            .open_in_place(nonce, Aad::empty(), message)
            .map_err(|_| Unusable)
    }

    /// Takes the next nonce; 2⁶⁴ − 1 is reserved (peer-link.md §3.3).
    fn next(&mut self) -> Result<Nonce, Unusable> {
        let counter = self.nonce;
        self.nonce = counter.checked_add(1).ok_or(Unusable)?;
        Ok(nonce(counter))
    }
}

/// Four zero bytes, then the counter in little-endian order.
fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Gives snow its primitives.
pub(crate) struct AwsLc;

impl CryptoResolver for AwsLc {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SystemRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha256::default()) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly)
            .then(|| Box::new(ChaChaPoly(None)) as Box<dyn Cipher>)
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        rand::fill(bytes).map_err(|_| snow::Error::Rng)
    }
}

#[derive(Default)]
struct X25519 {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    /// A failure of the library leaves the public key zero, which no peer accepts.
    fn set(&mut self, secret: &[u8]) {
        self.secret.copy_from_slice(secret);
        self.public = public_of(&self.secret).unwrap_or_default();
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(secret.as_mut_slice())?;
        self.set(secret.as_slice());
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_slice()
    }

    /// An all-zero shared secret is an error: aws-lc refuses it.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let key =
            agreement::PrivateKey::from_private_key(&agreement::X25519, self.secret.as_slice())
                .map_err(|_| snow::Error::Dh)?;
        let public = public.get(..32).ok_or(snow::Error::Dh)?;
        let out = out.get_mut(..32).ok_or(snow::Error::Dh)?;
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, public);
        agreement::agree(&key, peer, snow::Error::Dh, |shared| {
            let zero = shared.iter().fold(0, |acc, byte| acc | byte) == 0;
            if zero || shared.len() != out.len() {
                return Err(snow::Error::Dh);
            }
            out.copy_from_slice(shared);
            Ok(())
        })
    }
}

struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let context = std::mem::take(self).0;
        for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
    }
}

/// The AEAD of encrypted handshake parts, at most two per message. `None` until a key is set.
struct ChaChaPoly(Option<LessSafeKey>);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = UnboundKey::new(&CHACHA20_POLY1305, key)
            .ok()
            .map(LessSafeKey::new);
    }

    /// Writes a message without a valid tag if the library fails, which the other side refuses.
    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let length = plaintext.len();
        let Some((message, tag)) = out
            .get_mut(..length + TAG)
            .and_then(|out| out.split_at_mut_checked(length))
        else {
            return 0;
        };
        message.copy_from_slice(plaintext);
        let sealed = self.0.as_ref().and_then(|key| {
            key.seal_in_place_separate_tag(nonce(counter), Aad::from(authtext), message)
                .ok()
        });
        match sealed {
            Some(made) => tag.copy_from_slice(made.as_ref()),
            None => message.fill(0),
        }
        length + TAG
    }

    fn decrypt(
        &self,
        counter: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let key = self.0.as_ref().ok_or(snow::Error::Decrypt)?;
        let mut message = Zeroizing::new(ciphertext.to_vec());
        let plain = key
            .open_in_place(nonce(counter), Aad::from(authtext), message.as_mut_slice())
            .map_err(|_| snow::Error::Decrypt)?;
        let out = out.get_mut(..plain.len()).ok_or(snow::Error::Decrypt)?;
        out.copy_from_slice(plain);
        Ok(plain.len())
    }
}
