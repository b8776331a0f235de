"""Real Kilns and real dashboards on one machine, for scenarios.

Everything runs inside `tests/rig/net run`, so nothing leaves the machine. A scenario gets a
World, starts what it needs, and everything it started is gone when it ends.
"""
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
RIG = TESTS / "rig"
RIG_HOME = Path(os.environ.get("RIG_HOME") or Path.home() / ".cache/peer-rig")
KILN = Path(os.environ["KILN_PROGRAM"])
WORK = Path(os.environ.get("KILN_TEST_DIR") or "/tmp/kiln-interop")
PATIENCE = 60.0

sys.path.insert(0, str(RIG))
import dash as rig_dash  # noqa: E402
from dash import Dash, Refused  # noqa: E402,F401


class Failed(AssertionError):
    """A scenario's expectation did not hold."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


async def until(what, probe, seconds=PATIENCE):
    """Await probe() until it returns something true."""
    end = time.monotonic() + seconds
    while True:
        value = await probe()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(0.05)


async def slowness():
    """By how much this machine is slower now, because it has more to do than it has cores. Asked before what is
    measured begins, which may be what gives it so much to do."""
    running = 0
    for _ in range(20):
        with open("/proc/loadavg", encoding="ascii") as load:
            running += int(load.read().split()[3].split("/")[0])
        await asyncio.sleep(0.05)
    return max(1.0, running / 20 / os.cpu_count())


def holds(what, took, most, slower):
    """Hold a time against what this project promises, on a machine that was so much slower."""
    print(f"       {what}: {took:.2f} s, at most {most:g} s times {slower:.1f}", flush=True)
    expect(took <= most * slower, f"{what}: {took:.2f} s")


class Kiln:
    """One Kiln with a state of its own, driven through its command line."""

    def __init__(self, folder, standin):
        self.folder, self.process, self.ready, self.within = folder, None, {}, []
        self.home, self.config = folder / "home", folder / "config"
        self.home.mkdir(parents=True)
        self.config.mkdir()
        venv = RIG_HOME / ("standin" if standin else "venv")
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ESPHOME_", "KILN_"))},
            "KILN_HOME": str(self.home),
            "KILN_SECRETS": "file",
            "KILN_ESPHOME": str(venv / "bin/esphome"),
            "XDG_CACHE_HOME": str(folder / "xdg-cache"),
            "PLATFORMIO_CORE_DIR": str(folder / "platformio"),
            "NO_COLOR": "1",
        }

    async def serve(self, *options):
        """Start the node; return its ready line."""
        log = (self.folder / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            *self.within, KILN, "serve", "--json", "--esphome-dir", self.config, *options,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.env)
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        if not line:
            raise Failed(f"kiln serve ended: {(self.folder / 'log').read_text()[-2000:]}")
        self.ready = json.loads(line)
        return self.ready

    async def receive(self, *options):
        return await self.serve("--receiver", "--listen-host", "127.0.0.1", "--listen-port", "0",
                                *options)

    def without_bubblewrap(self):
        """From its next start on it finds none, so that tier 2 is the best."""
        hide = 'mount --bind /dev/null "$(command -v bwrap)" && exec "$@"'
        self.within = ["unshare", "--mount", "sh", "-c", hide, "sh"]

    @property
    def address(self):
        return self.ready["link"]

    @property
    def pin(self):
        return self.ready["pin_sha256"]

    async def run(self, *arguments, seconds=300.0):
        """Run a command; return (exit code, stdout, stderr)."""
        process = await asyncio.create_subprocess_exec(
            KILN, *map(str, arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.env)
        out, err = await asyncio.wait_for(process.communicate(), seconds)
        return process.returncode, out.decode(), err.decode()

    async def ask(self, *arguments, seconds=300.0):
        """Run a command that has to work; return its JSON."""
        code, out, err = await self.run("--json", *arguments, seconds=seconds)
        if code:
            raise Failed(f"kiln {' '.join(map(str, arguments))}: exit {code}: {err}{out}")
        return json.loads(out) if out.strip() else None

    async def refused(self, *arguments):
        """Run a command that has to be refused; return its code and text."""
        code, out, err = await self.run(*arguments)
        expect(code not in (0, 101), f"kiln {arguments} exited {code}: {out}{err}")
        return code, out + err

    async def status(self):
        return await self.ask("status")

    async def receivers(self):
        return (await self.status())["receivers"]

    async def job(self, job_id):
        jobs = await self.ask("jobs")
        rows = jobs["jobs"] if isinstance(jobs, dict) else jobs
        return next((job for job in rows if job["id"] == job_id), None)

    async def jobs(self):
        jobs = await self.ask("jobs")
        return jobs["jobs"] if isinstance(jobs, dict) else jobs

    async def final(self, job_id, seconds=180.0):
        """Wait until a job is final; return it."""
        async def probe():
            job = await self.job(job_id)
            return job if job and job["status"] in ("completed", "failed", "cancelled") else None
        return await until(f"job {job_id} to end", probe, seconds)

    async def log(self, job_id):
        code, out, err = await self.run("logs", job_id)
        expect(code == 0, f"kiln logs {job_id}: {err}")
        return out

    async def linked(self, seconds=PATIENCE):
        """Wait until a session to a receiver is open."""
        async def probe():
            return [r for r in await self.receivers() if r["link"] == "connected"]
        return await until("an open session", probe, seconds)

    def put(self, name, text):
        (self.config / name).write_text(text)

    async def stop(self, how=signal.SIGTERM):
        if self.process and self.process.returncode is None:
            self.process.send_signal(how)
            try:
                await asyncio.wait_for(self.process.wait(), 20)
            except TimeoutError:
                self.process.kill()
                raise Failed("kiln did not stop within 20 s") from None

    async def kill(self):
        await self.stop(signal.SIGKILL)


class Peer:
    """One real dashboard, driven through its own API."""

    def __init__(self, name, info):
        self.name, self.info, self.dash = name, info, None
        self.ready = time.monotonic()

    @property
    def config(self):
        return Path(self.info["config"])

    @property
    def link(self):
        return self.info["link"]

    async def sends(self):
        """Waits until it sends work to others: it holds that back for 20 s after its start."""
        await asyncio.sleep(max(0, self.ready + 20.5 - time.monotonic()))

    async def put(self, name, text):
        await self.dash.call("devices/update_config", configuration=name, content=text)

    async def pin(self):
        return (await self.dash.call("remote_build/get_identity"))["pin_sha256"]

    async def dashboard_id(self):
        return (await self.dash.call("remote_build/get_identity"))["dashboard_id"]

    async def pairings(self):
        return (await self.dash.call("remote_build/get_offloader_settings"))["pairings"]

    async def peers(self):
        return (await self.dash.call("remote_build/get_settings"))["peers"]

    async def pair(self, kiln, label="dashboard", key=None):
        host, port = kiln.address.rsplit(":", 1)
        where = {"hostname": host, "port": int(port)}
        preview = await self.dash.call("remote_build/preview_pair", **where)
        expect(preview["pin_sha256"] == kiln.pin, "the preview shows Kiln's pin")
        extra = {"pairing_key": key} if key else {}
        return await self.dash.call("remote_build/request_pair", **where, pin_sha256=kiln.pin,
                                    receiver_label="kiln", offloader_label=label, **extra)

    async def linked(self, seconds=PATIENCE):
        async def probe():
            return [p for p in await self.pairings() if p["connected"]]
        return await until("the dashboard's session", probe, seconds)

    async def unlinked(self, seconds=PATIENCE):
        async def probe():
            return not [p for p in await self.pairings() if p["connected"]]
        return await until("the dashboard's session to end", probe, seconds)

    async def submit(self, configuration, **more):
        job = await self.dash.call("firmware/compile", configuration=configuration, **more)
        return job["job_id"]

    async def job(self, job_id):
        return await self.dash.call("firmware/get_job", job_id=job_id)

    async def builds(self):
        """Waits until it builds something, and returns that job."""
        async def probe():
            return [j for j in await self.dash.call("firmware/get_jobs") if j["status"] == "running"]
        return (await until("the build to run there", probe))[0]

    async def reaches(self, job_id, status, seconds=180.0):
        """Wait until a job has a status; fail when it ends otherwise."""
        async def probe():
            job = await self.job(job_id)
            if job["status"] in ("completed", "failed", "cancelled") and job["status"] != status:
                tail = "".join(job.get("output") or [])[-1500:]
                raise Failed(f"job ended {job['status']}: {job.get('error')}\n{tail}")
            return job if job["status"] == status else None
        return await until(f"job {job_id} to be {status}", probe, seconds)

    async def final(self, job_id, seconds=180.0):
        async def probe():
            job = await self.job(job_id)
            return job if job["status"] in ("completed", "failed", "cancelled") else None
        return await until(f"job {job_id} to end", probe, seconds)

    async def output(self, job_id):
        """What an ended job said: the dashboard keeps it in a file of its own."""
        file = self.config / ".esphome/dashboard-jobs" / f"{job_id}.log"

        async def written():
            return file.exists() and file.read_text(errors="replace")
        return await until(f"the log of job {job_id}", written, 10)

    async def says(self, job_id, text, seconds=120.0):
        """Wait until a job's output holds a text: that of a running job, or the log of an ended one."""
        file = self.config / ".esphome/dashboard-jobs" / f"{job_id}.log"

        async def probe():
            return (text in "".join((await self.job(job_id)).get("output") or [])
                    or (file.exists() and text in file.read_text(errors="replace")))
        return await until(f"{text!r} in the job's output", probe, seconds)


