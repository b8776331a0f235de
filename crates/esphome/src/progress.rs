//! [`Progress`]: percent and compile phase from tool output (builds.md §11.4).
use crate::ansi;

/// Ninja runs with fewer steps say nothing worth showing.
const NINJA_FLOOR: u32 = 100;

/// Reads the output of one run. The percentage never falls.
#[derive(Debug, Default)]
pub struct Progress {
    percent: Option<u8>,
    largest_total: u32,
    started: bool,
    ended: bool,
}

/// What a chunk told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The percentage rose to this (0–100).
    pub percent: Option<u8>,
    /// Compiling began or ended here.
    pub phase: Option<Phase>,
}

/// A moment of a compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first file is compiled, archived, linked or generated.
    Started,
    /// The build tool said how it ended.
    Ended,
}

impl Progress {
    /// Reads one chunk.
    pub fn read(&mut self, chunk: &str) -> Told {
        let plain = ansi::plain(chunk);
        let percent = self
            .gauge(chunk, &plain)
            .filter(|new| Some(*new) > self.percent);
        self.percent = percent.or(self.percent);
        Told {
            percent,
            phase: self.phase(chunk, &plain),
        }
    }

    /// Returns the percentage of this run, if one was told.
    pub fn percent(&self) -> Option<u8> {
        self.percent
    }

    /// The first shape that fits decides, also when its value is none of 0–100.
    fn gauge(&mut self, chunk: &str, plain: &str) -> Option<u8> {
        let shapes = [
            bracket_percent,
            parenthesis_percent,
            writing_percent,
            uploading_percent,
        ];
        if let Some(value) = shapes.iter().find_map(|shape| shape(chunk)) {
            return u8::try_from(value).ok().filter(|value| *value <= 100);
        }
        let (done, total) = ninja_counter(plain)?;
        if total < NINJA_FLOOR || total < self.largest_total || done > total {
            return None;
        }
        self.largest_total = total;
        u8::try_from(u64::from(done) * 100 / u64::from(total)).ok()
    }

    fn phase(&mut self, chunk: &str, plain: &str) -> Option<Phase> {
        const STARTS: [&str; 7] = [
            "Compiling ",
            "Archiving ",
            "Linking ",
            "Indexing ",
            "Generating ",
            "Building in ",
            "Reading CMake configuration",
        ];
        const ENDS: [&str; 4] = [
            "[SUCCESS] Took ",
            "[FAILED] Took ",
            "Successfully compiled program",
            "ninja: build stopped",
        ];
        if !self.started
            && (STARTS.iter().any(|start| plain.starts_with(start))
                || bracket_percent(chunk).is_some()
                || ninja_counter(plain).is_some())
        {
            self.started = true;
            return Some(Phase::Started);
        }
        if !self.ended && ENDS.iter().any(|end| plain.contains(end)) {
            self.ended = true;
            return Some(Phase::Ended);
        }
        None
    }
}

/// `[ 17%] …`: Arduino builds, file by file.
fn bracket_percent(line: &str) -> Option<u32> {
    let rest = line.trim_start().strip_prefix('[')?;
    let (value, rest) = short_number(rest.trim_start())?;
    let rest = rest.trim_start().strip_prefix('%')?;
    rest.trim_start().starts_with(']').then_some(value)
}

/// `(45 %)` anywhere: old esptool.
fn parenthesis_percent(line: &str) -> Option<u32> {
    line.match_indices('(').find_map(|(at, _)| {
        let (value, rest) = short_number(line[at + 1..].trim_start())?;
        let rest = rest.trim_start().strip_prefix('%')?;
        rest.trim_start().starts_with(')').then_some(value)
    })
}

/// `Writing at … 84.8%` anywhere: new esptool. The fraction is cut off.
fn writing_percent(line: &str) -> Option<u32> {
    const START: &str = "Writing at";
    let rest = &line[line.find(START)? + START.len()..];
    if rest.starts_with(is_word) {
        return None;
    }
    rest.match_indices('%').find_map(|(at, _)| {
        let before = rest[..at].trim_end();
        let whole = match before.rsplit_once('.') {
            Some((whole, fraction)) if is_digits(fraction) && ends_in_digit(whole) => whole,
            Some(_) | None => before,
        };
        let digits = whole
            .bytes()
            .rev()
            .take(3)
            .take_while(u8::is_ascii_digit)
            .count();
        whole[whole.len() - digits..].parse().ok()
    })
}

