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
        pairing_key: pairing_key.map(|key| key.into_owned().into()),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{rows, unhex, vectors};

    // Covers: B-12, R-05
    #[test]
    fn msg1_payloads_mean_what_the_vectors_say() {
        let vectors = vectors!("json");
        for row in rows(&vectors["parse_intent"]) {
            let note = row["payload_note"].as_str().unwrap();
            let payload = match row["payload_hex"] {
                Value::Null => {
                    let length: usize = note.split(' ').nth(1).unwrap().parse().unwrap();
                    let levels = (length - r#"{"intent":"preview","n":}"#.len()) / 2;
                    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
                    format!(r#"{{"intent":"preview","n":{open}{close}}}"#).into_bytes()
                }
                _ => unhex(&row["payload_hex"]),
            };
            let intent = decode_intent(&payload).map(LinkIntent::word);
            assert_eq!(json!(intent), row["intent"], "{note}");
        }
    }

    // Covers: B-11
    #[test]
    fn text_is_written_as_the_vectors_say() {
        #[derive(Serialize)]
        struct Sample {
            a: &'static str,
            b: &'static str,
            c: &'static str,
            d: (),
        }
        let sample = Sample {
            a: "ü☕",
            b: "\u{2028}",
            c: "\0\u{1b}[0m\r\n\t\"\\/",
            d: (),
        };
        let vectors = vectors!("json");
        let expected = unhex(&vectors["serialise"][1]["bytes_hex"]);
        let ours = super::json(&sample);
        // The vector goes on with numbers of a kind that no message has.
        assert_eq!(ours[..ours.len() - 1], expected[..ours.len() - 1]);
        let expected = unhex(&vectors["serialise"][2]["bytes_hex"]);
        assert_eq!(super::json(&json!({"line": "\u{7f}\u{80}"})), expected);
    }

    fn hello(member: &str, value: &Value) -> Hello {
        decode_hello(&serde_json::to_vec(&json!({ member: value })).unwrap())
    }

    // Covers: R-10
    #[test]
    fn members_of_msg3_are_coerced_as_the_vectors_say() {
        let vectors = vectors!("validators");
        for row in rows(&vectors["msg3_label"]) {
            let expected = row["out"].as_str().unwrap();
            assert_eq!(hello("label", &row["in"]).label.as_str(), expected);
            let name = hello("friendly_name", &row["in"]).friendly_name;
            assert_eq!(name.as_str(), expected);
        }
        for row in rows(&vectors["dashboard_id_wire"]) {
            let id = hello("dashboard_id", &row["in"]).dashboard_id;
            assert_eq!(id.is_some(), row["wire_ok"], "{row}");
        }
        for row in rows(&vectors["port_or_zero"]) {
            let back = hello("connect_back_port", &row["in"]).connect_back_port;
            assert_eq!(json!(back.unwrap_or(0)), row["out"], "{row}");
            let here = hello("peer_link_port", &row["in"]).peer_link_port;
            assert_eq!(json!(here.unwrap_or(0)), row["out"], "{row}");
        }
        for payload in ["", "[]", "nope", "{"] {
            assert_eq!(decode_hello(payload.as_bytes()), Hello::default());
        }
        assert_eq!(hello("pairing_key", &json!("")).pairing_key, None);
        assert!(!hello("ha_addon", &json!(1)).ha_addon);
    }

    // Covers: O-16
    #[test]
    fn answers_are_read_as_the_vectors_say() {
        let vectors = vectors!("storage");
        for row in rows(&vectors["response_extraction"]) {
            let mut answer = row["response"].clone();
            answer["intent_response"] = json!("ok");
            let bytes = serde_json::to_vec(&answer).unwrap();
            let facts = decode_answer(LinkIntent::PeerLink, &bytes).unwrap().facts;
            let version = facts.esphome_version.as_ref();
            assert_eq!(version.map_or("", |v| v.as_str()), row["esphome_version"]);
            assert_eq!(facts.friendly_name.as_str(), row["friendly_name"]);
            assert_eq!(facts.ha_addon, row["ha_addon"]);
        }
        let vectors = vectors!("offloader_behaviour");
        for case in rows(&vectors["cases"]) {
            let does = &case["server_does"];
            if let Some(word) = does["intent_response"].as_str() {
                let bytes = serde_json::to_vec(does).unwrap();
                let response = decode_answer(LinkIntent::PeerLink, &bytes).unwrap();
                assert_eq!(response.kind, ResponseKind::from_word(word));
                let reason = does["reason"].as_str().and_then(IntentReason::from_word);
                assert_eq!(response.reason, reason);
            }
        }
    }

    #[test]
    fn an_answer_that_says_nothing_fails_a_one_shot_and_refuses_a_session() {
        for payload in [
            "[]",
            "{}",
            r#"{"intent_response":5,"reason":"pin_mismatch"}"#,
        ] {
            let one_shot = decode_answer(LinkIntent::Preview, payload.as_bytes());
            assert!(one_shot.is_err(), "{payload}");
            let session = decode_answer(LinkIntent::PeerLink, payload.as_bytes()).unwrap();
            assert_eq!(session.kind, None, "{payload}");
        }
        assert!(decode_answer(LinkIntent::PeerLink, b"nope").is_err());
    }

    #[test]
    fn kiln_is_announced_and_believed_only_as_true() {
        let facts = PeerFacts {
            capabilities: Capabilities {
                kiln: true,
                ..Capabilities::default()
            },
            ..PeerFacts::default()
        };
        let bytes = encode_answer(&Answer {
            kind: ResponseKind::Ok,
            reason: None,
            facts: &facts,
            requires_pairing_key: false,
        });
        assert!(bytes.ends_with(br#","kiln":true}"#));
        let heard = decode_answer(LinkIntent::PeerLink, &bytes).unwrap();
        assert!(heard.facts.capabilities.kiln);
        assert!(!hello("kiln", &json!(1)).kiln);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode_intent(&bytes);
            let _ = decode_hello(&bytes);
            let _ = decode_answer(LinkIntent::Preview, &bytes);
            let _ = decode_answer(LinkIntent::PeerLink, &bytes);
        }

        #[test]
        fn what_is_said_in_a_pair_request_arrives(label: String, name: String, key in ".{0,40}") {
            let said = Hello {
                dashboard_id: Some("abc".parse().unwrap()),
                label: Label::clipped(&label),
                label_auto: true,
                friendly_name: FriendlyName::clipped(&name),
                pairing_key: Some(key).filter(|key| !key.is_empty()).map(Into::into),
                kiln: true,
                ..Hello::default()
            };
            let heard = decode_hello(&encode_hello(LinkIntent::PairRequest, &said));
            prop_assert_eq!(heard, said);
        }
    }
}
