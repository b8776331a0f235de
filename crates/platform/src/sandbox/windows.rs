//! Windows: no box. Builds end with their job object, and that is all that holds them.
use std::path::Path;

use kiln_model::Tier;
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, SandboxError};

/// Tiers that can be made here.
pub(super) const TIERS: [Tier; 0] = [];

/// Said when no tier held.
pub(super) const NOTHING_BETTER: Option<&str> =
    Some("Kiln has no box for builds of others on Windows.");

/// Says what holds builds at a tier.
pub(super) fn holds(_: Tier) -> String {
    String::new()
}

/// There is no tier to try.
pub(super) async fn try_everything(_: &Path, _: &Path, _: Tier) -> Result<(), String> {
    std::future::ready(Err("there are no boxes".to_owned())).await
}

/// There is no tier to enclose in.
pub(super) async fn enclose(
    _: &Path,
    _: Command,
    _: &BoxRules,
    _: Tier,
) -> Result<Boxed, SandboxError> {
    std::future::ready(Err(SandboxError("this system has no boxes".to_owned()))).await
}

/// Nothing is ever started as a launcher here.
pub fn launch_if_asked() -> Option<String> {
    None
}
