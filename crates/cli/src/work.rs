//! Verbs about work: devices, install, compile, clean, jobs, logs, cancel.
use std::collections::BTreeMap;

use kiln_ipc::{Event, Follow, job_json, reply_json};
use kiln_model::{
    BuildChoice, ErrorCode, Job, JobId, JobStatus, Placement, Presence, Reply, Request,
};
use serde_json::{Value, json};

use crate::args::{CompileArgs, InstallArgs, Where};
use crate::client::{Client, Transport};
use crate::exit::Failure;
use crate::face::{Face, Reader, Shape};
use crate::node::{unexpected, view};
use crate::pick;
use crate::text::{duration, safe, table, when};

pub(crate) async fn devices(transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let reply = client.ask(Request::Devices).await?;
    let Reply::Devices(devices) = &reply else {
        return Err(unexpected());
    };
    face.result(
        || reply_json(&reply)["devices"].clone(),
        || {
            if devices.is_empty() {
                return "There are no configurations. `kiln settings set esphome_dir=DIR` says \
                        where yours are.\n"
                    .to_owned();
            }
            let rows: Vec<Vec<String>> = devices
                .iter()
                .map(|device| {
                    let online = match device.presence {
                        Presence::Online => "online",
                        Presence::Offline => "offline",
                        Presence::Unknown => "",
                    };
                    let note = device.problem.as_deref().map(safe);
                    vec![
                        safe(&device.name),
                        device.configuration.to_string(),
                        safe(&device.platform),
                        online.to_owned(),
                        safe(&device.deployed_version),
                        safe(&device.built_version),
                        note.or(device.last_build.map(when)).unwrap_or_default(),
                    ]
                })
                .collect();
            let heading = [
                "NAME",
                "CONFIGURATION",
                "PLATFORM",
                "",
                "RUNS",
                "BUILT",
                "LAST BUILD",
            ];
            table(&heading, &rows)
        },
    )
}

/// Whether a command returns at once or when its jobs are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    Leave,
    Wait,
}

impl From<bool> for Patience {
    fn from(wait: bool) -> Self {
        if wait {
            Patience::Wait
        } else {
            Patience::Leave
        }
    }
}

pub(crate) async fn install(
    transport: &impl Transport,
    face: &mut Face,
    wanted: InstallArgs,
) -> Result<(), Failure> {
    let port = kiln_esphome::parse_port(&wanted.port).map_err(|e| Failure::Usage(e.to_string()))?;
    let mut client = Client::connect(transport).await?;
    let build = build_choice(&mut client, &wanted.place).await?;
    let request = |device: String| Request::Install {
        device,
        build: build.clone(),
        port: port.clone(),
    };
    start(client, face, wanted.devices, request, wanted.wait.into()).await
}

pub(crate) async fn compile(
    transport: &impl Transport,
    face: &mut Face,
    wanted: CompileArgs,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let build = build_choice(&mut client, &wanted.place).await?;
    let request = |device: String| Request::Compile {
        device,
        build: build.clone(),
    };
    start(client, face, wanted.devices, request, wanted.wait.into()).await
}

pub(crate) async fn clean(
    transport: &impl Transport,
    face: &mut Face,
    devices: Vec<String>,
    wait: bool,
) -> Result<(), Failure> {
    let client = Client::connect(transport).await?;
    start(
        client,
        face,
        devices,
        |device| Request::Clean { device },
        wait.into(),
    )
    .await
}

async fn build_choice(client: &mut Client, place: &Where) -> Result<BuildChoice, Failure> {
    match (&place.on, place.local) {
        (Some(wanted), _) => {
            let view = view(client).await?;
            Ok(BuildChoice::On(
                pick::receiver(&view.pairings, wanted)?.pairing.pin,
            ))
        }
        (None, true) => Ok(BuildChoice::Local),
        (None, false) => Ok(BuildChoice::Auto),
    }
}

