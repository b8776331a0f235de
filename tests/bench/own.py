"""Kiln to Kiln, and the bundle step: one node sends, another compiles with the stand-in."""
import asyncio
import datetime
import json
import random
import sys
import time
from pathlib import Path

MB = 1000 * 1000
YAML = """substitutions:
  standin_bytes: "{size}"
  standin_seconds: "0"
  standin_lines: "10"
esphome:
  name: {name}
{includes}esp8266:
  board: d1_mini
logger:
"""


async def measure(kiln, folder: Path, figures, runs: int, say) -> None:
    receiver, sender = kiln(folder, "own-receiver"), kiln(folder, "own-sender")
    try:
        await receiver.start()
        # The bundle step is ESPHome's own, without the stand-in around it.
        sender.env["PATH"] = f"{Path(sys.prefix) / 'bin'}:{sender.env['PATH']}"
        await sender.start(True, "--no-receiver")
        await receiver.has_esphome()
        await sender.has_esphome()
        await sender.ask("pair", receiver.ready["link"], "--pin", receiver.ready["pin_sha256"],
                         "--key", receiver.key)
        for mb in (0, 1, 16, 60):
            say(f"Kiln to Kiln, {mb} MB")
            name = f"own-{mb}"
            put(sender.home / "config", name, mb)
            for _ in range(runs):
                for metric, value in (await one(sender, receiver, name)).items():
                    if mb:
                        figures.add(f"own_{metric}_{mb}_s", "kiln", value)
                    elif metric == "bundle":
                        figures.add("bundle_s", "kiln", value)
                        # What the real dashboard runs for this step.
                        figures.add("bundle_s", "real", await bundled(sender.home, name))
    finally:
        await sender.stop()
        await receiver.stop()


def put(config: Path, name: str, mb: int) -> None:
    """A device with one incompressible include."""
    includes = f"  includes:\n    - {name}.h\n" if mb else ""
    if mb:
        (config / f"{name}.h").write_bytes(random.Random(mb).randbytes(mb * MB))
    text = YAML.format(name=name, size=max(mb, 1) * MB, includes=includes)
    (config / f"{name}.yaml").write_text(text)


async def one(sender, receiver, name: str) -> dict[str, float]:
    """Seconds of the steps of one remote compile, by the clocks of both nodes, which are one."""
    await sender.ask("compile", name, "--wait")
    mine = (await sender.ask("jobs"))["jobs"][0]
    theirs = (await receiver.ask("jobs"))["jobs"][0]
    said = {}
    for log in sorted(sender.home.glob("**/kiln.*.log")):
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            at = datetime.datetime.fromisoformat(entry["timestamp"]).timestamp()
            said[entry["fields"].get("message")] = at  # the last time it was said
    return {"bundle": said["a bundle is sent"] - mine["created_at"],
            "upload": theirs["created_at"] - said["a bundle is sent"],
            "fetch": said["artifacts are here"] - said["artifacts are fetched"],
            "return": mine["completed_at"] - theirs["completed_at"]}


async def bundled(home: Path, name: str) -> float:
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "esphome", "bundle", str(home / f"config/{name}.yaml"), "-o",
        str(home / "out.tar.gz"), stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL)
    await process.wait()
    return time.perf_counter() - begun
