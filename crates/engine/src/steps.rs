//! The steps of a job that touch the disk or run programs, one function per effect of
//! [`kiln_domain::work`]. Each ends by telling the domain what became of it.
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_archive::{ExtractError, LocalTree, MaterialiseError, PackError, PackedArtifacts};
use kiln_domain::work::{BuildTree, BundleFacts, Event as WorkEvent, ProcessOutcome, StepFailure};
use kiln_domain::{Event, RequestId};
use kiln_esphome::{FlashScan, Invocation, Purpose};
use kiln_model::{
    ArtifactsRefusal, BlobId, Bootloader, ConfigurationName, EsphomeVersion, JobId, JobKind,
    LinkId, Pin, Port, SandboxMode, Sentence, Tier, WireJobId, say,
};
use kiln_ports::process::Command;
use kiln_ports::sandbox::Boxed;

use crate::boxes;
use crate::context::Context;
use crate::devices;
use crate::environments::ProvisionError;
use crate::limits::Limits;
use crate::particulars::Packed;
use crate::programs::Customer;
use crate::tool::{self, Bounds, Guest, Stop, stopped};

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
    let result = make_bundle(&context, &job, &configuration, blob.clone(), &mut stop).await;
    if result.is_err()
        && let Err(error) = context.store.drop_blob(&blob)
    {
        tracing::warn!(%job, %error, "the rest of a bundle stays until the next start");
    }
    context
        .tell(Event::Work(WorkEvent::BundleMade(job, result)))
        .await;
}

async fn make_bundle(
    context: &Context,
    job: &JobId,
    configuration: &ConfigurationName,
    blob: BlobId,
    stop: &mut Stop,
) -> Result<BundleFacts, StepFailure> {
    let failed = StepFailure::Failed;
    // Made by us first, so that the secrets inside are only ever in a file of ours.
    context
        .store
        .create_blob(&blob)
        .map_err(|e| failed(e.sentence()))?;
    let path = context.store.blob_path(&blob);
    let yaml = path_text(&context.esphome_dir().join(configuration.as_str()));
    let output = path_text(&path);
    let invocation = Invocation::Bundle {
        yaml: &yaml,
        output: &output,
    };
    let command = context
        .command(None, &invocation, Purpose::Own)
        .await
        .map_err(failed)?;
    match tool::run(
        context,
        job,
        command,
        Bounds::Time(BUNDLE_LIMIT),
        None,
        stop,
    )
    .await
    {
        ProcessOutcome::Succeeded => {}
        ProcessOutcome::Killed => return Err(StepFailure::Cancelled),
        ProcessOutcome::Failed { message, .. } | ProcessOutcome::GivenUp(message) => {
            return Err(StepFailure::Failed(say::bundle_failed_because(message)));
        }
    }
    let facts = on_disk_thread(
        move |cancelled| {
            let bundle = std::fs::File::open(&path)?;
            bundle.sync_all()?;
            kiln_archive::blob_facts(&bundle, cancelled)
        },
        Some(stop.clone()),
    )
    .await
    .map_err(|why| failed(why.into()))?
    .map_err(|e| StepFailure::Failed(say::bundle_unreadable(e.to_string())))?;
    if facts.bytes == 0 {
        return Err(StepFailure::Failed(say::bundle_empty()));
    }
    Ok(BundleFacts {
        blob,
        bytes: facts.bytes,
        sha256: facts.sha256,
    })
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
    let outcome = match build_command(&context, &build).await {
        Ok(Some((command, bounds))) => {
            tool::run(&context, &build.job, command, bounds, None, &mut stop).await
        }
        Ok(None) => reset_received(&context, &build.tree).await,
        // What cannot even begin here says nothing about the configuration.
        Err(message) => ProcessOutcome::GivenUp(message),
    };
    context
        .tell(Event::Work(WorkEvent::ProcessEnded(build.job, outcome)))
        .await;
}

