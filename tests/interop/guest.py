"""A good guest: the owner of a receiver needs it back, at every stage of a job, for every reason.

What counts is what the sender's user sees: completed, wherever it was built, and never FAILED.
All reasons at all stages are in `matrix`, and between two Kilns in simulated time in
tests/system/lending.rs; here are those that tell the most in a few minutes.
"""
import asyncio
import collections
import itertools
import os
import random
import signal
import subprocess
import time

from battery import Battery
from devices import chip, host
from receiving import admit, compilers, free_port
from world import PATIENCE, expect, holds, slowness, until

# Most of it is waiting.
AT_ONCE = 3

NUMBERS = itertools.count(1)

# How often Kilns are killed while real builds give way, at each tier, and how many take turns in that:
# most of it is waiting. YIELD_SEED repeats a run.
KILLS = int(os.environ.get("YIELD_KILLS") or 9)
PAIRS = int(os.environ.get("YIELD_PAIRS") or 6)
SEED = int(os.environ.get("YIELD_SEED") or random.SystemRandom().randrange(1_000_000))

# A build of others has the lowest priority: on a busy machine it takes its time to begin.
COMPILER = 300.0

# Who is in the way for so long does not only pass by: then a build is stopped.
STAYS = 10.0

# A session ends only after an absence of two minutes whose end is not known.
LONG = 180.0


async def stage(world, tier=3, name="kiln"):
    """A dashboard that can build everything itself, paired with a Kiln on a laptop."""
    dash = await world.dashboard(f"guest{next(NUMBERS)}")
    kiln = world.kiln(name)
    if tier == 2:
        kiln.without_bubblewrap()
    kiln.battery = Battery(kiln.folder / "power_supply")
    kiln.env["KILN_POWER_SUPPLY"] = str(kiln.battery.folder)
    # It is found where it was when it listens again.
    kiln.port = free_port()
    await serve(kiln)
    held = (await kiln.status())["sandbox"]
    expect(held["tier"] == tier, f"builds are boxed: {held}")
    await admit(dash, kiln)
    # Who waits for somebody to pair with is there whatever happens.
    await kiln.ask("window", "close")
    await dash.sends()
    return dash, kiln


async def serve(kiln):
    await kiln.serve("--receiver", "--listen-host", "127.0.0.1", "--listen-port", str(kiln.port))


async def reason(kiln, code, seconds=PATIENCE):
    async def probe():
        return (await kiln.status())["availability"]["reason"] == code
    await until(f"the reason {code}", probe, seconds)


# Each reason: how it begins and how it ends.

async def by_pause(kiln):
    await kiln.ask("pause", "2h")
    return "snoozed", lambda: kiln.ask("resume")


async def by_hours(kiln):
    day = time.strftime("%a", time.gmtime(time.time() + 3 * 86_400)).lower()
    await kiln.ask("settings", "set", "hours", f"{day} 00:00-01:00")
    return "hours", lambda: kiln.ask("settings", "set", "hours=")


async def by_battery(kiln):
    kiln.battery.unplug()

    async def plug_in():
        kiln.battery.plug_in()
    return "battery", plug_in


async def by_disk(kiln):
    await kiln.ask("settings", "set", "disk_floor_mb", "400000000")
    return "low_disk", lambda: kiln.ask("settings", "set", "disk_floor_mb", "0")


async def by_memory(kiln):
    await kiln.ask("settings", "set", "ram_floor_mb", "400000000")
    return "low_ram", lambda: kiln.ask("settings", "set", "ram_floor_mb", "0")


async def by_program(kiln):
    await kiln.ask("settings", "set", "exclusive_apps", "sh, bash, python, python3, kiln")
    return "exclusive_app", lambda: kiln.ask("settings", "set", "exclusive_apps=")


async def by_switch(kiln):
    await kiln.ask("settings", "set", "receiver", "off")
    return "user_off", lambda: kiln.ask("settings", "set", "receiver", "on")


REASONS = [by_pause, by_hours, by_battery, by_disk, by_memory, by_program, by_switch]


