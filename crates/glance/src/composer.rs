//! [`Composer`]: what each notice says, and where its buttons lead.
use std::time::Duration;

use kiln_model::{Alert, DashboardId, Job, JobKind, PendingPeer, Pin, Placement, Request};

use crate::chain::{Chain, Progress};
use crate::clean::{SENTENCE, clip};
use crate::notice::{Button, Notice, NoticeId, Urgency};
use crate::standing::{alarming, asking, device_name, name};
use crate::words::{Key, Words};
use crate::{Action, Page, Who};

/// Writes notices in one language.
pub(crate) struct Composer<'a>(pub(crate) &'a Words);

impl Composer<'_> {
    /// Somebody asks to pair.
    pub(crate) fn asks(&self, peer: &PendingPeer) -> Notice {
        let page = Page::Builders(Who::Asking(peer.dashboard_id.clone()));
        let reject = Action::Ask(Request::Reject(peer.dashboard_id.clone()));
        let title = self.say(Key::NoticePairTitle, &[("peer", asking(peer))]);
        let buttons = vec![
            self.opens("review", Key::ButtonReview, &page),
            self.button("reject", Key::ButtonReject, reject),
        ];
        Notice {
            body: self.say(Key::NoticePairBody, &[]),
            buttons,
            ..self.notice(pair_id(&peer.dashboard_id), page, title)
        }
    }

    /// A receiver is not whom we know.
    pub(crate) fn mistaken(&self, alert: &Alert) -> Notice {
        let page = Page::Builders(Who::Nobody);
        let title = self.say(Key::NoticeIdentityTitle, &[("peer", alarming(alert))]);
        let review = self.opens("review", Key::ButtonReview, &page);
        Notice {
            body: self.say(Key::NoticeIdentityBody, &[]),
            urgency: Urgency::Urgent,
            buttons: vec![review],
            ..self.notice(identity_id(&alert.pin), page, title)
        }
    }

    /// Nothing is built for others, for want of room on the disk.
    pub(crate) fn short_of_room(&self) -> Notice {
        let title = self.say(Key::NoticeDiskTitle, &[]);
        Notice {
            body: self.say(Key::NoticeDiskBody, &[]),
            ..self.notice(NoticeId("disk".to_owned()), Page::Storage, title)
        }
    }

    /// A chain failed with this job.
    pub(crate) fn failed(&self, chain: &Chain<'_>, job: &Job) -> Notice {
        let key = match job.kind {
            JobKind::Compile | JobKind::Clean | JobKind::ResetBuildEnv => Key::NoticeBuildFailed,
            JobKind::Upload => Key::NoticeInstallFailed,
        };
        let page = Page::Job(job.id.clone());
        let mut buttons = vec![self.opens("log", Key::ButtonLog, &page)];
        // What failed here would fail here again.
        if job.kind == JobKind::Compile && matches!(job.placement, Placement::Remote { .. }) {
            let here = Action::Ask(Request::BuildHere(job.id.clone()));
            buttons.push(self.button("here", Key::ButtonBuildHere, here));
        }
        let error = job.error.as_ref().map(|error| self.0.sentence(error));
        let title = self.say(key, &[("device", device_name(job))]);
        Notice {
            body: clip(&error.unwrap_or_default(), SENTENCE),
            buttons,
            ..self.notice(job_id(chain), page, title)
        }
    }

    /// A chain came to its end with this job.
    pub(crate) fn done(&self, chain: &Chain<'_>, job: &Job, took: Duration) -> Notice {
        let title = match job.kind {
            JobKind::Compile | JobKind::Clean | JobKind::ResetBuildEnv => Key::NoticeBuilt,
            JobKind::Upload => Key::NoticeInstalled,
        };
        let time = self.0.took(took);
        let body = match &chain.first.placement {
            Placement::Remote {
                label,
                pin,
                esphome_version,
            } => {
                let mut values = vec![
                    ("peer", name(&[label.as_str(), &pin.short()])),
                    ("time", time),
                ];
                let key = match esphome_version {
                    Some(version) => {
                        values.push(("version", version.to_string()));
                        Key::NoticeTookOnWith
                    }
                    None => Key::NoticeTookOn,
                };
                self.say(key, &values)
            }
            Placement::Local | Placement::RemotePending => {
                self.say(Key::NoticeTook, &[("time", time)])
            }
        };
        let title = self.say(title, &[("device", device_name(job))]);
        Notice {
            body,
            ..self.notice(job_id(chain), Page::Job(job.id.clone()), title)
        }
    }

    /// How far builds are that are told together.
    pub(crate) fn summary(&self, tally: &Tally) -> Notice {
        let count = |n: usize| n.to_string();
        let mut body = Vec::new();
        let (title, urgency) = if tally.going > 0 {
            let values = [
                ("done", count(tally.ended())),
                ("count", count(tally.all())),
            ];
            body.push(self.say(Key::NoticeManyDone, &values));
            (Key::NoticeManyTitle, Urgency::Quiet)
        } else {
            (Key::NoticeManyEnded, Urgency::Normal)
        };
        if tally.failed > 0 {
            let values = [("count", count(tally.failed))];
            body.push(self.say(Key::NoticeManyFailed, &values));
        }
        if tally.waiting > 0 {
            let values = [("count", count(tally.waiting))];
            body.push(self.say(Key::NoticeManyWaiting, &values));
        }
        if body.is_empty() {
            body.push(self.say(Key::NoticeManyWell, &[]));
        }
        let percent = tally.ended() * 100 / tally.all().max(1);
        let title = self.say(title, &[("count", count(tally.all()))]);
        Notice {
            body: body.join(", "),
            urgency,
            progress: u8::try_from(percent).ok().filter(|_| tally.going > 0),
            ..self.notice(many_id(), Page::Activity, title)
        }
    }

    /// A notice that leads to a page and says no more than its title.
    fn notice(&self, id: NoticeId, page: Page, title: String) -> Notice {
        Notice {
            id,
            title,
            body: String::new(),
            urgency: Urgency::Normal,
            buttons: vec![self.opens("open", Key::ButtonOpen, &page)],
            page,
            progress: None,
        }
    }

    fn say(&self, key: Key, values: &[(&str, String)]) -> String {
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.0.say(key, &values)
    }

    fn opens(&self, id: &'static str, key: Key, page: &Page) -> Button {
        self.button(id, key, Action::Open(page.clone()))
    }

    fn button(&self, id: &'static str, key: Key, action: Action) -> Button {
        Button {
            id,
            label: self.0.say(key, &[]),
            action,
        }
    }
}

/// How many of a batch are where.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) going: usize,
    done: usize,
    pub(crate) failed: usize,
    pub(crate) waiting: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Going => self.going += 1,
            Progress::Done(_) | Progress::Stopped => self.done += 1,
            Progress::Failed(_) => self.failed += 1,
            Progress::Waiting => self.waiting += 1,
        }
    }

    pub(crate) fn ended(&self) -> usize {
        self.done + self.failed + self.waiting
    }

    pub(crate) fn all(&self) -> usize {
        self.ended() + self.going
    }
}

/// The notice of who asks.
pub(crate) fn pair_id(dashboard: &DashboardId) -> NoticeId {
    NoticeId(format!("pair:{dashboard}"))
}

/// The notice of who is not whom we know.
pub(crate) fn identity_id(pin: &Pin) -> NoticeId {
    NoticeId(format!("identity:{pin}"))
}

fn job_id(chain: &Chain<'_>) -> NoticeId {
    NoticeId(format!("job:{}", chain.first.id))
}

/// The notice of builds that are told together.
pub(crate) fn many_id() -> NoticeId {
    NoticeId("many".to_owned())
}
