//! [`MemoryAppearance`]: settings of a system that the test changes.
use kiln_ports::Appearance;
use kiln_ports::appearance::Contrast;
use tokio::sync::{Mutex, watch};

/// Contrast, normal at first.
pub struct MemoryAppearance {
    contrast: watch::Sender<Contrast>,
    told: Mutex<watch::Receiver<Contrast>>,
}

impl Default for MemoryAppearance {
    fn default() -> Self {
        let (contrast, mut told) = watch::channel(Contrast::Normal);
        told.mark_changed();
        Self {
            contrast,
            told: Mutex::new(told),
        }
    }
}

impl MemoryAppearance {
    /// Changes it as the person does.
    pub fn set(&self, contrast: Contrast) {
        self.contrast.send_replace(contrast);
    }
}

#[async_trait::async_trait]
impl Appearance for MemoryAppearance {
    async fn contrast(&self) -> Contrast {
        let mut told = self.told.lock().await;
        match told.changed().await {
            Ok(()) => *told.borrow_and_update(),
            Err(_) => std::future::pending().await,
        }
    }
}
