//! What the desktop does, as stories: events in, effects out.
use super::*;
use crate::{Again, Answer, ToDesk, WindowEnd};
use kiln_model::{
    AvailabilityReason, FLASH_PATIENCE, FriendlyName, Input, InputVerdict, JobKind, JobOrigin,
    JobStatus, Label, PendingPeer, Pin, PublicKey, Timestamp, Verdict, WindowView, say,
};

use kiln_ipc::{Event as Told, ServerMessage, decode_server};
use kiln_ports::notify::{Click, NotificationEvent, NotifyError, Sound};
use kiln_ports::tray::TrayEntry;

/// A desk, and every effect so far in one word each.
struct Story {
    desk: Desk,
    now: Now,
}

impl Story {
    /// A desktop in English whose icon is shown, hosting the node.
    fn begins() -> Self {
        let mut story = Self::with(DeskSettings::default());
        story.then(Event::Hosting(Hosting::Ours));
        story.then(Event::Tray(TrayEvent::Host(TrayHost::Here)));
        story
    }

    fn with(settings: DeskSettings) -> Self {
        let now = Now {
            mono: Mono(Duration::from_secs(1000)),
            wall: Timestamp::from_seconds(1_800_000_000.0),
        };
        let start = Start {
            settings,
            locale: "en_GB".to_owned(),
            zone: TimeZone::UTC,
            look: Look::Colour,
        };
        let mut desk = Desk::new(start, now);
        assert!(matches!(desk.poll_effect(), Some(Effect::ShowTray(_))));
        Self { desk, now }
    }

    /// Lets something happen and returns what is done about it, the icon left out.
    fn then(&mut self, event: Event) -> Vec<String> {
        self.desk.handle(event, self.now);
        self.done()
    }

    fn passes(&mut self, time: Duration) -> Vec<String> {
        self.now.mono = self.now.mono + time;
        self.desk.handle_timeout(self.now);
        self.done()
    }

    fn done(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.desk.poll_effect())
            .filter_map(|effect| word(&effect))
            .collect()
    }

    fn window_opens(&mut self) {
        self.then(Event::Show(Goal::overview()));
        self.then(Event::Window(ToDesk::Window));
    }

    fn clicks(&mut self, id: &str) -> Vec<String> {
        self.then(Event::Tray(TrayEvent::Clicked(id.to_owned())))
    }

    fn shows(&mut self, id: &str) -> Vec<String> {
        self.then(Event::Notified(id.to_owned()))
    }

    fn presses(&mut self, id: &str, button: &str) -> Vec<String> {
        self.then(Event::Notification(NotificationEvent {
            id: id.to_owned(),
            click: Click::Button(button.to_owned()),
        }))
    }
}

fn word(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::ShowTray(_) => return None,
        Effect::Notify(notification) => format!("notify {}", notification.id),
        Effect::Withdraw(id) => format!("withdraw {id}"),
        Effect::Ask(request) => format!("ask {request:?}"),
        Effect::Pause(snooze) => format!("pause {}", snooze.word()),
        Effect::Resume => "resume".to_owned(),
        Effect::StartWindow(goal) => format!("start window {}", goal.page),
        Effect::TellWindow(told) => format!("tell {}", told.to_line().unwrap().trim_end()),
        Effect::Host => "host".to_owned(),
        Effect::StopNode => "stop node".to_owned(),
        Effect::Keep(_) => "keep".to_owned(),
        Effect::End => "end".to_owned(),
    })
}

/// A node that does nothing, or compiles for a dashboard named Attic.
fn view(jobs: &str) -> Event {
    let line = r#"{"id":1,"event":"view","view":{"identity":{"pin_sha256":"PIN","dashboard_id":
        "kiln-0123456789ab","friendly_name":"","version":"0.1.0","esphome_version":null},
        "availability":{"open":true,"reason":"ready","since":null,"until":null,"inputs":[]},
        "listening_port":6055,"window":{"state":"closed"},"receivers":[],"offloaders":[],
        "requests":[],"alerts":[],"discovered":[],"jobs":[JOBS],"queue":{"idle":true,
        "running":false,"queue_depth":0},"notices":[],"at":1800000000.0,"own_label":"Here"}}"#;
    let line = line
        .replace("PIN", &"ab".repeat(32))
        .replace("JOBS", jobs)
        .replace('\n', "");
    match decode_server(line.as_bytes()) {
        Ok(ServerMessage::Event {
            event: Told::View { view },
            ..
        }) => Event::View(view),
        other => panic!("{other:?}"),
    }
}