async def back(dash, kiln, end):
    """The reason is over. A Kiln that begins anew has no dwell to wait for."""
    await end()
    await kiln.stop()
    await serve(kiln)
    await reason(kiln, "ready")
    await dash.linked()


def seen(stage, code, job):
    """One cell of what senders see."""
    print(f"       {stage}, {code}: {job['status']} {job['source']}", flush=True)
    expect(job["status"] == "completed", f"{stage}, {code}: {job['status']} {job.get('error')}")


async def runs_here(dash, kiln, job):
    """Wait until this job's build runs on Kiln."""
    async def probe():
        state = await dash.job(job)
        where = f"{state['status']} {state.get('source')} {state.get('error')}"
        expect(state["status"] not in ("completed", "failed", "cancelled"), f"it ended: {where}")
        lines = "".join(state.get("output") or [])
        expect("Building CXX" not in lines or state["source"] == "remote",
               f"it is built on Kiln: {where}\n{lines[-600:]}\n{await kiln.jobs()}")
        return "Building CXX" in lines and compilers(kiln)
    await until("the build on Kiln", probe, 120)


async def building(dash, kiln, begin, name):
    await dash.put(f"{name}.yaml", chip(name, seconds=25, lines=250))
    job = await dash.submit(f"{name}.yaml")
    await runs_here(dash, kiln, job)
    code, end = await begin(kiln)
    await reason(kiln, code)
    # What is built again at home need not take as long.
    await dash.put(f"{name}.yaml", chip(name))
    seen("building", code, await dash.final(job))

    async def quiet():
        return not compilers(kiln)
    await until("no process of the build to be left", quiet, 15)
    return end


async def queued(dash, kiln, begin, name):
    kiln.put("own.yaml", chip("own", seconds=20))
    own = (await kiln.ask("compile", "own", "--local"))["jobs"][0]["id"]
    await dash.put(f"{name}.yaml", chip(name))
    job = await dash.submit(f"{name}.yaml")

    async def waits():
        return [j for j in await kiln.jobs() if j["status"] == "queued"
                and j["origin"]["by"] == "offloader"]
    await until("the job to wait on Kiln", waits)
    code, end = await begin(kiln)
    await reason(kiln, code)
    seen("queued", code, await dash.final(job, LONG + PATIENCE))
    own = await kiln.final(own)
    expect(own["status"] == "completed", f"the owner's own build: {own['status']}")
    return end


class Slow:
    """A relay that lets one direction through at a few MB per second and tells how far it is."""

    def __init__(self, proxy):
        self.proxy, self.bytes = proxy, {"up": 0, "down": 0}
        proxy._pump = self.pump

    async def pump(self, reader, writer):
        host, port = self.proxy.target
        peer = writer.get_extra_info("peername")
        way = "up" if peer and peer[1] == port else "down"
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                self.bytes[way] += len(data)
                if self.bytes[way] > 200_000:
                    await asyncio.sleep(len(data) / 3_000_000)
            writer.close()
        except OSError:
            writer.close()

    async def passed(self, way, amount):
        async def probe():
            return self.bytes[way] > amount
        await until(f"{amount} bytes {way}", probe, 240)


async def through_a_slow_network(world, dash, kiln):
    host, port = kiln.address.rsplit(":", 1)
    slow = Slow(await world.proxy(host, int(port)))
    await dash.dash.call("remote_build/edit_pairing_endpoint", pin_sha256=kiln.pin,
                         hostname="127.0.0.1", port=slow.proxy.port)
    await dash.linked()
    return slow


async def transfer(world, begin, way):
    dash, kiln = await stage(world)
    slow = await through_a_slow_network(world, dash, kiln)
    if way == "up":
        parts = dash.config / "parts/ballast"
        parts.mkdir(parents=True, exist_ok=True)
        (parts / "__init__.py").write_text("CONFIG_SCHEMA = {}\n")
        (parts / "ballast.bin").write_bytes(os.urandom(9_000_000))
        text = chip("moved", extra="external_components:\n  - source:\n      type: local\n"
                                   "      path: parts\n")
    else:
        text = chip("moved", size=9_000_000)
    await dash.put("moved.yaml", text)
    slow.bytes.update(up=0, down=0)
    job = await dash.submit("moved.yaml")
    await slow.passed(way, 1_000_000)
    code, _ = await begin(kiln)
    await reason(kiln, code)
    job = await dash.final(job, LONG + PATIENCE)
    seen({"up": "uploading", "down": "downloading"}[way], code, job)
    if way == "down":
        expect(job["source"] == "remote", "what was built here is not built twice")


