//! The two halves as one: settings, availability, sleep and shutdown across both.
use std::net::IpAddr;
use std::time::Duration;

use kiln_model::{
    BuildChoice, Endpoint, Hello, JobId, Label, LinkIntent, Message, PairingKey, Peer, Port,
    PublicKey, Tier, Timestamp,
};

use super::*;

const CLIENT: ClientId = ClientId(1);
const PIN: Pin = Pin([1; 32]);

fn endpoint() -> Endpoint {
    "receiver.example".parse().unwrap()
}

fn offloader() -> Peer {
    Peer {
        dashboard_id: "dashboard-1".parse().unwrap(),
        pin: PIN,
        public_key: PublicKey([1; 32]),
        label: Label::clipped("kitchen"),
        label_auto: false,
        paired_at: Timestamp(1),
        peer_ip: None,
        connect_back_port: None,
        friendly_name: Default::default(),
        ha_addon: false,
    }
}

fn proved(tier: Tier) -> Event {
    let detail = "as a test says".to_owned();
    Event::ConfinementProved(Confinement { tier, detail })
}

/// A node that is up, as a receiver for one offloader, on a machine of which nothing can be read.
fn node() -> Domain {
    let mut domain = Domain::new("0.1.0", 7);
    let settings = Settings {
        receiver: true,
        ..Settings::default()
    };
    tell(&mut domain, proved(Tier::Confined));
    tell(&mut domain, Event::SettingsLoaded(settings));
    tell(&mut domain, Event::Work(work::Event::Loaded(Vec::new())));
    let rows = peering::Event::Loaded(vec![offloader()], Vec::new());
    tell(&mut domain, Event::Peering(rows));
    tell(&mut domain, Event::Peering(identity()));
    let bound = peering::Event::Listening { port: 6055 };
    tell(&mut domain, Event::Peering(bound));
    tell(&mut domain, Event::Sensed(Box::default()));
    domain
}

fn identity() -> peering::Event {
    peering::Event::IdentityLoaded {
        pin: Pin([200; 32]),
        dashboard_id: "own".parse().unwrap(),
    }
}

fn knock(link: u64) -> Event {
    knock_of(&offloader(), link)
}

fn knock_of(peer: &Peer, link: u64) -> Event {
    Event::Peering(peering::Event::Knocked {
        link: LinkId(link),
        intent: Some(LinkIntent::PeerLink),
        public_key: peer.public_key,
        pin: peer.pin,
        hello: Hello {
            dashboard_id: Some(peer.dashboard_id.clone()),
            ..Hello::default()
        },
        source: IpAddr::from([192, 0, 2, 1]),
    })
}

fn tell(domain: &mut Domain, event: Event) -> Vec<Effect> {
    domain.handle(event, Now::default());
    std::iter::from_fn(|| domain.poll_effect()).collect()
}

fn ask(domain: &mut Domain, request: Request) -> Vec<Effect> {
    tell(domain, requested(request))
}

fn requested(request: Request) -> Event {
    Event::Requested {
        client: CLIENT,
        id: RequestId(9),
        request,
    }
}

fn replies(effects: &[Effect]) -> Vec<&Reply> {
    let reply = |effect| match effect {
        &Effect::Reply(RequestId(9), ref reply) => Some(reply),
        _ => None,
    };
    effects.iter().filter_map(reply).collect()
}

fn set(changes: &[(&str, &str)]) -> Request {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Request::SetSettings(changes.iter().map(owned).collect())
}

#[test]
fn settings_are_durable_and_in_use_before_they_are_confirmed() {
    let mut domain = node();
    let effects = ask(&mut domain, set(&[("receiver", "off")]));
    assert!(matches!(effects.first(), Some(Effect::SaveSettings(s)) if !s.receiver));
    let stops = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::StopListening));
    assert!(effects.iter().any(stops));
    assert!(matches!(effects.last(), Some(Effect::Reply(_, Reply::Settings(s))) if !s.receiver));
    let view = domain.view(Now::default()).unwrap();
    assert_eq!(view.availability.reason, AvailabilityReason::UserOff);
    let again = ask(&mut domain, set(&[("receiver", "off")]));
    assert_eq!(again.len(), 1, "nothing to save");
}

