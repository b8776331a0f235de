"""An offloader that says what a scenario wants, on top of the real dashboard's handshake.

The dashboard's own client makes the connection and the session; from then on frames are written
and read one by one, so that a scenario can stop, repeat or cut wherever it likes.
"""
import asyncio
import base64
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
from esphome_device_builder.controllers.remote_build import peer_link_client as plc
from esphome_device_builder.helpers.event_bus import EventBus

from devices import chip
from world import PATIENCE, Failed, expect

CHUNK = 32 * 1024
# What comes in between at any time.
ASIDE = ("queue_status", "job_output", "artifacts_chunk")
BUNDLES = {}


def bundle(name, **options):
    """What a real offloader sends for this device; made by the real esphome, once per content."""
    text = chip(name, **options)
    if text not in BUNDLES:
        with tempfile.TemporaryDirectory() as folder:
            yaml, out = Path(folder, f"{name}.yaml"), Path(folder, "out.tar.gz")
            yaml.write_text(text)
            subprocess.run([sys.executable, "-m", "esphome", "bundle", str(yaml), "-o", str(out)],
                           check=True, capture_output=True)
            BUNDLES[text] = out.read_bytes()
    return BUNDLES[text]


def header(job, name, data, **more):
    return {"type": "submit_job", "job_id": job, "configuration_filename": f"{name}.yaml",
            "target": "compile", "total_bundle_bytes": len(data),
            "num_chunks": -(-len(data) // CHUNK),
            "bundle_sha256": hashlib.sha256(data).hexdigest(), **more}


def chunks(job, data):
    pieces = [data[at:at + CHUNK] for at in range(0, len(data), CHUNK)]
    return [{"type": "submit_job_chunk", "job_id": job, "chunk_index": index,
             "data_b64": base64.b64encode(piece).decode(), "is_last": index == len(pieces) - 1}
            for index, piece in enumerate(pieces)]


class _Client(plc.PeerLinkClient):
    """The real client, stopped where its session begins."""

    async def _run_session_loops(self, channel):
        self.opened.set_result(channel)
        await self.over.wait()
        return "over"


class Scripted:
    """One identity, and at most one session of it."""

    def __init__(self, kiln, label="scripted"):
        self.kiln, self.label = kiln, label
        self.key, self.id = os.urandom(32), "scripted" + os.urandom(12).hex()
        self.public = self.channel = self.client = self.task = None
        self.aside = []

    @property
    def where(self):
        host, port = self.kiln.address.rsplit(":", 1)
        return host, int(port)

    async def ask(self, key=None):
        """Ask to be paired; return the answer."""
        host, port = self.where
        answer = await plc.request_pair(
            hostname=host, port=port, identity_priv=self.key, label=self.label,
            dashboard_id=self.id, resolver=None, pairing_key=key,
            expected_pin_sha256=self.kiln.pin, friendly_name=self.label, ha_addon=False,
            label_auto=False)
        self.public = answer.remote_static_pub
        return answer

    async def pair(self):
        await self.kiln.ask("window", "open")
        await self.ask()
        await self.kiln.ask("approve", self.id)
        return self

    async def open(self):
        host, port = self.where
        self.client = _Client(
            receiver_hostname=host, receiver_port=port, identity_priv=self.key,
            dashboard_id=self.id, pinned_static_x25519_pub=self.public, pin_sha256=self.kiln.pin,
            receiver_label="kiln", bus=EventBus())
        self.client.opened = asyncio.get_running_loop().create_future()
        self.client.over = asyncio.Event()
        self.task = asyncio.create_task(self.client._run_one_session())
        await asyncio.wait([self.task, self.client.opened], timeout=PATIENCE,
                           return_when=asyncio.FIRST_COMPLETED)
        if not self.client.opened.done():
            self.task.cancel()
            raise Failed(f"no session: {self.client._last_connect_error or 'refused'}")
        self.channel = self.client.opened.result()
        return self

    async def close(self):
        """End the session in good order."""
        if self.task and not self.task.done():
            self.client.over.set()
            await asyncio.gather(self.task, return_exceptions=True)

    async def cut(self):
        """Lose the connection without a word."""
        self.channel.ws._response.connection.transport.abort()
        await self.close()

    async def stop(self):
        await self.close()

    async def says(self, *frames):
        for frame in frames:
            if "raw_plaintext_utf8" in frame:
                sealed = self.channel.noise.encrypt(frame["raw_plaintext_utf8"].encode())
                await self.channel.ws.send_bytes(sealed)
            else:
                await self.channel.send_frame(frame)

    async def hears(self, seconds=PATIENCE):
        """The next frame that is not said aside, or how the connection was closed."""
        while True:
            message = await asyncio.wait_for(self.channel.ws.receive(), seconds)
            if message.type != aiohttp.WSMsgType.BINARY:
                return {"ws_close": self.channel.ws.close_code}
            frame = self.channel.parse_frame(message)
            if frame is None:
                raise Failed("a frame could not be read")
            if frame["type"] == "ping":
                await self.says({"type": "pong", "nonce": frame["nonce"]})
            elif frame["type"] in ASIDE:
                self.aside.append(frame)
            else:
                return frame

    async def hears_that(self, job, status):
        """Reads on until a job has a status; returns that frame."""
        while True:
            frame = await self.hears(180)
            expect("ws_close" not in frame, f"closed while {job} should become {status}")
            if frame["type"] == "job_state_changed" and frame["job_id"] == job:
                if frame["status"] == status:
                    return frame
                final = frame["status"] in ("completed", "failed", "cancelled")
                expect(not final, f"{job} became {frame} instead of {status}")

    async def submits(self, job, name, data, **more):
        """Send a whole submission; return the acknowledgement."""
        await self.says(header(job, name, data, **more), *chunks(job, data))
        while True:
            frame = await self.hears()
            if frame.get("type") == "submit_job_ack":
                return frame

    async def still_there(self):
        await self.says({"type": "ping", "nonce": "still there?"})
        frame = await self.hears()
        return frame.get("type") == "pong"

    async def fetches(self, job):
        """Download artifacts; return the archive, or the refusal."""
        self.aside.clear()
        await self.says({"type": "download_artifacts", "job_id": job})
        while True:
            frame = await self.hears(180)
            if frame.get("type") == "artifacts_end":
                pieces = [f for f in self.aside if f["type"] == "artifacts_chunk"]
                return (b"".join(base64.b64decode(p["data_b64"]) for p in pieces)
                        if frame["accepted"] else frame)
