//! [`Kept`]: the desktop's settings in their file, which desktop and window share.
use std::io;
use std::path::PathBuf;

use kiln_desk::DeskSettings;
use kiln_platform::{Paths, files};

/// `desktop.toml` in the folder of settings.
#[derive(Clone, Debug)]
pub(crate) struct Kept(PathBuf);

impl Kept {
    pub(crate) fn of(paths: &Paths) -> Self {
        Self(paths.settings.join("desktop.toml"))
    }

    /// Reads the file. One that is not there, or not understood, is as good as none: all of it can be
    /// set again in the window.
    pub(crate) fn read(&self) -> DeskSettings {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => DeskSettings::from_text(&text).unwrap_or_else(|error| {
                tracing::warn!(file = %self.0.display(), %error, "the desktop's settings are left aside");
                DeskSettings::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => DeskSettings::default(),
            Err(error) => {
                tracing::warn!(file = %self.0.display(), %error, "the desktop's settings cannot be read");
                DeskSettings::default()
            }
        }
    }

    /// Changes the file and returns what it says then.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&mut DeskSettings),
    ) -> io::Result<DeskSettings> {
        let mut settings = self.read();
        change(&mut settings);
        let text = settings.to_text().map_err(io::Error::other)?;
        files::atomic_write(&self.0, text.as_bytes())?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_desk::Said;

    #[test]
    fn what_one_program_changes_the_other_reads_and_a_broken_file_is_a_first_start() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        paths.prepare().unwrap();
        let (desk, window) = (Kept::of(&paths), Kept::of(&paths));
        desk.change(|s| s.close_hint = Said::Done).unwrap();
        window.change(|s| s.first_run = Said::Done).unwrap();
        let read = desk.read();
        assert_eq!((read.close_hint, read.first_run), (Said::Done, Said::Done));
        std::fs::write(paths.settings.join("desktop.toml"), "= =").unwrap();
        assert_eq!(desk.read(), DeskSettings::default());
    }
}
