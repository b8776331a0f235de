//! The runtime: drives peer-link and domain, performs their effects through ports.

mod blob_reader;
mod blob_writer;
mod blocking;
mod control;
mod dialer;
mod download;
mod job_log;
mod link_task;
mod link_writer;
pub mod links;
mod listener;
pub mod records;
mod reports;
mod upload;
