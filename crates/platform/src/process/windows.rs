//! Windows: a job object that dies with its last handle. The program is created suspended, put
//! into the job and resumed, so that no descendant escapes.
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt as _;
use kiln_ports::process::{Child, Command, Exit, Pace, Paced, Priority, Usage};
use process_wrap::tokio::{ChildWrapper, CommandWrap, CreationFlags, JobObject, KillOnDrop};
use tokio::io::AsyncReadExt as _;
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::time::{Instant, timeout, timeout_at};
use windows::Win32::Foundation::{CloseHandle, HANDLE};
use windows::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows::Win32::System::Threading::{
    CREATE_NO_WINDOW, GetCurrentProcess, GetProcessAffinityMask, IDLE_PRIORITY_CLASS,
    NORMAL_PRIORITY_CLASS, OpenProcess, PROCESS_SET_INFORMATION, PROCESS_SUSPEND_RESUME,
    SetPriorityClass, SetProcessAffinityMask,
};

use super::{AFTERMATH, BLOCK, GIVE_UP, Live, Runs, exit};

/// Nothing: the job object of a Kiln that was killed is closed by the system, which ends its
/// processes.
pub(super) async fn reap(_mark: String) -> usize {
    std::future::ready(0).await
}

/// Returns the command lines of processes, as the system's own shell lists them.
pub(super) fn command_lines() -> Vec<String> {
    let script = "Get-CimInstance Win32_Process | Where-Object ProcessId -ne $PID \
        | ForEach-Object CommandLine";
    let listing = std::process::Command::new("powershell.exe")
        .args(["-NoProfile", "-NonInteractive", "-Command", script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let listing = listing.map(|o| o.stdout).unwrap_or_default();
    let lines = String::from_utf8_lossy(&listing);
    lines.lines().map(str::to_owned).collect()
}

#[link(name = "ntdll")]
#[expect(
    unsafe_code,
    reason = "the system's own way to stop a process, in no library"
)]
unsafe extern "system" {
    fn NtSuspendProcess(process: HANDLE) -> i32;
    fn NtResumeProcess(process: HANDLE) -> i32;
}

/// Returns a process and those that descend from it.
#[expect(
    unsafe_code,
    reason = "the process table is read through the system's API"
)]
fn descendants(leader: u32) -> Vec<u32> {
    let mut table = Vec::new();
    // SAFETY: the snapshot is closed once; the entry carries its own size, as the API wants.
    unsafe {
        let Ok(snapshot) = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) else {
            return vec![leader];
        };
        let mut entry = PROCESSENTRY32W {
            dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or_default(),
            ..Default::default()
        };
        let mut next = Process32FirstW(snapshot, &mut entry);
        while next.is_ok() {
            table.push((entry.th32ProcessID, entry.th32ParentProcessID));
            next = Process32NextW(snapshot, &mut entry);
        }
        let _ = CloseHandle(snapshot);
    }
    let mut tree = vec![leader];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        let children = table.iter().filter(|(_, of)| *of == parent);
        let new: Vec<u32> = children
            .map(|(id, _)| *id)
            .filter(|id| !tree.contains(id))
            .collect();
        tree.extend(new);
        at += 1;
    }
    tree
}

/// Sets the pace of one process. Best effort: one that ended meanwhile needs nothing.
#[expect(
    unsafe_code,
    reason = "processes are slowed down through the system's API"
)]
fn set_pace(id: u32, pace: Pace, stood: bool) {
    // SAFETY: the handle is valid until it is closed, which happens once.
    unsafe {
        let access = PROCESS_SUSPEND_RESUME | PROCESS_SET_INFORMATION;
        let Ok(process) = OpenProcess(access, false, id) else {
            return;
        };
        let (mut allowed, mut system) = (0, 0);
        let _ = GetProcessAffinityMask(GetCurrentProcess(), &mut allowed, &mut system);
        match pace {
            Pace::Stopped => {
                let _ = NtSuspendProcess(process);
            }
            Pace::Gentle { cores } => {
                let _ = SetProcessAffinityMask(process, lowest(allowed, cores.max(1)));
                let _ = SetPriorityClass(process, IDLE_PRIORITY_CLASS);
            }
            Pace::Full { cores } => {
                let mask = cores.map_or(allowed, |cores| lowest(allowed, cores.max(1)));
                let _ = SetProcessAffinityMask(process, mask);
            }
        }
        if stood && pace != Pace::Stopped {
            let _ = NtResumeProcess(process);
        }
        let _ = CloseHandle(process);
    }
}

/// How many times a tree is gone through at once.
const PASSES: u32 = 8;

