//! The only `match effect`: each arm calls one runner.
use std::path::Path;
use std::sync::Arc;

use kiln_domain::{Effect, Event, peering, work};
use kiln_model::{BlobId, DashboardId, Fact, Pin, PublicKey, Reply, Settings, Side, say};
use kiln_ports::discovery::Announcement;
use kiln_ports::store::Change;

use crate::anchors::{self, Anchor};
use crate::blocking::blocking;
use crate::node::{Ended, Link, Node};
use crate::runtime::RETRY;
use crate::{audit, housekeeping, identity, records, serial, sighted_rows, steps};

impl Node {
    /// Does one thing. An error means that a record or anchor was not kept.
    pub(crate) async fn perform(&mut self, effect: Effect) -> Result<(), String> {
        self.record_effect(&effect);
        match effect {
            Effect::Reply(id, mut reply) => {
                if let Reply::Status(view) = &mut reply {
                    self.add_notices(view);
                }
                // Who asks next already sees what this answer is about.
                self.publish();
                self.control.reply(id, reply);
            }
            Effect::SaveSettings(settings) => {
                let kept = self.keep_settings(&settings).await;
                // The domain goes by them already.
                self.use_settings(*settings);
                kept?;
            }
            Effect::ReadAudit(id, question) => {
                // Whoever asks is answered, also from a disk that takes nothing more.
                let written = self.write_audit().await;
                let context = Arc::clone(&self.context);
                self.steps.start_free(audit::answer(context, id, question));
                written?;
            }
            Effect::ShutDown => self.ended = Some(Ended::Asked),
            Effect::Watch(pace) => self.watch_machine(pace),
            Effect::SleepMayCome => self.sleep.ready(),
            Effect::Hold(wakefulness) => self.sleep.hold(wakefulness).await,
            Effect::Peering(effect) => self.perform_peering(effect).await?,
            Effect::Work(effect) => self.perform_work(effect).await?,
        }
        Ok(())
    }

    async fn perform_peering(&mut self, effect: peering::Effect) -> Result<(), String> {
        let links = self.context.links.clone();
        match effect {
            peering::Effect::Listen => {
                self.link = Link::Binding;
                let settings = self.context.settings();
                links.listen(&settings.listen_host, settings.listen_port);
            }
            peering::Effect::StopListening => {
                self.link = Link::Unbound;
                links.stop_listening();
            }
            peering::Effect::Advertise(advert) => self.advertise(advert).await,
            peering::Effect::Answer {
                link,
                answer,
                approval,
            } => {
                let is_kept = match approval {
                    Some((id, pin)) => self.is_kept(&id, pin).await,
                    None => true,
                };
                if is_kept {
                    links.answer(link, answer);
                } else {
                    links.close(link, None);
                }
            }
            peering::Effect::Dial {
                link,
                endpoint,
                skip,
                expect,
                purpose,
            } => {
                links.dial(link, endpoint, skip, expect, purpose);
            }
            peering::Effect::Close { link, terminate } => links.close(link, terminate),
            peering::Effect::SavePeer(peer) => {
                let row = records::peer_row(&peer).map_err(|e| e.to_string())?;
                let trusted = self.trust(Side::Offloader, peer.pin, peer.public_key).await;
                self.keep(vec![Change::Put(row)]).await?;
                trusted?;
            }
            peering::Effect::ForgetPeer(id, pin) => {
                // Without either of the two it is trusted no more, so neither waits for the other.
                let kept = self
                    .keep(vec![records::delete(records::PEER, id.as_str())])
                    .await;
                let distrusted = match pin {
                    Some(pin) => self.distrust(Side::Offloader, pin).await,
                    None => Ok(()),
                };
                kept.and(distrusted)?;
            }
            peering::Effect::SavePairing(pairing) => {
                let row = records::pairing_row(&pairing).map_err(|e| e.to_string())?;
                let trusted = self
                    .trust(Side::Receiver, pairing.pin, pairing.public_key)
                    .await;
                self.keep(vec![Change::Put(row)]).await?;
                trusted?;
            }
            peering::Effect::ForgetPairing(pin) => {
                let row = records::delete(records::PAIRING, &pin.to_string());
                let kept = self.keep(vec![row]).await;
                let distrusted = self.distrust(Side::Receiver, pin).await;
                kept.and(distrusted)?;
            }
            peering::Effect::RotateIdentity => self.rotate().await,
            peering::Effect::SessionUp(_) | peering::Effect::SessionDown { .. } => {
                let routes = self.domain.work().output_routes();
                self.context.outputs.route_all(routes);
            }
            peering::Effect::Record(_)
            | peering::Effect::PairingsChanged
            | peering::Effect::ViewChanged => {}
            peering::Effect::BootstrapLapsed => {
                let why = "nobody paired within the bootstrap window".to_owned();
                self.ended = Some(Ended::Unpaired(why));
            }
            peering::Effect::BootstrapFailed(why) => self.ended = Some(Ended::Unpaired(why)),
        }
        Ok(())
    }

