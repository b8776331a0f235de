//! Verbs about work: devices, install, flash, compile, clean, jobs, logs, cancel.
use std::time::Duration;

use kiln_ipc::{Event, Follow, job_json, reply_json};
use kiln_model::{
    BuildChoice, ErrorCode, Job, JobKind, JobStatus, Placement, Port, Presence, Reply, Request,
    RequestError,
};
use serde_json::{Value, json};

use crate::args::{CompileArgs, FlashArgs, InstallArgs, Wait, Where};
use crate::asking::{unexpected, view};
use crate::exit::Failure;
use crate::face::{Face, Shape};
use crate::log_filter::LogFilter;
use crate::pick;
use crate::text::{duration, safe, table, when};
use crate::waited_logs::{WaitedLogs, show_log};
use kiln_client::{Client, Transport};

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

pub(crate) async fn ports(transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let reply = client.ask(Request::SerialPorts).await?;
    let Reply::SerialPorts { ports, advice } = &reply else {
        return Err(unexpected());
    };
    face.result(
        || reply_json(&reply)["ports"].clone(),
        || {
            if ports.is_empty() {
                return format!("No serial port is connected.\n{}\n", safe(advice));
            }
            let rows: Vec<Vec<String>> = ports
                .iter()
                .map(|port| {
                    let usb = port.usb.as_ref();
                    let id = usb.map(|usb| format!("{:04x}:{:04x}", usb.vendor, usb.product));
                    vec![
                        safe(&port.path),
                        safe(&port.product),
                        id.unwrap_or_default(),
                        usb.map(|usb| safe(&usb.serial)).unwrap_or_default(),
                        port.state.word().to_owned(),
                    ]
                })
                .collect();
            let mut text = table(&["PORT", "DEVICE", "USB", "SERIAL NUMBER", "STATE"], &rows);
            for port in ports.iter().filter(|port| !port.problem.is_empty()) {
                text.push_str(&format!("{}\n", safe(&port.problem)));
            }
            text
        },
    )
}

/// Bounds a wait, if it is to be bounded.
pub(crate) async fn within<T>(
    seconds: Option<u64>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(seconds) = seconds else {
        return work.await;
    };
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .unwrap_or(Err(Failure::TimedOut(seconds)))
}

pub(crate) async fn install(
    transport: &impl Transport,
    face: &mut Face,
    wanted: InstallArgs,
) -> Result<(), Failure> {
    let port = read_port(&wanted.port)?;
    let mut client = Client::connect(transport).await?;
    let build = build_choice(&mut client, &wanted.place).await?;
    let request = |device: String| Request::Install {
        device,
        build: build.clone(),
        port: port.clone(),
    };
    start(client, face, wanted.devices, request, wanted.wait).await
}

pub(crate) async fn flash(
    transport: &impl Transport,
    face: &mut Face,
    wanted: FlashArgs,
) -> Result<(), Failure> {
    let port = read_port(&wanted.port)?;
    let client = Client::connect(transport).await?;
    let request = |device: String| Request::Flash {
        device,
        port: port.clone(),
    };
    start(client, face, wanted.devices, request, wanted.wait).await
}

fn read_port(text: &str) -> Result<Port, Failure> {
    kiln_esphome::parse_port(text).map_err(|e| Failure::Usage(e.to_string()))
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
    start(client, face, wanted.devices, request, wanted.wait).await
}

