//! Where the power comes from, as the kernel tells (sysfs-class-power).
use std::fs;
use std::path::Path;

use kiln_model::Power;

/// Reads the folder of power supplies. A machine without a battery runs on mains; without the folder
/// nothing is known.
pub(super) fn read(folder: &Path) -> Option<Power> {
    let supplies: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    let mut batteries = Vec::new();
    for supply in supplies {
        let text = |name: &str| {
            let text = fs::read_to_string(supply.path().join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        match text("type")?.as_str() {
            // A mouse has a battery, too.
            "Battery" if text("scope").as_deref() != Some("Device") => {
                let charge = text("capacity").and_then(|c| c.parse::<u8>().ok());
                batteries.push((text("status").unwrap_or_default(), charge));
            }
            "Mains" | "USB" if text("online").as_deref() == Some("1") => {
                return Some(Power::Mains);
            }
            _ => {}
        }
    }
    let discharging = batteries.iter().find(|(status, _)| status == "Discharging");
    Some(match discharging {
        Some((_, charge)) => Power::Battery(*charge),
        None => Power::Mains,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder of supplies, each with its files.
    fn supplies(all: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, files) in all {
            let supply = folder.path().join(name);
            fs::create_dir(&supply).unwrap();
            for (file, text) in *files {
                fs::write(supply.join(file), format!("{text}\n")).unwrap();
            }
        }
        folder
    }

    const DISCHARGING: (&str, &[(&str, &str)]) = (
        "BAT0",
        &[
            ("type", "Battery"),
            ("status", "Discharging"),
            ("capacity", "80"),
        ],
    );
    const CHARGING: (&str, &[(&str, &str)]) = (
        "BAT0",
        &[
            ("type", "Battery"),
            ("status", "Charging"),
            ("capacity", "80"),
        ],
    );
    const MOUSE: (&str, &[(&str, &str)]) = (
        "hidpp",
        &[
            ("type", "Battery"),
            ("scope", "Device"),
            ("status", "Discharging"),
        ],
    );

    fn mains(online: &'static str) -> (&'static str, Vec<(&'static str, &'static str)>) {
        ("AC", vec![("type", "Mains"), ("online", online)])
    }

    #[test]
    fn mains_and_batteries_are_told_apart() {
        let (name, on) = mains("1");
        let (_, off) = mains("0");
        let battery = Some(Power::Battery(Some(80)));
        let cases: [(&[(&str, &[(&str, &str)])], Option<Power>); 7] = [
            (&[], Some(Power::Mains)),
            (&[DISCHARGING], battery),
            (&[DISCHARGING, (name, &off)], battery),
            (&[DISCHARGING, (name, &on)], Some(Power::Mains)),
            (&[CHARGING, (name, &on)], Some(Power::Mains)),
            (&[MOUSE], Some(Power::Mains)),
            (&[MOUSE, DISCHARGING], battery),
        ];
        for (all, expected) in cases {
            assert_eq!(read(supplies(all).path()), expected, "{all:?}");
        }
    }

    #[test]
    fn without_the_folder_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("missing")), None);
    }
}