/// Returns the command and what holds it, or `None` where no program is needed.
async fn build_command(
    context: &Context,
    build: &Build,
) -> Result<Option<(Command, Bounds)>, Sentence> {
    let (yaml, places) = match &build.tree {
        BuildTree::Own(name) => (context.esphome_dir().join(name.as_str()), None),
        BuildTree::OwnAll => (context.esphome_dir(), None),
        BuildTree::Received { pin, configuration } => (
            context
                .received
                .tree(*pin, configuration)
                .join(configuration.as_str()),
            Some(context.received.places(*pin, configuration)),
        ),
        BuildTree::ReceivedAll(_) => return Ok(None),
    };
    let yaml = path_text(&yaml);
    let (version, launcher) = context.launcher(build.version.as_ref()).await?;
    let found = version.clone();
    context
        .particulars
        .note(&build.job, |known| known.version = Some(found));
    let invocation = match build.kind {
        JobKind::Compile => Invocation::Compile {
            yaml: &yaml,
            bootloader: build.bootloader,
            version: &version,
        },
        JobKind::Clean => Invocation::Clean { yaml: &yaml },
        JobKind::ResetBuildEnv => Invocation::CleanAll { folder: &yaml },
        JobKind::Upload => return Err("an upload is not built".into()),
    };
    let version = build.version.as_ref();
    let Some(places) = places else {
        let command = context.command(version, &invocation, Purpose::Own).await?;
        return Ok(Some((command, Bounds::None)));
    };
    let settings = context.settings();
    if !context.confinement.allows_receiving(settings.sandbox) {
        return Err(say::cannot_be_boxed());
    }
    let boxed = settings.sandbox != SandboxMode::Off && context.confinement.tier != Tier::Open;
    let tier = if boxed {
        context.confinement.tier
    } else {
        Tier::Open
    };
    context
        .particulars
        .note(&build.job, |known| known.tier = Some(tier));
    let (data_dir, home) = (path_text(&places.data()), path_text(&places.home()));
    let purpose = Purpose::Received {
        data_dir: &data_dir,
        home: boxed.then_some(&home),
    };
    let mut command = context.command(version, &invocation, purpose).await?;
    let limits = match build.kind {
        JobKind::Clean => Limits::of_clean(),
        JobKind::Compile | JobKind::ResetBuildEnv | JobKind::Upload => Limits::default(),
    };
    let mut gate = None;
    if boxed {
        let making = places.clone();
        on_disk_thread(move |_| making.prepare(), None)
            .await?
            .map_err(|error| format!("the folders of this build cannot be made: {error}"))?;
        command.directory.clone_from(&places.tree);
        let surroundings = &context.site.surroundings;
        let rules = boxes::rules(&places, &launcher, &settings, surroundings, &limits);
        let enclosed = context.sandbox.enclose(command, &rules).await;
        Boxed { command, gate } = enclosed.map_err(|error| error.sentence())?;
    }
    let folders = vec![places.data(), places.tree];
    let guest = Guest::new(limits, folders, gate, &context.clock);
    Ok(Some((command, Bounds::Guest(Box::new(guest)))))
}

