"""Every reason at every stage: seven real dashboards, each with a job at another stage, when the owner is back.

Each scenario is one reason. Its seven senders are brought to their stages and held there by what
holds jobs in a household, too: a slow network, a large bundle, a build in front. Then the reason
comes, by a real input wherever there is one, and each sender's job goes on to its end. What counts
is what its user sees: completed, wherever it was built, or cancelled by that user, never FAILED.

The table is printed and written to `matrix.md` in the folder of the scenarios.
"""
import asyncio
import os
import shutil
import subprocess
import time

from battery import Battery
from devices import chip
from guest import Owner, serve
from inputs import Services
from receiving import admit, compilers, free_port
from world import WORK, Proxy, expect, until

# Most of it is waiting: an absence of two minutes is sat out before a job is handed back.
AT_ONCE = 3

STAGES = ["idle", "queued", "uploading", "unpacking", "building", "packing", "downloading"]
REASONS = ["ready", "user_active", "battery", "power_saver", "thermal", "cpu_busy", "low_ram",
           "low_disk", "hours", "exclusive_app", "metered", "snoozed", "user_off", "sleeping"]

# The whole machine is read so often (SLOW in engine/machine.rs), for the first time when a build of
# others begins, and load counts when it has lasted for so long (LOAD_RISES in domain/availability).
READ, LOAD_RISES = 10.0, 20.0

# How long it stays open at least (DWELL in domain/availability), and a moment for its start.
DWELL = 62.0

# How long it takes at least until all jobs are at their stages.
SETS_OUT = 35.0

# How long before a reading the last bundle is let through: it is unpacked when the reading comes.
AHEAD = 5.0

# What is large on a slow network, what of it passes at full speed, and what then passes in a second.
LARGE, QUICKLY, SLOWLY = 16_000_000, 400_000, 100_000

# The same of the bundle that is kept back. Its sender waits a minute for an answer, but only when it
# has sent it all.
KEPT_BACK = 20_000

# Files of a bundle that takes longer to unpack than the machine takes to be read. Their names are
# short: a bundle lists them in 1 MiB at most.
FILES = 60_000

# Kiln's word for a bundle that is being unpacked.
UNPACKED = "its bundle is being unpacked"

# What became of each job: reason -> its cells, in the order of the stages.
TABLE = {}


class Network(Proxy):
    """A relay whose directions can be slowed down, or hold everything back."""

    def __init__(self, port):
        super().__init__("127.0.0.1", port)
        self.passed, self.waits = {"up": 0, "down": 0}, {"up": 0, "down": 0}
        # Bytes that may pass, and how that grows in a second; what is not named here passes.
        self.room, self.pace = {}, {}

    def slow(self, way, quickly, slowly):
        self.passed[way], self.pace[way], self.room[way] = 0, slowly, quickly

    def free(self):
        self.room.clear()

    async def _pump(self, reader, writer):
        peer = writer.get_extra_info("peername")
        way = "up" if peer and peer[1] == self.target[1] else "down"
        try:
            while data := await reader.read(16_384):
                self.waits[way] = len(data)
                while self.passed[way] + len(data) > self.room.get(way, float("inf")):
                    await asyncio.sleep(0.1)
                    if way in self.room:
                        self.room[way] += self.pace[way] / 10
                self.waits[way] = 0
                self.passed[way] += len(data)
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.close()


class Sender:
    """A real dashboard with one job, and its own way to Kiln."""

    def __init__(self, stage, dash, network):
        self.stage, self.dash, self.network, self.job = stage, dash, network, None

    async def submit(self, **knobs):
        await self.put(**knobs)
        self.job = await self.dash.submit(f"{self.stage}.yaml")

    async def put(self, **knobs):
        await self.dash.put(f"{self.stage}.yaml", chip(self.stage, **knobs))

    async def component(self, fill):
        """Makes a component that travels in the bundle, and returns how it is used."""
        folder = self.dash.config / "p/b"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("CONFIG_SCHEMA = {}\n")
        await asyncio.to_thread(fill, folder)
        return "external_components:\n  - source:\n      type: local\n      path: p\n"

    async def at_home(self):
        return await self.dash.job(self.job)


