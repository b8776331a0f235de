//! Windows: Ctrl-C, closing the console and shutting down. A program with an icon is told of the end of
//! its session by its window.
use tokio::signal::windows;

/// Listens from the call on, which has to be within a runtime, and ends when this process was asked
/// to end so many times in the same way; never if the system gives no signals.
pub fn asked_to_stop(times: u32) -> impl Future<Output = ()> {
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
            () = async { for _ in 0..times { c.recv().await; } } => {}
            () = async { for _ in 0..times { close.recv().await; } } => {}
            () = async { for _ in 0..times { shutdown.recv().await; } } => {}
        }
    }
}
