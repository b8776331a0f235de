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
