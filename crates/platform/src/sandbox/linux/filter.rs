//! seccomp: system calls that no compiler needs, refused with "not permitted".
#![expect(unsafe_code, reason = "the attempts are bare system calls")]
use std::collections::BTreeMap;

use kiln_model::Tier;
use rustix::process::{Pid, test_kill_process};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
};

/// Refused at every tier: other processes' memory, mounts and namespaces, keys, modules and
/// kernels, tracing and performance counters, memory and files that no limit counts, the machine's
/// clock, name and power, io_uring, which does what this filter cannot see, watching files, of which
/// the owner's programs and boxes share a number, and what would give a build back the cores and the
/// turn at the disk that its owner left it.
const NEVER: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_get_mempolicy,
    libc::SYS_init_module,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_ioprio_set,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_memfd_create,
    MEMFD_SECRET,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_mq_open,
    libc::SYS_msgctl,
    libc::SYS_msgget,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_sched_setaffinity,
    libc::SYS_semctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_set_mempolicy,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmget,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    libc::SYS_vmsplice,
];

/// Calls that the C library's list does not have on every architecture; the number is the same.
const MEMFD_SECRET: i64 = 447;
const QUOTACTL_FD: i64 = 443;
const OPEN_TREE_ATTR: i64 = 467;

/// Calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[
    libc::SYS__sysctl,
    libc::SYS_inotify_init,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// Refused at tier 2: waiting for connections, and leaving the session, by which the processes of a
/// build are found and ended. In a box a tool may do that: the kernel ends all of it.
const NEVER_CONFINED: &[i64] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_setsid,
];

/// At tier 2 these may be used on the calling thread only, for which the number is 0: the call, and
/// which argument is the number of a process. Landlock does not look after them.
const OWN_ONLY: [(i64, u8); 4] = [
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
];

/// First call that this list was not written for: what it does is not known here, and programs
/// take "there is no such call" for an older kernel. Also refuses the x32 calls, whose numbers are
/// far above. (Linux 6.17 ends at 469.)
const UNKNOWN: u32 = 470;

/// Flags that make a namespace (clone(2)).
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Types of sockets that are no stream (socket(2)).
const NO_STREAM: [libc::c_int; 6] = [
    libc::SOCK_DGRAM,
    libc::SOCK_RAW,
    libc::SOCK_RDM,
    libc::SOCK_SEQPACKET,
    libc::SOCK_DCCP,
    10, // SOCK_PACKET
];

/// The bits of a socket's type that are not flags.
const TYPE: u64 = 0xf;

/// Any type, query (personality(2)).
const PERSONALITIES: [u64; 2] = [0, 0xffff_ffff];

/// Restricts this thread and all that it starts.
pub(super) fn restrict(tier: Tier) -> Result<(), String> {
    let failed = |error: BackendError| format!("seccomp: {error}");
    let apply =
        |program: &BpfProgram| apply_filter(program).map_err(|error| format!("seccomp: {error}"));
    let denied = compiled(rules(tier).map_err(failed)?, libc::EPERM).map_err(failed)?;
    // Its flags are in memory, where no filter sees them; without it programs use clone(2).
    let hidden = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let hidden = compiled(hidden, libc::ENOSYS).map_err(failed)?;
    apply(&unknown_calls())?;
    apply(&hidden)?;
    apply(&denied)
}

fn compiled(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    error: libc::c_int,
) -> Result<BpfProgram, BackendError> {
    let here = TargetArch::try_from(std::env::consts::ARCH)?;
    let deny = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, deny, here)?.try_into()
}

