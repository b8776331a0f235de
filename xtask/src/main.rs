//! Developer verbs of Kiln: `cargo xtask demo | desktop | ui | test | check | check-os |
//! bundle | bench`.
//!
//! Every verb does its own set-up, says what it is about to install, and ends with a summary.
mod bench;
mod bundle;
mod check;
mod check_os;
mod demo;
mod desktop;
mod installers;
mod packages;
mod programs;
mod python;
mod run;
mod test;
mod ui;
mod windows_installer;

use std::process::ExitCode;

const HELP: &str = "\
Developer verbs of Kiln.

  cargo xtask demo [--keep] [--with-dashboard] [--desktop]
      The main job on real input: two Kilns, a real ESPHome device, a build on
      the other Kiln, and a flash from here. With --desktop, tray and window show it.
  cargo xtask desktop [OPTION...]
      Builds and starts tray and window, with these options of `kiln-desktop`.
  cargo xtask ui
      Builds the pages of the window.
  cargo xtask test [NAME...]
      Checks Kiln on this machine, real parts included. With names, only those
      steps (`cargo xtask test --list` shows them, and which run only when named).
  cargo xtask check
      Formatting, lints and documentation.
  cargo xtask check-os [--windows] [--macos] [--wine]
      Lints the Windows and macOS sources on Debian 12, with a compiler and standard
      libraries that it brings (about 15 minutes the first time, kept for all clones
      in ~/.cache/kiln/check-os). --wine also runs the Windows tests and uses the
      Windows installer.
  cargo xtask bundle [--debug] [--as-version VERSION] [deb] [rpm] [nsis]
      Installer packages, in target/bundle: deb and rpm unless named. nsis is the
      Windows installer, for tests: linked with MinGW, not optimised.
  cargo xtask bench [--quick] [--only PART,...] [--write]
      Measures Kiln beside a real Device Builder dashboard. --only measures some parts
      (start, upload, jobs, fetch, lines, own, box, desk). --write puts the tables into
      docs/BENCHMARKS.md.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", &[][..]),
    };
    let helps = |argument: &String| ["--help", "-h"].contains(&argument.as_str());
    let verb = if rest.iter().any(helps) { "help" } else { verb };
    let outcome = match verb {
        "demo" => demo::demo(rest),
        "desktop" => desktop::desktop(rest),
        "ui" => nothing_else("ui", rest).and_then(|()| ui::build()),
        "test" => test::test(rest),
        "check" => nothing_else("check", rest).and_then(|()| check::check()),
        "check-os" => check_os::check_os(rest),
        "bench" => bench::bench(rest),
        "bundle" => bundle::bundle(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!(
            "there is no verb {other}; `cargo xtask help` lists them"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses arguments of a verb that takes none.
fn nothing_else(verb: &str, arguments: &[String]) -> run::Outcome {
    match arguments.first() {
        None => Ok(()),
        Some(other) => Err(format!("{verb} has no option {other}")),
    }
}
