//! System packages: what is missing is named, then installed, on systems with apt.
use std::process::Command;

use crate::run::{Outcome, command, has, run, say};

/// Something the system has to have: a file or program that shows it is there, and the Debian and
/// Ubuntu package that brings it.
pub struct Need {
    /// Program in PATH, or a path if it starts with `/`.
    shows: &'static str,
    /// Package.
    package: &'static str,
}

impl Need {
    /// Names what shows it and what brings it.
    pub const fn new(shows: &'static str, package: &'static str) -> Self {
        Self { shows, package }
    }
}

/// A C and C++ compiler: for crates with C in them, and for real ESPHome builds of the platform
/// `host`; these need OpenSSL too, and a box.
pub const BUILD: &[Need] = &[
    Need::new("cc", "gcc"),
    Need::new("g++", "g++"),
    Need::new("make", "make"),
    Need::new("/usr/include/stdio.h", "libc6-dev"),
    Need::new("/usr/include/openssl/evp.h", "libssl-dev"),
    Need::new("bwrap", "bubblewrap"),
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
    Need {
        shows: "/usr/lib/python3/dist-packages/gi",
        package: "python3-gi",
    },
    Need::new("WebKitWebDriver", "webkit2gtk-driver"),
    Need::new("xprop", "x11-utils"),
];

/// What plays an owner's screen and a system's services for Kiln.
pub const SCREEN: &[Need] = &[
    Need::new("Xvfb", "xvfb"),
    Need::new("xdotool", "xdotool"),
    Need::new("dbus-daemon", "dbus-daemon"),
    Need::new("/usr/lib/python3/dist-packages/dbus", "python3-dbus"),
    Need::new("/usr/lib/python3/dist-packages/gi", "python3-gi"),
];

/// Window managers and compositors that run without a screen, and programs to show there.
pub const WINDOWS: &[Need] = &[
    Need::new("foot", "foot"),
    Need::new("kwin_wayland", "kwin-wayland"),
    Need::new("matchbox-window-manager", "matchbox-window-manager"),
    Need::new("sway", "sway"),
    Need::new("xterm", "xterm"),
];

/// What the window is compiled with. The tray needs nothing of it.
pub const WEBVIEW: &[Need] = &[
    Need {
        shows: "pkg-config",
        package: "pkg-config",
    },
    Need {
        shows: "/usr/include/webkitgtk-4.1/webkit2/webkit2.h",
        package: "libwebkit2gtk-4.1-dev",
    },
];

/// What pictures the pages of the window.
pub const BROWSER: &[Need] = &[Need::new("/usr/bin/chromium", "chromium")];

/// What the real dashboards, networks and keyrings of the tests need.
pub const TEST: &[Need] = &[
    Need::new("ip", "iproute2"),
    Need::new("unshare", "util-linux"),
    Need::new("hostname", "hostname"),
    Need::new("ps", "procps"),
    Need::new("git", "git"),
    Need::new("dbus-run-session", "dbus"),
    Need::new("gnome-keyring-daemon", "gnome-keyring"),
    Need::new("secret-tool", "libsecret-tools"),
    Need::new("gdbus", "libglib2.0-bin"),
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
    if !is_root() && !has("sudo") {
        return Err(format!(
            "please install these as root: apt-get install {list}"
        ));
    }
    say(&format!("installing system packages with apt-get: {list}"));
    let apt = |arguments: &[&str]| {
        let noninteractive = ["DEBIAN_FRONTEND=noninteractive", "apt-get"];
        run(as_root("env", &noninteractive).args(arguments))
    };
    apt(&["update", "-q"])?;
    let mut words = vec!["install", "-qy", "--no-install-recommends"];
    words.extend(packages);
    apt(&words)
}

/// Makes a command that runs as root: as it is, or through sudo.
pub fn as_root(program: &str, arguments: &[&str]) -> Command {
    if is_root() {
        return command(program, arguments);
    }
    let mut sudo = command("sudo", &[program]);
    sudo.args(arguments);
    sudo
}

fn is_root() -> bool {
    let id = command("id", &["-u"]).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn present(shows: &str) -> bool {
    if shows.starts_with('/') {
        std::path::Path::new(shows).exists()
    } else {
        has(shows)
    }
}
