"""`kill -9` at random points of a remote job, on either side.

Two Kilns, each with the stand-in toolchain: one sends installs, the other compiles them, and at a
random point one of them, or both, are killed and started again. What must hold after that is
THREAT-MODEL's "nothing lost". KILL_POINTS says how often (25), KILL_SEED repeats a run.
"""
import os
import random
import subprocess
from asyncio import gather, sleep

from devices import chip
from receiving import free_port
from world import expect, until

POINTS = int(os.environ.get("KILL_POINTS") or 25)
SEED = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
FINAL = ("completed", "failed", "cancelled")
# Flashing is counted instead of done: one line when it begins.
FLASH = """#!/bin/sh
case " $* " in *" upload "*) echo "$*" >>{count}; sleep 0.2; exit 0;; esac
exec {esphome} "$@"
"""


def counting_flashes(kiln):
    """Makes the sender's ESPHome note every flash; returns the file with the notes."""
    count, script = kiln.folder / "flashes", kiln.folder / "bin" / "esphome"
    count.touch()
    script.parent.mkdir()
    script.write_text(FLASH.format(count=count, esphome=kiln.env["KILN_ESPHOME"]))
    script.chmod(0o755)
    kiln.env["KILN_ESPHOME"] = str(script)
    kiln.env["PATH"] = f"{script.parent}:{kiln.env['PATH']}"
    return count


def left_behind(kiln):
    """Processes of builds of this Kiln: they have one of its folders on their command line."""
    done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True)
    return [line for line in done.stdout.splitlines()
            if str(kiln.folder) in line and " serve " not in line]


class Run:
    """Both Kilns, and what was true before each kill."""

    def __init__(self, world, seed):
        self.random, self.ends = random.Random(seed), {}
        self.receiver, self.sender = world.kiln("receiver"), world.kiln("sender")
        self.flashes = counting_flashes(self.sender)
        self.port = free_port()
        self.tally = {}

    async def serve(self, kiln):
        if kiln is self.receiver:
            await kiln.serve("--receiver", "--listen-host", "127.0.0.1",
                             "--listen-port", str(self.port))
        else:
            await kiln.serve("--no-receiver")

    async def pair(self):
        await gather(self.serve(self.receiver), self.serve(self.sender))
        await self.receiver.ask("window", "open")
        await self.sender.ask("pair", self.receiver.address, "--pin", self.receiver.pin,
                              "--label", "box")
        await self.receiver.ask("approve", self.sender.ready["dashboard_id"])
        await self.sender.linked()

    async def point(self, number):
        """Install a device, kill somewhere, start again, and look."""
        name, delay = f"d{number}", self.random.uniform(0.0, 6.0)
        victims = self.random.choice([[self.receiver], [self.sender], [self.receiver, self.sender]])
        self.sender.put(f"{name}.yaml", chip(name, seconds=0.8, lines=60, size=300_000))
        answer = await self.sender.ask("install", name, "--port", "127.0.0.1")
        ids = [job["id"] for job in answer["jobs"]]
        await sleep(delay)
        before = await self.final_jobs() if self.sender in victims else {}
        for victim in victims:
            await victim.kill()
        for victim in victims:
            await self.serve(victim)
        where = "+".join(victim.folder.name for victim in victims)
        what = f"point {number}: {where} killed {delay:.2f} s after the install"
        await self.check(ids, before, what)
        return where

    async def final_jobs(self):
        return {j["id"]: j["status"] for j in await self.sender.jobs() if j["status"] in FINAL}

    async def check(self, ids, before, what):
        listed = [job["id"] for job in await self.sender.jobs()]
        for job in ids:
            expect(listed.count(job) == 1, f"{what}: job {job} is there {listed.count(job)} times")
        for job in ids:
            ended = await self.sender.final(job, 300)
            kind = f"{ended['kind']} {ended['status']}"
            self.tally[kind] = self.tally.get(kind, 0) + 1
            if ended["kind"] == "compile":
                expect(ended["status"] == "completed", f"{what}: {ended}")
            else:
                excused = ended["status"] == "failed" and "stopped while" in str(ended["error"])
                expect(ended["status"] == "completed" or excused, f"{what}: {ended}")
            self.ends[job] = ended["status"]
        now = await self.final_jobs()
        for job, status in {**self.ends, **before}.items():
            expect(now.get(job) == status, f"{what}: {job} was {status}, is {now.get(job)}")
        device = f"{what}: {self.flashes.read_text()}"
        lines = self.flashes.read_text().splitlines()
        expect(len(lines) == len(set(lines)), f"flashed twice; {device}")
        expect(len(await self.sender.receivers()) == 1, f"{what}: the pairing is kept here")
        await self.sender.linked()
        status = await self.receiver.status()
        expect(len(status["offloaders"]) == 1, f"{what}: the pairing is kept there")

        async def quiet():
            return not left_behind(self.receiver) and not left_behind(self.sender)
        try:
            await until("no compiler to be left", quiet, 20)
        except AssertionError:
            left = left_behind(self.receiver) + left_behind(self.sender)
            raise AssertionError(f"{what}: left behind:\n" + "\n".join(left)) from None

        async def told():
            rows = await self.receiver.jobs()
            return all(job["status"] in FINAL for job in rows)
        await until(f"every job to be final there ({what})", told)


# Covers: M24, M31
async def test_kill_minus_nine_at_random_points_loses_nothing(world):
    print(f"kills: KILL_SEED={SEED} KILL_POINTS={POINTS}", flush=True)
    run, killed = Run(world, SEED), {}
    await run.pair()
    for number in range(POINTS):
        where = await run.point(number)
        killed[where] = killed.get(where, 0) + 1
    print(f"kills: {killed}, ends {run.tally}, flashes "
          f"{len(run.flashes.read_text().splitlines())}", flush=True)


test_kill_minus_nine_at_random_points_loses_nothing.seconds = 300 + 60 * POINTS
