"""A scripted offloader against Kiln's real socket: what no dashboard does on cue."""
import hashlib
import json
import os
import signal
import subprocess

from receiving import compilers
from scripted import Scripted, bundle, chunks, header
from world import TESTS, Failed, expect, until

# Where Kiln answers otherwise than the recorded receiver, on purpose.
OURS = {
    "download of a completed job superseded in history by a newer terminal compile of the same "
    "configuration": "every job keeps its own artifacts, so the older one can still be fetched",
}


async def met(world, kiln=None, label="scripted"):
    """A receiving Kiln and a scripted offloader with an open session; returns both."""
    kiln = kiln or world.kiln()
    if not kiln.process:
        await kiln.receive()
    peer = await (await Scripted(kiln, label).pair()).open()
    world.others.append(peer)
    return kiln, peer


async def quiet(kiln):
    async def probe():
        return not compilers(kiln)
    await until("no process of a build to be left", probe, 30)


def filled_in(frame, data):
    """The recording leaves its bundle out; another one takes its place."""
    frame = dict(frame)
    if str(frame.get("data_b64", "")).startswith("<base64"):
        frame.update(data_b64=chunks("", data)[0]["data_b64"])
    if frame.get("total_bundle_bytes") in (225, 230):
        frame["total_bundle_bytes"] = len(data)
        if not str(frame.get("bundle_sha256", "0000")).startswith("0000"):
            frame["bundle_sha256"] = hashlib.sha256(data).hexdigest()
    return frame


def like(heard, recorded):
    """Is this what was recorded? Sizes, digests and the words of an error may differ."""
    for key, value in recorded.items():
        if key not in heard:
            return False
        free = value in ("<n>", "<hex>") or (key == "error_message" and value)
        if not free and heard[key] != value:
            return False
    return True


# Covers, M55, M57, M66, M78
async def test_every_recorded_exchange_of_a_receiver_is_answered_alike(world):
    kiln, peer = await met(world)
    data, fails = bundle("kitchen", seconds=0, lines=2), bundle("fails", code=1, lines=2)
    await peer.submits("okjob", "kitchen", data)
    await peer.hears_that("okjob", "completed")
    await peer.submits("f", "fails", fails)
    await peer.hears_that("f", "failed")
    cases = json.loads((TESTS / "vectors/receiver_behaviour.json").read_text())["cases"]
    # The job that downloads ask for has to be the latest of its configuration.
    cases.sort(key=lambda case: not case["title"].startswith(("download", "two concurrent")))
    wrong = []
    for case in cases:
        if case["title"] in OURS:
            continue
        await peer.close()
        await peer.open()
        await peer.says(*(filled_in(frame, data) for frame in case["send"]))
        missing, heard = list(case["expect"]), []
        try:
            while missing:
                frame = await peer.hears(90)
                heard.append(frame)
                match = next((want for want in missing if like(frame, want)), None)
                if match is None:
                    # A cancel may come late enough for the job to have been queued.
                    if "extract window" in case["title"] and frame.get("status") == "queued":
                        continue
                    break
                missing.remove(match)
            if not missing and case["session_stays_open"]:
                expect(await peer.still_there(), "the session stays open")
        except (TimeoutError, Failed) as fault:
            heard.append(repr(fault))
            missing = missing or ["an open session"]
        if missing:
            wrong.append(f"{case['title']}: heard {heard}, missing {missing}")
    expect(not wrong, "\n".join(wrong))
    expect(len(cases) == 43, "all recorded cases were played")


#
async def test_a_link_that_is_cut_during_an_upload_leaves_nothing_and_the_next_one_works(world):
    kiln, peer = await met(world)
    noise = bytes(range(256)) * 4096
    await peer.says(header("half", "half", noise), *chunks("half", noise)[:7])
    expect(await peer.still_there(), "the upload is under way")
    await peer.cut()
    await peer.open()
    expect(not await kiln.jobs(), "half a submission is no job")
    ack = await peer.submits("whole", "half", bundle("half", seconds=0))
    expect(ack["accepted"], f"{ack}")
    await peer.hears_that("whole", "completed")


