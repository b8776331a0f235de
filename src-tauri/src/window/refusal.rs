//! [`Refusal`]: why a command of the window was not done, as the pages show it.
use kiln_client::ClientError;
use kiln_ipc::Words;
use kiln_model::Sentence;
use serde::{Serialize, Serializer};

/// One sentence and the next step; the code is that of `docs/CLI.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: &'static str,
    message: Sentence,
    hint: Sentence,
}

/// The same as the pages get it, with what other languages are made from.
#[derive(Serialize)]
struct Written<'a> {
    code: &'a str,
    message: &'a str,
    message_words: Option<Words>,
    hint: &'a str,
    hint_words: Option<Words>,
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Written {
            code: self.code,
            message: &self.message,
            message_words: Words::of(&self.message),
            hint: &self.hint,
            hint_words: Words::of(&self.hint),
        }
        .serialize(to)
    }
}

impl Refusal {
    fn new(code: &'static str, message: Sentence, hint: Sentence) -> Self {
        Self {
            code,
            message,
            hint,
        }
    }

    /// The page asked for something that makes no sense.
    pub(super) fn invalid(message: impl Into<Sentence>) -> Self {
        Self::new("invalid_args", message.into(), Sentence::default())
    }

    /// The system did not do it.
    pub(super) fn failed(message: impl Into<Sentence>) -> Self {
        Self::new("unavailable", message.into(), Sentence::default())
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Refused(refusal) => refusal.code.word(),
            ClientError::TooLong(_) => "invalid_args",
            ClientError::NoNode => "no_node",
            ClientError::Silent(_) | ClientError::Broken(_) => "connection_lost",
        };
        Self::new(code, error.sentence(), error.hint())
    }
}