/// Asks for one device after another. One that is refused does not stop the others, unless the
/// reason is that no receiver fits: that is true of all of them (builds.md §2.6).
async fn start(
    mut client: Client,
    face: &mut Face,
    devices: Vec<String>,
    request: impl Fn(String) -> Request,
    patience: Patience,
) -> Result<(), Failure> {
    let (mut jobs, mut refused) = (Vec::new(), None);
    for device in devices {
        match client.ask(request(device)).await {
            Ok(Reply::Jobs(made)) => jobs.extend(made),
            Ok(_) => return Err(unexpected()),
            Err(failure) => {
                let ends_batch = ends_batch(&failure);
                if let Some(earlier) = refused.replace(failure) {
                    face.failed(&earlier);
                }
                if ends_batch {
                    break;
                }
            }
        }
    }
    if patience == Patience::Wait && !jobs.is_empty() {
        jobs = wait_for(&mut client, face, jobs).await?;
    }
    if !jobs.is_empty() || refused.is_none() {
        face.result(|| jobs_json(&jobs), || started_text(&jobs))?;
    }
    match (refused, jobs.iter().find(|job| is_lost(job))) {
        (Some(failure), _) => Err(failure),
        (None, Some(lost)) => Err(Failure::Job(lost_text(lost))),
        (None, None) => Ok(()),
    }
}

fn ends_batch(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(error) => error.code == ErrorCode::NoCompatiblePeer,
        Failure::Job(_) | Failure::Usage(_) | Failure::NoNode(_) | Failure::Broken(_) => false,
    }
}

fn is_lost(job: &Job) -> bool {
    matches!(job.status, JobStatus::Failed | JobStatus::Cancelled) && !job.deferred
}

fn lost_text(job: &Job) -> String {
    let what = format!("{} {}", job.kind.word(), safe(&job.configuration));
    let why = job
        .error
        .as_deref()
        .map(|e| format!(": {}", safe(e)))
        .unwrap_or_default();
    format!("{what} {}{why} (`kiln logs {}`)", job.status.word(), job.id)
}

fn started_text(jobs: &[Job]) -> String {
    jobs.iter()
        .map(|job| format!("{}\n", job_line(job)))
        .collect()
}

fn job_line(job: &Job) -> String {
    let mut line = format!(
        "{}  {} {}: {}",
        job.id,
        job.kind.word(),
        safe(&job.configuration),
        job.status.word()
    );
    if let (Some(from), Some(to)) = (job.started_at, job.completed_at) {
        line.push_str(&format!(" after {}", duration(from, to)));
    }
    if let Some(place) = place_text(job) {
        line.push_str(&format!(", {place}"));
    }
    match &job.error {
        Some(error) => line.push_str(&format!(": {}", safe(error))),
        None if !job.reason.is_empty() => line.push_str(&format!(" ({})", safe(&job.reason))),
        None => {}
    }
    line
}

fn place_text(job: &Job) -> Option<String> {
    match &job.placement {
        Placement::Local => Some("here".to_owned()),
        Placement::RemotePending => None,
        Placement::Remote { label, .. } => Some(format!("on {}", safe(label.as_str()))),
    }
}

fn jobs_json(jobs: &[Job]) -> Value {
    json!({ "jobs": jobs.iter().map(job_json).collect::<Vec<_>>() })
}

/// Follows jobs until all are final, showing logs of the first one that has something to say.
async fn wait_for(
    client: &mut Client,
    face: &mut Face,
    started: Vec<Job>,
) -> Result<Vec<Job>, Failure> {
    let mut jobs: BTreeMap<JobId, Job> =
        started.iter().map(|j| (j.id.clone(), j.clone())).collect();
    client.follow(Follow::Jobs).await?;
    let shows_log = face.shape == Shape::Text && !face.quiet;
    let mut logs: BTreeMap<u64, JobId> = BTreeMap::new();
    if shows_log {
        for job in &started {
            let follow = Follow::Log {
                job: job.id.clone(),
                offset: 0,
            };
            logs.insert(client.follow(follow).await?, job.id.clone());
        }
    }
    while jobs.values().any(|job| !job.status.is_final()) || !logs.is_empty() {
        let (id, event) = client.event().await?;
        match event {
            Event::Job { job } => {
                if let Some(known) = jobs.get_mut(&job.id) {
                    let told = known.status != job.status || known.reason != job.reason;
                    *known = *job;
                    if told && !known.status.is_final() {
                        let line = job_line(known);
                        face.notice(&line)?;
                    }
                }
            }
            Event::Log { text, .. } => {
                if logs.contains_key(&id) {
                    show_log(face, &text)?;
                }
            }
            Event::End => {
                logs.remove(&id);
            }
            Event::View { .. } => {}
        }
    }
    Ok(started
        .iter()
        .filter_map(|job| jobs.remove(&job.id))
        .collect())
}

