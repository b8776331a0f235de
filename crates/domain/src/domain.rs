//! [`Domain`]: routes each event to its half and merges effects and deadlines.
