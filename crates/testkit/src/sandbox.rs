//! [`OpenBox`]: a sandbox that claims a tier and boxes nothing.
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use kiln_model::{Confinement, Tier};
use kiln_ports::Sandbox;
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, Contact, Gate, SandboxError};

/// Claims a tier, remembers which boxes were asked for, and runs everything without one.
#[derive(Debug)]
pub struct OpenBox {
    tier: Tier,
    asked: Mutex<Vec<BoxRules>>,
    visits: Mutex<Vec<Contact>>,
}

impl OpenBox {
    /// Makes one that claims this tier.
    pub fn claiming(tier: Tier) -> Self {
        Self {
            tier,
            asked: Mutex::default(),
            visits: Mutex::default(),
        }
    }

    /// Lets what runs in the boxes to come ask for these hosts at once.
    pub fn visits(&self, contacts: Vec<Contact>) {
        *self.visits.lock().unwrap_or_else(PoisonError::into_inner) = contacts;
    }

    /// Returns the rules of all boxes that were asked for, in order.
    pub fn asked(&self) -> Vec<BoxRules> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }
}

#[async_trait::async_trait]
impl Sandbox for OpenBox {
    async fn prove(&self) -> Confinement {
        Confinement {
            tier: self.tier,
            detail: "a double".to_owned(),
        }
    }

    async fn enclose(&self, command: Command, rules: &BoxRules) -> Result<Boxed, SandboxError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(rules.clone());
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Boxed {
            command,
            gate: Some(Box::new(Visits(visits.clone().into()))),
        })
    }
}

/// A gate through which scripted attempts come.
struct Visits(VecDeque<Contact>);

#[async_trait::async_trait]
impl Gate for Visits {
    async fn next(&mut self) -> Contact {
        match self.0.pop_front() {
            Some(contact) => contact,
            None => std::future::pending().await,
        }
    }

    fn passed(&self) -> u64 {
        0
    }
}
