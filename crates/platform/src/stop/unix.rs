//! Linux and macOS: SIGTERM, SIGINT and SIGHUP.
use std::mem::MaybeUninit;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// How long the same signal again says nothing new: `timeout` sends its own twice.
const ECHO: Duration = Duration::from_secs(1);

/// Listens from the call on, which has to be within a runtime, and ends when this process was asked
/// to end so many times in the same way, a second or more apart; never if the system gives no signals.
/// A terminal that is closed asks once, although its shell and the kernel both say so. A signal that
/// whoever started us had ignored (`nohup`, a shell for what it starts in the background) stays ignored.
pub fn asked_to_stop(times: u32) -> impl Future<Output = ()> {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    let hangup = listen(SignalKind::hangup()).filter(|_| times == 1);
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
    stream.recv().await;
    for _ in 1..times {
        let mut echo = pin!(sleep(ECHO));
        loop {
            tokio::select! {
                biased;
                () = &mut echo => break,
                _ = stream.recv() => {}
            }
        }
        stream.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_in_the_same_way_a_second_later_insists() {
        let mut insisted = pin!(asked_to_stop(2));
        let asked = asked_to_stop(1);
        kill_process(getpid(), Signal::TERM).unwrap();
        tokio::select! {
            biased;
            () = &mut insisted => unreachable!("it was said once"),
            () = asked => {}
        }
        tokio::select! {
            biased;
            () = &mut insisted => unreachable!("nothing followed"),
            () = sleep(2 * ECHO) => {}
        }
        kill_process(getpid(), Signal::TERM).unwrap();
        insisted.await;
    }
}
