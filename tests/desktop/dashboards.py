"""The window and a real dashboard, and a real device: pairing both ways by clicking on both sides, builds that go from
one to the other, a key that changes. Run as `household` says; the rig of `tests/rig` has to be set up in RIG_HOME."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import desktop
import webdriver
from desktop import until
from household import ROOT, SHOTS, TESTS, World, play, skip_welcome

RIG = pathlib.Path(os.environ["RIG_HOME"])
PYTHON = RIG / "venv/bin/python"
# A chip whose toolchain is played (tests/rig/standin.py), for as long and with as many lines as is said here.
CHIP = ("substitutions:\n  standin_seconds: \"{1}\"\n  standin_lines: \"{2}\"\nesphome:\n  name: {0}\n"
        "esp8266:\n  board: d1_mini\nlogger:\n")
# A device that is a program on this computer, built by the real ESPHome.
PROGRAM = ("esphome:\n  name: lamp\n  friendly_name: Lamp v{0}\nhost:\nlogger:\napi:\n  port: {1}\n"
           "ota:\n  - platform: esphome\n    port: {2}\n")


class Dashboard:
    """A real dashboard; what a person clicks there is a command of its API."""

    NAME = "window"

    def __init__(self):
        self.info = json.loads(self._run("peer", "start", self.NAME, "--standin", "--fresh"))

    def restart(self):
        """Stops it and starts it again with what it knows."""
        self._run("peer", "stop", self.NAME)
        self._run("peer", "start", self.NAME, "--standin")

    def _run(self, script, *words):
        done = subprocess.run([PYTHON, TESTS / "rig" / script, *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{script} {' '.join(words)}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        return done.stdout

    def ask(self, *words):
        """The answer to one of the commands of `tests/rig/dash.py`."""
        return json.loads(self._run("dash.py", "--peer", self.NAME, *words) or "null")

    def jobs(self):
        """Newest first."""
        jobs = self.ask("raw", "firmware/get_jobs", "{}")
        return sorted(jobs, key=lambda job: job["created_at"], reverse=True)

    def put(self, name, text):
        """Writes the configuration of a device."""
        self.ask("raw", "devices/update_config", json.dumps({"configuration": f"{name}.yaml", "content": text}))


class Household(World):
    """The two Kilns and the dashboard."""

    def __init__(self):
        super().__init__(KILN_ESPHOME=str(RIG / "standin/bin/esphome"))
        self.dashboard = Dashboard()
        self.lamp = None
        own = subprocess.run([PYTHON, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True)
        # The stand-in is a shell script that leads to other folders than its own.
        self.folders = [TESTS / "rig", RIG / "venv", own.stdout.strip()]

    def end(self):
        if self.lamp:
            self.lamp.kill()
        self.dashboard._run("peer", "stop", self.dashboard.NAME)
        super().end()


def theirs(window):
    """The title of the key that is not this computer's."""
    return window.until("whose key it is", lambda: re.search("(?m)^Key of (?!this).*$", window.dialogue()))[0]


def compiled(window):
    """The numbers of the compile steps that are seen in the log."""
    return [int(n) for n in re.findall(r"(?m)^\[(\d+)/", window.run(
        "return [...document.querySelectorAll('[role=log] .line')].map((e) => e.innerText).join('\\n')"))]


def grows(window):
    """Waits until the log shows later steps than now. A build for others gets only what nobody else needs, so on a
    busy machine that may take long."""
    now = max(window.until("compile steps are seen", lambda: compiled(window), 180))
    return window.until("more steps are seen", lambda: max(compiled(window), default=0) > now, 600)


def compile_on(window, device, builder):
    """Lets a device be compiled by this builder, and opens its log."""
    window.go("Devices")
    window.click(f"More for {device}")
    window.click("Compile only")
    window.choose("Who builds", builder)
    window.click("Compile")
    window.until("it is under way", lambda: window.dialogue() == "")
    window.until("it is a job", lambda: window.run("return document.querySelector('[role=row] .plain') !== null"))
    window.click(f"More for {device}")
    window.click("Show log")
    window.until("its page is shown", lambda: window.heading() == device)


def a_dashboard_asks_and_is_approved_with_a_click(world):
    world.start("--hidden")
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    world.here.lend(world.folders)
    world.here.ask("settings", "set", "friendly_name=Desk", f"esphome_dir={world.here.config}")
    world.says("Ready.")
    dashboard = world.dashboard
    with world.window() as window:
        skip_welcome(window)
        window.go("Builders")
        window.click("Let others ask")
        window.shows("Others may ask for")
        status = world.here.status()
        assert dashboard.ask("preview", "127.0.0.1", str(status["listening_port"]))["pin_sha256"] \
            == status["identity"]["pin_sha256"]
        asked = dashboard.ask("pair", "127.0.0.1", str(status["listening_port"]), "--label", "Home",
                              "--pin", status["identity"]["pin_sha256"])
        assert asked["status"] == "pending", asked
        window.shows("Home asks to build on this computer.")
        window.click("Review…")
        names, digits = window.key(theirs(window))
        assert digits == dashboard.ask("identity")["pin_sha256"], digits
        assert len(names) == 7, names
        assert re.search(r"\d+ s left", window.dialogue()), window.dialogue()
        window.screenshot(SHOTS / "dashboard-request.png")
        window.click("Approve")
        window.until("it is done", lambda: window.dialogue() == "")
        assert dashboard.ask("wait-link")[0]["connected"]
        window.shows("Connected")
        assert window.complaints() == [], window.complaints()
    world.says("Ready to build for Home.")
    world.looks("ready")


