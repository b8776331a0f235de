"""Real Wayland compositors without a screen, and somebody in front of them.

A compositor listens in a folder of its own, and one Kiln is told of it. It speaks only to who asks in
its own language, so that a few words of that are here, too.
"""
import asyncio
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from world import expect, until


class Compositor:
    """A compositor and the Kiln that it tells of its owner."""

    # What it has to be started by.
    STARTER = ()

    def __init__(self, world, kiln, program, *arguments, **env):
        # A socket has a short name at most (sun_path of unix(7)); a scenario's folder a long one.
        self.folder = tempfile.TemporaryDirectory(prefix="kiln-screen-")
        self.path, self.process = Path(self.folder.name), None
        # A copy has none of the rights that its file is given; nobody who runs tests can grant them.
        copy = shutil.copy(shutil.which(program), self.path)
        self.command = [*self.STARTER, copy, *arguments]
        self.env = {**env, "HOME": self.folder.name, "PATH": "/usr/bin:/bin",
                    "XDG_RUNTIME_DIR": self.folder.name}
        self.world = world
        for name in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_SESSION_TYPE"):
            kiln.env.pop(name, None)
        kiln.env["XDG_RUNTIME_DIR"] = self.folder.name
        kiln.env["WAYLAND_DISPLAY"] = self.NAME
        world.others.append(self)

    @property
    def socket(self):
        return self.path / self.NAME

    async def start(self):
        self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        async def listens():
            expect(self.process.poll() is None, f"{self.command[0]} runs")
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self.socket)) == 0
        await until(f"{self.command[0]} to listen", listens)

    def show(self, *command):
        """Starts a program there."""
        env = {**self.env, "WAYLAND_DISPLAY": self.NAME}
        return Program(self.world, env, *command)

    async def stop(self):
        """Ends as in a crash: nobody is told."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self.process.wait)
            self.process = None


class Program:
    """A program that somebody looks at."""

    def __init__(self, world, env, *command):
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.others.append(self)

    async def stop(self):
        self.process.kill()
        await asyncio.to_thread(self.process.wait)


class Sway(Compositor):
    """The one of wlroots, drawing for nobody. It does not run as root."""

    NAME, STARTER = "wayland-1", ("unshare", "--user", "--map-user=1000")

    def __init__(self, world, kiln):
        super().__init__(world, kiln, "sway", "--config", "/dev/null", WLR_BACKENDS="headless",
                         WLR_LIBINPUT_NO_DEVICES="1", WLR_RENDERER="pixman")


class KWin(Compositor):
    """KDE's, drawing for nobody."""

    NAME = "wayland-0"

    def __init__(self, world, kiln):
        super().__init__(world, kiln, "kwin_wayland", "--virtual", "--no-lockscreen",
                         "--no-global-shortcuts", "--socket", self.NAME,
                         KWIN_COMPOSE="Q", KWIN_WAYLAND_NO_PERMISSION_CHECKS="1")

    def touch(self):
        """Moves the mouse."""
        with Words(self.socket) as words:
            mouse = words.bind("org_kde_kwin_fake_input")
            words.say(mouse, 0, text("kiln") + text("moves the mouse"))
            for _ in range(2):
                # Fixed-point numbers of 24.8 bits.
                words.say(mouse, 1, struct.pack("=ii", 7 << 8, 7 << 8))
            words.heard()


class Words:
    """A connection that says a few words of Wayland's wire format."""

    DISPLAY, REGISTRY = 1, 2

    def __init__(self, path):
        self.stream, self.objects, self.globals = socket.socket(socket.AF_UNIX), 2, {}
        self.stream.settimeout(10)
        self.stream.connect(str(path))
        self.say(self.DISPLAY, 1, struct.pack("=I", self.REGISTRY))
        self.heard()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def say(self, target, opcode, body):
        self.stream.sendall(struct.pack("=II", target, (8 + len(body)) << 16 | opcode) + body)

    def new(self):
        self.objects += 1
        return self.objects

    def bind(self, interface):
        """Returns a new object of the first version of what the compositor offers."""
        made = self.new()
        self.say(self.REGISTRY, 0, struct.pack("=I", self.globals[interface]) + text(interface)
                 + struct.pack("=II", 1, made))
        return made

    def heard(self):
        """Waits until everything said was heard, and keeps what is offered."""
        answer = self.new()
        self.say(self.DISPLAY, 0, struct.pack("=I", answer))
        while True:
            source, size = struct.unpack("=II", self.read(8))
            body = self.read((size >> 16) - 8)
            if source == self.REGISTRY and size & 0xffff == 0:
                name, length = struct.unpack("=II", body[:8])
                self.globals[body[8:8 + length - 1].decode()] = name
            expect((source, size & 0xffff) != (self.DISPLAY, 0), f"it complains: {body}")
            if source == answer:
                return

    def read(self, size):
        read = b""
        while len(read) < size:
            more = self.stream.recv(size - len(read))
            expect(more, "it goes on talking")
            read += more
        return read


def text(words):
    raw = words.encode() + b"\0"
    return struct.pack("=I", len(raw)) + raw + bytes(-len(raw) % 4)
