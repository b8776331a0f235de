//! Serial ports of Linux: read from sysfs, with what the system allows and who has them open.
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use kiln_model::{PortState, Sentence, SerialPort, UsbId, say};
use kiln_ports::SerialPorts;
use rustix::fs::{Access, access};

use super::{by_number, clipped};

/// The serial ports of this computer.
#[derive(Clone, Debug)]
pub struct OsSerialPorts {
    root: PathBuf,
}

impl OsSerialPorts {
    /// Those that are connected.
    pub fn new() -> Self {
        Self::below("/")
    }

    /// Those of a computer whose `/sys`, `/dev`, `/proc`, `/etc` and `/run` are below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Fills in what keeps a port from being used. `file` is the device file, `path` its name.
    fn judged(&self, mut port: SerialPort, file: &Path, users: &Users) -> SerialPort {
        let path = &port.path;
        let Ok(meta) = fs::metadata(file) else {
            port.state = PortState::Unknown;
            port.problem = say::port_without_file(path);
            return port;
        };
        if access(file, Access::READ_OK | Access::WRITE_OK).is_err() {
            port.state = PortState::Denied;
            port.problem = self.denied(path, &meta);
        } else if let Some(user) = users.of(file) {
            port.state = PortState::Busy;
            port.problem = say::port_in_use(path, user.clone());
        } else if users.modem_manager && path.contains("ttyACM") {
            port.problem = say::port_looked_into(path);
        }
        port
    }

    /// Says why a device file cannot be used, and what gives access.
    fn denied(&self, path: &str, meta: &fs::Metadata) -> Sentence {
        const GROUP_MAY: u32 = 0o060;
        let group = self.entry("etc/group", meta.gid());
        let Some((group, members)) = group.filter(|_| meta.mode() & GROUP_MAY == GROUP_MAY) else {
            return say::port_for_administrator(path);
        };
        let user = self.entry("etc/passwd", rustix::process::getuid().as_raw());
        let user = user.map(|(name, _)| name);
        let is_member = |user: &String| {
            let members = members.rsplit(':').next().unwrap_or_default();
            members.split(',').any(|member| member == user)
        };
        if user.as_ref().is_some_and(is_member) {
            return say::port_after_login(path, group);
        }
        let user = user.unwrap_or_else(|| "YOUR-NAME".to_owned());
        say::port_for_group(path, group, user)
    }

    /// Finds the line of a user or group by its number, as name and rest. Names that a shell would
    /// read as more than a name are not found.
    fn entry(&self, file: &str, number: u32) -> Option<(String, String)> {
        let text = fs::read_to_string(self.at(file)).ok()?;
        let number = number.to_string();
        text.lines().find_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let (_, rest) = rest.split_once(':')?;
            let (found, rest) = rest.split_once(':')?;
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            let fits = found == number && name.chars().all(plain) && !name.starts_with('-');
            fits.then(|| (name.to_owned(), rest.to_owned()))
        })
    }
}

impl Default for OsSerialPorts {
    fn default() -> Self {
        Self::new()
    }
}

impl SerialPorts for OsSerialPorts {
    fn list(&self) -> Vec<SerialPort> {
        let Ok(entries) = fs::read_dir(self.at("sys/class/tty")) else {
            return Vec::new();
        };
        let users = Users::scan(&self.root);
        let mut ports: Vec<SerialPort> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let port = described(&entry.path(), &name)?;
                Some(self.judged(port, &self.at("dev").join(&name), &users))
            })
            .collect();
        ports.sort_by_key(|port| by_number(&port.path));
        ports
    }

    fn look(&self, path: &str) -> Option<SerialPort> {
        // A name below /dev/serial/by-id is a link to the port.
        let file = fs::canonicalize(self.at(path)).ok()?;
        if !fs::metadata(&file).ok()?.file_type().is_char_device() {
            return None;
        }
        let name = file.file_name()?.to_str()?;
        let known = described(&self.at("sys/class/tty").join(name), name);
        let port = SerialPort {
            path: path.to_owned(),
            ..known.unwrap_or_else(|| plain(name))
        };
        Some(self.judged(port, &file, &Users::scan(&self.root)))
    }

    fn advice(&self) -> Sentence {
        say::port_advice_linux()
    }
}

fn plain(name: &str) -> SerialPort {
    SerialPort {
        path: format!("/dev/{name}"),
        product: String::new(),
        usb: None,
        state: PortState::Usable,
        problem: Sentence::default(),
    }
}

/// Reads what sysfs says of a terminal; `None` if no hardware is behind it.
fn described(entry: &Path, name: &str) -> Option<SerialPort> {
    let device = fs::canonicalize(entry.join("device")).ok()?;
    // The kernel makes ttyS0 to ttyS3 whether or not there is a chip: type 0 says that there is none.
    if text(&entry.join("type")).is_some_and(|kind| kind == "0") {
        return None;
    }
    let mut port = plain(name);
    // The USB device is a few folders above its terminal.
    let usb = device.ancestors().find(|at| at.join("idVendor").exists());
    if let Some(usb) = usb {
        let number = |file| u16::from_str_radix(&text(&usb.join(file))?, 16).ok();
        port.product = clipped(&text(&usb.join("product")).unwrap_or_default());
        port.usb = Some(UsbId {
            vendor: number("idVendor")?,
            product: number("idProduct")?,
            serial: clipped(&text(&usb.join("serial")).unwrap_or_default()),
        });
    }
    Some(port)
}

