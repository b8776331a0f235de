//! [`OpenBox`]: a sandbox that claims a tier and boxes nothing.
use std::sync::{Mutex, PoisonError};

use kiln_model::{Confinement, Tier};
use kiln_ports::Sandbox;
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, SandboxError};

/// Claims a tier, remembers which boxes were asked for, and runs everything without one.
#[derive(Debug)]
pub struct OpenBox {
    tier: Tier,
    asked: Mutex<Vec<BoxRules>>,
}

impl OpenBox {
    /// Makes one that claims this tier.
    pub fn claiming(tier: Tier) -> Self {
        Self {
            tier,
            asked: Mutex::default(),
        }
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
        Ok(Boxed {
            command,
            gate: None,
        })
    }
}
