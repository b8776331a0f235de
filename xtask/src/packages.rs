//! System packages: what is missing is named, then installed, on systems with apt.
use crate::run::{Outcome, command, has, run, say};

/// Something the system has to have: a file or program that shows it is there, and the Debian and
/// Ubuntu package that brings it.
pub struct Need {
    /// Program in PATH, or a path if it starts with `/`.
    shows: &'static str,
    /// Package.
    package: &'static str,
}

/// A C and C++ compiler: for crates with C in them, and for real ESPHome builds.
pub const BUILD: &[Need] = &[
    Need {
        shows: "cc",
        package: "gcc",
    },
    Need {
        shows: "g++",
        package: "g++",
    },
    Need {
        shows: "make",
        package: "make",
    },
    Need {
        shows: "/usr/include/stdio.h",
        package: "libc6-dev",
    },
];

/// What a desktop session without a screen needs.
pub const DESKTOP: &[Need] = &[
    Need {
        shows: "Xvfb",
        package: "xvfb",
    },
    Need {
        shows: "dbus-run-session",
        package: "dbus",
    },
    Need {
        shows: "gdbus",
        package: "libglib2.0-bin",
    },
    Need {
        shows: "xfce4-panel",
        package: "xfce4-panel",
    },
    Need {
        shows: "dunst",
        package: "dunst",
    },
    Need {
        shows: "xdotool",
        package: "xdotool",
    },
    Need {
        shows: "import",
        package: "imagemagick",
    },
    Need {
        shows: "/usr/lib/python3/dist-packages/dbus",
        package: "python3-dbus",
    },
];

/// What the real dashboards, networks and keyrings of the tests need.
pub const TEST: &[Need] = &[
    Need {
        shows: "ip",
        package: "iproute2",
    },
    Need {
        shows: "unshare",
        package: "util-linux",
    },
    Need {
        shows: "hostname",
        package: "hostname",
    },
    Need {
        shows: "ps",
        package: "procps",
    },
    Need {
        shows: "git",
        package: "git",
    },
    Need {
        shows: "dbus-run-session",
        package: "dbus",
    },
    Need {
        shows: "gnome-keyring-daemon",
        package: "gnome-keyring",
    },
    Need {
        shows: "secret-tool",
        package: "libsecret-tools",
    },
    Need {
        shows: "gdbus",
        package: "libglib2.0-bin",
    },
];

/// Makes sure that every need is met.
pub fn ensure(needs: &[&[Need]]) -> Outcome {
    let missing: Vec<&str> = needs
        .iter()
        .flat_map(|group| group.iter())
        .filter(|need| !present(need.shows))
        .map(|need| need.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs packages by name, telling which.
pub fn install(packages: &[&str]) -> Outcome {
    let list = packages.join(" ");
    if !has("apt-get") {
        return Err(format!(
            "please install these first (names of Debian's packages): {list}"
        ));
    }
    let root = command("id", &["-u"])
        .output()
        .is_ok_and(|o| o.stdout.starts_with(b"0"));
    if !root && !has("sudo") {
        return Err(format!(
            "please install these as root: apt-get install {list}"
        ));
    }
    say(&format!("installing system packages with apt-get: {list}"));
    let apt = |arguments: &[&str]| {
        let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        if !root {
            words.insert(0, "sudo");
        }
        words.extend(arguments);
        run(&mut command(words[0], &words[1..]))
    };
    apt(&["update", "-q"])?;
    let mut words = vec!["install", "-qy", "--no-install-recommends"];
    words.extend(packages);
    apt(&words)
}

fn present(shows: &str) -> bool {
    if shows.starts_with('/') {
        std::path::Path::new(shows).exists()
    } else {
        has(shows)
    }
}
