//! [`Words`]: the sentences of one language, from `messages/`, with times as people write them.
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use kiln_model::{Sentence, Timestamp, fill, say};

use crate::clean::harmless;
use crate::isolate::isolated;

/// A language that Kiln speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Returns the language for a locale of a system (`de_AT.UTF-8`, `en-GB`); English for all
    /// that Kiln does not speak.
    pub fn from_locale(locale: &str) -> Self {
        let primary = locale.split(['_', '-', '.', '@']).next().unwrap_or("");
        if primary.eq_ignore_ascii_case("de") {
            Language::German
        } else {
            Language::English
        }
    }

    /// Returns the two-letter code, as in the setting `language`.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
        }
    }

    /// Returns the catalogue of sentences in this language, by code.
    fn sentences(self) -> BTreeMap<String, String> {
        match self {
            Language::English => {
                let english = |one: &say::Template| (one.code.to_owned(), one.english.to_owned());
                say::ALL.iter().map(english).collect()
            }
            // A file that cannot be read fails a test, so nobody meets the empty default.
            Language::German => {
                serde_json::from_str(include_str!("../messages/said.de.json")).unwrap_or_default()
            }
        }
    }

    fn file(self) -> &'static str {
        match self {
            Language::English => include_str!("../messages/en.toml"),
            Language::German => include_str!("../messages/de.toml"),
        }
    }
}

macro_rules! keys {
    ($($key:ident = $name:literal,)+) => {
        /// A message of `messages/*.toml`, as `section.name`. One that nobody says is a warning of
        /// the compiler; one that a file lacks fails a test.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Key { $($key,)+ }

        impl Key {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$key),+];

            fn name(self) -> &'static str {
                match self { $(Self::$key => $name,)+ }
            }
        }
    };
}

