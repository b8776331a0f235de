//! [`Refusal`]: why an offered update is not believed.
use semver::Version;

/// Why an update is not installed. Each is one sentence for a person; none of them is a reason to
/// install it by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key that this program carries is no key.
    #[error("this Kiln carries no usable key for updates; install it anew from where you got it")]
    Key,
    /// Longer than any honest manifest, signature or package.
    #[error("the update is larger than an update can be; nothing was installed")]
    TooLarge,
    /// The signature is cut short or is no signature.
    #[error("the update's signature is incomplete; nothing was installed, try again later")]
    BrokenSignature,
    /// Signed by somebody else.
    #[error("the update is not signed by Kiln's makers; nothing was installed")]
    WrongKey,
    /// Not what was signed.
    #[error("the update was changed after it was signed; nothing was installed")]
    Altered,
    /// Signed, but written in a way that this version does not know.
    #[error("the update is meant for newer versions of Kiln; install the newest one by hand")]
    UnknownFormat,
    /// Signed, but says something impossible.
    #[error("the update describes itself wrongly ({0}); nothing was installed")]
    Malformed(&'static str),
    /// Offers less than what is known already: an old manifest is being shown again.
    #[error("the update offers {offered}, which is older than {known}; nothing was installed")]
    Older {
        /// What is offered.
        offered: Version,
        /// The newest version that this computer has seen.
        known: Version,
    },
    /// Its time is over: somebody may be holding back a newer one.
    #[error("the update's description is out of date; nothing was installed, try again later")]
    Expired,
    /// It comes from the future.
    #[error("the update was made after what this computer's clock shows; set the clock")]
    FromTheFuture,
    /// There is nothing for this kind of package.
    #[error("there is no update for {0}; look where you got Kiln from")]
    MissingPlatform(String),
    /// The downloaded package is shorter than announced.
    #[error("the download is incomplete; nothing was installed, try again")]
    Truncated,
}
