//! Windows: Ctrl-C, closing the console, logging off and shutting down.
use tokio::signal::windows;

/// Listens from the call on, which has to be within a runtime, and ends when this process is asked
/// to end; never if the system gives no signals.
pub fn asked_to_stop() -> impl Future<Output = ()> {
    let streams = (
        windows::ctrl_c(),
        windows::ctrl_close(),
        windows::ctrl_shutdown(),
    );
    async move {
        let (Ok(mut c), Ok(mut close), Ok(mut shutdown)) = streams else {
            tracing::warn!("a stop signal cannot be heard");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = c.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        }
    }
}
