//! [`Hours`]: the weekly hours in which the owner lends the computer.
use std::time::Duration;

use kiln_model::Timestamp;

/// Minutes of a day and of a week.
const DAY: usize = 24 * 60;
const WEEK: usize = 7 * DAY;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Every minute of the week, from Monday 00:00 local time on: is the computer lent?
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hours(Vec<Minute>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Minute {
    Lent,
    Kept,
}

impl std::fmt::Debug for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lent = self.0.iter().filter(|m| **m == Minute::Lent).count();
        write!(f, "Hours({lent} of {WEEK} minutes)")
    }
}

impl Hours {
    /// Reads `mon-fri 18:00-08:00; sat,sun all`: days, then one or more spans or `all`. A span that
    /// ends before it begins goes on into the next day. `None`: it cannot be read.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut week = vec![Minute::Kept; WEEK];
        let rules = text.split(';').map(str::trim).filter(|r| !r.is_empty());
        let mut rules = rules.peekable();
        rules.peek()?;
        for rule in rules {
            let (days, spans) = rule.split_once(char::is_whitespace)?;
            let spans: Vec<(usize, usize)> = spans
                .split([',', ' '])
                .filter(|s| !s.is_empty())
                .map(span)
                .collect::<Option<_>>()?;
            if spans.is_empty() {
                return None;
            }
            for day in weekdays(days)? {
                for (from, length) in &spans {
                    let begin = day * DAY + from;
                    for minute in begin..begin + length {
                        week[minute % WEEK] = Minute::Lent;
                    }
                }
            }
        }
        Some(Self(week))
    }

    /// Returns whether the computer is lent at this moment, and how long that stays so; `None` if it
    /// never changes. `utc_offset` is local time minus UTC, in seconds.
    pub(crate) fn at(&self, now: Timestamp, utc_offset: i32) -> (bool, Option<Duration>) {
        let micros = now.0.saturating_add(i64::from(utc_offset) * 1_000_000);
        // The epoch was a Thursday.
        let minutes = micros.div_euclid(60_000_000) + 3 * DAY as i64;
        let minute = usize::try_from(minutes.rem_euclid(WEEK as i64)).unwrap_or(0);
        let state = self.0[minute];
        let ahead = (1..WEEK).find(|n| self.0[(minute + n) % WEEK] != state);
        let into = Duration::from_micros(micros.rem_euclid(60_000_000).unsigned_abs());
        let left = ahead.map(|n| Duration::from_secs(n as u64 * 60).saturating_sub(into));
        (state == Minute::Lent, left)
    }
}

/// Reads `mon-fri`, `sat,sun`, `daily`.
fn weekdays(text: &str) -> Option<Vec<usize>> {
    let day = |name: &str| {
        let name = name.to_ascii_lowercase();
        WEEKDAYS.iter().position(|day| *day == name)
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                let count = (last + 7 - first) % 7 + 1;
                days.extend((first..first + count).map(|d| d % 7));
            }
            None if part.eq_ignore_ascii_case("daily") => days.extend(0..7),
            None => days.push(day(part)?),
        }
    }
    Some(days)
}

/// Reads `18:00-08:00` or `all` as begin and length in minutes.
fn span(text: &str) -> Option<(usize, usize)> {
    if text.eq_ignore_ascii_case("all") {
        return Some((0, DAY));
    }
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from)?, clock(to)?);
    let length = (to + DAY - from) % DAY;
    Some((from, if length == 0 { DAY } else { length })).filter(|_| from < DAY)
}

/// Reads `08:00` up to `24:00` as minutes of the day.
fn clock(text: &str) -> Option<usize> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |t: &str, digits| {
        let fits = t.len() <= digits && t.bytes().all(|b| b.is_ascii_digit());
        t.parse::<usize>().ok().filter(|_| fits)
    };
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 7 September 2026, 00:00 UTC.
    const MONDAY: i64 = 1_788_739_200;

    fn at(hours: &Hours, day: i64, hour: i64, minute: i64) -> (bool, Option<u64>) {
        let seconds = MONDAY + day * 86_400 + hour * 3_600 + minute * 60;
        let (lent, left) = hours.at(Timestamp(seconds * 1_000_000), 0);
        (lent, left.map(|l| l.as_secs() / 60))
    }

    #[test]
    fn nights_of_working_days_and_whole_weekends() {
        let hours = Hours::parse("mon-fri 18:00-08:00; sat,sun all").unwrap();
        assert_eq!(
            at(&hours, 0, 7, 0),
            (false, Some(11 * 60)),
            "Monday morning"
        );
        assert_eq!(
            at(&hours, 0, 18, 0),
            (true, Some(14 * 60)),
            "Monday evening"
        );
        assert_eq!(at(&hours, 1, 7, 59), (true, Some(1)), "Tuesday morning");
        assert_eq!(at(&hours, 1, 8, 0), (false, Some(10 * 60)), "Tuesday");
        assert!(at(&hours, 5, 12, 0).0, "Saturday");
        assert_eq!(at(&hours, 6, 23, 0), (true, Some(60)), "Sunday night");
    }

    #[test]
    fn hours_are_local() {
        let hours = Hours::parse("daily 00:00-01:00").unwrap();
        let midnight_utc = Timestamp(MONDAY * 1_000_000);
        assert!(hours.at(midnight_utc, 0).0);
        assert!(!hours.at(midnight_utc, 7_200).0);
        assert!(!hours.at(midnight_utc, 86_400 - 60 * 30).0);
        assert!(hours.at(Timestamp((MONDAY - 7_200) * 1_000_000), 7_200).0);
    }

    #[test]
    fn what_never_changes_has_no_end() {
        let hours = Hours::parse("mon-sun all").unwrap();
        assert_eq!(at(&hours, 3, 3, 3), (true, None));
    }

    #[test]
    fn several_spans_and_days_that_wrap_are_read() {
        let hours = Hours::parse("fri-mon 00:00-06:00, 22:00-24:00").unwrap();
        for (day, hour, lent) in [(4, 5, true), (4, 6, false), (0, 23, true), (2, 23, false)] {
            assert_eq!(at(&hours, day, hour, 0).0, lent, "{day} {hour}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "",
            ";",
            "mon",
            "mon ",
            "moon 1:00-2:00",
            "mon 25:00-26:00",
            "mon 8-9",
            "mon 08:60-09:00",
            "mon 24:00-02:00",
            "mon -1:00-02:00",
            "mon 08:00",
            "mon,, all",
        ] {
            assert_eq!(Hours::parse(text), None, "{text:?}");
        }
    }
}