// Covers: M104
#[test]
fn one_bad_setting_leaves_all_unchanged() {
    let mut domain = node();
    let before = domain.settings().clone();
    let effects = ask(
        &mut domain,
        set(&[("receiver", "off"), ("listen_port", "x")]),
    );
    let [Effect::Reply(_, Reply::Refused(error))] = &effects[..] else {
        panic!("not just refused: {effects:?}");
    };
    assert_eq!(error.code, ErrorCode::InvalidArgs);
    assert_eq!(domain.settings(), &before);
}

//
#[test]
fn a_new_session_is_told_the_queue_status_right_after_it_was_let_in() {
    let effects = tell(&mut node(), knock(1));
    let answered = effects
        .iter()
        .position(|e| matches!(e, Effect::Peering(peering::Effect::Answer { .. })));
    let told = effects.iter().position(|e| {
        matches!(
            e,
            Effect::Work(work::Effect::Send(LinkId(1), Message::QueueStatus(_)))
        )
    });
    assert!(answered.is_some() && answered < told);
}

#[test]
fn nothing_is_sent_on_a_session_after_it_ended() {
    let mut domain = node();
    tell(&mut domain, knock(1));
    let gone = Request::RemovePeer(offloader().dashboard_id);
    let effects = ask(&mut domain, gone);
    let closed = effects
        .iter()
        .position(|e| matches!(e, Effect::Peering(peering::Effect::Close { .. })));
    let sent = effects
        .iter()
        .rposition(|e| matches!(e, Effect::Work(work::Effect::Send(..))));
    assert!(closed.is_some() && sent < closed);
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono(Duration::from_secs(seconds)),
        wall: Timestamp(1_790_000_000_000_000 + i64::try_from(seconds).unwrap() * 1_000_000),
    }
}

fn tell_at(domain: &mut Domain, event: Event, seconds: u64) -> Vec<Effect> {
    domain.handle(event, at(seconds));
    std::iter::from_fn(|| domain.poll_effect()).collect()
}

/// The system goes to sleep at that second.
fn asleep(seconds: u64) -> Event {
    let since = at(seconds).mono;
    Event::Slept(Sleep::Asleep { since })
}

/// Lets time pass from one moment to another.
fn pass(domain: &mut Domain, until: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    while let Some((due, _)) = domain
        .poll_timeout()
        .filter(|(due, _)| *due <= at(until).mono)
    {
        let seconds = due.0.as_secs() + u64::from(due.0.subsec_nanos() > 0);
        domain.handle_timeout(at(seconds));
        effects.extend(std::iter::from_fn(|| domain.poll_effect()));
    }
    effects
}

fn sensed(idle_seconds: u64) -> Event {
    Event::Sensed(Box::new(kiln_model::Inputs {
        idle: Some(Duration::from_secs(idle_seconds)),
        ..Default::default()
    }))
}

/// The links whose sessions are ended.
fn farewells(effects: &[Effect]) -> Vec<u64> {
    let ended = |effect: &Effect| match effect {
        Effect::Peering(peering::Effect::Close {
            link,
            terminate: Some(kiln_model::TerminateReason::ServerShuttingDown),
        }) => Some(link.0),
        _ => None,
    };
    effects.iter().filter_map(ended).collect()
}

fn is_peering(effect: &Effect, fits: fn(&peering::Effect) -> bool) -> bool {
    matches!(effect, Effect::Peering(effect) if fits(effect))
}

fn advertises_receiver(effect: &peering::Effect) -> bool {
    matches!(effect, peering::Effect::Advertise(advert) if advert.receiver.is_some())
}

