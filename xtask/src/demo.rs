//! `cargo xtask demo`: the main job on real input, from an empty folder to a flashed device.
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Outcome, cargo, output, root, run, say, target};
use crate::{desktop, packages, python};

/// ESPHome version of the demo; the one the rig's dashboards use.
const ESPHOME: &str = "2026.10.0";
/// Name of the demo's dashboard in the rig.
const PEER: &str = "demo";
/// Lends the computer whatever its owner does: whoever watches the demo sits at it.
const LENT: &[&str] = &[
    "settings",
    "set",
    "idle_minutes=0",
    "cpu_limit=0",
    "on_battery=true",
    "on_metered=true",
];
/// Longest wait for anything that is not a compile.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the demo was asked for.
struct Options {
    keep: bool,
    with_dashboard: bool,
    desktop: bool,
}

/// Runs the demo.
pub fn demo(arguments: &[String]) -> Outcome {
    let mut options = Options {
        keep: false,
        with_dashboard: false,
        desktop: false,
    };
    for argument in arguments {
        match argument.as_str() {
            "--keep" => options.keep = true,
            "--with-dashboard" => options.with_dashboard = true,
            "--desktop" => options.desktop = true,
            other => return Err(format!("the demo has no option {other}")),
        }
    }
    packages::ensure(&[packages::BUILD])?;
    let mut times = Times::new();
    say("building Kiln");
    run(&mut cargo(&["build", "--locked", "--package", "kiln"]))?;
    let shown = match options.desktop {
        true => Some(desktop::build()?),
        false => None,
    };
    times.lap("build Kiln");
    let python = python::python()?;
    if options.with_dashboard {
        python::dashboards()?;
    }
    times.lap("find Python");

    let mut stage = Stage::new(&python, shown)?;
    let result = if options.with_dashboard {
        dashboard_story(&mut stage, &mut times)
    } else {
        two_kilns_story(&mut stage, &mut times)
    };
    let result = result.and_then(|()| stage.until_quit());
    say("times");
    times.print();
    println!("\nlogs: {}", stage.folder.display());
    if options.keep && result.is_ok() {
        stage.leave_running();
    }
    drop(stage);
    result
}

