//! [`Listener`]: when the peer link listens, for whom, and when a failed bind is tried again
//! (peer-link.md §3.1).
use std::time::Duration;

use kiln_model::{Mono, Sentence};

/// First and longest wait after a failed bind (peer-link.md §3.1).
const FIRST_RETRY: Duration = Duration::from_secs(30);
const LAST_RETRY: Duration = Duration::from_secs(3600);

/// Whom a bound listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Every intent.
    Receiver,
    /// `connect_back` only: we are an offloader.
    ConnectBackOnly,
}

/// What is to be bound. Any change tears the listener down and binds anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) serves: Serves,
    pub(super) host: String,
    pub(super) port: u16,
}

/// What has to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Bind,
    Unbind,
}

#[derive(Debug)]
pub(super) struct Listener {
    state: State,
    retry: Duration,
    error: Sentence,
}

#[derive(Debug)]
enum State {
    Unbound,
    Binding(Wanted),
    Bound { wanted: Wanted, port: u16 },
    Closing,
    Failed { wanted: Wanted, until: Mono },
}

impl Listener {
    pub(super) fn new() -> Self {
        Self {
            state: State::Unbound,
            retry: FIRST_RETRY,
            error: Sentence::default(),
        }
    }

    /// Moves towards `wanted`; one step at a time, because binding and unbinding take time.
    pub(super) fn settle(&mut self, wanted: Option<Wanted>, now: Mono) -> Step {
        match (&self.state, wanted) {
            (State::Unbound, Some(wanted)) => self.bind(wanted),
            (State::Bound { wanted: have, .. }, wanted) if Some(have) != wanted.as_ref() => {
                self.state = State::Closing;
                Step::Unbind
            }
            (State::Failed { .. }, None) => {
                self.state = State::Unbound;
                Step::Nothing
            }
            (State::Failed { wanted: had, until }, Some(wanted)) => {
                if *had != wanted {
                    self.retry = FIRST_RETRY;
                } else if now < *until {
                    return Step::Nothing;
                }
                self.bind(wanted)
            }
            (State::Unbound, None)
            | (State::Binding(_) | State::Bound { .. } | State::Closing, _) => Step::Nothing,
        }
    }

    fn bind(&mut self, wanted: Wanted) -> Step {
        self.state = State::Binding(wanted);
        Step::Bind
    }

    pub(super) fn handle_listening(&mut self, port: u16) {
        if let State::Binding(wanted) = &self.state {
            let wanted = wanted.clone();
            self.state = State::Bound { wanted, port };
            self.retry = FIRST_RETRY;
            self.error = Sentence::default();
        }
    }

    pub(super) fn handle_failed(&mut self, error: Sentence, now: Mono) {
        if let State::Binding(wanted) = &self.state {
            let wanted = wanted.clone();
            self.fail(wanted, error, now);
        }
    }

    /// The listener is gone: as asked, or by itself because its addresses have changed. Then it is
    /// bound at once where it is now; if that fails, it is a failure like any other.
    pub(super) fn handle_closed(&mut self) {
        match &self.state {
            State::Closing | State::Bound { .. } => self.state = State::Unbound,
            State::Unbound | State::Binding(_) | State::Failed { .. } => {}
        }
    }

    fn fail(&mut self, wanted: Wanted, error: Sentence, now: Mono) {
        let until = now + self.retry;
        self.retry = (self.retry * 2).min(LAST_RETRY);
        self.error = error;
        self.state = State::Failed { wanted, until };
    }

    /// Returns whom it serves and on which port, while it is bound.
    pub(super) fn bound(&self) -> Option<(Serves, u16)> {
        match &self.state {
            State::Bound { wanted, port } => Some((wanted.serves, *port)),
            State::Unbound | State::Binding(_) | State::Closing | State::Failed { .. } => None,
        }
    }

    /// Returns on which host it is bound, while it is.
    pub(super) fn host(&self) -> Option<&str> {
        match &self.state {
            State::Bound { wanted, .. } => Some(&wanted.host),
            State::Unbound | State::Binding(_) | State::Closing | State::Failed { .. } => None,
        }
    }