async fn reset_received(context: &Context, tree: &BuildTree) -> ProcessOutcome {
    let BuildTree::ReceivedAll(pin) = tree else {
        return ProcessOutcome::Succeeded;
    };
    let (trees, pin) = (context.received.clone(), *pin);
    let done = on_disk_thread(move |_| trees.reset(pin).map_err(|e| e.to_string()), None).await;
    match done.and_then(|inner| inner) {
        Ok(()) => ProcessOutcome::Succeeded,
        Err(message) => ProcessOutcome::Failed {
            exit_code: None,
            message: message.into(),
        },
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
    let yaml = path_text(&context.esphome_dir().join(configuration.as_str()));
    let known = context.roster.known_address(&configuration);
    let invocation = Invocation::Upload {
        yaml: &yaml,
        port: &port,
        known: known.as_ref(),
    };
    let outcome = match context.command(None, &invocation, Purpose::Own).await {
        Ok(command) => {
            let said = Some(FlashScan::default());
            tool::run(&context, &job, command, Bounds::None, said, &mut stop).await
        }
        Err(message) => ProcessOutcome::Failed {
            exit_code: None,
            message,
        },
    };
    context
        .tell(Event::Work(WorkEvent::ProcessEnded(job, outcome)))
        .await;
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
    let parent = context.received.of(pin);
    let name = configuration.clone();
    let unpacked = on_disk_thread(
        move |cancelled| {
            std::fs::create_dir_all(&parent)?;
            let archive = std::fs::File::open(&archive)?;
            let parent = Dir::open_ambient_dir(&parent, ambient_authority())?;
            kiln_archive::extract_bundle(&archive, &parent, name.stem(), &name, cancelled)
        },
        Some(stop),
    )
    .await;
    let result = match unpacked {
        Ok(unpacked) => unpacked.map(|_| ()).map_err(not_unpacked),
        // A task that broke off says nothing about the bundle.
        Err(message) => Err(not_unpacked_here(message)),
    };
    let result = result.map(|()| BuildTree::Received { pin, configuration });
    context
        .tell(Event::Work(WorkEvent::Prepared(job, result)))
        .await;
}

/// Says who is to blame for a bundle that is not unpacked: a fault of this machine must not look like
/// one of the configuration, which its sender's user would see as failed.
fn not_unpacked(error: ExtractError) -> StepFailure {
    match error {
        ExtractError::Cancelled => StepFailure::Cancelled,
        ExtractError::Refused(refused) => StepFailure::Failed(refused.to_string().into()),
        ExtractError::Io(error) => not_unpacked_here(error.to_string()),
    }
}

fn not_unpacked_here(why: String) -> StepFailure {
    StepFailure::Provision(say::not_unpacked_here(why))
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
    let (configurations, folder) = (context.esphome_dir(), context.own_data_dir());
    let platformio = context
        .site
        .surroundings
        .platformio_dir()
        .map(|folder| path_text(&folder));
    let done = on_disk_thread(
        move |cancelled| {
            let archive = std::fs::File::open(&archive)?;
            let facts =
                kiln_archive::blob_facts(&archive, cancelled).map_err(|error| {
                    match error.kind() {
                        io::ErrorKind::Interrupted => MaterialiseError::Cancelled,
                        _ => error.into(),
                    }
                })?;
            std::fs::create_dir_all(&folder)?;
            let data = Dir::open_ambient_dir(&folder, ambient_authority())?;
            let device = devices::name_of(&configurations, &configuration);
            let tree = LocalTree {
                data: &data,
                data_path: &path_text(&folder),
                configuration: &configuration,
                device: device.as_ref(),
                platformio: platformio.as_deref(),
            };
            kiln_archive::materialise(&archive, tree, cancelled).map(|_| facts)
        },
        Some(stop),
    )
    .await;
    let result = match done {
        Ok(Ok(facts)) => {
            let artifacts = facts.sha256.parse().ok();
            context
                .particulars
                .note(&job, |known| known.artifacts = artifacts);
            Ok(())
        }
        Ok(Err(MaterialiseError::Cancelled)) => Err(StepFailure::Cancelled),
        Ok(Err(refused)) => Err(StepFailure::Failed(refused.to_string().into())),
        Err(message) => Err(StepFailure::Failed(message.into())),
    };
    context
        .tell(Event::Work(WorkEvent::Materialised(job, result)))
        .await;
}

/// Packs the artifacts of a finished received build and streams them; `ArtifactsServed` follows in
/// every case.
pub(crate) async fn serve_artifacts(
    context: Arc<Context>,
    link: LinkId,
    wire_job: WireJobId,
    tree: BuildTree,
    packed: BlobId,
) {
    let of = match &tree {
        BuildTree::Received { pin, .. } | BuildTree::ReceivedAll(pin) => Some(*pin),
        BuildTree::Own(_) | BuildTree::OwnAll => None,
    };
    match pack(&context, tree, &packed).await {
        Ok(artifacts) => {
            if let (Some(pin), Ok(digest)) = (of, artifacts.facts.sha256.parse()) {
                context.particulars.packed(Packed {
                    pin,
                    wire_job: wire_job.clone(),
                    artifacts: digest,
                });
            }
            let path = context.store.blob_path(&packed);
            context
                .links
                .serve_artifacts(link, &wire_job, path, &artifacts)
                .await;
        }
        Err((refusal, detail)) => {
            context
                .links
                .refuse_artifacts(link, &wire_job, refusal, &detail);
        }
    }
    if let Err(error) = context.store.drop_blob(&packed) {
        tracing::warn!(%error, "packed artifacts could not be deleted");
    }
    context
        .tell(Event::Work(WorkEvent::ArtifactsServed(link, wire_job)))
        .await;
}

async fn pack(
    context: &Context,
    tree: BuildTree,
    packed: &BlobId,
) -> Result<PackedArtifacts, (ArtifactsRefusal, String)> {
    let failed = |why: String| (ArtifactsRefusal::PackFailed, why);
    let BuildTree::Received { pin, configuration } = tree else {
        return Err((
            ArtifactsRefusal::BuildDirMissing,
            "nothing was received".to_owned(),
        ));
    };
    let file = context
        .store
        .create_blob(packed)
        .map_err(|e| failed(e.to_string()))?;
    let data_path = context.received.data(pin);
    let done = on_disk_thread(
        move |cancelled| {
            let data = Dir::open_ambient_dir(&data_path, ambient_authority())
                .map_err(|e| PackError::BuildDirMissing(e.kind().to_string()))?;
            let data_path = path_text(&data_path);
            let tree = kiln_archive::BuildTree {
                data: &data,
                data_path: &data_path,
                configuration: &configuration,
            };
            kiln_archive::pack_artifacts(tree, &file, cancelled)
        },
        None,
    )
    .await;
    match done {
        Ok(Ok(artifacts)) => Ok(artifacts),
        Ok(Err(error)) => Err((error.refusal(), error.detail())),
        Err(message) => Err(failed(message)),
    }
}

/// Makes sure that an ESPHome version is installed for a build of somebody else: it goes as hard as that
/// may go.
pub(crate) async fn provision(
    context: Arc<Context>,
    job: JobId,
    version: EsphomeVersion,
    mut stop: Stop,
) {
    // What the owner has installed may be the wanted version.
    tokio::select! {
        biased;
        _ = stopped(&mut stop) => {}
        () = context.environments.looked() => {}
    }
    let customer = Customer::Guest {
        orders: stop,
        settings: context.settings.subscribe(),
    };
    let say = |line: String| {
        let (context, job) = (Arc::clone(&context), job.clone());
        async move { context.outputs.text(&job, &line).await }
    };
    let ensured = context.environments.ensure_for(customer, &version, say);
    let ensured = match ensured.await {
        Ok(()) => Ok(version),
        Err(ProvisionError::Stopped) => Err(StepFailure::Cancelled),
        Err(error) => Err(StepFailure::Provision(error.sentence())),
    };
    context.tell_environments().await;
    context
        .tell(Event::Work(WorkEvent::Provisioned(job, ensured)))
        .await;
}

/// Asks the package index for the newest ESPHome because the owner asked.
pub(crate) async fn find_newest_environment(context: Arc<Context>, request: RequestId) {
    let found = context.environments.newest().await;
    let found = found.map_err(|error| error.sentence());
    context
        .tell(Event::Work(WorkEvent::NewestFound(request, found)))
        .await;
}

/// Makes sure that an ESPHome version is installed because the owner asked. How far it is, and why
/// it failed, is told with the environments.
pub(crate) async fn install_environment(context: Arc<Context>, version: EsphomeVersion) {
    let ensured = context.environments.ensure(&version, |line| async move {
        tracing::info!(line = line.trim_end(), "installing ESPHome");
    });
    if let Err(error) = ensured.await {
        tracing::warn!(%version, %error, "ESPHome was not installed");
    }
    context.tell_environments().await;
}

/// Runs blocking work with a flag that is raised when the job is asked to stop.
pub(crate) async fn on_disk_thread<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    stop: Option<Stop>,
) -> Result<T, String> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&cancelled);
    let mut task = tokio::task::spawn_blocking(move || work(&seen));
    let asked = async {
        match stop {
            Some(mut stop) => drop(stopped(&mut stop).await),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_this_machine_cannot_unpack_is_no_fault_of_its_sender() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let words = full.to_string();
        let here = StepFailure::Provision(say::not_unpacked_here(words));
        assert_eq!(not_unpacked(full.into()), here);
        let refused = kiln_archive::BundleRefused::NoManifest;
        let broken = StepFailure::Failed(refused.to_string().into());
        assert_eq!(not_unpacked(refused.into()), broken);
        assert_eq!(
            not_unpacked(ExtractError::Cancelled),
            StepFailure::Cancelled
        );
    }

    #[tokio::test]
    async fn a_task_that_breaks_off_is_no_fault_of_the_bundle() {
        let broken = on_disk_thread(|_| panic!("a bug"), None).await;
        let blamed = broken.map_err(not_unpacked_here);
        assert!(matches!(blamed, Err::<(), _>(StepFailure::Provision(_))));
    }
}
