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

COMPLETIONS = [
    "usr/share/bash-completion/completions/kiln",
    "usr/share/fish/vendor_completions.d/kiln.fish",
]


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


def step(text):
    print(f"  {text}", flush=True)


def check(condition, text):
    if not condition:
        raise AssertionError(f"not so: {text}")
    step(text)


def fields(deb):
    text = subprocess.run(["dpkg-deb", "--field", deb], text=True, capture_output=True, check=True).stdout
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " ")


def describe(deb, again):
    print("the deb package describes itself", flush=True)
    told = fields(deb)
    for name in ["Version", "Architecture", "Maintainer", "Installed-Size", "Depends", "Section", "Description"]:
        check(told.get(name), f"it has a {name}: {told.get(name)}")
    check("libc6" in told["Depends"], "it depends on what its programs are linked with")
    check("appindicator" not in told["Depends"], "it asks for no indicator library")
    listing = subprocess.run(["dpkg-deb", "--contents", deb], text=True, capture_output=True, check=True).stdout
    owners = {line.split()[1] for line in listing.splitlines()}
    check(owners == {"root/root"}, "everything in it belongs to root")
    writable = [line for line in listing.splitlines() if line[0] != "l" and (line[5] == "w" or line[8] == "w")]
    check(not writable, "nobody else may write what is in it")
    check(pathlib.Path(deb).read_bytes() == pathlib.Path(again).read_bytes(),
          "made twice from the same programs it is the same file")


def deb(clean, old, new):
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

        check(machine.has("usr/share/man/man1/kiln.1.gz"), "the manual page is there")
        for path in [*COMPLETIONS, "usr/share/zsh/vendor-completions/_kiln"]:
            check(machine.has(path), f"{path} is there")
        completes = "source /usr/share/bash-completion/completions/kiln && complete -p kiln"
        check("kiln" in machine.run("bash", "-c", completes).stdout, "bash takes the completions")
        check(machine.has("usr/lib/systemd/user/kiln.service"), "the user unit is there")
        check(machine.has("usr/share/doc/kiln/copyright"), "the licence is told")
        broken = machine.run("dpkg", "--verify", "kiln").stdout
        check(not broken, "every file is as it was packed")

        unit = machine.root / "etc/systemd/user/default.target.wants/kiln.service"
        unit.parent.mkdir(parents=True)
        unit.symlink_to("/usr/lib/systemd/user/kiln.service")
        told = machine.apt("remove", "kiln").stdout
        check("stay in ~/.local/state/kiln" in told, "removing says what stays")
        check(not machine.has("usr/bin/kiln") and not machine.has("usr/share/man/man1/kiln.1.gz"),
              "its files are gone")
        state = machine.root / "home/anna/.local/state/kiln"
        check(any(state.iterdir()), "the user's data is still there")
        machine.apt("purge", "kiln")
        check(not unit.is_symlink(), "purging removes the link that was made for every user")
        check(any(state.iterdir()), "and not the user's data")
        left = machine.run("dpkg-query", "-W", "kiln", check=False)
        check(left.returncode != 0, "the system does not know it any more")


def rpm(package):
    print("the rpm package", flush=True)
    def ask(*words):
        return subprocess.run(["rpm", *words], text=True, capture_output=True, check=True).stdout
    listed = ask("-qpl", package).splitlines()
    for path in ["usr/bin/kiln", "usr/share/man/man1/kiln.1.gz", "usr/lib/systemd/user/kiln.service",
                 "usr/share/zsh/site-functions/_kiln", "usr/share/licenses/kiln/LICENSE", *COMPLETIONS]:
        check(f"/{path}" in listed, f"/{path} is in it")
    needs = ask("-qpR", package)
    check("libc.so.6" in needs, "it asks for the libraries of its programs")
    check("appindicator" not in needs, "it asks for no indicator library")
    scripts = ask("-qp", "--scripts", package)
    check("stay in ~/.local/state/kiln" in scripts, "its scripts leave the user's data alone")
    check("rm -r" not in scripts, "they remove no folder")
    with tempfile.TemporaryDirectory() as root:
        # Debian's rpm asks whether it is meant.
        options = ["--root", root, "--nodeps", "--noscripts", "--ignorearch", "--force-debian"]
        subprocess.run(["rpm", *options, "-i", package], check=True)
        said = subprocess.run([f"{root}/usr/bin/kiln", "--version"], text=True, capture_output=True, check=True)
        check(said.stdout.startswith("kiln "), "it is installed into an empty root and starts")
        check(not subprocess.run(["rpm", "--root", root, "-V", "--nodeps", "kiln"], text=True,
                                 capture_output=True, check=False).stdout, "every file is as it was packed")
        subprocess.run(["rpm", *options[:2], "--noscripts", "--force-debian", "-e", "kiln"], check=True)
        check(not os.path.exists(f"{root}/usr/bin/kiln"), "and it is removed again")


def main():
    parser = argparse.ArgumentParser()
    for name in ["root", "old", "new", "again", "rpm"]:
        parser.add_argument(f"--{name}", required=True)
    wanted = parser.parse_args()
    begun = time.monotonic()
    describe(wanted.new, wanted.again)
    deb(wanted.root, wanted.old, wanted.new)
    rpm(wanted.rpm)
    print(f"all of it in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"packages: {error}")
