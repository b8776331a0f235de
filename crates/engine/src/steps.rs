//! The steps of a job that touch the disk or run programs, one function per effect of
//! [`kiln_domain::work`]. Each ends by telling the domain what became of it.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kiln_domain::Event;
use kiln_domain::work::{BuildTree, BundleFacts, Event as WorkEvent, ProcessOutcome, StepFailure};
use kiln_esphome::command as esphome;
use kiln_model::{
    ArtifactsRefusal, BlobId, Bootloader, ConfigurationName, EsphomeVersion, JobId, JobKind, LinkId,
    Pin, Port, WireJobId,
};
use kiln_ports::process::{Command, Priority};

use crate::context::Context;
use crate::tool::{self, Stop, stopped};

/// Longest time for `esphome bundle` (builds.md §6.1).
const BUNDLE_LIMIT: Duration = Duration::from_secs(300);

/// Makes the bundle of one of the owner's configurations.
pub(crate) async fn bundle(
    context: Arc<Context>,
    job: JobId,
    configuration: ConfigurationName,
    blob: BlobId,
    mut stop: Stop,
) {
    let path = context.store.blob_path(&blob);
    let yaml = context.esphome_dir().join(configuration.as_str());
    let arguments = esphome::bundle(&yaml, &path);
    let result = match context.command(None, arguments, &[], Priority::Normal) {
        Err(message) => Err(StepFailure::Failed(message)),
        Ok(command) => {
            match tool::run(&context, &job, command, Some(BUNDLE_LIMIT), &mut stop).await {
                ProcessOutcome::Succeeded => bundle_facts(path, blob).await,
                ProcessOutcome::Killed => Err(StepFailure::Cancelled),
                ProcessOutcome::Failed { message, .. } => Err(StepFailure::Failed(format!(
                    "the configuration could not be bundled: {message}"
                ))),
            }
        }
    };
    context.tell(Event::Work(WorkEvent::BundleMade(job, result))).await;
}

async fn bundle_facts(path: PathBuf, blob: BlobId) -> Result<BundleFacts, StepFailure> {
    let facts = on_disk_thread(move |_| kiln_archive::bundle_facts(&path), None).await;
    match facts {
        Ok(Ok(facts)) => {
            Ok(BundleFacts { blob, bytes: facts.bytes, sha256: facts.sha256 })
        }
        Ok(Err(error)) => Err(StepFailure::Failed(format!("the bundle cannot be read: {error}"))),
        Err(message) => Err(StepFailure::Failed(message)),
    }
}

/// What a build step is about.
pub(crate) struct Build {
    pub(crate) job: JobId,
    pub(crate) kind: JobKind,
    pub(crate) tree: BuildTree,
    pub(crate) version: Option<EsphomeVersion>,
    pub(crate) bootloader: Bootloader,
}

/// Compiles, cleans or resets on this machine.
pub(crate) async fn build(context: Arc<Context>, build: Build, mut stop: Stop) {
    let outcome = match build_command(&context, &build) {
        Ok(Some(command)) => tool::run(&context, &build.job, command, None, &mut stop).await,
        Ok(None) => reset_received(&context, &build.tree).await,
        Err(message) => ProcessOutcome::Failed { exit_code: None, message },
    };
    context.tell(Event::Work(WorkEvent::ProcessEnded(build.job, outcome))).await;
}

/// Returns the command, or `None` where no program is needed.
fn build_command(context: &Context, build: &Build) -> Result<Option<Command>, String> {
    let (yaml, data, priority) = match &build.tree {
        BuildTree::Own(name) => {
            (context.esphome_dir().join(name.as_str()), None, Priority::Normal)
        }
        BuildTree::OwnAll => (context.esphome_dir(), None, Priority::Normal),
        BuildTree::Received { pin, configuration } => (
            context.received.tree(*pin, configuration).join(configuration.as_str()),
            Some(context.received.data(*pin)),
            Priority::Background,
        ),
        BuildTree::ReceivedAll(_) => return Ok(None),
    };
    let version = build.version.clone().or_else(|| context.environments.installed());
    let arguments = match build.kind {
        JobKind::Compile => esphome::compile(&yaml, build.bootloader, version.as_ref()),
        JobKind::Clean => esphome::clean(&yaml),
        JobKind::ResetBuildEnv => esphome::clean_all(&yaml),
        JobKind::Upload => return Err("an upload is not built".to_owned()),
    };
    let own = data.map(|data| ("ESPHOME_DATA_DIR".to_owned(), path_text(&data)));
    context.command(build.version.as_ref(), arguments, own.as_slice(), priority).map(Some)
}

async fn reset_received(context: &Context, tree: &BuildTree) -> ProcessOutcome {
    let BuildTree::ReceivedAll(pin) = tree else { return ProcessOutcome::Succeeded };
    let (trees, pin) = (context.received.clone(), *pin);
    let done = on_disk_thread(move |_| trees.reset(pin).map_err(|e| e.to_string()), None).await;
    match done.and_then(|inner| inner) {
        Ok(()) => ProcessOutcome::Succeeded,
        Err(message) => ProcessOutcome::Failed { exit_code: None, message },
    }
}