async def test_a_cancel_during_an_upload_harms_neither_session_nor_the_next_submission(world):
    kiln, peer = await met(world)
    noise = bytes(range(256)) * 4096
    pieces = chunks("early", noise)
    await peer.says(header("early", "early", noise), *pieces[:3],
                    {"type": "cancel_job", "job_id": "early"})
    await peer.says(*pieces[3:])
    while (await peer.hears()).get("job_id") != "early":
        pass

    async def settled():
        return not [j for j in await kiln.jobs() if j["status"] in ("queued", "running")]
    await until("nothing to be under way", settled)
    ack = await peer.submits("next", "next", bundle("next", seconds=0))
    expect(ack["accepted"], f"{ack}")
    await peer.hears_that("next", "completed")


#
async def test_a_queued_job_is_cancelled_without_touching_the_running_one(world):
    kiln, peer = await met(world)
    await peer.submits("first", "first", bundle("first", seconds=6))
    await peer.hears_that("first", "running")
    await peer.submits("second", "second", bundle("second", seconds=60))
    await peer.hears_that("second", "queued")
    await peer.says({"type": "cancel_job", "job_id": "second"})
    await peer.hears_that("second", "cancelled")
    await peer.hears_that("first", "completed")


#
async def test_a_running_job_is_cancelled_with_every_process_of_it(world):
    kiln, peer = await met(world)
    await peer.submits("slow", "slow", bundle("slow", seconds=300))
    await peer.hears_that("slow", "running")

    async def compiling():
        return compilers(kiln)
    await until("the build to run", compiling)
    await peer.says({"type": "cancel_job", "job_id": "slow"})
    await peer.hears_that("slow", "cancelled")
    await quiet(kiln)


#
async def test_a_cancel_while_artifacts_are_fetched_changes_nothing(world):
    kiln, peer = await met(world)
    await peer.submits("done", "done", bundle("done", seconds=0, size=4_000_000))
    await peer.hears_that("done", "completed")
    await peer.says({"type": "download_artifacts", "job_id": "done"},
                    {"type": "cancel_job", "job_id": "done"})
    while (frame := await peer.hears(90)).get("type") != "artifacts_end":
        expect(frame.get("status") != "cancelled", "a completed job stays completed")
    expect(frame["accepted"], f"{frame}")


# Covers: M67
async def test_a_result_that_nobody_heard_of_can_be_fetched_after_reconnecting(world):
    kiln, peer = await met(world)
    await peer.submits("alone", "alone", bundle("alone", seconds=3))
    await peer.hears_that("alone", "running")
    await peer.cut()

    async def done():
        return [j for j in await kiln.jobs() if j["status"] == "completed"]
    await until("the build to end without its sender", done, 120)
    await peer.open()
    expect(isinstance(await peer.fetches("alone"), bytes), "its artifacts can be fetched")


# Covers: M62
async def test_a_sender_that_took_the_end_of_its_first_build_for_that_of_the_second_gets_the_second(world):
    kiln, peer = await met(world)
    await peer.submits("again", "again", bundle("again", seconds=10))
    await peer.hears_that("again", "running")
    await peer.cut()
    await peer.open()
    await peer.hears_that("again", "completed")
    ack = await peer.submits("again", "again", bundle("again", seconds=8))
    expect(ack["accepted"], f"{ack}")
    expect(isinstance(await peer.fetches("again"), bytes), "it waits for the artifacts")


# Covers: M67
async def test_a_link_that_is_cut_while_queued_keeps_the_place_in_the_queue(world):
    kiln, peer = await met(world)
    await peer.submits("ahead", "ahead", bundle("ahead", seconds=5))
    await peer.hears_that("ahead", "running")
    await peer.submits("behind", "behind", bundle("behind", seconds=0))
    await peer.hears_that("behind", "queued")
    await peer.cut()
    await peer.open()
    await peer.hears_that("behind", "completed")


async def test_a_download_that_is_cut_can_be_repeated_whole(world):
    kiln, peer = await met(world)
    await peer.submits("big", "big", bundle("big", seconds=0, size=8_000_000))
    await peer.hears_that("big", "completed")
    await peer.says({"type": "download_artifacts", "job_id": "big"})
    while (await peer.hears(90)).get("type") != "artifacts_start":
        pass
    await peer.cut()
    await peer.open()
    got = await peer.fetches("big")
    expect(isinstance(got, bytes) and len(got) > 7_000_000, "the artifacts arrive whole")


