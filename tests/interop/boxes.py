"""Hostile builds of a stock dashboard, in real boxes: each ends alone, soon, and leaves nothing."""
import hashlib
import os
import subprocess
import time
from pathlib import Path

from devices import chip
from guest import builds
from receiving import admit, compilers
from world import RIG_HOME, TESTS, expect, holds, slowness, until


# Hostile builds, each with a clean one of somebody else after it.
PAIRS = int(os.environ.get("HOSTILE_PAIRS") or 2)


async def guarded(world, tier=3):
    """A dashboard paired with a Kiln whose `esphome` is hostile when the configuration says so."""
    dash = await world.offloader()
    kiln = world.kiln()
    if tier == 2:
        kiln.without_bubblewrap()
    program = kiln.folder / "esphome"
    hostile = TESTS / "interop/hostile.py"
    program.write_text(f"#!/bin/sh\nexec {RIG_HOME}/venv/bin/python {hostile} "
                       f"{RIG_HOME}/standin/bin/esphome \"$@\"\n")
    program.chmod(0o755)
    kiln.env["KILN_ESPHOME"] = str(program)
    await kiln.receive()
    view = await kiln.status()
    expect(view["sandbox"]["tier"] == tier, f"builds are boxed: {view['sandbox']}")
    await admit(dash, kiln)
    return dash, kiln


async def thrown(world, kind, tier):
    """A dashboard, a Kiln on which its hostile build runs, its job, and how slow the machine was before."""
    dash, kiln = await guarded(world, tier)
    slower = await slowness()
    name = f"bomb-{kind}"
    await dash.put(f"{name}.yaml", f"# hostile: {kind}\n" + chip(name))
    wire = await dash.submit(f"{name}.yaml")
    await dash.says(wire, f"hostile: {kind}")
    return dash, kiln, wire, slower


def since_breach(kiln, moment):
    """Seconds from when the hostile build went too far to a moment."""
    breached = list(kiln.home.rglob("breached"))
    expect(len(breached) == 1, f"it went too far: {breached}")
    return moment - float(breached[0].read_text())


async def asked(kiln, waited):
    """What Kiln says of its jobs; how many seconds that took is added to `waited`."""
    begun = time.monotonic()
    jobs = await kiln.jobs()
    waited.append(time.monotonic() - begun)
    return jobs


async def bomb(world, kind, *words, tier=3):
    dash, kiln, wire, slower = await thrown(world, kind, tier)
    waited = []

    async def over():
        return [job for job in await asked(kiln, waited) if job["status"] == "failed"]
    ended = (await until("its end", over, 300))[0]["completed_at"]
    holds(f"an answer of Kiln beside a {kind} bomb at tier {tier}", max(waited), 1, slower)
    # What docs/INTENDED-BEHAVIOUR.md promises.
    holds(f"{kind} bomb at tier {tier} ended after it went too far", since_breach(kiln, ended), 3, slower)
    job = await dash.final(wire)
    expect(job["status"] == "failed", job["status"])
    said = f"{job['error']} {await dash.output(wire)}"
    expect(any(word in said for word in words), f"one of {words} in {said[-600:]}")
    await as_before(dash, kiln)


async def as_before(dash, kiln):
    """Nothing is left of the build, and this computer is as useful as it was."""
    async def quiet():
        return not compilers(kiln)
    await until("no process of the build to be left", quiet, 60)
    await dash.put("after.yaml", chip("after"))
    await dash.reaches(await dash.submit("after.yaml"), "completed")


async def test_a_fork_bomb_ends_alone(world):
    await bomb(world, "fork", "programs at a time")


async def test_a_fork_bomb_that_never_rests_ends_alone(world):
    await bomb(world, "spin", "programs at a time")


async def test_where_there_is_no_bubblewrap_a_fork_bomb_that_never_rests_ends_alone_as_well(world):
    await bomb(world, "spin", "programs at a time", tier=2)


def share(pid):
    """The priority of the session of a process, where the kernel schedules sessions as groups."""
    place = Path(f"/proc/{pid}/autogroup")
    return int(place.read_text().split()[-1]) if place.exists() else 19


def pace(kiln):
    """The cores and the priority of every thread of the hostile build, and the one of its session."""
    found = []
    for pid, *_, command in builds(kiln):
        # What makes the box has the name of what runs in it among its arguments.
        if "hostile.py" not in command or "/bwrap " in command:
            continue
        try:
            threads = [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]
            found += [(len(os.sched_getaffinity(thread)), os.getpriority(os.PRIO_PROCESS, thread), share(pid))
                      for thread in threads]
        except OSError:
            continue
    return found


