//! JSON of [`EnvironmentInfo`]: the state is flat, as `state` and `detail`.
use kiln_model::{EnvironmentInfo, EnvironmentState, EsphomeVersion, Sentence};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, Form, mirrored};
use crate::sentence;

#[derive(Serialize, Deserialize)]
#[serde(remote = "EnvironmentInfo")]
struct EnvironmentJson {
    #[serde(with = "form")]
    version: EsphomeVersion,
    path: String,
    #[serde(flatten, with = "form")]
    state: EnvironmentState,
    size_bytes: Option<u64>,
    installed: bool,
}

mirrored!(EnvironmentInfo => EnvironmentJson);

#[derive(Serialize, Deserialize)]
struct StateJson {
    state: String,
    /// The current step or what is wrong.
    #[serde(flatten, with = "sentence::detail")]
    detail: Sentence,
}

impl Form for EnvironmentState {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (state, detail) = match self {
            EnvironmentState::Ready => ("ready", Sentence::default()),
            EnvironmentState::Installing(step) => ("installing", step.clone()),
            EnvironmentState::Broken(why) => ("broken", why.clone()),
        };
        StateJson {
            state: state.to_owned(),
            detail,
        }
        .serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let StateJson { state, detail } = StateJson::deserialize(from)?;
        match state.as_str() {
            "ready" => Ok(EnvironmentState::Ready),
            "installing" => Ok(EnvironmentState::Installing(detail)),
            "broken" => Ok(EnvironmentState::Broken(detail)),
            other => Err(D::Error::unknown_variant(
                other,
                &["ready", "installing", "broken"],
            )),
        }
    }
}
