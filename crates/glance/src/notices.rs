//! [`Notices`]: decides which events are worth an interruption, and when a notice is moot.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{
    Alert, AlertKind, AvailabilityReason, DashboardId, JobId, PendingPeer, Pin, Timestamp, View,
    WindowView,
};

use crate::Action;
use crate::chain::{Chain, Progress, since};
use crate::composer::{Composer, Tally, identity_id, many_id, pair_id};
use crate::notice::{Notice, NoticeId};
use crate::words::Words;

/// A build that took no longer than this has been waited for.
const LONG: Duration = Duration::from_secs(60);

/// So many builds at the same time are told in one notice.
const MANY: usize = 3;

/// Whether the person is looking at Kiln's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFocus {
    /// It is open and has the focus.
    Focused,
    /// It is closed, or something else has the focus.
    Elsewhere,
}

/// What to do with a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeEffect {
    /// Show it, in the place of an earlier one of the same id.
    Show(Notice),
    /// Take it away, if it is still there.
    Withdraw(NoticeId),
}

/// The machine behind the notifications. Fed with every view, and with the view as it is when the
/// focus changes, it returns what to show and what to take away. What others build here, what
/// reconnects or pauses by itself (but for want of room on the disk, which only a person can make), and
/// what was so before Kiln looked first is never worth a notice.
#[derive(Debug)]
pub struct Notices {
    words: Words,
    /// What was known after the last view; nothing before the first.
    known: Option<Known>,
    batch: Option<Batch>,
    /// What stands on the screen, as far as we know.
    shown: BTreeMap<NoticeId, Shown>,
}

/// What is no news any more.
#[derive(Debug, Default)]
struct Known {
    /// When the first view was made.
    since: Timestamp,
    asked: BTreeSet<(DashboardId, Pin)>,
    mistaken: BTreeSet<Pin>,
    /// What was said of builds for others.
    lending: Option<AvailabilityReason>,
    /// Chains that had not ended.
    open: BTreeSet<JobId>,
    /// Chains that had.
    ended: BTreeSet<JobId>,
}

/// Builds that are told together: all that began while the first of them went on.
#[derive(Debug)]
struct Batch {
    members: BTreeSet<JobId>,
    began: Timestamp,
    /// What was told last: done, failed, all.
    told: Option<(usize, usize, usize)>,
}

#[derive(Debug)]
struct Shown {
    notice: Notice,
    about: About,
}

/// What a notice is about: what makes it moot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// Moot when nobody asks any more.
    Asking,
    /// Moot when the pairing is in order.
    Identity,
    /// Moot when the disk has room again.
    Disk,
    /// Moot when this configuration is built again.
    Failure(String),
    /// Moot when the window is looked at.
    Success,
    /// Moot when the window is looked at; comes again while builds go on.
    Summary,
}

impl Notices {
    /// Makes a machine that has seen nothing: what is in the first view is no news.
    pub fn new(words: Words) -> Self {
        Self {
            words,
            known: None,
            batch: None,
            shown: BTreeMap::new(),
        }
    }

    /// Speaks another language from now on.
    pub fn speak(&mut self, words: Words) {
        self.words = words;
    }

    /// Compares the view with what was known.
    pub fn handle(&mut self, view: &View, focus: WindowFocus, now: Timestamp) -> Vec<NoticeEffect> {
        let chains = Chain::all(&view.jobs);
        let since = self.known.as_ref().map_or(view.at, |known| known.since);
        let seen = Known::of(view, &chains, since);
        let mut effects = Vec::new();
        if let Some(known) = self.known.take() {
            self.withdraw(&seen, &chains, focus, &mut effects);
            self.pairing(view, &known, &mut effects);
            if seen.is_short_of_room() && !known.is_short_of_room() {
                let notice = Composer(&self.words).short_of_room();
                self.show(notice, About::Disk, &mut effects);
            }
            self.builds(&chains, &known, focus, now, &mut effects);
        }
        self.known = Some(seen);
        effects
    }