async def test_every_reason_while_a_build_runs_ends_completed_at_the_sender(world):
    dash, kiln = await stage(world)
    await kiln.ask("settings", "set", "yield_minutes", "0")
    for number, begin in enumerate(REASONS):
        end = await building(dash, kiln, begin, f"running-{number}")
        await back(dash, kiln, end)
test_every_reason_while_a_build_runs_ends_completed_at_the_sender.seconds = 720


async def test_what_waits_here_is_handed_back_and_completes_at_the_sender(world):
    dash, kiln = await stage(world)
    for number, begin in enumerate([by_pause, by_hours, by_switch]):
        end = await queued(dash, kiln, begin, f"waiting-{number}")
        await back(dash, kiln, end)


async def test_a_whole_queue_of_a_sender_goes_home_when_the_owner_pauses(world):
    dash, kiln = await stage(world)
    names = [f"queue-{number}" for number in range(5)]
    # Each is chosen and bundled as soon as the one before is handed back.
    await dash.put(f"{names[0]}.yaml", chip(names[0], seconds=25, lines=250))
    for name in names[1:]:
        await dash.put(f"{name}.yaml", chip(name))
    jobs = [await dash.submit(f"{name}.yaml") for name in names]
    await runs_here(dash, kiln, jobs[0])
    await dash.put(f"{names[0]}.yaml", chip(names[0]))
    code, _ = await by_pause(kiln)
    await reason(kiln, code)
    for job in jobs:
        seen("in a queue", code, await dash.final(job, LONG))
    await dash.unlinked(LONG)


async def test_an_upload_is_heard_out_whatever_the_reason(world):
    await transfer(world, by_pause, "up")


async def test_an_upload_is_heard_out_when_receiving_is_switched_off(world):
    await transfer(world, by_switch, "up")


async def test_a_result_is_fetched_whole_whatever_the_reason(world):
    await transfer(world, by_pause, "down")


async def test_a_result_is_fetched_whole_when_receiving_is_switched_off(world):
    await transfer(world, by_switch, "down")


async def test_on_battery_nothing_new_is_taken_and_on_mains_it_serves_again_by_itself(world):
    dash, kiln = await stage(world)
    kiln.battery.unplug()
    await reason(kiln, "battery")
    code, text, _ = await kiln.run("status")
    expect(text.startswith("Paused: on battery. Resumes on mains."), text)
    await dash.unlinked(LONG)
    view = await kiln.status()
    expect(view["listening_port"] is None, "nothing listens while it is away")
    pairing = (await dash.pairings())[0]
    expect(pairing["status"] == "approved", f"no alarm at the sender: {pairing}")
    await dash.put("elsewhere.yaml", chip("elsewhere"))
    job = await dash.reaches(await dash.submit("elsewhere.yaml"), "completed")
    expect(job["source"] == "local", f"built by the sender: {job['source']}")
    kiln.battery.plug_in()
    await reason(kiln, "ready", 75)
    await dash.linked()
    await dash.put("here.yaml", chip("here"))
    job = await dash.reaches(await dash.submit("here.yaml"), "completed")
    expect(job["source"] == "remote", f"built on Kiln: {job['source']}")
test_on_battery_nothing_new_is_taken_and_on_mains_it_serves_again_by_itself.seconds = 600