    async fn perform_work(&mut self, effect: work::Effect) -> Result<(), String> {
        let context = Arc::clone(&self.context);
        match effect {
            work::Effect::SaveJob(stored) => {
                let route = self.domain.work().output_route(&stored.job.id);
                context.outputs.route(&stored.job, route);
                if stored.job.status.is_final() {
                    self.gauges.remove(&stored.job.id);
                    self.steps.forget(&stored.job.id);
                }
                let row = records::job_row(&stored).map_err(|e| e.to_string())?;
                self.keep(vec![Change::Put(row)]).await?;
            }
            work::Effect::ForgetJob(job) => {
                context.outputs.forget(&job);
                let kept = self
                    .keep(vec![records::delete(records::JOB, job.as_str())])
                    .await;
                let path = context.store.log_path(&job);
                self.steps
                    .start_free(async move { remove_file(&path).await });
                kept?;
            }
            work::Effect::SaveGiven(given) => {
                let row = records::given_row(&given).map_err(|e| e.to_string())?;
                self.keep(vec![Change::Put(row)]).await?;
            }
            work::Effect::ForgetGiven(job) => {
                self.keep(vec![records::delete(records::GIVEN, job.as_str())])
                    .await?;
            }
            work::Effect::SaveSighted(sighted) => {
                let row = sighted_rows::sighted_row(&sighted).map_err(|e| e.to_string())?;
                self.keep(vec![Change::Put(row)]).await?;
            }
            work::Effect::ForgetSighted(name) => {
                self.keep(vec![records::delete(sighted_rows::SIGHTED, &name)])
                    .await?;
            }
            work::Effect::Send(link, message) => context.links.send(link, message),
            work::Effect::Note(job, text) => context.outputs.note(&job, &text),
            work::Effect::JobChanged(job) => self.control.job_changed(&job),
            work::Effect::ViewChanged => {}
            work::Effect::ScanDevices => self.scan_devices(),
            work::Effect::ListPorts(id) => {
                self.steps.start_expendable(serial::list(context, id));
            }
            work::Effect::LookAtPort(id, path) => {
                self.steps.start_expendable(serial::look(context, id, path));
            }
            work::Effect::MakeBundle(job, configuration) => {
                let blob = new_blob("bundle")?;
                self.steps.start(&job.clone(), |stop| {
                    steps::bundle(context, job, configuration, blob, stop)
                });
            }
            work::Effect::Upload(link, header, blob) => {
                let bytes = header.total_bundle_bytes;
                tracing::info!(%link, bytes, "a bundle is sent");
                context.links.upload(link, *header, blob);
            }
            work::Effect::StopUpload(link, wire_job) => context.links.stop_upload(link, &wire_job),
            work::Effect::LookAtLink(link, wire_job) => {
                if let Some(heard) = context.links.last_heard(link) {
                    let looked = work::Event::LinkLooked(link, wire_job, heard);
                    self.domain.handle(Event::Work(looked), context.clock.now());
                }
            }
            work::Effect::Download(link, wire_job) => {
                let blob = new_blob("artifacts")?;
                tracing::info!(%link, "artifacts are fetched");
                context.links.download(link, wire_job, blob);
            }
            work::Effect::Materialise(job, configuration, blob) => {
                tracing::info!(%job, "artifacts are here");
                self.steps.start(&job.clone(), |stop| {
                    steps::materialise(context, job, configuration, blob, stop)
                });
            }
            // A flash whose start is not durable would be repeated after a crash.
            work::Effect::Flash(job, ..) if self.unsaved.holds(records::JOB, job.as_str()) => {
                let outcome = work::ProcessOutcome::Failed {
                    exit_code: None,
                    message: say::flash_not_begun(),
                };
                let ended = Event::Work(work::Event::ProcessEnded(job, outcome));
                self.domain.handle(ended, self.context.clock.now());
            }
            work::Effect::Flash(job, configuration, port) => {
                self.steps.start(&job.clone(), |stop| {
                    steps::flash(context, job, configuration, port, stop)
                });
            }
            work::Effect::Prepare {
                job,
                pin,
                wire,
                configuration,
                bundle,
            } => {
                context.links.submission_prepared(pin, &wire);
                self.steps.start(&job.clone(), |stop| {
                    steps::prepare(context, job, pin, configuration, bundle, stop)
                });
            }
            work::Effect::SubmissionSettled(pin, wire_job) => {
                context.links.submission_settled(pin, &wire_job);
            }
            work::Effect::ServeArtifacts(link, wire_job, tree) => {
                let packed = new_blob("packed")?;
                self.steps.start_free(steps::serve_artifacts(
                    context, link, wire_job, tree, packed,
                ));
            }
            work::Effect::Measure(extent) => {
                self.steps
                    .start_expendable(housekeeping::measure(context, extent));
            }
            work::Effect::Evict(stocks) => {
                // What is left of a deletion that was cut short goes at the next look.
                self.steps
                    .start_expendable(housekeeping::evict(context, stocks));
            }
            work::Effect::Provision(job, version) => {
                self.steps.start(&job.clone(), |stop| {
                    steps::provision(context, job, version, stop)
                });
            }
            work::Effect::FindNewestEnvironment(request) => {
                self.steps
                    .start_expendable(steps::find_newest_environment(context, request));
            }
            work::Effect::InstallEnvironment(version) => {
                context.environments.announce(&version);
                let now = context.environments.list();
                let changed = Event::Work(work::Event::EnvironmentsChanged(now));
                self.domain.handle(changed, self.context.clock.now());
                self.steps
                    .start_expendable(steps::install_environment(context, version));
            }
            work::Effect::Build {
                job,
                kind,
                tree,
                version,
                bootloader,
            } => {
                self.steps.start(&job.clone(), |stop| {
                    let build = steps::Build {
                        job,
                        kind,
                        tree,
                        version,
                        bootloader,
                    };
                    steps::build(context, build, stop)
                });
            }
            work::Effect::Drive(job, drive) => self.steps.drive(&job, drive),
            work::Effect::Stop(job, ending) => self.steps.stop(&job, ending),
            work::Effect::DropBlob(blob) => {
                if let Err(error) = context.store.drop_blob(&blob) {
                    tracing::warn!(%blob, %error, "a blob could not be deleted");
                }
            }
        }
        Ok(())
    }