/// A node that has worked for two minutes on a build of its owner.
fn built_long() -> Event {
    let Event::View(mut built) = view(FOR_ATTIC) else {
        panic!("a view");
    };
    let job = &mut built.jobs[0];
    job.origin = JobOrigin::Owner;
    job.status = JobStatus::Completed;
    job.completed_at = Some(Timestamp(built.at.0 + 120_000_000));
    Event::View(built)
}

/// A node that writes a device of its owner's.
fn flashing() -> Event {
    let Event::View(mut flashing) = view(FOR_ATTIC) else {
        panic!("a view");
    };
    let job = &mut flashing.jobs[0];
    job.origin = JobOrigin::Owner;
    job.kind = JobKind::Upload;
    Event::View(flashing)
}

/// A node that Attic asks for a pairing.
fn asked_by_attic() -> Event {
    let Event::View(mut asked) = view("") else {
        panic!("a view");
    };
    asked.window = WindowView::Open { seconds_left: 300 };
    asked.pending = vec![PendingPeer {
        dashboard_id: "attic-id-0123456789".parse().unwrap(),
        pin: Pin([4; 32]),
        public_key: PublicKey([4; 32]),
        label: Label::clipped("Attic"),
        label_auto: false,
        peer_ip: None,
        friendly_name: FriendlyName::default(),
        ha_addon: false,
        requested_at: asked.at,
    }];
    Event::View(asked)
}

/// A build that runs here for the dashboard Attic.
const FOR_ATTIC: &str = r#"{"id":"0123456789ab","kind":"compile","configuration":"k.yaml",
    "device_name":"k","origin":{"by":"offloader","pin_sha256":
    "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","dashboard_id":
    "attic-id-0123456789","wire_job_id":"w1","label":"Attic"},"placement":{"on":"local"},
    "status":"running","depends_on":null,"port":null,"bootloader":"skip","target_version":null,
    "created_at":1800000000.0,"started_at":1800000000.0,"completed_at":null,"exit_code":null,
    "error":null,"failure_reason":null,"progress":10,"reason":"","deferred":false}"#;

#[test]
fn a_start_at_login_opens_no_window_and_a_second_start_opens_one_only() {
    let mut story = Story::begins();
    assert_eq!(story.then(view("")), [""; 0]);
    assert_eq!(
        story.then(Event::Show(Goal::overview())),
        ["start window overview"]
    );
    let devices = Goal::page("devices").unwrap();
    assert_eq!(story.then(Event::Show(devices.clone())), [""; 0]);
    let told = story.then(Event::Window(ToDesk::Window));
    assert!(told[0].contains("welcome") && told[0].contains("shown"));
    assert!(told[1].contains("\"page\":\"devices\""), "{told:?}");
    let told = story.then(Event::Show(devices));
    assert!(told[0].starts_with("tell {\"say\":\"open\""), "{told:?}");
}

#[test]
fn menu_and_icon_lead_to_the_window() {
    let mut story = Story::begins();
    story.then(view(""));
    assert_eq!(story.clicks("settings"), ["start window settings"]);
    story.then(Event::Window(ToDesk::Window));
    assert!(story.then(Event::Tray(TrayEvent::Activated))[0].contains("overview"));
}

#[test]
fn a_click_on_a_line_that_is_gone_from_the_menu_meanwhile_opens_the_window() {
    let mut story = Story::begins();
    story.then(view(FOR_ATTIC));
    story.then(view(""));
    let gone = "stop.0123456789ab";
    assert_eq!(story.clicks(gone), ["start window overview"]);
    story.then(Event::Window(ToDesk::Window));
    assert!(story.clicks(gone)[0].contains("overview"));
    story.then(Event::Stop);
    assert_eq!(story.clicks(gone), [""; 0], "a window would stay behind");
}

