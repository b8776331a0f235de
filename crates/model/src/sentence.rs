//! [`Sentence`]: what a person reads, in English, with the code and values that other languages make
//! theirs from.
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A text for people. It reads as its English; what [`crate::say`] made also knows its code and its
/// values. Text of others (compilers, peers, the system) has no code and is quoted as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    text: String,
    /// Boxed, because sentences are in every refusal.
    words: Option<Box<Words>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Words {
    code: Cow<'static, str>,
    values: Vec<(Cow<'static, str>, Sentence)>,
}

impl Sentence {
    /// Makes a sentence of the catalogue: `english` with `{name}` replaced by values.
    pub(crate) fn of<const N: usize>(
        code: &'static str,
        english: &'static str,
        values: [(&'static str, Sentence); N],
    ) -> Self {
        let values = values.map(|(name, value)| (Cow::Borrowed(name), value));
        let words = Words {
            code: Cow::Borrowed(code),
            values: values.into(),
        };
        let mut sentence = Self {
            text: String::new(),
            words: Some(Box::new(words)),
        };
        sentence.text = fill(english, |name| sentence.value(name).map(Sentence::as_str));
        sentence
    }

    /// Takes over a sentence that another process made; its code may be of a newer Kiln.
    pub fn received(text: String, code: String, values: Vec<(String, Sentence)>) -> Self {
        let named = |(name, value)| (Cow::Owned(name), value);
        let words = Words {
            code: Cow::Owned(code),
            values: values.into_iter().map(named).collect(),
        };
        Self {
            text,
            words: Some(Box::new(words)),
        }
    }

    /// Returns the English.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the stable code; `None` for text that is quoted.
    pub fn code(&self) -> Option<&str> {
        self.words.as_deref().map(|words| &*words.code)
    }

    /// Returns the values by name, in the order of the English sentence's parameters.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Sentence)> {
        let values = self.words.iter().flat_map(|words| &words.values);
        values.map(|(name, value)| (&**name, value))
    }

    /// Returns the value of this name.
    pub fn value(&self, name: &str) -> Option<&Sentence> {
        let mut values = self.values();
        values.find(|(known, _)| *known == name).map(|(_, v)| v)
    }
}

/// Returns `template` with each `{name}` replaced by what `value` knows of it, or by nothing. What was
/// filled in is not looked at again, so that braces in a peer's name stay what they are.
pub fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(value(name).unwrap_or_default());
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

impl Deref for Sentence {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq<str> for Sentence {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl PartialEq<&str> for Sentence {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self { text, words: None }
    }
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Sentence {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<Sentence> for String {
    fn from(sentence: Sentence) -> Self {
        sentence.text
    }
}

/// Numbers and nouns are values as they are written.
macro_rules! written {
    ($($of:ty),+) => {$(
        impl From<$of> for Sentence {
            fn from(value: $of) -> Self {
                value.to_string().into()
            }
        }
    )+};
}

written!(u8, u16, u32, u64, usize, i32);
written!(
    &crate::JobId,
    &crate::EsphomeVersion,
    &crate::ConfigurationName,
    crate::Pin
);

/// Makes errors of types that have a method `sentence`.
#[macro_export]
macro_rules! spoken_errors {
    ($($error:ty),+ $(,)?) => {$(
        impl std::fmt::Display for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.sentence())
            }
        }

        impl std::error::Error for $error {}
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_a_value_are_not_looked_into() {
        let values = |name: &str| Some(if name == "a" { "{b}" } else { "x" });
        assert_eq!(fill("{a} and {b}", values), "{b} and x");
        assert_eq!(fill("cut {a", values), "cut {b}");
        assert_eq!(fill("{c}.", |_| None), ".");
    }
}