/// Keeps so many of the lowest bits that are set.
fn lowest(mask: usize, count: u8) -> usize {
    let mut kept = 0;
    let mut rest = mask;
    for _ in 0..count {
        let bit = rest & rest.wrapping_neg();
        kept |= bit;
        rest &= !bit;
    }
    kept
}

/// A program and its descendants.
pub(super) struct Running {
    job: Box<dyn ChildWrapper>,
    output: NamedPipeServer,
    block: Box<[u8]>,
    pace: Pace,
    /// When the tree was killed.
    killed: Option<Instant>,
    /// Tells whoever reads the load that this runs.
    _runs: Runs,
}

impl Running {
    /// No warden is needed: the system ends the job object with Kiln.
    pub(super) fn spawn(
        command: Command,
        mark: String,
        live: &Live,
        _warden: Option<&Path>,
    ) -> io::Result<Self> {
        // Anonymous pipes cannot be read asynchronously. The name is used once, by us.
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(r"\\.\pipe\kiln-{:032x}", u128::from_le_bytes(random));
        let output = ServerOptions::new()
            .first_pipe_instance(true)
            .access_outbound(false)
            .max_instances(1)
            .create(&name)?;
        let writer = OpenOptions::new().write(true).open(&name)?;
        // Reading begins with this; the other end is there already.
        output
            .connect()
            .now_or_never()
            .unwrap_or_else(|| Err(io::Error::other("the output pipe did not open")))?;
        let errors = writer.try_clone()?;
        let class = match command.priority {
            Priority::Normal => NORMAL_PRIORITY_CLASS,
            Priority::Background => IDLE_PRIORITY_CLASS,
        };
        let mut wrapped = CommandWrap::with_new(&command.program, |c| {
            c.args(&command.arguments)
                .env_clear()
                .envs(command.environment)
                .envs(mark.split_once('='))
                .current_dir(&command.directory)
                .stdin(Stdio::null())
                .stdout(writer)
                .stderr(errors);
        });
        let job = wrapped
            .wrap(CreationFlags(CREATE_NO_WINDOW | class))
            .wrap(KillOnDrop)
            .wrap(JobObject)
            .spawn()?;
        // Our ends of the pipe; the stream could never end while they are open.
        drop(wrapped);
        let runs = live.enter(job.id());
        Ok(Self {
            job,
            output,
            block: vec![0; BLOCK].into(),
            pace: Pace::AS_STARTED,
            killed: None,
            _runs: runs,
        })
    }
}

#[async_trait::async_trait]
impl Child for Running {
    async fn read(&mut self) -> Option<Vec<u8>> {
        let read = self.output.read(&mut self.block);
        // A broken pipe is the end of the stream: the last writer is gone.
        let count = match self.killed {
            None => read.await.ok()?,
            Some(when) => timeout_at(when + AFTERMATH, read).await.ok()?.ok()?,
        };
        let bytes = self.block.get(..count)?;
        (!bytes.is_empty()).then(|| bytes.to_vec())
    }

    async fn wait(&mut self) -> Exit {
        // The inner child is the leader; the job would wait for every descendant.
        let status = self.job.inner_mut().wait().await;
        match self.killed {
            None => exit(status),
            Some(_) => Exit::Signal,
        }
    }

    async fn set_pace(&mut self, pace: Pace) -> Paced {
        let Some(leader) = self.job.id() else {
            return Paced::All;
        };
        let stood = std::mem::replace(&mut self.pace, pace) == Pace::Stopped;
        // What is started while others are stopped is stopped in the next round.
        let mut done = std::collections::BTreeSet::new();
        for _ in 0..PASSES {
            let new: Vec<u32> = descendants(leader)
                .into_iter()
                .filter(|id| done.insert(*id))
                .collect();
            if new.is_empty() {
                return Paced::All;
            }
            for id in new {
                set_pace(id, pace, stood);
            }
        }
        // The next call would stop once more whom this one stopped, and each of that is to be undone.
        Paced::All
    }

    /// The job object is the library's and does not tell.
    async fn usage(&mut self) -> Option<Usage> {
        None
    }

    /// There is no polite way to end a program without a console; `grace` does not apply.
    async fn kill(&mut self, _grace: Duration) {
        if let Err(error) = self.job.start_kill() {
            tracing::warn!(%error, "a build could not be ended");
        }
        // The wait of the job is for its last process.
        if timeout(GIVE_UP, self.job.wait()).await.is_err() {
            tracing::warn!("processes of a killed build do not end");
        }
        self.killed = Some(Instant::now());
    }
}
