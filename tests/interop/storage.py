"""A small disk: room is made before it is short, nothing in use goes, and it is never full.

Builds and toolchains of the receiving Kiln lie on a disk of their own: an ext4 image, or memory where
an image cannot be mounted.
"""
import asyncio
import os
import subprocess

from devices import chip
from guest import asked, reason, runs_here
from receiving import admit
from world import expect, until

# They wait for disks and dwells more than they compute.
AT_ONCE = 3

MB = 1 << 20

# Size of the disk, and what has to stay free on it. Room is made below twice as much.
DISK, FLOOR = 160, 30

# What ext4 needs for itself on a disk of this size.
OWN = 8

# Written bit by bit by a build that does not let itself be asked to end, where it builds for somebody else.
FILLER = '''
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = os.environ.get("ESPHOME_DATA_DIR", "")
if "received" in folder:
    with open(os.path.join(folder, "filler"), "ab") as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
            file.flush()
            time.sleep(0.05)
CONFIG_SCHEMA = {}
'''


class SmallDisk:
    """A disk below a Kiln, and the least room that was ever seen on it."""

    def __init__(self, world, kiln, part="cache"):
        self.folder, image = kiln.home / part, world.folder / f"{part}.img"
        self.folder.mkdir(mode=0o700)
        with image.open("wb") as file:
            file.truncate((DISK + OWN) * MB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-N", "20000", "-O", "^has_journal",
                        "-E", "lazy_itable_init=1,nodiscard", image], check=True)
        if subprocess.run(["mount", "-o", "loop", image, self.folder], check=False).returncode:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "small", self.folder],
                           check=True)
        self.folder.chmod(0o700)
        self.least = DISK
        self.task = asyncio.create_task(self.watch())
        world.others.append(self)

    def free(self):
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize // MB

    async def watch(self):
        while True:
            self.least = min(self.least, self.free())
            await asyncio.sleep(0.02)

    def owner_leaves(self, mb):
        """The owner puts so much on it that so many MB are free."""
        with (self.folder / "photos").open("ab") as photos:
            photos.write(bytes(max(0, self.free() - mb) * MB))

    def owner_tidies(self):
        (self.folder / "photos").unlink()

    async def stop(self):
        self.task.cancel()
        subprocess.run(["umount", "--lazy", self.folder], check=True)


async def stage(world, name, tier=3):
    """A dashboard that can build everything itself, paired with a Kiln with a small disk."""
    dash = await world.dashboard(name)
    kiln = world.kiln()
    disk = SmallDisk(world, kiln)
    if tier == 2:
        kiln.without_bubblewrap()
    await kiln.receive()
    await kiln.ask("settings", "set", f"disk_floor_mb={FLOOR}", "cpu_limit=0")
    await admit(dash, kiln)
    await dash.sends()
    return dash, kiln, disk


async def built(dash, name, size):
    await dash.put(f"{name}.yaml", chip(name, size=size * MB))
    job = await dash.reaches(await dash.submit(f"{name}.yaml"), "completed")
    expect(job["source"] == "remote", f"{name} is built on Kiln: {job['source']}")


async def kept(kiln):
    """Devices whose builds are on the disk, with why they stay."""
    items = (await kiln.status())["storage"]["items"]
    return {item["device"]: item["kept"] for item in items if item["kind"] == "build"}


