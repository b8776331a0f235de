//! [`changed`]: checks what the owner wants to set; nothing is applied unless all of it is good.
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use kiln_model::{
    BuildHosts, ErrorCode, EsphomeVersion, FriendlyName, RemoteSessions, RequestError, SandboxMode,
    Sentence, SettingKey, Settings, VersionPolicy, WhileInUse, say,
};

use crate::availability::Hours;
use crate::text::is_printable;

/// Ages after which unused bundles are deleted, in seconds (peer-link.md §4.8).
const CLEANUP_TTL: RangeInclusive<u32> = 3_600..=2_592_000;

/// Memory that a build for others may hold, in percent: at most what the box enforces by itself.
const RAM_PERCENT: RangeInclusive<u8> = 5..=75;

/// Longest path that is taken, in characters; above what any system opens.
const MAX_PATH: usize = 4_096;

/// Longest name of a network interface, in characters; above what any system has.
const MAX_INTERFACE: usize = 255;

/// Longest name announced to others, in characters (peer-link.md §6.1).
const MAX_NAME: usize = 128;

/// Longest list of programs, in characters.
const MAX_APPS: usize = 1_024;

/// Longest text of hours, in characters.
const MAX_HOURS: usize = 1_024;

/// Returns the settings with `changes` (names and values) applied.
///
/// # Errors
/// The first that is wrong, with what it takes.
pub fn changed(current: &Settings, changes: &[(String, String)]) -> Result<Settings, RequestError> {
    let mut settings = current.clone();
    for (name, value) in changes {
        let Some(key) = SettingKey::from_word(name) else {
            let known: Vec<&str> = SettingKey::ALL.iter().map(|key| key.word()).collect();
            let hint = say::hint_settings(known.join(", "));
            return Err(invalid(say::no_setting(format!("{name:?}")), hint));
        };
        if let Err(expected) = set(&mut settings, key, value.trim()) {
            let text = say::not_a_value(name, expected, format!("{value:?}"));
            let hint = say::hint_example(name, example(key));
            return Err(invalid(text, hint));
        }
    }
    Ok(settings)
}

fn invalid(message: Sentence, hint: Sentence) -> RequestError {
    RequestError {
        code: ErrorCode::InvalidArgs,
        message,
        hint,
    }
}

