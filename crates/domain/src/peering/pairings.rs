//! [`Pairings`]: receivers that we may use or asked to, what runs for each, and what the owner has to
//! know (peer-link.md §4.3, §4.4, §5.2).
use std::collections::BTreeMap;

use indexmap::IndexMap;
use kiln_model::{
    Alert, AlertKind, CloseReason, Endpoint, Label, LinkId, LinkState, Mono, Now, Pairing,
    PairingStatus, PairingStep, PeerFacts, Pin, ResponseKind, Side, TerminateReason,
};

use super::approval::{Approval, Decision};
use super::asking::{Granted, Introduction};
use super::client::{Client, Line, Turn};
use super::out::Out;
use super::{DialAnswer, DialFailure, Effect, Purpose};
use crate::{Role, Session};

/// Rows in pairing order, what is being torn down, and alerts that stay until solved.
#[derive(Debug, Default)]
pub(super) struct Pairings {
    rows: IndexMap<Pin, Row>,
    closing: BTreeMap<LinkId, Closing>,
    alerts: IndexMap<Pin, Alert>,
}

#[derive(Debug)]
struct Row {
    pairing: Pairing,
    /// Grows when the record is replaced or moved; a probe about an older one is void.
    revision: u64,
    runs: Runs,
}

/// A connection that was given up and is not gone yet.
#[derive(Debug)]
struct Closing {
    pin: Pin,
    ends: Ends,
}

/// How the last word about a connection is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// A one-shot: with its answer.
    WithAnswer,
    /// A session may have opened meanwhile: its `ok` is not the end.
    WithClose,
}

#[derive(Debug)]
enum Runs {
    Approval(Approval),
    Client(Client),
}

/// Whether there is such a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
}

/// How a pin can be reached through us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    NotApproved,
    NotConnected,
    Connected,
}

/// What dials have to say about us.
pub(super) struct Dialler {
    pub(super) who: Introduction,
    /// Port of our own listener; `None`: none is bound.
    pub(super) connect_back_port: Option<u16>,
    /// Sessions wait until the listener is settled, so that the port told is true.
    pub(super) sessions: Sessions,
}

/// Whether sessions may be dialled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sessions {
    Dial,
    Hold,
}

impl Pairings {
    /// Takes over stored rows. Only approved ones are ever kept.
    pub(super) fn load(&mut self, stored: Vec<Pairing>) {
        for pairing in stored {
            match pairing.status {
                PairingStatus::Approved => {
                    self.rows.insert(pairing.pin, Row::approved(pairing, 0));
                }
                PairingStatus::Pending => {}
            }
        }
    }

    pub(super) fn get(&self, pin: Pin) -> Option<&Pairing> {
        self.rows.get(&pin).map(|row| &row.pairing)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Pairing, LinkState)> {
        self.rows.values().map(|row| (&row.pairing, row.link()))
    }

    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    pub(super) fn any_approved(&self) -> bool {
        let approved = |row: &Row| row.pairing.status == PairingStatus::Approved;
        self.rows.values().any(approved)
    }

    pub(super) fn reach(&self, pin: Pin) -> Reach {
        match self.rows.get(&pin) {
            Some(row) if row.pairing.status == PairingStatus::Approved => match &row.runs {
                Runs::Client(client) => match client.line() {
                    Line::Session(_) => Reach::Connected,
                    Line::Dial(_) | Line::Nothing => Reach::NotConnected,
                },
                Runs::Approval(_) => Reach::NotConnected,
            },
            Some(_) | None => Reach::NotApproved,
        }
    }

    /// Returns receivers that do not answer as they should where they are stored.
    pub(super) fn lost(&self) -> Vec<Pin> {
        let lost = |row: &&Row| match &row.runs {
            Runs::Client(client) => client.is_lost(),
            Runs::Approval(_) => false,
        };
        let rows = self.rows.values().filter(lost);
        rows.map(|row| row.pairing.pin).collect()
    }

