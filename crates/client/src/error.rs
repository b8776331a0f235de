//! [`ClientError`]: why the node did not do what a face asked.
use kiln_model::{RequestError, Sentence, say};

/// Why the node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The node refused.
    Refused(RequestError),
    /// The question is longer than the node reads.
    TooLong(String),
    /// No node runs for this state directory.
    NoNode,
    /// The node is there and does not answer: for so many seconds.
    Silent(u64),
    /// The node went away meanwhile, cannot be reached, or speaks another version; one sentence.
    Broken(Sentence),
}

impl ClientError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        match self {
            ClientError::Refused(refusal) => refusal.message.clone(),
            ClientError::TooLong(why) => why.into(),
            ClientError::NoNode => say::no_node(),
            ClientError::Silent(seconds) => say::node_silent(*seconds),
            ClientError::Broken(why) => why.clone(),
        }
    }

    /// Returns what to do next; empty if that is not known.
    pub fn hint(&self) -> Sentence {
        match self {
            ClientError::Refused(refusal) => refusal.hint.clone(),
            ClientError::NoNode => say::hint_start_kiln(),
            ClientError::Silent(_) => say::hint_end_and_start_again(),
            ClientError::TooLong(_) | ClientError::Broken(_) => Sentence::default(),
        }
    }
}

kiln_model::spoken_errors!(ClientError);