/// Sets one field, or says what it takes.
fn set(settings: &mut Settings, key: SettingKey, value: &str) -> Result<(), Sentence> {
    match key {
        SettingKey::Receiver => settings.receiver = switch(value)?,
        SettingKey::RemoteBuilds => settings.remote_builds = switch(value)?,
        SettingKey::IncludeLocal => settings.include_local = switch(value)?,
        SettingKey::VersionPolicy => {
            settings.version_policy =
                VersionPolicy::from_word(value).ok_or_else(say::expects_policy)?;
        }
        SettingKey::EsphomeDir => {
            settings.esphome_dir = path(value)?;
            let is_found = value.is_empty() || value.starts_with("~/");
            if !is_found && !Path::new(value).is_absolute() {
                return Err(say::expects_folder());
            }
        }
        SettingKey::Python => settings.python = path(value)?,
        SettingKey::EsphomeVersion => {
            if !value.is_empty() {
                let version = value.parse::<EsphomeVersion>();
                let _ = version.map_err(|_| say::expects_version())?;
            }
            settings.esphome_version = value.to_owned();
        }
        SettingKey::ListenHost => {
            settings.listen_host = listen_host(value).ok_or_else(say::expects_host)?;
        }
        SettingKey::ListenPort => {
            settings.listen_port = number(value).ok_or_else(say::expects_port)?;
        }
        SettingKey::CleanupTtl => {
            settings.cleanup_ttl_seconds = number(value)
                .filter(|ttl| CLEANUP_TTL.contains(ttl))
                .ok_or_else(say::expects_seconds)?;
        }
        SettingKey::FriendlyName => {
            if value.chars().count() > MAX_NAME || !is_printable(value) {
                return Err(say::expects_name());
            }
            settings.friendly_name = FriendlyName::clipped(value).to_string();
        }
        SettingKey::IdleMinutes => {
            settings.idle_minutes =
                bounded(value, 0..=1_440).ok_or_else(say::expects_minutes_of_day)?;
        }
        SettingKey::WhileInUse => {
            settings.while_in_use =
                WhileInUse::from_word(value).ok_or_else(say::expects_while_in_use)?;
        }
        SettingKey::RemoteSessions => {
            settings.remote_sessions =
                RemoteSessions::from_word(value).ok_or_else(say::expects_remote_sessions)?;
        }
        SettingKey::OnBattery => settings.on_battery = switch(value)?,
        SettingKey::OnMetered => settings.on_metered = switch(value)?,
        SettingKey::BesideFullScreen => settings.beside_full_screen = switch(value)?,
        SettingKey::Hours => {
            let readable = value.chars().count() <= MAX_HOURS && Hours::parse(value).is_some();
            if !value.is_empty() && !readable {
                return Err(say::expects_hours());
            }
            settings.hours = value.to_owned();
        }
        SettingKey::ExclusiveApps => {
            if value.chars().count() > MAX_APPS || !is_printable(value) {
                return Err(say::expects_programs());
            }
            settings.exclusive_apps = value.to_owned();
        }
        SettingKey::CpuLimit => {
            settings.cpu_limit = bounded(value, 0..=100).ok_or_else(say::expects_percentage)?;
        }
        SettingKey::RamFloor => {
            settings.ram_floor_mb = number(value).ok_or_else(say::expects_megabytes)?;
        }
        SettingKey::DiskFloor => {
            settings.disk_floor_mb = number(value).ok_or_else(say::expects_megabytes)?;
        }
        SettingKey::InUseDiskFloor => {
            settings.in_use_disk_floor_mb = number(value).ok_or_else(say::expects_megabytes)?;
        }
        SettingKey::StorageBudget => {
            settings.storage_budget_mb = number(value).ok_or_else(say::expects_megabytes)?;
        }
        SettingKey::IdleCores => {
            settings.idle_cores = bounded(value, 0..=64).ok_or_else(say::expects_cores_or_all)?;
        }
        SettingKey::InUseCores => {
            settings.in_use_cores = bounded(value, 1..=64).ok_or_else(say::expects_cores)?;
        }
        SettingKey::IdleRam => {
            settings.idle_ram_percent =
                bounded(value, RAM_PERCENT).ok_or_else(say::expects_ram_percentage)?;
        }
        SettingKey::InUseRam => {
            settings.in_use_ram_percent =
                bounded(value, RAM_PERCENT).ok_or_else(say::expects_ram_percentage)?;
        }
        SettingKey::YieldMinutes => {
            settings.yield_minutes =
                bounded(value, 0..=60).ok_or_else(say::expects_minutes_of_hour)?;
        }
        SettingKey::DailyMinutes => {
            settings.daily_minutes =
                bounded(value, 0..=1_440).ok_or_else(say::expects_minutes_of_day)?;
        }
        SettingKey::PausedUntil => {
            let pause = value.parse();
            settings.paused = pause.map_err(|_| say::expects_pause())?;
        }
        SettingKey::Sandbox => {
            settings.sandbox = SandboxMode::from_word(value).ok_or_else(say::expects_sandbox)?;
        }
        SettingKey::BuildHosts => {
            let hosts = BuildHosts::from_setting(value);
            let _ = hosts.map_err(|_| say::expects_build_hosts())?;
            settings.build_hosts = value.to_owned();
        }
        SettingKey::BuildFolders => settings.build_folders = path(value)?,
    }
    Ok(())
}

fn switch(value: &str) -> Result<bool, Sentence> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(say::expects_switch()),
    }
}

/// Reads a number without sign.
fn number<T: FromStr>(value: &str) -> Option<T> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| digits)
}

/// Reads a number without sign within bounds.
fn bounded<T: FromStr + PartialOrd>(value: &str, bounds: RangeInclusive<T>) -> Option<T> {
    number(value).filter(|n| bounds.contains(n))
}

fn path(value: &str) -> Result<String, Sentence> {
    let fits = value.chars().count() <= MAX_PATH && !value.chars().any(char::is_control);
    if fits {
        Ok(value.to_owned())
    } else {
        Err(say::expects_path())
    }
}

/// An IP literal or an interface name (peer-link.md §3.1).
fn listen_host(value: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    let interface = !value.is_empty()
        && value.chars().count() <= MAX_INTERFACE
        && !value.contains(odd)
        && !value.contains(':');
    (value.parse::<IpAddr>().is_ok() || interface).then(|| value.to_owned())
}

