//! [`Growth`]: what a build adds to the folders that it may write into.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kiln_domain::work::Drive;
use kiln_model::Mono;
use kiln_ports::Clock;
use tokio::task::JoinHandle;

use crate::held::Held;

/// Folders are read again after this many times as long as it took: at most a tenth of one thread
/// goes into it.
const REST: u32 = 10;

/// Counts and weighs folders, each on a thread of its own and at its own pace: a count takes a
/// fraction of the time, so it can come as often as a build can make many files.
pub(crate) struct Growth {
    counted: Measured,
    weighed: Measured,
}

impl Growth {
    /// Begins to read at once: what a build finds there is not its own. `most` is what it may add.
    pub(crate) fn new(folders: Vec<PathBuf>, most: Held, clock: &Arc<dyn Clock>) -> Self {
        let folders: Arc<[PathBuf]> = folders.into();
        let measured = |add| Measured::new(Arc::clone(&folders), add, most, Arc::clone(clock));
        Self {
            counted: measured(Held::counting),
            weighed: measured(Held::with),
        }
    }

    /// Returns by how much the folders grew since they were first read, as far as is known.
    pub(crate) fn measure(&mut self, drive: Drive) -> Held {
        let (counted, weighed) = (self.counted.measure(drive), self.weighed.measure(drive));
        Held {
            bytes: weighed.bytes,
            entries: counted.entries,
            hidden: counted.hidden.max(weighed.hidden),
        }
    }
}

/// Folders that are read in one way, again and again but not all the time.
struct Measured {
    folders: Arc<[PathBuf]>,
    /// How one folder is read.
    add: fn(Held, &Path) -> Held,
    most: Held,
    clock: Arc<dyn Clock>,
    under_way: Option<JoinHandle<Reading>>,
    rest_until: Mono,
    first: Option<Held>,
    last: Option<Reading>,
}

impl Measured {
    fn new(
        folders: Arc<[PathBuf]>,
        add: fn(Held, &Path) -> Held,
        most: Held,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut measured = Self {
            folders,
            add,
            most,
            clock,
            under_way: None,
            rest_until: Mono::default(),
            first: None,
            last: None,
        };
        measured.begin();
        measured
    }

    fn measure(&mut self, drive: Drive) -> Held {
        let now = self.clock.now().mono;
        if let Some(done) = self.under_way.take_if(|reading| reading.is_finished()) {
            // It is finished, so this does not wait; a reading that panicked is no reading.
            if let Some(Ok(reading)) = done.now_or_never() {
                let first = *self.first.get_or_insert(reading.held);
                let left = self.most.without(reading.held.without(first));
                self.rest_until = now + reading.rest(self.last.as_ref(), left);
                self.last = Some(reading);
            }
        }
        // What stands still writes nothing.
        if self.under_way.is_none() && self.rest_until <= now && drive != Drive::Stopped {
            self.begin();
        }
        let last = self.last.as_ref().map(|last| last.held);
        last.zip(self.first)
            .map(|(last, first)| last.without(first))
            .unwrap_or_default()
    }

    fn begin(&mut self) {
        let (folders, clock, add) = (Arc::clone(&self.folders), Arc::clone(&self.clock), self.add);
        let read = move || {
            let began = clock.now().mono;
            let held = folders.iter().fold(Held::default(), |sum, f| add(sum, f));
            Reading {
                held,
                began,
                took: clock.now().mono.since(began),
            }
        };
        self.under_way = Some(tokio::task::spawn_blocking(read));
    }
}

/// Folders as they were read once.
struct Reading {
    held: Held,
    began: Mono,
    took: Duration,
}

impl Reading {
    /// Returns for how long the folders are left alone now: not for long if they would have grown by
    /// all that is left to them by then, going on as they did since the reading before.
    fn rest(&self, before: Option<&Self>, left: Held) -> Duration {
        let long = self.took * REST;
        let Some(before) = before else {
            // How fast they grow is not known yet.
            return self.took;
        };
        let (grown, between) = (
            self.held.without(before.held),
            self.began.since(before.began),
        );
        let passes = |grown: u64, left: u64| {
            u128::from(grown) * long.as_nanos() > u128::from(left) * between.as_nanos()
        };
        if passes(grown.bytes, left.bytes) || passes(grown.entries, left.entries) {
            self.took
        } else {
            long
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kiln_testkit::SimClock;

    use super::*;

    const MOST: Held = Held {
        bytes: 1_000,
        entries: 100,
        hidden: 0,
    };

    #[tokio::test]
    async fn what_a_build_finds_is_not_its_own_and_what_it_adds_is_counted_and_weighed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("found"), "12345").unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
        let mut growth = Growth::new(vec![dir.path().to_owned()], MOST, &clock);
        while growth.counted.first.is_none() || growth.weighed.first.is_none() {
            assert_eq!(growth.measure(Drive::Full), Held::default());
            tokio::task::yield_now().await;
        }
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("folder/made"), "123").unwrap();
        let added = Held {
            bytes: 3,
            entries: 2,
            hidden: 0,
        };
        while growth.measure(Drive::Full) != added {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn folders_are_read_again_soon_when_they_would_be_past_a_limit_after_a_long_rest() {
        let read = |second: u64, bytes, entries| Reading {
            held: Held {
                bytes,
                entries,
                hidden: 0,
            },
            began: Mono(Duration::from_secs(second)),
            took: Duration::from_secs(1),
        };
        let (soon, late) = (Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(read(0, 0, 0).rest(None, MOST), soon);
        let before = read(0, 500, 50);
        // In two seconds and in the ten of a long rest: a fifth of what they may grow, all of it, more.
        for (bytes, entries, rest) in [
            (500, 50, late),
            (540, 54, late),
            (700, 50, late),
            (701, 50, soon),
            (500, 70, late),
            (500, 71, soon),
            (0, 0, late),
        ] {
            let now = read(2, bytes, entries);
            assert_eq!(now.rest(Some(&before), MOST), rest, "{bytes}, {entries}");
        }
        // It grew by one in twenty, and has a single one left.
        let now = read(2, 500, 52);
        let left = Held { entries: 1, ..MOST };
        assert_eq!(now.rest(Some(&before), left), soon);
    }
}
