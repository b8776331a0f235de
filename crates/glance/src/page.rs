//! [`Page`]: a place in the window that a click leads to.
use kiln_model::{DashboardId, JobId, Pin};

/// Which of the owner's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those with an older ESPHome than own builds would give them.
    Outdated,
}

/// Which computer is to be looked at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// None of them.
    Nobody,
    /// One that asks to use us.
    Asking(DashboardId),
    /// One that builds for us.
    Receiver(Pin),
}

/// A page of the window, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// What this computer does now and why.
    Overview,
    /// The owner's devices.
    Devices(Which),
    /// Computers that build for us or ask to use us.
    Builders(Who),
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
            Page::Devices(_) => "devices",
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
        if let Page::Job(job) = self {
            return Some(job);
        }
        None
    }

    /// Returns the asking computer that the page is about.
    pub fn dashboard_id(&self) -> Option<&DashboardId> {
        if let Page::Builders(Who::Asking(id)) = self {
            return Some(id);
        }
        None
    }

    /// Returns which part of the page is meant: the pin of a receiver, or the name of some devices.
    pub fn about(&self) -> Option<String> {
        match self {
            Page::Builders(Who::Receiver(pin)) => Some(pin.to_string()),
            Page::Devices(Which::Outdated) => Some("outdated".to_owned()),
            _ => None,
        }
    }
}
