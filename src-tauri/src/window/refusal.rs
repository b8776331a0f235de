//! [`Refusal`]: why a command of the window was not done, as the pages show it.
use kiln_client::ClientError;
use serde::Serialize;

/// One sentence and the next step; the code is that of `docs/CLI.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
    hint: String,
}

impl Refusal {
    /// The page asked for something that makes no sense.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: "invalid_args",
            message: message.into(),
            hint: String::new(),
        }
    }

    /// The system did not do it.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self {
            code: "unavailable",
            message: message.into(),
            hint: String::new(),
        }
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            ClientError::Refused(refusal) => (refusal.code.word(), refusal.hint),
            ClientError::TooLong(_) => ("invalid_args", String::new()),
            ClientError::NoNode => ("no_node", "Start Kiln again.".to_owned()),
            ClientError::Broken(_) => ("connection_lost", String::new()),
        };
        Self {
            code,
            message,
            hint,
        }
    }
}
