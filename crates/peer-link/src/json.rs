//! [`Object`]: one strict JSON object, its members unread until asked for (peer-link.md §3.5).
//!
//! The whole document is checked in one pass without recursion and without building a tree, so a
//! document of brackets costs no stack and no memory. `serde_json` would check less of the members
//! it skips (surrogates, numbers too large for a double) and stops at 128 levels, where the
//! reference goes to 1024.
use std::borrow::Cow;

use crate::error::Misbehaviour;
use crate::limits::MAX_JSON_DEPTH;

/// The members of an object in the order they came.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// The checked text of one value.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Object<'a> {
    /// Checks a whole document and finds its top-level members.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Misbehaviour> {
        let text = std::str::from_utf8(bytes).map_err(|_| Misbehaviour::NotJson)?;
        let mut scanner = Scanner { text, at: 0 };
        let members = scanner.document().ok_or(Misbehaviour::NotJson)?;
        members.map(Self).ok_or(Misbehaviour::NotAnObject)
    }

    /// Returns a member; of several with one name, the last.
    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        let member = self.0.iter().rev().find(|(key, _)| key == name);
        member.map(|(_, value)| *value)
    }

    /// Returns a string member.
    pub(crate) fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.string()
    }

    /// Returns a strict integer member. Above `i64::MAX` and up to 2⁶⁴ − 1 it is an integer of the
    /// reference too; it saturates, which is far beyond every limit.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        let text = self.get(name)?.0;
        let saturated = || text.parse::<u64>().ok().map(|_| i64::MAX);
        text.parse().ok().or_else(saturated)
    }

    /// Returns a strict boolean member.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        match self.get(name)?.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    /// Returns the text as it came.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    fn string(self) -> Option<Cow<'a, str>> {
        self.0.starts_with('"').then(|| unescaped(self.0))
    }
}

