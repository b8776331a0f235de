//! What can be typed: every verb, option and help text of `kiln`.
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kiln_model::{Digest, Endpoint, FactKind, Pin, Snooze, Timestamp};

/// The build companion for ESPHome: compile on whichever computer is free, flash from here.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, disable_help_subcommand = true)]
#[command(after_help = "\
Exit codes: 0 done · 1 refused or failed · 2 not understood · 3 no Kiln is running · \
4 waited too long · 130 interrupted.
Start with `kiln serve`; then `kiln discover` and `kiln pair`.")]
pub struct Arguments {
    /// Print JSON instead of text, with the names of docs/CLI.md
    #[arg(long, global = true)]
    pub json: bool,
    /// Keep everything of this Kiln below DIR
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "KILN_HOME",
        hide_env_values = true
    )]
    pub home: Option<PathBuf>,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Say less
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// When text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run Kiln: compile for paired computers, and serve the other commands
    Serve(ServeArgs),
    /// Stop the Kiln that runs
    Stop {
        /// Do not wait for a device that is being flashed
        #[arg(long)]
        now: bool,
    },
    /// What this Kiln does, and why
    Status,
    /// Compile nothing for others for a while
    Pause {
        /// How long; without it until `kiln resume`
        #[arg(value_name = "HOW_LONG", value_parser = snooze, default_value = "forever")]
        how_long: Snooze,
    },
    /// Compile for others again
    Resume,
    /// The fingerprint that others compare
    Identity {
        /// What to do with it
        #[command(subcommand)]
        action: Option<IdentityAction>,
    },
    /// Dashboards and Kilns on the network
    Discover,
    /// Ask a receiver to compile for this computer
    Pair(PairArgs),
    /// Computers that compile for this one
    Receivers {
        /// What to do with one
        #[command(subcommand)]
        action: Option<ReceiverAction>,
    },
    /// Computers that this one compiles for
    Offloaders {
        /// What to do with one
        #[command(subcommand)]
        action: Option<OffloaderAction>,
    },
    /// Whether new offloaders may ask to be paired
    Window {
        /// What to do with it
        #[command(subcommand)]
        action: WindowAction,
    },
    /// Offloaders that ask to be paired
    Requests,
    /// Let an offloader that asks use this computer
    Approve {
        /// Its id, its label, or the first 8 or more digits of its pin
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Its whole pin, compared by you: refuses another key
        #[arg(long)]
        pin: Option<Pin>,
    },
    /// Refuse an offloader that asks
    Reject {
        /// Its id, its label, or the first 8 or more digits of its pin
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// The devices in your ESPHome folder
    Devices,
    /// Serial ports, and whether devices can be flashed through them
    Ports,
    /// Compile and flash devices
    Install(InstallArgs),
    /// Flash devices with what is built, without compiling
    Flash(FlashArgs),
    /// Compile devices without flashing
    Compile(CompileArgs),
    /// Remove devices' build files, here and on connected receivers
    Clean {
        /// Configuration, or name of the device
        #[arg(required = true, value_name = "DEVICE")]
        devices: Vec<String>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "clap would take the text for help")]
        wait: Wait,
    },
    /// What was built, is being built and waits
    Jobs,
    /// What a job's tools said
    Logs {
        /// Its id, or the first digits of it
        job: String,
        /// Go on until the job ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop a job
    Cancel {
        /// Its id, or the first digits of it
        job: String,
        /// Do not ask before a flash is stopped, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Build on this computer what waits for a receiver, or runs on one
    BuildHere {
        /// Its id, or the first digits of it
        job: String,
    },
    /// Installed ESPHome versions
    Env {
        /// What to do with them
        #[command(subcommand)]
        action: Option<EnvAction>,
    },
    /// What Kiln keeps on this disk, for whom, and why
    Storage {
        /// What to do with it
        #[command(subcommand)]
        action: Option<StorageAction>,
    },
    /// How this Kiln behaves
    Settings {
        /// What to do with them
        #[command(subcommand)]
        action: Option<SettingsAction>,
    },
    /// What happened here: pairings, sessions, jobs, settings
    #[command(args_conflicts_with_subcommands = true)]
    Audit {
        /// What else to do with it
        #[command(subcommand)]
        action: Option<AuditAction>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "clap would take the text for help")]
        wanted: AuditArgs,
    },
    /// Take over identity and pairings of a dashboard that is being retired
    Import(ImportArgs),
    /// Print completions for a shell
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// A point in time, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So many microseconds ago.
    Ago(i64),
    /// Then.
    At(Timestamp),
}