def one_large_file(folder):
    (folder / "large.bin").write_bytes(os.urandom(LARGE))


def many_files(folder):
    one_large_file(folder)
    for number in range(FILES):
        (folder / f"{number:x}").write_text("")


class House:
    """An owner's computer with Kiln, and seven senders."""

    def __init__(self, world, reason):
        self.world, self.reason, self.senders = world, reason, {}
        # When it began to serve, and when the machine was read since.
        self.opened = self.read = 0.0
        self.kiln = world.kiln()
        self.kiln.battery = Battery(world.folder / "power_supply")
        self.kiln.env["KILN_POWER_SUPPLY"] = str(self.kiln.battery.folder)
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"):
            self.kiln.env.pop(name, None)
        self.kiln.port = free_port()

    async def opens(self, *settings):
        """Kiln serves, and everybody is paired with it."""
        await serve(self.kiln)
        # What else this machine does is not what is tested.
        await self.kiln.ask("settings", "set", "yield_minutes=0", "cpu_limit=0", *settings)
        # One that begins anew is open at once, and stays so for the dwell.
        await self.kiln.stop()
        await serve(self.kiln)
        self.opened = time.monotonic()
        for sender in await asyncio.gather(*map(self.sender, STAGES)):
            self.senders[sender.stage] = sender
            await admit(sender.dash, self.kiln)
            await sender.dash.dash.call(
                "remote_build/edit_pairing_endpoint", pin_sha256=self.kiln.pin,
                hostname="127.0.0.1", port=sender.network.port)
        # Who waits for somebody to pair with is there whatever happens.
        await self.kiln.ask("window", "close")
        for sender in self.senders.values():
            await sender.dash.sends()
            await sender.dash.linked()

    async def sender(self, stage):
        dash = await self.world.dashboard(f"{self.reason}-{stage}".replace("_", "-"))
        network = Network(self.kiln.port)
        await network.start()
        self.world.others.append(network)
        return Sender(stage, dash, network)

    async def set_out(self):
        """Brings each job to its stage. One is built at a time, so those that are far come first.
        The bundle of many files is kept back until `unpack`."""
        far, held, build, next_one, bundle, many = (
            self.senders[stage] for stage in
            ["downloading", "packing", "building", "queued", "uploading", "unpacking"])
        large = await bundle.component(one_large_file)
        files = await many.component(many_files)
        many.network.slow("up", KEPT_BACK, KEPT_BACK)
        await many.submit(extra=files)
        far.network.slow("down", QUICKLY, SLOWLY)
        await far.submit(size=LARGE)
        await self.reach("downloading")
        await held.submit(seconds=3)
        await self.until_it("packing", "running")
        held.network.slow("up", 0, 0)
        await self.reach("packing")
        await build.submit(seconds=120, lines=600)
        await self.until_it("building", "running")
        self.read = time.monotonic()
        await self.reach("building")
        # What is built again at home need not take as long.
        await build.put()
        await next_one.submit()
        await self.reach("queued")
        bundle.network.slow("up", QUICKLY, SLOWLY)
        await bundle.submit(extra=large)
        await self.reach("uploading")

        async def bundled():
            return many.network.passed["up"] > KEPT_BACK
        await until("the bundle of many files", bundled, 120)

    async def dwelt(self, early=0.0):
        """Waits until Kiln was open for so long that it may close, or so many seconds less."""
        await asyncio.sleep(max(0.0, self.opened + DWELL - early - time.monotonic()))

    async def before_reading(self):
        """Waits until the machine is about to be read."""
        since = (time.monotonic() - self.read) % READ
        await asyncio.sleep((READ - AHEAD - since) % READ)

    def unpack(self):
        """Lets the last bundle arrive."""
        self.senders["unpacking"].network.free()

    async def reach(self, stage):
        await until(f"a job to be {stage}", lambda: self.stands(stage), 120)

    async def until_it(self, stage, status):
        async def probe():
            return (await self.at_kiln(stage))["status"] == status
        await until(f"the job of {stage} to be {status}", probe, 120)

    async def at_kiln(self, stage):
        rows = [j for j in await self.kiln.jobs() if j["configuration"] == f"{stage}.yaml"]
        return rows[0] if rows else {"status": None, "reason": ""}

    async def stands(self, stage):
        """Returns whether a job is at its stage just now."""
        sender = self.senders[stage]
        if stage == "idle":
            return sender.job is None and (await sender.dash.pairings())[0]["connected"]
        here, there = await self.at_kiln(stage), await sender.at_home()
        expect(there["status"] in ("queued", "running"), f"{stage}: {there['status']} {there.get('error')}")
        network = sender.network
        match stage:
            case "uploading":
                return here["status"] is None and network.passed["up"] > QUICKLY
            case "unpacking":
                return here["reason"] == UNPACKED
            case "queued":
                return here["status"] == "queued" and here["reason"] != UNPACKED
            case "building":
                return here["status"] == "running" and compilers(self.kiln)
            case "packing":
                return here["status"] == "completed" and network.waits["up"]
            case "downloading":
                return here["status"] == "completed" and network.passed["down"] > QUICKLY

    async def input(self, name):
        """Returns what Kiln reads of the machine."""
        rows = (await self.kiln.status())["availability"]["inputs"]
        return next(row["value"] for row in rows if row["input"] == name)

    async def noticed(self):
        """Waits until Kiln gives the reason."""
        async def seen():
            return (await self.kiln.status())["availability"]["reason"] == self.reason
        await until(f"the reason {self.reason}", seen, 2 * READ)

    async def all_stand(self):
        """Makes sure that every job is at its stage."""
        for stage in ["unpacking", *STAGES]:
            expect(await self.stands(stage), f"the reason came too late: the job is not {stage}")

    async def ends(self):
        """The network is as fast as ever, and every job goes on to its end."""
        for sender in self.senders.values():
            sender.network.free()
        await self.senders["idle"].submit()
        return await asyncio.gather(
            *(sender.dash.final(sender.job, 360) for sender in self.senders.values()))


