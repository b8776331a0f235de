//! What is said around a handshake: the intent in msg1, the [`Hello`] in msg3, the answer
//! (peer-link.md §4).
use kiln_model::{
    Capabilities, DashboardId, EsphomeVersion, FriendlyName, Hello, IntentReason, IntentResponse,
    Label, LinkIntent, PeerFacts, ResponseKind,
};
use serde::Serialize;

use crate::error::Misbehaviour;
use crate::json::Object;

/// What a responder says.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// First word.
    pub kind: ResponseKind,
    /// Why, when refused.
    pub reason: Option<IntentReason>,
    /// What we announce of ourselves.
    pub facts: &'a PeerFacts,
    /// `preview` of a headless receiver: a pairing key will be needed.
    pub requires_pairing_key: bool,
}

/// Writes the payload of msg1, which travels in clear text.
pub(crate) fn encode_intent(intent: LinkIntent) -> Vec<u8> {
    format!(r#"{{"intent":"{}"}}"#, intent.word()).into_bytes()
}

/// Reads the payload of msg1; everything that is not a known intent is `None`.
pub(crate) fn decode_intent(payload: &[u8]) -> Option<LinkIntent> {
    let object = Object::parse(payload).ok()?;
    LinkIntent::from_word(&object.string("intent")?)
}

/// Writes the payload of msg3: of `hello`, the members that belong to `intent`.
pub(crate) fn encode_hello(intent: LinkIntent, hello: &Hello) -> Vec<u8> {
    #[derive(Default, Serialize)]
    struct Wire<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dashboard_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        friendly_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ha_addon: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        label_auto: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pairing_key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        connect_back_port: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_link_port: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kiln: Option<bool>,
    }
    let dashboard_id = hello.dashboard_id.as_ref().map(DashboardId::as_str);
    let kiln = hello.kiln.then_some(true);
    let wire = match intent {
        LinkIntent::Preview => return Vec::new(),
        LinkIntent::PairRequest => Wire {
            label: Some(hello.label.as_str()),
            dashboard_id,
            friendly_name: Some(hello.friendly_name.as_str()),
            ha_addon: Some(hello.ha_addon),
            label_auto: Some(hello.label_auto),
            pairing_key: hello.pairing_key.as_deref().filter(|key| !key.is_empty()),
            kiln,
            ..Wire::default()
        },
        LinkIntent::PairStatus => Wire {
            dashboard_id,
            ..Wire::default()
        },
        LinkIntent::PeerLink => Wire {
            dashboard_id,
            friendly_name: Some(hello.friendly_name.as_str()),
            ha_addon: Some(hello.ha_addon),
            connect_back_port: hello.connect_back_port,
            kiln,
            ..Wire::default()
        },
        LinkIntent::ConnectBack => Wire {
            peer_link_port: hello.peer_link_port,
            ..Wire::default()
        },
    };
    json(&wire)
}

/// Reads the payload of msg3; whatever is absent or of the wrong type is as if not said.
pub(crate) fn decode_hello(payload: &[u8]) -> Hello {
    let Ok(object) = Object::parse(payload) else {
        return Hello::default();
    };
    let text = |name| object.string(name).unwrap_or_default();
    let port = |name| {
        let port = u16::try_from(object.integer(name)?).ok()?;
        (port > 0).then_some(port)
    };
    let pairing_key = object.string("pairing_key").filter(|key| !key.is_empty());
    Hello {
        dashboard_id: text("dashboard_id").parse().ok(),
        label: Label::clipped(&text("label")),
        label_auto: object.boolean("label_auto").unwrap_or(false),
        friendly_name: FriendlyName::clipped(&text("friendly_name")),
        ha_addon: object.boolean("ha_addon").unwrap_or(false),
        pairing_key: pairing_key.map(|key| key.into_owned()),
        connect_back_port: port("connect_back_port"),
        peer_link_port: port("peer_link_port"),
        kiln: object.boolean("kiln").unwrap_or(false),
    }
}

/// Writes an answer.
pub(crate) fn encode_answer(answer: &Answer<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Wire<'a> {
        intent_response: &'a str,
        esphome_version: &'a str,
        auto_provision_supported: bool,
        reset_build_env_supported: bool,
        friendly_name: &'a str,
        ha_addon: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        requires_pairing_key: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        kiln: bool,
    }
    let facts = answer.facts;
    json(&Wire {
        intent_response: answer.kind.word(),
        esphome_version: facts
            .esphome_version
            .as_ref()
            .map_or("", EsphomeVersion::as_str),
        auto_provision_supported: facts.capabilities.auto_provision,
        reset_build_env_supported: facts.capabilities.reset_build_env,
        friendly_name: facts.friendly_name.as_str(),
        ha_addon: facts.ha_addon,
        reason: answer.reason.map(IntentReason::word),
        requires_pairing_key: answer.requires_pairing_key,
        kiln: facts.capabilities.kiln,
    })
}

/// Reads an answer.
///
/// For `peer_link`, whatever is JSON and does not say `ok` is a refusal; the other intents want an
/// object that says something (peer-link.md §4.2).
pub(crate) fn decode_answer(
    intent: LinkIntent,
    payload: &[u8],
) -> Result<IntentResponse, Misbehaviour> {
    let refusal = || IntentResponse {
        kind: None,
        reason: None,
        facts: PeerFacts::default(),
        requires_pairing_key: false,
    };
    let object = match (Object::parse(payload), intent) {
        (Ok(object), _) => object,
        (Err(Misbehaviour::NotAnObject), LinkIntent::PeerLink) => return Ok(refusal()),
        (Err(error), _) => return Err(error),
    };
    let word = object.string("intent_response");
    if word.is_none() && intent != LinkIntent::PeerLink {
        return Err(Misbehaviour::NoAnswer);
    }
    let text = |name| object.string(name).unwrap_or_default();
    let flag = |name| object.boolean(name).unwrap_or(false);
    let facts = PeerFacts {
        esphome_version: text("esphome_version").parse().ok(),
        friendly_name: FriendlyName::clipped(&text("friendly_name")),
        ha_addon: flag("ha_addon"),
        capabilities: Capabilities {
            auto_provision: flag("auto_provision_supported"),
            reset_build_env: flag("reset_build_env_supported"),
            kiln: flag("kiln"),
        },
    };
    Ok(IntentResponse {
        kind: word.and_then(|word| ResponseKind::from_word(&word)),
        reason: IntentReason::from_word(&text("reason")),
        facts,
        requires_pairing_key: flag("requires_pairing_key"),
    })
}

/// Serialises to compact JSON. Structs of strings, numbers and booleans always can be.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
