//! [`WaitedLogs`]: the logs of jobs that are waited for, one at a time.
use kiln_client::Client;
use kiln_ipc::Follow;
use kiln_model::{Job, JobId, JobStatus};

use crate::exit::Failure;
use crate::face::{Face, Reader};
use crate::log_filter::LogFilter;
use crate::text::safe;

/// Shows whole logs, one after the other in the order in which their jobs were asked for: two at once
/// cannot be read. A log's turn comes when its job has begun, and again after its job waited for a device.
#[derive(Default)]
pub(crate) struct WaitedLogs {
    /// With the byte at which each goes on.
    unread: Vec<(JobId, u64)>,
    shown: Option<Shown>,
    /// Several devices are worked on, so each log says of which it is.
    headed: bool,
}

struct Shown {
    follow: u64,
    job: JobId,
    /// Byte behind what was printed.
    next: u64,
    filter: LogFilter,
    /// Printed before the first text.
    heading: String,
}

impl WaitedLogs {
    pub(crate) fn of(jobs: &[Job]) -> Self {
        let mut names = jobs.iter().map(|job| &job.configuration);
        let first = names.next();
        Self {
            unread: jobs.iter().map(|job| (job.id.clone(), 0)).collect(),
            shown: None,
            headed: names.any(|name| Some(name) != first),
        }
    }

    /// Returns whether all was shown.
    pub(crate) fn is_over(&self) -> bool {
        self.unread.is_empty() && self.shown.is_none()
    }

    /// Begins with the next log if none is shown and there is one whose job has begun.
    pub(crate) async fn go_on(&mut self, client: &mut Client, jobs: &[Job]) -> Result<(), Failure> {
        let known = |id: &JobId| jobs.iter().find(|job| job.id == *id);
        let waits = |shown: &mut Shown| known(&shown.job).is_some_and(|job| job.deferred);
        if let Some(Shown {
            follow, job, next, ..
        }) = self.shown.take_if(waits)
        {
            client.unfollow(follow).await?;
            self.unread.push((job, next));
        }
        if self.shown.is_some() {
            return Ok(());
        }
        let begun = |id: &JobId| known(id).filter(|job| job.status != JobStatus::Queued);
        let next = self.unread.iter().enumerate();
        let Some((at, job)) = next
            .filter_map(|(at, (id, _))| Some((at, begun(id)?)))
            .next()
        else {
            return Ok(());
        };
        let (id, offset) = self.unread.remove(at);
        let follow = Follow::Log {
            job: id.clone(),
            offset,
        };
        let heading = match self.headed {
            true => format!("--- {} {}\n", job.kind.word(), safe(&job.configuration)),
            false => String::new(),
        };
        self.shown = Some(Shown {
            follow: client.follow(follow).await?,
            job: id,
            next: offset,
            filter: LogFilter::default(),
            heading,
        });
        Ok(())
    }

    /// Shows text of the log that came under this number.
    pub(crate) fn text(
        &mut self,
        face: &mut Face,
        follow: u64,
        text: &str,
        next: u64,
    ) -> Result<(), Failure> {
        match &mut self.shown {
            Some(shown) if shown.follow == follow => {
                shown.next = next;
                face.print(&std::mem::take(&mut shown.heading))?;
                show_log(face, &mut shown.filter, text)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The log that came under this number is whole.
    pub(crate) fn ended(&mut self, follow: u64) {
        self.shown.take_if(|shown| shown.follow == follow);
    }
}

/// Prints log text: on a terminal with its colours and redrawn lines, in a pipe line by line.
pub(crate) fn show_log(face: &mut Face, filter: &mut LogFilter, text: &str) -> Result<(), Failure> {
    let text = filter.pass(text);
    match face.reader {
        Reader::Terminal => face.print(&text),
        Reader::Pipe => face.print(&text.replace("\r\n", "\n").replace('\r', "\n")),
    }
}
