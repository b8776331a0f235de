//! What has to be said before Kiln ends.
use std::collections::BTreeSet;

use kiln_model::{Job, JobOrigin, View};

use crate::standing::{device_name, name};
use crate::words::{Key, Words};

/// Returns the question to ask before Kiln is quit: only while it builds for somebody, whom it
/// names.
pub fn quit_question(view: &View, words: &Words) -> Option<String> {
    let waits = |job: &Job| match &job.origin {
        JobOrigin::Owner => None,
        JobOrigin::Offloader {
            label,
            dashboard_id,
            ..
        } => (!job.status.is_final()).then(|| name(&[label.as_str(), dashboard_id.as_str()])),
    };
    let waiting: BTreeSet<String> = view.jobs.iter().filter_map(waits).collect();
    let peer = waiting.first()?;
    Some(match waiting.len() {
        1 => words.say(Key::QuitOne, &[("peer", peer)]),
        all => {
            let others = (all - 1).to_string();
            words.say(Key::QuitMany, &[("peer", peer), ("count", &others)])
        }
    })
}

/// Returns what an end of Kiln waits for, as a sentence: a device that is being written.
pub fn quit_waits(view: &View, words: &Words) -> Option<String> {
    let flash = view.jobs.iter().find(|job| job.is_flash())?;
    Some(words.say(Key::QuitWaits, &[("device", &device_name(flash))]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::*;
    use kiln_model::{JobKind, JobStatus};

    #[test]
    fn quitting_asks_only_while_somebody_waits_for_a_build() {
        let mut view = quiet();
        view.jobs = vec![
            compile(1, "kitchen", JobStatus::Running),
            for_garage(compile(2, "porch", JobStatus::Completed)),
        ];
        assert_eq!(quit_question(&view, &english()), None);
        view.jobs
            .push(for_garage(compile(3, "porch", JobStatus::Queued)));
        assert_eq!(
            quit_question(&view, &english()).unwrap(),
            "This computer is building for Garage. Quit anyway?"
        );
    }

    #[test]
    fn an_end_waits_for_a_device_that_is_being_written_and_for_no_build() {
        let mut view = quiet();
        view.jobs = vec![
            compile(1, "kitchen", JobStatus::Running),
            job(2, JobKind::Upload, "porch", JobStatus::Queued),
        ];
        assert_eq!(quit_waits(&view, &english()), None);
        view.jobs[1].status = JobStatus::Running;
        assert_eq!(
            quit_waits(&view, &english()).unwrap(),
            "Kiln ends when porch is installed."
        );
    }
}
