//! Windows: Ctrl-C, closing the console, logging off and shutting down.
use tokio::signal::windows;

/// Waits until this process is asked to end; for ever if the system gives no signals.
pub async fn asked_to_stop() {
    let (Ok(mut c), Ok(mut close), Ok(mut shutdown)) = (
        windows::ctrl_c(),
        windows::ctrl_close(),
        windows::ctrl_shutdown(),
    ) else {
        tracing::warn!("a stop signal cannot be heard");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = c.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
}
