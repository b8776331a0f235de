//! Linux and macOS: SIGTERM, SIGINT and SIGHUP.
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from the call on, which has to be within a runtime, and ends when this process is asked
/// to end; never if the system gives no signals.
pub fn asked_to_stop() -> impl Future<Output = ()> {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    let hangup = listen(SignalKind::hangup());
    async move {
        tokio::select! {
            () = heard(terminate) => {}
            () = heard(interrupt) => {}
            () = heard(hangup) => {}
        }
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind)
        .inspect_err(|error| tracing::warn!(%error, "a stop signal cannot be heard"))
        .ok()
}

async fn heard(stream: Option<Signal>) {
    match stream {
        Some(mut stream) => {
            stream.recv().await;
        }
        None => std::future::pending().await,
    }
}
