//! [`statistics`]: what was built for others and by others, counted from entries.
use std::collections::{BTreeMap, HashMap};

use kiln_model::{
    Built, Entry, Fact, Gained, Given, JobFact, JobKind, JobOutcome, JobStep, Party, Pin,
    Statistics, Timestamp,
};

/// Counts compiles that ended at `since` or later. Compiles that a build elsewhere is compared with
/// count however old they are.
pub fn statistics(entries: &[Entry], since: Option<Timestamp>) -> Statistics {
    let ended: Vec<&JobFact> = entries.iter().filter_map(compiled).collect();
    let here = medians(&ended);
    let oldest = entries.first().map(|entry| entry.at);
    let mut given: BTreeMap<Pin, Given> = BTreeMap::new();
    let mut gained: BTreeMap<Pin, Gained> = BTreeMap::new();
    for job in ended {
        if since.is_some_and(|since| job.ended < Some(since)) {
            continue;
        }
        match (&job.sender, &job.built) {
            (Some(sender), _) => {
                let of = given
                    .entry(sender.pin)
                    .or_insert_with(|| none_given(sender));
                // The newest label is the one that the owner knows.
                of.party = sender.clone();
                give(of, job);
            }
            (None, Built::There(receiver)) if job.outcome == Some(JobOutcome::Completed) => {
                let of = gained
                    .entry(receiver.pin)
                    .or_insert_with(|| none_gained(receiver));
                of.party = receiver.clone();
                gain(of, job, here.get(job.configuration.as_str()));
            }
            (None, Built::There(_) | Built::Here | Built::Undecided) => {}
        }
    }
    let mut given: Vec<Given> = given.into_values().collect();
    given.sort_by_key(|of| std::cmp::Reverse(of.seconds));
    let mut gained: Vec<Gained> = gained.into_values().collect();
    gained.sort_by_key(|of| std::cmp::Reverse(of.completed));
    Statistics {
        since: oldest.max(since.filter(|_| oldest.is_some())),
        given,
        gained,
    }
}

/// Returns the end of a compile.
fn compiled(entry: &Entry) -> Option<&JobFact> {
    match &entry.fact {
        Fact::Job(job) if job.step == JobStep::Ended && job.kind == JobKind::Compile => Some(job),
        Fact::Job(_)
        | Fact::Started { .. }
        | Fact::Pairing(_)
        | Fact::Rotated { .. }
        | Fact::Session(_)
        | Fact::Setting { .. } => None,
    }
}

/// Returns how many seconds the owner's own configurations take here: the median of those that
/// completed.
fn medians<'a>(ended: &[&'a JobFact]) -> HashMap<&'a str, u64> {
    let mut all: HashMap<&str, Vec<u64>> = HashMap::new();
    for job in ended {
        let own = job.sender.is_none() && job.built == Built::Here;
        if let (true, Some(JobOutcome::Completed), Some(seconds)) = (own, job.outcome, seconds(job))
        {
            all.entry(&job.configuration).or_default().push(seconds);
        }
    }
    let median = |mut seconds: Vec<u64>| {
        seconds.sort_unstable();
        seconds.get(seconds.len() / 2).copied().unwrap_or_default()
    };
    all.into_iter()
        .map(|(name, of)| (name, median(of)))
        .collect()
}

/// Returns how long work on a job took; a clock that was set back gives 0.
fn seconds(job: &JobFact) -> Option<u64> {
    let micros = job.ended?.0.saturating_sub(job.started?.0);
    Some(u64::try_from(micros).unwrap_or(0) / 1_000_000)
}

fn give(of: &mut Given, job: &JobFact) {
    match job.outcome {
        Some(JobOutcome::Completed) => of.completed += 1,
        Some(JobOutcome::Failed) => of.failed += 1,
        Some(JobOutcome::Cancelled) => of.cancelled += 1,
        Some(JobOutcome::HandedBack) => of.handed_back += 1,
        None => {}
    }
    // Entries of older versions have the times alone.
    let ran = job.ran.map(|ran| ran.as_secs()).or_else(|| seconds(job));
    of.seconds = of.seconds.saturating_add(ran.unwrap_or_default());
}

fn gain(of: &mut Gained, job: &JobFact, here: Option<&u64>) {
    of.completed += 1;
    let Some(there) = seconds(job) else { return };
    of.seconds = of.seconds.saturating_add(there);
    if let Some(here) = here {
        of.compared += 1;
        let saved = i64::try_from(*here).unwrap_or(i64::MAX);
        let saved = saved.saturating_sub_unsigned(there);
        of.saved_seconds = of.saved_seconds.saturating_add(saved);
    }
}

fn none_given(party: &Party) -> Given {
    Given {
        party: party.clone(),
        completed: 0,
        failed: 0,
        cancelled: 0,
        handed_back: 0,
        seconds: 0,
    }
}

fn none_gained(party: &Party) -> Gained {
    Gained {
        party: party.clone(),
        completed: 0,
        seconds: 0,
        compared: 0,
        saved_seconds: 0,
    }
}
