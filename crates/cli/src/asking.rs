//! What every verb asks: the read model, and whether an answer belongs to its question.
use kiln_client::Client;
use kiln_model::{Reply, Request, View};

use crate::exit::Failure;

/// Asks for the read model.
pub(crate) async fn view(client: &mut Client) -> Result<Box<View>, Failure> {
    match client.ask(Request::Status).await? {
        Reply::Status(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// An answer that does not belong to the question.
pub(crate) fn unexpected() -> Failure {
    Failure::Broken("The running Kiln gave an answer that does not fit.".to_owned())
}
