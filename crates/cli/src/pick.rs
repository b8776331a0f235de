//! Finds the receiver or offloader that a person means by a label, a host or part of a pin.
use kiln_model::{DashboardId, PairingView, PeerView, PendingPeer, Pin};

use crate::exit::Failure;
use crate::text::safe;

/// Digits of a pin that are enough to name a peer.
const PIN_DIGITS: usize = 8;

/// Returns the receiver that `wanted` names.
pub(crate) fn receiver<'a>(
    receivers: &'a [PairingView],
    wanted: &str,
) -> Result<&'a PairingView, Failure> {
    one("receiver", wanted, receivers, |view| Named {
        pin: view.pairing.pin,
        names: vec![
            view.pairing.label.to_string(),
            view.pairing
                .endpoint
                .host()
                .trim_end_matches('.')
                .to_owned(),
            view.pairing.endpoint.to_string(),
        ],
        machine: view.pairing.friendly_name.to_string(),
    })
}

/// Returns the offloader that `wanted` names.
pub(crate) fn offloader<'a>(
    offloaders: &'a [PeerView],
    wanted: &str,
) -> Result<&'a PeerView, Failure> {
    one("offloader", wanted, offloaders, |view| Named {
        pin: view.peer.pin,
        names: names(&view.peer.dashboard_id, view.peer.label.as_str()),
        machine: view.peer.friendly_name.to_string(),
    })
}

/// Returns the request that `wanted` names.
pub(crate) fn request<'a>(
    requests: &'a [PendingPeer],
    wanted: &str,
) -> Result<&'a PendingPeer, Failure> {
    one("request", wanted, requests, |pending| Named {
        pin: pending.pin,
        names: names(&pending.dashboard_id, pending.label.as_str()),
        machine: pending.friendly_name.to_string(),
    })
}

struct Named {
    pin: Pin,
    names: Vec<String>,
    /// What the machine calls itself: counts only when nothing else fits, as it is not ours.
    machine: String,
}

fn names(id: &DashboardId, label: &str) -> Vec<String> {
    vec![id.to_string(), label.to_owned()]
}

fn one<'a, T>(
    kind: &str,
    wanted: &str,
    all: &'a [T],
    named: impl Fn(&T) -> Named,
) -> Result<&'a T, Failure> {
    let same = |name: &String| name.to_lowercase() == wanted.to_lowercase();
    let fits = |item: &&T| {
        let Named { pin, names, .. } = named(item);
        let by_pin = wanted.len() >= PIN_DIGITS && pin.to_string().starts_with(wanted);
        by_pin || names.iter().any(same)
    };
    let mut found: Vec<&T> = all.iter().filter(fits).collect();
    if found.is_empty() {
        found.extend(all.iter().filter(|item| same(&named(item).machine)));
    }
    match found.as_slice() {
        [only] => Ok(only),
        [] => {
            let known: Vec<String> = all
                .iter()
                .filter_map(|item| named(item).names.into_iter().next())
                .collect();
            let known = if known.is_empty() {
                "there is none".to_owned()
            } else {
                known.join(", ")
            };
            Err(Failure::Usage(format!(
                "There is no {kind} {:?} ({}).",
                wanted,
                safe(&format!("known: {known}"))
            )))
        }
        [_, _, ..] => Err(Failure::Usage(format!(
            "{wanted:?} names more than one {kind}; use the first {PIN_DIGITS} digits of its pin."
        ))),
    }
}
