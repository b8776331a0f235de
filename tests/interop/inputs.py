"""What Kiln hears of the machine and of its owner: scripted services on a private bus, real Wayland
compositors, and real load.

What a screen says, and a real person's input, is in `guest`.
"""
import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from compositors import KWin, Program, Sway
from devices import chip
from guest import Owner, reason, runs_here
from receiving import admit, compilers, free_port
from world import TESTS, expect, holds, slowness, until

# Most of it is waiting.
AT_ONCE = 3

# Everything is read every ten seconds.
READ = 25.0


class Services:
    """A bus of its own for one Kiln, and who plays the services on it."""

    def __init__(self, kiln):
        self.kiln, self.events, self.running, self.reading = kiln, [], [], None
        # A socket has a short name at most (sun_path of unix(7)); a scenario's folder a long one.
        self.folder = tempfile.TemporaryDirectory(prefix="kiln-bus-")

    async def start(self, world, *names):
        world.others.append(self)
        await self.play(*names)
        return self

    async def play(self, *names):
        bus = await asyncio.create_subprocess_exec(
            "dbus-daemon", "--session", "--nofork", "--print-address=1",
            f"--address=unix:path={self.folder.name}/bus", stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.running.append(bus)
        address = (await bus.stdout.readline()).decode().strip()
        expect(address, "there is a bus")
        # Without its id, as systems name theirs: one that begins again has another.
        address = address.split(",")[0]
        self.kiln.env["DBUS_SYSTEM_BUS_ADDRESS"] = address
        self.kiln.env["DBUS_SESSION_BUS_ADDRESS"] = address
        self.played = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", str(TESTS / "interop/services.py"), *names,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"DBUS_SESSION_BUS_ADDRESS": address, "PATH": "/usr/bin:/bin"})
        self.running.append(self.played)
        expect(json.loads(await self.played.stdout.readline()) == {"ready": True}, "it plays")
        self.reading = asyncio.ensure_future(self.read())

    async def breaks(self):
        """The bus ends, as it does when it crashes, and who played on it."""
        self.reading.cancel()
        for process in reversed(self.running):
            process.kill()
            await process.wait()
        self.running.clear()
        (Path(self.folder.name) / "bus").unlink(missing_ok=True)

    async def read(self):
        while line := await self.played.stdout.readline():
            self.events.append(json.loads(line))

    async def order(self, **words):
        self.played.stdin.write(json.dumps(words).encode() + b"\n")
        await self.played.stdin.drain()

    async def say(self, service, name, value):
        await self.order(set=[service, name, value])

    async def hears(self, times=1, **event):
        async def probe():
            return self.events.count(event) >= times
        await until(f"{event}, {times} times in {self.events}", probe)

    async def stop(self):
        if self.reading:
            self.reading.cancel()
        for process in reversed(self.running):
            if process.returncode is None:
                process.kill()
            await process.wait()
        self.folder.cleanup()


async def shows(kiln, name, value, verdict, seconds=READ):
    """Wait until an input is shown with this value and verdict."""
    async def probe():
        rows = (await kiln.status())["availability"]["inputs"]
        row = next(row for row in rows if row["input"] == name)
        return (row["value"], row["verdict"]) == (value, verdict)
    await until(f"{name} to be {value!r}, which {verdict}", probe, seconds)


async def test_power_saving_and_heat_are_told_by_the_systems_power_profiles(world):
    kiln = world.kiln()
    services = await Services(kiln).start(world, "profiles")
    await kiln.receive()
    await shows(kiln, "power_saver", "off", "ok")
    await shows(kiln, "thermal", "normal", "ok")
    await services.say("profiles", "ActiveProfile", "power-saver")
    await shows(kiln, "power_saver", "on", "blocks")
    await reason(kiln, "power_saver")
    await services.say("profiles", "ActiveProfile", "balanced")
    await services.say("profiles", "PerformanceDegraded", "high-operating-temperature")
    await shows(kiln, "thermal", "hot", "blocks")
    await reason(kiln, "thermal")


async def test_a_metered_network_is_told_by_the_network_manager(world):
    kiln = world.kiln()
    services = await Services(kiln).start(world, "network")
    await kiln.receive()
    await shows(kiln, "network", "not metered", "ok")
    await services.say("network", "Metered", 1)
    await shows(kiln, "network", "metered", "blocks")
    await reason(kiln, "metered")


async def test_an_owner_without_a_screen_is_told_by_the_login_manager(world):
    kiln = world.kiln()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"):
        kiln.env.pop(name, None)
    services = await Services(kiln).start(world, "login")
    await kiln.receive()
    # A hint that nobody ever set says nothing.
    await shows(kiln, "activity", "", "unknown")
    expect(time.monotonic() > 330, "this machine runs for six minutes")
    await services.say("login", "IdleSinceHintMonotonic", int((time.monotonic() - 330) * 1e6))
    await services.say("login", "IdleHint", True)
    await shows(kiln, "activity", "5 min without input", "ok")
    await services.say("login", "IdleHint", False)
    await shows(kiln, "activity", "input within the last minute", "blocks")
    await reason(kiln, "user_active")


async def owner_at_a_desktop(world, service):
    kiln = world.kiln()
    kiln.env["WAYLAND_DISPLAY"] = "wayland-0"
    services = await Services(kiln).start(world, service)
    await services.say(service, "idle", 3_600_000)
    await kiln.receive()
    await shows(kiln, "activity", "1 h without input", "ok")
    await services.say(service, "idle", 700)
    await shows(kiln, "activity", "input within the last minute", "blocks")
    await reason(kiln, "user_active")


async def test_an_owner_at_gnome_is_told_by_its_idle_monitor(world):
    await owner_at_a_desktop(world, "mutter")


async def test_an_owner_at_kde_is_told_by_its_screen_saver(world):
    await owner_at_a_desktop(world, "screensaver")


class Terminal:
    """A shell's terminal, as somebody who comes over SSH has one."""

    def __init__(self, world):
        world.others.append(self)
        # Its first process has no terminal itself, as that of SSH.
        self.script = subprocess.Popen(
            ["script", "--quiet", "--flush", "--command", "tty; exec cat", "/dev/null"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.path = self.script.stdout.readline().decode().strip()
        expect(self.path.startswith("/dev/pts/"), f"it has a terminal: {self.path}")

    def is_left(self, seconds):
        """Nobody typed for so long."""
        when = time.time() - seconds
        os.utime(self.path, (when, when))

    def types(self, text):
        self.script.stdin.write(text)
        self.script.stdin.flush()

    async def stop(self):
        self.script.kill()
        self.script.wait()


async def test_somebody_who_comes_over_ssh_counts_as_the_owner_says(world):
    kiln, terminal = world.kiln(), Terminal(world)
    services = await Services(kiln).start(world, "login")
    await kiln.receive()
    await shows(kiln, "remote", "nobody", "ok")
    told = {"Class": "user", "State": "active", "Type": "tty", "Remote": True, "Display": "",
            "IdleHint": False, "IdleSinceHintMonotonic": 0}
    # Some systems name the terminal, others only the first process of the session.
    for name, more in (("named", {"TTY": terminal.path.removeprefix("/dev/"), "Leader": 0}),
                       ("found", {"TTY": "", "Leader": terminal.script.pid})):
        terminal.is_left(330)
        await services.order(login=[name, told | more])
        await shows(kiln, "remote", "SSH: 5 min without input", "ok")
        terminal.types(b"kiln status\n")
        await shows(kiln, "remote", "SSH: input within the last minute", "ok")
        await kiln.ask("settings", "set", "remote_sessions", "count")
        await shows(kiln, "remote", "SSH: input within the last minute", "blocks")
        await reason(kiln, "user_active")
        await services.order(logout=name)
        await shows(kiln, "remote", "nobody", "ok")
        await reason(kiln, "ready", 90)
        await kiln.ask("settings", "set", "remote_sessions", "desktop")
test_somebody_who_comes_over_ssh_counts_as_the_owner_says.seconds = 600


async def test_somebody_at_a_remote_desktop_counts_unless_the_owner_says_otherwise(world):
    kiln = world.kiln()
    services = await Services(kiln).start(world, "login")
    await kiln.receive()
    await shows(kiln, "remote", "nobody", "ok")
    told = {"Class": "user", "State": "active", "Type": "x11", "Remote": False, "TTY": "",
            "Leader": 0}
    silent = told | {"Display": "", "IdleHint": False, "IdleSinceHintMonotonic": 0}
    await services.order(login=["silent", silent])
    await shows(kiln, "remote", "remote desktop: its last input is not told", "unknown")
    await services.order(logout="silent")
    left = told | {"Display": "", "IdleHint": True, "IdleSinceHintMonotonic": int((time.monotonic() - 330) * 1e6)}
    await services.order(login=["left", left])
    await shows(kiln, "remote", "remote desktop: 5 min without input", "ok")
    await services.order(logout="left")
    # What the X server itself says is believed first.
    visitor = Owner(world, SimpleNamespace(env={}))
    visitor.comes()
    await services.order(login=["at_work", left | {"Display": visitor.display}])
    await shows(kiln, "remote", "remote desktop: input within the last minute", "blocks")
    await reason(kiln, "user_active")
    await kiln.ask("settings", "set", "remote_sessions", "ignore")
    await reason(kiln, "ready", 90)
    await shows(kiln, "remote", "remote desktop: input within the last minute", "ok")


async def test_an_owner_at_a_wayland_compositor_is_told_by_it_also_after_it_starts_again(world):
    kiln = world.kiln()
    compositor = KWin(world, kiln)
    await compositor.start()
    await kiln.receive()
    await kiln.ask("settings", "set", "idle_minutes=1")
    await shows(kiln, "activity", "input within the last minute", "blocks")
    await reason(kiln, "user_active")
    await compositor.stop()
    await compositor.start()
    await shows(kiln, "activity", "1 min without input", "ok", 60 + 2 * READ)
    compositor.touch()
    await shows(kiln, "activity", "input within the last minute", "blocks")
test_an_owner_at_a_wayland_compositor_is_told_by_it_also_after_it_starts_again.seconds = 600


async def fills_the_screen(kiln, show, program, option):
    """Show this program in a window, then in full screen."""
    show(program)
    await shows(kiln, "full_screen", "none in full screen", "ok")
    show(program, option)
    await shows(kiln, "full_screen", "a program in full screen", "blocks")
    # It may have opened just now, and stays so for its dwell.
    await reason(kiln, "exclusive_app", 90)
    await kiln.ask("settings", "set", "beside_full_screen", "on")
    await shows(kiln, "full_screen", "a program in full screen", "ok")
    await reason(kiln, "ready")


async def test_a_program_in_full_screen_is_told_by_a_wayland_compositor(world):
    kiln = world.kiln()
    sway = Sway(world, kiln)
    await sway.start()
    await kiln.receive()
    await fills_the_screen(kiln, sway.show, "foot", "--fullscreen")


async def test_a_program_in_full_screen_is_told_by_a_window_manager_and_by_nobody_else(world):
    kiln = world.kiln()
    owner = Owner(world, kiln)
    await kiln.receive()
    # Only the screen is looked at, not the mouse.
    await kiln.ask("settings", "set", "idle_minutes=0")
    await shows(kiln, "full_screen", "", "unknown")

    def show(*command):
        return Program(world, {"DISPLAY": owner.display, "PATH": "/usr/bin:/bin"}, *command)
    show("matchbox-window-manager")
    await fills_the_screen(kiln, show, "xterm", "-fullscreen")


async def test_a_program_that_needs_the_processor_is_noticed(world):
    kiln = world.kiln()
    kiln.env["WAYLAND_DISPLAY"] = "wayland-0"
    services = await Services(kiln).start(world, "mutter")
    await services.say("mutter", "idle", 3_600_000)
    await kiln.receive()
    burners = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count())]
    try:
        await reason(kiln, "cpu_busy", 60)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


async def test_who_looks_for_it_after_a_sleep_finds_it(world):
    kiln, neighbour = world.kiln(), world.kiln("neighbour")
    services = await Services(kiln).start(world, "login")
    await kiln.serve("--receiver", "--listen-host", "0.0.0.0", "--listen-port", "0")
    await services.hears(taken=["sleep", "delay"])
    await services.order(sleep=True)
    await services.hears(released=["sleep", "delay"])
    await services.order(sleep=False)
    await services.hears(taken=["sleep", "delay"], times=2)
    await neighbour.serve("--no-receiver")
    slower, begun = await slowness(), time.monotonic()

    async def found():
        hosts = (await neighbour.status())["discovered"]
        return [host for host in hosts if host["pin_sha256"] == kiln.pin]
    await until("it to be found", found)
    # What docs/INTENDED-BEHAVIOUR.md promises.
    holds("found after it woke up", time.monotonic() - begun, 3, slower)


async def test_a_bus_that_ends_and_begins_again_is_heard_again(world):
    kiln = world.kiln()
    services = await Services(kiln).start(world, "login", "network", "mutter")
    kiln.env["WAYLAND_DISPLAY"] = "wayland-0"
    await services.say("mutter", "idle", 3_600_000)
    await kiln.receive()
    await services.hears(taken=["sleep", "delay"])
    await shows(kiln, "network", "not metered", "ok")
    await services.breaks()
    await shows(kiln, "network", "", "unknown")
    await services.play("login", "network", "mutter")
    await services.say("network", "Metered", 1)
    await services.say("mutter", "idle", 3_600_000)
    # What was not there is looked for once a minute, and read every ten seconds.
    await shows(kiln, "network", "metered", "blocks", 90)
    await shows(kiln, "activity", "1 h without input", "ok", 90)
    services.events.clear()

    async def asleep():
        await services.order(sleep=True)
        return (await kiln.status())["availability"]["reason"] == "sleeping"
    await until("it to hear of a sleep", asleep, 90)
    await services.order(sleep=False)
    await services.hears(taken=["sleep", "delay"])


async def test_a_login_manager_that_does_not_answer_holds_nothing_up(world):
    dash = await world.dashboard("hung")
    kiln = world.kiln()
    services = await Services(kiln).start(world, "login")
    await kiln.receive()
    await services.hears(taken=["sleep", "delay"])
    await admit(dash, kiln)
    await dash.sends()
    services.played.send_signal(signal.SIGSTOP)
    await dash.put("hung.yaml", chip("hung"))
    job = await dash.reaches(await dash.submit("hung.yaml"), "completed")
    expect(job["source"] == "remote", f"built on Kiln: {job['source']}")


async def test_a_sleep_waits_for_the_senders_and_after_it_they_are_served_again(world):
    dash = await world.dashboard("sleep")
    kiln = world.kiln()
    services = await Services(kiln).start(world, "login")
    await kiln.serve("--receiver", "--listen-host", "127.0.0.1", "--listen-port", str(free_port()))
    await services.hears(taken=["sleep", "delay"])
    await admit(dash, kiln)
    await kiln.ask("window", "close")
    await dash.sends()
    await dash.put("tired.yaml", chip("tired", seconds=60))
    job = await dash.submit("tired.yaml")
    await runs_here(dash, kiln, job)
    # Only while a build of others goes on the idle system is kept awake.
    await services.hears(taken=["idle", "block"])
    await services.say("login", "LidClosed", True)
    await services.hears(released=["idle", "block"])
    await services.say("login", "LidClosed", False)
    await services.hears(taken=["idle", "block"], times=2)
    expect({"released": ["sleep", "delay"]} not in services.events, "a sleep would wait")
    begun = time.monotonic()
    await services.order(sleep=True)
    await services.hears(released=["sleep", "delay"])
    print(f"       the sleep may come {time.monotonic() - begun:.2f} s after it was told", flush=True)
    await services.hears(released=["idle", "block"], times=2)
    expect((await kiln.status())["availability"]["reason"] == "sleeping", "it says so")

    async def quiet():
        return not compilers(kiln)
    await until("no process of the build to be left", quiet, 15)
    await dash.put("tired.yaml", chip("tired"))
    slower, begun = await slowness(), time.monotonic()
    await services.order(sleep=False)

    async def serves():
        view = await kiln.status()
        return view["availability"]["reason"] == "ready" and view["listening_port"]
    await until("it to serve again", serves)
    # What docs/INTENDED-BEHAVIOUR.md promises.
    holds("serves after it woke up", time.monotonic() - begun, 3, slower)
    await services.hears(taken=["sleep", "delay"], times=2)
    await dash.linked()
    print(f"       its sender is back {time.monotonic() - begun:.2f} s after it woke up", flush=True)
    job = await dash.final(job)
    expect(job["status"] == "completed", f"{job['status']} {job.get('error')}")
    expect(job["source"] == "local", f"built by the sender: {job['source']}")
    twice = [j for j in await kiln.jobs() if j["configuration"] == "tired.yaml"]
    expect(len(twice) == 1, f"no job twice: {twice}")
