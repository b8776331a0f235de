//! [`Display`]: what the owner looks at, and whether a program has it to itself.
use kiln_model::Foreground;

use super::toplevels::Toplevels;
use super::x11::Screen;

/// What the owner looks at.
#[derive(Debug)]
pub(super) enum Display {
    /// A screen of an X server.
    X11(Screen),
    /// The X server of a Wayland desktop sees only part of input and windows, and many desktops start
    /// it only when somebody asks, so it is not asked.
    Wayland(Toplevels),
    /// It is not known. A node that a service manager starts does not learn of it, so that the
    /// desktop is asked nevertheless.
    None(Toplevels),
}

impl Display {
    /// Returns that of the session that Kiln was started in.
    pub(super) fn of_session() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let wayland = set("WAYLAND_DISPLAY").is_some()
            || std::env::var_os("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland");
        match (wayland, set("DISPLAY")) {
            (true, _) => Self::Wayland(Toplevels::default()),
            (false, Some(name)) => Self::X11(Screen::new(&name.to_string_lossy())),
            (false, None) => Self::None(Toplevels::default()),
        }
    }

    /// Returns the display of the X server that is asked.
    pub(super) fn x11(&self) -> Option<&str> {
        match self {
            Self::X11(screen) => Some(screen.name()),
            Self::Wayland(_) | Self::None(_) => None,
        }
    }

    /// Returns how the program in front is shown, if the window manager or compositor tells.
    pub(super) async fn foreground(&self) -> Option<Foreground> {
        match self {
            Self::X11(screen) => screen.foreground().await,
            Self::Wayland(toplevels) | Self::None(toplevels) => toplevels.foreground().await,
        }
    }
}