async def test_a_small_disk_is_tidied_before_it_is_short_and_a_running_build_stays(world):
    dash, kiln, disk = await stage(world, "tidied")
    for name in ["first", "second", "third", "fourth"]:
        await built(dash, name, 25)

    async def without(name):
        builds = await kept(kiln)
        return disk.free() >= 2 * FLOOR and name not in builds and builds
    left = await until("room to be made by what was used least", lambda: without("first"))
    expect("fourth" in left, f"no more went than had to: {left}")
    view = await kiln.status()
    expect(view["availability"]["reason"] == "ready", f"it was never short: {view['availability']}")

    await dash.put("long.yaml", chip("long", seconds=90, lines=360))
    job = await dash.submit("long.yaml")
    await runs_here(dash, kiln, job)
    disk.owner_leaves(2 * FLOOR - 15)
    left = await until("room to be made again", lambda: without("second"))
    expect("fourth" in left, f"no more went than had to: {left}")
    expect((await dash.job(job))["status"] == "running", "the build goes on")
    expect((await kiln.status())["availability"]["reason"] == "ready", "there is room again")

    async def short():
        disk.owner_leaves(FLOOR // 2)
        return (await kiln.status())["availability"]["reason"] == "low_disk"
    await until("nothing to be left that may go", short)

    async def alone():
        return set(await kept(kiln)) <= {"long"}
    await until("all but what runs to be gone", alone)
    job = await dash.final(job, 400)
    expect(job["status"] == "completed", f"its sender builds it: {job['status']} {job.get('error')}")
    disk.owner_tidies()
    await reason(kiln, "ready", 180)
    print(f"       never less than {disk.least} of {DISK} MB free", flush=True)
test_a_small_disk_is_tidied_before_it_is_short_and_a_running_build_stays.seconds = 900


async def test_a_small_disk_is_never_full_whatever_a_build_writes(world):
    # Inside bubblewrap all of a build ends with its first process.
    dash, kiln, disk = await stage(world, "greedy", tier=2)
    await built(dash, "before", 5)
    parts = dash.config / "parts/filler"
    parts.mkdir(parents=True, exist_ok=True)
    (parts / "__init__.py").write_text(FILLER)
    source = "external_components:\n  - source:\n      type: local\n      path: parts\nfiller:\n"
    await dash.put("greedy.yaml", chip("greedy", extra=source))
    job = await dash.submit("greedy.yaml")
    job = await dash.final(job, 400)
    expect(job["status"] == "completed", f"its sender builds it: {job['status']} {job.get('error')}")
    ours = (await kiln.jobs())[0]
    expect("disk" in ours["error"], f"it is handed back for want of room: {ours}")
    expect(disk.least > 0, "the disk was full")
    await reason(kiln, "ready", 180)
    expect(disk.free() >= 2 * FLOOR, f"what it wrote is gone: {disk.free()} MB are free")
    print(f"       never less than {disk.least} of {DISK} MB free", flush=True)
test_a_small_disk_is_never_full_whatever_a_build_writes.seconds = 900


async def test_a_small_disk_is_never_full_however_much_waits_for_the_lane(world):
    # A stock dashboard has one job here at a time.
    sender, kiln = world.kiln("sender"), world.kiln("receiver")
    disk = SmallDisk(world, kiln)
    await kiln.receive()
    await kiln.ask("settings", "set", f"disk_floor_mb={FLOOR}", "cpu_limit=0")
    await sender.serve("--no-receiver")
    await kiln.ask("window", "open")
    await sender.ask("pair", kiln.address, "--pin", kiln.pin)
    request = (await until("the request", lambda: asked(kiln)))[0]
    await kiln.ask("approve", request["dashboard_id"])
    await sender.linked()
    # On its way it is a few kilobytes.
    parts = sender.config / "parts/ballast"
    parts.mkdir(parents=True)
    (parts / "__init__.py").write_text("CONFIG_SCHEMA = {}\n")
    (parts / "ballast.bin").write_bytes(bytes(12 * MB))
    kiln.put("own.yaml", chip("own", seconds=90))
    own = (await kiln.ask("compile", "own", "--local"))["jobs"][0]["id"]
    source = "external_components:\n  - source:\n      type: local\n      path: parts\n"
    for name in [f"dirty-{number}" for number in range(20)]:
        sender.put(f"{name}.yaml", chip(name, extra=source))
        await sender.ask("clean", name)

    async def cleans(status):
        return [j for j in await kiln.jobs() if j["kind"] == "clean" and j["status"] == status]

    async def waiting():
        return len(await cleans("queued")) >= 15
    await until("many cleans to wait", waiting, 200)
    await kiln.final(own)

    async def done():
        active = await cleans("queued") + await cleans("running")
        return not active and await cleans("completed")
    await until("all of them to be done", done, 300)
    expect(not await cleans("failed"), f"none is handed back: {await cleans('failed')}")
    expect(disk.least > 0, "the disk was full")
    print(f"       never less than {disk.least} of {DISK} MB free", flush=True)
test_a_small_disk_is_never_full_however_much_waits_for_the_lane.seconds = 900


async def test_a_disk_that_only_records_and_transfers_lie_on_counts_as_well(world):
    kiln = world.kiln()
    disk = SmallDisk(world, kiln, "state")
    await kiln.receive()
    await kiln.ask("settings", "set", f"disk_floor_mb={FLOOR}")
    await reason(kiln, "ready")
    disk.owner_leaves(FLOOR // 2)
    await reason(kiln, "low_disk")


async def test_a_budget_is_kept_by_what_was_used_least_and_the_rest_goes_at_a_word(world):
    dash, kiln, disk = await stage(world, "budget")
    await kiln.ask("settings", "set", "storage_budget_mb=50", "disk_floor_mb=0")
    for name in ["one", "two", "three"]:
        await built(dash, name, 20)

    async def within():
        storage = (await kiln.status())["storage"]
        return storage["used_bytes"] <= 50 * MB
    await until("the budget to be kept", within)
    expect(set(await kept(kiln)) == {"two", "three"}, f"the oldest went: {await kept(kiln)}")
    code, text, _ = await kiln.run("storage")
    expect(code == 0 and "two: build" in text and "three: build" in text, text)
    before = disk.free()
    reclaimed = await kiln.ask("storage", "reclaim", "--yes")
    expect({i["device"] for i in reclaimed["freed"] if i["kind"] == "build"} == {"two", "three"},
           f"{reclaimed}")
    expect(not reclaimed["left"], f"{reclaimed}")
    freed = disk.free() - before
    expect(abs(freed - reclaimed["freed_bytes"] // MB) <= 4,
           f"{freed} MB came free, {reclaimed['freed_bytes']} bytes were told")
    # What was deleted is made again.
    await built(dash, "two", 20)
