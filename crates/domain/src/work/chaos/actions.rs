//! What may happen, and how often.
use kiln_model::{Absence, AvailabilityReason as Reason};
use proptest::prelude::*;

use crate::{InTheWay, Lending, Occupancy, Stance};

/// One thing that happens. Numbers choose among what is there, modulo its count.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Install(usize, Choice),
    Compile(usize, Choice),
    /// A compile for a receiver, which accepts it.
    Accepted(usize, usize),
    FlashBuilt(usize),
    Clean(usize),
    Reset(Option<usize>),
    Cancel(usize),
    BuildHere(usize),
    Ask(usize),
    Submit(usize, usize, usize),
    CancelSubmitted(usize, usize),
    Fetch(usize, usize),
    ResetByOffloader(usize),
    /// A step that is under way ends.
    End(usize, How),
    /// A receiver answers a submission, or tells its end.
    Answer(usize, Far),
    Toggle(usize),
    /// A link that is open is lost, without a word or with one, and may be back at once.
    Blip(usize, Parting, bool),
    PairAnew(usize),
    Presence(usize, bool),
    Lend(Lending),
    /// So many MiB of the disk are free.
    Free(u64),
    Pass(u64),
    Scan,
    Crash,
    Stop,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Choice {
    Auto,
    Local,
    On(usize),
}

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    Silent,
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Well,
    Badly,
    Provision,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Far {
    Yes,
    /// A line of output, of what was accepted.
    Line,
    No,
    Busy,
    Completed,
    Failed,
    Provision,
    Cancelled,
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        4 => Just(Choice::Auto),
        1 => Just(Choice::Local),
        1 => (0..2usize).prop_map(Choice::On),
    ]
}

fn lendings() -> impl Strategy<Value = Lending> {
    let all = Reason::ALL.iter().copied();
    let obstacles = all.filter(|r| !matches!(r, Reason::Ready | Reason::UserOff));
    let obstacles: Vec<Reason> = obstacles.collect();
    let reason = move || proptest::sample::select(obstacles.clone());
    let way = prop_oneof![
        reason().prop_map(InTheWay::Briefly),
        reason().prop_map(InTheWay::Still),
    ];
    let absent = |reason| {
        let until = None;
        Some(Absence { reason, until })
    };
    let stances = [Stance::Open, Stance::Brief, Stance::Lasting, Stance::Long];
    let stance = proptest::sample::select(stances.to_vec());
    let scarce = proptest::sample::select(vec![None, None, Some(Reason::LowRam)]);
    let occupancy = || proptest::sample::select(vec![Occupancy::Idle, Occupancy::InUse]);
    let closed = (stance, reason(), way.clone(), scarce, occupancy()).prop_map(
        move |(stance, reason, in_the_way, short, occupancy)| Lending {
            stance,
            absence: absent(reason).filter(|_| stance != Stance::Open),
            in_the_way,
            occupancy,
            short,
        },
    );
    // That receiving is off is in the way of nothing that runs.
    let off = prop_oneof![Just(InTheWay::No), way].prop_map(move |in_the_way| Lending {
        stance: Stance::Long,
        absence: absent(Reason::UserOff),
        in_the_way,
        ..Lending::FREE
    });
    let open = occupancy().prop_map(|occupancy| Lending {
        occupancy,
        ..Lending::FREE
    });
    prop_oneof![2 => open, 4 => closed, 1 => off]
}

pub(super) fn actions() -> impl Strategy<Value = Action> {
    let n = || 0..12usize;
    let how = prop_oneof![4 => Just(How::Well), 1 => Just(How::Badly), 1 => Just(How::Provision)];
    let parting = prop_oneof![3 => Just(Parting::Silent), 1 => Just(Parting::Told)];
    let far = prop_oneof![
        6 => Just(Far::Yes),
        2 => Just(Far::Line),
        4 => Just(Far::Completed),
        1 => Just(Far::No),
        1 => Just(Far::Busy),
        1 => Just(Far::Failed),
        1 => Just(Far::Provision),
        1 => Just(Far::Cancelled),
    ];
    prop_oneof![
        6 => (n(), choices()).prop_map(|(n, c)| Action::Install(n, c)),
        2 => (n(), choices()).prop_map(|(n, c)| Action::Compile(n, c)),
        3 => (n(), n()).prop_map(|(n, on)| Action::Accepted(n, on)),
        1 => n().prop_map(Action::FlashBuilt),
        1 => n().prop_map(Action::Clean),
        1 => proptest::option::of(n()).prop_map(Action::Reset),
        3 => n().prop_map(Action::Cancel),
        1 => n().prop_map(Action::BuildHere),
        1 => n().prop_map(Action::Ask),
        5 => (n(), n(), n()).prop_map(|(a, b, c)| Action::Submit(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| Action::CancelSubmitted(a, b)),
        2 => (n(), n()).prop_map(|(a, b)| Action::Fetch(a, b)),
        1 => n().prop_map(Action::ResetByOffloader),
        20 => (n(), how).prop_map(|(n, h)| Action::End(n, h)),
        10 => (n(), far).prop_map(|(n, f)| Action::Answer(n, f)),
        8 => n().prop_map(Action::Toggle),
        5 => (n(), parting, any::<bool>()).prop_map(|(n, p, back)| Action::Blip(n, p, back)),
        1 => n().prop_map(Action::PairAnew),
        2 => (n(), any::<bool>()).prop_map(|(n, b)| Action::Presence(n, b)),
        6 => lendings().prop_map(Action::Lend),
        2 => proptest::sample::select(vec![1, 100_000]).prop_map(Action::Free),
        3 => (0..100u64).prop_map(Action::Pass),
        1 => Just(Action::Scan),
        1 => Just(Action::Crash),
        1 => Just(Action::Stop),
    ]
}