#[test]
fn a_lasting_absence_ends_sessions_and_listening_and_a_return_begins_again() {
    let mut domain = node();
    tell(&mut domain, knock(1));
    let effects = tell_at(&mut domain, sensed(1), 1_000);
    let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
    assert!(!effects.iter().any(stops), "a short absence is sat out");
    let effects = pass(&mut domain, 1_119);
    assert!(!effects.iter().any(stops));
    let effects = pass(&mut domain, 1_121);
    let farewell = effects.iter().position(|e| {
        is_peering(e, |e| {
            matches!(e, peering::Effect::Close { terminate: Some(reason), .. }
                    if *reason == kiln_model::TerminateReason::ServerShuttingDown)
        })
    });
    let stopped = effects.iter().position(stops);
    assert!(farewell.is_some() && farewell < stopped, "{effects:?}");
    let closed = Event::Peering(peering::Event::ListenerClosed);
    let effects = tell_at(&mut domain, closed, 1_122);
    let adverts = |e: &Effect| is_peering(e, advertises_receiver);
    assert!(!effects.iter().any(adverts));
    assert_eq!(domain.view(at(1_122)).unwrap().listening, None);
    tell_at(&mut domain, sensed(180), 1_300);
    let effects = pass(&mut domain, 1_330);
    let listens = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::Listen));
    assert!(effects.iter().any(listens), "{effects:?}");
    let bound = Event::Peering(peering::Event::Listening { port: 6055 });
    assert!(tell_at(&mut domain, bound, 1_331).iter().any(adverts));
}

#[test]
fn who_waits_for_somebody_to_pair_with_is_there_although_the_owner_is() {
    let mut domain = node();
    tell_at(&mut domain, sensed(1), 1_000);
    pass(&mut domain, 1_200);
    let closed = Event::Peering(peering::Event::ListenerClosed);
    tell_at(&mut domain, closed, 1_200);
    let open = Event::Requested {
        client: CLIENT,
        id: RequestId(9),
        request: Request::OpenWindow,
    };
    let effects = tell_at(&mut domain, open, 1_201);
    assert!(matches!(replies(&effects)[..], [Reply::Done]));
    let listens = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::Listen));
    assert!(effects.iter().any(listens), "{effects:?}");
}

#[test]
fn a_pause_is_kept_before_it_is_confirmed_and_ends_sessions_when_a_bundle_begun_before_can_have_come()
 {
    let mut domain = node();
    tell(&mut domain, knock(1));
    let effects = ask(&mut domain, Request::Pause(kiln_model::Snooze::TwoHours));
    assert!(matches!(effects.first(), Some(Effect::SaveSettings(s)) if s.paused != Pause::Off));
    let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
    assert!(!effects.iter().any(stops));
    assert!(matches!(
        effects.last(),
        Some(Effect::Reply(_, Reply::Done))
    ));
    let begun = Now::default().mono.0.as_secs();
    let said = pass(&mut domain, begun + 29);
    assert!(!said.iter().any(stops), "{said:?}");
    let said = pass(&mut domain, begun + 30);
    assert!(said.iter().any(stops), "{said:?}");
    ask(&mut domain, Request::Resume);
    assert!(domain.view(Now::default()).unwrap().availability.is_open());
}

#[test]
fn a_sleep_waits_until_the_senders_were_told_and_the_node_is_back_after_it() {
    let mut domain = node();
    tell_at(&mut domain, sensed(1_000), 1_000);
    tell_at(&mut domain, knock(1), 1_000);
    let effects = tell_at(&mut domain, asleep(1_001), 1_001);
    let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
    assert!(effects.iter().any(stops));
    let ready = |e: &Effect| matches!(e, Effect::SleepMayCome);
    assert!(
        !effects.iter().any(ready),
        "its farewell is still under way"
    );
    let gone = Event::Peering(peering::Event::Closed {
        link: LinkId(1),
        reason: kiln_model::CloseReason::PeerHungUp,
    });
    assert!(tell_at(&mut domain, gone, 1_001).iter().any(ready));
    let closed = Event::Peering(peering::Event::ListenerClosed);
    assert!(
        !tell_at(&mut domain, closed, 1_002).iter().any(ready),
        "once is enough"
    );
    let effects = tell_at(&mut domain, Event::Slept(Sleep::Awake), 30_000);
    let reads = |e: &Effect| matches!(e, Effect::Watch(Watching::Slow));
    assert!(effects.iter().any(reads), "{effects:?}");
    let effects = tell_at(&mut domain, sensed(29_000), 30_000);
    let listens = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::Listen));
    assert!(effects.iter().any(listens), "{effects:?}");
}

