//! Linux and macOS: SIGTERM, SIGINT and SIGHUP.
use std::mem::MaybeUninit;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from the call on, which has to be within a runtime, and ends when this process was asked
/// to end so many times in the same way; never if the system gives no signals. A signal that whoever
/// started us had ignored (`nohup`, a shell for what it starts in the background) stays ignored.
pub fn asked_to_stop(times: u32) -> impl Future<Output = ()> {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    let hangup = listen(SignalKind::hangup());
    async move {
        tokio::select! {
            () = heard(terminate, times) => {}
            () = heard(interrupt, times) => {}
            () = heard(hangup, times) => {}
        }
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    if is_ignored(kind) {
        return None;
    }
    signal(kind)
        .inspect_err(|error| tracing::warn!(%error, "a stop signal cannot be heard"))
        .ok()
}

#[expect(
    unsafe_code,
    reason = "the C library alone tells how a signal is treated"
)]
fn is_ignored(kind: SignalKind) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action nothing is changed, and the present one is written to memory of
    // its type.
    let told =
        unsafe { libc::sigaction(kind.as_raw_value(), std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it was written, since the call succeeded.
    told == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

async fn heard(stream: Option<Signal>, times: u32) {
    let Some(mut stream) = stream else {
        return std::future::pending().await;
    };
    for _ in 0..times {
        stream.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn who_asks_twice_in_the_same_way_insists() {
        let (asked, mut insisted) = (asked_to_stop(1), pin!(asked_to_stop(2)));
        kill_process(getpid(), Signal::TERM).unwrap();
        tokio::select! {
            biased;
            () = &mut insisted => unreachable!("it was said once"),
            () = asked => {}
        }
        kill_process(getpid(), Signal::TERM).unwrap();
        insisted.await;
    }
}
