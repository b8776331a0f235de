//! [`DeskSettings`]: what the desktop remembers for itself, as the text of `desktop.toml`.
use kiln_glance::Language;
use serde::{Deserialize, Serialize};

/// Smallest and largest width or height of a window that is believed, in logical pixels.
const EDGE: std::ops::RangeInclusive<u32> = 320..=16_384;

/// Settings of the desktop, beside those of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeskSettings {
    /// Language of tray, notifications and window.
    pub language: LanguageChoice,
    /// Whether there are notifications.
    pub notifications: Notifications,
    /// Whether the first run was gone through.
    pub first_run: Said,
    /// Whether it was said that Kiln goes on when its window closes.
    pub close_hint: Said,
    /// Whether it was said that this desktop shows no icons.
    pub no_tray: Said,
    /// Size of the window when it was last closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSize>,
}

/// Which language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageChoice {
    /// The system's.
    #[default]
    System,
    /// English.
    En,
    /// German.
    De,
}

/// Whether there are notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notifications {
    /// There are.
    #[default]
    On,
    /// There are none; the window shows the same.
    Off,
}

/// Whether something was said once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Not yet.
    #[default]
    NotYet,
    /// It was.
    Done,
}

/// Inner size in logical pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// The file says something else.
#[derive(Debug, thiserror::Error)]
#[error("desktop.toml is not understood: {0}")]
pub struct NotUnderstood(String);

/// A setting cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingRefused {
    /// There is no such setting.
    #[error("the desktop has no setting {0:?}")]
    Name(String),
    /// It does not take this value.
    #[error("{name} cannot be {value:?}")]
    Value {
        /// Which.
        name: &'static str,
        /// What was given.
        value: String,
    },
}

impl DeskSettings {
    /// Reads the text of the file. Unknown names are those of a newer Kiln and ignored; a size that
    /// no screen has is forgotten.
    ///
    /// # Errors
    /// [`NotUnderstood`]; nothing of the file counts then.
    pub fn from_text(text: &str) -> Result<Self, NotUnderstood> {
        let mut read: Self = toml::from_str(text).map_err(|e| NotUnderstood(e.to_string()))?;
        read.window = read
            .window
            .filter(|size| EDGE.contains(&size.width) && EDGE.contains(&size.height));
        Ok(read)
    }

    /// Writes the text of the file.
    ///
    /// # Errors
    /// Never in practice: every value has a form in TOML.
    pub fn to_text(&self) -> Result<String, NotUnderstood> {
        toml::to_string(self).map_err(|e| NotUnderstood(e.to_string()))
    }

    /// Changes `language` or `notifications`.
    ///
    /// # Errors
    /// [`SettingRefused`]; nothing is changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingRefused> {
        let refused = |name| SettingRefused::Value {
            name,
            value: value.to_owned(),
        };
        match name {
            "language" => {
                self.language = match value {
                    "system" => LanguageChoice::System,
                    "en" => LanguageChoice::En,
                    "de" => LanguageChoice::De,
                    _ => return Err(refused("language")),
                }
            }
            "notifications" => {
                self.notifications = match value {
                    "on" => Notifications::On,
                    "off" => Notifications::Off,
                    _ => return Err(refused("notifications")),
                }
            }
            other => return Err(SettingRefused::Name(other.to_owned())),
        }
        Ok(())
    }

    /// Returns the language that is spoken on a system with this locale.
    pub fn language(&self, locale: &str) -> Language {
        match self.language {
            LanguageChoice::System => Language::from_locale(locale),
            LanguageChoice::En => Language::English,
            LanguageChoice::De => Language::German,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_an_empty_file_is_a_first_start() {
        let mut settings = DeskSettings::from_text("").unwrap();
        assert_eq!(settings, DeskSettings::default());
        settings.set("language", "de").unwrap();
        settings.set("notifications", "off").unwrap();
        settings.window = Some(WindowSize {
            width: 900,
            height: 600,
        });
        let text = settings.to_text().unwrap();
        assert_eq!(DeskSettings::from_text(&text).unwrap(), settings);
    }

    #[test]
    fn a_newer_file_is_read_and_a_senseless_size_is_forgotten() {
        let text = "close_hint = \"done\"\nbadge = 3\n[window]\nwidth = 1\nheight = 600\n";
        let settings = DeskSettings::from_text(text).unwrap();
        assert_eq!(settings.close_hint, Said::Done);
        assert_eq!(settings.window, None);
        assert!(DeskSettings::from_text("language = 7").is_err());
    }

    #[test]
    fn a_setting_that_is_refused_changes_nothing() {
        let mut settings = DeskSettings::default();
        assert!(matches!(
            settings.set("language", "fr"),
            Err(SettingRefused::Value { .. })
        ));
        assert!(matches!(
            settings.set("theme", "dark"),
            Err(SettingRefused::Name(_))
        ));
        assert_eq!(settings, DeskSettings::default());
    }

    #[test]
    fn the_systems_language_counts_until_one_is_chosen() {
        let mut settings = DeskSettings::default();
        assert_eq!(settings.language("de_DE.UTF-8"), Language::German);
        settings.set("language", "en").unwrap();
        assert_eq!(settings.language("de_DE.UTF-8"), Language::English);
    }
}