#[test]
fn closing_the_window_says_once_that_kiln_goes_on() {
    let mut story = Story::begins();
    story.window_opens();
    let done = story.then(Event::WindowEnded(WindowEnd::Closed));
    assert_eq!(done, ["notify desk-goes-on"]);
    assert_eq!(story.shows("desk-goes-on"), ["keep"]);
    story.window_opens();
    assert_eq!(story.then(Event::WindowEnded(WindowEnd::Closed)), [""; 0]);
}

#[test]
fn a_broken_window_is_said_and_can_be_opened_again() {
    let mut story = Story::begins();
    story.window_opens();
    let broken = WindowEnd::Broken("signal 11".to_owned());
    let done = story.then(Event::WindowEnded(broken.clone()));
    assert_eq!(done, ["notify desk-window-broke"]);
    assert_eq!(
        story.presses("desk-window-broke", "open"),
        ["start window overview"]
    );
    assert_eq!(
        story.then(Event::WindowEnded(broken)),
        ["notify desk-window-broke"]
    );
}

#[test]
fn a_click_while_the_window_is_about_to_be_gone_opens_it_again() {
    let mut story = Story::begins();
    story.window_opens();
    assert_eq!(story.then(Event::WindowGoing), [""; 0]);
    let devices = Goal::page("devices").unwrap();
    assert_eq!(story.then(Event::Show(devices)), [""; 0]);
    let closed = Event::WindowEnded(WindowEnd::Closed);
    assert_eq!(story.then(closed.clone()), ["start window devices"]);
    story.then(Event::Window(ToDesk::Window));
    assert_eq!(story.then(Event::WindowGoing), [""; 0]);
    assert_eq!(story.then(closed), ["notify desk-goes-on"]);
}

#[test]
fn quitting_asks_only_while_others_wait_for_this_node_and_says_who() {
    let mut story = Story::begins();
    story.then(view(FOR_ATTIC));
    assert_eq!(story.clicks("quit"), ["start window overview"]);
    let told = story.then(Event::Window(ToDesk::Window));
    let asked = told.last().unwrap();
    assert!(
        asked.contains("ask_quit") && asked.contains("Attic"),
        "{asked}"
    );
    let no = ToDesk::Quit { answer: Answer::No };
    assert_eq!(story.then(Event::Window(no)), [""; 0]);
    let told = story.clicks("quit");
    assert!(told[0].contains("ask_quit"), "{told:?}");
    let yes = ToDesk::Quit {
        answer: Answer::Yes,
    };
    let done = story.then(Event::Window(yes.clone()));
    assert_eq!(done, ["tell {\"say\":\"close\"}", "stop node"]);
    assert_eq!(story.then(Event::HostEnded), ["end"]);

    let mut idle = Story::begins();
    idle.then(view(""));
    assert_eq!(idle.clicks("quit"), ["stop node"]);

    let mut client = Story::begins();
    client.then(Event::Hosting(Hosting::Theirs));
    client.then(view(FOR_ATTIC));
    assert_eq!(client.clicks("quit"), ["end"]);
}

#[test]
fn a_word_to_end_waits_for_a_device_that_is_being_written() {
    let mut story = Story::begins();
    story.then(flashing());
    story.window_opens();
    assert_eq!(story.clicks("quit"), ["tell {\"say\":\"close\"}"]);
    let shown = story.desk.shown.as_ref().unwrap();
    assert_eq!(shown.tooltip, "Kiln ends when k is installed.");
    assert_eq!(story.then(Event::WindowEnded(WindowEnd::Closed)), [""; 0]);
    assert_eq!(story.clicks("quit"), [""; 0]);
    assert_eq!(story.then(flashing()), [""; 0]);
    assert_eq!(story.then(view("")), ["stop node"]);

    let mut slow = Story::begins();
    slow.then(flashing());
    slow.clicks("quit");
    assert_eq!(slow.passes(FLASH_PATIENCE), ["stop node"]);

    let mut told = Story::begins();
    told.then(flashing());
    told.clicks("quit");
    assert_eq!(told.then(Event::Stop), ["stop node"], "the system's word");
}

