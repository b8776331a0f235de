//! Linux and macOS: SIGTERM, SIGINT and SIGHUP.
use tokio::signal::unix::{SignalKind, signal};

/// Waits until this process is asked to end; for ever if the system gives no signals.
pub async fn asked_to_stop() {
    let wait = async |kind| match signal(kind) {
        Ok(mut stream) => {
            stream.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "a stop signal cannot be heard");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
