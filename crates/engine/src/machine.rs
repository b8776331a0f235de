//! Reading the machine: how often, and what is passed on to the domain; and its sleep.
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::{Event, Sleep, Watching};
use kiln_model::{Inputs, Mono};
use kiln_ports::activity::{Depth, Reading};
use kiln_ports::sleep::Turn;

use crate::context::Context;
use crate::node::Node;

/// Time between two looks at everything: nothing is woken more often for it than that.
const SLOW: Duration = Duration::from_secs(10);

/// Time between two looks at the owner and the room in memory and on the disk while a build of others
/// runs: it gives way within a second, and fills neither.
const FAST: Duration = Duration::from_millis(400);

impl Node {
    /// Reads the machine more or less often from now on.
    pub(crate) fn watch_machine(&mut self, watching: Watching) {
        self.watching.abort_all();
        let every = match watching {
            Watching::Never => return,
            Watching::Slow => SLOW,
            Watching::Fast => FAST,
        };
        self.watching.spawn(watch(Arc::clone(&self.context), every));
    }

    /// Listens to the system's sleep.
    pub(crate) fn watch_sleep(&mut self) {
        let (context, sleep) = (Arc::clone(&self.context), Arc::clone(&self.sleep));
        self.own_tasks.spawn(async move {
            loop {
                let turn = sleep.next().await;
                let now = context.clock.now().mono;
                // What was true before the sleep says nothing any more, also when it is over.
                let turns: &[Sleep] = match turn {
                    Turn::GoesToSleep => &[Sleep::Asleep { since: now }],
                    Turn::WokeUp => &[Sleep::Awake],
                    Turn::Slept(long) => {
                        let since = Mono(now.0.saturating_sub(long));
                        &[Sleep::Asleep { since }, Sleep::Awake]
                    }
                };
                for turn in turns {
                    context.tell(Event::Slept(*turn)).await;
                }
            }
        });
    }
}

async fn watch(context: Arc<Context>, every: Duration) {
    let activity = Arc::clone(&context.activity);
    let mut told: Option<Inputs> = None;
    loop {
        let full_until = context.clock.now().mono + SLOW;
        let all = activity.read(&reading(&context, Depth::All)).await;
        pass_on(&context, &mut told, all.clone()).await;
        loop {
            let next = context.clock.now().mono + every;
            context.clock.sleep_until(next.min(full_until)).await;
            if full_until <= context.clock.now().mono {
                break;
            }
            let owner = activity.read(&reading(&context, Depth::Owner)).await;
            let inputs = Inputs {
                idle: owner.idle,
                remote: owner.remote,
                free_memory: owner.free_memory.or(all.free_memory),
                free_disk: owner.free_disk,
                ..all.clone()
            };
            pass_on(&context, &mut told, inputs).await;
        }
    }
}

/// The domain is not woken by a reading that says nothing new.
async fn pass_on(context: &Context, told: &mut Option<Inputs>, inputs: Inputs) {
    if told.as_ref() != Some(&inputs) {
        *told = Some(inputs.clone());
        context.tell(Event::Sensed(Box::new(inputs))).await;
    }
}

pub(crate) fn reading(context: &Context, depth: Depth) -> Reading {
    Reading {
        depth,
        folders: vec![context.site.received.clone(), context.site.state.clone()],
        apps: kiln_domain::exclusive_apps(&context.settings()),
    }
}
