//! [`Tray`]: the icon in the panel and its menu, as values that an adapter shows.

/// What the icon shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tray {
    /// The same picture in the sizes that panels ask for (16 to 48 pixels); the panel chooses.
    pub icon: Vec<TrayImage>,
    /// Whether the panel should bring the icon forward if it hides idle ones.
    pub attention: Attention,
    /// One sentence, plain text.
    pub tooltip: String,
    /// From top to bottom.
    pub menu: Vec<TrayEntry>,
}

/// A square picture: red, green, blue, alpha of each pixel, row by row from the top, colours not
/// multiplied by alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrayImage {
    /// Width and height in pixels.
    pub size: u16,
    /// Four bytes a pixel.
    pub rgba: Vec<u8>,
}

/// Whether the person should look now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attention {
    /// At leisure.
    #[default]
    No,
    /// Something waits for a decision.
    Wanted,
}

/// An entry of the menu's first level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrayEntry {
    /// A line.
    Item(TrayItem),
    /// A line that leads to others.
    Submenu {
        /// What stands there, plain text.
        label: String,
        /// What it leads to.
        items: Vec<TrayItem>,
    },
    /// A thin line.
    Separator,
}

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrayItem {
    /// What comes back when it is clicked.
    pub id: String,
    /// What stands there, plain text: an underscore or an ampersand is only that.
    pub label: String,
    /// Whether it can be clicked.
    pub clickable: Clickable,
}

/// Whether a line can be clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clickable {
    /// It does something.
    Yes,
    /// It only says something.
    No,
}

/// What comes from the icon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrayEvent {
    /// The line of this id was clicked.
    Clicked(String),
    /// The icon itself was clicked.
    Activated,
    /// There is a panel that shows icons, or there is none. Told once at the start and then when
    /// it changes.
    Host(TrayHost),
}

/// Whether there is a panel that shows icons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrayHost {
    /// The icon is shown.
    Here,
    /// There is none now: not installed, not started yet, or being restarted.
    Missing,
}

/// Why there is no icon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrayError {
    /// There is no session bus, so there will be no icon.
    #[error("there is no desktop session to show an icon in ({0}); use the window or `kiln`")]
    NoBus(String),
    /// The panel does not want it now.
    #[error("the panel does not take an icon ({0}); use the window or `kiln`")]
    Refused(String),
}
