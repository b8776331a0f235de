//! The only loop: what happened goes into the domain, what it wants is done, in order.
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::{Effect, Event, peering, work};
use kiln_model::{
    ErrorCode, FailureReason, JobId, JobStatus, LinkId, Message, Reply, RequestError, WireJobId,
    say,
};
use kiln_ports::secrets::SecretsError;

use crate::anchors::{self, Anchor, Tried};
use crate::blocking::blocking;
use crate::identity;
use crate::node::{Ended, Link, Node, Ready};

/// Events handled before effects are performed and other work gets a turn.
const BUDGET: usize = 64;

/// How often records that could not be written are tried again (trust.md G19: within 5 s).
pub(crate) const RETRY: Duration = Duration::from_secs(3);

impl Node {
    /// Serves until the domain or `asked` ends it. `ready` is called once: when the peer link is
    /// bound, cannot be bound, or is not wanted.
    pub async fn serve(
        mut self,
        asked: impl Future<Output = ()>,
        ready: impl FnOnce(Ready),
    ) -> Ended {
        tokio::pin!(asked);
        let mut asked_once = false;
        let mut ready = Some(ready);
        let ended = loop {
            if let Some(ended) = self.ended.take() {
                break ended;
            }
            if self.link != Link::Binding
                && let Some(ready) = ready.take()
            {
                ready(self.ready());
            }
            let clock = Arc::clone(&self.context.clock);
            let deadline = self.domain.poll_timeout();
            let due = async {
                match deadline {
                    Some((at, _)) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let retry_at = self.unsaved.retry_at();
            let retry = async {
                match retry_at {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.events.recv() => self.take(event).await,
                () = due => {
                    tracing::trace!(deadline = deadline.map(|(_, why)| why), "due");
                    self.domain.handle_timeout(self.context.clock.now());
                    self.perform_all().await;
                }
                () = retry => self.save_unsaved().await,
                Some(tried) = self.restoring.join_next() => {
                    self.key_tried(tried.unwrap_or_else(|e| Err(SecretsError::Failed(e.to_string())))).await;
                }
                Some(tried) = self.anchoring.join_next() => {
                    self.anchors_tried(tried.unwrap_or_default());
                }
                () = &mut asked, if !asked_once => {
                    asked_once = true;
                    self.happened(Event::ShuttingDown).await;
                }
            }
        };
        self.stop().await;
        ended
    }

    /// Stops in this order: peers are told, programs end, tasks are awaited. What happens meanwhile
    /// still reaches the domain, so that nothing that was said is lost.
    async fn stop(mut self) {
        let links = self.context.links.clone();
        let farewell = links.shutdown();
        tokio::pin!(farewell);
        loop {
            tokio::select! {
                () = &mut farewell => break,
                event = self.events.recv() => self.take(event).await,
            }
        }
        let mut steps = std::mem::take(&mut self.steps);
        let finished = steps.finish();
        tokio::pin!(finished);
        loop {
            tokio::select! {
                () = &mut finished => break,
                event = self.events.recv() => self.take(event).await,
            }
        }
        self.discovery.withdraw().await;
        self.watching.shutdown().await;
        self.own_tasks.shutdown().await;
        self.control.stop().await;
    }

    /// Handles one event and those that already wait behind it, then does what the domain wants.
    async fn take(&mut self, first: Option<Event>) {
        let mut next = first;
        for _ in 0..BUDGET {
            let Some(event) = next else { break };
            self.feed(event).await;
            next = self.events.try_recv().ok();
        }
        if let Some(event) = next {
            self.feed(event).await;
        }
        self.perform_all().await;
    }

    /// One event, then everything the domain wants because of it.
    pub(crate) async fn happened(&mut self, event: Event) {
        self.feed(event).await;
        self.perform_all().await;
    }

    /// Output of remote jobs goes to their logs; of that the domain hears no more than that it came.
    async fn feed(&mut self, event: Event) {
        if let Event::Work(work::Event::Received(link, Message::JobOutput { job_id, line })) =
            &event
        {
            if let Some(job) = self.domain.work().log_of(*link, job_id) {
                self.context.outputs.text(&job, line).await;
                let told = self.gauges.entry(job.clone()).or_default().read(line);
                let now = self.context.clock.now();
                self.domain.handle(event, now);
                if let Some(percent) = told.percent {
                    let event = Event::Work(work::Event::Progressed(job, percent));
                    self.domain.handle(event, now);
                }
            }
            return;
        }
        self.record_event(&event);
        match &event {
            Event::Peering(peering::Event::Listening { port }) => self.link = Link::Bound(*port),
            Event::Peering(peering::Event::ListenFailed(why)) => {
                tracing::warn!(%why, "the peer link is not bound; it is tried again");
                self.link = Link::Unbound;
            }
            _ => {}
        }
        let news = News::of(&event);
        self.domain.handle(event, self.context.clock.now());
        match news {
            News::Devices => self.control.show_devices(self.domain.work().devices()),
            News::Environments => {
                self.tell_facts();
                let environments = self.domain.work().environments();
                self.control.show_environments(environments);
            }
            News::Else => {}
        }
    }

    /// Drains the domain. What was not saved turns the promises behind it into refusals.
    pub(crate) async fn perform_all(&mut self) {
        loop {
            let mut batch = VecDeque::new();
            while let Some(effect) = self.domain.poll_effect() {
                batch.push_back(effect);
            }
            if batch.is_empty() {
                break;
            }
            let mut batch = with_fewer_saves(batch);
            let mut broken: Option<String> = None;
            let mut lost = Vec::new();
            while let Some(effect) = batch.pop_front() {
                if broken.is_some() {
                    lost.extend(promised(&effect));
                }
                let effects = match &broken {
                    Some(why) => without_promise(effect, why),
                    None => vec![effect],
                };
                for effect in effects {
                    if let Err(why) = self.perform(effect).await {
                        tracing::error!(%why, "this could not be kept; it is tried again");
                        broken = Some(why);
                    }
                }
            }
            for (link, job) in lost {
                let event = Event::Work(work::Event::SubmissionNotKept(link, job));
                self.feed(event).await;
            }
            self.publish();
        }
        self.recorder.settle();
        if let Err(why) = self.write_audit().await {
            tracing::error!(%why, "the audit could not be kept; it is tried again");
        }
    }

    /// Writes again what could not be written before.
    async fn save_unsaved(&mut self) {
        let again = self.context.clock.now().mono + RETRY;
        self.unsaved.try_again_at(again);
        let anchors = self.unsaved.anchors();
        if !anchors.is_empty() && self.anchoring.is_empty() {
            let secrets = Arc::clone(&self.secrets);
            self.anchoring.spawn(async move {
                let mut tried = Vec::new();
                for anchor in anchors {
                    let result = anchors::make_so(secrets.as_ref(), anchor).await;
                    tried.push((anchor, result));
                }
                tried
            });
        }
        if let Some(key) = self
            .unsaved
            .key()
            .cloned()
            .filter(|_| self.restoring.is_empty())
        {
            let secrets = Arc::clone(&self.secrets);
            self.restoring
                .spawn(async move { identity::keep_key(secrets.as_ref(), &key).await });
        }
        let changes = self.unsaved.changes();
        let store = Arc::clone(&self.context.store);
        match blocking(move || store.apply(&changes)).await {
            Ok(()) => self.unsaved.saved(),
            Err(error) => tracing::warn!(%error, "records still cannot be written"),
        }
        self.publish();
    }

    /// The keyring took our old key back, or did not.
    async fn key_tried(&mut self, tried: Result<(), SecretsError>) {
        match tried {
            Ok(()) => {
                self.unsaved.settle_key();
                self.remember_key().await;
                self.publish();
            }
            Err(error) => tracing::warn!(%error, "the keyring still does not take our key back"),
        }
    }

    /// The keyring did what it had refused, or did not. What was wanted meanwhile counts: it may have
    /// been done in between, and undone by this.
    fn anchors_tried(&mut self, tried: Vec<Tried>) {
        for (anchor, result) in tried {
            let (side, pin) = (anchor.side, anchor.pin);
            if let Err(error) = result {
                tracing::warn!(%pin, %error, "the keyring still does not change its entry of a computer");
                continue;
            }
            let held = || Anchor {
                key: self.anchored.get(&(side, pin)).copied(),
                ..anchor
            };
            let wanted = self.unsaved.anchor(side, pin).unwrap_or_else(held);
            if wanted == anchor {
                self.anchor_is(anchor);
            } else {
                let now = self.context.clock.now().mono;
                self.unsaved.keep_anchor(wanted, now);
            }
        }
    }
}

/// Keeps each job that goes on once, as it is at the end of the batch, where it was to be kept first:
/// every write waits for the disk. An end is kept where it stands, since what is told of it counts
/// only then.
fn with_fewer_saves(batch: VecDeque<Effect>) -> VecDeque<Effect> {
    let mut batch: Vec<Option<Effect>> = batch.into_iter().map(Some).collect();
    let mut later: HashMap<JobId, usize> = HashMap::new();
    for at in (0..batch.len()).rev() {
        let Some(Some(Effect::Work(work::Effect::SaveJob(stored)))) = batch.get(at) else {
            continue;
        };
        let id = stored.job.id.clone();
        if stored.job.status.is_final() {
            later.remove(&id);
        } else if let Some(newer) = later.insert(id, at) {
            batch.swap(at, newer);
            if let Some(older) = batch.get_mut(newer) {
                *older = None;
            }
        }
    }
    batch.into_iter().flatten().collect()
}

/// What an event is about, for those who follow only that.
enum News {
    Devices,
    Environments,
    Else,
}

impl News {
    fn of(event: &Event) -> Self {
        match event {
            Event::Work(
                work::Event::DevicesScanned(_)
                | work::Event::DeviceSeen { .. }
                | work::Event::DeviceGone(_),
            ) => Self::Devices,
            Event::Work(work::Event::EnvironmentsChanged(_)) => Self::Environments,
            _ => Self::Else,
        }
    }
}

/// Returns the submission that an effect accepts.
fn promised(effect: &Effect) -> Option<(LinkId, WireJobId)> {
    match effect {
        Effect::Work(work::Effect::Send(
            link,
            Message::SubmitJobAck {
                job_id,
                verdict: Ok(()),
            },
        )) => Some((*link, job_id.clone())),
        _ => None,
    }
}

/// Turns what would promise something into a refusal.
fn without_promise(effect: Effect, why: &str) -> Vec<Effect> {
    let refusal = match effect {
        Effect::Reply(id, Reply::Refused(error)) => Effect::Reply(id, Reply::Refused(error)),
        Effect::Reply(id, _) => {
            let error = RequestError {
                code: ErrorCode::Internal,
                message: say::not_kept(why),
                hint: say::hint_free_or_unlock(),
            };
            Effect::Reply(id, Reply::Refused(error))
        }
        other => match promised(&other) {
            Some((link, job_id)) => return not_here(link, job_id, why),
            None => other,
        },
    };
    vec![refusal]
}

/// Tells an offloader that its job cannot be built here. No refusal word says that a receiver
/// cannot write, and one without a word leaves the offloader's owner without firmware. So the bundle
/// is acknowledged and its job fails in the way that makes every offloader build elsewhere
/// (peer-link.md §5.8, O-27).
fn not_here(link: LinkId, job_id: WireJobId, why: &str) -> Vec<Effect> {
    let acknowledged = Message::SubmitJobAck {
        job_id: job_id.clone(),
        verdict: Ok(()),
    };
    let failed = Message::JobStateChanged {
        job_id,
        status: JobStatus::Failed,
        error_message: format!("the receiver could not keep the job: {why}"),
        failure_reason: Some(FailureReason::Provision),
    };
    [acknowledged, failed]
        .map(|message| Effect::Work(work::Effect::Send(link, message)))
        .into()
}

#[cfg(test)]
mod tests {
    use kiln_model::JobStatus::{Completed, Queued, Running};
    use kiln_ports::store::Row;

    use super::*;

    fn save(id: &str, status: JobStatus) -> Effect {
        let body = format!(
            r#"{{"v":1,"id":"{id}","kind":"compile","configuration":"a.yaml",
            "origin":{{"by":"owner"}},"placement":{{"at":"local"}},"status":"{}",
            "created_at_us":1}}"#,
            status.word()
        );
        let row = Row {
            kind: crate::records::JOB.to_owned(),
            key: id.to_owned(),
            body,
        };
        let stored = crate::records::job(&row).unwrap();
        Effect::Work(work::Effect::SaveJob(Box::new(stored)))
    }

    fn told(effects: VecDeque<Effect>) -> Vec<String> {
        let words = |effect: &Effect| match effect {
            Effect::Work(work::Effect::SaveJob(stored)) => {
                let job = &stored.job;
                format!("{} {}", job.id, job.status.word())
            }
            _ => "promise".to_owned(),
        };
        effects.iter().map(words).collect()
    }

    #[test]
    fn a_job_that_goes_on_is_written_once_before_what_is_first_said_of_it_and_an_end_in_its_place()
    {
        let promise = || Effect::Work(work::Effect::ViewChanged);
        let (a, b) = ("00000000000a", "00000000000b");
        let batch = [
            save(a, Queued),
            promise(),
            save(b, Queued),
            save(a, Running),
            promise(),
            save(b, Completed),
        ];
        let written = told(with_fewer_saves(batch.into()));
        let expected = [
            format!("{a} running"),
            "promise".to_owned(),
            format!("{b} queued"),
            "promise".to_owned(),
            format!("{b} completed"),
        ];
        assert_eq!(written, expected);
    }
}