#
async def test_nobody_reaches_the_jobs_of_somebody_else(world):
    kiln, one = await met(world, label="one")
    _, two = await met(world, kiln, label="two")
    await one.submits("mine", "mine", bundle("mine", seconds=4))
    await one.hears_that("mine", "running")
    await two.says({"type": "cancel_job", "job_id": "mine"})
    refused = await two.fetches("mine")
    expect(refused == {"type": "artifacts_end", "job_id": "mine", "accepted": False,
                       "reason": "unknown_job"}, f"{refused}")
    await one.hears_that("mine", "completed")


async def test_somebody_with_one_job_does_not_wait_for_all_of_somebody_elses(world):
    kiln, many = await met(world, label="many")
    _, one = await met(world, kiln, label="one")
    await many.submits("m1", "m1", bundle("m1", seconds=3))
    await many.hears_that("m1", "running")
    for name in ("m2", "m3", "m4"):
        await many.submits(name, name, bundle(name, seconds=1))
    await one.submits("only", "only", bundle("only", seconds=1))
    await one.hears_that("only", "completed")
    open_jobs = [j for j in await kiln.jobs() if j["status"] in ("queued", "running")]
    expect(len(open_jobs) >= 2, f"its turn came before the others' last: {len(open_jobs)}")
    await many.hears_that("m4", "completed")


#
async def test_a_one_time_key_counts_only_from_the_allowed_address(world):
    elsewhere, here = world.kiln("elsewhere"), world.kiln("here")
    key = "ABCD-EFGH-JKMN-PQRS"
    await elsewhere.receive("--bootstrap-key", key, "--allow-pairing-source", "10.77.0.9")
    refused = await Scripted(elsewhere).ask(key)
    expect(refused.status == "no_pairing_window", f"like a closed window: {refused.status}")
    await here.receive("--bootstrap-key", key, "--allow-pairing-source", "127.0.0.1")
    peer = Scripted(here)
    wrong = await peer.ask("ZZZZ-ZZZZ-ZZZZ-ZZZZ")
    expect(wrong.status == "no_pairing_window", f"a wrong key: {wrong.status}")
    right = await peer.ask(key)
    expect(right.status == "approved", f"the right key is not used up: {right.status}")
    again = await Scripted(here).ask(key)
    expect(again.status == "no_pairing_window", f"it works once: {again.status}")
    await peer.open()
    await peer.close()


async def test_a_full_disk_fails_one_submission_and_not_the_session(world):
    kiln = world.kiln("small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", kiln.home], check=True)
    try:
        _, peer = await met(world, kiln)
        # On so small a disk it would take no builds at all.
        await kiln.ask("settings", "set", "disk_floor_mb=0")

        async def ready():
            return (await kiln.status())["availability"]["reason"] == "ready"
        await until("builds to be taken", ready, 150)
        noise = os.urandom(40 * 1000 * 1000)
        await peer.says(header("large", "large", noise))
        for piece in chunks("large", noise):
            await peer.says(piece)
        while True:
            frame = await peer.hears(120)
            if frame.get("job_id") == "large" and (
                    frame.get("accepted") is False or frame.get("status") == "failed"):
                break
            expect("ws_close" not in frame, "the session survives")
        ack = await peer.submits("small", "small", bundle("small", seconds=0))
        expect(ack["accepted"], f"{ack}")
        await peer.hears_that("small", "completed")
    finally:
        await kiln.kill()
        subprocess.run(["umount", "-l", kiln.home], check=True)


async def test_a_stop_in_the_middle_of_a_build_leaves_no_process_and_no_cancelled_job(world):
    kiln, peer = await met(world)
    await peer.submits("slow", "slow", bundle("slow", seconds=300))
    await peer.hears_that("slow", "running")

    async def compiling():
        return compilers(kiln)
    await until("the build to run", compiling)
    await kiln.stop(signal.SIGTERM)
    expect(not compilers(kiln), f"nothing is left behind: {compilers(kiln)}")
    heard = []
    while "ws_close" not in (frame := await peer.hears()):
        heard.append(frame)
    expect([f["type"] for f in heard if f["type"] == "terminate"], f"peers are told: {heard}")
    expect("cancelled" not in [f.get("status") for f in heard], f"not as cancelled: {heard}")
