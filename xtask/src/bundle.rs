//! `cargo xtask bundle`: installer packages, from one list of what belongs on a user's machine.
//!
//! Files are staged once and packed by each system's own tools: `dpkg-deb` and `rpmbuild` know every
//! rule of their formats, work without a network, and write the same bytes for the same files.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::check_os::Cross;
use crate::packages::{self, Need};
use crate::run::{Outcome, cargo, command, output, root, run, say, target};

/// A program that every package contains.
struct Program {
    name: &'static str,
    package: &'static str,
    /// A file that is there as soon as the workspace has the program.
    shows: &'static str,
}

/// All programs.
const PROGRAMS: &[Program] = &[
    Program {
        name: "kiln",
        package: "kiln",
        shows: "crates/kiln",
    },
    Program {
        name: "kiln-desktop",
        package: "kiln-desktop",
        shows: "tauri.conf.json",
    },
    Program {
        name: "kiln-window",
        package: "kiln-desktop",
        shows: "tauri.conf.json",
    },
];

/// Desktop id and AppStream id.
const ID: &str = "io.esphome.kiln";

const DEB: &[Need] = &[
    Need::new("dpkg-deb", "dpkg"),
    Need::new("dpkg-shlibdeps", "dpkg-dev"),
    Need::new("strip", "binutils"),
];

const RPM: &[Need] = &[Need::new("rpmbuild", "rpm"), Need::new("strip", "binutils")];

const NSIS: &[Need] = &[
    Need::new("makensis", "nsis"),
    Need::new("x86_64-w64-mingw32-strip", "binutils-mingw-w64-x86-64"),
];

/// What was asked for.
struct Options {
    formats: Vec<&'static str>,
    profile: &'static str,
    version: String,
}

impl Options {
    /// No format yet, of the version of this tree.
    fn release() -> Self {
        Self {
            formats: Vec::new(),
            profile: "release",
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Makes the named packages, or deb and rpm; they lie in `target/bundle`.
pub fn bundle(arguments: &[String]) -> Outcome {
    let mut options = Options::release();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "deb" => options.formats.push("deb"),
            "rpm" => options.formats.push("rpm"),
            "nsis" => options.formats.push("nsis"),
            "--debug" => options.profile = "debug",
            "--as-version" => {
                let version = arguments.next().ok_or("--as-version needs a version")?;
                options.version.clone_from(version);
            }
            other => return Err(format!("bundle has no option {other}")),
        }
    }
    if options.formats.is_empty() {
        options.formats = vec!["deb", "rpm"];
    }
    make(&options).map(drop)
}

/// Makes deb and rpm of what would be released, and returns where they lie.
pub fn release() -> Outcome<Vec<PathBuf>> {
    let formats = vec!["deb", "rpm"];
    make(&Options {
        formats,
        ..Options::release()
    })
}

fn make(options: &Options) -> Outcome<Vec<PathBuf>> {
    let out = target().join("bundle");
    fs::create_dir_all(&out).map_err(|e| at(&out, &e))?;
    let linux = options.formats.iter().any(|f| *f != "nsis");
    if linux {
        build(options)?;
    }
    let mut made = Vec::new();
    for format in &options.formats {
        made.push(match *format {
            "deb" => deb(options, &out)?,
            "rpm" => rpm(options, &out)?,
            _ => {
                crate::ui::build()?;
                nsis(&Cross::new()?, &options.version)?
            }
        });
    }
    say("packages");
    for file in &made {
        let size = fs::metadata(file).map_err(|e| at(file, &e))?.len();
        println!("{:9.1} kB  {}", size as f64 / 1000.0, file.display());
    }
    Ok(made)
}

/// The programs that this tree has.
fn programs() -> impl Iterator<Item = &'static Program> {
    PROGRAMS.iter().filter(|p| root().join(p.shows).exists())
}

fn has_desktop() -> bool {
    programs().any(|p| p.name == "kiln-desktop")
}

fn build(options: &Options) -> Outcome {
    say("building the programs");
    if options.profile == "debug" {
        return crate::programs::build();
    }
    packages::ensure(&[packages::BUILD, packages::WEBVIEW])?;
    crate::ui::build()?;
    // Each package alone, so that the headless program carries nothing of the desktop's.
    let mut names: Vec<&str> = programs().map(|p| p.package).collect();
    names.dedup();
    for name in names {
        run(&mut cargo(&[
            "build",
            "--locked",
            "--release",
            "--bins",
            "--package",
            name,
        ]))?;
    }
    Ok(())
}

