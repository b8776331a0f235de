//! What the pages may ask of the node: parsed before it is passed on, and named here.
use kiln_ipc::{ClientMessage, Follow, decode_client};
use kiln_model::Request;
use serde_json::{Value, json};

use super::refusal::Refusal;

/// Requests of `docs/CLI.md` that the pages use. Those that destroy something (`unpair`,
/// `remove_peer`, `rotate_identity`, `reset_environment`, `reclaim`) are asked about in the page first. Ending
/// the node (`shutdown`) is not the window's business.
const REQUESTS: &[&str] = &[
    "approve",
    "build_here",
    "cancel",
    "clean",
    "close_window",
    "compile",
    "devices",
    "edit_endpoint",
    "environments",
    "flash",
    "install",
    "install_environment",
    "job",
    "jobs",
    "newest_environment",
    "open_window",
    "pair",
    "pause",
    "preview",
    "reclaim",
    "reject",
    "remove_peer",
    "reset_environment",
    "resume",
    "rotate_identity",
    "serial_ports",
    "set_pairing_enabled",
    "set_settings",
    "settings",
    "statistics",
    "status",
    "storage",
    "unpair",
    "verify_audit",
];

/// Reads a request.
pub(super) fn request(body: Value) -> Result<Request, Refusal> {
    let name = body.get("request").and_then(Value::as_str);
    if !name.is_some_and(|name| REQUESTS.contains(&name)) {
        let name = name.unwrap_or_default();
        return Err(Refusal::invalid(format!(
            "The window does not ask for {name:?}."
        )));
    }
    match message(body)? {
        ClientMessage::Request { request, .. } => Ok(request),
        _ => Err(Refusal::invalid("This is no request.")),
    }
}

/// Reads what is to be followed.
pub(super) fn follow(body: Value) -> Result<Follow, Refusal> {
    match message(body)? {
        ClientMessage::Follow { follow, .. } => Ok(follow),
        _ => Err(Refusal::invalid("This cannot be followed.")),
    }
}

fn message(mut body: Value) -> Result<ClientMessage, Refusal> {
    let Some(members) = body.as_object_mut() else {
        return Err(Refusal::invalid("This is no object."));
    };
    members.insert("id".to_owned(), json!(0));
    decode_client(body.to_string().as_bytes()).map_err(|error| Refusal::invalid(error.problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_and_understood_is_passed_on() {
        assert_eq!(
            request(json!({ "request": "devices" })).unwrap(),
            Request::Devices
        );
        assert_eq!(follow(json!({ "follow": "view" })).unwrap(), Follow::View);
    }

    #[test]
    fn everything_else_stays_here() {
        for body in [
            json!({ "request": "shutdown" }),
            json!({ "request": "preview", "endpoint": 7 }),
            json!({ "request": ["devices"] }),
            json!({ "follow": "view" }),
            json!("devices"),
            json!(null),
        ] {
            assert!(request(body.clone()).is_err(), "{body}");
        }
        for body in [json!({ "request": "devices" }), json!({ "kiln": 1 })] {
            assert!(follow(body.clone()).is_err(), "{body}");
        }
    }
}
