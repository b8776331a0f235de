//! [`local_idedata`]: the tool paths ESPHome caches for an upload, made anew for this machine.
//!
//! Nothing a receiver says is ever a path or a program (trust.md P3): only its choice among files
//! that the platform is known to build is taken over, and every path is computed here. Members
//! without use for an upload are left out.
use serde::{Deserialize, Serialize};

use crate::artifact_set::{ArtifactSet, Member};
use crate::remap;

/// Largest idedata read, in bytes; real ones have up to some hundred thousand.
pub const MAX_IDEDATA_BYTES: usize = 8 << 20;

/// Why idedata cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdedataError {
    /// Too large or not JSON of the known shape.
    #[error("idedata.json is not what ESPHome writes")]
    NotIdedata,
    /// The program is not a file that the platform builds.
    #[error("idedata.json names a program that this platform does not build")]
    UnknownProgram,
}

/// Where things are on both machines.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Build folder on the receiver, from its sidecar.
    pub receiver_build: &'a str,
    /// Build folder here.
    pub local_build: &'a str,
    /// PlatformIO's core folder here, if known: toolchains lie below its `packages`.
    pub local_platformio: Option<&'a str>,
}

/// Makes the local idedata from a receiver's (builds.md §9.2).
///
/// Kept: the program, and flash images with their offsets, as far as they are files of `set`; the
/// compiler, as far as it is a `gcc` of a package below the local PlatformIO folder, since ESPHome
/// finds its other tools beside it.
pub fn local_idedata(
    bytes: &[u8],
    set: &ArtifactSet,
    places: Places<'_>,
) -> Result<String, IdedataError> {
    if bytes.len() > MAX_IDEDATA_BYTES {
        return Err(IdedataError::NotIdedata);
    }
    let theirs: Theirs = serde_json::from_slice(bytes).map_err(|_| IdedataError::NotIdedata)?;
    let local = |path: &str| {
        let relative = remap::below(path, places.receiver_build).ok()??;
        let known = set.classify(&relative) == Some(Member::BuildFile);
        known.then(|| remap::join(places.local_build, &relative))
    };
    let image = |image: &FlashImage| {
        Some(FlashImage {
            path: local(&image.path)?,
            offset: is_offset(&image.offset).then(|| image.offset.clone())?,
        })
    };
    let ours = Ours {
        prog_path: local(&theirs.prog_path).ok_or(IdedataError::UnknownProgram)?,
        cc_path: theirs
            .cc_path
            .and_then(|path| compiler_in(places.local_platformio?, &path)),
        extra: Extra {
            flash_images: theirs.extra.flash_images.iter().filter_map(image).collect(),
        },
    };
    Ok(serde_json::to_string(&ours).unwrap_or_default())
}

#[derive(Deserialize)]
struct Theirs {
    prog_path: String,
    cc_path: Option<String>,
    #[serde(default)]
    extra: Extra,
}

#[derive(Serialize)]
struct Ours {
    prog_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cc_path: Option<String>,
    extra: Extra,
}

#[derive(Default, Deserialize, Serialize)]
struct Extra {
    #[serde(default)]
    flash_images: Vec<FlashImage>,
}

#[derive(Deserialize, Serialize)]
struct FlashImage {
    path: String,
    offset: String,
}

