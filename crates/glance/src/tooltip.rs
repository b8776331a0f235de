//! [`tooltip`]: the sentence that appears when the pointer rests on the icon.
use kiln_model::Timestamp;

use crate::standing::{Node, Standing};
use crate::words::Words;

/// Returns one sentence with the reason and its end ("Paused: on battery. Resumes on mains."); the
/// same stands first in the menu, for systems that show no tooltips.
pub fn tooltip(node: Node<'_>, words: &Words, now: Timestamp) -> String {
    Standing::of(node).sentence(words, now)
}