/// Returns a good value, to be shown beside a bad one.
fn example(key: SettingKey) -> &'static str {
    match key {
        SettingKey::Receiver | SettingKey::RemoteBuilds | SettingKey::IncludeLocal => "on",
        SettingKey::VersionPolicy => "any",
        SettingKey::EsphomeDir => "~/esphome",
        SettingKey::Python => "python3.13",
        SettingKey::EsphomeVersion => "2026.10.0",
        SettingKey::ListenHost => "0.0.0.0",
        SettingKey::ListenPort => "6055",
        SettingKey::CleanupTtl => "86400",
        SettingKey::FriendlyName => "workshop",
        SettingKey::IdleMinutes => "3",
        SettingKey::WhileInUse => "limit",
        SettingKey::RemoteSessions => "count",
        SettingKey::OnBattery | SettingKey::OnMetered | SettingKey::BesideFullScreen => "off",
        SettingKey::Hours => "\"mon-fri 18:00-08:00; sat,sun all\"",
        SettingKey::ExclusiveApps => "steam,obs",
        SettingKey::CpuLimit => "50",
        SettingKey::RamFloor => "512",
        SettingKey::DiskFloor => "2048",
        SettingKey::InUseDiskFloor => "10240",
        SettingKey::StorageBudget => "20480",
        SettingKey::IdleCores => "4",
        SettingKey::InUseCores => "1",
        SettingKey::IdleRam => "75",
        SettingKey::InUseRam => "25",
        SettingKey::YieldMinutes => "10",
        SettingKey::DailyMinutes => "480",
        SettingKey::PausedUntil => "forever",
        SettingKey::Sandbox => "required",
        SettingKey::BuildHosts => "\"default mirror.example.net\"",
        SettingKey::BuildFolders => "/opt/toolchains",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_one(name: &str, value: &str) -> Result<Settings, RequestError> {
        changed(&Settings::default(), &[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn every_setting_takes_its_own_example() {
        for key in SettingKey::ALL {
            // Quotes are for the shell.
            let value = example(*key).trim_matches('"');
            assert!(set_one(key.word(), value).is_ok(), "{}", key.word());
        }
    }

    #[test]
    fn good_values_are_applied() {
        let changes = [
            ("receiver", "On"),
            ("version_policy", "exact_required"),
            ("listen_host", "::"),
            ("listen_port", "0"),
            ("esphome_version", ""),
            ("friendly_name", " Küche "),
        ];
        let changes = changes.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let settings = changed(&Settings::default(), &changes).unwrap();
        let expected = Settings {
            receiver: true,
            version_policy: VersionPolicy::ExactRequired,
            listen_host: "::".to_owned(),
            listen_port: 0,
            friendly_name: "Küche".to_owned(),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn bad_values_are_refused_with_what_is_taken() {
        for (name, value) in [
            ("receiver", "maybe"),
            ("receiver", ""),
            ("version_policy", "Any"),
            ("esphome_dir", "a\0b"),
            ("esphome_dir", "esphome"),
            ("esphome_dir", "~"),
            ("esphome_version", "newest"),
            ("listen_host", ""),
            ("listen_host", "a b"),
            ("listen_host", "::zz"),
            ("listen_port", "65536"),
            ("listen_port", "+1"),
            ("listen_port", ""),
            ("cleanup_ttl_seconds", "3599"),
            ("cleanup_ttl_seconds", "2592001"),
            ("friendly_name", "a\u{202e}b"),
            ("idle_minutes", "1441"),
            ("remote_sessions", "on"),
            ("on_battery", "sometimes"),
            ("on_metered", ""),
            ("hours", "late"),
            ("exclusive_apps", "a\u{7}b"),
            ("beside_full_screen", "maybe"),
            ("cpu_limit", "101"),
            ("ram_floor_mb", "-1"),
            ("disk_floor_mb", "much"),
            ("storage_budget_mb", "20 GiB"),
            ("while_in_use", "off"),
            ("in_use_disk_floor_mb", "-1"),
            ("idle_cores", "65"),
            ("in_use_cores", "0"),
            ("idle_ram_percent", "76"),
            ("in_use_ram_percent", "4"),
            ("yield_minutes", "61"),
            ("daily_minutes", "1441"),
            ("paused_until", "later"),
            ("sandbox", "on"),
            ("build_hosts", "10.0.0.1"),
            ("colour", "blue"),
        ] {
            let error = set_one(name, value).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgs, "{name} {value:?}");
            assert!(error.message.contains(name) && !error.hint.is_empty());
        }
        let long = "x".repeat(129);
        assert!(set_one("friendly_name", &long).is_err());
    }
}
