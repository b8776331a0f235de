//! JSON of [`Sentence`]: the English under its name, and beside it, as `NAME_words`, the code and the
//! values that another language is made from. Text that is quoted has no words.
use std::collections::BTreeMap;

use kiln_model::Sentence;
use serde::{Deserialize, Serialize};

/// Code and values of a sentence, as stores and channels keep them beside its English.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    code: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, Value>,
}

/// A value: quoted text, or a sentence with words of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Quoted(String),
    Sentence {
        text: String,
        code: String,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, Value>,
    },
}

impl Words {
    /// Returns what is written beside the English; `None` for quoted text.
    pub fn of(sentence: &Sentence) -> Option<Self> {
        let code = sentence.code()?.to_owned();
        let values = sentence
            .values()
            .map(|(name, v)| (name.to_owned(), v.into()));
        Some(Self {
            code,
            values: values.collect(),
        })
    }

    /// Puts a sentence together again.
    pub fn join(text: String, words: Option<Self>) -> Sentence {
        match words {
            None => text.into(),
            Some(Self { code, values }) => sentence(text, code, values),
        }
    }
}

fn sentence(text: String, code: String, values: BTreeMap<String, Value>) -> Sentence {
    let values = values.into_iter().map(|(name, value)| (name, value.into()));
    Sentence::received(text, code, values.collect())
}

impl From<&Sentence> for Value {
    fn from(of: &Sentence) -> Self {
        let text = of.as_str().to_owned();
        match Words::of(of) {
            None => Value::Quoted(text),
            Some(Words { code, values }) => Value::Sentence { text, code, values },
        }
    }
}

impl From<Value> for Sentence {
    fn from(value: Value) -> Self {
        match value {
            Value::Quoted(text) => text.into(),
            Value::Sentence { text, code, values } => sentence(text, code, values),
        }
    }
}

/// For `#[serde(flatten, with = "…")]`: a sentence as two members.
macro_rules! members {
    ($($name:ident: $text:ty, $words:literal;)+) => {$(
        pub(crate) mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            use super::{Members, Words};

            #[derive(Serialize, Deserialize)]
            struct Pair {
                #[serde(default)]
                $name: $text,
                #[serde(rename = $words, default, skip_serializing_if = "Option::is_none")]
                words: Option<Words>,
            }

            pub(crate) fn serialize<M: Members<$text>, S: Serializer>(
                of: &M,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                let ($name, words) = of.split();
                Pair { $name, words }.serialize(to)
            }

            pub(crate) fn deserialize<'de, M: Members<$text>, D: Deserializer<'de>>(
                from: D,
            ) -> Result<M, D::Error> {
                let Pair { $name, words } = Pair::deserialize(from)?;
                Ok(M::join($name, words))
            }
        }
    )+};
}

members! {
    reason: String, "reason_words";
    message: String, "message_words";
    hint: String, "hint_words";
    value: String, "value_words";
    limit: String, "limit_words";
    detail: String, "detail_words";
    advice: String, "advice_words";
    link_error: String, "link_error_words";
    error: Option<String>, "error_words";
    problem: Option<String>, "problem_words";
}

/// What is written as a text and its words.
pub(crate) trait Members<Text>: Sized {
    fn split(&self) -> (Text, Option<Words>);
    fn join(text: Text, words: Option<Words>) -> Self;
}

impl Members<String> for Sentence {
    fn split(&self) -> (String, Option<Words>) {
        (self.as_str().to_owned(), Words::of(self))
    }

    fn join(text: String, words: Option<Words>) -> Self {
        Words::join(text, words)
    }
}

impl Members<Option<String>> for Option<Sentence> {
    fn split(&self) -> (Option<String>, Option<Words>) {
        let text = self.as_ref().map(|sentence| sentence.as_str().to_owned());
        (text, self.as_ref().and_then(Words::of))
    }

    fn join(text: Option<String>, words: Option<Words>) -> Self {
        text.map(|text| Words::join(text, words))
    }
}

/// A problem that is always a text, possibly empty.
impl Members<Option<String>> for Sentence {
    fn split(&self) -> (Option<String>, Option<Words>) {
        (Some(self.as_str().to_owned()), Words::of(self))
    }

    fn join(text: Option<String>, words: Option<Words>) -> Self {
        Words::join(text.unwrap_or_default(), words)
    }
}

/// Several sentences: a list of texts, and a list of their words in the same order.
pub(crate) mod notices {
    use kiln_model::Sentence;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Words;

    #[derive(Serialize, Deserialize)]
    struct Lists {
        notices: Vec<String>,
        #[serde(default)]
        notices_words: Vec<Option<Words>>,
    }

    pub(crate) fn serialize<S: Serializer>(of: &[Sentence], to: S) -> Result<S::Ok, S::Error> {
        let notices = of.iter().map(|s| s.as_str().to_owned()).collect();
        let notices_words = of.iter().map(Words::of).collect();
        Lists {
            notices,
            notices_words,
        }
        .serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Sentence>, D::Error> {
        let lists = Lists::deserialize(from)?;
        let words = lists
            .notices_words
            .into_iter()
            .chain(std::iter::repeat(None));
        let both = lists.notices.into_iter().zip(words);
        Ok(both.map(|(text, words)| Words::join(text, words)).collect())
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::say;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sentence_comes_back_with_its_words_and_those_of_its_values() {
        let said = say::here_because(say::standing_of("Attic", say::standing_idle()));
        let words = Words::of(&said);
        assert_eq!(
            serde_json::to_value(&words).unwrap(),
            json!({"code": "here_because", "values": {"why": {
                "text": "receiver Attic: idle",
                "code": "standing_of",
                "values": {"name": "Attic", "standing": {"text": "idle", "code": "standing_idle"}},
            }}})
        );
        assert_eq!(Words::join(said.to_string(), words), said);
    }

    #[test]
    fn quoted_text_has_no_words_and_a_code_of_a_newer_kiln_is_kept() {
        assert_eq!(Words::of(&"ld: cannot find -lfoo".into()), None);
        let newer: Words = serde_json::from_value(json!({"code": "of_tomorrow"})).unwrap();
        let read = Words::join("It is so.".to_owned(), Some(newer));
        assert_eq!(
            (read.as_str(), read.code()),
            ("It is so.", Some("of_tomorrow"))
        );
    }
}
