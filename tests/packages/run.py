#!/usr/bin/env python3
"""Installs the packages into clean roots, uses them, upgrades, removes and purges them, as a person would.

run.py --root CLEAN --old OLD.deb --new NEW.deb --again NEW.deb --rpm NEW.rpm

CLEAN is a minimal Debian that is copied, never changed. Needs root: it makes mounts in a namespace of
its own.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

# What both packages put into a system, as `docs/INSTALLERS.md` says; the rest is where each wants it.
SHIPPED = [
    "usr/bin/kiln",
    "usr/bin/kiln-desktop",
    "usr/bin/kiln-window",
    "usr/lib/systemd/user/kiln.service",
    "usr/share/applications/io.esphome.kiln.desktop",
    "usr/share/bash-completion/completions/kiln",
    "usr/share/doc/kiln/README.md",
    "usr/share/fish/vendor_completions.d/kiln.fish",
    "usr/share/icons/hicolor/128x128/apps/kiln.png",
    "usr/share/icons/hicolor/256x256/apps/kiln.png",
    "usr/share/icons/hicolor/32x32/apps/kiln.png",
    "usr/share/icons/hicolor/scalable/apps/kiln.svg",
    "usr/share/man/man1/kiln-desktop.1.gz",
    "usr/share/man/man1/kiln-window.1.gz",
    "usr/share/man/man1/kiln.1.gz",
    "usr/share/metainfo/io.esphome.kiln.metainfo.xml",
]
DEB = [*SHIPPED, "usr/share/doc/kiln/copyright", "usr/share/zsh/vendor-completions/_kiln"]
RPM = [*SHIPPED, "usr/share/licenses/kiln/LICENSE", "usr/share/zsh/site-functions/_kiln"]


class Machine:
    """A root of its own, in which programs run as they would after a start."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def run(self, *command, user="root", check=True):
        inside = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", *command]
        words = ["unshare", "--mount", "--net", "--pid", "--fork", f"--mount-proc={self.root}/proc",
                 "chroot", str(self.root), *(command if user == "root" else inside)]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive",
                       "HOME": "/root" if user == "root" else f"/home/{user}"}
        done = subprocess.run(words, env=environment, text=True, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done

    def has(self, path):
        return (self.root / path).exists()

    def put(self, file):
        shutil.copy(file, self.root / "tmp")
        return f"/tmp/{os.path.basename(file)}"

    def apt(self, *words):
        # Everything that a package needs is in the clean root, and there is no network to fetch more from.
        return self.run("apt-get", "-qy", "--no-install-recommends",
                        "-o", "Dpkg::Use-Pty=0", *words)


# A node, asked from a second process of the same namespace, and stopped politely.
USE = """
set -e
export KILN_SECRETS=file
kiln serve --json --no-receiver >/tmp/ready 2>/tmp/serve.log &
for _ in $(seq 600); do [ -s /tmp/ready ] && break; sleep 0.1; done
[ -s /tmp/ready ] || { cat /tmp/serve.log >&2; exit 1; }
kiln --json status
kiln stop >/dev/null
wait
rm /tmp/ready
"""


def use(machine):
    """Serves as an ordinary user and returns what `kiln status` says."""
    return json.loads(machine.run("sh", "-c", USE, user="anna").stdout)


def link_unit(machine):
    """Does what `systemctl --global enable kiln` does."""
    unit = machine.root / "etc/systemd/user/default.target.wants/kiln.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.symlink_to("/usr/lib/systemd/user/kiln.service")
    return unit


def step(text):
    print(f"  {text}", flush=True)


def check(condition, text):
    if not condition:
        raise AssertionError(f"not so: {text}")
    step(text)


def fields(deb):
    text = subprocess.run(["dpkg-deb", "--field", deb], text=True, capture_output=True, check=True).stdout
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " ")


def contains(listed, wanted):
    check(sorted(listed) == sorted(wanted), f"it contains {len(wanted)} files and nothing else")


def describe(deb, again):
    print("the deb package describes itself", flush=True)
    told = fields(deb)
    for name in ["Version", "Architecture", "Maintainer", "Installed-Size", "Depends", "Section", "Description"]:
        check(told.get(name), f"it has a {name}: {told.get(name)}")
    check("libc6" in told["Depends"], "it depends on what its programs are linked with")
    check("appindicator" not in told["Depends"], "it asks for no indicator library")
    check("bubblewrap" in told["Recommends"].split(", "), "it comes with what builds of others are locked into")
    listing = subprocess.run(["dpkg-deb", "--contents", deb], text=True, capture_output=True, check=True).stdout
    contains([line.split()[5][2:] for line in listing.splitlines() if line[0] == "-"], DEB)
    owners = {line.split()[1] for line in listing.splitlines()}
    check(owners == {"root/root"}, "everything in it belongs to root")
    writable = [line for line in listing.splitlines() if line[0] != "l" and (line[5] == "w" or line[8] == "w")]
    check(not writable, "nobody else may write what is in it")
    check(pathlib.Path(deb).read_bytes() == pathlib.Path(again).read_bytes(),
          "made twice from the same programs it is the same file")


