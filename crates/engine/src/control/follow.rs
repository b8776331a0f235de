//! [`follow`]: sends one client what it follows, at the client's own pace.
use std::sync::Arc;

use kiln_domain::ClientId;
use kiln_ipc::{Event, Follow, ServerMessage};
use kiln_model::{Job, JobId, Request, View};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};

use super::Counter;

/// Bytes of a log sent in one event.
const LOG_PIECE: usize = 64 * 1024;

/// Follows until there is nothing more, the client unfollows, or it leaves.
pub(super) async fn follow(out: Follower, what: Follow, counter: Arc<Counter>) {
    // An error means that the client left.
    let _ = match what {
        Follow::View => view(&counter, &out).await,
        Follow::Jobs => jobs(&counter, &out).await,
        Follow::Devices => devices(&counter, &out).await,
        Follow::Environments => environments(&counter, &out).await,
        Follow::Log { job, offset } => log(&counter, &out, job, offset).await,
        Follow::LogNow { job, offset } => log_now(&counter, &out, &job, offset).await,
    };
}

/// The client is gone.
struct Gone;

/// Who follows, and where it is told.
pub(super) struct Follower {
    /// The client.
    pub(super) client: ClientId,
    /// Its number for what it follows.
    pub(super) id: u64,
    /// Where events go.
    pub(super) out: mpsc::Sender<ServerMessage>,
}

impl Follower {
    async fn event(&self, event: Event) -> Result<(), Gone> {
        self.out
            .send(ServerMessage::Event { id: self.id, event })
            .await
            .map_err(|_| Gone)
    }
}

async fn view(counter: &Counter, out: &Follower) -> Result<(), Gone> {
    let views = looked_at(counter, out).await?;
    each(views, out, |view: &View| Event::View {
        view: Box::new(view.clone()),
    })
    .await
}

async fn devices(counter: &Counter, out: &Follower) -> Result<(), Gone> {
    let lists = counter.devices.subscribe();
    counter.ask(out.client, Request::Devices).await;
    each(lists, out, |devices: &Vec<_>| Event::Devices {
        devices: devices.clone(),
    })
    .await
}

async fn environments(counter: &Counter, out: &Follower) -> Result<(), Gone> {
    let lists = counter.environments.subscribe();
    counter.ask(out.client, Request::Environments).await;
    each(lists, out, |environments: &Vec<_>| Event::Environments {
        environments: environments.clone(),
    })
    .await
}

/// Sends what there is and whatever replaces it. A client that is slow misses what was replaced
/// before it looked.
async fn each<T>(
    mut values: watch::Receiver<Option<Arc<T>>>,
    out: &Follower,
    event: impl Fn(&T) -> Event,
) -> Result<(), Gone> {
    loop {
        let value = values.borrow_and_update().clone();
        if let Some(value) = value {
            out.event(event(&value)).await?;
        }
        values.changed().await.map_err(|_| Gone)?;
    }
}

/// Returns the views from now on, with a current one among them: without this receiver nobody may
/// have looked, and none was made.
async fn looked_at(
    counter: &Counter,
    out: &Follower,
) -> Result<watch::Receiver<Option<Arc<View>>>, Gone> {
    let mut views = counter.view.subscribe();
    counter.ask(out.client, Request::Status).await;
    views.wait_for(Option::is_some).await.map_err(|_| Gone)?;
    // What was waited for counts as news to whoever looks first.
    views.mark_changed();
    Ok(views)
}

async fn jobs(counter: &Counter, out: &Follower) -> Result<(), Gone> {
    let mut changes = counter.jobs.subscribe();
    // Kept, so that there is a view when the list is wanted again.
    let _views = looked_at(counter, out).await?;
    loop {
        for job in all_jobs(counter) {
            out.event(Event::Job { job: Box::new(job) }).await?;
        }
        loop {
            match changes.recv().await {
                Ok(job) => {
                    out.event(Event::Job {
                        job: Box::new(job.as_ref().clone()),
                    })
                    .await?
                }
                // Too slow: the whole list again.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Err(Gone),
            }
        }
    }
}

fn all_jobs(counter: &Counter) -> Vec<Job> {
    let view = counter.view.borrow();
    view.as_ref()
        .map(|view| view.jobs.iter().rev().cloned().collect())
        .unwrap_or_default()
}

async fn log(counter: &Counter, out: &Follower, job: JobId, mut offset: u64) -> Result<(), Gone> {
    let mut grew = counter.logs.changes();
    let mut views = looked_at(counter, out).await?;
    loop {
        // Asked before reading: what a final job said is in the file by then.
        let is_final = is_final(counter, &job);
        offset = send_rest(counter, out, &job, offset).await?;
        if is_final {
            return out.event(Event::End).await;
        }
        loop {
            tokio::select! {
                change = grew.recv() => match change {
                    Ok(changed) if changed != job => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Err(Gone),
                },
                changed = views.changed() => {
                    changed.map_err(|_| Gone)?;
                    break;
                }
            }
        }
    }
}

async fn log_now(counter: &Counter, out: &Follower, job: &JobId, offset: u64) -> Result<(), Gone> {
    send_rest(counter, out, job, offset).await?;
    out.event(Event::End).await
}

/// A job that is not known any more says nothing more either.
fn is_final(counter: &Counter, job: &JobId) -> bool {
    let view = counter.view.borrow();
    let Some(view) = view.as_ref() else {
        return false;
    };
    view.jobs
        .iter()
        .find(|j| j.id == *job)
        .is_none_or(|j| j.status.is_final())
}

/// Sends what the file has from `offset` on; returns where to go on.
async fn send_rest(
    counter: &Counter,
    out: &Follower,
    job: &JobId,
    mut offset: u64,
) -> Result<u64, Gone> {
    let Ok(mut file) = File::open(counter.store.log_path(job)).await else {
        return Ok(offset);
    };
    if file.seek(SeekFrom::Start(offset)).await.is_err() {
        return Ok(offset);
    }
    let mut buffer = vec![0; LOG_PIECE];
    let mut kept = 0;
    loop {
        let free = buffer.get_mut(kept..).unwrap_or_default();
        let read = file.read(free).await.unwrap_or(0);
        let filled = buffer.get(..kept + read).unwrap_or_default();
        // A character that is cut in two waits for its other half, unless the file ends in it.
        let whole = if read == 0 {
            filled.len()
        } else {
            whole_characters(filled)
        };
        if whole == 0 {
            return Ok(offset);
        }
        let text = String::from_utf8_lossy(filled.get(..whole).unwrap_or_default()).into_owned();
        let next = offset + whole as u64;
        out.event(Event::Log { offset, text, next }).await?;
        offset = next;
        let end = kept + read;
        buffer.copy_within(whole..end, 0);
        kept = end - whole;
    }
}

/// Returns how many bytes form whole characters; at most three at the end do not.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => {
            // Broken text in the middle is replaced; only a cut at the very end waits.
            let cut = (1..=3.min(bytes.len())).find(|n| {
                let start = bytes.len() - n;
                bytes.get(start).is_some_and(|b| *b >= 0xC0)
                    && std::str::from_utf8(bytes.get(start..).unwrap_or_default())
                        .is_err_and(|e| e.error_len().is_none())
            });
            bytes.len() - cut.unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_in_two_waits_for_its_other_half() {
        let text = "grün".as_bytes();
        assert_eq!(whole_characters(text), 5);
        assert_eq!(whole_characters(&text[..3]), 2);
        assert_eq!(whole_characters(b"\xff abc"), 5);
        assert_eq!(whole_characters(b"\xff abc\xe2\x82"), 5);
    }
}