fn text(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Who has which device file open, as far as this account may see.
struct Users {
    by_file: HashMap<PathBuf, Sentence>,
    /// Lock files that terminal programs write, also those of other accounts.
    locks: HashMap<String, Sentence>,
    modem_manager: bool,
}

impl Users {
    fn scan(root: &Path) -> Self {
        let mut users = Self {
            by_file: HashMap::new(),
            locks: HashMap::new(),
            modem_manager: false,
        };
        let processes = root.join("proc");
        let own = std::process::id().to_string();
        for process in fs::read_dir(&processes).into_iter().flatten().flatten() {
            let Ok(pid) = process.file_name().into_string() else {
                continue;
            };
            if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            users.modem_manager |=
                text(&process.path().join("comm")).is_some_and(|name| name == "ModemManager");
            let open = fs::read_dir(process.path().join("fd"));
            for file in open.into_iter().flatten().flatten() {
                if let Ok(target) = fs::read_link(file.path())
                    && target.starts_with("/dev")
                {
                    let shown = shown(&processes, &pid);
                    users.by_file.insert(target, shown);
                }
            }
        }
        for lock in fs::read_dir(root.join("run/lock"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Ok(name) = lock.file_name().into_string()
                && let Some(port) = name.strip_prefix("LCK..")
                && let Some(pid) = text(&lock.path())
                && processes.join(&pid).is_dir()
                && pid
                    .parse::<u32>()
                    .is_ok_and(|pid| pid != std::process::id())
            {
                users.locks.insert(port.to_owned(), shown(&processes, &pid));
            }
        }
        users
    }

    fn of(&self, file: &Path) -> Option<&Sentence> {
        let name = file.file_name()?.to_str()?;
        let open = self.by_file.get(file).or_else(|| {
            // Below another root the links still say /dev.
            self.by_file.get(&Path::new("/dev").join(name))
        });
        open.or_else(|| self.locks.get(name))
    }
}

/// Names a process for people.
fn shown(processes: &Path, pid: &str) -> Sentence {
    match text(&processes.join(pid).join("comm")) {
        Some(name) => format!("{} (process {pid})", clipped(&name)).into(),
        None => say::some_program(pid),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::Mode;
    use rustix::pty::OpenptFlags;

    use super::*;

    /// A computer made of files.
    struct Computer(tempfile::TempDir);

    impl Computer {
        fn new() -> Self {
            let computer = Self(tempfile::tempdir().unwrap());
            for folder in ["sys/class/tty", "dev", "proc", "etc", "run/lock"] {
                fs::create_dir_all(computer.at(folder)).unwrap();
            }
            computer
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.at(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Plugs in a USB device with a terminal.
        fn plug(&self, name: &str, product: &str) {
            let usb = format!("sys/devices/usb1/{name}-device");
            self.write(&format!("{usb}/idVendor"), "10c4\n");
            self.write(&format!("{usb}/idProduct"), "ea60\n");
            self.write(&format!("{usb}/product"), &format!("{product}\n"));
            self.write(&format!("{usb}/serial"), "0001\n");
            fs::create_dir_all(self.at(&format!("{usb}/{name}-interface/{name}"))).unwrap();
            fs::create_dir_all(self.at(&format!("sys/class/tty/{name}"))).unwrap();
            let device = format!("../../../devices/usb1/{name}-device/{name}-interface/{name}");
            symlink(device, self.at(&format!("sys/class/tty/{name}/device"))).unwrap();
            self.write(&format!("dev/{name}"), "");
        }

        /// Lets a process have a device open.
        fn open(&self, pid: u32, program: &str, device: &str) {
            self.write(&format!("proc/{pid}/comm"), &format!("{program}\n"));
            fs::create_dir_all(self.at(&format!("proc/{pid}/fd"))).unwrap();
            symlink(device, self.at(&format!("proc/{pid}/fd/3"))).unwrap();
        }

        fn list(&self) -> Vec<SerialPort> {
            OsSerialPorts::below(self.0.path()).list()
        }
    }

    #[test]
    fn devices_on_usb_are_named_and_terminals_without_hardware_are_not_ports() {
        let computer = Computer::new();
        for name in ["ttyUSB10", "ttyUSB2"] {
            computer.plug(name, "CP2102N USB to UART Bridge");
        }
        fs::create_dir_all(computer.at("sys/class/tty/tty1")).unwrap();
        computer.plug("ttyS0", "");
        computer.write("sys/class/tty/ttyS0/type", "0\n");
        let ports = computer.list();
        let paths: Vec<&str> = ports.iter().map(|port| port.path.as_str()).collect();
        assert_eq!(paths, ["/dev/ttyUSB2", "/dev/ttyUSB10"]);
        assert_eq!(ports[0].product, "CP2102N USB to UART Bridge");
        let usb = ports[0].usb.clone().unwrap();
        assert_eq!(
            (usb.vendor, usb.product, usb.serial.as_str()),
            (0x10c4, 0xea60, "0001")
        );
        assert_eq!(
            (ports[0].state, ports[0].problem.as_str()),
            (PortState::Usable, "")
        );
    }

    #[test]
    fn a_port_that_a_program_has_open_is_busy_and_names_it() {
        let computer = Computer::new();
        computer.plug("ttyUSB0", "Bridge");
        computer.plug("ttyUSB1", "Bridge");
        computer.open(77, "minicom", "/dev/ttyUSB0");
        computer.write("run/lock/LCK..ttyUSB1", "       77\n");
        let ports = computer.list();
        for (port, path) in ports.iter().zip(["/dev/ttyUSB0", "/dev/ttyUSB1"]) {
            assert_eq!(port.state, PortState::Busy);
            let expected =
                format!("{path} is in use by minicom (process 77). Close it, then try again.");
            assert_eq!(port.problem.as_str(), expected);
        }
    }

    #[test]
    fn the_lock_of_a_program_that_ended_does_not_count() {
        let computer = Computer::new();
        computer.plug("ttyUSB0", "Bridge");
        computer.write("run/lock/LCK..ttyUSB0", "77\n");
        assert_eq!(computer.list()[0].state, PortState::Usable);
    }

    #[test]
    fn modem_manager_is_mentioned_only_when_it_runs() {
        let computer = Computer::new();
        computer.plug("ttyACM0", "Board");
        assert_eq!(computer.list()[0].problem, "");
        computer.write("proc/9/comm", "ModemManager\n");
        let port = computer.list().remove(0);
        assert_eq!(port.state, PortState::Usable);
        assert!(port.problem.contains("ModemManager"), "{}", port.problem);
    }

    #[test]
    fn a_port_without_a_device_file_is_not_promised() {
        let computer = Computer::new();
        computer.plug("ttyUSB0", "Bridge");
        fs::remove_file(computer.at("dev/ttyUSB0")).unwrap();
        let port = computer.list().remove(0);
        assert_eq!(port.state, PortState::Unknown);
        assert!(
            port.problem.contains("--device /dev/ttyUSB0"),
            "{}",
            port.problem
        );
    }

    #[test]
    fn who_may_not_use_a_port_is_told_the_group_and_the_command() {
        let computer = Computer::new();
        let uid = rustix::process::getuid().as_raw();
        computer.write("dev/ttyUSB0", "");
        fs::set_permissions(computer.at("dev/ttyUSB0"), PermissionsExt::from_mode(0o660)).unwrap();
        let meta = fs::metadata(computer.at("dev/ttyUSB0")).unwrap();
        let ports = OsSerialPorts::below(computer.0.path());
        let told = |members: &str| {
            computer.write(
                "etc/group",
                &format!("dialout:x:{}:{members}\n", meta.gid()),
            );
            computer.write(
                "etc/passwd",
                &format!("anna:x:{uid}:1000::/home/anna:/bin/sh\n"),
            );
            ports.denied("/dev/ttyUSB0", &meta)
        };
        assert_eq!(
            told("bob"),
            "Your account may not use /dev/ttyUSB0: it is for members of the group dialout. Run \
             `sudo usermod -aG dialout anna`, then log out and in again."
        );
        assert_eq!(
            told("bob,anna"),
            "Your account may use /dev/ttyUSB0 as a member of the group dialout, but became one \
             after this login. Log out and in again."
        );
        fs::set_permissions(computer.at("dev/ttyUSB0"), PermissionsExt::from_mode(0o600)).unwrap();
        let closed = fs::metadata(computer.at("dev/ttyUSB0")).unwrap();
        assert_eq!(
            ports.denied("/dev/ttyUSB0", &closed),
            "Only the system's administrator may use /dev/ttyUSB0. Ask them for access."
        );
    }

    #[test]
    fn a_real_terminal_is_usable_until_its_mode_forbids_it() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let path = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let path = path.into_string().unwrap();
        let ports = OsSerialPorts::new();
        let port = ports.look(&path).unwrap();
        assert_eq!((port.state, port.problem.as_str()), (PortState::Usable, ""));
        assert_eq!(port.path, path);

        rustix::fs::chmod(&path, Mode::empty()).unwrap();
        let looked = path.clone();
        // A mode does not bind root: this one thread becomes somebody else.
        let looks = std::thread::spawn(move || {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::thread::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            OsSerialPorts::new().look(&looked)
        });
        let port = looks.join().unwrap().unwrap();
        assert_eq!(port.state, PortState::Denied);
        drop(master);
        assert_eq!(ports.look(&path), None);
    }

    #[test]
    fn what_is_no_device_is_no_port() {
        let ports = OsSerialPorts::new();
        for path in ["/etc/passwd", "/dev", "/dev/nothing-like-this"] {
            assert_eq!(ports.look(path), None, "{path}");
        }
    }
}
