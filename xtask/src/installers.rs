//! The step `packages` of `cargo xtask test`: packages are made, installed, used, upgraded and removed.
use std::fs;
use std::path::PathBuf;

use crate::bundle;
use crate::packages::{self, Need};
use crate::run::{Outcome, command, output, root, run, say, target};

const TOOLS: &[Need] = &[
    Need::new("debootstrap", "debootstrap"),
    Need::new("desktop-file-validate", "desktop-file-utils"),
    Need::new("appstreamcli", "appstream"),
    Need::new("rpm", "rpm"),
    Need::new("python3", "python3"),
];

/// An older version for the upgrade.
const OLDER: &str = "0.0.9";

/// Makes all of it with debug programs, which only are larger. Returns where the deb is unpacked.
pub fn test() -> Outcome<PathBuf> {
    packages::ensure(&[packages::BUILD, TOOLS])?;
    let work = target().join("packages");
    fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;

    say("what software centres and menus read");
    run(&mut command(
        "desktop-file-validate",
        &["packaging/linux/io.esphome.kiln.desktop"],
    ))?;
    let metainfo = work.join("io.esphome.kiln.metainfo.xml");
    fs::write(&metainfo, bundle::metainfo(env!("CARGO_PKG_VERSION"))?)
        .map_err(|e| format!("{}: {e}", metainfo.display()))?;
    run(command("appstreamcli", &["validate", "--no-net"]).arg(&metainfo))?;

    let made = |arguments: &[&str]| {
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        bundle::bundle(&words)
    };
    made(&["--debug", "--as-version", OLDER, "deb", "rpm"])?;
    made(&["--debug", "deb"])?;
    let out = target().join("bundle");
    let architecture = output(&mut command("dpkg", &["--print-architecture"]))?;
    let deb = |version: &str| out.join(format!("kiln_{version}_{architecture}.deb"));
    let new = deb(env!("CARGO_PKG_VERSION"));
    let again = work.join("made-before.deb");
    fs::rename(&new, &again).map_err(|e| format!("{}: {e}", new.display()))?;
    made(&["--debug", "deb", "rpm"])?;
    let rpm_architecture = output(&mut command("rpm", &["--eval", "%{_arch}"]))?;
    let rpm = |version: &str| out.join(format!("kiln-{version}-1.{rpm_architecture}.rpm"));

    let clean = clean_root(&new)?;
    say("installing, using, upgrading, removing, purging");
    run(packages::as_root("python3", &[])
        .arg(root().join("tests/packages/run.py"))
        .arg("--root")
        .arg(clean)
        .arg("--old")
        .arg(deb(OLDER))
        .arg("--new")
        .arg(&new)
        .arg("--again")
        .arg(again)
        .arg("--old-rpm")
        .arg(rpm(OLDER))
        .arg("--new-rpm")
        .arg(rpm(env!("CARGO_PKG_VERSION"))))?;

    let unpacked = work.join("unpacked");
    run(command("rm", &["-rf"]).arg(&unpacked))?;
    run(command("dpkg-deb", &["--extract"]).args([&new, &unpacked]))?;
    Ok(unpacked)
}

/// A minimal system of the kind that runs here, with what the package depends on. Kept.
fn clean_root(deb: &std::path::Path) -> Outcome<PathBuf> {
    let suite = output(&mut command(
        "sh",
        &["-c", ". /etc/os-release; echo $VERSION_CODENAME"],
    ))?;
    let clean = target().join("packages").join(&suite);
    if !clean.exists() {
        say(&format!("making a clean {suite}, once (a minute or two)"));
        let work = clean.with_extension("work");
        run(packages::as_root("rm", &["-rf"]).arg(&work))?;
        let mut make = packages::as_root("debootstrap", &["--variant=minbase", &suite]);
        run(make.arg(&work))?;
        run(packages::as_root("mv", &[]).args([&work, &clean]))?;
    }
    let depends = output(command("dpkg-deb", &["--field"]).arg(deb).arg("Depends"))?;
    let names: Vec<&str> = depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next())
        .collect();
    let stamp = clean.join("var/depends");
    if fs::read_to_string(&stamp).unwrap_or_default() != depends {
        say("installing what the package depends on, once");
        let inside = |words: &[&str]| {
            let mut chroot = packages::as_root("chroot", &[]);
            run(chroot
                .arg(&clean)
                .args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qy"])
                .args(words))
        };
        inside(&["update"])?;
        inside(&[&["install", "--no-install-recommends"], &names[..]].concat())?;
        let mut write =
            packages::as_root("sh", &["-c", "printf %s \"$1\" >\"$2\"", "sh", &depends]);
        run(write.arg(stamp))?;
    }
    Ok(clean)
}
