//! [`Esphome`]: a double that understands the invocations Kiln makes, writes real bundles and
//! plausible build trees of the ESP8266, and behaves as a story tells it.
use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_ports::process::Command;
use kiln_testkit::Script;
use tokio::sync::watch;

/// The version that every environment of these stories has.
pub(crate) const VERSION: &str = "2026.10.0";

/// What a subcommand does from now on.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Says this and ends with 1.
    Fails(String),
    /// Ends with 127, as a shell that does not find a program (POSIX shell, 2.8.2).
    Hidden,
    /// Does nothing and ends with 0.
    DoesNothing,
    /// Does its work and ends when the gate opens.
    Waits(watch::Receiver<bool>),
    /// The same, and says more than a slow link carries in ten minutes.
    Chatters(watch::Receiver<bool>),
}

/// The ESPHome of one host.
#[derive(Clone)]
pub(crate) struct Esphome(Arc<Inner>);

struct Inner {
    /// Who compiles; found again in the firmware.
    host: String,
    behaviour: Mutex<HashMap<String, Behaviour>>,
    flashed: Mutex<Vec<Flash>>,
}

/// A flash that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flash {
    /// Device name.
    pub(crate) device: String,
    /// Host that compiled what was flashed.
    pub(crate) built_by: String,
}

impl Esphome {
    /// Makes the tools of a host; everything works.
    pub(crate) fn new(host: &str) -> Self {
        Self(Arc::new(Inner {
            host: host.to_owned(),
            behaviour: Mutex::default(),
            flashed: Mutex::default(),
        }))
    }

    /// Sets what a subcommand does from now on; `None`: works.
    pub(crate) fn set(&self, subcommand: &str, behaviour: Option<Behaviour>) {
        let mut all = lock(&self.0.behaviour);
        match behaviour {
            Some(behaviour) => all.insert(subcommand.to_owned(), behaviour),
            None => all.remove(subcommand),
        };
    }

    /// Makes a subcommand wait; it goes on when `true` is sent.
    pub(crate) fn hold(&self, subcommand: &str) -> watch::Sender<bool> {
        let (gate, closed) = watch::channel(false);
        self.set(subcommand, Some(Behaviour::Waits(closed)));
        gate
    }

    /// Makes a subcommand chatter; it ends when `true` is sent.
    pub(crate) fn chatter(&self, subcommand: &str) -> watch::Sender<bool> {
        let (gate, closed) = watch::channel(false);
        self.set(subcommand, Some(Behaviour::Chatters(closed)));
        gate
    }

    /// Makes a subcommand fail.
    pub(crate) fn fail(&self, subcommand: &str, text: &str) {
        self.set(subcommand, Some(Behaviour::Fails(text.to_owned())));
    }

    /// Makes a subcommand end as a shell does that may not read the program it was to start.
    pub(crate) fn hide(&self, subcommand: &str) {
        self.set(subcommand, Some(Behaviour::Hidden));
    }

    /// Returns every flash that was begun, in order.
    pub(crate) fn flashed(&self) -> Vec<Flash> {
        lock(&self.0.flashed).clone()
    }