/// `Uploading: [===   ] 42%`: over the air.
fn uploading_percent(line: &str) -> Option<u32> {
    let rest = line.trim_start().strip_prefix("Uploading:")?;
    rest.match_indices('%').find_map(|(at, _)| {
        let before = rest[..at].trim_end();
        let digits = before.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (head, value) = before.split_at(before.len() - digits);
        ((1..=3).contains(&digits) && !head.ends_with(is_word)).then(|| value.parse().ok())?
    })
}

/// `[907/1424] …`: done and total of ninja.
fn ninja_counter(plain: &str) -> Option<(u32, u32)> {
    let rest = plain.trim_start_matches(['\r', '\n']).strip_prefix('[')?;
    let (counter, _) = rest.split_once("] ")?;
    let (done, total) = counter.split_once('/')?;
    let number = |text: &str| is_digits(text).then(|| text.parse().ok())?;
    Some((number(done)?, number(total)?))
}

/// One to three digits at the start, and what follows them.
fn short_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let (value, rest) = text.split_at(digits);
    Some((value.parse().ok()?, rest))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn ends_in_digit(text: &str) -> bool {
    text.bytes().next_back().is_some_and(|b| b.is_ascii_digit())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::vectors;

    // Covers: M96
    #[test]
    fn every_progress_row_of_the_vectors_is_reproduced() {
        let rows = vectors("progress");
        assert_eq!(rows.len(), 11);
        for row in rows {
            let mut progress = Progress::default();
            let lines = row["lines"].as_array().unwrap().iter();
            let told: Vec<Told> = lines.map(|l| progress.read(l.as_str().unwrap())).collect();
            let percents: Vec<Option<u8>> = told.iter().map(|t| t.percent).collect();
            assert_eq!(serde_json::json!(percents), row["progress_events"], "{row}");
            let saw = |phase| told.iter().any(|t| t.phase == Some(phase));
            assert_eq!(saw(Phase::Started), row["compile_started"], "{row}");
            assert_eq!(saw(Phase::Ended), row["compile_ended"], "{row}");
        }
    }

    #[test]
    fn other_percent_signs_are_no_progress() {
        for line in [
            "RAM:   [==        ]  19.3% (used 63 bytes)\n",
            "Unpacking [####] 100%\n",
            "Uploading: 1234%\n",
            "Uploading: x42%\n",
            "Writing attempt 5%\n",
            "[50 / 100] spaced\n",
            "[120/200]no space\n",
            "[9999999999/99999999999] x\n",
            "%",
            "",
        ] {
            assert_eq!(Progress::default().read(line).percent, None, "{line}");
        }
    }

    // Covers: M97
    #[test]
    fn progress_does_not_fall_when_a_second_counter_starts() {
        let mut progress = Progress::default();
        for (line, expected) in [
            ("[700/1400] x\n", Some(50)),
            ("[100/100] bootloader\n", None),
            ("[ 3%] y\n", None),
            ("[701/1400] x\n", None),
            ("[1400/1400] x\n", Some(100)),
        ] {
            assert_eq!(progress.read(line).percent, expected, "{line}");
        }
        assert_eq!(progress.percent(), Some(100));
    }

    proptest! {
        // Covers: M97
        #[test]
        fn progress_rises_whatever_is_printed(
            lines in prop::collection::vec(r"(\[ *[0-9]{1,4}(%|/[0-9]{1,4})\] |Writing at |Uploading: |[0-9.]{0,6} ?%|\(|\)|\PC){0,6}", 0..20),
        ) {
            let mut progress = Progress::default();
            let mut last = None;
            for percent in lines.iter().filter_map(|line| progress.read(line).percent) {
                prop_assert!(percent <= 100 && Some(percent) > last);
                last = Some(percent);
            }
        }
    }
}