/// Reads a checked string literal.
fn unescaped(literal: &str) -> Cow<'_, str> {
    let inner = literal
        .strip_prefix('"')
        .and_then(|l| l.strip_suffix('"'))
        .unwrap_or_default();
    if inner.contains('\\') {
        Cow::Owned(serde_json::from_str(literal).unwrap_or_default())
    } else {
        Cow::Borrowed(inner)
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// `Some(None)`: a document, but not an object.
type Members<'a> = Option<Vec<(Cow<'a, str>, Value<'a>)>>;

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Option<Members<'a>> {
        self.space();
        let members = if self.peek() == Some(b'{') {
            Some(self.members()?)
        } else {
            self.value(0)?;
            None
        };
        self.space();
        (self.at == self.text.len()).then_some(members)
    }

    fn members(&mut self) -> Option<Vec<(Cow<'a, str>, Value<'a>)>> {
        let mut members = Vec::new();
        self.take(b'{')?;
        self.space();
        if self.take(b'}').is_some() {
            return Some(members);
        }
        loop {
            let key = unescaped(self.string()?);
            self.colon()?;
            let value = Value(self.value(1)?);
            members.push((key, value));
            self.space();
            if self.take(b'}').is_some() {
                return Some(members);
            }
            self.take(b',')?;
            self.space();
        }
    }

    /// Checks one value, `depth` levels down, and returns its text.
    fn value(&mut self, depth: usize) -> Option<&'a str> {
        let start = self.at;
        let mut open: Vec<u8> = Vec::new();
        loop {
            let scalar = match self.peek()? {
                bracket @ (b'[' | b'{') => {
                    self.at += 1;
                    if depth + open.len() >= MAX_JSON_DEPTH {
                        return None;
                    }
                    open.push(bracket + 2); // the matching bracket
                    self.space();
                    self.peek() == open.last().copied()
                }
                _ => self.scalar().map(|()| true)?,
            };
            if !scalar {
                self.key_if_object(&open)?;
                continue;
            }
            // A value is complete: close what it completes, or go to its neighbour.
            loop {
                let Some(&close) = open.last() else {
                    return self.text.get(start..self.at);
                };
                self.space();
                if self.take(close).is_some() {
                    open.pop();
                    continue;
                }
                self.take(b',')?;
                self.space();
                self.key_if_object(&open)?;
                break;
            }
        }
    }

    fn key_if_object(&mut self, open: &[u8]) -> Option<()> {
        if open.last() == Some(&b'}') {
            self.string()?;
            self.colon()?;
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    /// Checks a string literal and returns it with its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match self.bump()? {
                b'"' => return self.text.get(start..self.at),
                b'\\' => self.escape()?,
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.bump()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex4()? {
                0xd800..=0xdbff => {
                    self.take(b'\\')?;
                    self.take(b'u')?;
                    matches!(self.hex4()?, 0xdc00..=0xdfff).then_some(())
                }
                0xdc00..=0xdfff => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |code, _| {
            let digit = char::from(self.bump()?).to_digit(16)?;
            Some(code << 4 | digit)
        })
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        let integer_end = self.at;
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        // Only a long number can overflow a double.
        let long = self.at > integer_end || self.at - start > 300;
        let fits = || {
            let text = self.text.get(start..self.at)?;
            text.parse::<f64>().ok()?.is_finite().then_some(())
        };
        if long { fits() } else { Some(()) }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.strip_prefix(word)?;
        self.at += word.len();
        Some(())
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{{\"n\":{}{}}}", "[".repeat(levels), "]".repeat(levels))
    }

    // Covers: B-12
    #[test]
    fn what_the_reference_refuses_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1}x",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":1e999}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[1 2]}",
            "{\"a\":{\"b\"}}",
            "{\"a\":{\"b\":1,}}",
            "{\"a\":[}}",
            "{\"a\":{]}",
            "{\"a\":/**/1}",
            "{a:1}",
            "{\"a\":\"\u{0}\"}",
        ] {
            assert!(
                matches!(Object::parse(bad.as_bytes()), Err(Misbehaviour::NotJson)),
                "{bad:?}"
            );
        }
        let overflow = format!("{{\"a\":{}}}", "9".repeat(400));
        assert!(Object::parse(overflow.as_bytes()).is_err());
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(Object::parse(nested(1023).as_bytes()).is_ok());
        assert!(Object::parse(nested(1024).as_bytes()).is_err());
    }

    // Covers: B-12
    #[test]
    fn the_last_of_several_members_counts_also_with_an_escaped_name() {
        let object = Object::parse(br#"{"a":1,"\u0061":2}"#).unwrap();
        assert_eq!(object.integer("a"), Some(2));
    }

    #[test]
    fn integers_are_strict_and_large_ones_saturate() {
        let of = |text: &str| {
            Object::parse(format!("{{\"a\":{text}}}").as_bytes())
                .unwrap()
                .integer("a")
        };
        assert_eq!(of("-1"), Some(-1));
        assert_eq!(of("18446744073709551615"), Some(i64::MAX));
        assert_eq!(of("18446744073709551616"), None);
        assert_eq!(
            (of("1.0"), of("1e2"), of("true"), of("\"1\"")),
            (None, None, None, None)
        );
    }

    proptest! {
        /// `serde_json` accepts nothing that we refuse, and reads the same, up to its own depth.
        #[test]
        fn arbitrary_text_is_read_like_serde_json_reads_it(
            text in r#"[\{\}\[\]",:0-9eE+\-. \\a-fnrtu]{0,40}"#
        ) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match Object::parse(text.as_bytes()) {
                Ok(object) => {
                    let theirs = theirs.unwrap();
                    for (key, value) in theirs.as_object().unwrap() {
                        let ours = object.get(key).unwrap().raw();
                        let ours: serde_json::Value = serde_json::from_str(ours).unwrap();
                        prop_assert_eq!(&ours, value);
                    }
                }
                Err(Misbehaviour::NotAnObject) => prop_assert!(!theirs.unwrap().is_object()),
                Err(_) => prop_assert!(theirs.is_err(), "{text:?}"),
            }
        }

        #[test]
        fn documents_of_serde_json_are_read(
            value in proptest::collection::vec(
                (".{0,12}", any::<Option<i64>>(), [".{0,12}", ".{0,12}"], any::<i32>()), 0..8)
        ) {
            let document: serde_json::Map<String, serde_json::Value> = value
                .into_iter()
                .map(|(k, n, list, f)| (k, serde_json::json!([n, {"l": list, "f": f64::from(f) / 8.0}])))
                .collect();
            let text = serde_json::to_vec(&document).unwrap();
            let object = Object::parse(&text).unwrap();
            for (key, value) in &document {
                let ours: serde_json::Value =
                    serde_json::from_str(object.get(key).unwrap().raw()).unwrap();
                prop_assert_eq!(&ours, value);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = Object::parse(&bytes);
        }
    }
}