    pub(super) fn revision(&self, pin: Pin) -> Option<u64> {
        self.rows.get(&pin).map(|row| row.revision)
    }

    /// Stores what a pair request was granted. A record of the same pin is replaced but keeps what the
    /// owner and the receiver said before; records of other pins at the same place go.
    pub(super) fn store(&mut self, granted: Granted, now: Now, out: &mut Out) {
        let Granted { wish, .. } = &granted;
        let elsewhere = |pin: Pin| pin != wish.pin.pin();
        let replaced: Vec<Pin> = self
            .rows
            .values()
            .filter(|row| row.pairing.endpoint.same_place(&wish.endpoint))
            .map(|row| row.pairing.pin)
            .filter(|pin| elsewhere(*pin))
            .collect();
        for pin in replaced {
            self.remove(pin, out);
        }
        self.alerts
            .retain(|pin, alert| elsewhere(*pin) && !alert.endpoint.same_place(&wish.endpoint));

        let previous = self
            .rows
            .get(&wish.pin.pin())
            .map(|row| row.pairing.clone());
        let revision = self
            .revision(wish.pin.pin())
            .map_or(0, |revision| revision + 1);
        self.tear_down(wish.pin.pin(), TerminateReason::ClientStopped, out);
        let pairing = make(granted, previous.as_ref(), now);
        match (pairing.status, previous.map(|p| p.status)) {
            (PairingStatus::Approved, _) => {
                out.push(Effect::SavePairing(pairing.clone()));
                self.rows
                    .insert(pairing.pin, Row::approved(pairing, revision));
            }
            (PairingStatus::Pending, was) => {
                // A pending pairing is never on disk, not even as what it was before.
                if was == Some(PairingStatus::Approved) {
                    out.push(Effect::ForgetPairing(pairing.pin));
                }
                let who = (pairing.pin, &pairing.label);
                out.record(PairingStep::Asked, Side::Receiver, who, None);
                let runs = Runs::Approval(Approval::Ready);
                let row = Row {
                    pairing,
                    revision,
                    runs,
                };
                self.rows.insert(row.pairing.pin, row);
            }
        }
        out.push(Effect::PairingsChanged);
    }

    /// Forgets a receiver, its alert included, and ends what runs for it.
    pub(super) fn unpair(&mut self, pin: Pin, out: &mut Out) {
        self.alerts.shift_remove(&pin);
        self.remove(pin, out);
    }

    fn remove(&mut self, pin: Pin, out: &mut Out) {
        self.tear_down(pin, TerminateReason::ClientStopped, out);
        if let Some(row) = self.rows.shift_remove(&pin) {
            match row.pairing.status {
                PairingStatus::Approved => out.push(Effect::ForgetPairing(pin)),
                PairingStatus::Pending => {}
            }
            out.push(Effect::PairingsChanged);
        }
    }

    /// Lets the scheduler use a receiver or not. Returns whether there is such a receiver. One that
    /// was left to another computer with our key is dialled again when it is switched on.
    pub(super) fn set_enabled(&mut self, pin: Pin, enabled: bool, out: &mut Out) -> Known {
        let Some(row) = self.rows.get_mut(&pin) else {
            return Known::No;
        };
        row.change(out, |pairing| pairing.enabled = enabled);
        let alert = self.alerts.get(&pin).map(|alert| alert.kind);
        if enabled && alert == Some(AlertKind::Superseded) {
            self.alerts.shift_remove(&pin);
            row.revision += 1;
            row.runs = Runs::Client(Client::new());
        }
        Known::Yes
    }

    /// Stores another endpoint, found good by a probe, and starts a fresh client there when nothing is
    /// left of the old one.
    pub(super) fn move_to(&mut self, pin: Pin, endpoint: Endpoint, out: &mut Out) {
        self.tear_down(pin, TerminateReason::ClientStopped, out);
        if let Some(row) = self.rows.get_mut(&pin) {
            row.revision += 1;
            row.runs = Runs::Client(Client::new());
            row.change(out, |pairing| pairing.endpoint = endpoint);
        }
    }