class Shared:
    """Dashboards that serve many scenarios: one dispatches nothing in its first 20 seconds."""

    def __init__(self):
        self.offloader = None

    async def end(self):
        if self.offloader:
            await stop_dashboard(self.offloader)


class World:
    """What one scenario started."""

    def __init__(self, folder, shared):
        self.folder, self.shared = folder, shared
        self.kilns, self.peers, self.others = [], [], []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def kiln(self, name="kiln", standin=True):
        kiln = Kiln(self.folder / name, standin)
        self.kilns.append(kiln)
        return kiln

    async def offloader(self):
        """The shared real dashboard that sends work, without pairings and with default settings.

        It has no stand-in toolchain: what it builds itself fails unless it is a `host` device, so
        a completed chip build was done by the receiver.
        """
        if not self.shared.offloader:
            self.shared.offloader = await start_dashboard("offloader", standin=False)
        peer = self.shared.offloader
        await peer.sends()
        for job in await peer.dash.call("firmware/get_jobs"):
            if job["status"] in ("queued", "running"):
                try:
                    await peer.dash.call("firmware/cancel", job_id=job["job_id"])
                except Refused:
                    pass
        for pairing in await peer.pairings():
            await peer.dash.call("remote_build/unpair", pin_sha256=pairing["pin_sha256"])
        await peer.dash.call("remote_build/set_offloader_settings", remote_builds_enabled=True,
                             version_match_policy="any", include_local_in_pool=False)
        return peer

    async def dashboard(self, name="dash", **options):
        peer = await start_dashboard(name, **options)
        self.peers.append(peer)
        return peer

    async def stop_dashboard(self, peer):
        await stop_dashboard(peer)

    async def proxy(self, host, port):
        proxy = Proxy(host, port)
        await proxy.start()
        self.others.append(proxy)
        return proxy

    async def end(self):
        for kiln in self.kilns:
            if kiln.process and kiln.process.returncode is None:
                kiln.process.kill()
                await kiln.process.wait()
        for other in self.others:
            await other.stop()
        await asyncio.gather(*map(stop_dashboard, self.peers))


