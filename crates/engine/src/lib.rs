//! The runtime: drives peer-link and domain, performs their effects through ports.

mod blob_reader;
mod blob_writer;
mod blocking;
mod control;
pub mod devices;
mod dialer;
mod download;
pub mod environments;
pub mod import;
mod interpreter;
mod job_log;
mod link_task;
mod link_writer;
pub mod links;
mod listener;
mod programs;
pub mod records;
mod reports;
mod upload;
