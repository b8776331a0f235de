//! Developer verbs of Kiln.
fn main() {}