#[test]
fn a_sleep_waits_for_a_bundle_that_arrives_and_not_for_ever() {
    let wire = || kiln_model::WireJobId("a".to_owned());
    let begin = || {
        let mut domain = node();
        tell_at(&mut domain, sensed(1_000), 1_000);
        tell_at(&mut domain, knock(1), 1_000);
        let arrives = work::Event::SubmissionStarted(LinkId(1), wire());
        tell_at(&mut domain, Event::Work(arrives), 1_000);
        let effects = tell_at(&mut domain, asleep(1_001), 1_001);
        assert_eq!(farewells(&effects), [0; 0], "it is still arriving");
        domain
    };
    let mut domain = begin();
    let dropped = work::Event::SubmissionDropped(LinkId(1), wire());
    let effects = tell_at(&mut domain, Event::Work(dropped), 1_002);
    assert_eq!(farewells(&effects), [1], "nothing arrives any more");
    let mut domain = begin();
    assert_eq!(farewells(&pass(&mut domain, 1_004)), [0; 0]);
    assert_eq!(farewells(&pass(&mut domain, 1_005)), [1]);
}

#[test]
fn a_sleep_waits_for_a_clean_of_somebody_else_and_not_for_ever() {
    let begin = || {
        let (mut domain, job) = begun("clean");
        let effects = tell_at(&mut domain, asleep(1_001), 1_001);
        assert_eq!(farewells(&effects), [0; 0], "it would show as failed");
        (domain, job)
    };
    let (mut domain, job) = begin();
    let done = work::Event::ProcessEnded(job, work::ProcessOutcome::Succeeded);
    let effects = tell_at(&mut domain, Event::Work(done), 1_002);
    assert_eq!(farewells(&effects), [1], "its sender has heard of it");
    let (mut domain, _) = begin();
    assert_eq!(farewells(&pass(&mut domain, 1_004)), [0; 0]);
    assert_eq!(farewells(&pass(&mut domain, 1_005)), [1]);
}

#[test]
fn a_sleep_that_waits_for_one_sender_lets_the_others_go_and_nobody_in() {
    let neighbour = Peer {
        dashboard_id: "dashboard-2".parse().unwrap(),
        pin: Pin([2; 32]),
        public_key: PublicKey([2; 32]),
        ..offloader()
    };
    let (mut domain, job) = begun("clean");
    let rows = peering::Event::Loaded(vec![neighbour.clone()], Vec::new());
    tell_at(&mut domain, Event::Peering(rows), 1_000);
    tell_at(&mut domain, knock_of(&neighbour, 2), 1_000);
    let effects = tell_at(&mut domain, asleep(1_001), 1_001);
    assert_eq!(farewells(&effects), [2], "it would send a job in vain");
    let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
    assert!(effects.iter().any(stops), "it would be back in a second");
    let ready = |e: &Effect| matches!(e, Effect::SleepMayCome);
    let closed = |link| {
        let reason = kiln_model::CloseReason::PeerHungUp;
        Event::Peering(peering::Event::Closed { link, reason })
    };
    let effects = tell_at(&mut domain, closed(LinkId(2)), 1_001);
    assert!(!effects.iter().any(ready));
    let done = work::Event::ProcessEnded(job, work::ProcessOutcome::Succeeded);
    let effects = tell_at(&mut domain, Event::Work(done), 1_002);
    assert_eq!(farewells(&effects), [1]);
    let effects = tell_at(&mut domain, closed(LinkId(1)), 1_002);
    assert!(effects.iter().any(ready));
}

