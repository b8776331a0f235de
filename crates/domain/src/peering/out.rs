//! [`Out`]: what the machines of one [`super::Peering`] share: the effects they want, in order, the
//! numbers of their dials, and chance.
use std::collections::VecDeque;
use std::net::IpAddr;

use kiln_model::{
    Endpoint, ErrorCode, Label, LinkId, PairingFact, PairingStep, Party, Pin, Reply, RequestError,
    Sentence, Side, TerminateReason,
};

use super::{Effect, Purpose};
use crate::RequestId;

/// Collects what is wanted; drained by [`super::Peering::poll_effect`].
#[derive(Debug)]
pub(super) struct Out {
    effects: VecDeque<crate::Effect>,
    dials: u64,
    chance: u64,
}

impl Out {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            effects: VecDeque::new(),
            dials: 0,
            chance: seed,
        }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(crate::Effect::Peering(effect));
    }

    pub(super) fn pop(&mut self) -> Option<crate::Effect> {
        self.effects.pop_front()
    }

    pub(super) fn reply(&mut self, id: RequestId, reply: Reply) {
        self.effects.push_back(crate::Effect::Reply(id, reply));
    }

    /// Refuses a request: one sentence, and what to do next.
    pub(super) fn refuse(
        &mut self,
        id: RequestId,
        code: ErrorCode,
        message: Sentence,
        hint: Sentence,
    ) {
        let error = RequestError {
            code,
            message,
            hint,
        };
        self.reply(id, Reply::Refused(error));
    }

    /// Opens a connection. Dials have even numbers; the shell gives accepted links odd ones.
    pub(super) fn dial(
        &mut self,
        endpoint: Endpoint,
        skip: Vec<IpAddr>,
        expect: Option<Pin>,
        purpose: Purpose,
    ) -> LinkId {
        self.dials += 2;
        let link = LinkId(self.dials);
        self.push(Effect::Dial {
            link,
            endpoint,
            skip,
            expect,
            purpose,
        });
        link
    }

    pub(super) fn close(&mut self, link: LinkId, terminate: Option<TerminateReason>) {
        self.push(Effect::Close { link, terminate });
    }

    /// Puts into the audit what no stored row tells.
    pub(super) fn record(
        &mut self,
        step: PairingStep,
        side: Side,
        (pin, label): (Pin, &Label),
        observed: Option<Pin>,
    ) {
        let label = label.clone();
        self.push(Effect::Record(PairingFact {
            step,
            side,
            party: Party { pin, label },
            observed,
        }));
    }

    /// Returns a number that is uniform between `low` and `high`, from the seed (SplitMix64).
    pub(super) fn jitter(&mut self, low: f64, high: f64) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        low + (high - low) * ((z >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// Returns one of `choices` by chance; `None` if there is none.
    pub(super) fn pick<T>(&mut self, mut choices: Vec<T>) -> Option<T> {
        let index = self.jitter(0.0, choices.len() as f64) as usize;
        (index < choices.len()).then(|| choices.swap_remove(index))
    }
}
