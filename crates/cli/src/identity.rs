//! The verb about the identity, and how people compare a key.
use kiln_client::{Client, Transport};
use kiln_model::{Pin, PinEmoji, Request};

use crate::args::IdentityAction;
use crate::asking::view;
use crate::exit::Failure;
use crate::face::Face;
use crate::text::safe;

pub(crate) async fn identity(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<IdentityAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    if let Some(IdentityAction::Rotate { yes }) = action {
        let question = "Make a new key? Every computer has to be paired again.";
        face.confirm(yes, "", question, "The key was not changed.")?;
        client.ask(Request::RotateIdentity).await?;
    }
    let view = view(&mut client).await?;
    let identity = &view.identity;
    let json = || kiln_ipc::view_json(&view)["identity"].clone();
    face.result(json, || {
        format!(
            "{}\nid            {}\nname          {}\n",
            fingerprint(identity.pin),
            identity.dashboard_id,
            safe(identity.friendly_name.as_str())
        )
    })
}

/// Returns a pin as people compare it: seven emoji, their names, the whole hash.
pub(crate) fn fingerprint(pin: Pin) -> String {
    let emoji: PinEmoji = pin.emoji();
    let grouped = pin.grouped();
    let (first, second) = grouped.split_at(48);
    format!(
        "emoji         {emoji}\nnames         {}\nfingerprint   {}\n              {}",
        emoji.names(),
        first.trim_end(),
        second
    )
}