/// `0x` and up to eight hex digits, or up to ten decimal ones.
fn is_offset(text: &str) -> bool {
    let hex = text.strip_prefix("0x").is_some_and(|digits| {
        (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    let decimal = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    hex || decimal
}

/// Finds `packages/toolchain-<any>/bin/<any>gcc[.exe]` at the end of the receiver's path and puts
/// it below our own PlatformIO folder.
fn compiler_in(local_platformio: &str, path: &str) -> Option<String> {
    let mut parts = path.rsplit(['/', '\\']);
    let (program, bin, package) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str| {
        text.len() <= 128
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    };
    let fits = parts.next() == Some("packages")
        && package.starts_with("toolchain-")
        && bin == "bin"
        && (program.ends_with("gcc") || program.ends_with("gcc.exe"))
        && !program.starts_with('.')
        && plain(package)
        && plain(program);
    fits.then(|| {
        remap::join(
            local_platformio,
            &format!("packages/{package}/bin/{program}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use kiln_model::DeviceName;

    use super::*;
    use crate::artifact_set::{Platform, Toolchain};

    fn esp32() -> ArtifactSet {
        ArtifactSet {
            platform: Platform::Esp32,
            toolchain: Toolchain::PlatformIo,
            name: DeviceName::parse("n").unwrap(),
            firmware: ".pioenvs/n/firmware.bin".to_owned(),
        }
    }

    const PLACES: Places<'static> = Places {
        receiver_build: "/r/n",
        local_build: "/o/n",
        local_platformio: Some("/home/me/.platformio"),
    };

    #[test]
    fn paths_are_computed_here_and_everything_else_is_left_out() {
        let theirs = br#"{
            "prog_path": "/r/n/.pioenvs/n/firmware.elf",
            "cc_path": "/home/them/.platformio/packages/toolchain-xtensa32/bin/xtensa-esp32-elf-gcc",
            "cxx_path": "/bin/evil", "includes": {"build": ["/x"]}, "svd_path": "/etc/passwd",
            "extra": {"flash_images": [
                {"path": "/r/n/.pioenvs/n/bootloader.bin", "offset": "0x1000"},
                {"path": "/etc/shadow", "offset": "0x8000"},
                {"path": "/r/n/.pioenvs/n/partitions.bin", "offset": "--port"},
                {"path": "/r/n/../../x.bin", "offset": "0x0"}
            ]}
        }"#;
        let ours = local_idedata(theirs, &esp32(), PLACES).unwrap();
        let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
        assert_eq!(
            ours,
            serde_json::json!({
                "prog_path": "/o/n/.pioenvs/n/firmware.elf",
                "cc_path": "/home/me/.platformio/packages/toolchain-xtensa32/bin/xtensa-esp32-elf-gcc",
                "extra": {"flash_images": [
                    {"path": "/o/n/.pioenvs/n/bootloader.bin", "offset": "0x1000"}
                ]}
            })
        );
    }

    #[test]
    fn a_compiler_that_is_no_toolchain_package_is_dropped() {
        for path in [
            "/usr/bin/gcc",
            "/x/packages/tool-evil/bin/gcc",
            "/x/packages/toolchain-a/../../../bin/gcc",
            "/x/packages/toolchain-a/bin/rm",
            "/x/packages/toolchain-a b/bin/gcc",
            "/x/packages/toolchain-../bin/x gcc",
            "gcc",
            "",
        ] {
            assert_eq!(compiler_in("/p", path), None, "{path}");
        }
        let windows = r"C:\p\packages\toolchain-a\bin\a-gcc.exe";
        let local = compiler_in(r"D:\pio", windows);
        assert_eq!(
            local.as_deref(),
            Some(r"D:\pio\packages\toolchain-a\bin\a-gcc.exe")
        );
    }

    #[test]
    fn a_program_outside_the_build_is_refused() {
        for program in ["/bin/sh", "/r/n/../sh", "/r/n/src/x", "/r/n", ""] {
            let text = serde_json::json!({ "prog_path": program }).to_string();
            let refused = local_idedata(text.as_bytes(), &esp32(), PLACES);
            assert_eq!(refused, Err(IdedataError::UnknownProgram), "{program}");
        }
        for text in [
            "",
            "[]",
            "{}",
            r#"{"prog_path":5}"#,
            r#"{"prog_path":"x","extra":7}"#,
        ] {
            let refused = local_idedata(text.as_bytes(), &esp32(), PLACES);
            assert_eq!(refused, Err(IdedataError::NotIdedata), "{text}");
        }
    }
}