#[test]
fn a_sleep_does_not_wait_for_a_sender_that_went_by_itself() {
    let (mut domain, _) = begun("clean");
    let effects = tell_at(&mut domain, asleep(1_001), 1_001);
    assert_eq!(farewells(&effects), [0; 0]);
    let gone = Event::Peering(peering::Event::Closed {
        link: LinkId(1),
        reason: kiln_model::CloseReason::PeerHungUp,
    });
    let effects = tell_at(&mut domain, gone, 1_002);
    let ready = |e: &Effect| matches!(e, Effect::SleepMayCome);
    assert!(effects.iter().any(ready), "{effects:?}");
}

#[test]
fn a_sender_that_says_something_all_the_time_keeps_nobody_awake_for_ever() {
    let mut domain = node();
    tell_at(&mut domain, sensed(1_000), 1_000);
    tell_at(&mut domain, knock(1), 1_000);
    let pause = Request::Pause(kiln_model::Snooze::TwoHours);
    tell_at(&mut domain, requested(pause), 1_000);
    let wire = || kiln_model::WireJobId("a".to_owned());
    for seconds in (1_000..1_900).step_by(25) {
        assert_eq!(farewells(&pass(&mut domain, seconds)), [0; 0]);
        let arrives = work::Event::SubmissionStarted(LinkId(1), wire());
        tell_at(&mut domain, Event::Work(arrives), seconds);
        let dropped = work::Event::SubmissionDropped(LinkId(1), wire());
        tell_at(&mut domain, Event::Work(dropped), seconds);
    }
    assert_eq!(farewells(&pass(&mut domain, 1_900)), [1]);
}

#[test]
fn a_sender_that_comes_just_before_an_absence_is_long_is_not_sent_away_before_its_bundle() {
    let mut domain = node();
    tell_at(&mut domain, sensed(1), 1_000);
    pass(&mut domain, 1_110);
    tell_at(&mut domain, knock(1), 1_110);
    assert_eq!(farewells(&pass(&mut domain, 1_139)), [0; 0]);
    assert_eq!(farewells(&pass(&mut domain, 1_140)), [1]);
}

#[test]
fn a_sender_whose_queue_is_handed_back_keeps_its_session_until_nothing_more_comes() {
    let mut domain = node();
    tell_at(&mut domain, sensed(1_000), 1_000);
    tell_at(&mut domain, knock(1), 1_000);
    let effects = tell_at(
        &mut domain,
        requested(Request::Pause(kiln_model::Snooze::TwoHours)),
        1_001,
    );
    assert_eq!(farewells(&effects), [0; 0]);
    assert_eq!(farewells(&pass(&mut domain, 1_025)), [0; 0]);
    let wire = kiln_model::WireJobId("a".to_owned());
    let arrives = work::Event::SubmissionStarted(LinkId(1), wire);
    tell_at(&mut domain, Event::Work(arrives), 1_025);
    assert_eq!(farewells(&pass(&mut domain, 1_040)), [0; 0]);
    let effects = tell_at(&mut domain, arrival("compile"), 1_040);
    assert_eq!(
        farewells(&effects),
        [0; 0],
        "it chooses anew when it hears of it"
    );
    assert_eq!(farewells(&pass(&mut domain, 1_069)), [0; 0]);
    assert_eq!(farewells(&pass(&mut domain, 1_070)), [1]);
}

/// A node that has just begun a build for its offloader, beside a quiet machine on mains.
fn building() -> Domain {
    begun("compile").0
}

/// The same with a job of any kind; returns it too.
fn begun(target: &str) -> (Domain, kiln_model::JobId) {
    let mut domain = node();
    tell_at(&mut domain, Event::Sensed(Box::new(on_mains())), 1_000);
    tell_at(&mut domain, knock(1), 1_000);
    let effects = tell_at(&mut domain, arrival(target), 1_000);
    let job = effects.iter().find_map(prepared).unwrap();
    let tree = work::BuildTree::OwnAll;
    let prepared = work::Event::Prepared(job.clone(), Ok(tree));
    let effects = tell_at(&mut domain, Event::Work(prepared), 1_000);
    let begins = |e: &Effect| matches!(e, Effect::Work(work::Effect::Build { .. }));
    assert!(effects.iter().any(begins), "{effects:?}");
    (domain, job)
}

