//! Random histories of two hosts against a small model: who is approved, what was promised.
use std::collections::BTreeSet;
use std::time::Duration;

use kiln_model::{BuildChoice, ErrorCode, Job, JobId, Port, Reply, Request};
use kiln_testkit::Wire;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::sync::watch;

use crate::installing::LONG;
use crate::world::{Host, World};

/// One thing that a person or fate does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Pair,
    Revoke,
    Install,
    Cancel,
    /// Programs of this subcommand wait from now on.
    Hold(&'static str),
    Release,
    Reset,
    Silence,
    Heal,
    /// A host is stopped or killed and starts again.
    Restart {
        receiver: bool,
        politely: bool,
    },
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Pair),
        Just(Act::Revoke),
        Just(Act::Install),
        Just(Act::Install),
        Just(Act::Cancel),
        prop::sample::select(vec!["bundle", "compile", "upload"]).prop_map(Act::Hold),
        Just(Act::Release),
        Just(Act::Reset),
        Just(Act::Silence),
        Just(Act::Heal),
        (any::<bool>(), any::<bool>())
            .prop_map(|(receiver, politely)| Act::Restart { receiver, politely }),
        (1..150_u64).prop_map(Act::Wait),
    ]
}

/// What has to be true, kept beside the real hosts.
struct History {
    world: World,
    one: Host,
    two: Host,
    gates: Vec<watch::Sender<bool>>,
    approved: bool,
    promised: BTreeSet<JobId>,
    installs: usize,
}

impl History {
    async fn begin() -> Self {
        let world = World::new();
        let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
        Self {
            world,
            one,
            two,
            gates: Vec::new(),
            approved: false,
            promised: BTreeSet::new(),
            installs: 0,
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Pair if !self.approved => self.pair().await,
            Act::Revoke if self.approved => {
                let id = self.one.view().await.identity.dashboard_id;
                assert_eq!(self.two.ask(Request::RemovePeer(id)).await, Reply::Done);
                self.approved = false;
            }
            Act::Pair | Act::Revoke => {}
            Act::Install => self.install().await,
            Act::Cancel => {
                let jobs = self.one.jobs().await;
                if let Some(job) = jobs.iter().rfind(|job| !job.status.is_final()) {
                    self.one.ask(Request::Cancel(job.id.clone())).await;
                }
            }
            Act::Hold(verb) => {
                let host = if verb == "compile" {
                    &self.two
                } else {
                    &self.one
                };
                self.gates.push(host.esphome.hold(verb));
            }
            Act::Release => self.release(),
            Act::Reset => self.world.net.reset(self.one.ip, self.two.ip),
            Act::Silence => self.wire(Wire::Silent),
            Act::Heal => self.wire(Wire::Open),
            Act::Restart { receiver, politely } => {
                let host = if receiver {
                    &mut self.two
                } else {
                    &mut self.one
                };
                match politely {
                    true => host.stop().await,
                    false => host.kill().await,
                }
                host.start().await.unwrap();
            }
            Act::Wait(seconds) => self.world.run_for(Duration::from_secs(seconds)).await,
        }
        self.world.settle().await;
    }

    /// Only a flash that is under way keeps a newer installation from replacing what there is.
    async fn install(&mut self) {
        let flashing = self.one.jobs().await.iter().any(Job::is_flash);
        let install = Request::Install {
            device: "kitchen".to_owned(),
            build: BuildChoice::Auto,
            port: Port::Ota,
        };
        match self.one.ask(install).await {
            Reply::Jobs(jobs) => {
                // A newer installation replaces the records of an older one.
                self.promised = jobs.into_iter().map(|job| job.id).collect();
                self.installs += 1;
            }
            Reply::Refused(error) if error.code == ErrorCode::AlreadyExists => assert!(flashing),
            other => panic!("{other:?} are no jobs"),
        }
    }

    /// A word that gets lost on the way approves nobody.
    async fn pair(&mut self) {
        self.wire(Wire::Open);
        self.two.ask(Request::OpenWindow).await;
        if self.one.ask_to_pair(&self.two).await != Reply::PairingPending {
            return;
        }
        let id = self.one.view().await.identity.dashboard_id;
        self.approved = self.two.ask(Request::Approve(id, None)).await == Reply::Done;
    }

    fn release(&mut self) {
        for gate in self.gates.drain(..) {
            gate.send_replace(true);
        }
        for host in [&self.one, &self.two] {
            for verb in ["bundle", "compile", "upload"] {
                host.esphome.set(verb, None);
            }
        }
    }

    fn wire(&self, wire: Wire) {
        self.world.net.wire(self.one.ip, self.two.ip, wire);
    }

    /// Nobody works for a stranger, and what was promised is known.
    async fn check(&self) {
        let peers = self.two.view().await.peers;
        assert_eq!(peers.len(), usize::from(self.approved), "who is approved");
        let known: BTreeSet<JobId> = self.one.jobs().await.into_iter().map(|j| j.id).collect();
        let lost: Vec<_> = self.promised.difference(&known).collect();
        assert!(lost.is_empty(), "promised and lost: {lost:?}");
        assert!(
            self.one.esphome.flashed().len() <= self.installs,
            "flashed twice"
        );
    }

    /// Everything heals; then everything ends.
    async fn end(mut self) {
        self.release();
        self.wire(Wire::Open);
        self.world.net.reset(self.one.ip, self.two.ip);
        self.one.finish_jobs(LONG).await;
        self.two.finish_jobs(LONG).await;
        self.check().await;
        if self.approved {
            let connected = async || self.one.is_connected().await;
            self.world.run_until(LONG, connected).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_promised_job_ends_and_only_who_is_approved_is_served(
        acts in vec(act(), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut history = History::begin().await;
            for act in acts {
                history.act(act).await;
                history.check().await;
            }
            history.end().await;
        });
    }
}
