//! `cargo xtask check-os`: lints the Windows and macOS sources here, and runs Windows tests under Wine.
//!
//! Debian's security suite carries a compiler with the sources of its standard library (kept current
//! for the browsers). Those build the library once for each target, into a folder named after the compiler, so
//! that Kiln itself is compiled as stable Rust. Windows is compiled and linked with MinGW. macOS is
//! only checked: nothing is linked, and C in dependencies is replaced by empty objects.
//!
//! All of it is kept in the user's cache folder, so that a fresh clone is warm.
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::{self, Need};
use crate::run::{Outcome, cache, command, output, root, run, say};
use crate::{ui, windows_installer};

const WINDOWS: &str = "x86_64-pc-windows-gnu";
const MACOS: &str = "aarch64-apple-darwin";

/// Packages of the workspace that no user's machine runs; everything else is checked.
const NOT_FOR_USERS: &[&str] = &[
    // Drives network namespaces, a Secret Service and other processes of Linux.
    "kiln-tests",
    // Developer verbs.
    "xtask",
];

/// Packages whose tests run under Wine.
const UNDER_WINE: &[&str] = &[
    "kiln-model",
    "kiln-peer-link",
    "kiln-domain",
    "kiln-esphome",
    "kiln-audit",
    "kiln-ipc",
    "kiln-platform",
];

const COMPILER: &[Need] = &[
    Need::new("/usr/bin/rustc", "rustc-web"),
    Need::new("/usr/bin/cargo", "cargo-web"),
    Need::new("/usr/bin/cargo-clippy", "rust-web-clippy"),
    Need::new("/usr/lib/rustlib/src/rust", "rust-web-src"),
    Need::new("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32"),
    // Assembles the cryptography of Windows builds.
    Need::new("nasm", "nasm"),
];

/// Wine without its 32-bit half.
const WINE: &[Need] = &[Need::new("/usr/lib/wine/wine64", "wine64")];

/// Checks both systems, or the named one; with `--wine` runs the Windows tests as well.
pub fn check_os(arguments: &[String]) -> Outcome {
    let (mut targets, mut wine) = (Vec::new(), false);
    for argument in arguments {
        match argument.as_str() {
            "--windows" => targets.push(WINDOWS),
            "--macos" => targets.push(MACOS),
            "--wine" => wine = true,
            other => return Err(format!("check-os has no option {other}")),
        }
    }
    if targets.is_empty() {
        targets = vec![WINDOWS, MACOS];
    }
    // The window's pages are part of its program.
    ui::build()?;
    let cross = Cross::new()?;
    for target in &targets {
        say(&format!("lints for {target}"));
        run(cross
            .cargo(&["clippy", "--locked", "--workspace", "--all-targets"])
            .args(NOT_FOR_USERS.iter().flat_map(|name| ["--exclude", name]))
            .args(["--target", target, "--", "-D", "warnings"]))?;
    }
    if wine {
        cross.test_under_wine(&Wine::new(cross.cache.join("wine"))?)?;
        windows_installer::test(&cross)
    } else {
        Ok(())
    }
}

/// A compiler for other systems, and what it needs.
pub struct Cross {
    /// Keyed by the compiler, since a standard library belongs to exactly one.
    cache: PathBuf,
    /// Held as long as this is, since what is compiled here is of one clone at a time.
    _turn: File,
}

impl Cross {
    /// Installs the compiler and builds the standard libraries, unless they are there.
    pub fn new() -> Outcome<Self> {
        packages::ensure(&[packages::BUILD, COMPILER])?;
        let version = output(&mut debian("rustc", &["-vV"]))?;
        let line = |name: &str| {
            let found = version.lines().find_map(|line| line.strip_prefix(name));
            found.ok_or(format!("rustc does not say its {name}"))
        };
        let commit = line("commit-hash: ")?;
        let id = format!(
            "{}-{}",
            line("release: ")?,
            commit.get(..12).unwrap_or(commit)
        );
        let cache = cache()?.join("check-os").join(id);
        let io = |e: std::io::Error| format!("{}: {e}", cache.display());
        fs::create_dir_all(&cache).map_err(io)?;
        let turn = File::create(cache.join("turn")).map_err(io)?;
        if turn.try_lock().is_err() {
            say("waiting for another clone's turn");
            turn.lock().map_err(io)?;
        }
        let cross = Self { cache, _turn: turn };
        cross.forget_other_clones()?;
        cross.standard_library(WINDOWS, "release")?;
        cross.standard_library(MACOS, "dev")?;
        Ok(cross)
    }