/// Reads `30m`, `12h`, `7d`, or a local date with or without a time.
fn since(text: &str) -> Result<Since, String> {
    let units = [('m', 60), ('h', 3_600), ('d', 86_400)];
    for (unit, seconds) in units {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<u32>) {
            return Ok(Since::Ago(i64::from(number) * seconds * 1_000_000));
        }
    }
    let local = text.parse::<jiff::civil::DateTime>().ok();
    let zoned = local.and_then(|local| local.to_zoned(jiff::tz::TimeZone::system()).ok());
    match zoned {
        Some(zoned) => Ok(Since::At(Timestamp(zoned.timestamp().as_microsecond()))),
        None => Err("it is a time like 30m, 12h, 7d, 2026-11-01 or 2026-11-01T18:00".to_owned()),
    }
}

/// Reads what entries are about.
fn fact_kind(text: &str) -> Result<FactKind, String> {
    let words: Vec<&str> = FactKind::ALL.iter().map(|kind| kind.word()).collect();
    FactKind::from_word(text).ok_or_else(|| format!("it is one of {}", words.join(", ")))
}

/// Which entries of the audit to show.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Written since then: 30m, 12h, 7d ago, or a date
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// About this: node, pairing, session, job, setting
    #[arg(long, value_name = "KIND", value_parser = fact_kind)]
    pub kind: Option<FactKind>,
    /// In which this computer has a part: its label, or digits of its pin
    #[arg(long, value_name = "COMPUTER")]
    pub peer: Option<String>,
    /// The newest so many; 0: all
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub limit: u32,
}

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditAction {
    /// Whether it is as it was written
    Verify {
        /// Hash of an entry that you noted elsewhere; it has to be there
        #[arg(long, value_name = "HASH")]
        noted: Option<Digest>,
    },
    /// What was built for others, and by others
    Statistics {
        /// Builds that ended since then
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<Since>,
    },
}

/// Reads how long to pause.
fn snooze(text: &str) -> Result<Snooze, String> {
    let words: Vec<&str> = Snooze::ALL.iter().map(|snooze| snooze.word()).collect();
    Snooze::from_word(text).ok_or_else(|| format!("it is one of {}", words.join(", ")))
}

/// How to serve.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Compile for paired computers (remembered)
    #[arg(long, overrides_with = "no_receiver")]
    pub receiver: bool,
    /// Do not compile for others (remembered)
    #[arg(long)]
    pub no_receiver: bool,
    /// Address or network interface to listen on (remembered)
    #[arg(long, value_name = "HOST")]
    pub listen_host: Option<String>,
    /// First port to try, of ten; 0 takes any (remembered)
    #[arg(long, value_name = "PORT")]
    pub listen_port: Option<u16>,
    /// Folder of your ESPHome configurations (remembered)
    #[arg(long, value_name = "DIR")]
    pub esphome_dir: Option<PathBuf>,
    /// Accept one offloader that presents a one-time key, within 15 minutes; without KEY one is made
    #[arg(long, value_name = "KEY", num_args = 0..=1, default_missing_value = "")]
    pub bootstrap_key: Option<String>,
    /// Address the one-time key may come from; may be given more than once
    #[arg(long, value_name = "IP", requires = "bootstrap_key")]
    pub allow_pairing_source: Vec<IpAddr>,
    /// Where the private key is kept (remembered)
    #[arg(long, value_enum, value_name = "WHERE")]
    pub secrets: Option<SecretsChoice>,
    /// Start over with a new identity; every pairing has to be made again
    #[arg(long)]
    pub new_identity: bool,
}

/// What to take over.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Its configuration folder
    pub dir: PathBuf,
    /// Where it keeps its data, if not in .esphome there
    #[arg(
        long,
        value_name = "DIR",
        env = "ESPHOME_DATA_DIR",
        hide_env_values = true
    )]
    pub data: Option<PathBuf>,
    /// Give up the pairings of this Kiln
    #[arg(long)]
    pub replace: bool,
    /// Where the private key is kept (remembered)
    #[arg(long, value_enum, value_name = "WHERE")]
    pub secrets: Option<SecretsChoice>,
}

/// Where secrets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecretsChoice {
    /// The system's keyring
    Keyring,
    /// Files that only you can read
    File,
}