    /// Ends everything that runs and starts it afresh, orphans included; dialled again when the old is
    /// gone and dialling is allowed.
    pub(super) fn restart_all(&mut self, out: &mut Out) {
        let pins: Vec<Pin> = self.rows.keys().copied().collect();
        for pin in pins {
            self.tear_down(pin, TerminateReason::ClientStopped, out);
            if let Some(row) = self.rows.get_mut(&pin) {
                row.runs = match row.pairing.status {
                    PairingStatus::Approved => Runs::Client(Client::new()),
                    PairingStatus::Pending => Runs::Approval(Approval::Ready),
                };
            }
        }
    }

    /// Closes what a row has open and remembers it until it is gone.
    fn tear_down(&mut self, pin: Pin, reason: TerminateReason, out: &mut Out) {
        let Some(row) = self.rows.get_mut(&pin) else {
            return;
        };
        let (line, ends) = match &row.runs {
            Runs::Approval(approval) => {
                let line = approval.link().map_or(Line::Nothing, Line::Dial);
                (line, Ends::WithAnswer)
            }
            Runs::Client(client) => (client.line(), Ends::WithClose),
        };
        let link = match line {
            Line::Nothing => return,
            Line::Dial(link) => {
                out.close(link, None);
                link
            }
            Line::Session(link) => {
                let why = CloseReason::WeTerminated(reason);
                out.push(Effect::SessionDown { link, pin, why });
                out.close(link, Some(reason));
                link
            }
        };
        self.closing.insert(link, Closing { pin, ends });
    }

    /// Dials whatever is ready to and has no predecessor that is still being torn down
    /// (peer-link.md §5.3).
    pub(super) fn settle(&mut self, dialler: &Dialler, now: Mono, out: &mut Out) {
        for (pin, row) in &mut self.rows {
            if self.closing.values().any(|closing| closing.pin == *pin) {
                continue;
            }
            let dashboard_id = dialler.who.dashboard_id.clone();
            let endpoint = row.pairing.endpoint.clone();
            match &mut row.runs {
                Runs::Approval(approval) if approval.wants_to_dial() => {
                    let purpose = Purpose::PairStatus { dashboard_id };
                    let link = out.dial(endpoint, Vec::new(), Some(*pin), purpose);
                    approval.asking(link, now);
                }
                Runs::Client(client)
                    if client.wants_to_dial() && dialler.sessions == Sessions::Dial =>
                {
                    let purpose = Purpose::PeerLink {
                        dashboard_id,
                        friendly_name: dialler.who.friendly_name.clone(),
                        connect_back_port: dialler.connect_back_port,
                    };
                    let skip = client.skip().to_vec();
                    client.dialling(out.dial(endpoint, skip, Some(*pin), purpose));
                }
                Runs::Approval(_) | Runs::Client(_) => {}
            }
        }
    }

    /// Takes an answer to, or the failure of, a dial of this part, if it is one.
    pub(super) fn handle_dialled(
        &mut self,
        link: LinkId,
        outcome: Result<DialAnswer, DialFailure>,
        own: Pin,
        now: Now,
        out: &mut Out,
    ) {
        if let Some(closing) = self.closing.get(&link) {
            if closing.ends == Ends::WithAnswer || !opens_session(&outcome) {
                self.closing.remove(&link);
            }
            return;
        }
        let Some((pin, row)) = self.rows.iter_mut().find(|(_, row)| row.holds(link)) else {
            return;
        };
        let pin = *pin;
        match &mut row.runs {
            Runs::Approval(approval) => {
                let decision = approval.handle_dialled(outcome, pin, now.mono);
                self.decided(pin, decision, now, out);
            }
            Runs::Client(client) => {
                let open = opens_session(&outcome);
                let turn = client.handle_dialled(link, outcome, (own, pin), now.mono, out);
                let refused = open && !matches!(turn, Turn::Opened(_));
                self.turned(pin, link, turn, now, out);
                if refused {
                    out.close(link, None);
                    let ends = Ends::WithClose;
                    self.closing.insert(link, Closing { pin, ends });
                }
            }
        }
    }

