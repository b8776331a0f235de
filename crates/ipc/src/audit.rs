//! JSON of what the audit says: entries, whether it is intact, statistics.
use kiln_model::{
    AuditSpan, ChainFault, Digest, Entry, Gained, Given, Label, Party, Pin, Statistics, Timestamp,
    Verification,
};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::form::{self, Form, mirrored};

/// What is beside the fact in the object of an entry.
#[derive(Serialize, Deserialize)]
struct EntryJson {
    number: u64,
    #[serde(with = "form")]
    at: Timestamp,
    #[serde(with = "form")]
    hash: Digest,
    #[serde(flatten)]
    fact: Map<String, Value>,
}

impl Form for Entry {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fact) = kiln_audit::fact_json(&self.fact) else {
            return Err(S::Error::custom("a fact is an object"));
        };
        let entry = EntryJson {
            number: self.number,
            at: self.at,
            hash: self.hash,
            fact,
        };
        entry.serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = EntryJson::deserialize(from)?;
        let fact = kiln_audit::read_fact(Value::Object(json.fact));
        Ok(Entry {
            number: json.number,
            at: json.at,
            hash: json.hash,
            fact: fact.ok_or_else(|| D::Error::custom("the entry is not understood"))?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum VerificationJson {
    Intact {
        first: u64,
        last: u64,
        #[serde(with = "form")]
        head: Digest,
    },
    Broken {
        number: u64,
        #[serde(with = "form")]
        fault: ChainFault,
    },
}

impl Form for Verification {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let json = match *self {
            Verification::Intact(AuditSpan { first, last, head }) => {
                VerificationJson::Intact { first, last, head }
            }
            Verification::Broken { number, fault } => VerificationJson::Broken { number, fault },
        };
        json.serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match VerificationJson::deserialize(from)? {
            VerificationJson::Intact { first, last, head } => {
                Verification::Intact(AuditSpan { first, last, head })
            }
            VerificationJson::Broken { number, fault } => Verification::Broken { number, fault },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Statistics")]
struct StatisticsJson {
    #[serde(with = "form")]
    since: Option<Timestamp>,
    #[serde(with = "form")]
    given: Vec<Given>,
    #[serde(with = "form")]
    gained: Vec<Gained>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Party")]
struct PartyJson {
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Pin,
    #[serde(with = "form")]
    label: Label,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Given")]
struct GivenJson {
    #[serde(flatten, with = "form")]
    party: Party,
    completed: u64,
    failed: u64,
    cancelled: u64,
    handed_back: u64,
    seconds: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Gained")]
struct GainedJson {
    #[serde(flatten, with = "form")]
    party: Party,
    completed: u64,
    seconds: u64,
    compared: u64,
    saved_seconds: i64,
}

mirrored!(
    Statistics => StatisticsJson,
    Party => PartyJson,
    Given => GivenJson,
    Gained => GainedJson,
);
