//! Linux: sysfs, `/proc`, the X server, and what the desktop and the system say over D-Bus.
use std::path::PathBuf;
use std::sync::Arc;

use kiln_model::Inputs;
use kiln_ports::activity::{Depth, Reading};

use super::bus::System;
use super::display::Display;
use super::idle::Idle;
use super::load::Load;
use super::remote::Elsewhere;
use super::{free_disk, least, load, power, utc_offset};
use crate::process::OwnPrograms;

/// Where the kernel lists batteries and mains.
const POWER_SUPPLY: &str = "/sys/class/power_supply";

#[derive(Debug)]
pub(super) struct Machine {
    power_supply: PathBuf,
    display: Display,
    idle: Idle,
    elsewhere: Elsewhere,
    load: Arc<Load>,
    system: System,
}

impl Machine {
    pub(super) fn new(own: OwnPrograms, power_supply: Option<PathBuf>) -> Self {
        Self {
            power_supply: power_supply.unwrap_or_else(|| POWER_SUPPLY.into()),
            display: Display::of_session(),
            idle: Idle::default(),
            elsewhere: Elsewhere::default(),
            load: Arc::new(Load::new(own)),
            system: System::default(),
        }
    }

    pub(super) async fn read(&self, reading: &Reading) -> Inputs {
        let visitors = self.elsewhere.read(&self.system).await;
        // A node that was started at a remote desktop sees what is there, and not here.
        let here = !self.display.x11().is_some_and(|it| visitors.hold(it));
        let idle = self.idle.read(&self.display, &self.system).await;
        let idle = idle.filter(|_| here);
        let remote = visitors.sessions;
        if reading.depth == Depth::Owner {
            return Inputs {
                idle,
                remote,
                free_memory: load::free_memory(),
                free_disk: least(&reading.folders, free_disk),
                ..Inputs::default()
            };
        }
        // A computer full of programs that hardly get a processor takes its time to tell.
        let (load, apps) = (Arc::clone(&self.load), reading.apps.clone());
        let look = move || (load.read(), load::running(&apps));
        let looking = tokio::task::spawn_blocking(look);
        let (other_load, apps) = looking.await.unwrap_or_default();
        let foreground = self.display.foreground().await.filter(|_| here);
        let profile = self.system.power_profile().await;
        Inputs {
            idle,
            remote,
            power: power::read(&self.power_supply),
            lid: self.system.lid().await,
            saver: profile.map(|profile| profile.saver),
            heat: profile.map(|profile| profile.heat),
            other_load,
            free_memory: load::free_memory(),
            free_disk: least(&reading.folders, free_disk),
            network: self.system.network().await,
            apps,
            foreground,
            utc_offset: Some(utc_offset()),
        }
    }
}
