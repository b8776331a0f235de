//! [`Room`]: whether Kiln keeps to its budget.

/// Whether Kiln keeps to its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// It does, or will as soon as what may go is gone.
    #[default]
    Left,
    /// What is needed takes more than that.
    UsedUp {
        /// What all of it takes, in bytes.
        used: u64,
    },
}