/// What to do with the identity.
#[derive(Debug, Subcommand)]
pub enum IdentityAction {
    /// Make a new key; every computer has to be paired again
    Rotate {
        /// Do not ask, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
}

/// Whom to pair with.
#[derive(Debug, Args)]
pub struct PairArgs {
    /// Where it is; the port is 6055 unless given
    #[arg(value_name = "HOST[:PORT]")]
    pub endpoint: Endpoint,
    /// Its pin, compared by you: asks nothing, and refuses another key
    #[arg(long)]
    pub pin: Option<Pin>,
    /// One-time key that a headless receiver shows
    #[arg(long)]
    pub key: Option<String>,
    /// Your name for it
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text for help")]
    pub wait: Wait,
}

/// Whether to wait, and how long.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Wait {
    /// Wait until it is done, showing how far it is
    #[arg(long)]
    pub wait: bool,
    /// Stop waiting after this long; what was begun goes on
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub timeout: Option<u64>,
}

/// What to do with a receiver.
#[derive(Debug, Subcommand)]
pub enum ReceiverAction {
    /// List them
    List,
    /// Forget one
    Forget {
        /// Its label, its host, or the first 8 or more digits of its pin
        receiver: String,
        /// Do not ask, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Let builds go to one
    Enable {
        /// Its label, its host, or the first 8 or more digits of its pin
        receiver: String,
    },
    /// Keep builds away from one
    Disable {
        /// Its label, its host, or the first 8 or more digits of its pin
        receiver: String,
    },
    /// Change where one is; it is asked for its key first
    Endpoint {
        /// Its label, its host, or the first 8 or more digits of its pin
        receiver: String,
        /// Where it is now
        #[arg(value_name = "HOST[:PORT]")]
        endpoint: Endpoint,
    },
}

/// What to do with an offloader.
#[derive(Debug, Subcommand)]
pub enum OffloaderAction {
    /// List them
    List,
    /// Forget one and end its session
    Forget {
        /// Its id, its label, or the first 8 or more digits of its pin
        #[arg(allow_hyphen_values = true)]
        offloader: String,
        /// Do not ask, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
}

/// What to do with the pairing window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum WindowAction {
    /// Hear new requests for five minutes
    Open,
    /// Stop hearing them
    Close,
    /// Whether it is open
    Status,
}

/// Where to build.
#[derive(Debug, Default, Args)]
pub struct Where {
    /// Build on this computer
    #[arg(long, conflicts_with = "on")]
    pub local: bool,
    /// Build on this receiver and no other
    #[arg(long, value_name = "RECEIVER")]
    pub on: Option<String>,
}

/// What to install.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Configuration, or name of the device
    #[arg(required = true, value_name = "DEVICE")]
    pub devices: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text for help")]
    pub place: Where,
    /// Flash over the network (OTA), to an address, or through a serial port
    #[arg(long, value_name = "OTA|ADDRESS|PATH", default_value = "OTA")]
    pub port: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text for help")]
    pub wait: Wait,
}

/// What to flash.
#[derive(Debug, Args)]
pub struct FlashArgs {
    /// Configuration, or name of the device
    #[arg(required = true, value_name = "DEVICE")]
    pub devices: Vec<String>,
    /// Over the network (OTA), to an address, or through a serial port
    #[arg(long, value_name = "OTA|ADDRESS|PATH", default_value = "OTA")]
    pub port: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text for help")]
    pub wait: Wait,
}

/// What to compile.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Configuration, or name of the device
    #[arg(required = true, value_name = "DEVICE")]
    pub devices: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text for help")]
    pub place: Where,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the text for help")]
    pub wait: Wait,
}

/// What to do with ESPHome versions.
#[derive(Debug, Subcommand)]
pub enum EnvAction {
    /// List them
    List,
    /// Install one
    Install {
        /// Version, for example 2026.10.0; without it the newest release is named, then installed
        #[arg(value_name = "VERSION")]
        wanted: Option<String>,
        /// Do not ask before the newest is installed, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Remove build files and toolchains, here or on a receiver
    Reset {
        /// This receiver
        #[arg(long, value_name = "RECEIVER")]
        on: Option<String>,
        /// Do not ask, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
}

/// What to do with what is on the disk.
#[derive(Debug, Subcommand)]
pub enum StorageAction {
    /// Delete everything that can be made again and that nobody needs now
    Reclaim {
        /// Do not ask, also on a terminal
        #[arg(short, long)]
        yes: bool,
    },
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum SettingsAction {
    /// Show all, or one
    Get {
        /// Name
        name: Option<String>,
    },
    /// Change one (NAME VALUE) or some (NAME=VALUE …); none is changed when one is wrong
    Set {
        /// For example `include_local=true`
        #[arg(required = true, value_name = "NAME=VALUE", allow_hyphen_values = true)]
        changes: Vec<String>,
    },
}