#[test]
fn who_opens_kiln_while_its_end_waits_keeps_it() {
    let mut story = Story::begins();
    story.then(flashing());
    story.clicks("quit");
    let started = story.then(Event::Show(Goal::overview()));
    assert_eq!(started, ["start window overview"]);
    assert_eq!(story.then(view("")), [""; 0]);
    assert_eq!(story.clicks("quit"), ["stop node"]);
}

#[test]
fn an_answer_that_nobody_asked_for_ends_nothing() {
    let mut story = Story::begins();
    story.window_opens();
    let yes = ToDesk::Quit {
        answer: Answer::Yes,
    };
    assert_eq!(story.then(Event::Window(yes)), [""; 0]);
    assert_eq!(story.presses("desk-quit", "quit"), [""; 0]);
}

#[test]
fn without_a_display_the_question_is_a_notification_and_without_one_the_answer_is_no() {
    let mut story = Story::begins();
    story.then(view(FOR_ATTIC));
    story.clicks("quit");
    let never = WindowEnd::Never("no display".to_owned());
    assert_eq!(
        story.then(Event::WindowEnded(never.clone())),
        ["notify desk-quit"]
    );
    assert_eq!(story.presses("desk-quit", "quit"), ["stop node"]);

    let mut mute = Story::begins();
    mute.then(view(FOR_ATTIC));
    mute.clicks("quit");
    mute.then(Event::WindowEnded(never));
    let error = kiln_ports::notify::NotifyError::NoDaemon;
    assert_eq!(
        mute.then(Event::NotNotified("desk-quit".to_owned(), error)),
        [""; 0]
    );
    assert_eq!(mute.presses("desk-quit", "quit"), [""; 0]);
}

#[test]
fn what_the_window_shows_is_not_left_behind_as_a_notification() {
    let mut story = Story::begins();
    story.window_opens();
    story.then(Event::WindowEnded(WindowEnd::Closed));
    story.then(Event::Show(Goal::overview()));
    let told = story.then(Event::Window(ToDesk::Window));
    assert_eq!(told[1..], ["withdraw desk-goes-on"]);
    story.then(Event::WindowEnded(WindowEnd::Broken("signal".to_owned())));
    story.then(Event::Show(Goal::overview()));
    let told = story.then(Event::Window(ToDesk::Window));
    assert_eq!(told[1..], ["withdraw desk-window-broke"]);
}

#[test]
fn a_question_that_is_answered_is_asked_nowhere_any_more() {
    let mut story = Story::begins();
    story.then(view(FOR_ATTIC));
    story.clicks("quit");
    story.then(Event::WindowEnded(WindowEnd::Never(String::new())));
    story.then(Event::Show(Goal::overview()));
    let told = story.then(Event::Window(ToDesk::Window));
    assert_eq!(told[1], "withdraw desk-quit");
    assert!(told[2].contains("ask_quit"), "{told:?}");
}

#[test]
fn nothing_is_left_whose_buttons_nobody_hears() {
    let mut story = Story::begins();
    story.then(view(""));
    let refused = || Event::Refused {
        message: say::no_node(),
        hint: say::hint_start_kiln(),
    };
    assert_eq!(story.then(refused()), ["notify desk-refused"]);
    let done = story.clicks("quit");
    assert_eq!(done, ["withdraw desk-refused", "stop node"]);
    assert_eq!(story.then(refused()), [""; 0]);
    assert_eq!(story.then(Event::HostEnded), ["end"]);

    let mut ended = Story::begins();
    ended.then(refused());
    assert_eq!(
        ended.then(Event::HostEnded),
        ["withdraw desk-refused", "end"]
    );
}

