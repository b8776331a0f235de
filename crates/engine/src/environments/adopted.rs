//! The owner's own ESPHome: found, asked, used and never changed.
use kiln_esphome::Launcher;
use kiln_esphome::version_output::version_of;
use kiln_model::{EnvironmentState, EsphomeVersion};

use super::Environments;
use super::known::{Known, Origin, Own};
use super::mark::Mark;

impl Environments {
    /// Takes over the `esphome` that the setting names, or that is on the search path.
    pub(super) async fn adopt(&self) {
        if let Some((version, adopted)) = self.owners().await {
            self.state
                .send_modify(|state| state.adopt(version, adopted));
        }
    }

    /// Asks the owner's ESPHome for its version again if it was replaced since it was asked: an upgrade
    /// makes another version of it while Kiln runs.
    pub(crate) async fn ask_again_if_replaced(&self) {
        let _turn = self.adopting.lock().await;
        let adopted = self.state().known.iter().find_map(|(version, known)| {
            let Origin::Adopted(mark) = &known.origin else {
                return None;
            };
            Some((version.clone(), known.place.clone(), mark.clone()))
        });
        let Some((old, place, mark)) = adopted else {
            return;
        };
        if mark.is_some() && Mark::of(&place).await == mark {
            return;
        }
        tracing::info!(program = %place.display(), "this esphome was replaced; it is asked again");
        let found = self.owners().await;
        self.state.send_modify(|state| {
            state.known.remove(&old);
            if let Some((version, adopted)) = found {
                state.adopt(version, adopted);
            }
        });
        // It may have stood before one of ours.
        self.scan().await;
    }

    /// Asks the owner's ESPHome which version it is.
    async fn owners(&self) -> Option<(EsphomeVersion, Known)> {
        let own = self.state().own.clone();
        let place = match own {
            Own::Program(place) => place,
            Own::Newest | Own::Version(_) | Own::Nothing => {
                self.programs.on_path(&["esphome"]).into_iter().next()?
            }
        };
        let launcher = Launcher::program(&place);
        // Before it answers: who replaces it meanwhile has it asked again.
        let mark = Mark::of(&place).await;
        let version = match self.answer(&launcher).await {
            Ok(answer) => version_of(&answer)?,
            Err(error) => {
                tracing::info!(program = %place.display(), %error, "this esphome is not used");
                return None;
            }
        };
        let adopted = Known {
            launcher,
            place,
            state: EnvironmentState::Ready,
            size_bytes: None,
            origin: Origin::Adopted(mark),
            verified: true,
        };
        Some((version, adopted))
    }
}