async def kept_busy(world, tier):
    dash, kiln, wire, slower = await thrown(world, "cpu", tier)
    waited = []
    for said in ("held: cores", "held: priority", "now all of them are busy"):
        await dash.says(wire, said)
    await kiln.ask("settings", "set", "idle_cores", "1")
    begun = time.monotonic()

    async def kept():
        await asked(kiln, waited)
        threads = pace(kiln)
        return len(threads) >= 480 and set(threads) == {(1, 19, 19)}
    await until("all of it on one core and at the lowest priority, its sessions as well", kept, 120)
    print(f"       a busy build at tier {tier} on one core {time.monotonic() - begun:.2f} s after its owner wanted that",
          flush=True)
    begun = time.monotonic()
    await dash.dash.call("firmware/cancel", job_id=wire)

    async def gone():
        await asked(kiln, waited)
        return not builds(kiln)
    await until("all of it to be gone", gone, 60)
    holds(f"a busy build at tier {tier} gone after its sender cancelled it", time.monotonic() - begun, 3, slower)
    holds(f"an answer of Kiln beside a busy build at tier {tier}", max(waited), 1, slower)
    await dash.reaches(wire, "cancelled")
    await as_before(dash, kiln)


async def test_a_bomb_of_busy_programs_stays_in_its_cores_and_ends_when_it_has_to(world):
    await kept_busy(world, 3)


async def test_where_there_is_no_bubblewrap_a_bomb_of_busy_programs_does_as_well(world):
    await kept_busy(world, 2)


async def test_a_memory_bomb_ends_alone_and_goes_back(world):
    dash, kiln, wire, slower = await thrown(world, "memory", 3)
    await dash.says(wire, "this build was ended: it used more than 75 % of this computer's memory", 390)
    holds("memory bomb told to its sender after it went too far", since_breach(kiln, time.time()), 3, slower)

    async def ended():
        return [j for j in await kiln.jobs() if j["status"] == "failed"]
    job = (await until("its end", ended))[0]
    free = since_breach(kiln, time.time())
    print(f"       memory bomb: its memory is free {free:.1f} s after it went too far", flush=True)
    # An innocent build can need as much on a small computer, so its sender is to try it.
    expect(job["failure_reason"] == "provision", f"{job}")
    await dash.final(wire)
    await as_before(dash, kiln)
test_a_memory_bomb_ends_alone_and_goes_back.seconds = 600


async def test_a_file_bomb_ends_alone(world):
    await bomb(world, "files", "no more files")


async def test_a_disk_bomb_ends_alone(world):
    await bomb(world, "disk", "File too large")


async def test_a_bomb_of_big_files_ends_alone(world):
    await bomb(world, "disks", "wrote more than")


async def test_a_bomb_of_many_files_ends_alone(world):
    await bomb(world, "inodes", "more than 400000 files")


async def test_where_there_is_no_bubblewrap_a_fork_bomb_ends_alone_as_well(world):
    await bomb(world, "fork", "programs at a time", tier=2)


async def test_a_log_bomb_ends_alone(world):
    await bomb(world, "log", "printed more than")


async def test_a_flood_of_lines_ends_alone(world):
    await bomb(world, "lines", "printed more than")


async def test_a_hostile_build_leaves_nothing_for_the_clean_ones_of_others(world):
    hostile, kiln = await guarded(world)
    neighbour = await world.dashboard("neighbour", standin=False)
    await admit(neighbour, kiln)
    await neighbour.sends()

    async def clean(dash):
        await dash.put("clean.yaml", chip("clean", size=100_000))
        job = await dash.reaches(await dash.submit("clean.yaml"), "completed")
        expect(job["source"] == "remote", f"built on Kiln: {job['source']}")
        image = dash.config / ".esphome/build/clean/.pioenvs/clean/firmware.bin"
        return hashlib.sha256(image.read_bytes()).hexdigest()
    before = await clean(neighbour)
    for turn in range(PAIRS):
        name = f"hostile{turn}"
        await hostile.put(f"{name}.yaml", "# hostile: poison\n" + chip(name))
        wire = await hostile.submit(f"{name}.yaml")
        job = await hostile.final(wire)
        output = await hostile.output(wire)
        expect(job["status"] == "failed", job["status"])
        expect("reached (" not in output, f"nothing inside was reached: {output[-2000:]}")
        expect("held: " in output, f"the attempts were made: {output[-2000:]}")
        expect(f"toolchain of {kiln.home}" in output, f"its own can be changed: {output[-2000:]}")
        expect(await clean(neighbour) == before, "the clean build is byte for byte the same")
    found = subprocess.run(["find", "/var/tmp", "/tmp", str(RIG_HOME / "venv/bin"), str(kiln.home),
                            "-maxdepth", "6", "-name", "poison"], capture_output=True, text=True)
    outside = [p for p in found.stdout.split() if ".esphome" not in Path(p).parts]
    expect(not outside, f"nothing was written outside: {outside}")
    received = kiln.home / "cache/received"
    senders = {place.relative_to(received).parts[0] for place in received.rglob("poison")}
    expect(len(senders) == 1, f"nothing was written where others build: {senders}")
test_a_hostile_build_leaves_nothing_for_the_clean_ones_of_others.seconds = 600