    /// Compares nothing with what was known: there is no node. Who asked it asks no more, and is told
    /// again if it asks the next one.
    pub fn node_gone(&mut self) -> Vec<NoticeEffect> {
        if let Some(known) = &mut self.known {
            known.asked.clear();
        }
        let asking = |(_, shown): &(&NoticeId, &Shown)| shown.about == About::Asking;
        let moot = self.shown.iter().filter(asking);
        let moot: Vec<NoticeId> = moot.map(|(id, _)| id.clone()).collect();
        self.take_away(moot)
    }

    /// Returns what a click means: on the button of this id, or on the notice itself (`None`). A
    /// notice that was withdrawn meanwhile means nothing.
    pub fn clicked(&self, id: &str, button: Option<&str>) -> Option<Action> {
        let notice = &self.shown.get(&NoticeId(id.to_owned()))?.notice;
        match button {
            None => Some(Action::Open(notice.page.clone())),
            Some(button) => {
                let mut buttons = notice.buttons.iter();
                buttons
                    .find(|known| known.id == button)
                    .map(|b| b.action.clone())
            }
        }
    }

    /// Takes away what is moot.
    fn withdraw(
        &mut self,
        seen: &Known,
        chains: &[Chain<'_>],
        focus: WindowFocus,
        effects: &mut Vec<NoticeEffect>,
    ) {
        let again = |configuration: &str| {
            let same = |c: &&Chain<'_>| c.first.configuration == configuration;
            let mut same = chains.iter().filter(same);
            same.any(|chain| seen.open.contains(&chain.first.id))
        };
        let looked_at = focus == WindowFocus::Focused;
        let moot = |id: &NoticeId, shown: &Shown| match &shown.about {
            About::Asking => !seen.asked.iter().any(|(who, _)| pair_id(who) == *id),
            About::Identity => !seen.mistaken.iter().any(|pin| identity_id(pin) == *id),
            About::Disk => !seen.is_short_of_room(),
            About::Failure(configuration) => again(configuration),
            About::Success | About::Summary => looked_at,
        };
        let moot: Vec<NoticeId> = self
            .shown
            .iter()
            .filter(|(id, shown)| moot(id, shown))
            .map(|(id, _)| id.clone())
            .collect();
        effects.extend(self.take_away(moot));
    }

    fn take_away(&mut self, moot: Vec<NoticeId>) -> Vec<NoticeEffect> {
        for id in &moot {
            self.shown.remove(id);
        }
        moot.into_iter().map(NoticeEffect::Withdraw).collect()
    }

    /// Who asks, and who is not whom we know.
    fn pairing(&mut self, view: &View, known: &Known, effects: &mut Vec<NoticeEffect>) {
        for peer in heard(view) {
            if !known.asked.contains(&(peer.dashboard_id.clone(), peer.pin)) {
                let notice = Composer(&self.words).asks(peer);
                self.show(notice, About::Asking, effects);
            }
        }
        for alert in mistaken(view) {
            if !known.mistaken.contains(&alert.pin) {
                let notice = Composer(&self.words).mistaken(alert);
                self.show(notice, About::Identity, effects);
            }
        }
    }

    /// What of the owner's has ended.
    fn builds(
        &mut self,
        chains: &[Chain<'_>],
        known: &Known,
        focus: WindowFocus,
        now: Timestamp,
        effects: &mut Vec<NoticeEffect>,
    ) {
        self.gather(chains, now);
        for chain in chains {
            let id = &chain.first.id;
            // Others are old ones that came back into the list.
            let new = known.open.contains(id) || chain.first.created_at >= known.since;
            if !new || known.ended.contains(id) || self.is_told_together(chain) {
                continue;
            }
            match chain.progress() {
                Progress::Going | Progress::Waiting | Progress::Stopped => {}
                Progress::Failed(job) => {
                    let notice = Composer(&self.words).failed(chain, job);
                    let about = About::Failure(job.configuration.clone());
                    self.show(notice, about, effects);
                }
                Progress::Done(job) => {
                    let took = chain.worked(now);
                    if took > LONG && focus == WindowFocus::Elsewhere {
                        let notice = Composer(&self.words).done(chain, job, took);
                        self.show(notice, About::Success, effects);
                    }
                }
            }
        }
        self.summarize(chains, focus, now, effects);
    }

    /// Begins a batch when many go on at once, and adds what begins while it goes on.
    fn gather(&mut self, chains: &[Chain<'_>], now: Timestamp) {
        let going: BTreeSet<JobId> = chains
            .iter()
            .filter(|chain| matches!(chain.progress(), Progress::Going))
            .map(|chain| chain.first.id.clone())
            .collect();
        match &mut self.batch {
            Some(batch) => batch.members.extend(going),
            None if going.len() >= MANY => {
                self.batch = Some(Batch {
                    members: going,
                    began: now,
                    told: None,
                });
            }
            None => {}
        }
    }

    fn is_told_together(&self, chain: &Chain<'_>) -> bool {
        let batch = self.batch.as_ref();
        batch.is_some_and(|batch| batch.members.contains(&chain.first.id))
    }

    /// Tells how far a batch is, and forgets it at its end.
    fn summarize(
        &mut self,
        chains: &[Chain<'_>],
        focus: WindowFocus,
        now: Timestamp,
        effects: &mut Vec<NoticeEffect>,
    ) {
        let Some(batch) = &mut self.batch else { return };
        let mut tally = Tally::default();
        for chain in chains {
            if batch.members.contains(&chain.first.id) {
                tally.count(chain.progress());
            }
        }
        let ended = tally.going == 0;
        let news = (tally.ended(), tally.failed, tally.all());
        let (changed, took) = (batch.told != Some(news), since(batch.began, now));
        batch.told = Some(news);
        if ended {
            self.batch = None;
        }
        let worth = if ended {
            tally.failed > 0 || (took > LONG && focus == WindowFocus::Elsewhere)
        } else {
            tally.ended() > 0 && changed && focus == WindowFocus::Elsewhere
        };
        if worth {
            let notice = Composer(&self.words).summary(&tally);
            self.show(notice, About::Summary, effects);
        } else if ended && self.shown.remove(&many_id()).is_some() {
            effects.push(NoticeEffect::Withdraw(many_id()));
        }
    }

    fn show(&mut self, notice: Notice, about: About, effects: &mut Vec<NoticeEffect>) {
        effects.push(NoticeEffect::Show(notice.clone()));
        self.shown
            .insert(notice.id.clone(), Shown { notice, about });
    }
}

impl Known {
    fn of(view: &View, chains: &[Chain<'_>], since: Timestamp) -> Self {
        let mut known = Self {
            since,
            asked: heard(view)
                .map(|p| (p.dashboard_id.clone(), p.pin))
                .collect(),
            mistaken: mistaken(view).map(|alert| alert.pin).collect(),
            lending: Some(view.availability.reason),
            ..Self::default()
        };
        for chain in chains {
            let id = chain.first.id.clone();
            match chain.progress() {
                Progress::Going | Progress::Waiting => known.open.insert(id),
                Progress::Done(_) | Progress::Failed(_) | Progress::Stopped => {
                    known.ended.insert(id)
                }
            };
        }
        known
    }

    fn is_short_of_room(&self) -> bool {
        self.lending == Some(AvailabilityReason::LowDisk)
    }
}

/// Who asks, as long as new ones are heard: with the pairing window a request is over.
fn heard(view: &View) -> impl Iterator<Item = &PendingPeer> {
    let open = match view.window {
        WindowView::Open { .. } => true,
        WindowView::Closed => false,
    };
    view.pending.iter().filter(move |_| open)
}

fn mistaken(view: &View) -> impl Iterator<Item = &Alert> {
    let alerts = view.alerts.iter();
    alerts.filter(|alert| alert.kind == AlertKind::PinMismatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::*;
    use expect_test::{Expect, expect};
    use kiln_model::{EsphomeVersion, JobKind, JobStatus, Placement, Request};
    use std::fmt::Write as _;

    /// A machine that has seen a quiet evening, and what it said since.
    struct Desk {
        notices: Notices,
        view: View,
        focus: WindowFocus,
    }

    impl Desk {
        fn new() -> Self {
            Self::with(quiet())
        }

        fn with(view: View) -> Self {
            let mut notices = Notices::new(english());
            let effects = notices.handle(&view, WindowFocus::Elsewhere, NOW);
            assert_eq!(effects, [], "nothing is news at the start");
            Self {
                notices,
                view,
                focus: WindowFocus::Elsewhere,
            }
        }

        /// Returns what is said about the view as it is now.
        fn says(&mut self, seconds: i64) -> String {
            let effects = self.notices.handle(&self.view, self.focus, at(seconds));
            effects.iter().map(written).collect()
        }

        fn tells(&mut self, seconds: i64, expected: &Expect) {
            expected.assert_eq(&self.says(seconds));
        }

        /// Ends a job of the view.
        fn ends(&mut self, index: usize, status: JobStatus, seconds: i64) {
            let job = &mut self.view.jobs[index];
            job.status = status;
            job.completed_at = Some(at(seconds));
        }
    }

    fn written(effect: &NoticeEffect) -> String {
        match effect {
            NoticeEffect::Withdraw(id) => format!("withdraw {id}\n"),
            NoticeEffect::Show(n) => {
                let (urgency, page) = (n.urgency, n.page.word());
                let mut text = format!("{urgency:?} {} -> {page}\n  {}\n", n.id, n.title);
                if !n.body.is_empty() {
                    let _ = writeln!(text, "  {}", n.body);
                }
                if let Some(percent) = n.progress {
                    let _ = writeln!(text, "  {percent} %");
                }
                for button in &n.buttons {
                    let _ = writeln!(text, "  ({}) {}", button.id, button.label);
                }
                text
            }
        }
    }

    fn open() -> WindowView {
        WindowView::Open { seconds_left: 300 }
    }

    #[test]
    fn a_pair_request_is_told_and_withdrawn_when_it_is_decided() {
        let mut desk = Desk::new();
        desk.view.window = open();
        desk.view.pending = vec![asker("attic-id", "Attic")];
        desk.tells(
            1,
            &expect![[r#"
            Normal pair:attic-id -> builders
              Attic asks to use this computer
              Compare the emoji on both screens before you allow it.
              (review) Review
              (reject) Reject
        "#]],
        );
        assert_eq!(desk.says(2), "", "told once");
        let reject = Request::Reject("attic-id".parse().unwrap());
        let clicked = desk.notices.clicked("pair:attic-id", Some("reject"));
        assert_eq!(clicked, Some(Action::Ask(reject)));
        desk.view.pending.clear();
        desk.tells(
            3,
            &expect![[r#"
            withdraw pair:attic-id
        "#]],
        );
        assert_eq!(desk.notices.clicked("pair:attic-id", Some("reject")), None);
    }

    #[test]
    fn a_full_disk_is_told_once_and_withdrawn_when_there_is_room_again() {
        let mut desk = Desk::new();
        desk.view.availability = judged(AvailabilityReason::LowDisk);
        desk.tells(
            1,
            &expect![[r#"
            Normal disk -> storage
              Disk space is short
              Nothing is built for others until there is more. See what Kiln keeps, and what it can make again.
              (open) Open
        "#]],
        );
        assert_eq!(desk.says(2), "", "told once");
        desk.view.availability = judged(AvailabilityReason::UserActive);
        desk.tells(
            3,
            &expect![[r#"
            withdraw disk
        "#]],
        );
    }

    #[test]
    fn other_pauses_are_no_notice() {
        let mut desk = Desk::new();
        for reason in AvailabilityReason::ALL {
            desk.view.availability = judged(*reason);
            let expected = *reason == AvailabilityReason::LowDisk;
            assert_eq!(desk.says(1).contains("Normal"), expected, "{reason:?}");
        }
    }

    #[test]
    fn a_pair_request_is_over_when_the_window_closes() {
        let mut desk = Desk::new();
        desk.view.window = open();
        desk.view.pending = vec![asker("attic-id", "Attic")];
        desk.says(1);
        desk.view.window = WindowView::Closed;
        assert_eq!(desk.says(2), "withdraw pair:attic-id\n");
    }

    #[test]
    fn a_pair_request_goes_with_the_node_and_is_told_again_if_it_comes_back() {
        let mut desk = Desk::new();
        desk.view.window = open();
        desk.view.pending = vec![asker("attic-id", "Attic")];
        desk.view.jobs = vec![compile(1, "kitchen", JobStatus::Failed)];
        desk.says(1);
        let effects = desk.notices.node_gone();
        let withdrawn: String = effects.iter().map(written).collect();
        assert_eq!(withdrawn, "withdraw pair:attic-id\n");
        assert_eq!(desk.notices.clicked("pair:attic-id", Some("reject")), None);
        let said = desk.says(2);
        assert!(said.starts_with("Normal pair:attic-id"), "{said}");
        assert!(!said.contains("job:"), "a failure is no news: {said}");
    }

    #[test]
    fn another_key_under_the_same_name_asks_anew() {
        let mut desk = Desk::new();
        desk.view.window = open();
        desk.view.pending = vec![asker("attic-id", "Attic")];
        desk.says(1);
        desk.view.pending[0].pin = Pin([7; 32]);
        assert!(desk.says(2).starts_with("Normal pair:attic-id"));
    }

    #[test]
    fn a_changed_identity_is_urgent_and_other_alerts_are_not_told() {
        let mut desk = Desk::new();
        desk.view.alerts = vec![alert(AlertKind::PeerRevoked)];
        assert_eq!(desk.says(1), "");
        desk.view.alerts = vec![alert(AlertKind::PinMismatch)];
        desk.tells(2, &expect![[r#"
            Urgent identity:0909090909090909090909090909090909090909090909090909090909090909 -> builders
              Laptop answers with another identity
              Builds there have stopped. Make sure that it is still your computer before you pair again.
              (review) Review
        "#]]);
        desk.view.alerts.clear();
        assert!(desk.says(3).starts_with("withdraw identity:0909"));
    }

    #[test]
    fn a_build_that_failed_elsewhere_can_be_done_here() {
        let mut desk = Desk::new();
        let mut flash = job(2, JobKind::Upload, "kitchen", JobStatus::Queued);
        let compile = on_laptop(compile(1, "kitchen", JobStatus::Running));
        flash.depends_on = Some(compile.id.clone());
        desk.view.jobs = vec![flash, compile];
        assert_eq!(desk.says(1), "");
        desk.focus = WindowFocus::Focused;
        desk.view.jobs[1].error = Some("Component not found: platform foo.\n\u{1b}[31m".into());
        desk.ends(1, JobStatus::Failed, 5);
        desk.ends(0, JobStatus::Cancelled, 5);
        desk.tells(
            5,
            &expect![[r#"
            Normal job:000000000001 -> job
              kitchen could not be built
              Component not found: platform foo. �[31m
              (log) Open log
              (here) Build here
        "#]],
        );
        let here = Request::BuildHere(desk.view.jobs[1].id.clone());
        let clicked = desk.notices.clicked("job:000000000001", Some("here"));
        assert_eq!(clicked, Some(Action::Ask(here)));
        let mut again = crate::stage::compile(3, "kitchen", JobStatus::Queued);
        again.created_at = at(6);
        desk.view.jobs.insert(0, again);
        assert_eq!(desk.says(7), "withdraw job:000000000001\n");
    }

    #[test]
    fn a_build_that_failed_between_two_views_is_told_and_one_that_was_stopped_is_not() {
        let mut desk = Desk::new();
        desk.view.jobs = vec![
            compile(1, "kitchen", JobStatus::Failed),
            compile(2, "bath", JobStatus::Cancelled),
        ];
        desk.tells(
            1,
            &expect![[r#"
                Normal job:000000000001 -> job
                  kitchen could not be built
                  (log) Open log
            "#]],
        );
    }

    #[test]
    fn a_long_install_is_told_when_nobody_looks() {
        for (focus, seconds, told) in [
            (WindowFocus::Elsewhere, 61, true),
            (WindowFocus::Elsewhere, 60, false),
            (WindowFocus::Focused, 61, false),
        ] {
            let mut desk = Desk::new();
            desk.focus = focus;
            let build = on_laptop(compile(1, "kitchen", JobStatus::Running));
            let mut flash = job(2, JobKind::Upload, "kitchen", JobStatus::Queued);
            flash.depends_on = Some(build.id.clone());
            desk.view.jobs = vec![flash, build];
            desk.says(1);
            desk.ends(1, JobStatus::Completed, seconds - 5);
            desk.view.jobs[0].started_at = Some(at(seconds - 5));
            assert_eq!(desk.says(seconds - 5), "", "the flash is to come");
            desk.ends(0, JobStatus::Completed, seconds);
            let said = desk.says(seconds);
            assert_eq!(!said.is_empty(), told, "{focus:?} {seconds}: {said}");
            if told {
                expect![[r#"
                    Normal job:000000000001 -> job
                      kitchen is installed
                      Laptop built it; it took 1 min.
                      (open) Open
                "#]]
                .assert_eq(&said);
                desk.focus = WindowFocus::Focused;
                assert_eq!(desk.says(70), "withdraw job:000000000001\n");
            }
        }
    }

    #[test]
    fn a_build_with_another_esphome_says_with_which() {
        let mut desk = Desk::new();
        let mut build = on_laptop(compile(1, "kitchen", JobStatus::Running));
        if let Placement::Remote {
            esphome_version, ..
        } = &mut build.placement
        {
            *esphome_version = EsphomeVersion::parse("2026.9.1");
        }
        desk.view.jobs = vec![build];
        desk.says(1);
        desk.ends(0, JobStatus::Completed, 61);
        let said = desk.says(61);
        let told = "Laptop built it with ESPHome 2026.9.1; it took 1 min.";
        assert!(said.contains(told), "{said}");
    }

    #[test]
    fn waiting_for_the_device_is_no_part_of_what_an_install_took() {
        let mut desk = Desk::new();
        let mut flash = job(2, JobKind::Upload, "kitchen", JobStatus::Queued);
        flash.depends_on = Some(JobId::from_random(1));
        flash.started_at = None;
        desk.view.jobs = vec![flash, compile(1, "kitchen", JobStatus::Running)];
        desk.says(1);
        desk.ends(1, JobStatus::Completed, 180);
        desk.view.jobs[0].deferred = true;
        assert_eq!(desk.says(180), "");
        desk.view.jobs[0].deferred = false;
        desk.view.jobs[0].started_at = Some(at(72_000));
        desk.ends(0, JobStatus::Completed, 72_060);
        desk.tells(
            72_060,
            &expect![[r#"
            Normal job:000000000001 -> job
              kitchen is installed
              It took 4 min.
              (open) Open
        "#]],
        );
    }

    #[test]
    fn builds_for_others_are_never_told() {
        let mut desk = Desk::new();
        for status in [JobStatus::Running, JobStatus::Failed, JobStatus::Completed] {
            let mut build = for_garage(compile(1, "porch", status));
            build.completed_at = Some(at(1000));
            desk.view.jobs = vec![build];
            assert_eq!(desk.says(1000), "", "{status:?}");
        }
    }

    #[test]
    fn what_was_so_at_the_start_is_no_news() {
        let mut view = quiet();
        view.window = open();
        view.pending = vec![asker("attic-id", "Attic")];
        view.alerts = vec![alert(AlertKind::PinMismatch)];
        view.jobs = vec![compile(1, "kitchen", JobStatus::Failed)];
        let mut desk = Desk::with(view);
        assert_eq!(desk.says(1), "");
    }

    #[test]
    fn an_old_failure_that_comes_back_into_the_list_is_no_news() {
        let mut desk = Desk::new();
        let mut old = compile(1, "kitchen", JobStatus::Failed);
        old.created_at = at(-5000);
        desk.view.jobs = vec![old];
        assert_eq!(desk.says(1), "");
    }

    #[test]
    fn many_installs_are_one_summary() {
        let mut desk = Desk::new();
        for n in 1..=4 {
            desk.view
                .jobs
                .push(compile(n, &format!("d{n}"), JobStatus::Running));
        }
        assert_eq!(desk.says(1), "");
        desk.ends(0, JobStatus::Completed, 100);
        desk.tells(
            100,
            &expect![[r#"
            Quiet many -> activity
              Working on 4 devices
              1 of 4 done
              25 %
              (open) Open
        "#]],
        );
        assert_eq!(desk.says(101), "", "nothing changed");
        desk.ends(1, JobStatus::Failed, 110);
        desk.ends(2, JobStatus::Completed, 110);
        desk.tells(
            110,
            &expect![[r#"
            Quiet many -> activity
              Working on 4 devices
              3 of 4 done, 1 failed
              75 %
              (open) Open
        "#]],
        );
        desk.view.jobs[3].deferred = true;
        desk.tells(
            120,
            &expect![[r#"
                Normal many -> activity
                  4 devices are done
                  1 failed, 1 still offline
                  (open) Open
            "#]],
        );
        desk.view.jobs[3].deferred = false;
        desk.ends(3, JobStatus::Completed, 4000);
        desk.tells(
            4000,
            &expect![[r#"
            Normal job:000000000004 -> job
              d4 is built
              It took 1 h 6 min.
              (open) Open
        "#]],
        );
    }

    #[test]
    fn a_summary_goes_when_the_window_is_looked_at() {
        let mut desk = Desk::new();
        for n in 1..=3 {
            desk.view
                .jobs
                .push(compile(n, &format!("d{n}"), JobStatus::Running));
        }
        desk.says(1);
        desk.ends(0, JobStatus::Completed, 50);
        desk.says(50);
        desk.focus = WindowFocus::Focused;
        assert_eq!(desk.says(51), "withdraw many\n");
        desk.ends(1, JobStatus::Completed, 52);
        desk.ends(2, JobStatus::Completed, 52);
        assert_eq!(desk.says(52), "");
    }

    #[test]
    fn german_is_spoken_without_gaps() {
        let mut desk = Desk::new();
        desk.notices.speak(german());
        desk.view.window = open();
        desk.view.pending = vec![asker("attic-id", "Dachboden")];
        desk.view.jobs = vec![on_laptop(compile(1, "kitchen", JobStatus::Failed))];
        desk.tells(
            1,
            &expect![[r#"
                Normal pair:attic-id -> builders
                  Dachboden möchte diesen Computer benutzen
                  Vergleiche die Emojis auf beiden Bildschirmen, bevor du zustimmst.
                  (review) Ansehen
                  (reject) Ablehnen
                Normal job:000000000001 -> job
                  kitchen konnte nicht gebaut werden
                  (log) Log öffnen
                  (here) Hier bauen
            "#]],
        );
    }
}
