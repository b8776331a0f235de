//! Landlock: which files a box reaches, and at tier 2 which ports and programs.
use kiln_model::Tier;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    make_bitflags, path_beneath_rules,
};

use super::super::orders::{Orders, WayOut};

/// Rights over files as of Linux 6.10; nothing newer is needed.
const FILES: ABI = ABI::V5;

/// Devices that hold nothing.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// What a program may know of the machine at tier 2, where `/proc` is the machine's own.
const MACHINE: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random/uuid",
    "/proc/uptime",
    "/proc/version",
];

/// Restricts this process and all that it starts, and reads back that it holds.
pub(super) fn restrict(orders: &Orders, tier: Tier) -> Result<(), String> {
    let failed = |error: RulesetError| format!("Landlock: {error}");
    let status = apply(orders, tier).map_err(failed)?;
    let holds = match tier {
        // Landlock is the only wall: all of it has to stand.
        Tier::Open | Tier::Hindered | Tier::Confined => status == RulesetStatus::FullyEnforced,
        // The second wall, as far as the kernel has it.
        Tier::Boxed => status != RulesetStatus::NotEnforced,
    };
    if holds {
        Ok(())
    } else {
        Err("Landlock is not available".to_owned())
    }
}

fn apply(orders: &Orders, tier: Tier) -> Result<RulesetStatus, RulesetError> {
    let read = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});
    let device = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
    let specials = make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
    let write: BitFlags<AccessFs> = AccessFs::from_all(FILES) & !specials;
    let level = match tier {
        Tier::Open | Tier::Hindered | Tier::Confined => CompatLevel::HardRequirement,
        Tier::Boxed => CompatLevel::BestEffort,
    };
    let mut rules = Ruleset::default()
        .set_compatibility(level)
        .handle_access(AccessFs::from_all(FILES))?
        .scope(Scope::AbstractUnixSocket)?
        .scope(Scope::Signal)?;
    if tier != Tier::Boxed {
        rules = rules
            .handle_access(AccessNet::ConnectTcp)?
            .handle_access(AccessNet::BindTcp)?;
    }
    let mut rules = rules
        .create()?
        .add_rules(path_beneath_rules(&orders.readable, read))?
        .add_rules(path_beneath_rules(&orders.writable, write))?
        .add_rules(path_beneath_rules(DEVICES, device))?;
    rules = match tier {
        Tier::Boxed => rules
            .add_rules(path_beneath_rules(["/proc"], read & !AccessFs::Execute))?
            .add_rules(path_beneath_rules(["/tmp", "/dev/shm"], write))?,
        Tier::Open | Tier::Hindered | Tier::Confined => {
            rules.add_rules(path_beneath_rules(MACHINE, AccessFs::ReadFile))?
        }
    };
    if let WayOut::Port(port, _) = &orders.way_out {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(rules.restrict_self()?.ruleset)
}