/// The job whose bundle is to be unpacked.
fn prepared(effect: &Effect) -> Option<kiln_model::JobId> {
    match effect {
        Effect::Work(work::Effect::Prepare { job, .. }) => Some(job.clone()),
        _ => None,
    }
}

/// The offloader has sent a job.
fn arrival(target: &str) -> Event {
    let header = kiln_model::SubmitHeader {
        job_id: kiln_model::WireJobId("a".to_owned()),
        configuration_filename: "kitchen.yaml".to_owned(),
        target: target.to_owned(),
        total_bundle_bytes: 5,
        num_chunks: 1,
        bundle_sha256: String::new(),
        device_name: String::new(),
        device_friendly_name: String::new(),
        target_esphome_version: None,
        skip_bootloader: false,
    };
    let arrived = work::Event::SubmissionArrived {
        link: LinkId(1),
        pin: PIN,
        header: Box::new(header),
        configuration: "kitchen.yaml".parse().unwrap(),
        bundle: kiln_model::BlobId::new("bundle", 1),
        verified: kiln_model::witness::DigestVerified::assertion(),
    };
    Event::Work(arrived)
}

fn on_mains() -> kiln_model::Inputs {
    kiln_model::Inputs {
        idle: Some(Duration::from_secs(1_000)),
        power: Some(kiln_model::Power::Mains),
        lid: Some(kiln_model::Lid::Open),
        ..Default::default()
    }
}

#[test]
fn a_clean_that_waits_for_room_is_done_also_after_receiving_was_switched_off() {
    let mut domain = node();
    let with_free = |mib| kiln_model::Inputs {
        free_disk: Some(mib),
        ..on_mains()
    };
    let senses = |mib| Event::Sensed(Box::new(with_free(mib)));
    tell_at(&mut domain, senses(1), 1_000);
    tell_at(&mut domain, knock(1), 1_000);
    let effects = tell_at(&mut domain, arrival("clean"), 1_000);
    assert_eq!(effects.iter().find_map(prepared), None);
    let effects = ask(&mut domain, set(&[("receiver", "off")]));
    let rests = |e: &Effect| matches!(e, Effect::Watch(Watching::Never));
    assert!(!effects.iter().any(rests), "{effects:?}");
    let effects = tell_at(&mut domain, senses(100_000), 1_001);
    assert!(effects.iter().find_map(prepared).is_some(), "{effects:?}");
}

#[test]
fn the_owner_is_watched_while_a_build_goes_on_after_receiving_was_switched_off() {
    let mut domain = building();
    let off = requested(set(&[("receiver", "off")]));
    let effects = tell_at(&mut domain, off, 1_000);
    let watches = |e: &Effect| matches!(e, Effect::Watch(_));
    assert!(
        !effects.iter().any(watches),
        "as fast as before: {effects:?}"
    );
    let effects = tell_at(&mut domain, sensed(0), 1_001);
    let gentle =
        |e: &Effect| matches!(e, Effect::Work(work::Effect::Drive(_, work::Drive::Gentle)));
    assert!(effects.iter().any(gentle), "{effects:?}");
    let job = domain.work().jobs().remove(0).id;
    let killed = work::Event::ProcessEnded(job, work::ProcessOutcome::Killed);
    let effects = tell_at(&mut domain, Event::Work(killed), 1_002);
    let rests = |e: &Effect| matches!(e, Effect::Watch(Watching::Never));
    assert!(
        !effects.iter().any(rests),
        "its sender may make a bundle still"
    );
    let effects = pass(&mut domain, 1_040);
    assert!(effects.iter().any(rests), "{effects:?}");
}

