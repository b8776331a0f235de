"""Hostile builds of a stock dashboard, in real boxes: each ends alone, soon, and leaves nothing."""
import hashlib
import subprocess
import time
from pathlib import Path

from devices import chip
from receiving import admit, compilers
from world import RIG_HOME, TESTS, expect, until


async def guarded(world, **settings):
    """A dashboard paired with a Kiln whose `esphome` is hostile when the configuration says so."""
    dash = await world.offloader()
    kiln = world.kiln()
    program = kiln.folder / "esphome"
    hostile = TESTS / "interop/hostile.py"
    program.write_text(f"#!/bin/sh\nexec {RIG_HOME}/venv/bin/python {hostile} "
                       f"{RIG_HOME}/standin/bin/esphome \"$@\"\n")
    program.chmod(0o755)
    kiln.env["KILN_ESPHOME"] = str(program)
    await kiln.receive()
    view = await kiln.status()
    expect(view["sandbox"]["tier"] >= 2, f"builds are boxed: {view['sandbox']}")
    await admit(dash, kiln)
    return dash, kiln


async def thrown(world, kind):
    """A dashboard, a Kiln on which its hostile build runs, and its job."""
    dash, kiln = await guarded(world)
    name = f"bomb-{kind}"
    await dash.put(f"{name}.yaml", f"# hostile: {kind}\n" + chip(name))
    wire = await dash.submit(f"{name}.yaml")
    await dash.says(wire, f"hostile: {kind}")
    return dash, kiln, wire


def since_breach(kiln):
    """Seconds since the hostile build went too far."""
    now, breached = time.time(), list(kiln.home.rglob("breached"))
    expect(len(breached) == 1, f"it went too far: {breached}")
    return now - float(breached[0].read_text())


async def bomb(world, kind, *words):
    dash, kiln, wire = await thrown(world, kind)
    job = await dash.final(wire, 300)
    print(f"       {kind} bomb: ended at its sender {since_breach(kiln):.1f} s after it went too far: "
          f"{job['error']}", flush=True)
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


async def test_a_memory_bomb_ends_alone_and_goes_back(world):
    dash, kiln, wire = await thrown(world, "memory")
    await dash.says(wire, "this build was ended: it used more than 75 % of this computer's memory", 390)
    print(f"       memory bomb: told to its sender {since_breach(kiln):.1f} s after it went too far",
          flush=True)

    async def ended():
        return [j for j in await kiln.jobs() if j["status"] == "failed"]
    job = (await until("its end", ended))[0]
    print(f"       memory bomb: its memory is free {since_breach(kiln):.1f} s after it went too far",
          flush=True)
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


async def test_a_log_bomb_ends_alone(world):
    await bomb(world, "log", "printed more than")


async def test_a_flood_of_lines_ends_alone(world):
    await bomb(world, "lines", "printed more than")


async def test_a_hostile_build_leaves_nothing_for_the_clean_one_after_it(world):
    dash, kiln = await guarded(world)

    async def clean():
        await dash.put("clean.yaml", chip("clean", size=100_000))
        await dash.reaches(await dash.submit("clean.yaml"), "completed")
        image = dash.config / ".esphome/build/clean/.pioenvs/clean/firmware.bin"
        return hashlib.sha256(image.read_bytes()).hexdigest()
    before = await clean()
    for turn in range(3):
        name = f"hostile{turn}"
        await dash.put(f"{name}.yaml", "# hostile: poison\n" + chip(name))
        wire = await dash.submit(f"{name}.yaml")
        job = await dash.final(wire)
        output = await dash.output(wire)
        expect(job["status"] == "failed", job["status"])
        expect("reached (" not in output, f"nothing inside was reached: {output[-2000:]}")
        expect("held: " in output, f"the attempts were made: {output[-2000:]}")
        expect(await clean() == before, "the clean build is byte for byte the same")
    found = subprocess.run(["find", "/var/tmp", "/tmp", str(RIG_HOME / "venv/bin"), str(kiln.home),
                            "-maxdepth", "6", "-name", "poison"], capture_output=True, text=True)
    outside = [p for p in found.stdout.split() if ".esphome" not in Path(p).parts]
    expect(not outside, f"nothing was written outside: {outside}")
