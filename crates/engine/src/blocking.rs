//! [`blocking`]: calls that may wait for the disk, on a thread that may.
use kiln_ports::store::StoreError;

/// Runs `work` on a blocking thread and waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panicked) => Err(StoreError::Failed(format!(
            "a disk task failed: {panicked}"
        ))),
    }
}