async def at_once(house, begin):
    """A reason that Kiln hears of when it comes."""
    house.unpack()
    await house.reach("unpacking")
    await house.all_stand()
    await begin()
    await house.noticed()


async def when_read(house, begin):
    """A reason that Kiln hears of when it reads the machine."""
    await house.before_reading()
    await soon(house, begin)


async def soon(house, begin):
    """A reason that Kiln hears of in `AHEAD` seconds."""
    await begin()
    house.unpack()
    await house.noticed()
    await house.all_stand()


async def play(house, how, begin, *settings, ready=None):
    await house.opens(*settings)
    # A result waits half a minute to be fetched.
    await house.dwelt(early=SETS_OUT)
    await house.set_out()
    if ready:
        await ready()
    await house.dwelt()
    await how(house, begin)
    cells, failed = [], []
    for stage, job in zip(STAGES, await house.ends()):
        cells.append(f"{job['status']} {'there' if job['source'] == 'remote' else 'at home'}")
        if job["status"] != "completed":
            failed.append(f"{stage}: {job['status']} {job.get('error')}")
    TABLE[house.reason] = cells
    write_table()
    print(f"       {house.reason}: " + ", ".join(map(": ".join, zip(STAGES, cells))), flush=True)
    expect(not failed, f"{house.reason}: {failed}")


def write_table():
    rows = [["reason", *STAGES], ["---"] * (len(STAGES) + 1)]
    rows += [[f"`{reason}`", *TABLE[reason]] for reason in REASONS if reason in TABLE]
    cells = [cell for row in TABLE.values() for cell in row]
    failed = sum(cell.startswith("failed") for cell in cells)
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    (WORK / "matrix.md").write_text(
        f"{text}\n\nJobs: {len(cells)}. Declined jobs that ended FAILED: {failed}.\n")