class Owner:
    """A screen, and somebody in front of it."""

    def __init__(self, world, kiln):
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-nolisten", "tcp"],
                                       pass_fds=[write], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as told:
            self.display = f":{told.readline().strip()}"
        kiln.env["DISPLAY"] = self.display
        kiln.env.pop("WAYLAND_DISPLAY", None)
        self.sits = None
        world.others.append(self)

    def touch(self):
        subprocess.run(["xdotool", "mousemove_relative", "7", "7"], check=True,
                       env={"DISPLAY": self.display, "PATH": "/usr/bin:/bin"})

    def comes(self):
        """Begins to use the mouse all the time."""
        async def move():
            while True:
                self.touch()
                await asyncio.sleep(0.5)
        self.touch()
        self.sits = asyncio.ensure_future(move())

    def leaves(self):
        if self.sits:
            self.sits.cancel()
            self.sits = None

    async def stop(self):
        self.leaves()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait()


def builds(kiln):
    """Processes of builds, as (pid, state, cores, command): they, or what they work on, lie in the cache."""
    place, found = str(kiln.home / "cache"), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as line:
                command = line.read().replace("\0", " ")
            if "kiln serve" in command or place not in command + os.readlink(f"/proc/{pid}/cwd"):
                continue
            with open(f"/proc/{pid}/status") as status:
                facts = dict(line.split(":", 1) for line in status)
        except OSError:
            continue
        found.append((pid, facts["State"].split()[0], facts["Cpus_allowed_list"].strip(), command))
    return found


async def compiles(kiln):
    return any("cc1plus" in command for *_, command in builds(kiln))


async def runs_free(kiln):
    """On all cores, as it was begun."""
    now = builds(kiln)
    return now and not any(cores.isdigit() for _, _, cores, _ in now)


async def has_few_cores(kiln):
    now = builds(kiln)
    return now and all(cores.isdigit() for _, _, cores, _ in now)


async def stands_still(kiln):
    now = builds(kiln)
    return now and all(state == "T" for _, state, *_ in now)


async def test_a_build_gives_way_to_its_owner_in_steps_and_is_handed_back(world):
    kiln = world.kiln()
    owner = Owner(world, kiln)
    dash = await world.dashboard(f"guest{next(NUMBERS)}")
    kiln.port = free_port()
    await serve(kiln)
    # The load of whatever else this machine does is not what is tested.
    await kiln.ask("settings", "set", "idle_minutes=1", "yield_minutes=1", "cpu_limit=0")
    await admit(dash, kiln)

    async def is_away():
        inputs = (await kiln.status())["availability"]["inputs"]
        seen = [i["value"] for i in inputs if i["input"] == "activity"]
        return "min without input" in seen[0]
    await until("the owner to be away for a minute", is_away, 90)
    # By the owner's word it opens at once, and as far as new builds go it stays so for a minute.
    await kiln.ask("pause", "30m")
    opened = time.monotonic()
    await kiln.ask("resume")
    await dash.linked()
    slower = await slowness()
    await dash.put("yields.yaml", host("yields", free_port(), free_port()))
    job = await dash.submit("yields.yaml")
    await until("a compiler", lambda: compiles(kiln), COMPILER)
    await until("a build at full speed", lambda: runs_free(kiln))
    begun = time.monotonic()
    owner.comes()
    await until("fewer cores", lambda: has_few_cores(kiln), 10)
    # What docs/INTENDED-BEHAVIOUR.md promises.
    holds("fewer cores after the owner came", time.monotonic() - begun, 1, slower)
    await until("the whole tree to stand still", lambda: stands_still(kiln), 30)
    stood = time.monotonic()
    holds("suspended after the owner came to stay", stood - begun, STAYS + 2, slower)
    if time.monotonic() - opened < 60:
        expect((await kiln.status())["availability"]["reason"] == "ready", "it did not wait for that")
    # What is built again at home need not take as long.
    await dash.put("yields.yaml", chip("yields"))
    await dash.says(job, "the build waits: its owner is using this computer")
    expect((await dash.job(job))["status"] == "running", "the sender still waits")

    async def quiet():
        return not builds(kiln)
    await until("the build to be handed back", quiet, 120)
    holds("handed back after it was suspended", time.monotonic() - stood, 60 + 2, slower)
    job = await dash.final(job, 400)
    expect(job["status"] == "completed", f"{job['status']} {job.get('error')}")
    expect(job["source"] == "local", f"built by the sender: {job['source']}")
    expect(not builds(kiln), f"no process of the build is left: {builds(kiln)}")
