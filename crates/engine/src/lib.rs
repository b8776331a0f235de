//! The runtime: drives peer-link and domain, performs their effects through ports.

mod anchors;
mod blob_reader;
mod blob_writer;
mod blocking;
mod context;
mod control;
pub mod devices;
mod dialer;
mod download;
mod effects;
pub mod environments;
mod identity;
pub mod import;
mod interpreter;
mod job_log;
mod link_task;
mod link_writer;
pub mod links;
mod listener;
mod machine;
mod node;
mod outputs;
mod programs;
mod received;
pub mod records;
mod reports;
mod roster;
mod runtime;
mod serial;
mod steps;
mod stored;
mod tool;
mod unsaved;
mod upload;

pub use identity::IdentityError;
pub use node::{Ended, IdentityChoice, Node, Ports, Ready, Site, StartError, StartOptions};
