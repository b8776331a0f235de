"""Stands in for `esphome` and does what hostile code in a bundle would do.

The configuration says what, in a comment `# hostile: KIND`. Without one it builds like the
stand-in of the rig, whose program it is given as first argument.
"""
import os
import re
import socket
import sys
import time
from pathlib import Path


def fork():
    """Doubles until nothing goes any more; nobody ends by himself."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.05)


def memory():
    """Asks for memory until it gets no more."""
    held = []
    while True:
        try:
            held.append(bytearray(1 << 30))
        except MemoryError:
            print("no more memory", flush=True)
            sys.exit(3)


def files():
    """Opens files until it may not."""
    held = []
    while True:
        try:
            held.append(open(os.devnull))
        except OSError as error:
            print(f"no more files: {len(held)} {error}", flush=True)
            sys.exit(3)


def disk():
    """Writes one file without an end."""
    with open("big", "wb") as big:
        block = bytes(1 << 24)
        while True:
            big.write(block)


def inodes():
    """Makes files without an end."""
    for number in range(10_000_000):
        folder = Path(f"many/{number // 1000}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).touch()


def log():
    """Prints without an end."""
    block = ("x" * 4000 + "\n") * 16
    while True:
        sys.stdout.write(block)


def lines():
    """Prints short lines without an end."""
    block = "x\n" * 10_000
    while True:
        sys.stdout.write(block)


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