/// An offloader Kiln, a receiver Kiln, and a device.
fn two_kilns_story(stage: &mut Stage, times: &mut Times) -> Outcome {
    say("starting two Kilns, each with a state of its own");
    stage.write_device(1)?;
    let config = stage.config().display().to_string();
    stage.serve("offloader", &["--no-receiver", "--esphome-dir", &config])?;
    let link = stage.serve(
        "receiver",
        &[
            "--receiver",
            "--listen-host",
            "127.0.0.1",
            "--listen-port",
            "0",
        ],
    )?;
    stage.kiln("receiver", LENT)?;
    stage.show("offloader")?;
    times.lap("start two Kilns");

    say(&format!("making the ESPHome {ESPHOME} environment"));
    stage.kiln("offloader", &["env", "install", ESPHOME])?;
    stage.kiln("receiver", &["env", "install", ESPHOME])?;
    times.lap("ESPHome environment");

    say("building the device's first firmware here, and starting the device");
    stage.kiln(
        "offloader",
        &["compile", "demo-device", "--local", "--wait"],
    )?;
    times.lap("first compile, local");
    let data = stage.config().join(".esphome");
    stage.start_device(&data)?;
    times.lap("start the device");

    say("pairing: both screens show the same fingerprints");
    println!("-- receiver");
    stage.kiln("receiver", &["identity"])?;
    println!("-- offloader");
    stage.kiln("offloader", &["identity"])?;
    let pin = stage.json("receiver", &["identity"])?["pin_sha256"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.kiln("receiver", &["window", "open"])?;
    stage.kiln(
        "offloader",
        &["pair", &link, "--pin", &pin, "--label", "Receiver"],
    )?;
    let id = stage.json("offloader", &["identity"])?["dashboard_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.kiln("receiver", &["requests"])?;
    stage.kiln("receiver", &["approve", &id])?;
    stage.wait_for("the session between the two", |stage| {
        let receivers = stage.json("offloader", &["receivers"])?;
        Ok(receivers.to_string().contains("\"connected\""))
    })?;
    times.lap("pair and connect");

    say("changing the device's configuration, then `kiln install`");
    stage.write_device(2)?;
    stage.kiln(
        "offloader",
        &["install", "demo-device", "--port", "127.0.0.1", "--wait"],
    )?;
    times.lap("install: bundle, remote compile, artifacts, flash");
    let jobs = stage.json("offloader", &["jobs"])?;
    if !jobs.to_string().contains("\"remote\"") {
        return Err("the build did not happen on the receiver; see the logs".to_owned());
    }
    stage.device_reports(2)?;
    times.lap("device reports the new build");
    Ok(())
}

/// A real dashboard as the offloader: it builds on Kiln and flashes the device itself.
fn dashboard_story(stage: &mut Stage, times: &mut Times) -> Outcome {
    say("starting a real Device Builder dashboard, and a Kiln that compiles for it");
    let options = ["--listen-host", "127.0.0.1", "--listen-port", "0"];
    let link = stage.serve("receiver", &options)?;
    stage.kiln("receiver", LENT)?;
    let dashboard = stage.start_dashboard()?;
    stage.show("receiver")?;
    times.lap("start dashboard and Kiln");

    say(&format!("making the ESPHome {ESPHOME} environment"));
    stage.kiln("receiver", &["env", "install", ESPHOME])?;
    times.lap("ESPHome environment");

    say("pairing: both screens show the same fingerprints");
    println!("-- receiver");
    stage.kiln("receiver", &["identity"])?;
    println!("-- dashboard");
    stage.dash(&["identity"])?;
    stage.kiln("receiver", &["window", "open"])?;
    let (host, port) = link.rsplit_once(':').ok_or("kiln told no address")?;
    stage.dash(&["pair", host, port, "--label", "Dashboard"])?;
    stage.kiln("receiver", &["requests"])?;
    let asks = stage.json("receiver", &["requests"])?;
    let id = asks[0]["dashboard_id"]
        .as_str()
        .ok_or("nobody asks")?
        .to_owned();
    stage.kiln("receiver", &["approve", &id])?;
    stage.dash(&["wait-link"])?;
    times.lap("pair and connect");

    say("the dashboard builds the device's first firmware on Kiln (it waits 20 s after its start)");
    stage.write_device(1)?;
    stage.dash(&["put", &stage.device_file()])?;
    stage.dash(&["submit", "demo-device.yaml"])?;
    times.lap("first compile, on Kiln");
    stage.start_device(&dashboard.join(".esphome"))?;
    times.lap("start the device");

    say("changing the device's configuration; the dashboard installs it");
    stage.write_device(2)?;
    stage.dash(&["put", &stage.device_file()])?;
    let install = r#"{"configuration": "demo-device.yaml", "port": "127.0.0.1"}"#;
    let job = stage.dash_json(&["raw", "firmware/install", install])?;
    let job = job["job_id"]
        .as_str()
        .ok_or("the dashboard made no job")?
        .to_owned();
    stage.dash(&["follow", &job])?;
    stage.device_reports(2)?;
    times.lap("install: bundle, compile on Kiln, artifacts, flash; device reports the new build");
    stage.kiln("receiver", &["jobs"])
}

/// Everything the demo starts, in one folder; all of it ends when this is dropped.
struct Stage {
    folder: PathBuf,
    kiln: PathBuf,
    /// The desktop, if it is to be seen.
    shown: Option<PathBuf>,
    python: String,
    api_port: u16,
    ota_port: u16,
    children: Vec<(String, Child)>,
    /// A dashboard of the rig was started.
    rig: bool,
    stop: bool,
}

impl Stage {
    fn new(python: &str, shown: Option<PathBuf>) -> Outcome<Self> {
        let folder = target().join("demo");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        fs::create_dir_all(folder.join("config")).map_err(|e| e.to_string())?;
        fs::create_dir_all(folder.join("device")).map_err(|e| e.to_string())?;
        Ok(Self {
            kiln: target().join("debug/kiln"),
            shown,
            folder,
            python: python.to_owned(),
            api_port: free_port()?,
            ota_port: free_port()?,
            children: Vec::new(),
            rig: false,
            stop: true,
        })
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Writes the device's configuration; the friendly name carries its revision.
    fn write_device(&self, revision: u32) -> Outcome {
        let yaml = format!(
            "esphome:\n  name: demo-device\n  friendly_name: Demo Device v{revision}\nhost:\n\
             logger:\napi:\n  port: {}\nota:\n  - platform: esphome\n    port: {}\n",
            self.api_port, self.ota_port
        );
        fs::write(self.config().join("demo-device.yaml"), yaml).map_err(|e| e.to_string())
    }

    fn command(&self, home: &str) -> Command {
        let mut command = Command::new(&self.kiln);
        command
            .env("KILN_HOME", self.folder.join(home))
            .env("KILN_ENVIRONMENTS", environments())
            .env("KILN_SECRETS", "file")
            .env("KILN_PYTHON", &self.python);
        command
    }

    /// Starts a node and returns the address of its peer link.
    fn serve(&mut self, home: &str, options: &[&str]) -> Outcome<String> {
        let log = self.folder.join(format!("{home}.log"));
        let ready = self.folder.join(format!("{home}.ready"));
        let mut command = self.command(home);
        command.args(["serve", "--json"]).args(options);
        command
            .stdout(file(&ready)?)
            .stderr(file(&log)?)
            .stdin(Stdio::null());
        let child = command
            .spawn()
            .map_err(|e| format!("kiln did not start: {e}"))?;
        self.children.push((home.to_owned(), child));
        let mut link = String::new();
        self.wait_for(&format!("the {home} to serve"), |_| {
            let text = fs::read_to_string(&ready).unwrap_or_default();
            let Some(line) = text.lines().next() else {
                return Ok(false);
            };
            let said: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
            link = said["link"].as_str().unwrap_or_default().to_owned();
            Ok(true)
        })?;
        Ok(link)
    }

    /// Shows a node in tray and window, if that was asked for.
    fn show(&mut self, home: &str) -> Outcome {
        let Some(program) = &self.shown else {
            return Ok(());
        };
        let child = Command::new(program)
            .env("KILN_HOME", self.folder.join(home))
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| format!("the desktop did not start: {e}"))?;
        self.children.push(("desktop".to_owned(), child));
        Ok(())
    }

    /// Goes on as long as the desktop is looked at.
    fn until_quit(&mut self) -> Outcome {
        let desktop = self.children.iter_mut().find(|(name, _)| name == "desktop");
        if let Some((_, child)) = desktop {
            say("the demo is done; it stays until you quit Kiln in its menu");
            child.wait().map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Runs a command of `kiln`, shown.
    fn kiln(&self, home: &str, arguments: &[&str]) -> Outcome {
        println!("{home}$ kiln {}", arguments.join(" "));
        run(self.command(home).args(arguments))
    }

    fn json(&self, home: &str, arguments: &[&str]) -> Outcome<Value> {
        let text = output(self.command(home).arg("--json").args(arguments))?;
        serde_json::from_str(&text).map_err(|e| format!("kiln printed no JSON: {e}: {text}"))
    }

    fn device_file(&self) -> String {
        let file = self.config().join("demo-device.yaml");
        file.display().to_string()
    }

    /// Starts a real dashboard and returns its configuration folder.
    fn start_dashboard(&mut self) -> Outcome<PathBuf> {
        self.rig = true;
        let started = output(self.rig("peer").args(["start", PEER, "--fresh"]))?;
        let started: Value =
            serde_json::from_str(&started).map_err(|e| format!("the rig said no JSON: {e}"))?;
        let config = started["config"].as_str().ok_or("the rig told no folder")?;
        println!("dashboard: {}", started["url"]);
        Ok(PathBuf::from(config))
    }

    /// Runs a command of the dashboard, shown.
    fn dash(&self, arguments: &[&str]) -> Outcome {
        println!("dashboard$ {}", arguments.join(" "));
        run(self.rig("dash.py").args(["--peer", PEER]).args(arguments))
    }

    fn dash_json(&self, arguments: &[&str]) -> Outcome<Value> {
        let text = output(self.rig("dash.py").args(["--peer", PEER]).args(arguments))?;
        serde_json::from_str(&text).map_err(|e| format!("the dashboard said no JSON: {e}"))
    }

    fn rig(&self, script: &str) -> Command {
        let mut command = Command::new(python::rig_home().join("venv/bin/python"));
        command
            .arg(root().join("tests/rig").join(script))
            .env("RIG_HOME", python::rig_home());
        command
    }

    /// Starts the program that was built: a device with native API and OTA.
    fn start_device(&mut self, data: &Path) -> Outcome {
        let built = data.join("build/demo-device/.pioenvs/demo-device/program");
        let folder = self.folder.join("device");
        let program = folder.join("demo-device");
        fs::copy(&built, &program).map_err(|e| format!("{}: {e}", built.display()))?;
        // What came back from another computer is data: nothing in it may be run as it is.
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let log = file(&self.folder.join("device.log"))?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let child = Command::new(&program)
            .current_dir(&folder)
            .env("HOME", &folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("the device did not start: {e}"))?;
        self.children.push(("device".to_owned(), child));
        self.device_reports(1)
    }

    /// Asks the device over its native API until it reports this revision of its name.
    fn device_reports(&self, revision: u32) -> Outcome {
        let name = format!("Demo Device v{revision}");
        let mut said = String::new();
        self.wait_for(&format!("the device to report {name}"), |stage| {
            let asked = Command::new(stage.environment_python())
                .arg(root().join("tests/rig/device.py"))
                .arg(stage.api_port.to_string())
                .stderr(Stdio::null())
                .output()
                .map_err(|e| format!("the device could not be asked: {e}"))?;
            said = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
            Ok(said.contains(&name))
        })?;
        println!("device: {said}");
        Ok(())
    }

    fn environment_python(&self) -> PathBuf {
        environments().join(format!("esphome-{ESPHOME}/bin/python"))
    }

    fn wait_for(&self, what: &str, mut done: impl FnMut(&Self) -> Outcome<bool>) -> Outcome {
        let begun = Instant::now();
        while !done(self)? {
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "waited too long for {what}; see {}",
                    self.folder.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn leave_running(&mut self) {
        self.stop = false;
        say("left running; stop with:");
        for (name, child) in &self.children {
            println!("kill {}    # {name}", child.id());
        }
        if self.rig {
            println!(
                "RIG_HOME={} tests/rig/peer stop {PEER}",
                python::rig_home().display()
            );
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.stop {
            return;
        }
        if self.rig {
            // Nothing depends on it any more; what it says is shown.
            let _ = self.rig("peer").args(["stop", PEER]).status();
        }
        for (_, child) in self.children.iter_mut().rev() {
            // Politely first: a node tells its peers.
            let pid = child.id().to_string();
            let _ = Command::new("kill").arg(&pid).status();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(10) && matches!(child.try_wait(), Ok(None))
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Named steps and how long they took.
struct Times {
    begun: Instant,
    laps: Vec<(String, Duration)>,
}

impl Times {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self, name: &str) {
        self.laps.push((name.to_owned(), self.begun.elapsed()));
        self.begun = Instant::now();
    }

    fn print(&self) {
        for (name, took) in &self.laps {
            println!("{:8.2} s  {name}", took.as_secs_f64());
        }
    }
}

/// Where the demo's ESPHome is kept between runs.
fn environments() -> PathBuf {
    target().join("demo-environments")
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener
        .local_addr()
        .map(|a| a.port())
        .map_err(|e| e.to_string())
}

fn file(path: &Path) -> Outcome<File> {
    File::create(path).map_err(|e| format!("{}: {e}", path.display()))
}
