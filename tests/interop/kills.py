"""`kill -9` at random points of a remote job, on either side.

Pairs of Kilns, one that sends installs and one that compiles them, with an ESPHome that takes a
blink (tests/rig/quick.py). At a random point of each job's life one of them, or both, are killed
and started again. What must hold after that is THREAT-MODEL's "nothing lost". Most of it is
waiting, so several pairs do it side by side. KILL_POINTS says how often in all (200), KILL_PAIRS by
how many pairs (5), KILL_SEED repeats a run.
"""
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from asyncio import gather, sleep
from pathlib import Path

from receiving import free_port
from world import RIG, Failed, expect, until

POINTS = int(os.environ.get("KILL_POINTS") or 200)
PAIRS = int(os.environ.get("KILL_PAIRS") or 5)
SEED = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
FINAL = ("completed", "failed", "cancelled")
ESPHOME = f"""#!/bin/sh
exec {sys.executable} -IS {RIG}/quick.py {{notes}} "$@"
"""


class Door:
    """The control channel of one Kiln: a command of its own would cost more than the answer."""

    def __init__(self, kiln):
        self.kiln, self.reader, self.writer, self.id = kiln, None, None, 0

    async def open(self):
        self.close()
        path = str(self.kiln.home / "run/control.sock")
        self.reader, self.writer = await asyncio.open_unix_connection(path, limit=1 << 24)
        self.writer.write(b'{"kiln":1,"program":"kills"}\n')
        await self.reader.readline()

    async def ask(self, request, **members):
        self.id += 1
        line = json.dumps({"id": self.id, "request": request, **members})
        self.writer.write(line.encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self.reader.readline(), 60))
        expect("code" not in answer and "broken" not in answer, f"{request}: {answer}")
        return answer

    def close(self):
        if self.writer:
            self.writer.transport.abort()
            self.writer = None


def use_quick_esphome(kiln):
    """Returns the file in which every flash is noted when it begins."""
    notes, script = kiln.folder / "flashes", kiln.folder / "bin" / "esphome"
    notes.touch()
    script.parent.mkdir()
    script.write_text(ESPHOME.format(notes=notes))
    script.chmod(0o755)
    kiln.env["KILN_ESPHOME"] = str(script)
    kiln.env["PATH"] = f"{script.parent}:{kiln.env['PATH']}"
    return notes


def move_home(kiln, short):
    """The name of a socket has to be short."""
    kiln.home = Path(short) / kiln.folder.name
    kiln.home.mkdir()
    kiln.env["KILN_HOME"] = str(kiln.home)


def left_behind(kiln):
    """Processes of builds of this Kiln: they have one of its folders on their command line."""
    ours = (str(kiln.folder), f"{kiln.home}/")
    done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True)
    return [line for line in done.stdout.splitlines()
            if any(folder in line for folder in ours) and " serve " not in line]


