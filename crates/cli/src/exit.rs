//! [`Failure`]: why a command did not do it, with the exit code and the next step.
use std::borrow::Cow;
use std::process::ExitCode;

use kiln_client::ClientError;
use kiln_model::RequestError;

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The node refused, or a job failed: 1.
    Refused(RequestError),
    /// A job that was waited for did not complete: 1. The text names it.
    Job(String),
    /// The arguments do not fit what there is: 2.
    Usage(String),
    /// What was waited for did not happen in time, in seconds: 4.
    TimedOut(u64),
    /// The audit is not as it was written: 1.
    AuditBroken(String),
    /// No node runs: 3.
    NoNode(String),
    /// The node went away meanwhile, or speaks another version: 1.
    Broken(String),
    /// A node did not start, or ended without being asked: 1.
    NotServing(String),
    /// It was asked to end for the second time, and did not wait any more: 130.
    Interrupted,
    /// Nothing was taken over from the other dashboard: 1.
    NotImported(String),
    /// Whoever read the output has enough of it (`kiln jobs | head`): 0, and nothing is said.
    ReaderGone,
}

impl Failure {
    /// Returns the exit code (docs/CLI.md).
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Refused(_)
            | Failure::Job(_)
            | Failure::AuditBroken(_)
            | Failure::Broken(_)
            | Failure::NotServing(_)
            | Failure::NotImported(_) => 1,
            Failure::ReaderGone => 0,
            Failure::Usage(_) => 2,
            Failure::NoNode(_) => 3,
            Failure::TimedOut(_) => 4,
            Failure::Interrupted => 130,
        })
    }

    /// Returns the sentence and the next step; the latter may be empty.
    pub fn words(&self) -> (Cow<'_, str>, &str) {
        match self {
            Failure::Refused(error) => (Cow::from(error.message.as_str()), error.hint.as_str()),
            Failure::Job(text)
            | Failure::Usage(text)
            | Failure::Broken(text)
            | Failure::NotServing(text)
            | Failure::NotImported(text) => (Cow::from(text), ""),
            Failure::AuditBroken(text) => (
                Cow::from(text),
                "Somebody or something wrote to Kiln's files; `kiln audit` shows what is left.",
            ),
            Failure::Interrupted => (
                Cow::from("Kiln ended at once, as you insisted."),
                "What it was doing is cleared up when it starts again.",
            ),
            Failure::ReaderGone => (Cow::from("Nobody reads this any more."), ""),
            Failure::NoNode(text) => (Cow::from(text), "Start one with `kiln serve`."),
            Failure::TimedOut(seconds) => (
                Cow::from(format!("It was not done within {seconds} s; it goes on.")),
                "Look with `kiln jobs` or `kiln receivers`.",
            ),
        }
    }

    /// Returns the stable code for `--json`.
    pub fn word(&self) -> &'static str {
        match self {
            Failure::Refused(error) => error.code.word(),
            Failure::Job(_) => "job_failed",
            Failure::AuditBroken(_) => "audit_broken",
            Failure::Usage(_) => "usage",
            Failure::NoNode(_) => "no_node",
            Failure::TimedOut(_) => "timed_out",
            Failure::Broken(_) => "connection_lost",
            Failure::NotServing(_) => "not_serving",
            Failure::NotImported(_) => "not_imported",
            Failure::Interrupted => "interrupted",
            Failure::ReaderGone => "reader_gone",
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => Failure::Refused(error),
            ClientError::TooLong(text) => Failure::Usage(text),
            ClientError::NoNode => Failure::NoNode(error.to_string()),
            ClientError::Silent(_) => Failure::Broken(error.to_string()),
            ClientError::Broken(text) => Failure::Broken(text.into()),
        }
    }
}