pub(crate) async fn clean(
    transport: &impl Transport,
    face: &mut Face,
    devices: Vec<String>,
    wait: Wait,
) -> Result<(), Failure> {
    let client = Client::connect(transport).await?;
    start(
        client,
        face,
        devices,
        |device| Request::Clean { device },
        wait,
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
    wait: Wait,
) -> Result<(), Failure> {
    let (mut jobs, mut refused) = (Vec::new(), None);
    for device in devices {
        match client.ask(request(device)).await {
            Ok(Reply::Jobs(made)) => jobs.extend(made),
            Ok(_) => return Err(unexpected()),
            Err(error) => {
                let failure = Failure::from(error);
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
    let waited = match wait.wait && !jobs.is_empty() {
        true => within(wait.timeout, wait_for(&mut client, face, &mut jobs)).await,
        false => Ok(()),
    };
    // Also of jobs that go on: what they are called is told nowhere else.
    if !jobs.is_empty() || refused.is_none() {
        face.result(|| jobs_json(&jobs), || started_text(&jobs))?;
    }
    if let Err(failure) = waited {
        if let Some(refused) = refused {
            face.failed(&refused);
        }
        return Err(failure);
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
        Failure::Job(_)
        | Failure::AuditBroken(_)
        | Failure::Usage(_)
        | Failure::TimedOut(_)
        | Failure::NoNode(_)
        | Failure::Broken(_)
        | Failure::NotServing(_)
        | Failure::NotImported(_)
        | Failure::Interrupted
        | Failure::ReaderGone => false,
    }
}

fn is_lost(job: &Job) -> bool {
    matches!(job.status, JobStatus::Failed | JobStatus::Cancelled)
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
    if job.kind == JobKind::Upload {
        // Flashing is always done from here, wherever the build was.
        return Some("from here".to_owned());
    }
    match &job.placement {
        Placement::Local => Some("here".to_owned()),
        Placement::RemotePending => None,
        Placement::Remote {
            label,
            esphome_version,
            ..
        } => {
            let mut place = format!("on {}", safe(label.as_str()));
            if let Some(version) = esphome_version {
                place.push_str(&format!(" with ESPHome {version}"));
            }
            Some(place)
        }
    }
}

fn jobs_json(jobs: &[Job]) -> Value {
    json!({ "jobs": jobs.iter().map(job_json).collect::<Vec<_>>() })
}

/// Follows jobs until all are final, showing their logs one after the other. They are as last known
/// whenever it ends.
async fn wait_for(client: &mut Client, face: &mut Face, jobs: &mut [Job]) -> Result<(), Failure> {
    client.follow(Follow::Jobs).await?;
    let mut logs = match face.shape {
        Shape::Text if !face.quiet => WaitedLogs::of(jobs),
        Shape::Text | Shape::Json => WaitedLogs::default(),
    };
    while jobs.iter().any(|job| !job.status.is_final()) || !logs.is_over() {
        logs.go_on(client, jobs).await?;
        let (id, event) = client.event().await?;
        match event {
            Event::Job { job } => {
                if let Some(known) = jobs.iter_mut().find(|known| known.id == job.id) {
                    let told = known.status != job.status || known.reason != job.reason;
                    *known = *job;
                    if told && !known.status.is_final() {
                        let line = job_line(known);
                        face.notice(&line)?;
                    }
                }
            }
            Event::Log { text, next, .. } => logs.text(face, id, &text, next)?,
            Event::End => logs.ended(id),
            Event::View { .. } | Event::Devices { .. } | Event::Environments { .. } => {}
        }
    }
    Ok(())
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
    let mut client = Client::connect(transport).await?;
    let job = find_job(&mut client, wanted).await?.id;
    let log = if follow {
        Follow::Log { job, offset: 0 }
    } else {
        Follow::LogNow { job, offset: 0 }
    };
    client.follow(log).await?;
    let mut filter = LogFilter::default();
    loop {
        match client.event().await?.1 {
            Event::Log { text, offset, next } => match face.shape {
                Shape::Json => {
                    let piece = json!({ "offset": offset, "text": text, "next": next });
                    face.print(&format!("{piece}\n"))?;
                }
                Shape::Text => show_log(face, &mut filter, &text)?,
            },
            Event::End => return Ok(()),
            Event::View { .. }
            | Event::Job { .. }
            | Event::Devices { .. }
            | Event::Environments { .. } => {}
        }
    }
}

pub(crate) async fn cancel(
    transport: &impl Transport,
    face: &mut Face,
    wanted: &str,
    yes: bool,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let job = find_job(&mut client, wanted).await?;
    if job.is_flash() {
        let name = safe(&job.device_name);
        let question = format!(
            "Stop flashing {name}? A device that is stopped half-way may not start again and then \
             needs a cable."
        );
        face.confirm(yes, "", &question, "It goes on.")?;
    }
    let reply = client.ask(Request::Cancel(job.id)).await?;
    face.result(|| reply_json(&reply), || "Asked to stop.\n".to_owned())
}

pub(crate) async fn build_here(
    transport: &impl Transport,
    face: &mut Face,
    wanted: &str,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let job = find_job(&mut client, wanted).await?.id;
    match client.ask(Request::BuildHere(job)).await? {
        Reply::Jobs(jobs) => face.result(|| jobs_json(&jobs), || started_text(&jobs)),
        reply => face.result(|| reply_json(&reply), || "It is built here.\n".to_owned()),
    }
}

/// Finds the job whose id begins so.
async fn find_job(client: &mut Client, text: &str) -> Result<Job, Failure> {
    let Reply::Jobs(jobs) = client.ask(Request::Jobs).await? else {
        return Err(unexpected());
    };
    let wanted = text.to_ascii_lowercase();
    let mut fitting = jobs
        .iter()
        .filter(|job| job.id.as_str().starts_with(&wanted));
    match (fitting.next(), fitting.next()) {
        (Some(job), None) if !wanted.is_empty() => Ok(job.clone()),
        (Some(_), _) => Err(Failure::Usage(format!(
            "More than one job begins with {text:?}; give more of its digits."
        ))),
        (None, _) => Err(Failure::Refused(RequestError {
            code: ErrorCode::NotFound,
            message: format!("There is no job {text:?}.").into(),
            hint: "See them with `kiln jobs`.".into(),
        })),
    }
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
                message: String::new().into(),
                hint: String::new().into(),
            };
            let ends = ends_batch(&Failure::Refused(error));
            assert_eq!(ends, *code == ErrorCode::NoCompatiblePeer, "{code:?}");
        }
        assert!(!ends_batch(&Failure::Job("failed".to_owned())));
    }
}
