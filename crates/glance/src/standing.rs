//! [`Standing`]: the one thing that matters most now. Icon, tooltip and the menu's first line tell
//! the same, because all of them are made from it.
use kiln_model::{
    Alert, AlertKind, Job, JobKind, JobOrigin, JobStatus, PendingPeer, Placement, Sentence,
    Timestamp, View,
};

use crate::clean::{NAME, SENTENCE, clean, clip};
use crate::remaining::remaining;
use crate::serving::{Pause, Serving};
use crate::words::{Key, Words};

/// What is known of the node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node<'a> {
    /// It is being started or called.
    Connecting,
    /// It does not answer.
    Gone,
    /// It answers, and this is what it shows.
    Up(&'a View),
}

impl<'a> Node<'a> {
    /// Returns the view, if there is one.
    pub(crate) fn view(self) -> Option<&'a View> {
        match self {
            Node::Up(view) => Some(view),
            Node::Connecting | Node::Gone => None,
        }
    }
}

/// What matters most, most urgent first.
pub(crate) enum Standing<'a> {
    /// Somebody asks to be admitted; never empty.
    Asked(&'a [PendingPeer]),
    /// A pairing needs the owner.
    Alert(&'a Alert),
    /// Another computer's owner did not let us in.
    Declined(&'a Alert),
    /// The node has something to say, or is not there.
    Trouble(Option<&'a Sentence>),
    /// Our own job runs.
    Mine(&'a Job, &'a [Job]),
    /// A job of somebody else runs here.
    Theirs(&'a Job, &'a [Job]),
    /// Nothing is built for others for a while.
    Paused(Pause),
    /// Ready, for this many computers; with the only one.
    Ready(usize, Option<String>),
    /// Nothing is built for others.
    Off,
    /// Not known yet.
    Connecting,
}

impl<'a> Standing<'a> {
    pub(crate) fn of(node: Node<'a>) -> Self {
        let view = match node {
            Node::Connecting => return Standing::Connecting,
            Node::Gone => return Standing::Trouble(None),
            Node::Up(view) => view,
        };
        if !view.pending.is_empty() {
            return Standing::Asked(&view.pending);
        }
        if let Some(alert) = view.alerts.first() {
            return if view.is_declined(alert) {
                Standing::Declined(alert)
            } else {
                Standing::Alert(alert)
            };
        }
        if let Some(notice) = view.notices.first() {
            return Standing::Trouble(Some(notice));
        }
        if let Some(job) = current_job(&view.jobs) {
            return match job.origin {
                JobOrigin::Owner => Standing::Mine(job, &view.jobs),
                JobOrigin::Offloader { .. } => Standing::Theirs(job, &view.jobs),
            };
        }
        match Serving::of(&view.availability) {
            Serving::Paused(pause) => Standing::Paused(pause),
            Serving::Off => Standing::Off,
            Serving::Ready => {
                let only = match view.peers.as_slice() {
                    [peer] => Some(name(&[
                        peer.peer.label.as_str(),
                        peer.peer.friendly_name.as_str(),
                        peer.peer.dashboard_id.as_str(),
                    ])),
                    _ => None,
                };
                Standing::Ready(view.peers.len(), only)
            }
        }
    }

    /// Returns it as one sentence, with the reason and the end where there are any.
    pub(crate) fn sentence(&self, words: &Words, now: Timestamp) -> String {
        match self {
            Standing::Asked([one]) => words.say(Key::StatusAsksOne, &[("peer", &asking(one))]),
            Standing::Asked(many) => {
                words.say(Key::StatusAsksMany, &[("count", &many.len().to_string())])
            }
            Standing::Alert(alert) => {
                let key = match alert.kind {
                    AlertKind::PinMismatch => Key::StatusIdentity,
                    AlertKind::PeerRevoked => Key::StatusRevoked,
                    AlertKind::Superseded => Key::StatusSuperseded,
                };
                words.say(key, &[("peer", &alarming(alert))])
            }
            Standing::Declined(alert) => {
                words.say(Key::StatusDeclined, &[("peer", &alarming(alert))])
            }
            Standing::Trouble(Some(notice)) => clip(&words.sentence(notice), SENTENCE),
            Standing::Trouble(None) => words.say(Key::StatusGone, &[]),
            Standing::Mine(job, jobs) | Standing::Theirs(job, jobs) => {
                format!("{}.", work(job, jobs, words, now))
            }
            Standing::Paused(pause) => pause.sentence(words, now),
            Standing::Ready(0, _) => words.say(Key::StatusReady, &[]),
            Standing::Ready(_, Some(only)) => words.say(Key::StatusReadyOne, &[("peer", only)]),
            Standing::Ready(count, None) => {
                words.say(Key::StatusReadyMany, &[("count", &count.to_string())])
            }
            Standing::Off => words.say(Key::StatusOff, &[]),
            Standing::Connecting => words.say(Key::StatusConnecting, &[]),
        }
    }
}

/// Returns the job to show: one of ours that runs, else one that runs here for somebody; of several
/// the one that began first.
pub(crate) fn current_job(jobs: &[Job]) -> Option<&Job> {
    let running = || jobs.iter().filter(|job| job.status == JobStatus::Running);
    let began = |job: &&Job| (job.started_at, job.created_at, job.id.clone());
    let mine = running().filter(|job| job.origin == JobOrigin::Owner);
    mine.min_by_key(began)
        .or_else(|| running().min_by_key(began))
}

/// Returns what is done, how far it is and how long it still takes: "Building kitchen on Laptop,
/// 42 %, about 3 min left".
pub(crate) fn work(job: &Job, jobs: &[Job], words: &Words, now: Timestamp) -> String {
    let device = device_name(job);
    let mut text = match (&job.origin, job.kind, &job.placement) {
        (_, JobKind::ResetBuildEnv, _) => words.say(Key::JobReset, &[]),
        (_, JobKind::Upload, _) => words.say(Key::JobUpload, &[("device", &device)]),
        (_, JobKind::Clean, _) => words.say(Key::JobClean, &[("device", &device)]),
        (
            JobOrigin::Offloader {
                label,
                dashboard_id,
                ..
            },
            JobKind::Compile,
            _,
        ) => {
            let peer = name(&[label.as_str(), dashboard_id.as_str()]);
            words.say(Key::JobCompileFor, &[("device", &device), ("peer", &peer)])
        }
        (JobOrigin::Owner, JobKind::Compile, Placement::Remote { label, pin, .. }) => {
            let peer = name(&[label.as_str(), &pin.short()]);
            words.say(Key::JobCompileOn, &[("device", &device), ("peer", &peer)])
        }
        (JobOrigin::Owner, JobKind::Compile, Placement::Local | Placement::RemotePending) => {
            words.say(Key::JobCompileHere, &[("device", &device)])
        }
    };
    if let Some(percent) = job.progress {
        let percent = percent.min(100).to_string();
        text.push_str(", ");
        text.push_str(&words.say(Key::JobPercent, &[("percent", &percent)]));
    }
    if let Some(left) = remaining(job, jobs, now) {
        text.push_str(", ");
        text.push_str(&words.left(left));
    }
    text
}

/// Returns the device's name as shown.
pub(crate) fn device_name(job: &Job) -> String {
    name(&[&job.device_name, &job.configuration])
}

/// Returns how somebody who asks is called.
pub(crate) fn asking(peer: &PendingPeer) -> String {
    name(&[
        peer.label.as_str(),
        peer.friendly_name.as_str(),
        peer.dashboard_id.as_str(),
    ])
}

/// Returns how the pairing of an alert is called.
pub(crate) fn alarming(alert: &Alert) -> String {
    name(&[alert.label.as_str(), alert.endpoint.host()])
}

/// Returns the first of these names that is not empty, cleaned.
pub(crate) fn name(candidates: &[&str]) -> String {
    let cleaned = candidates.iter().map(|name| clean(name, NAME));
    cleaned
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}