keys! {
    StatusConnecting = "status.connecting",
    StatusGone = "status.gone",
    StatusAsksOne = "status.asks_one",
    StatusAsksMany = "status.asks_many",
    StatusIdentity = "status.identity",
    StatusRevoked = "status.revoked",
    StatusDeclined = "status.declined",
    StatusSuperseded = "status.superseded",
    StatusReady = "status.ready",
    StatusReadyOne = "status.ready_one",
    StatusReadyMany = "status.ready_many",
    StatusOff = "status.off",
    StatusPaused = "status.paused",

    PausedUserActive = "paused.user_active",
    PausedBattery = "paused.battery",
    PausedPowerSaver = "paused.power_saver",
    PausedThermal = "paused.thermal",
    PausedCpuBusy = "paused.cpu_busy",
    PausedLowRam = "paused.low_ram",
    PausedLowDisk = "paused.low_disk",
    PausedHours = "paused.hours",
    PausedExclusiveApp = "paused.exclusive_app",
    PausedMetered = "paused.metered",
    PausedSnoozed = "paused.snoozed",
    PausedSleeping = "paused.sleeping",

    ResumesAt = "resumes.at",
    ResumesUserActive = "resumes.user_active",
    ResumesBattery = "resumes.battery",
    ResumesPowerSaver = "resumes.power_saver",
    ResumesThermal = "resumes.thermal",
    ResumesCpuBusy = "resumes.cpu_busy",
    ResumesLowRam = "resumes.low_ram",
    ResumesLowDisk = "resumes.low_disk",
    ResumesHours = "resumes.hours",
    ResumesExclusiveApp = "resumes.exclusive_app",
    ResumesMetered = "resumes.metered",
    ResumesSnoozed = "resumes.snoozed",
    ResumesSleeping = "resumes.sleeping",

    JobCompileHere = "job.compile_here",
    JobCompileOn = "job.compile_on",
    JobCompileFor = "job.compile_for",
    JobUpload = "job.upload",
    JobClean = "job.clean",
    JobReset = "job.reset",
    JobPercent = "job.percent",
    JobLeft = "job.left",
    JobLeftSoon = "job.left_soon",

    MenuPause = "menu.pause",
    MenuPauseHalfHour = "menu.pause_half_hour",
    MenuPauseTwoHours = "menu.pause_two_hours",
    MenuPauseTomorrow = "menu.pause_tomorrow",
    MenuPauseUntilResumed = "menu.pause_until_resumed",
    MenuResume = "menu.resume",
    MenuLend = "menu.lend",
    MenuStop = "menu.stop",
    MenuRequests = "menu.requests",
    MenuBuilders = "menu.builders",
    MenuAddBuilder = "menu.add_builder",
    MenuInstall = "menu.install",
    MenuOutdated = "menu.outdated",
    MenuMore = "menu.more",
    MenuOpen = "menu.open",
    MenuSettings = "menu.settings",
    MenuDiagnostics = "menu.diagnostics",
    MenuUpdates = "menu.updates",
    MenuQuit = "menu.quit",

    BuilderIdle = "builder.idle",
    BuilderBusy = "builder.busy",
    BuilderAway = "builder.away",
    BuilderConnected = "builder.connected",
    BuilderConnecting = "builder.connecting",
    BuilderUnreachable = "builder.unreachable",
    BuilderOrphaned = "builder.orphaned",
    BuilderAwaiting = "builder.awaiting",
    BuilderDisabled = "builder.disabled",

    AwayUserActive = "away.user_active",
    AwayBattery = "away.battery",
    AwayPowerSaver = "away.power_saver",
    AwayThermal = "away.thermal",
    AwayCpuBusy = "away.cpu_busy",
    AwayLowRam = "away.low_ram",
    AwayLowDisk = "away.low_disk",
    AwayHours = "away.hours",
    AwayExclusiveApp = "away.exclusive_app",
    AwayMetered = "away.metered",
    AwaySnoozed = "away.snoozed",
    AwayUserOff = "away.user_off",
    AwaySleeping = "away.sleeping",

    QuitOne = "quit.one",
    QuitMany = "quit.many",
    QuitWaits = "quit.waits",

    NoticePairTitle = "notice.pair_title",
    NoticePairBody = "notice.pair_body",
    NoticeIdentityTitle = "notice.identity_title",
    NoticeIdentityBody = "notice.identity_body",
    NoticeBuildFailed = "notice.build_failed",
    NoticeInstallFailed = "notice.install_failed",
    NoticeBuilt = "notice.built",
    NoticeInstalled = "notice.installed",
    NoticeTook = "notice.took",
    NoticeTookOn = "notice.took_on",
    NoticeTookOnWith = "notice.took_on_with",
    NoticeManyTitle = "notice.many_title",
    NoticeManyDone = "notice.many_done",
    NoticeManyEnded = "notice.many_ended",
    NoticeManyWell = "notice.many_well",
    NoticeManyFailed = "notice.many_failed",
    NoticeManyWaiting = "notice.many_waiting",
    NoticeDiskTitle = "notice.disk_title",
    NoticeDiskBody = "notice.disk_body",

    ButtonReview = "button.review",
    ButtonReject = "button.reject",
    ButtonLog = "button.log",
    ButtonBuildHere = "button.build_here",
    ButtonOpen = "button.open",

    TimeSeconds = "time.seconds",
    TimeMinutes = "time.minutes",
    TimeHours = "time.hours",
    TimeToday = "time.today",
    TimeTomorrow = "time.tomorrow",
    TimeLater = "time.later",
}

/// The messages of one language and the time zone that times are shown in.
#[derive(Clone, Debug)]
pub struct Words {
    messages: BTreeMap<String, BTreeMap<String, String>>,
    /// Of what the node says, by code.
    sentences: BTreeMap<String, String>,
    zone: TimeZone,
}

impl Words {
    /// Reads the messages of `language`; times will be those of `zone`.
    pub fn new(language: Language, zone: TimeZone) -> Self {
        Self {
            // As above.
            messages: toml::from_str(language.file()).unwrap_or_default(),
            sentences: language.sentences(),
            zone,
        }
    }

    /// Returns what the node says in this language; English for a code that this Kiln does not know,
    /// and quoted text as it is, but harmless.
    pub fn sentence(&self, said: &Sentence) -> String {
        let template = said.code().and_then(|code| self.sentences.get(code));
        let Some(template) = template else {
            return harmless(said);
        };
        let values: Vec<_> = said.values().map(|(n, v)| (n, self.sentence(v))).collect();
        let values: Vec<_> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        filled(template, &values)
    }