def what_the_dashboard_installs_is_seen_being_built_here(world):
    dashboard = world.dashboard
    dashboard.put("fridge", CHIP.format("fridge", 6, 300))
    dashboard.ask("submit", "fridge.yaml", "--detach")
    with world.window() as window:
        # A dashboard sends nothing in its first 20 seconds.
        window.until("it is built", lambda: window.heading() == "Building fridge for Home", 180)
        world.says("Building fridge for Home")
        world.looks("building others")
        window.click("fridge")
        grows(window)
        window.screenshot(SHOTS / "dashboard-builds-here.png")
        window.shows("Successfully compiled program")
        until("it is theirs", lambda: dashboard.jobs()[0]["status"] == "completed", 30)
        assert dashboard.jobs()[0]["source"] == "remote", dashboard.jobs()[0]
        assert window.complaints() == [], window.complaints()


def a_dashboard_is_asked_and_approves(world):
    dashboard = world.dashboard
    dashboard.ask("open-window")
    with world.window() as window:
        window.go("Builders")
        window.click("Add a builder")
        window.type("Address", dashboard.info["link"])
        window.click("Next")
        title = theirs(window)
        assert window.key(title)[1] == dashboard.ask("identity")["pin_sha256"]
        window.type("Your name for it", "Green")
        window.click("They are the same, pair")
        window.until("its owner decides", lambda: "Its owner decides now." in window.dialogue())
        asks = until("it is seen there", lambda: [
            peer for peer in dashboard.ask("list")["peers"] if peer["status"] == "pending"])
        assert asks[0]["pin_sha256"] == window.key("Key of this computer")[1], asks
        dashboard.ask("approve")
        window.until("it is told", lambda: "Green builds for you from now on." in window.dialogue())
        window.click("Close")
        window.until("they are connected", lambda: world.here.status()["receivers"][0]["link"] == "connected")
        assert window.complaints() == [], window.complaints()


def a_build_on_the_dashboard_is_followed_searched_and_stopped(world):
    world.here.put("porch", CHIP.format("porch", 60, 3000))
    with world.window() as window:
        compile_on(window, "porch", "Green")
        window.shows("Built on Green.")
        world.looks("building mine")
        grows(window)
        assert window.pressed("Follow")
        window.press("[role=log]", webdriver.HOME)
        window.until("it stays where it was scrolled to", lambda: not window.pressed("Follow"))
        seen = window.until("its beginning is seen", lambda: 1 in compiled(window) and compiled(window))
        later = world.here.ask("jobs")["jobs"][0]["progress"]
        until("it goes on", lambda: world.here.ask("jobs")["jobs"][0]["progress"] > later)
        now = compiled(window)
        # Where the log does not fill the view yet, lines are added below.
        assert now[:len(seen)] == seen, f"it moved under the reader, from {seen} to {now}"
        window.type("Search in log", "obj/part42.cpp")
        window.until("it is found when it comes", lambda: "1 of 1" in window.text(), 180)
        window.click("Next")
        assert 42 in compiled(window), compiled(window)
        window.screenshot(SHOTS / "dashboard-log.png")
        window.click("Follow")
        grows(window)
        window.click("Stop")
        window.shows("Stopped")
        until("it is stopped there", lambda: dashboard_job(world)["status"] == "cancelled")
        assert world.here.job()["status"] == "cancelled"
        assert window.complaints() == [], window.complaints()


def dashboard_job(world):
    """The newest job of the dashboard that came from here."""
    return next(job for job in world.dashboard.jobs() if "porch" in job["configuration"])


def a_build_is_brought_home(world):
    world.here.put("porch", CHIP.format("porch", 6, 300))
    with world.window() as window:
        compile_on(window, "porch", "Green")
        window.shows("Built on Green.")
        grows(window)
        window.click("Build here instead")
        window.shows("Built on this computer.")
        grows(window)
        window.shows("Successfully compiled program")
        window.until("it is done", lambda: world.here.job()["status"] == "completed", 60)
        assert world.here.job()["placement"]["on"] == "local", world.here.job()
        until("it is stopped there", lambda: dashboard_job(world)["status"] == "cancelled")
        window.screenshot(SHOTS / "dashboard-built-here.png")
        assert window.complaints() == [], window.complaints()


