//! [`asked_to_stop`]: the system's or the person's word that this process should end.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::asked_to_stop;
#[cfg(windows)]
pub use windows::asked_to_stop;