    fn decided(&mut self, pin: Pin, decision: Decision, now: Now, out: &mut Out) {
        match decision {
            Decision::NotYet => {}
            Decision::Approved(facts) => {
                if let Some(row) = self.rows.get_mut(&pin) {
                    row.runs = Runs::Client(Client::new());
                    row.change(out, |pairing| {
                        pairing.status = PairingStatus::Approved;
                        refresh(pairing, facts);
                    });
                }
            }
            Decision::Dropped(kind, observed) => {
                self.alert(pin, kind, observed, now, out);
                self.rows.shift_remove(&pin);
                out.push(Effect::PairingsChanged);
            }
        }
    }

    fn turned(&mut self, pin: Pin, link: LinkId, turn: Turn, now: Now, out: &mut Out) {
        match turn {
            Turn::Again => {}
            Turn::Orphaned(kind, observed) => self.alert(pin, kind, observed, now, out),
            Turn::Opened(facts) => {
                // The pinned key let us in: whatever was wrong is solved.
                self.alerts.shift_remove(&pin);
                if let Some(row) = self.rows.get_mut(&pin) {
                    row.change(out, |pairing| refresh(pairing, facts));
                }
                let role = Role::Offloader;
                out.push(Effect::SessionUp(Session { link, pin, role }));
            }
        }
    }

    fn alert(&mut self, pin: Pin, kind: AlertKind, observed: Option<Pin>, now: Now, out: &mut Out) {
        if let Some(row) = self.rows.get(&pin) {
            let step = match kind {
                AlertKind::PinMismatch => PairingStep::KeyChanged,
                AlertKind::PeerRevoked => PairingStep::Revoked,
                AlertKind::Superseded => PairingStep::Superseded,
            };
            let known = self.alerts.get(&pin);
            if known.map(|alert| (alert.kind, alert.observed)) != Some((kind, observed)) {
                let who = (pin, &row.pairing.label);
                out.record(step, Side::Receiver, who, observed);
            }
            let alert = Alert {
                pin,
                label: row.pairing.label.clone(),
                endpoint: row.pairing.endpoint.clone(),
                kind,
                observed,
                since: now.wall,
            };
            self.alerts.insert(pin, alert);
        }
    }

