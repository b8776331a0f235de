"""A house with more than one Kiln, and the desktop in it: what the stories share. A script of stories is run as
`session --keyring python3 SCRIPT PROGRAMS SCREENSHOTS`, in a network of its own (`tests/rig/net run`)."""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import desktop
import webdriver
from desktop import until

PROGRAMS, SHOTS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
TESTS = pathlib.Path(__file__).resolve().parent.parent
ROOT = pathlib.Path(os.environ["DESKTOP_DIR"])
DEVICE = "esphome:\n  name: {0}\nesp8266:\n  board: d1_mini\nlogger:\napi:\nota:\n  - platform: esphome\n"


class Kiln:
    """One Kiln with a home of its own."""

    def __init__(self, name, **environment):
        self.name, self.home, self.process = name, ROOT / name, None
        self.config = ROOT / f"{name}-config"
        for folder in (self.home, self.config):
            folder.mkdir()
        # An ESPHome that takes a third of a second; it is a program, as Kiln wants one.
        esphome = self.config.parent / f"{name}-esphome"
        quick = ["/usr/bin/python3", str(TESTS / "rig/quick.py"), str(ROOT / f"{name}-flashed")]
        esphome.write_text(f"#!/bin/sh\nexec {shlex.join(quick)} \"$@\"\n")
        esphome.chmod(0o755)
        self.environment = {**os.environ, "KILN_HOME": str(self.home), "KILN_ESPHOME": str(esphome),
                            "NO_COLOR": "1", **environment}

    def spawn(self, program, *words, **more):
        log = (ROOT / f"{self.name}.log").open("ab")
        return subprocess.Popen([PROGRAMS / program, *words], env=self.environment, stdin=subprocess.DEVNULL,
                                stderr=log, **more)

    def serve(self, *words):
        """Starts the node alone; it is there when this returns."""
        self.process = self.spawn("kiln", "serve", "--json", "--listen-host", "127.0.0.1", *words,
                                  "--esphome-dir", str(self.config), stdout=subprocess.PIPE, text=True)
        return json.loads(self.process.stdout.readline())

    def put(self, name, text=DEVICE, **quick):
        """Writes the configuration of a device, whose build (`seconds`) and flash (`upload`) may take longer than a
        blink, and may not end well (`fails`)."""
        if quick:
            said = "".join(f"  quick_{what}: {seconds}\n" for what, seconds in quick.items())
            text = f"substitutions:\n{said}{text}"
        (self.config / f"{name}.yaml").write_text(text.format(name))

    def run(self, *words):
        return subprocess.run([PROGRAMS / "kiln", "--json", *words], env=self.environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)

    def ask(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, f"kiln {' '.join(words)}: {done.stderr}{done.stdout}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def status(self):
        return self.ask("status")

    def job(self, kind="compile"):
        """The newest job of this kind."""
        return next((job for job in self.ask("jobs")["jobs"] if job["kind"] == kind), None)

    def lend(self, folders):
        """Nobody touches mouse or keyboard here, and the tests need the processor: neither is to count. What is
        built for others may read these folders."""
        self.ask("settings", "set", "receiver=false", "idle_minutes=0", "cpu_limit=0", "ram_floor_mb=0",
                 "disk_floor_mb=0", "listen_host=127.0.0.1", f"build_folders={os.pathsep.join(map(str, folders))}")
        # What the owner switches counts at once.
        self.ask("settings", "set", "receiver=true")

    def pair(self, with_, *words):
        """Asks the other one, which shows it to its owner."""
        status = with_.status()
        return self.spawn("kiln", "--json", "pair", f"127.0.0.1:{status['listening_port']}",
                          "--pin", status["identity"]["pin_sha256"], "--wait", "--timeout", "60", *words,
                          stdout=subprocess.PIPE)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(timeout=20) == 0, self.process.returncode


class World:
    """The Kiln of this desktop and one elsewhere in the house; both live in this environment."""

    def __init__(self, **environment):
        self.here = Kiln("here", **environment)
        self.there = Kiln("there", KILN_SECRETS="file", **environment)
        self.shapes = {}

    @property
    def desk(self):
        return self.here.process

    def start(self, *words):
        self.here.process = self.here.spawn("kiln-desktop", *words)
        return desktop.item()

    def window(self):
        return webdriver.Window(PROGRAMS / "kiln-window", self.here.environment)

    def says(self, text, seconds=10.0):
        """Waits until the icon's menu begins with this, and returns it."""
        try:
            return until(f"the menu says {text!r}", lambda: _first(text), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe menu is {desktop.item().menu()}") from None

    def looks(self, state):
        """Waits until the icon has the shape of this state, which it has in no other that was seen."""
        if state in self.shapes:
            until(f"the icon is {state}", lambda: desktop.item().shape() == self.shapes[state])
            return
        shape = desktop.item().shape()
        assert shape not in self.shapes.values(), f"{state} looks as another state:\n{shape}"
        self.shapes[state] = shape

    def end(self):
        for kiln in (self.here, self.there):
            if kiln.process and kiln.process.poll() is None:
                kiln.process.kill()


def _first(text):
    lines = desktop.item().menu()
    return text in str(lines[0]) and lines


def skip_welcome(window):
    """Skips each screen of the first start."""
    for step in (1, 2, 3):
        window.until("the next step", lambda: f"Step {step} of 3" in window.dialogue())
        window.click("Skip")
    window.until("it is over", lambda: window.dialogue() == "")


def resident(pid):
    """Memory of a process in MB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def windows(display=os.environ["DISPLAY"]):
    """Windows of Kiln on the screen."""
    found = subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "kiln-window"],
                           env={**os.environ, "DISPLAY": display}, capture_output=True, text=True)
    return found.stdout.split()


def window_process():
    found = subprocess.run(["pgrep", "-x", "kiln-window"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def web_process(window):
    """The process that shows the pages of a window's."""
    found = subprocess.run(["pgrep", "-P", str(window), "-x", "WebKitWebProces"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def close(window):
    """Presses the cross of a window: there is no window manager that would do it."""
    class Message(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int),
                    ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("kind", ctypes.c_ulong),
                    ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 12)]
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.POINTER(Message)]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    message = Message(type=33, display=display, window=int(window), format=32,
                      kind=x11.XInternAtom(display, b"WM_PROTOCOLS", 0))
    message.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(display, int(window), 0, 0, ctypes.byref(message))
    x11.XCloseDisplay(display)

def play(world, stories):
    """Plays stories one after the other in one world, and shows what is on the screen and in the logs when one fails."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    try:
        for story in stories:
            began = time.monotonic()
            story(world)
            print(f"passed  {story.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
    except BaseException:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            desktop.screenshot(SHOTS / "failed.png")
        for log in sorted(ROOT.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        world.end()
    print(f"{len(stories)} passed")