/// A tree as it will be below `/`.
struct Stage {
    root: PathBuf,
}

impl Stage {
    /// Puts everything that both kinds of packages share into an empty folder.
    fn new(options: &Options, folder: PathBuf, zsh: &str) -> Outcome<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| at(&folder, &e))?;
        }
        let stage = Self { root: folder };
        let built = target().join(options.profile);
        for program in programs() {
            let to = stage.place(&format!("usr/bin/{}", program.name), 0o755)?;
            run(command("strip", &["--strip-unneeded", "-o"])
                .arg(&to)
                .arg(built.join(program.name)))?;
        }
        let kiln = built.join("kiln");
        let page = output(&mut command(&kiln, &["man"]))?;
        stage.page("kiln.1", &page)?;
        for (shell, path) in [
            ("bash", "usr/share/bash-completion/completions/kiln"),
            ("fish", "usr/share/fish/vendor_completions.d/kiln.fish"),
            ("zsh", zsh),
        ] {
            let script = output(&mut command(&kiln, &["completions", shell]))?;
            stage.write(path, &format!("{script}\n"))?;
        }
        stage.copy(
            "packaging/linux/kiln.service",
            "usr/lib/systemd/user/kiln.service",
        )?;
        if has_desktop() {
            stage.desktop(&options.version)?;
        }
        Ok(stage)
    }

    fn desktop(&self, version: &str) -> Outcome {
        let entry = format!("packaging/linux/{ID}.desktop");
        self.copy(&entry, &format!("usr/share/applications/{ID}.desktop"))?;
        let metainfo = metainfo(version)?;
        self.write(&format!("usr/share/metainfo/{ID}.metainfo.xml"), &metainfo)?;
        let apps =
            |size: &str, kind: &str| format!("usr/share/icons/hicolor/{size}/apps/kiln.{kind}");
        self.copy("icons/kiln.svg", &apps("scalable", "svg"))?;
        for (file, size) in [
            ("32x32.png", "32x32"),
            ("128x128.png", "128x128"),
            ("128x128@2x.png", "256x256"),
        ] {
            self.copy(&format!("icons/{file}"), &apps(size, "png"))?;
        }
        let page = read("packaging/linux/kiln-desktop.1")?;
        self.page("kiln-desktop.1", &page)?;
        self.page("kiln-window.1", ".so man1/kiln-desktop.1\n")
    }

    /// Makes the folders of a file, which the caller then writes, and returns where it goes.
    fn place(&self, path: &str, mode: u32) -> Outcome<PathBuf> {
        let to = self.root.join(path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
        }
        fs::write(&to, "").map_err(|e| at(&to, &e))?;
        // Whatever this account's umask says.
        fs::set_permissions(&to, PermissionsExt::from_mode(mode)).map_err(|e| at(&to, &e))?;
        Ok(to)
    }

    fn write(&self, path: &str, text: &str) -> Outcome {
        let to = self.place(path, 0o644)?;
        fs::write(&to, text).map_err(|e| at(&to, &e))
    }

    fn copy(&self, from: &str, path: &str) -> Outcome {
        let to = self.place(path, 0o644)?;
        let from = root().join(from);
        let bytes = fs::read(&from).map_err(|e| at(&from, &e))?;
        fs::write(&to, bytes).map_err(|e| at(&to, &e))
    }

    /// A manual page of section 1, packed as both systems want it.
    fn page(&self, name: &str, text: &str) -> Outcome {
        let path = format!("usr/share/man/man1/{name}");
        self.write(&path, text)?;
        run(command("gzip", &["-9nf"]).arg(self.root.join(path)))
    }

    /// Every staged file, as a path from `/`, in order.
    fn files(&self) -> Outcome<Vec<String>> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|e| at(&folder, &e))? {
                let path = entry.map_err(|e| at(&folder, &e))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(below) = path.strip_prefix(&self.root) {
                    files.push(format!("/{}", below.display()));
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// The AppStream file of a version.
pub fn metainfo(version: &str) -> Outcome<String> {
    let date = output(&mut command(
        "date",
        &["-u", "-d", &format!("@{}", epoch()?), "+%F"],
    ))?;
    let text = read(&format!("packaging/linux/{ID}.metainfo.xml"))?;
    Ok(text.replace("@VERSION@", version).replace("@DATE@", &date))
}

/// The time of the last commit: the same sources give the same package.
fn epoch() -> Outcome<String> {
    output(&mut command("git", &["log", "-1", "--format=%ct"]))
}

fn deb(options: &Options, out: &Path) -> Outcome<PathBuf> {
    packages::ensure(&[DEB])?;
    say("making the deb package");
    let zsh = "usr/share/zsh/vendor-completions/_kiln";
    let stage = Stage::new(options, out.join("stage-deb"), zsh)?;
    stage.copy("packaging/linux/copyright", "usr/share/doc/kiln/copyright")?;
    stage.copy("README.md", "usr/share/doc/kiln/README.md")?;
    for script in ["postinst", "postrm"] {
        let to = stage.place(&format!("DEBIAN/{script}"), 0o755)?;
        fs::write(&to, read(&format!("packaging/linux/{script}"))?).map_err(|e| at(&to, &e))?;
    }
    let architecture = output(&mut command("dpkg", &["--print-architecture"]))?;
    let kilobytes =
        output(command("du", &["-sk", "--apparent-size", "--exclude=DEBIAN"]).arg(&stage.root))?;
    let kilobytes = kilobytes
        .split_whitespace()
        .next()
        .unwrap_or("0")
        .to_owned();
    let description: Vec<String> = read("packaging/linux/description.txt")?
        .lines()
        .map(|line| {
            if line.is_empty() {
                " .".to_owned()
            } else {
                format!(" {line}")
            }
        })
        .collect();
    let version = debian_version(&options.version);
    let control = format!(
        "Package: kiln\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: Kiln contributors <contributors@kiln.invalid>\nInstalled-Size: {kilobytes}\n\
         Depends: {}\nRecommends: bubblewrap, python3-venv, git\nSuggests: gnome-keyring\nSection: devel\n\
         Priority: optional\nDescription: Build companion for ESPHome households\n{}\n",
        shared_libraries(&stage, out)?,
        description.join("\n"),
    );
    stage.write("DEBIAN/control", &control)?;
    let sums: Vec<String> = stage
        .files()?
        .iter()
        .filter(|file| !file.starts_with("/DEBIAN/"))
        .map(|file| file.trim_start_matches('/').to_owned())
        .collect();
    let sums = output(command("md5sum", &[]).args(&sums).current_dir(&stage.root))?;
    stage.write("DEBIAN/md5sums", &format!("{sums}\n"))?;
    folders_are_open(&stage.root)?;
    let file = out.join(format!("kiln_{version}_{architecture}.deb"));
    let pack = if options.profile == "release" {
        ["-Zxz", "-z9"]
    } else {
        ["-Zgzip", "-z1"]
    };
    run(command("dpkg-deb", &["--build", "--root-owner-group"])
        .args(pack)
        .args([&stage.root, &file])
        .env("SOURCE_DATE_EPOCH", epoch()?))?;
    Ok(file)
}

/// A pre-release sorts before its release.
fn debian_version(version: &str) -> String {
    version.replace('-', "~")
}

/// What the programs are linked with, as packages of the system that this runs on.
fn shared_libraries(stage: &Stage, out: &Path) -> Outcome<String> {
    // The tool looks for the source package around it.
    let source = out.join("shlibdeps");
    fs::create_dir_all(source.join("debian")).map_err(|e| at(&source, &e))?;
    let control = "Source: kiln\nPackage: kiln\nArchitecture: any\n";
    fs::write(source.join("debian/control"), control).map_err(|e| at(&source, &e))?;
    let mut tool = command("dpkg-shlibdeps", &["-O"]);
    tool.args(programs().map(|p| stage.root.join("usr/bin").join(p.name)));
    let said = output(tool.current_dir(&source))?;
    let depends = said
        .lines()
        .find_map(|line| line.strip_prefix("shlibs:Depends="));
    depends
        .map(str::to_owned)
        .ok_or("dpkg-shlibdeps names no libraries".to_owned())
}

/// Folders that everybody may enter, whatever this account's umask is.
fn folders_are_open(root: &Path) -> Outcome {
    run(command("find", &[])
        .arg(root)
        .args(["-type", "d", "-exec", "chmod", "0755", "{}", "+"]))
}

fn rpm(options: &Options, out: &Path) -> Outcome<PathBuf> {
    packages::ensure(&[RPM])?;
    say("making the rpm package");
    let zsh = "usr/share/zsh/site-functions/_kiln";
    let stage = Stage::new(options, out.join("stage-rpm"), zsh)?;
    stage.copy("LICENSE", "usr/share/licenses/kiln/LICENSE")?;
    stage.copy("README.md", "usr/share/doc/kiln/README.md")?;
    let list: Vec<String> = stage
        .files()?
        .into_iter()
        .map(|file| match file.split('/').nth(3) {
            Some("man" | "doc") => format!("%doc {file}"),
            Some("licenses") => format!("%license {file}"),
            _ => file,
        })
        .collect();
    let version = debian_version(&options.version);
    let spec = read("packaging/linux/kiln.spec")?
        .replace("@VERSION@", &version)
        .replace(
            "@DESCRIPTION@",
            read("packaging/linux/description.txt")?.trim_end(),
        )
        .replace("@FILES@", &list.join("\n"));
    let spec_file = out.join("kiln.spec");
    fs::write(&spec_file, spec).map_err(|e| at(&spec_file, &e))?;
    folders_are_open(&stage.root)?;
    let work = out.join("rpmbuild");
    let pack = if options.profile == "release" {
        // Its window holds all programs, which share much: half the size of zstd's.
        "w9.xzdio"
    } else {
        "w1.gzdio"
    };
    let mut build = command("rpmbuild", &["-bb", "--quiet", "--noclean"]);
    for definition in [
        format!("_topdir {}", work.display()),
        format!("_rpmdir {}", out.display()),
        format!("_dbpath {}", work.join("db").display()),
        "_rpmfilename kiln-%{VERSION}-%{RELEASE}.%{ARCH}.rpm".to_owned(),
        format!("_binary_payload {pack}"),
        // Programs are stripped already, and nothing else of a Fedora build applies.
        "debug_package %{nil}".to_owned(),
        "__os_install_post %{nil}".to_owned(),
        "_build_id_links none".to_owned(),
        // The same files give the same package.
        "_buildhost kiln".to_owned(),
        "use_source_date_epoch_as_buildtime 1".to_owned(),
        "clamp_mtime_to_source_date_epoch 1".to_owned(),
    ] {
        build.args(["--define", &definition]);
    }
    build.arg("--buildroot").arg(&stage.root).arg(&spec_file);
    run(build.env("SOURCE_DATE_EPOCH", epoch()?))?;
    let architecture = output(&mut command("rpm", &["--eval", "%{_arch}"]))?;
    Ok(out.join(format!("kiln-{version}-1.{architecture}.rpm")))
}

/// Makes the Windows installer, of programs that are linked with MinGW and not optimised: what is
/// given out is made on Windows.
pub fn nsis(cross: &Cross, version: &str) -> Outcome<PathBuf> {
    packages::ensure(&[NSIS])?;
    say("linking the programs for Windows");
    let mut names: Vec<&str> = programs().map(|p| p.package).collect();
    names.dedup();
    let built = cross.build_for_windows(&names)?;
    say("making the Windows installer");
    let out = target().join("bundle");
    let stage = out.join("stage-nsis");
    fs::create_dir_all(&stage).map_err(|e| at(&stage, &e))?;
    for program in programs() {
        let name = format!("{}.exe", program.name);
        run(command("x86_64-w64-mingw32-strip", &["-o"])
            .arg(stage.join(&name))
            .arg(built.join(&name)))?;
    }
    if has_desktop() {
        // The toolkit's loader of WebView2 is a library of its own when MinGW links.
        let loader = "WebView2Loader.dll";
        let from = built.join(loader);
        fs::copy(&from, stage.join(loader)).map_err(|e| at(&from, &e))?;
    }
    let file = out.join(format!("kiln-{version}-setup.exe"));
    let define = |name: &str, value: &Path| format!("-D{name}={}", value.display());
    run(
        command("makensis", &["-V2", &format!("-DVERSION={version}")])
            .arg(define("PROGRAMS", &stage))
            .arg(define("LICENSE", &root().join("LICENSE")))
            .arg(define("OUT", &file))
            .arg(root().join("packaging/windows/kiln.nsi"))
            .env("SOURCE_DATE_EPOCH", epoch()?),
    )?;
    Ok(file)
}

fn read(path: &str) -> Outcome<String> {
    let path = root().join(path);
    fs::read_to_string(&path).map_err(|e| at(&path, &e))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