/// Flashes one of the owner's devices from here.
pub(crate) async fn flash(
    context: Arc<Context>,
    job: JobId,
    configuration: ConfigurationName,
    port: Port,
    mut stop: Stop,
) {
    let yaml = context.esphome_dir().join(configuration.as_str());
    let addresses = match &port {
        Port::Ota => context.devices.addresses(&configuration).await,
        Port::Address(_) | Port::Serial(_) => Vec::new(),
    };
    let arguments = esphome::upload(&yaml, &port, &addresses);
    let outcome = match context.command(None, arguments, &[], Priority::Normal) {
        Ok(command) => tool::run(&context, &job, command, None, &mut stop).await,
        Err(message) => ProcessOutcome::Failed { exit_code: None, message },
    };
    context.tell(Event::Work(WorkEvent::ProcessEnded(job, outcome))).await;
}

/// Unpacks a received bundle.
pub(crate) async fn prepare(
    context: Arc<Context>,
    job: JobId,
    pin: Pin,
    configuration: ConfigurationName,
    bundle: BlobId,
    stop: Stop,
) {
    let archive = context.store.blob_path(&bundle);
    let target = context.received.tree(pin, &configuration);
    let name = configuration.clone();
    let unpacked = on_disk_thread(
        move |cancelled| kiln_archive::extract(&archive, &target, &name, cancelled),
        Some(stop),
    )
    .await;
    let result = match unpacked {
        Ok(Ok(_)) => Ok(BuildTree::Received { pin, configuration }),
        Ok(Err(kiln_archive::BundleRefused::Cancelled)) => Err(StepFailure::Cancelled),
        Ok(Err(refused)) => {
            context.outputs.note(&job, &format!("the bundle is refused: {refused}")).await;
            Err(StepFailure::Failed(refused.to_string()))
        }
        Err(message) => Err(StepFailure::Failed(message)),
    };
    context.tell(Event::Work(WorkEvent::Prepared(job, result))).await;
}

/// Validates received artifacts completely, then puts them into the owner's build tree.
pub(crate) async fn materialise(
    context: Arc<Context>,
    job: JobId,
    configuration: ConfigurationName,
    artifacts: BlobId,
    stop: Stop,
) {
    let archive = context.store.blob_path(&artifacts);
    let data = context.esphome_dir().join(".esphome");
    let done = on_disk_thread(
        move |cancelled| kiln_archive::materialise(&archive, &data, &configuration, cancelled),
        Some(stop),
    )
    .await;
    let result = match done {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kiln_archive::ArtifactsRefused::Cancelled)) => Err(StepFailure::Cancelled),
        Ok(Err(refused)) => Err(StepFailure::Failed(refused.to_string())),
        Err(message) => Err(StepFailure::Failed(message)),
    };
    context.tell(Event::Work(WorkEvent::Materialised(job, result))).await;
}

/// Packs the artifacts of a finished received build and streams them.
pub(crate) async fn serve_artifacts(
    context: Arc<Context>,
    link: LinkId,
    wire_job: WireJobId,
    tree: BuildTree,
    packed: BlobId,
) {
    let BuildTree::Received { pin, configuration } = tree else {
        context.links.refuse_artifacts(
            link,
            &wire_job,
            ArtifactsRefusal::BuildDirMissing,
            "this is not a received build",
        );
        return;
    };
    let out = context.store.blob_path(&packed);
    let data = context.received.data(pin);
    let file = out.clone();
    let done = on_disk_thread(
        move |cancelled| kiln_archive::pack(&data, &configuration, &file, cancelled),
        None,
    )
    .await;
    match done {
        Ok(Ok(facts)) => context.links.serve_artifacts(link, &wire_job, out, &facts).await,
        Ok(Err(refused)) => {
            context.links.refuse_artifacts(link, &wire_job, refused.word(), &refused.to_string());
        }
        Err(message) => {
            context.links.refuse_artifacts(link, &wire_job, ArtifactsRefusal::PackFailed, &message);
        }
    }
    if let Err(error) = context.store.drop_blob(&packed) {
        tracing::warn!(%error, "packed artifacts could not be deleted");
    }
    context.tell(Event::Work(WorkEvent::ArtifactsServed(link, wire_job))).await;
}

/// Makes sure that an ESPHome version is installed.
pub(crate) async fn provision(
    context: Arc<Context>,
    job: JobId,
    version: EsphomeVersion,
    mut stop: Stop,
) {
    let outputs = Arc::clone(&context.outputs);
    let ensured = tokio::select! {
        biased;
        () = stopped(&mut stop) => Err(StepFailure::Cancelled),
        done = context.environments.ensure(&version, |line| {
            let (outputs, job) = (Arc::clone(&outputs), job.clone());
            async move { outputs.text(&job, &line).await }
        }) => done.map(|()| version).map_err(|e| StepFailure::Provision(e.to_string())),
    };
    context.tell(Event::Work(WorkEvent::Provisioned(job, ensured))).await;
}

/// Runs blocking work with a flag that is raised when the job is asked to stop.
async fn on_disk_thread<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    stop: Option<Stop>,
) -> Result<T, String> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&cancelled);
    let mut task = tokio::task::spawn_blocking(move || work(&seen));
    let asked = async {
        match stop {
            Some(mut stop) => stopped(&mut stop).await,
            None => std::future::pending().await,
        }
    };
    let joined = tokio::select! {
        joined = &mut task => joined,
        () = asked => {
            cancelled.store(true, Ordering::Relaxed);
            task.await
        }
    };
    joined.map_err(|panicked| format!("a disk task failed: {panicked}"))
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
