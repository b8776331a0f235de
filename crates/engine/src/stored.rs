//! [`Stored`]: everything a start finds in the store and believes.
use std::collections::HashSet;
use std::sync::Arc;

use kiln_domain::work::{Given, Sighted, StoredJob};
use kiln_model::{BlobId, JobId, JobOrigin, Pairing, Peer, Sentence, Settings};
use kiln_ports::store::{Row, StoreError};
use kiln_ports::{Secrets, Store};

use crate::anchors::{self, Lapsed};
use crate::blocking::blocking;
use crate::node::StartError;
use crate::records;
use crate::sighted_rows;

/// What was found.
pub(crate) struct Stored {
    pub(crate) settings: Settings,
    pub(crate) peers: Vec<Peer>,
    pub(crate) pairings: Vec<Pairing>,
    pub(crate) given: Vec<Given>,
    pub(crate) sighted: Vec<Sighted>,
    pub(crate) jobs: Vec<StoredJob>,
    /// Rows that were skipped, one sentence each.
    pub(crate) problems: Vec<Sentence>,
    /// Peers and pairings that are not believed.
    pub(crate) lapsed: Vec<Lapsed>,
    /// Blobs on disk that no job names.
    pub(crate) stray: Vec<BlobId>,
    /// Jobs whose logs are on disk, and that are gone.
    pub(crate) stray_logs: Vec<JobId>,
}

/// Reads all rows. A row that cannot be read is skipped and named; an unreadable store is an error.
pub(crate) async fn load(
    store: &Arc<dyn Store>,
    secrets: &dyn Secrets,
) -> Result<Stored, StartError> {
    let disk = Arc::clone(store);
    let (rows, blobs, logs) = blocking(move || {
        let mut rows = Vec::new();
        for kind in [
            records::SETTING,
            records::PEER,
            records::PAIRING,
            records::GIVEN,
            sighted_rows::SIGHTED,
            records::JOB,
        ] {
            rows.push(disk.rows(kind)?);
        }
        Ok::<_, StoreError>((rows, disk.blobs()?, disk.logs()?))
    })
    .await?;
    let mut problems = Vec::new();
    let mut rows = rows.into_iter();
    let mut next = || rows.next().unwrap_or_default();
    let (settings, bad) = records::settings(&next());
    problems.extend(bad.into_iter().map(|bad| bad.to_string().into()));
    let peers = readable(next(), records::peer, &mut problems);
    let pairings = readable(next(), records::pairing, &mut problems);
    let given = readable(next(), records::given, &mut problems);
    let sighted = readable(next(), sighted_rows::sighted, &mut problems);
    let rows = next();
    // Also of a row that cannot be read.
    let kept: HashSet<String> = rows.iter().map(|row| row.key.clone()).collect();
    let stray_logs = logs.into_iter().filter(|job| !kept.contains(job.as_str()));
    let stray_logs = stray_logs.collect();
    let mut jobs = readable(rows, records::job, &mut problems);
    let mut lapsed = Vec::new();
    let (peers, pairings) = anchors::trusted(secrets, peers, pairings, &mut lapsed).await?;
    for job in jobs.iter_mut().filter(|job| !job.job.status.is_final()) {
        job.cancel_requested |= !is_welcome(&job.job.origin, &peers);
    }
    let named: HashSet<&BlobId> = jobs.iter().filter_map(|job| job.bundle.as_ref()).collect();
    let stray = blobs
        .iter()
        .filter(|blob| !named.contains(blob))
        .cloned()
        .collect();
    Ok(Stored {
        settings,
        peers,
        pairings,
        given,
        sighted,
        jobs,
        problems,
        lapsed,
        stray,
        stray_logs,
    })
}

/// Returns whether the sender of a job may still use this computer: its removal and the end of its
/// jobs are not written at once, and its key can leave the keyring while Kiln does not run.
fn is_welcome(origin: &JobOrigin, peers: &[Peer]) -> bool {
    match origin {
        JobOrigin::Owner => true,
        JobOrigin::Offloader { pin, .. } => peers.iter().any(|peer| peer.pin == *pin),
    }
}

fn readable<T>(
    rows: Vec<Row>,
    read: impl Fn(&Row) -> Result<T, records::BadRecord>,
    problems: &mut Vec<Sentence>,
) -> Vec<T> {
    let mut good = Vec::new();
    for row in rows {
        match read(&row) {
            Ok(value) => good.push(value),
            Err(bad) => problems.push(bad.to_string().into()),
        }
    }
    good
}
