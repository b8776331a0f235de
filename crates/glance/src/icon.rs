//! [`Icon`]: what the icon says, each with a shape of its own.
use crate::glyph::Layer;
use crate::standing::{Node, Standing};

/// What the icon says. The shapes differ, so that it is told without colour as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icon {
    /// Somebody asks to be admitted, or a pairing needs the owner: a dot above the kiln.
    Attention,
    /// Something is wrong: a cross on the kiln.
    Error,
    /// Builds for the owner: a fire in the kiln.
    BuildingMine,
    /// Builds for somebody else: a fire, and an arrow leading out.
    BuildingOthers,
    /// Builds nothing for others for a while: two bars on the kiln.
    Paused,
    /// Ready: an empty kiln.
    Ready,
    /// Builds nothing for others, or is not there yet: the kiln is struck through.
    Off,
}

impl Icon {
    /// Every icon, the most urgent first.
    pub const ALL: [Self; 7] = [
        Self::Attention,
        Self::Error,
        Self::BuildingMine,
        Self::BuildingOthers,
        Self::Paused,
        Self::Ready,
        Self::Off,
    ];

    /// Returns the icon for what is known of the node: the most urgent of what is true.
    pub fn of(node: Node<'_>) -> Self {
        match Standing::of(node) {
            Standing::Asked(_) | Standing::Alert(_) | Standing::Declined(_) => Icon::Attention,
            Standing::Trouble(_) => Icon::Error,
            Standing::Mine(..) => Icon::BuildingMine,
            Standing::Theirs(..) => Icon::BuildingOthers,
            Standing::Paused(_) => Icon::Paused,
            Standing::Ready(..) => Icon::Ready,
            Standing::Off | Standing::Connecting => Icon::Off,
        }
    }

    /// Returns the icon's name, for tests and logs.
    pub fn word(self) -> &'static str {
        match self {
            Icon::Attention => "attention",
            Icon::Error => "error",
            Icon::BuildingMine => "building_mine",
            Icon::BuildingOthers => "building_others",
            Icon::Paused => "paused",
            Icon::Ready => "ready",
            Icon::Off => "off",
        }
    }

    /// Returns what it is drawn of, from the bottom up.
    pub(crate) fn layers(self) -> &'static [Layer] {
        match self {
            Icon::Attention => &[Layer::Kiln, Layer::Dot],
            Icon::Error => &[Layer::Kiln, Layer::Cross],
            Icon::BuildingMine => &[Layer::Kiln, Layer::Fire],
            Icon::BuildingOthers => &[Layer::Kiln, Layer::Fire, Layer::Arrow],
            Icon::Paused => &[Layer::Kiln, Layer::Bars],
            Icon::Ready => &[Layer::Kiln],
            Icon::Off => &[Layer::Kiln, Layer::Slash],
        }
    }
}