test_a_build_gives_way_to_its_owner_in_steps_and_is_handed_back.seconds = 720


# A build that nobody is in the way of.
FREE = "ran at full speed"


def treated(kiln):
    """How the build is treated just now."""
    now = builds(kiln)
    states, single = {state for _, state, *_ in now}, {cores.isdigit() for _, _, cores, _ in now}
    if not now:
        return "was gone"
    if states == {"T"}:
        return "stood still"
    if "T" in states or len(single) == 2:
        return "was in between"
    return "had fewer cores" if single == {True} else FREE


class Yielding:
    """A dashboard, and a Kiln that is killed again and again while it gives way to its owner.

    What stands in the way is the owner's word: it counts at once, and comes and goes when it is to.
    """

    def __init__(self, world, tier, number):
        self.world, self.tier, self.number = world, tier, number
        self.random = random.Random(f"{SEED} {tier} {number}")
        self.dash = self.kiln = None
        # How the build was treated when a kill came, where the jobs were done, and how many seconds
        # it took at most until nothing was left.
        self.moments, self.ends, self.longest = collections.Counter(), collections.Counter(), 0.0

    async def opens(self):
        self.dash, self.kiln = await stage(self.world, self.tier, f"kiln{self.number}")

    async def owner_comes(self):
        await self.kiln.ask("pause", "forever")

    async def owner_stays(self):
        await until("the build to stand still", lambda: stands_still(self.kiln))

    async def owner_leaves(self):
        await self.kiln.ask("resume")

    async def owner_is_back_for_long(self):
        # For longer than a build is held: it is handed back.
        await self.kiln.ask("pause", "2h")

    # The whole way of a build that gives way: what has happened, what begins then, and how many seconds
    # after that the kill comes.
    WAY = [
        ([], [], (0, 2)),
        ([], [owner_comes], (0, 1)),
        ([owner_comes], [], (0, STAYS - 1)),
        ([owner_comes], [], (STAYS - 1, STAYS + 1)),
        ([owner_comes, owner_stays], [], (0, 1)),
        ([owner_comes, owner_stays], [owner_leaves], (0, 1)),
        ([owner_comes, owner_stays, owner_leaves], [], (0, 2)),
        ([owner_comes, owner_stays], [owner_is_back_for_long], (0, 1)),
        ([owner_comes], [owner_is_back_for_long], (0, 1)),
    ]

    async def turn(self, number, stretch):
        """A build begins, gives way, and Kiln is killed at some moment of that."""
        name = f"frozen{number}"
        await self.dash.put(f"{name}.yaml", host(name, free_port(), free_port()))
        job = await self.dash.submit(f"{name}.yaml")
        await until("its compiler", lambda: compiles(self.kiln), COMPILER)
        # What is built again at home need not take as long.
        await self.dash.put(f"{name}.yaml", chip(name))
        happened, begins, moment = stretch
        for step in happened:
            await step(self)
        # A command that loses its Kiln is no fault.
        begun = asyncio.gather(*(step(self) for step in begins), return_exceptions=True)
        await asyncio.sleep(self.random.uniform(*moment))
        was = treated(self.kiln)
        if was == FREE and Yielding.owner_leaves in happened + begins:
            was = "went on"
        await self.kiln.kill()
        killed = time.monotonic()

        async def quiet():
            return not builds(self.kiln)
        await until(f"the build that {was} to end although no Kiln is there to end it", quiet, 20)
        self.longest = max(self.longest, time.monotonic() - killed)
        await begun
        await self.back()
        job = await self.dash.final(job)
        expect(job["status"] == "completed", f"killed when it {was}: {job['status']} {job.get('error')}")
        await self.dash.linked()
        self.moments[was] += 1
        self.ends["there" if job["source"] == "remote" else "at home"] += 1

    async def back(self):
        """Kiln begins anew, and what the kill broke off goes back: nobody waits for it any more."""
        await serve(self.kiln)
        await self.kiln.ask("pause", "2h")

        async def idle():
            return not [j for j in await self.kiln.jobs() if j["status"] in ("queued", "running")]
        await until("what was broken off to be handed back", idle)
        await self.kiln.ask("resume")