async def start_dashboard(name, standin=True, headless=False, fresh=True, link_host="127.0.0.1"):
    arguments = [RIG / "peer", "start", f"it-{name}", "--link-host", link_host]
    arguments += ["--standin"] if standin else []
    arguments += ["--fresh"] if fresh else []
    arguments += ["--role", "headless"] if headless else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    expect(process.returncode == 0, f"dashboard {name}: {err.decode()[-2000:]}")
    peer = Peer(f"it-{name}", json.loads(out))
    if not headless:
        peer.dash = await Dash(peer.info["url"]).__aenter__()
    return peer


async def stop_dashboard(peer, how="stop"):
    if peer.dash:
        await peer.dash.__aexit__()
        peer.dash = None
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(RIG / "peer"), how, peer.name, stdout=subprocess.DEVNULL)
    await process.wait()


class Proxy:
    """A TCP relay that can be cut, to lose links on cue."""

    def __init__(self, host, port):
        self.target, self.server, self.pipes, self.open = (host, port), None, set(), True

    async def start(self):
        self.server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _relay(self, reader, writer):
        if not self.open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self.pipes.add(pair)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self.pipes.discard(pair)

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.close()

    def cut(self, stay_down=False):
        """Reset every connection; with stay_down refuse new ones until heal()."""
        self.open = not stay_down
        for pair in list(self.pipes):
            for writer in pair:
                writer.transport.abort()

    def heal(self):
        self.open = True

    async def stop(self):
        self.cut()
        self.server.close()
