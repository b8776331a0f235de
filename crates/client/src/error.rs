//! [`ClientError`]: why the node did not do what a face asked.
use kiln_model::RequestError;

/// Why the node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The node refused.
    #[error("{}", .0.message)]
    Refused(RequestError),
    /// The question is longer than the node reads.
    #[error("{0}")]
    TooLong(String),
    /// No node runs for this state directory.
    #[error("No Kiln is running here.")]
    NoNode,
    /// The node went away meanwhile, cannot be reached, or speaks another version; one sentence.
    #[error("{0}")]
    Broken(String),
}