#[test]
fn who_asked_a_node_that_is_gone_is_asked_about_no_more() {
    let mut story = Story::begins();
    story.then(view(""));
    assert_eq!(
        story.then(asked_by_attic()),
        ["notify pair:attic-id-0123456789"]
    );
    assert_eq!(
        story.then(Event::NodeGone),
        ["withdraw pair:attic-id-0123456789"]
    );
    assert_eq!(story.then(Event::NodeGone), [""; 0]);
}

#[test]
fn without_a_display_whoever_wants_the_window_is_told_what_works_instead() {
    let mut story = Story::begins();
    story.then(Event::Show(Goal::overview()));
    let never = WindowEnd::Never("no display".to_owned());
    assert_eq!(
        story.then(Event::WindowEnded(never)),
        ["notify desk-no-window"]
    );
    assert_eq!(
        story.then(Event::Show(Goal::overview())),
        ["start window overview"]
    );
}

#[test]
fn the_icon_is_drawn_anew_when_a_strong_contrast_is_wanted_and_only_then() {
    let mut story = Story::begins();
    let mut drawn = |contrast| {
        story.desk.handle(Event::Contrast(contrast), story.now);
        let effects = std::iter::from_fn(|| story.desk.poll_effect());
        let trays: Vec<Tray> = effects
            .filter_map(|effect| match effect {
                Effect::ShowTray(tray) => Some(tray),
                _ => None,
            })
            .collect();
        trays
    };
    assert_eq!(drawn(Contrast::Normal), []);
    let strong = drawn(Contrast::High);
    assert_eq!(strong.len(), 1);
    assert_eq!(drawn(Contrast::High), []);
    let usual = drawn(Contrast::Normal);
    assert_eq!(usual.len(), 1);
    assert_ne!(usual[0].icon, strong[0].icon);
}

#[test]
fn the_systems_word_ends_it_without_a_question() {
    let mut story = Story::begins();
    story.then(view(FOR_ATTIC));
    story.window_opens();
    let done = story.then(Event::Stop);
    assert_eq!(done, ["tell {\"say\":\"close\"}", "stop node"]);
    assert_eq!(story.then(Event::Stop), [""; 0]);
    assert_eq!(story.then(Event::Show(Goal::overview())), [""; 0]);
    assert_eq!(story.then(Event::WindowEnded(WindowEnd::Closed)), [""; 0]);
}

