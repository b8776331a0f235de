//! What of Kiln's own environments goes: what is broken, older and not needed, or in the way.
use std::time::SystemTime;

use kiln_model::{EnvironmentInfo, EnvironmentState, EsphomeVersion};
use tokio::fs;

use super::Environments;
use super::known::{Known, Look, Origin};
use super::record::{MadeFor, RECORD};
use crate::programs::Customer;

impl Environments {
    /// Tidies up once after the start: looks for an ESPHome of the owner, deletes interrupted
    /// installations and environments of others that are older than the one for own builds
    /// (MUST 81), asks the rest whether they work, and repairs the one for own builds. Takes seconds;
    /// installing and building may go on meanwhile.
    pub async fn tidy(&self) -> Vec<EnvironmentInfo> {
        self.scan().await;
        self.adopt().await;
        self.state.send_modify(|state| state.look = Look::Over);
        self.sweep().await;
        for (version, _) in self.ours() {
            let turn = self.turn(&version);
            let _turn = turn.lock().await;
            self.works(&version).await;
        }
        let own = self.wanted_for_own();
        if let Some(version) = own.filter(|version| self.is_broken(version)) {
            tracing::warn!(%version, "the environment for own builds is broken; repairing it");
            // Nobody asked for it, so it stays whose it was.
            let ensured = self.ensure_as(MadeFor::Others, Customer::Owner, &version, |_| async {});
            if let Err(error) = ensured.await {
                tracing::error!(%version, %error, "the environment was not repaired");
            }
        }
        self.list()
    }

    /// Deletes what is not needed, unless somebody uses it or has used it in this process. The
    /// version for own builds stays; while it is not ready and pinnable, nothing counts as older,
    /// so the last environment never goes.
    async fn sweep(&self) {
        let own = self.launcher(None).map(|(version, _)| version);
        let own = own.filter(EsphomeVersion::is_pinnable);
        let wanted = self.wanted_for_own();
        for (version, _) in self.ours() {
            let turn = self.turn(&version);
            let Ok(_turn) = turn.try_lock() else { continue };
            let known = self.state().known.get(&version).cloned();
            let Some(known) = known.filter(|known| !known.verified) else {
                continue;
            };
            let older = own
                .as_ref()
                .is_some_and(|own| version.order_key() < own.order_key());
            // What the owner asked for stays.
            let older = older && known.origin.made_for() == MadeFor::Others;
            let interrupted = known.state != EnvironmentState::Ready;
            if older || (interrupted && wanted.as_ref() != Some(&version)) {
                tracing::info!(%version, interrupted, "deleting an environment");
                self.delete(&version).await;
                self.forget_ours(&version);
            }
        }
    }

    /// Returns the versions that Kiln installed, with their sizes in bytes and when that was.
    pub(crate) async fn inventory(&self) -> Vec<(EsphomeVersion, u64, SystemTime)> {
        let mut all = Vec::new();
        for (version, known) in self.ours() {
            let record = self.folder_of(&version).join(RECORD);
            let made = fs::metadata(record)
                .await
                .and_then(|facts| facts.modified());
            if let (Some(bytes), Ok(made)) = (known.size_bytes, made) {
                all.push((version, bytes, made));
            }
        }
        all
    }

    /// Deletes a version that Kiln installed, unless it is just being installed or checked; returns
    /// whether it is gone. Nothing happens to the one for own builds.
    pub(crate) async fn evict(&self, version: &EsphomeVersion) -> bool {
        let turn = self.turn(version);
        let Ok(_turn) = turn.try_lock() else {
            return false;
        };
        let own = self.launcher(None).map(|(version, _)| version);
        if own.as_ref() == Some(version) || !self.ours().iter().any(|(ours, _)| ours == version) {
            return false;
        }
        self.delete(version).await;
        self.forget_ours(version);
        !fs::try_exists(self.folder_of(version))
            .await
            .unwrap_or(true)
    }

    /// A version that Kiln installed is not there any more. One of the owner's stays known.
    pub(super) fn forget_ours(&self, version: &EsphomeVersion) {
        self.state.send_modify(|state| {
            let is_ours = |known: &Known| matches!(known.origin, Origin::Ours(_));
            if state.known.get(version).is_some_and(is_ours) {
                state.known.remove(version);
            }
        });
    }

    /// Deletes an environment of ours from the disk, whatever is in its place. The record goes
    /// first: half an environment is none.
    pub(super) async fn delete(&self, version: &EsphomeVersion) {
        let folder = self.folder_of(version);
        for outcome in [
            fs::remove_file(folder.join(RECORD)).await,
            fs::remove_dir_all(&folder).await,
        ] {
            match outcome {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%version, %error, "an environment was not deleted");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn is_broken(&self, version: &EsphomeVersion) -> bool {
        let state = self.state();
        let known = state.known.get(version);
        known.is_some_and(|known| matches!(known.state, EnvironmentState::Broken(_)))
    }
}