#[test]
fn the_sleep_of_a_system_is_held_off_only_on_mains_and_with_an_open_lid() {
    let held = |effects: &[Effect]| {
        let hold = |effect: &Effect| match effect {
            Effect::Hold(wakefulness) => Some(*wakefulness),
            _ => None,
        };
        effects.iter().rev().find_map(hold)
    };
    let mut domain = building();
    assert_eq!(domain.wakefulness, Wakefulness::StayAwake);
    let battery = kiln_model::Inputs {
        power: Some(kiln_model::Power::Battery(Some(80))),
        ..on_mains()
    };
    let closed = kiln_model::Inputs {
        lid: Some(kiln_model::Lid::Closed),
        ..on_mains()
    };
    ask(&mut domain, set(&[("on_battery", "on")]));
    for inputs in [battery, closed] {
        let effects = tell_at(&mut domain, Event::Sensed(Box::new(inputs)), 1_001);
        assert_eq!(held(&effects), Some(Wakefulness::AsSet));
        let effects = tell_at(&mut domain, Event::Sensed(Box::new(on_mains())), 1_002);
        assert_eq!(held(&effects), Some(Wakefulness::StayAwake));
    }
}

#[test]
fn a_headless_machine_of_which_nothing_can_be_read_stays_open() {
    let mut domain = node();
    let nothing = Event::Sensed(Box::default());
    tell_at(&mut domain, nothing, 1_000);
    pass(&mut domain, 100_000);
    let view = domain.view(at(100_000)).unwrap();
    assert!(view.availability.is_open());
    assert_eq!(view.listening, Some(6055));
}

#[test]
fn the_status_is_refused_until_the_identity_is_loaded() {
    let mut domain = Domain::new("0.1.0", 7);
    let effects = ask(&mut domain, Request::Status);
    let [Reply::Refused(error)] = replies(&effects)[..] else {
        panic!("not refused: {effects:?}");
    };
    assert_eq!(error.code, ErrorCode::Unavailable);
    tell(&mut domain, Event::Peering(identity()));
    let effects = ask(&mut domain, Request::Status);
    assert!(matches!(&effects[..], [Effect::Reply(_, Reply::Status(_))]));
}

#[test]
fn the_window_is_shown_with_the_seconds_that_are_left() {
    let mut domain = node();
    ask(&mut domain, Request::OpenWindow);
    let mut now = Now::default();
    let shown = |domain: &Domain, now| domain.view(now).unwrap().window;
    assert_eq!(shown(&domain, now), WindowView::Open { seconds_left: 300 });
    now.mono = Mono(Duration::from_millis(299_001));
    assert_eq!(shown(&domain, now), WindowView::Open { seconds_left: 1 });
    now.mono = Mono(Duration::from_secs(300));
    assert_eq!(shown(&domain, now), WindowView::Closed);
}

// Covers: O-34
#[test]
fn stopping_tells_the_peers_and_ends_the_node_once() {
    let mut domain = node();
    tell(&mut domain, knock(1));
    let effects = ask(&mut domain, Request::Shutdown);
    assert_eq!(replies(&effects), [&Reply::Done]);
    let told = |e: &Effect| {
        matches!(
            e,
            Effect::Peering(peering::Effect::Close {
                terminate: Some(_),
                ..
            })
        )
    };
    assert!(effects.iter().any(told));
    assert!(matches!(effects.last(), Some(Effect::ShutDown)));
    let effects = tell(&mut domain, Event::ShuttingDown);
    assert!(effects.is_empty());
}

#[test]
fn without_the_required_box_nobody_is_received_and_the_owner_reads_why() {
    let mut domain = node();
    let view = |domain: &Domain| domain.view(Now::default()).unwrap();
    assert!(view(&domain).availability.is_open());
    assert!(view(&domain).notices.is_empty());
    let effects = tell(&mut domain, proved(Tier::Open));
    let stops = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::StopListening));
    assert!(effects.iter().any(stops), "{effects:?}");
    let seen = view(&domain);
    assert!(!seen.availability.is_open());
    assert!(seen.notices[0].contains("kiln settings set sandbox best_effort"));
    let allow = vec![("sandbox".to_owned(), "best_effort".to_owned())];
    ask(&mut domain, Request::SetSettings(allow));
    let seen = view(&domain);
    assert!(seen.availability.is_open());
    assert_eq!((seen.notices.len(), seen.sandbox.tier), (0, Tier::Open));
}