    /// Returns the port that offloaders reach us on, while we receive.
    pub(super) fn receiving(&self) -> Option<u16> {
        match self.bound() {
            Some((Serves::Receiver, port)) => Some(port),
            Some((Serves::ConnectBackOnly, _)) | None => None,
        }
    }

    /// Returns whether nothing is bound and nothing is on its way to be.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Unbound | State::Failed { .. })
    }

    /// Returns whether it is not just being bound or unbound: its port, or that there is none, can
    /// be told to others.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self.state, State::Binding(_) | State::Closing)
    }

    /// Returns why nothing is bound, when that is not on purpose.
    pub(super) fn error(&self) -> Option<&Sentence> {
        match self.state {
            State::Failed { .. } => Some(&self.error),
            State::Unbound | State::Binding(_) | State::Bound { .. } | State::Closing => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Failed { until, .. } => Some(until),
            State::Unbound | State::Binding(_) | State::Bound { .. } | State::Closing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn wanted(serves: Serves) -> Option<Wanted> {
        Some(Wanted {
            serves,
            host: "0.0.0.0".to_owned(),
            port: 6055,
        })
    }

    #[test]
    fn a_change_of_role_tears_the_listener_down_before_it_is_bound_again() {
        let mut listener = Listener::new();
        let (receiver, offloader) = (wanted(Serves::Receiver), wanted(Serves::ConnectBackOnly));
        assert_eq!(listener.settle(receiver.clone(), at(0)), Step::Bind);
        assert_eq!(listener.settle(offloader.clone(), at(0)), Step::Nothing);
        listener.handle_listening(6055);
        assert_eq!(listener.receiving(), Some(6055));
        assert_eq!(listener.settle(offloader.clone(), at(1)), Step::Unbind);
        assert_eq!(listener.bound(), None);
        assert_eq!(listener.settle(offloader.clone(), at(1)), Step::Nothing);
        listener.handle_closed();
        assert_eq!(listener.settle(offloader, at(2)), Step::Bind);
        listener.handle_listening(6056);
        assert_eq!(listener.bound(), Some((Serves::ConnectBackOnly, 6056)));
        assert_eq!(listener.receiving(), None);
    }

    #[test]
    fn a_failed_bind_is_tried_again_after_30_seconds_doubling_to_an_hour() {
        let mut listener = Listener::new();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(listener.settle(wanted(Serves::Receiver), now), Step::Bind);
            listener.handle_failed("busy".into(), now);
            assert_eq!(listener.error(), Some(&"busy".into()));
            assert_eq!(
                listener.settle(wanted(Serves::Receiver), now),
                Step::Nothing
            );
            let next = listener.poll_timeout().unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn another_port_is_tried_at_once_and_success_resets_the_wait() {
        let mut listener = Listener::new();
        listener.settle(wanted(Serves::Receiver), at(0));
        listener.handle_failed("busy".into(), at(0));
        let other = Wanted {
            port: 7000,
            ..wanted(Serves::Receiver).unwrap()
        };
        assert_eq!(listener.settle(Some(other.clone()), at(1)), Step::Bind);
        listener.handle_listening(7000);
        assert_eq!(listener.error(), None);
    }

    #[test]
    fn a_listener_whose_addresses_change_is_bound_anew_at_once_and_a_failure_of_that_waits() {
        let mut listener = Listener::new();
        listener.settle(wanted(Serves::Receiver), at(0));
        listener.handle_listening(6055);
        listener.handle_closed();
        assert_eq!(listener.settle(wanted(Serves::Receiver), at(1)), Step::Bind);
        listener.handle_failed("no such address".into(), at(1));
        assert_eq!(listener.poll_timeout(), Some(at(31)));
        assert_eq!(listener.settle(None, at(3)), Step::Nothing);
        assert_eq!(listener.poll_timeout(), None);
    }
}
