//! [`ArchiveFault`]: why a received archive is not unpacked, whoever made it.
use crate::member_name::NameFault;

/// What is wrong with an archive. The sender of it is to blame.
///
/// Names inside are escaped and cut to 80 characters, so a message of this is safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// Not gzip, a wrong checksum, or cut short.
    #[error("the archive is damaged or cut short")]
    Damaged,
    /// Something follows the end: a second gzip member, or bytes behind the last block.
    #[error("something is hidden behind the end of the archive")]
    Trailing,
    /// More bytes than allowed, packed or unpacked.
    #[error("the archive is larger than {limit} bytes")]
    TooLarge {
        /// The limit that was passed, in bytes.
        limit: u64,
    },
    /// Unpacks to many times its own size (bundles: more than 200 times).
    #[error("the archive unpacks to suspiciously much more than it holds")]
    Inflates,
    /// More files and folders than allowed.
    #[error("the archive holds more than {limit} files and folders")]
    TooManyMembers {
        /// The limit that was passed.
        limit: usize,
    },
    /// Long-name and extension headers beyond 64 KiB per member or 4 MiB in all.
    #[error("the archive's headers are too long")]
    HeadersTooLong,
    /// A header that says two things at once, or uses something no bundle needs.
    #[error("the archive has a header that is not plain tar ({0})")]
    Header(&'static str),
    /// A link, device, pipe, sparse file or anything else but a plain file or folder.
    #[error("\"{name}\" is neither a plain file nor a folder")]
    NotPlain {
        /// The member.
        name: String,
    },
    /// A name that is not safe on every system.
    #[error("the name \"{name}\" {fault}")]
    Name {
        /// The member.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// Two members that some system would take for one.
    #[error("\"{name}\" is there twice, or differs from another name only in case")]
    Twin {
        /// The second of the two.
        name: String,
    },
    /// A file where another member needs a folder, or the reverse.
    #[error("\"{name}\" is both a file and a folder")]
    FileAndFolder {
        /// The second of the two.
        name: String,
    },
}
