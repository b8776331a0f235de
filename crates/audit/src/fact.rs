//! JSON of a [`Fact`]: the same in a stored line, on the control channel and under `--json`.
use std::str::FromStr;
use std::time::Duration;

use kiln_model::{
    Built, ContactedHost, Digest, EsphomeVersion, Fact, FactKind, JobFact, JobKind, JobOutcome,
    JobStep, Label, PairingFact, PairingStep, Party, Pin, Reach, SessionFact, SessionStep, Side,
    Tier, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest sentence that is kept, in bytes as JSON writes it, like all that follow.
const MAX_REASON: usize = 300;

/// Longest name of a file or device that is kept; longer ones exist on no system.
const MAX_NAME: usize = 255;

/// Longest label that is kept.
const MAX_LABEL: usize = 128;

/// Longest value of a setting that is kept.
const MAX_VALUE: usize = 500;

/// Longest host with its port that is kept; real ones have less than 40.
const MAX_PLACE: usize = 80;

/// Most hosts that are listed; a build asks for ten.
const MAX_HOSTS: usize = 16;

/// Largest distance from 1970 that is understood, in milliseconds: 139 years.
const MAX_TIME: f64 = (1_u64 << 42) as f64;

/// The event of [`Fact::Started`].
const STARTED: &str = "started";

/// The event of [`Fact::Rotated`].
const ROTATED: &str = "rotated";

/// The event of [`Fact::Setting`].
const CHANGED: &str = "changed";

/// One shape for every kind: what a kind does not have is left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Body {
    kind: String,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_pin_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_pin_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<PartyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    built: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<PartyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ran_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    esphome_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<HostBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_hosts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct PartyBody {
    pin_sha256: String,
    label: String,
}

#[derive(Serialize, Deserialize)]
struct HostBody {
    host: String,
    reach: String,
}

/// Returns the object that stands for a fact. Texts are cut to what is kept.
pub fn fact_json(fact: &Fact) -> Value {
    // Nothing here has a map key that is not text or a number that is not finite.
    serde_json::to_value(body(fact)).unwrap_or_default()
}

/// Reads such an object; `None` for what this version does not understand.
pub fn read_fact(json: Value) -> Option<Fact> {
    let body: Body = serde_json::from_value(json).ok()?;
    match (FactKind::from_word(&body.kind)?, body.event.as_str()) {
        (FactKind::Node, STARTED) => Some(Fact::Started {
            version: clip(&body.version?, MAX_NAME),
            pin: parsed(body.pin_sha256.as_deref())?,
            tier: Tier::from_number(body.tier?)?,
        }),
        (FactKind::Pairing, ROTATED) => Some(Fact::Rotated {
            from: parsed(body.old_pin_sha256.as_deref())?,
            to: parsed(body.pin_sha256.as_deref())?,
        }),
        (FactKind::Pairing, step) => Some(Fact::Pairing(PairingFact {
            step: PairingStep::from_word(step)?,
            side: Side::from_word(&body.side?)?,
            party: party(&body.pin_sha256?, &body.label?)?,
            observed: maybe(body.observed_pin_sha256.as_deref())?,
        })),
        (FactKind::Session, step) => Some(Fact::Session(SessionFact {
            step: SessionStep::from_word(step)?,
            side: Side::from_word(&body.side?)?,
            party: party(&body.pin_sha256?, &body.label?)?,
            why: clip(&body.reason.unwrap_or_default(), MAX_REASON),
        })),
        (FactKind::Job, _) => job(body).map(|job| Fact::Job(Box::new(job))),
        (FactKind::Setting, CHANGED) => Some(Fact::Setting {
            name: clip(&body.name?, MAX_NAME),
            old: clip(&body.old?, MAX_VALUE),
            new: clip(&body.new?, MAX_VALUE),
        }),
        (FactKind::Node | FactKind::Setting, _) => None,
    }
}

fn body(fact: &Fact) -> Body {
    let start = |event: &str| Body {
        kind: fact.kind().word().to_owned(),
        event: event.to_owned(),
        ..Body::default()
    };
    match fact {
        Fact::Started { version, pin, tier } => Body {
            version: Some(clip(version, MAX_NAME)),
            pin_sha256: Some(pin.to_string()),
            tier: Some(tier.number()),
            ..start(STARTED)
        },
        Fact::Pairing(fact) => Body {
            side: Some(fact.side.word().to_owned()),
            pin_sha256: Some(fact.party.pin.to_string()),
            label: Some(clip(fact.party.label.as_str(), MAX_LABEL)),
            observed_pin_sha256: fact.observed.map(|pin| pin.to_string()),
            ..start(fact.step.word())
        },
        Fact::Rotated { from, to } => Body {
            pin_sha256: Some(to.to_string()),
            old_pin_sha256: Some(from.to_string()),
            ..start(ROTATED)
        },
        Fact::Session(fact) => Body {
            side: Some(fact.side.word().to_owned()),
            pin_sha256: Some(fact.party.pin.to_string()),
            label: Some(clip(fact.party.label.as_str(), MAX_LABEL)),
            reason: filled(&fact.why, MAX_REASON),
            ..start(fact.step.word())
        },
        Fact::Job(fact) => job_body(fact, start(fact.step.word())),
        Fact::Setting { name, old, new } => Body {
            name: Some(clip(name, MAX_NAME)),
            old: Some(clip(old, MAX_VALUE)),
            new: Some(clip(new, MAX_VALUE)),
            ..start(CHANGED)
        },
    }
}

fn job_body(fact: &JobFact, start: Body) -> Body {
    let (built, receiver) = match &fact.built {
        Built::Here => ("here", None),
        Built::There(receiver) => ("there", Some(party_body(receiver))),
        Built::Undecided => ("undecided", None),
    };
    let unlisted = u32::try_from(fact.hosts.len().saturating_sub(MAX_HOSTS)).unwrap_or(u32::MAX);
    let more_hosts = fact.more_hosts.saturating_add(unlisted);
    let host = |host: &ContactedHost| HostBody {
        host: clip(&host.place, MAX_PLACE),
        reach: host.reach.word().to_owned(),
    };
    Body {
        job: Some(fact.job.to_string()),
        job_kind: Some(fact.kind.word().to_owned()),
        sender: fact.sender.as_ref().map(party_body),
        configuration: filled(&fact.configuration, MAX_NAME),
        device: filled(&fact.device, MAX_NAME),
        built: Some(built.to_owned()),
        receiver,
        accepted_at: Some(seconds(fact.accepted)),
        started_at: fact.started.map(seconds),
        ended_at: fact.ended.map(seconds),
        ran_seconds: fact.ran.map(|ran| ran.as_secs()),
        outcome: fact.outcome.map(|outcome| outcome.word().to_owned()),
        reason: filled(&fact.reason, MAX_REASON),
        esphome_version: fact.esphome_version.as_ref().map(ToString::to_string),
        bundle_sha256: fact.bundle.map(|digest| digest.to_string()),
        artifacts_sha256: fact.artifacts.map(|digest| digest.to_string()),
        tier: fact.tier.map(Tier::number),
        hosts: fact.hosts.iter().take(MAX_HOSTS).map(host).collect(),
        more_hosts: (more_hosts > 0).then_some(more_hosts),
        ..start
    }
}

fn job(body: Body) -> Option<JobFact> {
    let sender = match body.sender {
        Some(sender) => Some(party(&sender.pin_sha256, &sender.label)?),
        None => None,
    };
    let built = match (body.built?.as_str(), body.receiver) {
        ("here", None) => Built::Here,
        ("there", Some(receiver)) => Built::There(party(&receiver.pin_sha256, &receiver.label)?),
        ("undecided", None) => Built::Undecided,
        _ => return None,
    };
    let outcome = match body.outcome {
        Some(word) => Some(JobOutcome::from_word(&word)?),
        None => None,
    };
    let tier = match body.tier {
        Some(number) => Some(Tier::from_number(number)?),
        None => None,
    };
    let host = |host: &HostBody| {
        Some(ContactedHost {
            place: clip(&host.host, MAX_PLACE),
            reach: Reach::from_word(&host.reach)?,
        })
    };
    let hosts: Option<Vec<ContactedHost>> = body.hosts.iter().take(MAX_HOSTS).map(host).collect();
    Some(JobFact {
        step: JobStep::from_word(&body.event)?,
        job: parsed(body.job.as_deref())?,
        kind: JobKind::from_word(&body.job_kind?)?,
        sender,
        configuration: clip(&body.configuration.unwrap_or_default(), MAX_NAME),
        device: clip(&body.device.unwrap_or_default(), MAX_NAME),
        built,
        accepted: time(body.accepted_at?)?,
        started: maybe_time(body.started_at)?,
        ended: maybe_time(body.ended_at)?,
        ran: body.ran_seconds.map(Duration::from_secs),
        outcome,
        reason: clip(&body.reason.unwrap_or_default(), MAX_REASON),
        esphome_version: maybe::<EsphomeVersion>(body.esphome_version.as_deref())?,
        bundle: maybe::<Digest>(body.bundle_sha256.as_deref())?,
        artifacts: maybe::<Digest>(body.artifacts_sha256.as_deref())?,
        tier,
        hosts: hosts?,
        more_hosts: body.more_hosts.unwrap_or_default(),
    })
}

fn party_body(party: &Party) -> PartyBody {
    PartyBody {
        pin_sha256: party.pin.to_string(),
        label: clip(party.label.as_str(), MAX_LABEL),
    }
}

fn party(pin: &str, label: &str) -> Option<Party> {
    Some(Party {
        pin: parsed::<Pin>(Some(pin))?,
        label: Label::clipped(&clip(label, MAX_LABEL)),
    })
}

/// Reads a text that has to be there.
fn parsed<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// Reads a text that may be absent, but if it is there has to be right.
fn maybe<T: FromStr>(text: Option<&str>) -> Option<Option<T>> {
    match text {
        Some(text) => text.parse().ok().map(Some),
        None => Some(None),
    }
}

/// Writes seconds since 1970, to the millisecond: more does not survive every reader of JSON.
pub(crate) fn seconds(time: Timestamp) -> f64 {
    (time.0 / 1_000) as f64 / 1e3
}

/// Reads [`seconds`].
pub(crate) fn time(seconds: f64) -> Option<Timestamp> {
    let millis = (seconds * 1e3).round();
    (millis.abs() <= MAX_TIME).then_some(Timestamp(millis as i64 * 1_000))
}

fn maybe_time(seconds: Option<f64>) -> Option<Option<Timestamp>> {
    match seconds {
        Some(seconds) => time(seconds).map(Some),
        None => Some(None),
    }
}

/// Returns a text that is worth a member.
fn filled(text: &str, most: usize) -> Option<String> {
    (!text.is_empty()).then(|| clip(text, most))
}

/// Cuts a text so that it takes at most `most` bytes between its quotes in JSON.
fn clip(text: &str, most: usize) -> String {
    let mut left = most;
    let fits = |c: &char| {
        let takes = match *c {
            '"' | '\\' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        let fits = takes <= left;
        left = left.saturating_sub(takes);
        fits
    };
    text.chars().take_while(fits).collect()
}