    /// Keeps all settings.
    pub(crate) async fn keep_settings(&mut self, settings: &Settings) -> Result<(), String> {
        let rows = records::settings_rows(settings).map_err(|e| e.to_string())?;
        self.keep(rows.into_iter().map(Change::Put).collect()).await
    }

    /// Writes changes durably, and what the audit tells by then. What the store refuses is kept and
    /// tried again.
    pub(crate) async fn keep(&mut self, mut changes: Vec<Change>) -> Result<(), String> {
        changes.extend(self.audit.take());
        let mut all = self.unsaved.changes();
        all.extend(changes.iter().cloned());
        let store = Arc::clone(&self.context.store);
        match blocking(move || store.apply(&all)).await {
            Ok(()) => {
                self.unsaved.saved();
                Ok(())
            }
            Err(error) => {
                let again = self.context.clock.now().mono + RETRY;
                self.unsaved.keep(changes, again);
                Err(error.to_string())
            }
        }
    }

    pub(crate) async fn trust(
        &mut self,
        side: Side,
        pin: Pin,
        key: PublicKey,
    ) -> Result<(), String> {
        if self.anchored.contains_key(&(side, pin)) {
            return Ok(());
        }
        let key = Some(key);
        self.anchor(Anchor { side, pin, key }).await
    }