/// The library's filters name single calls; this one is about all above a number.
fn unknown_calls() -> BpfProgram {
    let step = |code: u32, jt, jf, k| sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        // The number of the call is first in what a filter reads (seccomp(2)).
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, UNKNOWN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn rules(tier: Tier) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER
        .iter()
        .chain(NEVER_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    let namespaces = NAMESPACES.map(flag);
    let namespaces = namespaces.map(|bits| rule(&[(0, Qword, MaskedEq(bits), bits)]));
    rules.insert(libc::SYS_clone, all(namespaces)?);
    // Input into the terminal of whoever started Kiln.
    let inputs = [libc::TIOCSTI, libc::TIOCLINUX];
    let inputs = inputs.map(|request| rule(&[(1, Dword, Eq, u64::from(request as u32))]));
    rules.insert(libc::SYS_ioctl, all(inputs)?);
    let odd = PERSONALITIES.map(|known| (0, Dword, Ne, known));
    rules.insert(libc::SYS_personality, all([rule(&odd)])?);
    match tier {
        Tier::Boxed => {
            // Its network is its own, so only the kernel's other interfaces are kept away.
            let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
            let others = families.map(|family| (0, Dword, Ne, flag(family)));
            let raw = [(1, Dword, MaskedEq(TYPE), flag(libc::SOCK_RAW))];
            rules.insert(libc::SYS_socket, all([rule(&others), rule(&raw)])?);
        }
        Tier::Open | Tier::Hindered | Tier::Confined => {
            rules.extend(NEVER_CONFINED.iter().map(|call| (*call, Vec::new())));
            // Landlock sees plain TCP only: no datagrams, no local sockets (whose servers do as
            // they are told), no other protocol, and no data before a connection is asked for.
            let families = [libc::AF_INET, libc::AF_INET6];
            let others = families.map(|family| (0, Dword, Ne, flag(family)));
            let protocols = [0, libc::IPPROTO_TCP].map(|p| (2, Dword, Ne, flag(p)));
            let mut sockets = vec![rule(&others), rule(&protocols)];
            let no_stream = |kind| rule(&[(1, Dword, MaskedEq(TYPE), flag(kind))]);
            sockets.extend(NO_STREAM.map(no_stream));
            rules.insert(libc::SYS_socket, all(sockets)?);
            let mut pairs = vec![rule(&[(0, Dword, Ne, flag(libc::AF_UNIX))])];
            pairs.extend(NO_STREAM.map(no_stream));
            rules.insert(libc::SYS_socketpair, all(pairs)?);
            for (call, number) in OWN_ONLY {
                rules.insert(call, all([rule(&[(number, Dword, Ne, 0)])])?);
            }
            // Priority: of the calling process (kind 0), not of groups and users.
            let group = rule(&[(0, Dword, Ne, 0)]);
            let other = rule(&[(1, Dword, Ne, 0)]);
            rules.insert(libc::SYS_setpriority, all([group, other])?);
            let early = flag(libc::MSG_FASTOPEN);
            let sends = [
                (libc::SYS_sendto, 3),
                (libc::SYS_sendmsg, 2),
                (libc::SYS_sendmmsg, 3),
            ];
            for (call, flags) in sends {
                let early = rule(&[(flags, Dword, MaskedEq(early), early)]);
                rules.insert(call, all([early])?);
            }
        }
    }
    Ok(rules)
}

/// Bits of an argument, which is as wide as a register.
fn flag(bits: libc::c_int) -> u64 {
    u64::from(bits.cast_unsigned())
}

/// A call is refused if all of these hold: number of the argument, width, comparison, value.
fn rule(
    conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)],
) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().map(|(argument, width, compare, value)| {
        SeccompCondition::new(*argument, width.clone(), compare.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn all(
    rules: impl IntoIterator<Item = Result<SeccompRule, BackendError>>,
) -> Result<Vec<SeccompRule>, BackendError> {
    rules.into_iter().collect()
}

/// Tries calls that must be refused; true for one that was not.
pub(super) fn attempts() -> Vec<(&'static str, bool)> {
    let not_refused = |result: libc::c_long| {
        result != -1 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EPERM)
    };
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: each call gets numbers and null pointers, which the kernel checks itself; none of them
    // touches memory of this process. A process that tries this ends right afterwards.
    unsafe {
        vec![
            (
                "make a user namespace",
                not_refused(libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER)),
            ),
            (
                "mount",
                not_refused(libc::syscall(libc::SYS_mount, none, none, none, 0, none)),
            ),
            (
                "use the kernel's keys",
                not_refused(libc::syscall(libc::SYS_keyctl, 0, -3, 0)),
            ),
            (
                "be traced",
                not_refused(libc::syscall(
                    libc::SYS_ptrace,
                    libc::PTRACE_TRACEME,
                    0,
                    0,
                    0,
                )),
            ),
            (
                "load a BPF program",
                not_refused(libc::syscall(libc::SYS_bpf, 0, none, 0)),
            ),
            (
                "use io_uring",
                not_refused(libc::syscall(libc::SYS_io_uring_setup, 0, none)),
            ),
            (
                "talk to the kernel's network",
                not_refused(libc::syscall(
                    libc::SYS_socket,
                    libc::AF_NETLINK,
                    libc::SOCK_RAW,
                    0,
                )),
            ),
        ]
    }
}

/// Returns whether a signal would reach a process.
pub(super) fn can_signal(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}