#[test]
fn a_headless_receiver_builds_whatever_the_setting_says_but_in_a_box() {
    let mut domain = Domain::new("0.1.0", 7);
    tell(&mut domain, proved(Tier::Boxed));
    tell(
        &mut domain,
        Event::SettingsLoaded(Settings {
            receiver: false,
            ..Settings::default()
        }),
    );
    tell(&mut domain, Event::Peering(identity()));
    let armed = peering::Event::BootstrapArmed {
        key: PairingKey::from_random(1),
        sources: Vec::new(),
    };
    tell(&mut domain, Event::Peering(armed));
    let view = domain.view(Now::default()).unwrap();
    assert!(view.availability.is_open());
    assert!(!domain.settings().receiver, "the setting itself stays");
    tell(&mut domain, proved(Tier::Open));
    let view = domain.view(Now::default()).unwrap();
    assert!(!view.availability.is_open());
}

#[test]
fn the_earliest_deadline_of_both_halves_counts() {
    let mut domain = node();
    let work = domain.work.poll_timeout();
    assert_eq!(domain.poll_timeout(), work);
    ask(&mut domain, Request::OpenWindow);
    let both = [domain.peering.poll_timeout(), domain.work.poll_timeout()];
    let earliest = both.into_iter().flatten().min();
    assert!(earliest.is_some());
    assert_eq!(domain.poll_timeout(), earliest);
}

#[test]
fn every_request_is_answered_once_or_waits_for_a_dial() {
    let id = || offloader().dashboard_id;
    let device = || "kitchen".to_owned();
    let pair = Request::Pair {
        endpoint: endpoint(),
        pin: PIN,
        pairing_key: None,
        label: Label::default(),
    };
    let install = Request::Install {
        device: device(),
        build: BuildChoice::Auto,
        port: Port::Ota,
    };
    let compile = Request::Compile {
        device: device(),
        build: BuildChoice::Auto,
    };
    let job = || JobId::from_random(1);
    let at_once = [
        Request::Status,
        Request::Unpair(PIN),
        Request::SetPairingEnabled(PIN, true),
        Request::EditEndpoint(PIN, endpoint()),
        Request::OpenWindow,
        Request::CloseWindow,
        Request::Approve(id(), None),
        Request::Reject(id()),
        Request::RemovePeer(id()),
        Request::Devices,
        install,
        Request::Flash {
            device: device(),
            port: Port::Ota,
        },
        compile,
        Request::Clean { device: device() },
        Request::Jobs,
        Request::Job(job()),
        Request::Cancel(job()),
        Request::BuildHere(job()),
        Request::Environments,
        Request::ResetEnvironment(Some(PIN)),
        Request::Settings,
        set(&[]),
        Request::Shutdown,
    ];
    for request in at_once {
        let mut domain = node();
        let mut effects = ask(&mut domain, request.clone());
        let scan = |e: &Effect| matches!(e, Effect::Work(work::Effect::ScanDevices));
        if effects.iter().any(scan) {
            let scanned = work::Event::DevicesScanned(Vec::new());
            effects.extend(tell(&mut domain, Event::Work(scanned)));
        }
        assert_eq!(replies(&effects).len(), 1, "{request:?}");
    }
    for request in [Request::Preview(endpoint()), pair] {
        let effects = ask(&mut node(), request.clone());
        assert_eq!(replies(&effects).len(), 0, "{request:?}");
        let dial = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::Dial { .. }));
        assert!(effects.iter().any(dial), "{request:?}");
    }
    let effects = ask(&mut node(), Request::RotateIdentity);
    let stops = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::StopListening));
    assert!(replies(&effects).is_empty() && effects.iter().any(stops));
}