    /// Does what a command would do.
    pub(crate) fn answer(&self, command: &Command) -> Script {
        let words: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
        let Some(words) = words.strip_prefix(&["-m", "esphome"]) else {
            return self.python(&words);
        };
        let words: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| *word != "--dashboard")
            .collect();
        let known = [
            "version",
            "bundle",
            "compile",
            "upload",
            "clean",
            "clean-all",
        ];
        let Some(at) = words.iter().position(|word| known.contains(word)) else {
            return Script::exits(2).says("this ESPHome does not know that\n");
        };
        let (verb, operands) = (words[at], &words[at + 1..]);
        let behaviour = lock(&self.0.behaviour).get(verb).cloned();
        if let Some(Behaviour::Fails(text)) = &behaviour {
            return Script::exits(1).says(text);
        }
        if let Some(Behaviour::Hidden) = &behaviour {
            return Script::exits(127).says("exec: esphome: Permission denied\n");
        }
        if let Some(Behaviour::DoesNothing) = &behaviour {
            return Script::exits(0).says("INFO nothing to do\n");
        }
        let done = match (verb, operands) {
            ("version", _) => Ok(format!("Version: {VERSION}\n")),
            ("bundle", [yaml, "-o", output]) => bundle(yaml, Path::new(output)),
            ("compile", [yaml, ..]) => self.compile(yaml, &data_of(command, yaml)),
            ("upload", [yaml, ..]) => self.upload(yaml, &data_of(command, yaml)),
            _ => Ok("done\n".to_owned()),
        };
        match (done, behaviour) {
            (Err(error), _) => Script::exits(1).says(&format!("{error}\n")),
            (Ok(text), Some(Behaviour::Waits(gate))) => Script::waits(gate).says(&text),
            (Ok(text), Some(Behaviour::Chatters(gate))) => {
                let block = format!("{}\n", "x".repeat(999)).repeat(900);
                Script::waits(gate).says(&(text + &block)).says(&block)
            }
            (Ok(text), _) => Script::exits(0).says(&text),
        }
    }

    /// What the interpreter does: it says its version, and makes environments unless that waits.
    fn python(&self, words: &[&str]) -> Script {
        let making = lock(&self.0.behaviour).get("venv").cloned();
        match (words, making) {
            (["-c", _], _) => Script::exits(0).says("kiln 3 13 1\n"),
            (["-m", "venv", place], Some(Behaviour::Waits(gate))) => {
                let made = fs::create_dir_all(Path::new(place).join("bin"));
                made.map_or_else(|_| Script::exits(1), |()| Script::waits(gate))
            }
            _ => Script::missing(),
        }
    }

    fn compile(&self, yaml: &str, data: &Path) -> std::io::Result<String> {
        fs::metadata(yaml)?;
        let name = stem(yaml);
        let build = data.join("build").join(name);
        let pioenvs = build.join(".pioenvs").join(name);
        fs::create_dir_all(&pioenvs)?;
        let mut image = vec![0xe9, 1, 0, 0];
        image.extend_from_slice(self.0.host.as_bytes());
        fs::write(pioenvs.join("firmware.bin"), image)?;
        fs::write(pioenvs.join("firmware.elf"), b"elf")?;
        fs::write(build.join("platformio.ini"), format!("[env:{name}]\n"))?;
        fs::write(
            build.join("build_info.json"),
            br#"{"config_hash": 7, "build_time": 1}"#,
        )?;
        let path = build.display();
        let storage = serde_json::json!({
            "storage_version": 1,
            "name": name,
            "friendly_name": name,
            "comment": null,
            "esphome_version": VERSION,
            "src_version": 1,
            "address": format!("{name}.local"),
            "esp_platform": "ESP8266",
            "build_path": format!("{path}"),
            "firmware_bin_path": format!("{path}/.pioenvs/{name}/firmware.bin"),
            "loaded_integrations": ["api", "ota"],
            "no_mdns": false,
            "framework": "arduino",
        });
        let idedata = serde_json::json!({
            "prog_path": format!("{path}/.pioenvs/{name}/firmware.elf"),
            "cc_path": "/nowhere/.platformio/packages/toolchain-x/bin/x-gcc",
            "cxx_path": "/nowhere/g++",
            "extra": {"flash_images": []},
        });
        put(data, &format!("storage/{name}.yaml.json"), &storage)?;
        put(data, &format!("idedata/{name}.json"), &idedata)?;
        Ok(format!(
            "INFO Compiling {name}\nINFO Successfully compiled program.\n"
        ))
    }

    fn upload(&self, yaml: &str, data: &Path) -> std::io::Result<String> {
        let name = stem(yaml);
        let image = format!("build/{name}/.pioenvs/{name}/firmware.bin");
        let image = fs::read(data.join(image))?;
        let built_by = String::from_utf8_lossy(image.get(4..).unwrap_or_default()).into_owned();
        lock(&self.0.flashed).push(Flash {
            device: name.to_owned(),
            built_by,
        });
        Ok("INFO Uploading\nINFO OTA successful\n".to_owned())
    }
}

fn data_of(command: &Command, yaml: &str) -> PathBuf {
    let set = command
        .environment
        .iter()
        .find(|(key, _)| key == "ESPHOME_DATA_DIR");
    match set {
        Some((_, data)) => PathBuf::from(data),
        None => Path::new(yaml).with_file_name(".esphome"),
    }
}

fn stem(yaml: &str) -> &str {
    let stem = Path::new(yaml).file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or_default()
}

fn put(data: &Path, name: &str, json: &serde_json::Value) -> std::io::Result<()> {
    let path = data.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, json.to_string())
}

fn bundle(yaml: &str, output: &Path) -> std::io::Result<String> {
    let leaf = format!("{}.yaml", stem(yaml));
    let manifest = serde_json::json!({
        "manifest_version": 1,
        "esphome_version": VERSION,
        "config_filename": leaf,
        "config_dir": "/home/somebody/esphome",
        "files": [],
        "has_secrets": false,
    });
    let text = fs::read(yaml)?;
    let gzip = flate2::write::GzEncoder::new(fs::File::create(output)?, Default::default());
    let mut tar = tar::Builder::new(gzip);
    for (name, content) in [
        ("manifest.json", manifest.to_string().as_bytes()),
        (leaf.as_str(), text.as_slice()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok("INFO Bundled\n".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