async def killed_while_a_build_gives_way(world, tier):
    print(f"       tier {tier}: YIELD_SEED={SEED} YIELD_KILLS={KILLS} YIELD_PAIRS={PAIRS}", flush=True)
    begun = time.monotonic()
    # Each stretch of the way has its turn before one comes again.
    ways = [random.Random(f"{SEED} {tier} {lap}").sample(Yielding.WAY, len(Yielding.WAY))
            for lap in range(KILLS // len(Yielding.WAY) + 1)]
    turns = iter(list(enumerate(itertools.chain(*ways)))[:KILLS])
    pairs = [Yielding(world, tier, number) for number in range(min(PAIRS, KILLS))]

    async def play(pair):
        await pair.opens()
        for number, stretch in turns:
            await pair.turn(number, stretch)
    async with asyncio.TaskGroup() as group:
        for pair in pairs:
            group.create_task(play(pair))
    moments = sum((pair.moments for pair in pairs), collections.Counter())
    ends = sum((pair.ends for pair in pairs), collections.Counter())
    longest = max(pair.longest for pair in pairs)
    print(f"       tier {tier}: {moments.total()} kills in {time.monotonic() - begun:.0f} s, when the build "
          f"{dict(moments)}; nothing left of it {longest:.1f} s later; jobs completed {dict(ends)}", flush=True)
    if KILLS >= len(Yielding.WAY):
        expect(moments["stood still"] and moments["had fewer cores"], f"{moments}")


async def test_a_kiln_that_is_killed_while_a_build_gives_way_leaves_nothing_behind(world):
    await killed_while_a_build_gives_way(world, 3)
test_a_kiln_that_is_killed_while_a_build_gives_way_leaves_nothing_behind.seconds = 600 + 20 * KILLS


async def test_without_bubblewrap_a_killed_kiln_leaves_nothing_of_a_build_that_gives_way(world):
    await killed_while_a_build_gives_way(world, 2)
test_without_bubblewrap_a_killed_kiln_leaves_nothing_of_a_build_that_gives_way.seconds = 600 + 20 * KILLS


async def test_between_two_kilns_the_reason_is_told_and_nothing_is_sent_meanwhile(world):
    sender, receiver = world.kiln("sender"), world.kiln("receiver")
    receiver.battery = Battery(world.folder / "power_supply")
    receiver.env["KILN_POWER_SUPPLY"] = str(receiver.battery.folder)
    await receiver.receive()
    await sender.serve("--no-receiver")
    await receiver.ask("window", "open")
    await sender.ask("pair", receiver.address, "--pin", receiver.pin)
    request = (await until("the request", lambda: asked(receiver)))[0]
    await receiver.ask("approve", request["dashboard_id"])
    await sender.linked()
    sender.put("one.yaml", chip("one", seconds=30))
    job = (await sender.ask("compile", "one"))["jobs"][0]["id"]

    async def built():
        return compilers(receiver)
    await until("the build on the receiver", built)
    receiver.battery.unplug()

    async def told():
        queue = (await sender.receivers())[0]["queue"]
        return queue and queue["absence"] and queue["absence"]["reason"] == "battery"
    await until("the reason at the sender", told)
    sender.put("two.yaml", chip("two"))
    second = (await sender.ask("compile", "two", "--wait"))["jobs"][0]
    expect(second["status"] == "completed" and second["placement"]["on"] == "local",
           f"{second['status']} {second['placement']}")
    expect("needed by its owner" in second["reason"], second["reason"])
    receiver.battery.plug_in()
    first = await sender.final(job, 300)
    expect(first["status"] == "completed", f"{first['status']}: {first['error']}")
    expect(first["placement"]["on"] == "remote", "held, not handed back: it was short")


async def asked(kiln):
    return (await kiln.status())["requests"]