    /// Returns the same with a capital and a stop, also of a clause.
    pub fn statement(&self, said: &Sentence) -> String {
        let said = self.sentence(said);
        let mut letters = said.trim_end_matches('.').chars();
        match letters.next() {
            Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
            None => String::new(),
        }
    }

    /// Returns the message with its placeholders filled.
    pub(crate) fn say(&self, key: Key, values: &[(&str, &str)]) -> String {
        filled(self.message(key), values)
    }

    fn message(&self, key: Key) -> &str {
        let found = key.name().split_once('.').and_then(|(section, name)| {
            let message = self.messages.get(section)?.get(name)?;
            Some(message.as_str())
        });
        found.unwrap_or(key.name())
    }

    /// Returns how long something took: one or two units.
    pub(crate) fn took(&self, time: Duration) -> String {
        let seconds = time.as_secs();
        let count = |n: u64| n.to_string();
        match seconds {
            0..60 => self.say(Key::TimeSeconds, &[("count", &count(seconds))]),
            60..3600 => self.say(Key::TimeMinutes, &[("count", &count(seconds / 60))]),
            _ => self.say(
                Key::TimeHours,
                &[
                    ("hours", &count(seconds / 3600)),
                    ("minutes", &count(seconds / 60 % 60)),
                ],
            ),
        }
    }

    /// Returns about how long something will go on: rounded up to minutes, so that the text does not
    /// change more often than once a minute.
    pub(crate) fn left(&self, time: Duration) -> String {
        match time.as_secs() {
            0..60 => self.say(Key::JobLeftSoon, &[]),
            seconds => {
                let time = self.took(Duration::from_secs(seconds.div_ceil(60) * 60));
                self.say(Key::JobLeft, &[("time", &time)])
            }
        }
    }

    /// Returns when something will be, seen from `now`.
    pub(crate) fn when(&self, time: Timestamp, now: Timestamp) -> String {
        let civil = |t: Timestamp| {
            let at = jiff::Timestamp::from_microsecond(t.0).ok()?;
            Some(at.to_zoned(self.zone.clone()))
        };
        let (Some(at), Some(now)) = (civil(time), civil(now)) else {
            return String::new();
        };
        let clock = at.strftime("%H:%M").to_string();
        let values = [("time", clock.as_str())];
        if at.date() == now.date() {
            self.say(Key::TimeToday, &values)
        } else if now.date().tomorrow().is_ok_and(|day| day == at.date()) {
            self.say(Key::TimeTomorrow, &values)
        } else {
            let day = at.strftime("%Y-%m-%d").to_string();
            self.say(Key::TimeLater, &[("day", &day), ("time", &clock)])
        }
    }
}