class Pair:
    """Two Kilns, and what was true before each kill."""

    def __init__(self, world, number, short):
        self.number, self.random = number, random.Random(f"{SEED} {number}")
        self.receiver, self.sender = world.kiln(f"receiver{number}"), world.kiln(f"sender{number}")
        for kiln in (self.receiver, self.sender):
            move_home(kiln, short)
        use_quick_esphome(self.receiver)
        self.notes = use_quick_esphome(self.sender)
        self.doors = {kiln: Door(kiln) for kiln in (self.receiver, self.sender)}
        self.port, self.life = free_port(), 0.0
        self.ends, self.tally, self.killed = {}, {}, {}

    async def serve(self, kiln):
        if kiln is self.receiver:
            await kiln.serve("--receiver", "--listen-host", "127.0.0.1",
                             "--listen-port", str(self.port))
        else:
            await kiln.serve("--no-receiver")
        await self.doors[kiln].open()

    async def ask(self, kiln, request, **members):
        return await self.doors[kiln].ask(request, **members)

    async def jobs(self, kiln):
        return (await self.ask(kiln, "jobs"))["jobs"]

    async def pair(self):
        await gather(self.serve(self.receiver), self.serve(self.sender))
        await self.ask(self.receiver, "open_window")
        await self.ask(self.sender, "pair", endpoint=self.receiver.address,
                       pin_sha256=self.receiver.pin, label="box")
        await self.ask(self.receiver, "approve", dashboard_id=self.sender.ready["dashboard_id"])
        await self.linked()

    async def linked(self):
        async def probe():
            receivers = (await self.ask(self.sender, "status"))["receivers"]
            expect(len(receivers) == 1, f"the pairing is kept here: {receivers}")
            return receivers[0]["link"] == "connected"
        await until("an open session", probe)

    async def install(self, name):
        text = f"esphome:\n  name: {name}\nesp8266:\n  board: d1_mini\n"
        self.sender.put(f"{name}.yaml", text)
        answer = await self.ask(self.sender, "install", device=name, port="address:127.0.0.1")
        return [job["id"] for job in answer["jobs"]]

    async def measure(self):
        """How long a job lives that nobody disturbs: points are chosen from that."""
        begun = time.monotonic()
        ids = await self.install(f"calm{self.number}")
        await self.check(ids, {}, "undisturbed")
        self.life = time.monotonic() - begun

    async def point(self, number):
        """Install a device, kill somewhere, start again, and look."""
        name, delay = f"d{number}", self.random.uniform(0.0, self.life)
        victims = self.random.choice([[self.receiver], [self.sender], [self.receiver, self.sender]])
        ids = await self.install(name)
        await sleep(delay)
        before = await self.final_jobs() if self.sender in victims else {}
        for victim in victims:
            await victim.kill()
        for victim in victims:
            await self.serve(victim)
        where = "+".join(victim.folder.name.rstrip("0123456789") for victim in victims)
        self.killed[where] = self.killed.get(where, 0) + 1
        await self.check(ids, before, f"point {number}: {where} killed {delay:.2f} s after the "
                                      f"install, of {self.life:.2f} s")

    async def final_jobs(self):
        jobs = await self.jobs(self.sender)
        return {j["id"]: j["status"] for j in jobs if j["status"] in FINAL}

    async def check(self, ids, before, what):
        async def ended():
            jobs = await self.jobs(self.sender)
            listed = [job["id"] for job in jobs]
            for job in ids:
                count = listed.count(job)
                expect(count == 1, f"{what}: job {job} is there {count} times")
            ours = [job for job in jobs if job["id"] in ids]
            return ours if all(job["status"] in FINAL for job in ours) else None
        for job in await until(f"both jobs to end ({what})", ended, 180):
            kind = f"{job['kind']} {job['status']}"
            excused = (job["kind"], job["status"]) == ("upload", "failed") \
                and "stopped while" in str(job["error"])
            expect(job["status"] == "completed" or excused, f"{what}: {job}")
            self.tally[kind] = self.tally.get(kind, 0) + 1
            self.ends[job["id"]] = job["status"]
            if job["kind"] == "upload":
                flashes = [line.split()[1] for line in self.notes.read_text().splitlines()
                           if line.split()[0] == job["configuration"].removesuffix(".yaml")]
                expect(flashes == ["whole"] or (excused and flashes == []),
                       f"{what}: flashed {flashes or 'never'}")
        now = await self.final_jobs()
        for job, status in {**self.ends, **before}.items():
            expect(now.get(job) == status, f"{what}: {job} was {status}, is {now.get(job)}")
        await self.linked()
        offloaders = (await self.ask(self.receiver, "status"))["offloaders"]
        expect(len(offloaders) == 1, f"{what}: the pairing is kept there")

        async def quiet():
            return not left_behind(self.receiver) and not left_behind(self.sender)
        try:
            await until("no compiler to be left", quiet, 20)
        except Failed:
            left = left_behind(self.receiver) + left_behind(self.sender)
            raise Failed(f"{what}: left behind:\n" + "\n".join(left)) from None

        async def told():
            return all(job["status"] in FINAL for job in await self.jobs(self.receiver))
        await until(f"every job to be final there ({what})", told)
        for kiln in (self.receiver, self.sender):
            audit = await self.ask(kiln, "verify_audit")
            expect(audit["verdict"] == "intact", f"{what}: the audit: {audit}")

    async def run(self, points):
        await self.pair()
        await self.measure()
        for number in points:
            await self.point(number)
        # The names of all devices, and no name twice.
        flashed = [line.split()[0] for line in self.notes.read_text().splitlines()]
        expect(len(flashed) == len(set(flashed)), f"flashed twice: {flashed}")


def added(tallies):
    total = {}
    for tally in tallies:
        for key, count in tally.items():
            total[key] = total.get(key, 0) + count
    return dict(sorted(total.items()))


# Covers: M24, M31
async def test_kill_minus_nine_at_random_points_loses_nothing(world):
    print(f"kills: KILL_SEED={SEED} KILL_POINTS={POINTS} KILL_PAIRS={PAIRS}", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as short:
        pairs = [Pair(world, number, short) for number in range(PAIRS)]
        try:
            await gather(*(pair.run(range(pair.number, POINTS, PAIRS)) for pair in pairs))
        finally:
            await world.end()
    print(f"kills: {added(p.killed for p in pairs)}, ends {added(p.tally for p in pairs)}, "
          f"{time.monotonic() - begun:.0f} s", flush=True)


test_kill_minus_nine_at_random_points_loses_nothing.seconds = 600 + 5 * POINTS
