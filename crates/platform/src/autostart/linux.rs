//! Linux: a file in the autostart folder (Desktop Application Autostart Specification 0.5). A person
//! switches an entry off by hiding it, which desktops' settings do with the same file.
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use kiln_ports::autostart::{AutostartError, StartAtLogin};

use super::LoginItem;

/// The autostart folder of this user.
pub(super) struct List {
    item: LoginItem,
    /// `None` for a user without a home folder.
    folder: Option<PathBuf>,
}

impl List {
    /// The folder is that of `$XDG_CONFIG_HOME`, else `~/.config`.
    pub(super) fn new(item: LoginItem) -> Self {
        let folder = directories::BaseDirs::new().map(|dirs| dirs.config_dir().join("autostart"));
        Self::of(item, folder, std::env::var_os("APPIMAGE"))
    }

    /// The programs of an AppImage are where its file is mounted now, and only the file is there at
    /// the next login. It starts its desktop.
    fn of(mut item: LoginItem, folder: Option<PathBuf>, image: Option<OsString>) -> Self {
        if let Some(image) = image.filter(|image| !image.is_empty()) {
            item.program = image.into();
        }
        Self { item, folder }
    }

    pub(super) fn state(&self) -> Result<StartAtLogin, AutostartError> {
        match fs::read_to_string(self.file()?) {
            Ok(text) if switched_off(&text) => Ok(StartAtLogin::Blocked),
            Ok(_) => Ok(StartAtLogin::On),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(StartAtLogin::Off),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) fn enable(&self) -> Result<(), AutostartError> {
        let file = self.file()?;
        let write = |folder: &Path| {
            fs::create_dir_all(folder)?;
            let mut draft = tempfile::NamedTempFile::new_in(folder)?;
            draft.write_all(self.entry().as_bytes())?;
            draft.persist(&file).map_err(|error| error.error)?;
            Ok(())
        };
        let folder = self.folder.as_deref().ok_or(AutostartError::Unsupported)?;
        write(folder).map_err(|error: io::Error| failed(&error))
    }

    pub(super) fn disable(&self) -> Result<(), AutostartError> {
        match fs::remove_file(self.file()?) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    fn file(&self) -> Result<PathBuf, AutostartError> {
        let folder = self.folder.as_ref().ok_or(AutostartError::Unsupported)?;
        Ok(folder.join(format!("{}.desktop", self.item.id)))
    }

    /// `TryExec` makes an entry that outlives its program do nothing.
    fn entry(&self) -> String {
        let LoginItem {
            name,
            id: _,
            icon,
            program,
            arguments,
        } = &self.item;
        let program = program.to_string_lossy();
        let command: Vec<String> = std::iter::once(program.as_ref())
            .chain(arguments.iter().map(String::as_str))
            .map(quoted)
            .collect();
        let (command, program) = (command.join(" "), escaped(&program));
        format!(
            "[Desktop Entry]\nType=Application\nName={name}\nIcon={icon}\nExec={command}\n\
             TryExec={program}\nTerminal=false\nX-GNOME-Autostart-enabled=true\n"
        )
    }
}

/// Returns whether somebody switched the entry off: `Hidden` of the specification, or the key that
/// GNOME's tools use.
fn switched_off(entry: &str) -> bool {
    let pairs = entry.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.trim(), value.trim()))
        .any(|pair| pair == ("Hidden", "true") || pair == ("X-GNOME-Autostart-enabled", "false"))
}

/// An argument of `Exec`: in double quotes with the special ones escaped, and then escaped as every
/// value is (Desktop Entry Specification, "The Exec key"). `%` begins a field code.
fn quoted(argument: &str) -> String {
    let mut inner = String::new();
    for c in argument.chars() {
        match c {
            '"' | '`' | '$' | '\\' => inner.extend(['\\', c]),
            '%' => inner.push_str("%%"),
            c => inner.push(c),
        }
    }
    escaped(&format!("\"{inner}\""))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

fn failed(error: &io::Error) -> AutostartError {
    AutostartError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autostart::LoginItems;

    fn list(folder: &Path, image: Option<&str>) -> LoginItems {
        let item = LoginItem {
            name: "Kiln".to_owned(),
            id: "kiln-desktop".to_owned(),
            icon: "kiln".to_owned(),
            program: "/opt/my $kiln/kiln-desktop".into(),
            arguments: vec!["--hidden".to_owned()],
        };
        let folder = Some(folder.join("autostart"));
        LoginItems(List::of(item, folder, image.map(OsString::from)))
    }

    #[test]
    fn it_is_switched_on_and_off_again() {
        let dir = tempfile::tempdir().unwrap();
        let list = list(dir.path(), None);
        assert_eq!(list.state(), Ok(StartAtLogin::Off));
        list.disable().unwrap();
        list.enable().unwrap();
        assert_eq!(list.state(), Ok(StartAtLogin::On));
        let file = dir.path().join("autostart/kiln-desktop.desktop");
        let entry = fs::read_to_string(&file).unwrap();
        let exec = "Exec=\"/opt/my \\\\$kiln/kiln-desktop\" \"--hidden\"\n";
        assert!(entry.contains(exec), "{entry}");
        assert!(entry.contains("\nIcon=kiln\n"), "{entry}");
        list.disable().unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn of_an_app_image_the_file_itself_is_started() {
        for (image, started) in [
            (Some("/home/me/Kiln.AppImage"), "/home/me/Kiln.AppImage"),
            (Some(""), "/opt/my $kiln/kiln-desktop"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            list(dir.path(), image).enable().unwrap();
            let file = dir.path().join("autostart/kiln-desktop.desktop");
            let entry = fs::read_to_string(file).unwrap();
            assert!(entry.contains(&format!("\nTryExec={started}\n")), "{entry}");
        }
    }

    #[test]
    fn what_the_person_switched_off_in_the_desktops_settings_stays_off() {
        let dir = tempfile::tempdir().unwrap();
        let list = list(dir.path(), None);
        list.enable().unwrap();
        let file = dir.path().join("autostart/kiln-desktop.desktop");
        for change in ["Hidden=true\n", "X-GNOME-Autostart-enabled=false\n"] {
            let entry = format!("[Desktop Entry]\n{change}");
            fs::write(&file, &entry).unwrap();
            assert_eq!(list.state(), Ok(StartAtLogin::Blocked));
            assert_eq!(list.enable(), Err(AutostartError::Blocked));
            assert_eq!(fs::read_to_string(&file).unwrap(), entry);
        }
    }
}