def packages(clean, old, new, old_rpm, new_rpm):
    print("the deb package in a clean Debian", flush=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(clean)) as folder:
        machine = Machine(f"{folder}/root")
        # With its devices and owners, and without copying what the file system can share.
        subprocess.run(["cp", "-a", "--reflink=auto", clean, machine.root], check=True)
        machine.run("useradd", "--create-home", "anna")

        machine.apt("install", machine.put(old))
        check(machine.run("kiln", "--version").stdout.startswith("kiln "), "the older one is installed and starts")
        before = use(machine)["identity"]["dashboard_id"]
        check(before, "it serves a user and answers `kiln status`")

        told = machine.apt("install", machine.put(new)).stdout
        check("stays at version" in told, "the upgrade says that what runs stays as it is")
        check(machine.run("dpkg-query", "-W", "-f", "${Version}", "kiln").stdout == fields(new)["Version"],
              "the newer one is installed over it")
        check(use(machine)["identity"]["dashboard_id"] == before, "the user's identity is the same after the upgrade")

        check(all(machine.has(path) for path in DEB), "all of its files are there")
        for program in ["kiln-desktop", "kiln-window"]:
            said = machine.run(program, "--version").stdout
            check(said.startswith("kiln-desktop "), f"{program} finds its libraries and starts")
        completes = "source /usr/share/bash-completion/completions/kiln && complete -p kiln"
        check("kiln" in machine.run("bash", "-c", completes).stdout, "bash takes the completions")
        broken = machine.run("dpkg", "--verify", "kiln").stdout
        check(not broken, "every file is as it was packed")

        unit = link_unit(machine)
        told = machine.apt("remove", "kiln").stdout
        check("stay in ~/.local/state/kiln" in told, "removing says what stays")
        check(not any(machine.has(path) for path in DEB), "its files are gone")
        state = machine.root / "home/anna/.local/state/kiln"
        check(any(state.iterdir()), "the user's data is still there")
        machine.apt("purge", "kiln")
        check(not unit.is_symlink(), "purging removes the link that was made for every user")
        check(any(state.iterdir()), "and not the user's data")
        left = machine.run("dpkg-query", "-W", "kiln", check=False)
        check(left.returncode != 0, "the system does not know it any more")
        rpm(machine, old_rpm, new_rpm)


def rpm(machine, old, new):
    print("the rpm package in the same system", flush=True)
    def ask(*words):
        return subprocess.run(["rpm", *words], text=True, capture_output=True, check=True).stdout
    def change(*words):
        # There is no Fedora here: what the package needs is there under other names, and Debian's rpm asks whether
        # it is meant. Its scripts run inside.
        return ask("--root", str(machine.root), "--nodeps", "--force-debian", *words)
    contains([path[1:] for path in ask("-qpl", new).splitlines()], RPM)
    needs = ask("-qpR", new)
    check("libc.so.6" in needs, "it asks for the libraries of its programs")
    check("appindicator" not in needs, "it asks for no indicator library")
    check("bubblewrap" in ask("-qp", "--recommends", new).split(), "it comes with what builds of others are locked into")

    change("-i", "--ignorearch", old)
    before = use(machine)["identity"]["dashboard_id"]
    check(before, "the older one is installed, serves a user and answers `kiln status`")
    told = change("-U", "--ignorearch", new)
    check("stays at its version" in told, "the upgrade says that what runs stays as it is")
    version = ["--qf", "%{VERSION}"]
    check(ask("--root", str(machine.root), "-q", *version, "kiln") == ask("-qp", *version, new),
          "the newer one is installed over it")
    check(use(machine)["identity"]["dashboard_id"] == before, "the user's identity is the same after the upgrade")
    broken = subprocess.run(["rpm", "--root", str(machine.root), "-V", "--nodeps", "kiln"], text=True,
                            capture_output=True, check=False).stdout
    check(not broken, "every file is as it was packed")

    unit = link_unit(machine)
    told = change("-e", "kiln")
    check("stay in ~/.local/state/kiln" in told, "removing says what stays")
    check(not any(machine.has(path) for path in RPM), "its files are gone")
    check(not unit.is_symlink(), "and the link that was made for every user")
    state = machine.root / "home/anna/.local/state/kiln"
    check(any(state.iterdir()), "and not the user's data")


def main():
    parser = argparse.ArgumentParser()
    for name in ["root", "old", "new", "again", "old-rpm", "new-rpm"]:
        parser.add_argument(f"--{name}", required=True)
    wanted = parser.parse_args()
    begun = time.monotonic()
    describe(wanted.new, wanted.again)
    packages(wanted.root, wanted.old, wanted.new, wanted.old_rpm, wanted.new_rpm)
    print(f"all of it in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"packages: {error}")
