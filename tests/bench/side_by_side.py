#!/usr/bin/env python3
"""Measure Kiln beside a real dashboard, turn by turn, with the real dashboard's own client.

    KILN_PROGRAM=target/release/kiln tests/rig/net run tests/bench/side_by_side.py [--quick]

Every figure of the two sides is taken alternately (A B A B) in one run, so that whatever else the
machine does hits both. Prints a table; `cargo xtask bench` does everything around it.
"""
import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "rig"))
import bench as rig  # noqa: E402  (starts this again with the rig's Python if need be)
from bench import HOME, MB, Offloader, proc  # noqa: E402
import decisions  # noqa: E402
import own  # noqa: E402
import table  # noqa: E402

KILN = Path(os.environ["KILN_PROGRAM"]).resolve()
KEY = "KILNBENCHKILNBENCHKILNBENC"
SIDES = ("kiln", "real")
NOTES: list[str] = []


def say(text: str) -> None:
    print(f"[{time.strftime('%X')}] {text}", file=sys.stderr, flush=True)


class Figures(dict):
    """metric -> side -> all values."""

    def add(self, metric: str, side: str, value: float) -> None:
        self.setdefault(metric, {}).setdefault(side, []).append(round(value, 10))


def smaps(pid: int) -> dict:
    """Resident and proportional memory in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+)", text, re.M))
    return {"rss": int(found["Rss"]) * 1024 / MB, "pss": int(found["Pss"]) * 1024 / MB}


class Real:
    """The real dashboard, headless, with the stand-in toolchain."""

    name = "real"

    async def start(self, fresh: bool = True) -> float:
        command = [sys.executable, TESTS / "rig/peer", "start", "side-real", "--role", "headless",
                   "--standin", "--log-level", "info", *(["--fresh"] if fresh else [])]
        done = await asyncio.create_subprocess_exec(*map(str, command), stdout=subprocess.PIPE)
        out, _ = await done.communicate()
        info = json.loads(out)
        self.pid, self.key = info["pid"], info.get("pairing_key")
        host, port = info["link"].rsplit(":", 1)
        self.me = Offloader(host, int(port))
        return info["ready_s"]

    async def stop(self) -> None:
        done = await asyncio.create_subprocess_exec(
            sys.executable, str(TESTS / "rig/peer"), "stop", "side-real",
            stdout=subprocess.DEVNULL)
        await done.wait()


class Kiln:
    """A Kiln node, driven by its command line."""

    name = "kiln"

    def __init__(self, folder: Path, name: str = "side-kiln") -> None:
        self.home = folder / name
        self.process = None
        venv = HOME / "standin"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ESPHOME_", "KILN_"))},
            "KILN_HOME": str(self.home), "KILN_SECRETS": "file",
            "PATH": f"{venv}/bin:{os.environ['PATH']}", "NO_COLOR": "1",
        }

    async def start(self, fresh: bool = True, *options: str) -> float:
        if fresh:
            shutil.rmtree(self.home, ignore_errors=True)
        config = self.home / "config"
        config.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        self.process = await asyncio.create_subprocess_exec(
            str(KILN), "serve", "--json", "--esphome-dir", str(config),
            *(options or ("--receiver", "--listen-host", "127.0.0.1", "--listen-port", "0",
                          *(("--bootstrap-key", KEY) if fresh else ()))),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=self.env)
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        took = time.perf_counter() - begun
        self.ready = json.loads(line)
        self.pid, self.key = self.process.pid, KEY
        if self.ready.get("link"):
            host, port = self.ready["link"].rsplit(":", 1)
            self.me = Offloader(host, int(port))
        return took

    async def stop(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()

    async def has_esphome(self) -> None:
        """Wait until the node found the ESPHome on its search path."""
        while not (await self.ask("env", "list"))["environments"]:
            await asyncio.sleep(0.2)

    async def ask(self, *arguments: str):
        done = await asyncio.create_subprocess_exec(
            str(KILN), "--json", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.env)
        out, err = await done.communicate()
        if done.returncode:
            raise RuntimeError(f"kiln {arguments}: {err.decode()}{out.decode()}")
        return json.loads(out) if out.strip() else None


async def starts(sides: list, figures: Figures, runs: int) -> None:
    for _ in range(runs):
        for side in sides:
            figures.add("start_fresh_s", side.name, await side.start())
            await side.stop()
            figures.add("start_again_s", side.name, await side.start(fresh=False))
            await side.stop()


async def handshakes(sides: list, figures: Figures, runs: int) -> None:
    for _ in range(runs):
        for side in sides:
            cpu, begun = proc(side.pid)["cpu"], time.perf_counter()
            side.preview = await side.me.preview()
            figures.add("preview_s", side.name, time.perf_counter() - begun)
            figures.add("preview_cpu_s", side.name, proc(side.pid)["cpu"] - cpu)
    for side in sides:
        paired = await side.me.pair(side.preview.pin_sha256, side.key)
        side.pin, side.pub = paired.pin_sha256, paired.remote_static_pub
    for _ in range(runs):
        for side in sides:
            client, task, took = await side.me.open(side.pin, side.pub)
            figures.add("session_open_s", side.name, took)
            await rig.close(task)
            await asyncio.sleep(0.05)
    for side in sides:
        side.client, side.task, _ = await side.me.open(side.pin, side.pub)


async def uploads(sides: list, figures: Figures, mb: int, runs: int) -> None:
    """Noise: acknowledged once the checksum holds, refused afterwards since it is no archive."""
    data = random.Random(mb).randbytes(mb * MB)
    for n in range(runs):
        for side in sides:
            rig.reset_peak(side.pid)
            before, begun = proc(side.pid), time.perf_counter()
            ack = await side.client.submit_job(
                job_id=f"up{mb}x{n}", configuration_filename="noise.yaml", target="compile",
                bundle_bytes=data)
            took = time.perf_counter() - begun
            if not ack["accepted"]:
                raise RuntimeError(ack)
            await side.me.until(f"up{mb}x{n}", "failed")
            after = proc(side.pid)
            figures.add(f"upload_{mb}_s", side.name, took)
            figures.add(f"upload_{mb}_cpu_s_per_gb", side.name,
                        (after["cpu"] - before["cpu"]) * 1000 / mb)
            figures.add(f"upload_{mb}_peak_rss_mb", side.name, after["peak"])
            figures.add(f"upload_{mb}_grown_mb", side.name, after["peak"] - before["rss"])


async def compile_on(side, job: str, name: str, data: bytes) -> tuple[float, dict]:
    begun = time.perf_counter()
    ack = await side.client.submit_job(
        job_id=job, configuration_filename=f"{name}.yaml", target="compile", bundle_bytes=data)
    if not ack["accepted"]:
        raise RuntimeError(ack)
    acked = time.perf_counter()
    seen = await side.me.until(job, "completed")
    return begun, {"ack": acked, **seen}


async def small_jobs(sides: list, figures: Figures, runs: int) -> None:
    data = rig.bundle("bench-small", 65536, 10)
    for n in range(runs):
        for side in sides:
            begun, seen = await compile_on(side, f"sched{n}", "bench-small", data)
            for state in ("ack", "queued", "running", "completed"):
                figures.add(f"submit_to_{state}_s", side.name, seen[state] - begun)


async def downloads(sides: list, figures: Figures, kind: str, mb: int, runs: int) -> None:
    name = f"bench-{kind}-{mb}"
    rig.YAML = rig.YAML.replace('standin_seconds: "0"\n', 'standin_seconds: "0"\n'
                                + ('  standin_code: "1"\n' if kind == "code" else ""))
    data = rig.bundle(name, mb * MB, 10)
    rig.YAML = rig.YAML.replace('  standin_code: "1"\n', "")
    for side in sides:
        await compile_on(side, name, name, data)
    started: list[float] = []
    for _ in range(runs):
        for side in sides:
            rig.reset_peak(side.pid)
            started.clear()
            before, begun = proc(side.pid), time.perf_counter()
            watch = asyncio.create_task(rig.first_artifact_frame(side.client, name, started))
            got = await side.client.download_artifacts(job_id=name)
            end = time.perf_counter()
            await watch
            after = proc(side.pid)
            metric = f"fetch_{kind}_{mb}"
            figures.add(f"{metric}_s", side.name, end - begun)
            figures.add(f"{metric}_pack_s", side.name, started[0] - begun)
            figures.add(f"{metric}_cpu_s", side.name, after["cpu"] - before["cpu"])
            figures.add(f"{metric}_peak_rss_mb", side.name, after["peak"])
            figures.add(f"{metric}_wire_mb", side.name, len(got.tarball) / MB)


# Kiln ends a build that prints more than 40,000 lines in two seconds, so that many come in several jobs.
LINES_OF_A_JOB = 30_000


async def log_lines(sides: list, figures: Figures, lines: int) -> None:
    data = rig.bundle("bench-chatty", 65536, LINES_OF_A_JOB)
    for side in sides:
        count, first = 0, 0.0

        def note(_event):
            nonlocal count, first
            count += 1
            first = first or time.perf_counter()

        off = side.me.bus.add_listener(rig.EventType.OFFLOADER_JOB_OUTPUT, note)
        rig.reset_peak(side.pid)
        before, jobs = proc(side.pid), -(-lines // LINES_OF_A_JOB)
        told = jobs * LINES_OF_A_JOB
        for job in range(jobs):
            count_before, first = count, 0.0
            _, seen = await compile_on(side, f"chatty{job}", "bench-chatty", data)
            figures.add("lines_per_s", side.name, (count - count_before) / (seen["completed"] - first))
        off()
        after = proc(side.pid)
        if count < told:
            NOTES.append(f"{side.name}: {count} of {told} lines came")
        figures.add("line_cpu_us", side.name, (after["cpu"] - before["cpu"]) / count * 1e6)
        figures.add("lines_peak_rss_mb", side.name, after["peak"])


def idle(sides: list, figures: Figures, metric: str) -> None:
    for side in sides:
        for kind, value in smaps(side.pid).items():
            figures.add(f"{metric}_{kind}_mb", side.name, value)


async def main(args: argparse.Namespace) -> None:
    figures, folder = Figures(), Path(tempfile.mkdtemp(prefix="kiln-bench-"))
    sides = [Kiln(folder), Real()]
    out = {"load_1min": os.getloadavg()[0], "quick": args.quick}
    runs = 3 if args.quick else 5
    only = set(args.only.split(",")) if args.only else None

    def wanted(part: str) -> bool:
        return only is None or part in only

    try:
        if wanted("start"):
            say("starting and stopping")
            await starts(sides, figures, runs)
        for side in sides:
            await side.start()
        await sides[0].has_esphome()
        await asyncio.sleep(3)
        idle(sides, figures, "idle_fresh")
        say("handshakes")
        await handshakes(sides, figures, 20 if args.quick else 50)
        idle(sides, figures, "idle_paired")
        if wanted("upload"):
            for mb in (1, 16, 60, 120):
                say(f"uploads of {mb} MB")
                await uploads(sides, figures, mb, 3 if mb == 120 else runs)
            idle(sides, figures, "after_uploads")
        if wanted("jobs"):
            say("small jobs")
            await small_jobs(sides, figures, runs)
        if wanted("fetch"):
            for kind, mb in (("noise", 24), ("noise", 60), ("code", 24), ("code", 60)):
                say(f"fetching {mb} MB of {kind}")
                await downloads(sides, figures, kind, mb, runs)
            idle(sides, figures, "after_fetches")
        if wanted("lines"):
            lines = args.lines or (50_000 if args.quick else 1_000_000)
            say(f"{lines} log lines")
            await log_lines(sides, figures, lines)
            out["lines"] = lines
        for side in sides:
            await rig.close(side.task)
        if wanted("own"):
            await own.measure(Kiln, folder, figures, runs, say)
    finally:
        for side in sides:
            await side.stop()
        shutil.rmtree(folder, ignore_errors=True)
    out["load_1min_end"] = os.getloadavg()[0]
    out["notes"], out["figures"] = NOTES, figures
    if args.decisions and args.decisions.exists():
        decisions.measure(args.decisions.read_text(), figures)
    if args.results:
        args.results.write_text(json.dumps(out, indent=1))
    made = table.markdown(out)
    print(made)
    for note in NOTES:
        print(note)
    if args.document:
        write_document(args.document, made, out)


def write_document(path: Path, made: str, out: dict) -> None:
    """Replaces what stands between the two marks."""
    cpu = next(line.split(":", 1)[1].strip() for line in
               Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    text = path.read_text()
    head, rest = text.split("<!-- table -->", 1)
    _, tail = rest.split("<!-- end -->", 1)
    where = (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores of {cpu}, Linux "
             f"{os.uname().release}, load {out['load_1min']:.1f} before and "
             f"{out['load_1min_end']:.1f} after, {'quick' if out['quick'] else 'full'} run.")
    path.write_text(f"{head}<!-- table -->\n{where}\n\n{made}<!-- end -->{tail}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--only", default="", help="start,upload,jobs,fetch,lines,own")
    p.add_argument("--lines", type=int, default=0)
    p.add_argument("--results", type=Path, help="where all values go, as JSON")
    p.add_argument("--decisions", type=Path, help="what decide.rs printed")
    p.add_argument("--document", type=Path, help="a document with marks around its table")
    asyncio.run(main(p.parse_args()))
