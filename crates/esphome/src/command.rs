//! [`Invocation`]: every command line with which ESPHome is called (builds.md §7.1, §11.1).
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kiln_model::{Bootloader, EsphomeVersion, Port};

use crate::port::device_argument;

/// How ESPHome is started: a program and the arguments that come before all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Program.
    pub program: PathBuf,
    /// First arguments.
    pub leading: Vec<String>,
}

impl Launcher {
    /// Starts the module of an interpreter's environment: `<python> -m esphome`.
    pub fn module(python: &Path) -> Self {
        let leading = ["-m", "esphome"].map(str::to_owned).to_vec();
        Self {
            program: python.to_owned(),
            leading,
        }
    }

    /// Starts an installed `esphome` program.
    pub fn program(esphome: &Path) -> Self {
        Self {
            program: esphome.to_owned(),
            leading: Vec::new(),
        }
    }

    /// Returns all arguments of an invocation.
    pub fn arguments(&self, invocation: &Invocation<'_>) -> Vec<String> {
        let mut arguments = self.leading.clone();
        arguments.extend(invocation.arguments());
        arguments
    }
}

/// An address that is known, so that ESPHome need not resolve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// Host name as in the configuration, for example `kitchen.local`.
    pub host: String,
    /// Its addresses; not empty.
    pub addresses: Vec<IpAddr>,
}

/// What ESPHome is asked to do. Paths are texts because they end as arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation<'a> {
    /// Build firmware.
    Compile {
        /// Configuration.
        yaml: &'a str,
        /// Whether the bootloader is wanted.
        bootloader: Bootloader,
        /// The version that runs: old ones build the bootloader always.
        version: &'a EsphomeVersion,
    },
    /// Flash what was built.
    Upload {
        /// Configuration.
        yaml: &'a str,
        /// Where to.
        port: &'a Port,
        /// Its address, if known; used for [`Port::Ota`] only.
        known: Option<&'a KnownAddress>,
    },
    /// Remove a build tree.
    Clean {
        /// Configuration.
        yaml: &'a str,
    },
    /// Remove all build trees of a folder, and the machine's toolchains.
    CleanAll {
        /// Folder of configurations.
        folder: &'a str,
    },
    /// Explain the size of a firmware.
    AnalyzeMemory {
        /// Configuration.
        yaml: &'a str,
    },
    /// Follow a device's log.
    Logs {
        /// Configuration.
        yaml: &'a str,
        /// Where from.
        port: &'a Port,
        /// Its address, if known; used for [`Port::Ota`] only.
        known: Option<&'a KnownAddress>,
    },
    /// Validate and print a configuration, secrets hidden.
    Config {
        /// Configuration.
        yaml: &'a str,
    },
    /// Pack a configuration with everything it includes.
    Bundle {
        /// Configuration.
        yaml: &'a str,
        /// Archive to write.
        output: &'a str,
    },
    /// Print the version.
    Version,
}

/// Escape codes as text and progress bars on a pipe; has to come before the subcommand.
const DASHBOARD: &str = "--dashboard";

impl Invocation<'_> {
    /// Returns the arguments after those of the launcher: global options, subcommand, its own.
    pub fn arguments(&self) -> Vec<String> {
        let mut line: Vec<&str> = vec![DASHBOARD];
        let cache = match self {
            Invocation::Upload {
                port: Port::Ota,
                known: Some(known),
                ..
            }
            | Invocation::Logs {
                port: Port::Ota,
                known: Some(known),
                ..
            } => cache_option(known),
            Invocation::Upload { .. }
            | Invocation::Logs { .. }
            | Invocation::Compile { .. }
            | Invocation::Clean { .. }
            | Invocation::CleanAll { .. }
            | Invocation::AnalyzeMemory { .. }
            | Invocation::Config { .. }
            | Invocation::Bundle { .. }
            | Invocation::Version => None,
        };
        if let Some((option, value)) = &cache {
            line.extend([*option, value.as_str()]);
        }
        match self {
            Invocation::Compile {
                yaml,
                bootloader,
                version,
            } => {
                line.extend(["compile", yaml]);
                match bootloader {
                    Bootloader::Skip if version.knows_skip_bootloader() => {
                        line.push("--skip-bootloader");
                    }
                    Bootloader::Skip | Bootloader::Include => {}
                }
            }
            Invocation::Upload { yaml, port, .. } => {
                line.extend(["upload", yaml, "--device", device_argument(port)]);
            }
            Invocation::Clean { yaml } => line.extend(["clean", yaml]),
            Invocation::CleanAll { folder } => line.extend(["clean-all", folder]),
            Invocation::AnalyzeMemory { yaml } => line.extend(["analyze-memory", yaml]),
            Invocation::Logs { yaml, port, .. } => {
                line.extend(["logs", yaml, "--device", device_argument(port)]);
            }
            Invocation::Config { yaml } => line.extend(["config", yaml]),
            Invocation::Bundle { yaml, output } => line = vec!["bundle", yaml, "-o", output],
            Invocation::Version => line = vec!["version"],
        }
        line.into_iter().map(str::to_owned).collect()
    }
}