async def test_nothing_stands_in_the_way(world):
    async def begin():
        pass
    await play(House(world, "ready"), at_once, begin)


async def test_the_owner_is_back(world):
    house = House(world, "user_active")
    owner = Owner(world, house.kiln)

    async def ready():
        async def away():
            return "min without input" in await house.input("activity")
        await until("a minute without input", away, 90)
        await house.kiln.ask("settings", "set", "idle_minutes=1")

    async def begin():
        owner.comes()
    await play(house, at_once, begin, "idle_minutes=0", ready=ready)


async def test_the_plug_is_pulled(world):
    house = House(world, "battery")

    async def begin():
        house.kiln.battery.unplug()
    await play(house, when_read, begin)


async def told(world, reason, service, name, value):
    """A service of the system says so."""
    house = House(world, reason)
    services = await Services(house.kiln).start(world, service)

    async def begin():
        await services.say(service, name, value)
    await play(house, when_read, begin)


async def test_the_system_saves_power(world):
    await told(world, "power_saver", "profiles", "ActiveProfile", "power-saver")


async def test_it_gets_too_hot(world):
    await told(world, "thermal", "profiles", "PerformanceDegraded", "high-operating-temperature")


async def test_the_network_is_metered(world):
    await told(world, "metered", "network", "Metered", 1)


async def test_a_program_needs_the_processor(world):
    house = House(world, "cpu_busy")
    # Load counts only where somebody sits.
    house.kiln.env["WAYLAND_DISPLAY"] = "wayland-0"
    services = await Services(house.kiln).start(world, "mutter")
    await services.say("mutter", "idle", 3_600_000)
    burners = []
    try:
        async def ready():
            # They take only what nobody else on this machine wants.
            burners.extend(subprocess.Popen(["nice", "-n", "19", "sh", "-c", "while :; do :; done"])
                           for _ in range(os.cpu_count()))

            async def high():
                return await house.input("load") in ("about 80 %", "about 90 %", "about 100 %")
            await until("the load to be seen", high, 4 * READ)

        async def begin():
            await house.kiln.ask("settings", "set", "cpu_limit=50")
            await asyncio.sleep(LOAD_RISES - AHEAD)
        await play(house, soon, begin, ready=ready)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


async def by_setting(world, reason, *settings):
    """The owner wants something else, and what the machine says falls short of it at once."""
    house = House(world, reason)

    async def begin():
        await house.kiln.ask("settings", "set", *settings)
    await play(house, at_once, begin)


async def test_memory_is_short(world):
    await by_setting(world, "low_ram", "ram_floor_mb=400000000")


async def test_the_disk_is_short(world):
    await by_setting(world, "low_disk", "disk_floor_mb=400000000")


async def test_the_hours_are_over(world):
    day = time.strftime("%a", time.gmtime(time.time() + 3 * 86_400)).lower()
    await by_setting(world, "hours", f"hours={day} 00:00-01:00")


async def test_receiving_is_switched_off(world):
    await by_setting(world, "user_off", "receiver=off")


async def test_a_game_is_started(world):
    house = House(world, "exclusive_app")
    game = house.kiln.folder / "a-game"
    shutil.copy("/bin/sleep", game)
    games = []
    try:
        async def begin():
            games.append(subprocess.Popen([game, "600"]))
        await play(house, when_read, begin, "exclusive_apps=a-game")
    finally:
        for running in games:
            running.kill()
            running.wait()


async def test_the_owner_pauses(world):
    house = House(world, "snoozed")

    async def begin():
        await house.kiln.ask("pause", "2h")
    await play(house, at_once, begin)


async def test_the_computer_goes_to_sleep(world):
    house = House(world, "sleeping")
    services = await Services(house.kiln).start(world, "login")

    async def begin():
        await services.order(sleep=True)
    await play(house, at_once, begin)


for scenario in [value for name, value in list(globals().items()) if name.startswith("test_")]:
    # Seven dashboards start, the grace of two minutes passes, and seven jobs are built.
    scenario.seconds = 900
