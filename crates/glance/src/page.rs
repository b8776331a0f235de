//! [`Page`]: a place in the window that a click leads to.
use kiln_model::{DashboardId, JobId};

/// A page of the window, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// What this computer does now and why.
    Overview,
    /// The owner's devices.
    Devices,
    /// Computers that build for us or ask to use us; with the request to be looked at first.
    Builders(Option<DashboardId>),
    /// One job with its log.
    Job(JobId),
    /// What was done.
    Activity,
    /// What is kept on the disk, for whom.
    Storage,
    /// What can be changed.
    Settings,
    /// What to look at when something is wrong.
    Diagnostics,
}

impl Page {
    /// Returns the page's name in the window.
    pub fn word(&self) -> &'static str {
        match self {
            Page::Overview => "overview",
            Page::Devices => "devices",
            Page::Builders(_) => "builders",
            Page::Job(_) => "job",
            Page::Activity => "activity",
            Page::Storage => "storage",
            Page::Settings => "settings",
            Page::Diagnostics => "diagnostics",
        }
    }

    /// Returns the job that the page is about.
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Page::Job(job) => Some(job),
            Page::Overview
            | Page::Devices
            | Page::Builders(_)
            | Page::Activity
            | Page::Storage
            | Page::Settings
            | Page::Diagnostics => None,
        }
    }

    /// Returns the asking computer that the page is about.
    pub fn dashboard_id(&self) -> Option<&DashboardId> {
        match self {
            Page::Builders(asking) => asking.as_ref(),
            Page::Overview
            | Page::Devices
            | Page::Job(_)
            | Page::Activity
            | Page::Storage
            | Page::Settings
            | Page::Diagnostics => None,
        }
    }
}
