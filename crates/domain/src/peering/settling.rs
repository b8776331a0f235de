//! How [`Peering`] moves the world one step towards what it should be, after every event.
use std::collections::BTreeSet;

use kiln_model::{CloseReason, Now, TerminateReason};

use super::admission::Hearing;
use super::bootstrap::Lapse;
use super::endpoint::{Probe, Slot, WantedBy};
use super::hosts::Own;
use super::listener::{Serves, Step, Wanted};
use super::pairings::{Dialler, Sessions};
use super::pending::Waiter;
use super::{Advert, Effect, Life, Peering, Presence, Receiving, Stored};

impl Peering {
    /// Drops what is over; nothing is decided on grounds that have lapsed.
    pub(super) fn expire(&mut self, now: Now) {
        self.window.handle_timeout(now.mono);
        match self.bootstrap.handle_timeout(now.mono) {
            Lapse::Lapsed => self.out.push(Effect::BootstrapLapsed),
            Lapse::No => {}
        }
        self.pairings.handle_timeout(now.mono, &mut self.out);
        self.settle_window();
    }

    pub(super) fn settle(&mut self, now: Now) {
        if self.stored == Stored::Loaded && !self.peers.is_empty() {
            self.bootstrap.disarm();
        }
        self.settle_window();
        self.settle_listener(now);
        self.settle_dials(now);
        self.settle_advert();
        self.settle_view();
    }

    /// Forgets those who ask when the window closes, and answers whoever waits for what is decided.
    pub(super) fn settle_window(&mut self) {
        if !self.may_receive() {
            self.window.clear();
        }
        self.hearing = match self.window_until() {
            Some(_) => Hearing::Open,
            None => Hearing::Closed,
        };
        if self.hearing == Hearing::Closed {
            self.pending.clear();
        }
        for (link, waiter) in self.pending.take_woken() {
            let Waiter { dashboard_id, pin } = waiter;
            match self.doorman(|doorman| doorman.pair_status(&dashboard_id, pin)) {
                Some(said) => self.say(link, pin, said),
                None => self.out.close(link, None),
            }
        }
    }

    /// Returns whether the owner lets this computer receive; a headless one does in any case, but
    /// nobody receives without the box that is required.
    pub(super) fn may_receive(&self) -> bool {
        (self.settings.receiver || self.is_headless()) && self.receiving == Receiving::Possible
    }

    /// Returns what is to be served (peer-link.md §3.1). A receiver that is away serves nobody, except
    /// while its owner waits for somebody to pair with; and without offloaders nobody notices it.
    pub(super) fn serves_as(&self) -> Option<Serves> {
        let waits = self.window_until().is_some() || self.peers.is_empty();
        if self.may_receive() && (self.presence == Presence::Here || waits) {
            Some(Serves::Receiver)
        } else if self.pairings.any_approved() {
            Some(Serves::ConnectBackOnly)
        } else {
            None
        }
    }

    pub(super) fn settle_listener(&mut self, now: Now) {
        let ready = self.identity.is_some() && self.stored == Stored::Loaded;
        let serves = self
            .serves_as()
            .filter(|_| ready && self.life == Life::Running);
        let wanted = serves.map(|serves| Wanted {
            serves,
            host: self.settings.listen_host.clone(),
            port: self.settings.listen_port,
        });
        match self.listener.settle(wanted, now.mono) {
            // Those that may stay longer go as soon as they may.
            Step::Nothing if serves != Some(Serves::Receiver) => self.end_sessions(now),
            Step::Nothing => {}
            Step::Bind => self.out.push(Effect::Listen),
            Step::Unbind => {
                self.empty_the_house(now);
                self.out.push(Effect::StopListening);
            }
        }
        if let Life::Clearing(id) = self.life
            && self.listener.is_down()
        {
            self.life = Life::Rotating(id);
            self.out.push(Effect::RotateIdentity);
        }
    }

