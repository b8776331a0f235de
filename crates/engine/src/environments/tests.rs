//! Environments made by scripted tools on a real disk.
use std::collections::BTreeSet;
use std::fs as disk;

use kiln_domain::work::{Drive, Ending};
use kiln_ports::process::{Command, Pace, Priority};
use kiln_testkit::{Script, ScriptedProcesses, SimClock};

use super::index::QUESTION;
use super::provision::MAKE;
use super::record::RECORD;
use super::tool::{Tool, tools};
use super::*;
use crate::interpreter::NoInterpreter;
use crate::tool::Orders;

/// A machine with some programs, on which environments can be made.
struct Machine {
    folder: tempfile::TempDir,
    clock: Arc<SimClock>,
    processes: Arc<ScriptedProcesses>,
    environments: Environments,
    said: Mutex<String>,
}

/// What works on the machine; tests change it while it runs.
#[derive(Clone, Default)]
struct World(Arc<Mutex<BTreeSet<&'static str>>>);

impl World {
    fn breaks(&self, what: &'static str) {
        self.0.lock().unwrap().insert(what);
    }

    fn works_again(&self, what: &'static str) {
        self.0.lock().unwrap().remove(what);
    }

    fn broken(&self, what: &str) -> bool {
        self.0.lock().unwrap().contains(what)
    }

    /// Behaves like Python, pip, uv and ESPHome, as far as Kiln calls them.
    fn behave(&self, command: &Command) -> Script {
        let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
        let program = command.program.to_string_lossy().into_owned();
        match arguments.as_slice() {
            ["-c", _] if program.ends_with("old") => Script::exits(0).says("kiln 3 11 1\n"),
            ["-c", _] if self.broken("python") => Script::exits(1).says("No module named ssl\n"),
            ["-c", _] => Script::exits(0).says("kiln 3 13 1\n"),
            ["-m", "venv", place] | ["venv", .., place] => {
                if program.ends_with("uv") && self.broken("uv") {
                    return Script::exits(2).says("uv is sad\n");
                }
                if self.broken("venv hangs") {
                    return Script::hangs().says("making\n");
                }
                let python = Path::new(place).join("bin/python");
                disk::create_dir_all(python.parent().unwrap()).unwrap();
                disk::write(&python, "python").unwrap();
                Script::exits(0)
            }
            ["-m", "pip", "index", ..] | ["pip", "compile", ..] => {
                let with_uv = program.ends_with("uv");
                match (self.broken("network"), with_uv, self.broken("uv")) {
                    (true, ..) | (_, true, true) => Script::exits(1).says("No network\n"),
                    (false, true, false) => {
                        Script::exits(0).says("Resolved 1 package\nesphome==2026.11.0\n")
                    }
                    (false, false, _) => Script::exits(0)
                        .says("\u{1b}[33mWARNING: pip index is experimental.\n\u{1b}[0m")
                        .says("esphome (2026.11.0)\nAvailable versions: 2026.11.0, 2026.10.0\n"),
                }
            }
            ["-m", "pip", ..] | ["pip", ..] if self.broken("pip hangs") => Script::hangs(),
            ["-m", "pip", .., requirement] | ["pip", .., requirement] => {
                match requirement
                    .split_once("==")
                    .filter(|_| !self.broken("network"))
                {
                    Some((_, version)) => {
                        let python = match program.ends_with("uv") {
                            true => PathBuf::from(arguments[3]),
                            false => command.program.clone(),
                        };
                        disk::write(python, version).unwrap();
                        Script::exits(0)
                            .says("Collecting esphome\n")
                            .says("Successfully installed\n")
                    }
                    None => Script::exits(1).says("No matching distribution\n"),
                }
            }
            ["-m", "esphome", "version"] if self.broken("esphome") => {
                Script::exits(1).says("ImportError\n")
            }
            ["-m", "esphome", "version"] => {
                let version = disk::read_to_string(&command.program).unwrap();
                Script::exits(0).says(&format!("Version: {version}\n"))
            }
            ["version"] if self.broken("old esphome") => {
                Script::exits(0).says("Version: 2026.10.0\n")
            }
            ["version"] => Script::exits(0).says("Version: 2026.9.0\n"),
            _ => Script::missing(),
        }
    }
}

impl Machine {
    /// `programs` are files on the search path.
    fn new(world: &World, programs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        disk::create_dir_all(folder.path().join("bin")).unwrap();
        for program in programs {
            disk::write(folder.path().join("bin").join(program), "").unwrap();
        }
        let world = world.clone();
        let clock = Arc::new(SimClock::new());
        let processes = Arc::new(ScriptedProcesses::new(move |c| world.behave(c)));
        let path = folder.path().join("bin").display().to_string();
        let surroundings = Surroundings::new(vec![("PATH".to_owned(), path)]);
        let environments = Environments::new(
            folder.path().join("environments"),
            Arc::clone(&processes) as Arc<dyn Processes>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            surroundings,
        );
        Self {
            folder,
            clock,
            processes,
            environments,
            said: Mutex::default(),
        }
    }

    /// Only the named interpreter is looked at, whatever the machine of the test has.
    fn with_python() -> (World, Self) {
        let world = World::default();
        let machine = Self::new(&world, &["python3.13"]);
        machine.python("bin/python3.13");
        (world, machine)
    }

    fn python(&self, place: &str) {
        let python = self.folder.path().join(place).display().to_string();
        self.environments.follow(&Settings {
            python,
            ..Settings::default()
        });
    }

    /// The same disk after a restart of Kiln.
    fn restarted(self, world: &World) -> Self {
        let mut next = Self::new(world, &["python3.13"]);
        next.folder = self.folder;
        next.environments.programs.folder = next.folder.path().join("environments");
        next.python("bin/python3.13");
        next
    }

    /// A build of somebody else wants a version.
    async fn ensure_for_others(&self, text: &str) {
        let (_ask, customer) = guest(Settings::default());
        let version = version(text);
        let ensured = self
            .environments
            .ensure_for(customer, &version, |_| async {});
        ensured.await.unwrap();
    }

    /// The version of own builds.
    fn own(&self) -> Option<String> {
        let own = self.environments.launcher(None);
        own.map(|(version, _)| version.to_string())
    }

    async fn ensure(&self, text: &str) -> Result<(), ProvisionError> {
        let say = |line: String| {
            self.said.lock().unwrap().push_str(&line);
            async {}
        };
        self.environments.ensure(&version(text), say).await
    }

    /// Started programs whose arguments contain `word`.
    fn count(&self, word: &str) -> usize {
        let started = self.processes.started();
        started
            .iter()
            .filter(|c| c.arguments.iter().any(|a| a == word))
            .count()
    }

    fn environment(&self, text: &str) -> PathBuf {
        self.folder
            .path()
            .join("environments")
            .join(format!("esphome-{text}"))
    }

    fn states(&self) -> Vec<(String, EnvironmentState)> {
        let list = self.environments.list().into_iter();
        list.map(|info| (info.version.to_string(), info.state))
            .collect()
    }
}

fn version(text: &str) -> EsphomeVersion {
    text.parse().unwrap()
}

fn ready(text: &str) -> (String, EnvironmentState) {
    (text.to_owned(), EnvironmentState::Ready)
}

// Covers: M77
#[tokio::test]
async fn a_wanted_version_is_installed_exactly_verified_and_started_from_its_environment() {
    let (_world, machine) = Machine::with_python();
    machine.ensure("2026.10.0b6").await.unwrap();
    let (found, launcher) = machine
        .environments
        .launcher(Some(&version("2026.10.0b6")))
        .unwrap();
    assert_eq!(found, version("2026.10.0b6"));
    let python = machine.environment("2026.10.0b6").join("bin/python");
    assert_eq!(launcher, Launcher::module(&python));
    let said = machine.said.lock().unwrap().clone();
    assert!(
        said.starts_with("*** Installing ESPHome 2026.10.0b6 with pip ***\n"),
        "{said}"
    );
    assert!(said.contains("Collecting esphome\n"));
    let info = machine.environments.list().remove(0);
    assert_eq!(info.state, EnvironmentState::Ready);
    assert!(info.size_bytes.is_some_and(|size| size > 0));
}

#[tokio::test]
async fn a_program_that_the_environment_names_goes_before_the_setting() {
    let world = World::default();
    let mut machine = Machine::new(&world, &["mine"]);
    let program = machine.folder.path().join("bin/mine");
    machine.environments.programs.surroundings = Surroundings::new(vec![(
        "KILN_ESPHOME".to_owned(),
        program.display().to_string(),
    )]);
    machine.environments.follow(&Settings {
        esphome_version: "2026.10.0".to_owned(),
        ..Settings::default()
    });
    machine.environments.tidy().await;
    let found = machine.environments.launcher(None);
    assert_eq!(
        found,
        Some((version("2026.9.0"), Launcher::program(&program)))
    );
}

#[tokio::test]
async fn the_newest_release_is_asked_of_the_index_with_whatever_is_there_and_nothing_stays() {
    let world = World::default();
    let machine = Machine::new(&world, &["python3.13", "uv"]);
    machine.python("bin/python3.13");
    let newest = Ok(version("2026.11.0"));
    assert_eq!(machine.environments.newest().await, newest);
    assert_eq!(machine.count("venv"), 0, "uv needs no environment to ask");
    let (_world, with_pip) = Machine::with_python();
    assert_eq!(with_pip.environments.newest().await, newest);
    for machine in [machine, with_pip] {
        assert!(!machine.environments.programs.folder.join(QUESTION).exists());
        assert_eq!(machine.states(), []);
    }
}

#[tokio::test]
async fn an_index_that_does_not_answer_is_told_with_what_the_tool_said() {
    let (world, machine) = Machine::with_python();
    world.breaks("network");
    let error = machine.environments.newest().await.unwrap_err().to_string();
    assert!(error.ends_with("No network"), "{error}");
}

// Covers: M77
#[tokio::test]
async fn a_version_that_cannot_be_had_is_an_error_with_the_end_of_the_output_and_leaves_nothing() {
    let (world, machine) = Machine::with_python();
    world.breaks("network");
    let error = machine.ensure("2026.10.0").await.unwrap_err().to_string();
    assert!(
        error.contains("ESPHome 2026.10.0 was not installed"),
        "{error}"
    );
    assert!(error.ends_with("No matching distribution"), "{error}");
    assert!(!machine.environment("2026.10.0").exists());
    let shown = say::install_step_failed(say::step_installing(), "No matching distribution");
    let shown = EnvironmentState::Broken(shown);
    assert_eq!(machine.states(), [("2026.10.0".to_owned(), shown)]);
    assert_eq!(machine.environments.launcher(None), None);
}

// Covers: M78
#[tokio::test]
async fn a_version_that_is_no_release_is_refused_without_starting_anything() {
    let (_world, machine) = Machine::with_python();
    for text in ["2026.10.0-dev", "2026.10.0+x", "v2026.10.0"] {
        let refused = machine.ensure(text).await;
        assert_eq!(refused, Err(ProvisionError::NotPinnable(version(text))));
    }
    assert_eq!(machine.processes.lines(), Vec::<String>::new());
}

// Covers: M79
#[tokio::test]
async fn an_environment_that_is_another_version_than_its_folder_is_rebuilt() {
    let (world, machine) = Machine::with_python();
    machine.ensure("2026.10.0").await.unwrap();
    let machine = machine.restarted(&world);
    disk::write(
        machine.environment("2026.10.0").join("bin/python"),
        "2026.10.0b6",
    )
    .unwrap();
    assert_eq!(machine.environments.scan().await.len(), 1);
    machine.ensure("2026.10.0").await.unwrap();
    assert_eq!(machine.count("venv"), 1, "made anew");
    assert_eq!(machine.states(), [ready("2026.10.0")]);
}

// Covers: M80
#[tokio::test]
async fn two_compiles_for_one_new_version_install_it_once() {
    let (_world, machine) = Machine::with_python();
    let (a, b) = tokio::join!(machine.ensure("2026.10.0"), machine.ensure("2026.10.0"));
    assert_eq!((a, b), (Ok(()), Ok(())));
    assert_eq!(machine.count("venv"), 1);
    machine.ensure("2026.10.0").await.unwrap();
    assert_eq!(
        machine.count("version"),
        1,
        "what worked in this process is not asked again"
    );
}

// Covers: M81
#[tokio::test]
async fn after_the_start_older_environments_go_and_newer_ones_stay() {
    let (world, machine) = Machine::with_python();
    for text in ["2026.10.0b6", "2026.9.1", "2026.11.0"] {
        machine.ensure_for_others(text).await;
    }
    for text in ["2026.9.2", "2026.10.0"] {
        machine.ensure(text).await.unwrap();
    }
    let machine = machine.restarted(&world);
    let esphome_version = "2026.10.0".to_owned();
    machine.environments.follow(&Settings {
        esphome_version,
        ..Settings::default()
    });
    disk::create_dir_all(machine.environment("2026.12.0")).unwrap();
    let infos = machine.environments.tidy().await;
    let owners = "2026.9.2";
    assert_eq!(
        machine.states(),
        [ready(owners), ready("2026.10.0"), ready("2026.11.0")]
    );
    assert!(
        !machine.environment("2026.12.0").exists(),
        "an interrupted installation"
    );
    assert!(!machine.environment("2026.9.1").exists());
    let own: Vec<bool> = infos.iter().map(|info| info.installed).collect();
    assert_eq!(own, [false, true, false]);
}

#[tokio::test]
async fn an_older_environment_that_a_job_uses_already_is_not_deleted_under_it() {
    let (world, machine) = Machine::with_python();
    machine.ensure_for_others("2026.9.1").await;
    machine.ensure("2026.10.0").await.unwrap();
    let machine = machine.restarted(&world);
    machine.environments.scan().await;
    machine.ensure_for_others("2026.9.1").await;
    machine.environments.tidy().await;
    assert_eq!(machine.states(), [ready("2026.9.1"), ready("2026.10.0")]);
}

// Covers: M81
#[tokio::test]
async fn nothing_is_deleted_while_the_version_for_own_builds_is_missing() {
    let (world, machine) = Machine::with_python();
    machine.ensure_for_others("2026.9.1").await;
    let machine = machine.restarted(&world);
    let esphome_version = "2026.10.0".to_owned();
    machine.environments.follow(&Settings {
        esphome_version,
        ..Settings::default()
    });
    machine.environments.tidy().await;
    assert_eq!(machine.states(), [ready("2026.9.1")]);
    assert_eq!(machine.environments.launcher(None), None);
}

#[tokio::test]
async fn own_builds_use_the_newest_unless_a_version_is_set() {
    let (_world, machine) = Machine::with_python();
    for text in ["2026.10.0", "2026.9.1", "2026.10.0b6"] {
        machine.ensure(text).await.unwrap();
    }
    assert_eq!(machine.own().as_deref(), Some("2026.10.0"));
    let set = |text: &str| {
        let esphome_version = text.to_owned();
        machine.environments.follow(&Settings {
            esphome_version,
            ..Settings::default()
        });
    };
    set("2026.9.1");
    assert_eq!(machine.own().as_deref(), Some("2026.9.1"));
    set("newest please");
    assert_eq!(machine.own(), None);
}

#[tokio::test]
async fn a_version_that_others_wanted_never_takes_the_place_of_the_owners() {
    let (world, machine) = Machine::with_python();
    machine.ensure_for_others("2026.11.0b1").await;
    assert_eq!(
        machine.own().as_deref(),
        Some("2026.11.0b1"),
        "better than none"
    );
    machine.ensure("2026.10.0").await.unwrap();
    assert_eq!(machine.own().as_deref(), Some("2026.10.0"));
    let machine = machine.restarted(&world);
    machine.environments.tidy().await;
    assert_eq!(machine.own().as_deref(), Some("2026.10.0"));
    assert_eq!(machine.states(), [ready("2026.10.0"), ready("2026.11.0b1")]);

    machine.ensure("2026.11.0b1").await.unwrap();
    assert_eq!(machine.count("venv"), 0, "it is there");
    assert_eq!(machine.own().as_deref(), Some("2026.11.0b1"), "asked for");
    machine.ensure_for_others("2026.11.0b1").await;
    let machine = machine.restarted(&world);
    machine.environments.tidy().await;
    assert_eq!(
        machine.own().as_deref(),
        Some("2026.11.0b1"),
        "and it stays"
    );
    assert_eq!(machine.states(), [ready("2026.10.0"), ready("2026.11.0b1")]);
}

#[tokio::test]
async fn an_environment_of_a_kiln_that_kept_nobodys_wish_is_the_owners() {
    let (world, machine) = Machine::with_python();
    for text in ["2026.10.0", "2026.11.0b1"] {
        machine.ensure_for_others(text).await;
    }
    let record = machine.environment("2026.10.0").join(RECORD);
    disk::write(&record, r#"{"version":"2026.10.0","size_bytes":9}"#).unwrap();
    let machine = machine.restarted(&world);
    machine.environments.tidy().await;
    assert_eq!(machine.own().as_deref(), Some("2026.10.0"));
}

#[tokio::test]
async fn what_others_wanted_is_repaired_for_the_owner_who_has_none_and_stays_theirs() {
    let (world, machine) = Machine::with_python();
    machine.ensure_for_others("2026.11.0b1").await;
    let machine = machine.restarted(&world);
    let python = machine.environment("2026.11.0b1").join("bin/python");
    disk::write(python, "2026.9.0").unwrap();
    machine.environments.tidy().await;
    assert_eq!(machine.own().as_deref(), Some("2026.11.0b1"), "made anew");
    machine.ensure("2026.10.0").await.unwrap();
    assert_eq!(machine.own().as_deref(), Some("2026.10.0"));
}

#[tokio::test]
async fn an_interrupted_installation_is_no_environment_and_is_finished_when_wanted() {
    let (world, machine) = Machine::with_python();
    world.breaks("venv hangs");
    let installing = machine.ensure("2026.10.0");
    tokio::select! {
        biased;
        done = installing => panic!("{done:?}"),
        () = until(|| machine.count("venv") == 1) => {}
    }
    assert_eq!(
        machine.processes.killed(),
        1,
        "nothing goes on when nobody waits"
    );
    assert_eq!(machine.states(), []);
    disk::create_dir_all(machine.environment("2026.10.0")).unwrap();
    world.works_again("venv hangs");
    let machine = machine.restarted(&world);
    let infos = machine.environments.scan().await;
    assert!(
        matches!(infos[0].state, EnvironmentState::Broken(_)),
        "{infos:?}"
    );
    assert_eq!(machine.environments.launcher(None), None);
    machine.environments.tidy().await;
    assert_eq!(
        machine.states(),
        [ready("2026.10.0")],
        "repaired for own builds"
    );
}

#[tokio::test]
async fn an_installation_for_somebody_else_that_is_given_up_leaves_nothing_on_the_disk() {
    let (world, machine) = Machine::with_python();
    world.breaks("pip hangs");
    let (ask, customer) = guest(Settings::default());
    let version = version("2026.10.0");
    let ensuring = machine
        .environments
        .ensure_for(customer, &version, |_| async {});
    let (done, ()) = tokio::join!(ensuring, async {
        until(|| machine.count("pip") == 1).await;
        assert!(machine.environment("2026.10.0").exists(), "it is half done");
        ask.send_modify(|orders| orders.stop = Some(Ending::AtOnce));
    });
    assert_eq!(done, Err(ProvisionError::Stopped));
    assert_eq!(machine.processes.killed(), 1);
    assert!(!machine.environment("2026.10.0").exists());
    assert_eq!(machine.states(), []);
}

#[tokio::test]
async fn an_environment_that_stopped_working_is_noticed_after_the_start_and_repaired() {
    let (world, machine) = Machine::with_python();
    machine.ensure("2026.10.0").await.unwrap();
    let machine = machine.restarted(&world);
    world.breaks("esphome");
    world.breaks("network");
    machine.environments.tidy().await;
    assert_eq!(machine.environments.launcher(None), None);
    let machine = machine.restarted(&world);
    world.works_again("esphome");
    world.works_again("network");
    machine.ensure("2026.10.0").await.unwrap();
    assert!(machine.environments.launcher(None).is_some());
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_killed_and_said() {
    let (world, machine) = Machine::with_python();
    world.breaks("venv hangs");
    let (done, ()) = tokio::join!(machine.ensure("2026.10.0"), async {
        until(|| machine.count("venv") == 1 && machine.clock.sleepers() == 1).await;
        machine.clock.advance(MAKE);
    });
    let error = done.unwrap_err().to_string();
    assert!(
        error.ends_with("making its environment failed: it took longer than 120 s"),
        "{error}"
    );
    assert_eq!(machine.processes.killed(), 1);
}

#[tokio::test]
async fn an_installation_for_somebody_else_gives_way_and_is_not_late_for_it() {
    let (world, machine) = Machine::with_python();
    world.breaks("venv hangs");
    let (ask, customer) = guest(Settings {
        in_use_cores: 2,
        idle_cores: 0,
        ..Settings::default()
    });
    let version = version("2026.10.0");
    let ensuring = machine
        .environments
        .ensure_for(customer, &version, |_| async {});
    let (done, ()) = tokio::join!(ensuring, async {
        until(|| machine.count("venv") == 1 && machine.clock.sleepers() == 1).await;
        let paces = || machine.processes.paces().len();
        for (n, drive) in [Drive::Gentle, Drive::Stopped].into_iter().enumerate() {
            ask.send_modify(|orders| orders.drive = drive);
            until(|| paces() == n + 1).await;
        }
        machine.clock.advance(MAKE * 2);
        ask.send_modify(|orders| orders.drive = Drive::Full);
        until(|| paces() == 3).await;
        assert_eq!(machine.processes.killed(), 0, "it stood still");
        machine.clock.advance(MAKE);
    });
    assert!(done.unwrap_err().to_string().contains("120 s"));
    let paces = [
        Pace::Gentle { cores: 2 },
        Pace::Stopped,
        Pace::Full { cores: None },
    ];
    assert_eq!(machine.processes.paces(), paces);
    let priority = |word: &str| {
        let started = machine.processes.started();
        let of = |c: &&Command| c.arguments.iter().any(|argument| argument == word);
        started.iter().find(of).map(|command| command.priority)
    };
    assert_eq!(priority("venv"), Some(Priority::Background));
}

#[tokio::test]
async fn an_installation_for_somebody_else_has_as_many_cores_as_its_owner_leaves_it_at_any_time() {
    let (world, machine) = Machine::with_python();
    world.breaks("venv hangs");
    let (_ask, orders) = watch::channel(Orders::default());
    let (set, settings) = watch::channel(Settings {
        idle_cores: 1,
        ..Settings::default()
    });
    let customer = Customer::Guest { orders, settings };
    let version = version("2026.10.0");
    let ensuring = machine
        .environments
        .ensure_for(customer, &version, |_| async {});
    let last = || machine.processes.paces().last().copied();
    let (done, ()) = tokio::join!(ensuring, async {
        until(|| machine.count("venv") == 1 && last().is_some()).await;
        let one = Pace::Full { cores: Some(1) };
        assert!(machine.processes.paces().iter().all(|pace| *pace == one));
        set.send_modify(|settings| settings.idle_cores = 3);
        until(|| last() == Some(Pace::Full { cores: Some(3) })).await;
        machine.clock.advance(MAKE);
    });
    assert!(done.is_err(), "it hung");
}

#[tokio::test]
async fn the_steps_of_an_installation_are_told() {
    let (_world, machine) = Machine::with_python();
    let mut changes = machine.environments.changes();
    let mut steps = Vec::new();
    let installing = machine.ensure("2026.10.0");
    tokio::pin!(installing);
    loop {
        tokio::select! {
            biased;
            () = changes.next() => steps.extend(machine.states().into_iter().map(|s| s.1)),
            done = &mut installing => break done.unwrap(),
        }
    }
    // Who looks late sees the newest step only, so earlier ones may be missing.
    let under_way = |state: &EnvironmentState| matches!(state, EnvironmentState::Installing(_));
    assert!(steps.first().is_some_and(under_way));
    let last = EnvironmentState::Installing(say::installing_checking());
    assert!(steps.contains(&last));
    changes.next().await;
    assert_eq!(machine.states(), [ready("2026.10.0")]);
}

#[tokio::test]
async fn uv_is_preferred_and_pip_is_tried_when_it_fails() {
    let world = World::default();
    let machine = Machine::new(&world, &["python3.13", "uv"]);
    machine.python("bin/python3.13");
    machine.ensure("2026.10.0").await.unwrap();
    let with_uv = |line: &String| line.contains("/bin/uv ");
    assert_eq!(
        machine
            .processes
            .lines()
            .iter()
            .filter(|line| with_uv(line))
            .count(),
        2
    );
    world.breaks("uv");
    machine.ensure("2026.10.1").await.unwrap();
    let said = machine.said.lock().unwrap().clone();
    assert!(
        said.contains("Installing ESPHome 2026.10.1 with pip"),
        "{said}"
    );
}

#[tokio::test]
async fn a_python_that_is_set_but_does_not_do_is_named_with_the_reason() {
    let world = World::default();
    let machine = Machine::new(&world, &["old", "python3.13"]);
    machine.python("bin/old");
    let error = machine.ensure("2026.10.0").await.unwrap_err().to_string();
    assert!(
        error.contains("old) cannot be used: it is Python 3.11"),
        "{error}"
    );
    machine.python("bin/python3.13");
    world.breaks("python");
    let error = machine.ensure("2026.10.0").await.unwrap_err().to_string();
    assert!(error.ends_with("No module named ssl"), "{error}");
}

#[tokio::test]
async fn an_esphome_of_the_owner_is_used_as_it_is() {
    let world = World::default();
    let machine = Machine::new(&world, &["python3.13", "esphome"]);
    let infos = machine.environments.tidy().await;
    assert_eq!(machine.states(), [ready("2026.9.0")]);
    assert!(infos[0].installed && infos[0].size_bytes.is_none());
    let program = machine.folder.path().join("bin/esphome");
    let (_, launcher) = machine.environments.launcher(None).unwrap();
    assert_eq!(launcher, Launcher::program(&program));

    machine.python("bin/python3.13");
    machine.ensure("2026.10.0").await.unwrap();
    assert_eq!(
        machine.own().as_deref(),
        Some("2026.10.0"),
        "the newest wins"
    );
    let esphome_version = program.display().to_string();
    machine.environments.follow(&Settings {
        esphome_version,
        ..Settings::default()
    });
    assert_eq!(
        machine.own().as_deref(),
        Some("2026.9.0"),
        "unless the program is set"
    );
    machine.environments.tidy().await;
    assert!(program.exists());
}

#[tokio::test]
async fn an_esphome_that_its_owner_upgrades_is_asked_again_and_no_longer_called_by_its_old_version()
{
    let world = World::default();
    let machine = Machine::new(&world, &["python3.13", "esphome"]);
    machine.environments.tidy().await;
    machine.environments.ask_again_if_replaced().await;
    assert_eq!(machine.count("version"), 1, "it is as it was");
    world.breaks("old esphome");
    disk::write(machine.folder.path().join("bin/esphome"), "upgraded").unwrap();
    machine.environments.ask_again_if_replaced().await;
    assert_eq!(machine.states(), [ready("2026.10.0")]);
    let old = version("2026.9.0");
    assert_eq!(machine.environments.launcher(Some(&old)), None);

    disk::remove_file(machine.folder.path().join("bin/esphome")).unwrap();
    machine.environments.ask_again_if_replaced().await;
    assert_eq!(machine.states(), []);
}

#[tokio::test]
async fn until_it_is_known_what_the_owner_has_nothing_of_others_is_used_in_its_place() {
    let world = World::default();
    let machine = Machine::new(&world, &["python3.13", "esphome"]);
    machine.python("bin/python3.13");
    for text in ["2026.9.0", "2026.10.0"] {
        machine.ensure_for_others(text).await;
    }
    machine.environments.expect_look();
    assert_eq!(machine.own(), None);
    machine.environments.tidy().await;
    assert_eq!(
        machine.own().as_deref(),
        Some("2026.9.0"),
        "the owner's program is of a version that others wanted as well"
    );
    let (_, launcher) = machine.environments.launcher(None).unwrap();
    let python = machine.environment("2026.9.0").join("bin/python");
    assert_eq!(launcher, Launcher::module(&python));
}

#[tokio::test]
async fn a_job_that_is_faster_than_the_look_after_the_start_waits_for_it() {
    let world = World::default();
    let machine = Machine::new(&world, &["python3.13", "esphome"]);
    machine.environments.expect_look();
    let job = async {
        machine.environments.looked().await;
        machine.environments.launcher(None)
    };
    let (found, _) = tokio::join!(job, machine.environments.tidy());
    assert!(found.is_some());
}

#[test]
fn without_any_python_uv_fetches_one() {
    let uv = PathBuf::from("/bin/uv");
    let tool = Tool::Uv {
        uv: uv.clone(),
        python: "3.13".to_owned(),
    };
    assert_eq!(
        tools(Some(uv.clone()), Err(NoInterpreter::NotFound)),
        Ok(vec![tool])
    );
    assert_eq!(
        tools(None, Err(NoInterpreter::NotFound)),
        Err(NoInterpreter::NotFound)
    );
    let unusable = NoInterpreter::Unusable {
        python: "p".into(),
        reason: "r".into(),
    };
    assert_eq!(tools(Some(uv), Err(unusable.clone())), Err(unusable));
}

/// Somebody whose build waits for an installation, and what it is told.
fn guest(settings: Settings) -> (watch::Sender<Orders>, Customer) {
    let (ask, orders) = watch::channel(Orders::default());
    let (_, settings) = watch::channel(settings);
    (ask, Customer::Guest { orders, settings })
}

/// Lets other tasks run until something is so.
async fn until(so: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came about");
}