    /// A cargo command of the cross compiler, for this workspace.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = debian("cargo", arguments);
        let stub = root().join("tests/cross/no-cc");
        cargo
            .env("CARGO_TARGET_DIR", self.cache.join("target"))
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CC_aarch64_apple_darwin", &stub)
            .env("CXX_aarch64_apple_darwin", &stub);
        for (name, target) in [
            ("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS", WINDOWS),
            ("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTDOCFLAGS", WINDOWS),
            ("CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS", MACOS),
        ] {
            cargo.env(
                name,
                format!("--sysroot {}", self.cache.join(target).display()),
            );
        }
        cargo
    }

    /// Builds the programs of packages for Windows and returns the folder they lie in.
    pub fn build_for_windows(&self, packages: &[&str]) -> Outcome<PathBuf> {
        run(self
            .cargo(&["build", "--locked", "--bins", "--target", WINDOWS])
            .args(packages.iter().flat_map(|name| ["--package", name])))?;
        Ok(self.cache.join("target").join(WINDOWS).join("debug"))
    }

    /// Keeps what was compiled of dependencies, but nothing of another clone's own crates: cargo
    /// goes by times, and would take them for ours where our files are the older ones.
    fn forget_other_clones(&self) -> Outcome {
        let note = self.cache.join("clone");
        let here = root().display().to_string();
        if fs::read_to_string(&note).is_ok_and(|last| last == here) {
            return Ok(());
        }
        let targets = ["--target", WINDOWS, "--target", MACOS];
        run(self
            .cargo(&["clean", "--workspace", "--quiet"])
            .args(targets))?;
        fs::write(&note, here).map_err(|e| format!("{}: {e}", note.display()))
    }

    /// Builds the standard library for a target.
    fn standard_library(&self, triple: &str, profile: &str) -> Outcome {
        let done = self.cache.join(triple);
        if done.is_dir() {
            return Ok(());
        }
        say(&format!(
            "building Rust's standard library for {triple}, once"
        ));
        let io = |e: std::io::Error| format!("{}: {e}", done.display());
        let work = self.cache.join(format!("{triple}.work"));
        if work.exists() {
            fs::remove_dir_all(&work).map_err(io)?;
        }
        let rlibs = work.join("sysroot/lib/rustlib").join(triple).join("lib");
        fs::create_dir_all(&rlibs).map_err(io)?;
        fs::create_dir_all(work.join("src")).map_err(io)?;
        fs::write(work.join("src/lib.rs"), "").map_err(io)?;
        let manifest = "[package]\nname = \"nothing\"\nedition = \"2021\"\n[workspace]\n";
        fs::write(work.join("Cargo.toml"), manifest).map_err(io)?;
        let mut cargo = debian("cargo", &["build", "--quiet", "--profile", profile]);
        cargo
            .args(["--target", triple])
            .arg("-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test")
            .current_dir(&work)
            // For the standard library alone, which is written for the nightly language.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", work.join("out"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        run(&mut cargo)?;
        let folder = if profile == "dev" { "debug" } else { profile };
        let built = work.join("out").join(triple).join(folder).join("deps");
        for file in fs::read_dir(&built).map_err(io)? {
            let file = file.map_err(io)?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".rlib") && !name.starts_with("libnothing-") {
                fs::copy(file.path(), rlibs.join(name.as_ref())).map_err(io)?;
            }
        }
        fs::rename(work.join("sysroot"), &done).map_err(io)?;
        fs::remove_dir_all(&work).map_err(io)
    }

    fn test_under_wine(&self, wine: &Wine) -> Outcome {
        say("Windows tests under Wine");
        let mut cargo = self.cargo(&["test", "--locked", "--no-fail-fast", "--target", WINDOWS]);
        cargo.args(UNDER_WINE.iter().flat_map(|name| ["--package", name]));
        cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", Wine::PROGRAM);
        run(wine.surround(&mut cargo))
    }
}

/// A Windows of its own; what runs in it ends when this is dropped.
pub struct Wine {
    prefix: PathBuf,
}

impl Wine {
    /// The program that runs Windows programs.
    const PROGRAM: &str = "/usr/lib/wine/wine64";

    /// What its programs share.
    const SERVER: &str = "/usr/lib/wine/wineserver";

    /// Installs Wine and makes its Windows in this folder, unless they are there.
    pub fn new(prefix: PathBuf) -> Outcome<Self> {
        packages::ensure(&[WINE])?;
        let wine = Self { prefix };
        // Written last, so that it shows a Windows that is whole.
        let library = wine
            .prefix
            .join("drive_c/windows/system32/bcryptprimitives.dll");
        if library.exists() {
            return Ok(wine);
        }
        say("making a Windows");
        run(&mut wine.command("wineboot", &["-i"]))?;
        // Rust's standard library wants Windows 10.
        run(&mut wine.command("winecfg", &["-v", "win10"]))?;
        run(command("x86_64-w64-mingw32-gcc", &["-shared", "-o"])
            .arg(library)
            .arg(root().join("tests/cross/bcryptprimitives.c"))
            .arg("-ladvapi32"))?;
        Ok(wine)
    }

    /// Makes a command that runs a Windows program.
    pub fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut wine = command(Self::PROGRAM, &[]);
        self.surround(wine.arg(program).args(arguments));
        wine
    }

    /// Waits until nothing runs any more, also of what others started.
    pub fn wait(&self) -> Outcome {
        run(self.surround(&mut command(Self::SERVER, &["--wait"])))
    }

    /// Returns the folder of the user's own programs and data.
    pub fn local_app_data(&self) -> Outcome<PathBuf> {
        let users = self.prefix.join("drive_c/users");
        let all = fs::read_dir(&users).map_err(|e| format!("{}: {e}", users.display()))?;
        all.flatten()
            .map(|user| user.path().join("AppData/Local"))
            .find(|folder| folder.is_dir() && !folder.starts_with(users.join("Public")))
            .ok_or("this Windows has no user".to_owned())
    }

    /// Lets a command, and what it starts, use this Windows.
    fn surround<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree=;mshtml=")
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let mut server = command(Self::SERVER, &["--kill"]);
        // It answers with an error when nothing runs any more.
        let _ = self.surround(&mut server).status();
    }
}

/// A program of Debian's Rust: rustup's own would choose another compiler.
fn debian(program: &str, arguments: &[&str]) -> Command {
    let mut command = command(Path::new("/usr/bin").join(program), arguments);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::ffi::OsString::from("/usr/bin:");
    all.push(path);
    command.env("PATH", all);
    for name in [
        "RUSTC",
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}