    /// Ends the sessions of offloaders; one that is away lets those live that would lose something.
    fn end_sessions(&mut self, now: Now) {
        let nobody = BTreeSet::new();
        let stay = match (&self.presence, &self.life) {
            (Presence::Away(stay), Life::Running) => stay,
            (Presence::Away(_) | Presence::Here, _) => &nobody,
        };
        let reason = TerminateReason::ServerShuttingDown;
        for (id, pin, link) in self.peers.take_sessions(stay) {
            let why = CloseReason::WeTerminated(reason);
            self.out.push(Effect::SessionDown { link, pin, why });
            self.out.close(link, Some(reason));
            self.connect_back.session_closed(id, now.mono);
        }
    }

    /// Ends what came in through the listener, before it goes.
    fn empty_the_house(&mut self, now: Now) {
        self.end_sessions(now);
        let mut waiting = self.pending.take_waiters();
        waiting.extend(self.probes.take_waiters());
        for link in waiting {
            self.out.close(link, None);
        }
        self.connect_back.abort(&mut self.out);
    }

    pub(super) fn settle_dials(&mut self, now: Now) {
        let Some(identity) = self.identity.clone().filter(|_| self.life == Life::Running) else {
            return;
        };
        let sessions = if self.listener.is_settled() {
            Sessions::Dial
        } else {
            Sessions::Hold
        };
        let dialler = Dialler {
            who: self.introduction(&identity),
            connect_back_port: self.listener.bound().map(|(_, port)| port),
            sessions,
        };
        self.pairings.settle(&dialler, now.mono, &mut self.out);
        self.settle_lost(now);
        let port = self.listener.receiving();
        self.connect_back
            .settle(&self.peers, port, now.mono, &mut self.out);
    }

    /// Asks a receiver that does not answer where it is stored whether it is where it was seen
    /// (peer-link.md §2.7). The stored place is always tried first, and a session that lives is not
    /// torn down for a better address.
    fn settle_lost(&mut self, now: Now) {
        for pin in self.pairings.lost() {
            let wanted_by = WantedBy::Discovery;
            let (Some(pairing), Some(revision)) =
                (self.pairings.get(pin), self.pairings.revision(pin))
            else {
                continue;
            };
            let places = self.hosts.elsewhere(pairing);
            if places.is_empty() || self.probes.claim(pin, now.mono, wanted_by) == Slot::Taken {
                continue;
            }
            // By chance: whoever claims the pin at many places does not hide the true one for long.
            if let Some(endpoint) = self.out.pick(places) {
                let probe = Probe {
                    pin,
                    endpoint,
                    revision,
                    wanted_by,
                };
                self.probes.start(probe, &mut self.out);
            }
        }
    }

    /// SRV port. Kiln has no HTTP port: its peer-link port, or 0 when not listening.
    pub(super) fn own_port(&self) -> u16 {
        self.listener.bound().map_or(0, |(_, port)| port)
    }

    pub(super) fn settle_advert(&mut self) {
        let Some(identity) = &self.identity else {
            return;
        };
        let port = self.own_port();
        let version = self.facts.esphome_version.as_ref();
        let receiver = self.listener.receiving();
        let advert = Advert {
            dashboard_id: identity.dashboard_id.clone(),
            host: self.listener.host().map(str::to_owned),
            port,
            server_version: self.version.clone(),
            esphome_version: version.map_or_else(String::new, ToString::to_string),
            friendly_name: self.own_name(),
            receiver: receiver.map(|port| (identity.pin, port)),
        };
        let own = Own::new(&identity.dashboard_id, identity.pin, port);
        self.hosts.settle(&own);
        if self.announced.as_ref() != Some(&advert) {
            self.announced = Some(advert.clone());
            self.out.push(Effect::Advertise(advert));
        }
    }

    pub(super) fn settle_view(&mut self) {
        let view = self.view();
        if view != self.shown {
            self.shown = view;
            self.out.push(Effect::ViewChanged);
        }
    }
}