/// Prints log text: as it is on a terminal, without redrawn lines in a pipe.
fn show_log(face: &mut Face, text: &str) -> Result<(), Failure> {
    // ESPHome writes escape sequences as four characters when its output is a pipe.
    let text = text.replace("\\033", "\u{1b}");
    match face.reader {
        Reader::Terminal => face.print(&text),
        Reader::Pipe => face.print(&text.replace("\r\n", "\n").replace('\r', "\n")),
    }
}

pub(crate) async fn jobs(transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let reply = client.ask(Request::Jobs).await?;
    let Reply::Jobs(jobs) = &reply else {
        return Err(unexpected());
    };
    face.result(
        || jobs_json(jobs),
        || {
            if jobs.is_empty() {
                return "Nothing was built yet.\n".to_owned();
            }
            let rows: Vec<Vec<String>> = jobs
                .iter()
                .map(|job| {
                    let progress = job.progress.map(|p| format!(" {p} %")).unwrap_or_default();
                    let took = match (job.started_at, job.completed_at) {
                        (Some(from), Some(to)) => duration(from, to),
                        _ => String::new(),
                    };
                    vec![
                        job.id.to_string(),
                        when(job.created_at),
                        job.kind.word().to_owned(),
                        safe(&job.configuration),
                        format!("{}{progress}", job.status.word()),
                        place_text(job).unwrap_or_default(),
                        took,
                        safe(job.error.as_deref().unwrap_or(&job.reason)),
                    ]
                })
                .collect();
            let heading = [
                "JOB",
                "MADE",
                "WHAT",
                "CONFIGURATION",
                "STATUS",
                "WHERE",
                "TOOK",
                "WHY",
            ];
            table(&heading, &rows)
        },
    )
}

pub(crate) async fn logs(
    transport: &impl Transport,
    face: &mut Face,
    wanted: &str,
    follow: bool,
) -> Result<(), Failure> {
    let job = job_id(wanted)?;
    let mut client = Client::connect(transport).await?;
    let known = client.ask(Request::Job(job.clone())).await?;
    let Reply::Jobs(known) = known else {
        return Err(unexpected());
    };
    let is_final = known.first().is_none_or(|job| job.status.is_final());
    client.follow(Follow::Log { job, offset: 0 }).await?;
    if !follow && !is_final {
        return so_far(&mut client, face).await;
    }
    loop {
        match client.event().await?.1 {
            Event::Log { text, offset, next } => print_log(face, &text, offset, next)?,
            Event::End => return Ok(()),
            Event::View { .. } | Event::Job { .. } => {}
        }
    }
}

/// Prints what a running job has said up to now: until the answer to a later question arrives,
/// which the node gives after what it has.
async fn so_far(client: &mut Client, face: &mut Face) -> Result<(), Failure> {
    let view = client.follow(Follow::View).await?;
    loop {
        match client.event().await? {
            (_, Event::Log { text, offset, next }) => print_log(face, &text, offset, next)?,
            (id, Event::View { .. }) if id == view => return Ok(()),
            (_, Event::End) => return Ok(()),
            (_, Event::View { .. } | Event::Job { .. }) => {}
        }
    }
}

fn print_log(face: &mut Face, text: &str, offset: u64, next: u64) -> Result<(), Failure> {
    match face.shape {
        Shape::Json => face.print(&format!(
            "{}\n",
            json!({ "offset": offset, "text": text, "next": next })
        )),
        Shape::Text => show_log(face, text),
    }
}

pub(crate) async fn cancel(
    transport: &impl Transport,
    face: &mut Face,
    wanted: &str,
) -> Result<(), Failure> {
    let job = job_id(wanted)?;
    let mut client = Client::connect(transport).await?;
    let reply = client.ask(Request::Cancel(job)).await?;
    face.result(|| reply_json(&reply), || "Asked to stop.\n".to_owned())
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    text.parse()
        .map_err(|e| Failure::Usage(format!("{text:?} is no job: {e}.")))
}

#[cfg(test)]
mod tests {
    use kiln_model::RequestError;

    use super::*;

    // Covers: M35
    #[test]
    fn only_a_missing_receiver_ends_a_batch() {
        for code in ErrorCode::ALL {
            let error = RequestError {
                code: *code,
                message: String::new(),
                hint: String::new(),
            };
            let ends = ends_batch(&Failure::Refused(error));
            assert_eq!(ends, *code == ErrorCode::NoCompatiblePeer, "{code:?}");
        }
        assert!(!ends_batch(&Failure::Job("failed".to_owned())));
    }
}
