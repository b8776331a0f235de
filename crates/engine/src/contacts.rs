//! [`Contacts`]: the hosts that a boxed build asked for, as the audit lists them.
use kiln_model::{ContactedHost, Reach};

/// Different hosts that are kept of those that a build reached, and of all others; a build asks for
/// ten.
const KEPT: usize = 100;

/// Hosts, each once, in the order of the first time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contacts {
    hosts: Vec<ContactedHost>,
    more: u32,
}

impl Contacts {
    /// The build asked for a host. Returns whether that is worth telling: a host that was not asked for
    /// before, or was not reached. What a build reached is kept however many it asks for in vain.
    pub(crate) fn note(&mut self, place: &str, reach: Reach) -> bool {
        if let Some(known) = self.hosts.iter_mut().find(|host| host.place == place) {
            let is_better = reach == Reach::Reached && known.reach != Reach::Reached;
            if is_better {
                known.reach = reach;
            }
            return is_better;
        }
        let alike =
            |host: &&ContactedHost| (host.reach == Reach::Reached) == (reach == Reach::Reached);
        if self.hosts.iter().filter(alike).count() >= KEPT || self.hosts.len() >= 2 * KEPT {
            self.more = self.more.saturating_add(1);
            return false;
        }
        let place = place.to_owned();
        self.hosts.push(ContactedHost { place, reach });
        true
    }

    /// Returns them, those first that were reached.
    pub(crate) fn reached_first(&self) -> Vec<ContactedHost> {
        let mut hosts = self.hosts.clone();
        hosts.sort_by_key(|host| host.reach != Reach::Reached);
        hosts
    }

    /// Returns how many times it asked for further ones.
    pub(crate) fn more(&self) -> u32 {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_reached_is_listed_first_whatever_it_asked_for_before() {
        let mut contacts = Contacts::default();
        for number in 0..KEPT + 7 {
            contacts.note(&format!("refused{number}:443"), Reach::Refused);
        }
        assert!(contacts.note("reached:443", Reach::Reached));
        let listed = contacts.reached_first();
        assert_eq!(listed.len(), KEPT + 1);
        assert_eq!(listed[0].place, "reached:443");
        assert_eq!(listed[1].place, "refused0:443");
        assert_eq!(contacts.more(), 7);
    }

    #[test]
    fn a_host_that_is_reached_at_last_was_reached() {
        let mut contacts = Contacts::default();
        assert!(contacts.note("pypi.org:443", Reach::Failed));
        assert!(!contacts.note("pypi.org:443", Reach::Failed));
        assert!(contacts.note("pypi.org:443", Reach::Reached));
        assert!(!contacts.note("pypi.org:443", Reach::Failed));
        let listed = contacts.reached_first();
        assert_eq!((listed.len(), listed[0].reach), (1, Reach::Reached));
    }
}