/// `.local` names are cached as multicast ones, all others as ordinary ones.
fn cache_option(known: &KnownAddress) -> Option<(&'static str, String)> {
    let host = known.host.trim_end_matches('.');
    if host.is_empty() || known.addresses.is_empty() {
        return None;
    }
    let addresses: Vec<String> = known.addresses.iter().map(IpAddr::to_string).collect();
    let option = if host.to_ascii_lowercase().ends_with(".local") {
        "--mdns-address-cache"
    } else {
        "--dns-address-cache"
    };
    Some((option, format!("{host}={}", addresses.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "/c/kitchen.yaml";

    fn version(text: &str) -> EsphomeVersion {
        text.parse().unwrap()
    }

    fn line(invocation: &Invocation<'_>) -> String {
        Launcher::module(Path::new("/v/bin/python"))
            .arguments(invocation)
            .join(" ")
    }

    // Covers: M76
    #[test]
    fn the_bootloader_is_skipped_only_by_versions_that_can() {
        let compile = |bootloader, text| {
            line(&Invocation::Compile {
                yaml: YAML,
                bootloader,
                version: &version(text),
            })
        };
        let plain = "-m esphome --dashboard compile /c/kitchen.yaml";
        assert_eq!(compile(Bootloader::Include, "2026.10.0"), plain);
        assert_eq!(compile(Bootloader::Skip, "2026.9.9"), plain);
        let skipping = format!("{plain} --skip-bootloader");
        assert_eq!(compile(Bootloader::Skip, "2026.10.0b6"), skipping);
    }

    // Covers: M98
    #[test]
    fn global_options_come_before_the_subcommand_of_every_job() {
        let known = KnownAddress {
            host: "kitchen.local".to_owned(),
            addresses: ["192.0.2.7", "fe80::7"]
                .map(|a| a.parse().unwrap())
                .to_vec(),
        };
        let known = Some(&known);
        let version = version("2026.10.0");
        let bootloader = Bootloader::Skip;
        for (invocation, subcommand) in [
            (
                Invocation::Compile {
                    yaml: YAML,
                    bootloader,
                    version: &version,
                },
                "compile",
            ),
            (
                Invocation::Upload {
                    yaml: YAML,
                    port: &Port::Ota,
                    known,
                },
                "upload",
            ),
            (Invocation::Clean { yaml: YAML }, "clean"),
            (Invocation::CleanAll { folder: "/c" }, "clean-all"),
            (Invocation::AnalyzeMemory { yaml: YAML }, "analyze-memory"),
            (
                Invocation::Logs {
                    yaml: YAML,
                    port: &Port::Ota,
                    known,
                },
                "logs",
            ),
            (Invocation::Config { yaml: YAML }, "config"),
        ] {
            let arguments = invocation.arguments();
            assert_eq!(arguments[0], "--dashboard");
            let at = |word: &str| arguments.iter().position(|a| a == word);
            let subcommand = at(subcommand).unwrap();
            assert!(at("--mdns-address-cache").is_none_or(|option| option < subcommand));
        }
        assert_eq!(
            line(&Invocation::Upload {
                yaml: YAML,
                port: &Port::Ota,
                known
            }),
            "-m esphome --dashboard --mdns-address-cache kitchen.local=192.0.2.7,fe80::7 \
             upload /c/kitchen.yaml --device OTA"
        );
    }

    // Covers: M99
    #[test]
    fn an_upload_always_says_where_to() {
        let known = KnownAddress {
            host: "kitchen.lan".to_owned(),
            addresses: vec!["192.0.2.7".parse().unwrap()],
        };
        for (port, expected) in [
            (
                Port::Ota,
                "--dashboard --dns-address-cache kitchen.lan=192.0.2.7 upload y --device OTA",
            ),
            (
                Port::Address("192.0.2.1".into()),
                "--dashboard upload y --device 192.0.2.1",
            ),
            (
                Port::Serial("/dev/ttyUSB0".into()),
                "--dashboard upload y --device /dev/ttyUSB0",
            ),
        ] {
            let upload = Invocation::Upload {
                yaml: "y",
                port: &port,
                known: Some(&known),
            };
            assert_eq!(upload.arguments().join(" "), expected);
        }
    }

    #[test]
    fn tools_that_are_no_jobs_are_called_plainly() {
        let bundle = Invocation::Bundle {
            yaml: YAML,
            output: "/t/b.tar.gz",
        };
        assert_eq!(
            line(&bundle),
            "-m esphome bundle /c/kitchen.yaml -o /t/b.tar.gz"
        );
        let esphome = Launcher::program(Path::new("/usr/bin/esphome"));
        assert_eq!(esphome.arguments(&Invocation::Version), ["version"]);
    }
}
