//! The rows of the settings, one for each.
use kiln_ipc::{settings_from, settings_json};
use kiln_model::{SettingKey, Settings};
use kiln_ports::store::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BadRecord, SHAPE, parse, row};

/// Kind of a setting's row.
pub const SETTING: &str = "setting";

/// Makes one row per setting, so that a setting that cannot be read costs only itself.
pub fn settings_rows(settings: &Settings) -> Result<Vec<Row>, BadRecord> {
    settings_json(settings)
        .into_iter()
        .map(|(key, value)| row(SETTING, &key, &SettingBody { v: SHAPE, value }))
        .collect()
}

/// Reads settings from their rows. What is missing has its default; what cannot be read has its
/// default too and is reported.
pub fn settings(rows: &[Row]) -> (Settings, Vec<BadRecord>) {
    let mut settings = Settings::default();
    let mut bad = Vec::new();
    for row in rows {
        // A key we do not know is a newer Kiln's setting.
        let Some(key) = SettingKey::from_word(&row.key) else {
            continue;
        };
        let read = |b: SettingBody| {
            set_value(&mut settings, key, &b.value).ok_or(format!("{} does not fit", b.value))
        };
        if let Err(error) = parse(row, read) {
            bad.push(error);
        }
    }
    (settings, bad)
}

/// Returns the value of a setting as people write it.
pub(crate) fn setting_text(settings: &Settings, key: SettingKey) -> String {
    match settings_json(settings).remove(key.word()) {
        Some(Value::String(text)) => text,
        other => other.unwrap_or_default().to_string(),
    }
}

/// Reads one setting; the others stay.
fn set_value(settings: &mut Settings, key: SettingKey, value: &Value) -> Option<()> {
    let mut members = settings_json(settings);
    members.insert(key.word().to_owned(), value.clone());
    *settings = settings_from(members).ok()?;
    if key == SettingKey::CleanupTtl {
        settings.cleanup_ttl_seconds = settings.cleanup_ttl_seconds.clamp(3_600, 2_592_000);
    }
    Some(())
}

#[derive(Serialize, Deserialize)]
struct SettingBody {
    v: u32,
    value: Value,
}

#[cfg(test)]
mod tests {
    use kiln_model::{Pause, RemoteSessions, SandboxMode, Timestamp, VersionPolicy, WhileInUse};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn settings_come_back_as_they_were_stored(
            flags in any::<[bool; 6]>(),
            policy in proptest::sample::select(VersionPolicy::ALL),
            sandbox in proptest::sample::select(SandboxMode::ALL),
            (while_in_use, remote_sessions) in (
                proptest::sample::select(WhileInUse::ALL),
                proptest::sample::select(RemoteSessions::ALL),
            ),
            texts in any::<[String; 9]>(),
            listen_port in any::<u16>(),
            cleanup_ttl_seconds in 3_600u32..=2_592_000,
            (idle_minutes, cpu_limit, ram_floor_mb) in any::<(u16, u8, u32)>(),
            (disk_floor_mb, storage_budget_mb, in_use_cores) in any::<(u32, u32, u8)>(),
            (in_use_disk_floor_mb, yield_minutes, daily_minutes) in any::<(u32, u16, u16)>(),
            (idle_cores, idle_ram_percent, in_use_ram_percent) in any::<(u8, u8, u8)>(),
            paused in prop_oneof![
                Just(Pause::Off),
                Just(Pause::Forever),
                any::<u32>().prop_map(|s| Pause::Until(Timestamp(i64::from(s) * 1_000_000))),
            ],
        ) {
            let [
                esphome_dir,
                python,
                esphome_version,
                listen_host,
                friendly_name,
                hours,
                exclusive_apps,
                build_hosts,
                build_folders,
            ] = texts;
            let original = Settings {
                receiver: flags[0],
                remote_builds: flags[1],
                version_policy: policy,
                include_local: flags[2],
                esphome_dir,
                python,
                esphome_version,
                listen_host,
                listen_port,
                cleanup_ttl_seconds,
                friendly_name,
                idle_minutes,
                while_in_use,
                remote_sessions,
                on_battery: flags[3],
                on_metered: flags[4],
                hours,
                exclusive_apps,
                beside_full_screen: flags[5],
                cpu_limit,
                ram_floor_mb,
                disk_floor_mb,
                in_use_disk_floor_mb,
                storage_budget_mb,
                idle_cores,
                in_use_cores,
                idle_ram_percent,
                in_use_ram_percent,
                yield_minutes,
                daily_minutes,
                paused,
                sandbox,
                build_hosts,
                build_folders,
            };
            let rows = settings_rows(&original).unwrap();
            prop_assert_eq!(settings(&rows), (original, vec![]));
        }
    }

    #[test]
    fn members_of_a_newer_kiln_are_ignored_and_a_newer_shape_is_refused() {
        let row = |body: &str| Row {
            kind: SETTING.into(),
            key: SettingKey::ListenPort.word().into(),
            body: body.into(),
        };
        let (read, bad) = settings(&[row(r#"{"v":1,"value":7000,"since":"2030"}"#)]);
        assert_eq!((read.listen_port, bad.len()), (7000, 0));
        let (read, bad) = settings(&[row(r#"{"v":2,"value":7000}"#)]);
        assert_eq!(read.listen_port, Settings::default().listen_port);
        assert_eq!(bad[0].reason, "a newer Kiln wrote it (shape 2)");
    }

    #[test]
    fn a_setting_that_cannot_be_read_costs_only_itself() {
        let mut rows = settings_rows(&Settings {
            cleanup_ttl_seconds: 4_000,
            ..Settings::default()
        })
        .unwrap();
        let port = rows
            .iter_mut()
            .find(|r| r.key == SettingKey::ListenPort.word())
            .unwrap();
        port.body = r#"{"v":1,"value":"many"}"#.into();
        let (read, bad) = settings(&rows);
        assert_eq!(read.cleanup_ttl_seconds, 4_000);
        assert_eq!(read.listen_port, Settings::default().listen_port);
        assert_eq!(bad.len(), 1);
    }
}
