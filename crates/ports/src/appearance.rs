//! [`Contrast`]: how the person wants things drawn.

/// Whether strong contrast is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contrast {
    /// As designed; also when the system does not say.
    #[default]
    Normal,
    /// As strong as can be.
    High,
}
