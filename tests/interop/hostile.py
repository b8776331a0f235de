"""Stands in for `esphome` and does what hostile code in a bundle would do.

The configuration says what, in a comment `# hostile: KIND`. Without one it builds like the
stand-in of the rig, whose program it is given as first argument.
"""
import contextlib
import itertools
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path


# 512 programs are too many, and some of them are those that make the box.
PROGRAMS = 508


def breach():
    """Notes when it asked for more than it may have."""
    Path("breached").write_text(str(time.time()))


def fork(then=lambda: time.sleep(60)):
    """Doubles ten times, to twice what is allowed: what more would do, the machine that tests need not feel."""
    forks = os.open("forks", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for _ in range(10):
        # Each before it is made: others may see the new one before this one does.
        os.write(forks, b".")
        if os.fstat(forks).st_size >= PROGRAMS and not Path("breached").exists():
            breach()
        try:
            os.fork()
        except OSError:
            break
    while True:
        then()


def spin():
    """Doubles as well, and none of its programs ever rests."""
    fork(then=lambda: None)


def cpu():
    """Keeps 120 programs with four threads each busy, which is nearly all that it may have, and takes all cores,
    more priority and a few sessions of its own, if it may."""
    for what, take in (("cores", lambda: os.sched_setaffinity(0, range(os.cpu_count()))),
                       ("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, 0))):
        try:
            take()
            print(f"took {what}", flush=True)
        except OSError as error:
            print(f"held: {what}: {error.strerror}", flush=True)
    # Nearly all of them are in a session that they began themselves, where they may.
    if os.fork():
        os.wait()
    with contextlib.suppress(PermissionError):
        os.setsid()
    # All begin together: who is busy already lets nobody else get ready.
    (wait, begin), (ready, tell) = os.pipe(), os.pipe()
    number = next((number for number in range(119) if os.fork() == 0), None)
    first = number is None
    if not first:
        os.close(begin)
        if number < 8:
            with contextlib.suppress(PermissionError):
                os.setsid()

    def toil():
        os.read(wait, 1)
        while True:
            pass
    for _ in range(3):
        threading.Thread(target=toil).start()
    if first:
        for _ in range(119):
            os.read(ready, 1)
        print("now all of them are busy", flush=True)
        os.close(begin)
    os.write(tell, b".")
    toil()


def memory():
    """Takes memory until it gets no more; three quarters of the machine's are too much."""
    block, held = 64 << 20, []
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4
    while True:
        held.append(bytearray(block))
        if most < len(held) * block <= most + block:
            breach()


def files():
    """Opens files until it may not."""
    held = []
    while True:
        if len(held) == 1_000:
            breach()
        try:
            held.append(open(os.devnull))
        except OSError as error:
            print(f"no more files: {len(held)} {error}", flush=True)
            sys.exit(3)


def disk():
    """Lets one file grow without an end; with holes, so that it takes no time."""
    with open("big", "wb", buffering=0) as big:
        for number in itertools.count(1):
            # One more is too many.
            if number == 127:
                breach()
            big.seek(1 << 24, os.SEEK_CUR)
            big.write(b"x")


def disks():
    """Makes big files without an end, each as large as one may be."""
    for number in range(1_000):
        with open(f"big{number}", "wb") as big:
            big.truncate(1 << 30)
        if number == 5:
            breach()
        time.sleep(0.1)


def inodes():
    """Makes empty files without an end; 400,000 are too many."""
    for number in itertools.count(1):
        os.makedirs(f"many/{number}")
        for file in range(1_000):
            os.mknod(f"many/{number}/{file}")
        if number == 400:
            breach()


def log():
    """Prints without an end."""
    block = ("x" * 4095 + "\n") * 256
    for number in itertools.count(1):
        sys.stdout.write(block)
        if number == 64:
            breach()


def lines():
    """Prints short lines without an end."""
    block = "x\n" * 10_000
    for number in itertools.count(1):
        sys.stdout.write(block)
        if number == 4:
            breach()


def poison():
    """Changes whatever the next build of somebody else could use, and leaves a program behind."""
    for place in (Path(sys.prefix), Path(sys.executable).parent, Path.home().parent.parent.parent,
                  Path(os.environ["ESPHOME_DATA_DIR"]).parent.parent, Path("/tmp"), Path("/var/tmp")):
        for name in ("poison", "sitecustomize.py", "esphome"):
            try:
                (place / name).write_text("raise SystemExit('poisoned')")
                print(f"wrote {place / name}", flush=True)
            except OSError as error:
                print(f"held: {place / name}: {error.strerror}", flush=True)
    # Toolchains lie in the home of a build. Those of its own sender it can change.
    toolchain = Path.home() / ".platformio/packages/toolchain"
    toolchain.mkdir(parents=True, exist_ok=True)
    (toolchain / "poison").write_text("a compiler that lies")
    print(f"changed the toolchain of {toolchain}", flush=True)
    for address in (("127.0.0.1", 6052), ("10.77.0.1", 6055), ("192.168.1.1", 80)):
        try:
            socket.create_connection(address, 1).close()
            print(f"reached {address}", flush=True)
        except OSError as error:
            print(f"held: {address}: {error}", flush=True)
    if os.fork() == 0:
        os.setpgid(0, 0)
        os.closerange(0, 3)
        time.sleep(600)
    sys.exit(3)


def main():
    program, arguments = sys.argv[1], sys.argv[2:]
    yamls = [a for a in arguments if a.endswith((".yaml", ".yml"))]
    if "compile" in arguments and yamls:
        kind = re.search(r"^# hostile: (\w+)", Path(yamls[0]).read_text(), re.M)
        if kind:
            print(f"hostile: {kind[1]}", flush=True)
            globals()[kind[1]]()
    os.execv(program, [program, *arguments])


if __name__ == "__main__":
    main()
