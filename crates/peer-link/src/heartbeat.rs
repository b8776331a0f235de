//! [`Heartbeat`]: when to ping, and when the other side is dead (peer-link.md §5.4).
use kiln_model::Mono;

use crate::limits::{HEARTBEAT, SILENCE};

/// The ticks of one side of a session.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    last_inbound: Mono,
    next_tick: Mono,
    pings: u64,
}

/// What a tick says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Not yet; wait for [`Heartbeat::poll_timeout`].
    Wait,
    /// Send a ping with this number.
    Ping(u64),
    /// Silent for more than 90 s. A receiver terminates with `heartbeat_timeout`, an offloader
    /// closes without a frame.
    Dead,
}

impl Heartbeat {
    /// Starts with the session.
    pub fn new(now: Mono) -> Self {
        Self {
            last_inbound: now,
            next_tick: now + HEARTBEAT,
            pings: 0,
        }
    }

    /// Notes a frame that decrypted and parsed, whatever it said.
    pub fn heard(&mut self, now: Mono) {
        self.last_inbound = now;
    }

    /// Returns when [`Heartbeat::handle_timeout`] is due: every 30 s.
    pub fn poll_timeout(&self) -> Mono {
        self.next_tick
    }

    /// Ticks, if it is time. After a long suspend one tick catches up for all that were missed.
    pub fn handle_timeout(&mut self, now: Mono) -> Beat {
        if now < self.next_tick {
            return Beat::Wait;
        }
        if now.since(self.last_inbound) > SILENCE {
            return Beat::Dead;
        }
        self.next_tick = now + HEARTBEAT;
        self.pings += 1;
        Beat::Ping(self.pings)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    // Covers: B-18
    #[test]
    fn a_ping_goes_out_every_thirty_seconds_and_counts_from_one() {
        let mut heartbeat = Heartbeat::new(at(0));
        for n in 1..20 {
            heartbeat.heard(at(30 * n));
            assert_eq!(heartbeat.poll_timeout(), at(30 * n));
            assert_eq!(heartbeat.handle_timeout(at(30 * n - 1)), Beat::Wait);
            assert_eq!(heartbeat.handle_timeout(at(30 * n)), Beat::Ping(n));
        }
    }

    // Covers: B-19
    #[test]
    fn a_silent_peer_dies_at_the_first_tick_after_ninety_seconds() {
        let mut heartbeat = Heartbeat::new(at(0));
        let beats: Vec<Beat> = [30, 60, 90, 120]
            .map(|s| heartbeat.handle_timeout(at(s)))
            .into();
        let expected = [Beat::Ping(1), Beat::Ping(2), Beat::Ping(3), Beat::Dead];
        assert_eq!(beats, expected);
    }

    // Covers: B-20
    #[test]
    fn any_frame_keeps_the_session_alive() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.heard(at(31));
        for s in [30, 60, 90, 120] {
            assert!(matches!(heartbeat.handle_timeout(at(s)), Beat::Ping(_)));
        }
        assert_eq!(heartbeat.handle_timeout(at(150)), Beat::Dead);
    }
}
