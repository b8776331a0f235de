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

    /// A supply: its name, and its files with what they say.
    type Supply = (&'static str, &'static [(&'static str, &'static str)]);

    /// Makes a folder of supplies.
    fn supplies(all: &[Supply]) -> tempfile::TempDir {
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

    const DISCHARGING: Supply = (
        "BAT0",
        &[
            ("type", "Battery"),
            ("status", "Discharging"),
            ("capacity", "80"),
        ],
    );
    const CHARGING: Supply = (
        "BAT0",
        &[
            ("type", "Battery"),
            ("status", "Charging"),
            ("capacity", "80"),
        ],
    );
    const MOUSE: Supply = (
        "hidpp",
        &[
            ("type", "Battery"),
            ("scope", "Device"),
            ("status", "Discharging"),
        ],
    );
    const PLUGGED: Supply = ("AC", &[("type", "Mains"), ("online", "1")]);
    const UNPLUGGED: Supply = ("AC", &[("type", "Mains"), ("online", "0")]);

    #[test]
    fn mains_and_batteries_are_told_apart() {
        let battery = Power::Battery(Some(80));
        let cases: [(&[Supply], Power); 7] = [
            (&[], Power::Mains),
            (&[DISCHARGING], battery),
            (&[DISCHARGING, UNPLUGGED], battery),
            (&[DISCHARGING, PLUGGED], Power::Mains),
            (&[CHARGING, PLUGGED], Power::Mains),
            (&[MOUSE], Power::Mains),
            (&[MOUSE, DISCHARGING], battery),
        ];
        for (all, expected) in cases {
            assert_eq!(read(supplies(all).path()), Some(expected), "{all:?}");
        }
    }

    #[test]
    fn without_the_folder_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("missing")), None);
    }
}