#[test]
fn a_node_that_cannot_start_is_said_once_and_tried_again_on_a_word() {
    let mut story = Story::with(DeskSettings::default());
    let failed = || {
        Event::Hosting(Hosting::Failed {
            why: say::keyring_locked(),
            again: Again::OnWord,
        })
    };
    story.desk.handle(failed(), story.now);
    let effects: Vec<Effect> = std::iter::from_fn(|| story.desk.poll_effect()).collect();
    let [Effect::Notify(said), Effect::ShowTray(tray)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let sentence = "The keyring is locked; unlock it and try again.";
    assert_eq!(said.body, sentence);
    assert_eq!(tray.tooltip, sentence);
    assert_eq!(story.then(failed()), [""; 0]);
    assert_eq!(story.presses("desk-trouble", "again"), ["host"]);
    assert_eq!(story.then(Event::Window(ToDesk::Again)), ["host"]);
    assert_eq!(
        story.then(Event::Show(Goal::overview())),
        ["host", "start window overview"]
    );
    let told = story.then(Event::Window(ToDesk::Window));
    assert!(
        told.last()
            .unwrap()
            .contains("The keyring is locked; unlock it")
    );
    let done = story.then(Event::Hosting(Hosting::Ours));
    assert_eq!(done, ["tell {\"say\":\"trouble\",\"message\":null}"]);
}

#[test]
fn a_desktop_without_a_panel_is_told_once_and_one_that_is_slow_is_not() {
    let mut story = Story::with(DeskSettings::default());
    let missing = || Event::Tray(TrayEvent::Host(TrayHost::Missing));
    story.then(missing());
    story.passes(Duration::from_secs(10));
    story.then(Event::Tray(TrayEvent::Host(TrayHost::Here)));
    assert_eq!(story.passes(PANEL_PATIENCE), [""; 0]);
    story.then(missing());
    assert_eq!(story.passes(PANEL_PATIENCE / 2), [""; 0]);
    story.then(missing());
    assert_eq!(story.passes(PANEL_PATIENCE / 2), ["notify desk-no-tray"]);
    assert_eq!(story.shows("desk-no-tray"), ["keep"]);
    let here = story.then(Event::Tray(TrayEvent::Host(TrayHost::Here)));
    assert_eq!(here, ["withdraw desk-no-tray"]);
    story.then(missing());
    assert_eq!(story.passes(PANEL_PATIENCE), [""; 0]);
}

#[test]
fn switched_off_notifications_leave_only_the_answer_to_a_click() {
    let mut settings = DeskSettings::default();
    settings.set("notifications", "off").unwrap();
    let mut story = Story::with(settings);
    story.then(Event::Hosting(Hosting::Ours));
    story.then(view(FOR_ATTIC));
    let refused = Event::Refused {
        message: say::no_node(),
        hint: say::hint_start_kiln(),
    };
    assert_eq!(story.then(refused), ["notify desk-refused"]);
    story.clicks("quit");
    let never = WindowEnd::Never(String::new());
    assert_eq!(story.then(Event::WindowEnded(never)), ["notify desk-quit"]);
}

#[test]
fn a_click_that_was_in_vain_is_said_in_the_window_where_no_notification_is() {
    let mut story = Story::begins();
    story.then(view(""));
    let refused = || Event::Refused {
        message: say::no_node(),
        hint: say::hint_start_kiln(),
    };
    let nobody = || Event::NotNotified("desk-refused".to_owned(), NotifyError::NoDaemon);
    story.then(refused());
    assert_eq!(story.then(nobody()), ["start window overview"]);
    let told = story.then(Event::Window(ToDesk::Window));
    let why = said_in_window(told.last().unwrap());
    assert!(why.starts_with(say::no_node().as_str()), "{why}");
    story.then(refused());
    let told = story.then(nobody());
    assert_eq!(said_in_window(&told[0]), why);

    let mut ends = Story::begins();
    ends.then(flashing());
    ends.then(refused());
    ends.clicks("quit");
    assert_eq!(ends.then(nobody()), [""; 0], "who wants to end is not kept");
    assert_eq!(ends.then(view("")), ["stop node"]);

    let mut elsewhere = Story::begins();
    elsewhere.then(refused());
    elsewhere.then(Event::Show(Goal::page("devices").unwrap()));
    assert_eq!(
        elsewhere.then(nobody()),
        [""; 0],
        "the window that comes keeps its goal"
    );

    let mut seen = Story::begins();
    seen.then(refused());
    seen.shows("desk-refused");
    seen.then(Event::Show(Goal::overview()));
    assert_eq!(seen.then(Event::Window(ToDesk::Window)).len(), 1);
}

/// Returns what the window is to say of a click that was in vain.
fn said_in_window(told: &str) -> String {
    let word = ToWindow::from_line(told.strip_prefix("tell ").unwrap().as_bytes());
    match word.unwrap() {
        ToWindow::Refused { message } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_could_see_was_not_said() {
    let mut settings = DeskSettings::default();
    settings.set("notifications", "off").unwrap();
    let mut story = Story::with(settings);
    story.then(Event::Hosting(Hosting::Ours));
    story.window_opens();
    assert_eq!(story.then(Event::WindowEnded(WindowEnd::Closed)), [""; 0]);
    story.then(Event::Settings(DeskSettings::default()));
    story.window_opens();
    let closed = story.then(Event::WindowEnded(WindowEnd::Closed));
    assert_eq!(closed, ["notify desk-goes-on"]);
    let nobody = || Event::NotNotified("desk-goes-on".to_owned(), NotifyError::NoDaemon);
    assert_eq!(story.then(nobody()), [""; 0]);
    story.window_opens();
    let closed = story.then(Event::WindowEnded(WindowEnd::Closed));
    assert_eq!(closed, ["notify desk-goes-on"]);
}

#[test]
fn the_window_knows_whether_notifications_are_seen() {
    let mut story = Story::begins();
    story.then(Event::NotNotified("disk".to_owned(), NotifyError::NoDaemon));
    story.then(Event::Show(Goal::overview()));
    let told = story.then(Event::Window(ToDesk::Window));
    assert!(
        told[0].contains("\"notifications\":\"missing\""),
        "{told:?}"
    );
    let told = story.then(Event::NotNotified("disk".to_owned(), NotifyError::Denied));
    assert!(told[0].contains("\"notifications\":\"denied\""), "{told:?}");
    let told = story.shows("disk");
    assert!(told[0].contains("\"notifications\":\"shown\""), "{told:?}");
    assert_eq!(story.shows("disk"), [""; 0]);
}

#[test]
fn a_window_is_looked_at_when_it_says_so() {
    let done = "notify job:0123456789ab";
    for (focus, told) in [
        (None, &[done][..]),
        (Some(Focus::Elsewhere), &[done]),
        (Some(Focus::Here), &[]),
    ] {
        let mut story = Story::begins();
        story.then(view(""));
        story.window_opens();
        if let Some(focus) = focus {
            story.then(Event::Window(ToDesk::Focus { focus }));
        }
        assert_eq!(story.then(built_long()), *told, "{focus:?}");
    }
}

#[test]
fn on_battery_no_notification_is_heard() {
    for (power, sound) in [
        (say::mains(), Sound::AsSet),
        (say::battery(), Sound::Never),
        (say::battery_at(80_u8), Sound::Never),
    ] {
        let mut story = Story::begins();
        story.then(view(""));
        let Event::View(mut asked) = asked_by_attic() else {
            panic!("a view");
        };
        asked.availability.inputs = vec![InputVerdict {
            input: Input::Power,
            value: power,
            limit: say::mains(),
            verdict: Verdict::Ok,
        }];
        story.desk.handle(Event::View(asked), story.now);
        let effects = std::iter::from_fn(|| story.desk.poll_effect());
        let mut heard = effects.filter_map(|effect| match effect {
            Effect::Notify(notification) => Some(notification.sound),
            _ => None,
        });
        assert_eq!(heard.next(), Some(sound));
    }
}

#[test]
fn another_time_zone_changes_the_times_at_once() {
    let mut story = Story::begins();
    let Event::View(mut paused) = view("") else {
        panic!("a view");
    };
    paused.availability.reason = AvailabilityReason::Snoozed;
    paused.availability.until = Some(Timestamp(story.now.wall.0 + 60_000_000));
    story.then(Event::View(paused));
    let mut tooltip_in = |hours: i8| {
        story.then(Event::Zone(TimeZone::fixed(jiff::tz::offset(hours))));
        story.desk.shown.as_ref().unwrap().tooltip.clone()
    };
    assert_eq!(tooltip_in(0), "Paused: by you. Resumes at 08:01.");
    assert_eq!(tooltip_in(2), "Paused: by you. Resumes at 10:01.");
}

#[test]
fn another_language_changes_the_menu_at_once() {
    let mut story = Story::begins();
    story.then(view(""));
    let mut settings = DeskSettings::default();
    settings.set("language", "de").unwrap();
    story.desk.handle(Event::Settings(settings), story.now);
    let Some(Effect::ShowTray(tray)) = story.desk.poll_effect() else {
        panic!("the icon changes");
    };
    let quits = |entry: &TrayEntry| matches!(entry, TrayEntry::Item(i) if i.label == "Beenden");
    assert!(tray.menu.iter().any(quits), "{:?}", tray.menu);
}

#[test]
fn what_did_not_change_is_not_shown_again() {
    let mut story = Story::begins();
    story.desk.handle(view(""), story.now);
    assert!(matches!(
        story.desk.poll_effect(),
        Some(Effect::ShowTray(_))
    ));
    story.desk.handle(view(""), story.now);
    assert_eq!(story.desk.poll_effect(), None);
}