/// Fills the placeholders of a message with values, none of which moves the words around it.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let values: Vec<_> = values.iter().map(|(n, v)| (*n, isolated(v))).collect();
    fill(template, |name| {
        let found = values.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    type Messages = BTreeMap<String, BTreeMap<String, String>>;

    fn names(messages: &Messages) -> BTreeSet<String> {
        let of = |(section, texts): (&String, &BTreeMap<String, String>)| {
            let name = |text: &String| format!("{section}.{text}");
            texts.keys().map(name).collect::<Vec<_>>()
        };
        messages.iter().flat_map(of).collect()
    }

    fn placeholders(message: &str) -> BTreeSet<&str> {
        let parts = message.split('{').skip(1);
        parts
            .filter_map(|part| Some(part.split_once('}')?.0))
            .collect()
    }

    #[test]
    fn every_file_has_every_message_and_no_other() {
        let wanted: BTreeSet<String> = Key::ALL.iter().map(|k| k.name().to_owned()).collect();
        for language in Language::ALL {
            let messages: Messages = toml::from_str(language.file()).unwrap();
            assert_eq!(names(&messages), wanted, "{language:?}");
        }
    }

    #[test]
    fn translations_have_the_placeholders_of_the_original() {
        let english = Words::new(Language::English, TimeZone::UTC);
        let german = Words::new(Language::German, TimeZone::UTC);
        for key in Key::ALL.iter().copied() {
            let (original, translation) = (english.message(key), german.message(key));
            assert_eq!(placeholders(translation), placeholders(original), "{key:?}");
            assert!(!translation.is_empty(), "{key:?}");
        }
    }

    #[test]
    fn every_sentence_of_the_node_has_words_in_every_other_language() {
        let wanted: BTreeSet<&str> = say::ALL.iter().map(|one| one.code).collect();
        assert_eq!(wanted.len(), say::ALL.len(), "a code means one thing");
        for language in Language::ALL {
            let sentences = language.sentences();
            let known: BTreeSet<&str> = sentences.keys().map(String::as_str).collect();
            assert_eq!(known, wanted, "{language:?}");
            for template in say::ALL {
                let values = template.values.iter().copied().collect();
                assert_eq!(placeholders(template.english), values, "{}", template.code);
                if let Some(words) = sentences.get(template.code) {
                    assert_eq!(
                        placeholders(words),
                        values,
                        "{language:?} {}",
                        template.code
                    );
                }
            }
        }
    }

    #[test]
    fn what_the_node_says_is_said_in_the_language_of_its_owner() {
        let german = Words::new(Language::German, TimeZone::UTC);
        let english = Words::new(Language::English, TimeZone::UTC);
        let said = say::here_because(say::standing_of("{name}", say::standing_link_closed()));
        assert_eq!(
            german.sentence(&said),
            "dieser Rechner: Rechner {name}: nicht verbunden"
        );
        assert_eq!(
            english.sentence(&said),
            "this computer: receiver {name}: link closed"
        );
        assert_eq!(
            german.statement(&say::disk_full()),
            "Die Festplatte ist voll."
        );
        let newer = Sentence::received("It snows.".into(), "of_tomorrow".into(), Vec::new());
        assert_eq!(german.sentence(&newer), "It snows.");
        let quoted = "ld: cannot find -lfoo".into();
        assert_eq!(german.sentence(&quoted), "ld: cannot find -lfoo");
    }

    #[test]
    fn a_name_from_right_to_left_moves_no_word_of_its_sentence() {
        let apart = "\u{2068}מטבח\u{2069}";
        for (language, ready) in [
            (Language::English, format!("Ready to build for {apart}.")),
            (Language::German, format!("Bereit, für {apart} zu bauen.")),
        ] {
            let words = Words::new(language, TimeZone::UTC);
            assert_eq!(words.say(Key::StatusReadyOne, &[("peer", "מטבח")]), ready);
        }
        let said = say::standing_of("מטבח", say::standing_link_closed());
        let english = Words::new(Language::English, TimeZone::UTC);
        assert_eq!(
            english.sentence(&said),
            format!("receiver {apart}: link closed")
        );
        let german = Words::new(Language::German, TimeZone::UTC);
        assert_eq!(
            german.sentence(&said),
            format!("Rechner {apart}: nicht verbunden")
        );
    }

    #[test]
    fn locales_choose_the_language() {
        for (locale, language) in [
            ("de_AT.UTF-8", Language::German),
            ("DE", Language::German),
            ("en-GB", Language::English),
            ("den", Language::English),
            ("C", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::from_locale(locale), language, "{locale}");
        }
    }

    #[test]
    fn times_are_short_and_local() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let english = Words::new(Language::English, zone.clone());
        let german = Words::new(Language::German, zone);
        // 2026-11-27 17:00 UTC.
        let now = Timestamp(1_795_798_800_000_000);
        let later = |hours: i64| Timestamp(now.0 + hours * 3_600_000_000);
        assert_eq!(english.when(later(1), now), "at 19:00");
        assert_eq!(english.when(later(14), now), "tomorrow at 08:00");
        assert_eq!(german.when(later(14), now), "morgen um 08:00");
        assert_eq!(german.when(later(48), now), "am 2026-11-29 um 18:00");
        assert_eq!(english.took(Duration::from_secs(59)), "59 s");
        assert_eq!(german.took(Duration::from_secs(7260)), "2 Std 1 Min");
        assert_eq!(english.left(Duration::from_secs(61)), "about 2 min left");
        assert_eq!(german.left(Duration::from_secs(60)), "noch etwa 1 Min");
        assert_eq!(
            english.left(Duration::from_secs(59)),
            "less than 1 min left"
        );
        assert_eq!(
            german.left(Duration::from_secs(5)),
            "noch weniger als 1 Min"
        );
    }
}