    pub(crate) async fn distrust(&mut self, side: Side, pin: Pin) -> Result<(), String> {
        self.anchored.remove(&(side, pin));
        let key = None;
        self.anchor(Anchor { side, pin, key }).await
    }

    /// Changes an entry of the keyring. What the keyring refuses is kept and tried again.
    async fn anchor(&mut self, anchor: Anchor) -> Result<(), String> {
        match anchors::make_so(self.secrets.as_ref(), anchor).await {
            Ok(()) => {
                self.anchor_is(anchor);
                Ok(())
            }
            Err(error) => {
                let again = self.context.clock.now().mono + RETRY;
                self.unsaved.keep_anchor(anchor, again);
                Err(error.to_string())
            }
        }
    }

    /// An entry of the keyring holds what it is to hold.
    pub(crate) fn anchor_is(&mut self, anchor: Anchor) {
        let Anchor { side, pin, key } = anchor;
        self.unsaved.settle_anchor(side, pin);
        match key {
            Some(key) => self.anchored.insert((side, pin), key),
            None => self.anchored.remove(&(side, pin)),
        };
    }

    /// Returns whether a restart would still know this approved offloader.
    async fn is_kept(&self, id: &DashboardId, pin: Pin) -> bool {
        if !self.anchored.contains_key(&(Side::Offloader, pin)) {
            return false;
        }
        if !self.unsaved.holds(records::PEER, id.as_str()) {
            return true;
        }
        // Perhaps only something new about it waits, and the approval is on the disk.
        let store = Arc::clone(&self.context.store);
        let rows = blocking(move || store.rows(records::PEER)).await;
        let rows = rows.unwrap_or_default();
        let mut peers = rows.iter().filter_map(|row| records::peer(row).ok());
        peers.any(|peer| peer.dashboard_id == *id && peer.pin == pin)
    }

    async fn advertise(&self, advert: peering::Advert) {
        let announcement = Announcement {
            host_label: kiln_model::host_label(&advert.dashboard_id),
            host: advert.host,
            port: advert.port,
            server_version: advert.server_version,
            esphome_version: advert.esphome_version,
            friendly_name: advert.friendly_name,
            receiver: advert.receiver,
        };
        self.discovery.announce(announcement).await;
    }

    async fn rotate(&mut self) {
        // An earlier change may have left open which key the keyring has.
        let was_open = self.unsaved.key().is_some();
        self.restoring.shutdown().await;
        let id = self.dashboard_id.clone();
        match identity::rotate(self.secrets.as_ref(), &self.context.store, id).await {
            Ok(identity) => {
                self.unsaved.settle_key();
                let (from, to) = (self.pin, identity.key.pin());
                self.record(vec![Fact::Rotated { from, to }]);
                self.become_identity(identity);
                self.remember_key().await;
            }
            Err(error) => {
                match self.context.links.identity() {
                    Some(key) if was_open || error.is_open() => {
                        self.unsaved.keep_key(key, self.context.clock.now().mono);
                    }
                    Some(_) | None => self.remember_key().await,
                }
                let failed = peering::Event::RotationFailed(error.sentence());
                self.domain
                    .handle(Event::Peering(failed), self.context.clock.now());
            }
        }
    }

    /// Writes which key is ours. A row that does not say it is valid too, so it may wait for the disk.
    pub(crate) async fn remember_key(&mut self) {
        let kept = match identity::row(&self.dashboard_id, Some(self.pin)) {
            Ok(row) => self.keep(vec![Change::Put(row)]).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = kept {
            tracing::warn!(%why, "the pin of our key could not be written; it is tried again");
        }
    }
}

/// Names a new blob at random, as those of the links are.
fn new_blob(kind: &str) -> Result<BlobId, String> {
    let number = getrandom::u64().map_err(|e| format!("no random numbers: {e}"))?;
    Ok(BlobId::new(kind, number))
}

pub(crate) async fn remove_file(path: &Path) {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a log could not be deleted");
        }
        Ok(()) | Err(_) => {}
    }
}