def a_changed_key_is_an_alert_that_leads_to_a_new_pairing(world):
    dashboard = world.dashboard
    before = dashboard.ask("identity")["pin_sha256"]
    dashboard.ask("rotate")
    after = dashboard.ask("identity")["pin_sha256"]
    item = desktop.item()
    menu = world.says("Green answers with another identity.")
    assert item.status == "NeedsAttention", menu
    world.looks("attention")
    until("it is said", lambda: desktop.displayed() == 1)
    desktop.close_notifications()
    with world.window() as window:
        window.shows("Green needs your attention before it can build for you again.")
        window.click("Look at it")
        window.click("Solve…")
        assert window.key("Key until now")[1] == before
        assert window.key("New key")[1] == after
        window.screenshot(SHOTS / "dashboard-alert.png")
        window.click("Pair again…")
        window.click("Next")
        assert window.key(theirs(window))[1] == after
        dashboard.ask("open-window")
        window.click("They are the same, pair")
        # It has a new key, but it knows this computer's and has approved it.
        window.until("it is told", lambda: "Green builds for you from now on." in window.dialogue())
        window.click("Close")
        window.until("no alert is left", lambda: "needs your attention" not in window.text())
        assert window.complaints() == [], window.complaints()
    receiver, = world.here.status()["receivers"]
    assert receiver["pin_sha256"] == after and receiver["link"] == "connected", receiver
    assert item.status == "Active"
    world.looks("ready")


def after_a_restart_of_both_sides_they_are_connected_again_untouched(world):
    dashboard = world.dashboard
    desktop.item().click("Quit")
    assert world.desk.wait(timeout=30) == 0
    dashboard.restart()
    world.start("--hidden")
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    assert dashboard.ask("wait-link")[0]["connected"], "it builds here again"
    until("it builds for us again", lambda: world.here.status()["receivers"][0]["link"] == "connected", 60)
    world.says("Ready to build for Home.")
    assert desktop.displayed() == 0, "nobody has to do anything"


def a_real_device_is_installed_with_a_build_on_another_kiln(world):
    ports = [free_port(), free_port()]
    here, there = world.here, world.there
    (here.config / "lamp.yaml").write_text(PROGRAM.format(1, *ports))
    here.ask("compile", "lamp", "--local", "--wait", "--timeout", "600")
    plug_in(world, ports[0])
    there.serve("--listen-port", "0", "--receiver")
    there.lend([*world.folders])
    there.ask("window", "open")
    asking = here.pair(there, "--label", "Tower")
    asks, = until("it is asked", lambda: there.status()["requests"])
    there.ask("approve", asks["dashboard_id"], "--pin", here.status()["identity"]["pin_sha256"])
    assert asking.wait(timeout=20) == 0
    (here.config / "lamp.yaml").write_text(PROGRAM.format(2, *ports))
    with world.window() as window:
        window.go("Devices")
        window.click("More for Lamp v2")
        window.click("Install…")
        window.choose("Who builds", "Tower")
        window.choose("Where it goes", "Over the network, to an address")
        window.type("Address of the device", "127.0.0.1")
        window.click("Install")
        window.until("it is under way", lambda: window.dialogue() == "")
        job = until("it is a job", lambda: next(
            (job for job in here.ask("jobs")["jobs"] if job["kind"] == "compile" and job["status"] != "completed"
             and job["device_name"].startswith("Lamp")), None))
        window.run("location.hash = `#/job/${arguments[0]}`", job["id"])
        grows(window)
        window.shows("Built on Tower.")
        window.screenshot(SHOTS / "device-built.png")
        window.until("the device runs it", lambda: reports(ports[0]) == "Lamp v2", 900)
        window.go("Overview")
        window.shows("Flash")
        window.until("it is installed", lambda: here.job("upload")["status"] == "completed")
        window.screenshot(SHOTS / "device-installed.png")
        assert window.complaints() == [], window.complaints()


def plug_in(world, api):
    """Starts the device that was built here."""
    folder = ROOT / "lamp"
    folder.mkdir()
    built = world.here.config / ".esphome/build/lamp/.pioenvs/lamp/program"
    program = shutil.copy(built, folder / "lamp")
    pathlib.Path(program).chmod(0o755)
    log = (ROOT / "lamp.log").open("wb")
    world.lamp = subprocess.Popen([program], cwd=folder, env={**os.environ, "HOME": str(folder)}, stdout=log,
                                  stderr=log, stdin=subprocess.DEVNULL)
    until("the device is there", lambda: reports(api) == "Lamp v1", 30)


def reports(port):
    """What the device calls itself over its API, or nothing."""
    done = subprocess.run([PYTHON, TESTS / "rig/device.py", str(port)], capture_output=True, text=True)
    return json.loads(done.stdout)["friendly_name"] if done.returncode == 0 else ""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


STORIES = [
    a_dashboard_asks_and_is_approved_with_a_click,
    what_the_dashboard_installs_is_seen_being_built_here,
    a_dashboard_is_asked_and_approves,
    a_build_on_the_dashboard_is_followed_searched_and_stopped,
    a_build_is_brought_home,
    after_a_restart_of_both_sides_they_are_connected_again_untouched,
    a_changed_key_is_an_alert_that_leads_to_a_new_pairing,
    a_real_device_is_installed_with_a_build_on_another_kiln,
]

play(Household(), STORIES)
