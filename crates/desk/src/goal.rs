//! [`Goal`]: the page that the window should show, with what it is about.
use kiln_glance::Page;
use serde::{Deserialize, Serialize};

/// Every page of the window.
const PAGES: [&str; 9] = [
    "overview",
    "devices",
    "builders",
    "job",
    "activity",
    "settings",
    "diagnostics",
    "availability",
    "storage",
];

/// What the window should show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// Name of the page, one of those that [`Goal::page`] takes.
    pub page: String,
    /// The job that the page is about.
    pub job: Option<String>,
    /// The asking computer that the page is about.
    pub dashboard_id: Option<String>,
    /// Part of the page: `outdated` of the devices, or the pin of a receiver.
    pub about: Option<String>,
}

/// There is no page of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Kiln has no page {0:?}; there are overview, devices, builders, job, activity, settings, diagnostics, availability and storage"
)]
pub struct UnknownPage(String);

impl Goal {
    /// Returns the page that is shown when nothing else was asked for.
    pub fn overview() -> Self {
        Self {
            page: "overview".to_owned(),
            job: None,
            dashboard_id: None,
            about: None,
        }
    }

    /// Returns the goal for a page's name.
    ///
    /// # Errors
    /// [`UnknownPage`].
    pub fn page(name: &str) -> Result<Self, UnknownPage> {
        if PAGES.contains(&name) {
            Ok(Self {
                page: name.to_owned(),
                ..Self::overview()
            })
        } else {
            Err(UnknownPage(name.to_owned()))
        }
    }
}

impl From<&Page> for Goal {
    fn from(page: &Page) -> Self {
        Self {
            page: page.word().to_owned(),
            job: page.job().map(ToString::to_string),
            dashboard_id: page.dashboard_id().map(|id| id.as_str().to_owned()),
            about: page.about(),
        }
    }
}