    /// Takes the end of a session or of a dial of this part, if it is one.
    pub(super) fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &CloseReason,
        now: Now,
        out: &mut Out,
    ) {
        if self.closing.remove(&link).is_some() {
            return;
        }
        let Some((pin, row)) = self.rows.iter_mut().find(|(_, row)| row.holds(link)) else {
            return;
        };
        let pin = *pin;
        match &mut row.runs {
            Runs::Approval(approval) => {
                let outcome = Err(DialFailure::from(reason.clone()));
                let decision = approval.handle_dialled(outcome, pin, now.mono);
                self.decided(pin, decision, now, out);
            }
            Runs::Client(client) => {
                if client.line() == Line::Session(link) {
                    let why = reason.clone();
                    out.push(Effect::SessionDown { link, pin, why });
                }
                let turn = client.handle_closed(link, reason, now.mono, out);
                self.turned(pin, link, turn, now, out);
            }
        }
    }

    /// Ends the waits of clients whose receiver was seen: its host name (lower case, one trailing dot)
    /// has an address again (peer-link.md §2.8).
    pub(super) fn wake(&mut self, host: &str) {
        for row in self.rows.values_mut() {
            let endpoint = &row.pairing.endpoint;
            let named = endpoint.ip().is_none();
            if named
                && endpoint.host().trim_end_matches('.') == host.trim_end_matches('.')
                && let Runs::Client(client) = &mut row.runs
            {
                client.wake();
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Mono, out: &mut Out) {
        for row in self.rows.values_mut() {
            match &mut row.runs {
                Runs::Approval(approval) => {
                    if let Some(link) = approval.handle_timeout(now) {
                        out.close(link, None);
                    }
                }
                Runs::Client(client) => client.handle_timeout(now),
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        let due = |row: &Row| match &row.runs {
            Runs::Approval(approval) => approval.poll_timeout(),
            Runs::Client(client) => client.poll_timeout(),
        };
        self.rows.values().filter_map(due).min()
    }
}

impl Row {
    fn approved(pairing: Pairing, revision: u64) -> Self {
        let runs = Runs::Client(Client::new());
        Self {
            pairing,
            revision,
            runs,
        }
    }

    /// Changes the record; saves and tells of it if that made a difference.
    fn change(&mut self, out: &mut Out, change: impl FnOnce(&mut Pairing)) {
        let before = self.pairing.clone();
        change(&mut self.pairing);
        if self.pairing == before {
            return;
        }
        match self.pairing.status {
            PairingStatus::Approved => out.push(Effect::SavePairing(self.pairing.clone())),
            PairingStatus::Pending => {}
        }
        out.push(Effect::PairingsChanged);
    }

    fn holds(&self, link: LinkId) -> bool {
        match &self.runs {
            Runs::Approval(approval) => approval.link() == Some(link),
            Runs::Client(client) => {
                matches!(client.line(), Line::Dial(l) | Line::Session(l) if l == link)
            }
        }
    }

    fn link(&self) -> LinkState {
        match &self.runs {
            Runs::Approval(_) => LinkState::AwaitingApproval,
            Runs::Client(client) if client.is_orphaned() => LinkState::Orphaned,
            Runs::Client(client) => match client.line() {
                Line::Session(_) => LinkState::Connected,
                Line::Dial(_) | Line::Nothing => LinkState::Connecting(client.error().clone()),
            },
        }
    }
}

/// Returns whether the shell keeps the connection open after this outcome of a `peer_link` dial.
fn opens_session(outcome: &Result<DialAnswer, DialFailure>) -> bool {
    outcome
        .as_ref()
        .is_ok_and(|answer| answer.response.kind == Some(ResponseKind::Ok))
}

/// Makes the record of a new pairing; what an older one of the same pin knew carries over.
fn make(granted: Granted, previous: Option<&Pairing>, now: Now) -> Pairing {
    let Granted {
        wish,
        public_key,
        status,
        facts,
    } = granted;
    let mut pairing = Pairing {
        pin: wish.pin.pin(),
        public_key,
        endpoint: wish.endpoint,
        label: wish.label,
        label_auto: false,
        paired_at: now.wall,
        status,
        enabled: previous.is_none_or(|p| p.enabled),
        esphome_version: previous.and_then(|p| p.esphome_version.clone()),
        capabilities: previous.map(|p| p.capabilities).unwrap_or_default(),
        friendly_name: previous
            .map(|p| p.friendly_name.clone())
            .unwrap_or_default(),
        ha_addon: previous.is_some_and(|p| p.ha_addon),
    };
    refresh(&mut pairing, facts);
    if pairing.label.is_empty() {
        pairing.label_auto = true;
        pairing.label = Label::clipped(match pairing.friendly_name.as_str() {
            "" => pairing.endpoint.host(),
            name => name,
        });
    }
    pairing
}

/// Takes over what a receiver says of itself: names and version only when it says them, flags always
/// (peer-link.md §4.8).
fn refresh(pairing: &mut Pairing, facts: PeerFacts) {
    if facts.esphome_version.is_some() {
        pairing.esphome_version = facts.esphome_version;
    }
    if !facts.friendly_name.is_empty() {
        pairing.friendly_name = facts.friendly_name;
    }
    pairing.ha_addon = facts.ha_addon;
    pairing.capabilities = facts.capabilities;
}
