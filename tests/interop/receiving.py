"""A stock dashboard sends work; Kiln compiles it."""
import asyncio
import os
import signal
import socket
import subprocess

from devices import chip, host
from world import Refused, expect, until


async def paired(world, kiln=None, **options):
    """The shared dashboard, paired with a receiving Kiln; returns both."""
    dash = await world.offloader()
    kiln = kiln or world.kiln(**options)
    if not kiln.process:
        await kiln.receive()
    await admit(dash, kiln)
    return dash, kiln


async def admit(dash, kiln):
    await kiln.ask("window", "open")
    answer = await dash.pair(kiln)
    if answer["status"] != "approved":
        await kiln.ask("approve", await dash.dashboard_id())
    await dash.linked()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def compilers(kiln):
    """Processes that belong to builds of this Kiln."""
    done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if str(kiln.home / "cache") in line
            and "kiln serve" not in line]


async def test_pairing_is_asked_approved_and_opens_a_session(world):
    dash = await world.offloader()
    kiln = world.kiln()
    await kiln.receive()
    await kiln.ask("window", "open")
    answer = await dash.pair(kiln, label="Living room")
    expect(answer["status"] == "pending", f"the dashboard waits: {answer}")
    view = await kiln.status()
    expect([r["label"] for r in view["requests"]] == ["Living room"], "the request is shown")
    expect(view["requests"][0]["pin_sha256"] == await dash.pin(), "with the dashboard's pin")
    await kiln.ask("approve", await dash.dashboard_id())
    pairing = (await dash.linked())[0]
    expect(pairing["auto_provision_supported"], "Kiln announces that it can provision")


async def test_a_closed_window_refuses_new_dashboards(world):
    dash = await world.offloader()
    kiln = world.kiln()
    await kiln.receive()
    try:
        await dash.pair(kiln)
    except Refused as refused:
        expect("no_pairing_window" in str(refused), str(refused))
    else:
        expect(False, "pairing was accepted with a closed window")


async def test_a_rejected_request_ends_at_the_dashboard(world):
    dash = await world.offloader()
    kiln = world.kiln()
    await kiln.receive()
    await kiln.ask("window", "open")
    await dash.pair(kiln)
    await kiln.ask("reject", await dash.dashboard_id())

    async def gone():
        return not await dash.pairings()
    await until("the pairing to go", gone)


async def test_closing_the_window_drops_what_was_asked(world):
    dash = await world.offloader()
    kiln = world.kiln()
    await kiln.receive()
    await kiln.ask("window", "open")
    await dash.pair(kiln)
    await kiln.ask("window", "close")
    # The command that opened the window is gone, so nothing holds it open any longer.
    requests = (await kiln.status())["requests"]
    expect(not requests, f"what was asked is dropped: {requests}")

    async def gone():
        return not await dash.pairings()
    await until("the dashboard to be told", gone)


async def test_a_host_device_is_compiled_for_real_and_flashed_by_the_dashboard(world):
    dash, kiln = await paired(world, standin=False)
    api, ota = free_port(), free_port()
    await dash.put("flashed.yaml", host("flashed", api, ota, friendly="First"))
    first = await dash.reaches(await dash.submit("flashed.yaml"), "completed", 240)
    expect(first["source"] == "remote", f"built on Kiln: {first['source']}")
    program = dash.config / ".esphome/build/flashed/.pioenvs/flashed/program"
    expect(program.stat().st_size > 100_000, "the program is in the dashboard's tree")
    device = world.folder / "device"
    device.mkdir()
    copy = device / "flashed"
    copy.write_bytes(program.read_bytes())
    copy.chmod(0o755)
    running = await asyncio.create_subprocess_exec(
        copy, cwd=device, env={"HOME": str(device)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await dash.put("flashed.yaml", host("flashed", api, ota, friendly="Second"))
        job = await dash.dash.call("firmware/install", configuration="flashed.yaml",
                                   port="127.0.0.1")
        await dash.reaches(job["job_id"], "completed", 240)

        async def flashed():
            return copy.read_bytes() == program.read_bytes()
        await until("the device to run the new program", flashed)
    finally:
        running.kill()


async def chip_build(world, platform):
    dash, kiln = await paired(world)
    name = f"chip-{platform}"
    await dash.put(f"{name}.yaml", chip(name, platform, size=300_000))
    job = await dash.reaches(await dash.submit(f"{name}.yaml"), "completed")
    expect(job["source"] == "remote", f"built on Kiln: {job['source']}")
    built = list((dash.config / ".esphome/build" / name).rglob("*"))
    expect(any(f.is_file() and f.stat().st_size == 300_000 for f in built),
           "the firmware image arrived whole")


async def test_what_was_built_for_a_dashboard_is_told_in_the_audit(world):
    dash, kiln = await paired(world)
    await dash.put("told.yaml", chip("told"))
    await dash.reaches(await dash.submit("told.yaml"), "completed")

    async def packed():
        entries = (await kiln.ask("audit", "--limit", "0"))["entries"]
        return entries if entries[-1]["event"] == "packed" else None
    entries = await until("the artifacts to be told of", packed)
    told = [f"{e['kind']} {e['event']}" for e in entries if e["kind"] in ("pairing", "session", "job")]
    expect(told == ["pairing asked", "pairing approved", "session opened", "job accepted",
                    "job started", "job ended", "job packed"], f"in order: {told}")
    asked, ended, last = (next(e for e in entries if e["event"] == event)
                          for event in ("asked", "ended", "packed"))
    expect(ended["sender"]["pin_sha256"] == asked["pin_sha256"], f"who: {ended}")
    expect(ended["outcome"] == "completed" and ended["configuration"] == "told.yaml", f"{ended}")
    tier = (await kiln.status())["sandbox"]["tier"]
    expect(ended["tier"] == tier and len(ended["bundle_sha256"]) == 64, f"in what: {ended}")
    expect(len(last["artifacts_sha256"]) == 64, f"what came out: {last}")
    verified = await kiln.ask("audit", "verify")
    expect(verified["verdict"] == "intact", f"{verified}")
    given = (await kiln.ask("audit", "statistics"))["given"]
    expect([of["completed"] for of in given] == [1], f"counted: {given}")


async def test_an_esp8266_build_comes_back_whole(world):
    await chip_build(world, "esp8266")


async def test_an_esp32_build_comes_back_whole(world):
    await chip_build(world, "esp32")


async def test_an_rp2040_build_comes_back_whole(world):
    await chip_build(world, "rp2040")


async def test_a_bk72xx_build_comes_back_whole(world):
    await chip_build(world, "bk72xx")


async def test_a_failed_compile_fails_with_a_reason(world):
    dash, kiln = await paired(world)
    await dash.put("fails.yaml", chip("fails", code=1))
    job = await dash.final(await dash.submit("fails.yaml"))
    expect(job["status"] == "failed" and job["error"], f"{job['status']}: {job['error']!r}")


async def test_every_line_of_a_long_log_arrives_in_order(world):
    dash, kiln = await paired(world)
    await dash.put("wordy.yaml", chip("wordy", lines=1500, seconds=0.5))
    job = await dash.reaches(await dash.submit("wordy.yaml"), "completed")
    output = await dash.output(job["job_id"])
    places = [output.find(f"[{n}/1500] ") for n in (1, 2, 700, 1499, 1500)]
    expect(places == sorted(places) and -1 not in places, f"lines are in order: {places}")


async def test_a_line_of_62000_characters_does_not_end_the_session(world):
    dash, kiln = await paired(world, standin=False)
    text = "x" * 62_000
    await dash.put("longline.yaml", host(
        "longline", extra="esphome_placeholder: 0\n").replace("esphome_placeholder: 0\n", "")
        .replace("name: longline\n", "name: longline\n  on_boot:\n    then:\n      - lambda: |-\n"
                 f"          #error {text}\n"))
    job = await dash.final(await dash.submit("longline.yaml"), 240)
    expect(job["status"] == "failed", job["status"])
    expect(job["source"] == "remote", "the build was not moved")
    output = await dash.output(job["job_id"])
    expect("x" * 5000 in output, f"the long line arrived: {len(output)}, {output[-3000:]}")
    expect(await dash.linked(1), "the session is still open")


async def test_cancelling_at_the_dashboard_ends_the_build_here(world):
    dash, kiln = await paired(world)
    await dash.put("slow.yaml", chip("slow", seconds=120))
    job = await dash.submit("slow.yaml")
    await dash.says(job, "Building CXX")
    expect(compilers(kiln), "the build runs here")
    await dash.dash.call("firmware/cancel", job_id=job)
    await dash.reaches(job, "cancelled")

    async def quiet():
        return not compilers(kiln)
    await until("no process of the build to be left", quiet, 15)


async def test_cancelling_here_is_told_to_the_dashboard(world):
    dash, kiln = await paired(world)
    await dash.put("stopped.yaml", chip("stopped", seconds=120))
    job = await dash.submit("stopped.yaml")
    await dash.says(job, "Building CXX")
    ours = [j for j in await kiln.jobs() if j["status"] == "running"][0]
    await kiln.ask("cancel", ours["id"])
    await dash.reaches(job, "cancelled")


async def test_a_newer_submission_of_a_device_supersedes_the_older(world):
    dash, kiln = await paired(world)
    await dash.put("twice.yaml", chip("twice", seconds=120))
    first = await dash.submit("twice.yaml")
    await dash.says(first, "Building CXX")
    await dash.put("twice.yaml", chip("twice"))
    second = await dash.submit("twice.yaml")
    await dash.reaches(first, "cancelled")
    await dash.reaches(second, "completed")


async def test_a_clean_reaches_this_receiver(world):
    dash, kiln = await paired(world)
    await dash.put("cleaned.yaml", chip("cleaned"))
    await dash.reaches(await dash.submit("cleaned.yaml"), "completed")
    await dash.dash.call("firmware/clean", configuration="cleaned.yaml")

    async def cleaned():
        jobs = [j for j in await kiln.jobs() if j["kind"] == "clean"]
        return jobs and jobs[0]["status"] == "completed"
    await until("the clean to be done here", cleaned)


async def test_a_reset_is_refused_while_a_build_runs_and_done_afterwards(world):
    dash, kiln = await paired(world)
    await dash.put("resets.yaml", chip("resets", seconds=6))
    job = await dash.submit("resets.yaml")
    await dash.says(job, "Building CXX")
    early = await dash.dash.call("remote_build/reset_peer_build_env", pin_sha256=kiln.pin)
    early = await dash.final(early["job_id"])
    expect(early["status"] == "failed" and "busy" in early["error"], f"{early['error']}")
    await dash.reaches(job, "completed")
    late = await dash.dash.call("remote_build/reset_peer_build_env", pin_sha256=kiln.pin)
    await dash.reaches(late["job_id"], "completed")


async def test_artifacts_can_be_fetched_again_later(world):
    dash, kiln = await paired(world)
    await dash.put("again.yaml", chip("again", size=123_456))
    job = await dash.submit("again.yaml")
    await dash.reaches(job, "completed")
    got = await dash.dash.call("remote_build/download_artifacts", pin_sha256=kiln.pin, job_id=job)
    expect([i["size"] for i in got["images"]][:1] == [123_456], f"{got['images']}")


async def test_a_large_bundle_and_a_large_image_go_through(world):
    dash, kiln = await paired(world)
    (dash.config / "ballast.bin").write_bytes(os.urandom(16_000_000))
    text = chip("heavy", size=16_000_000,
                extra="external_components:\n  - source:\n      type: local\n      path: parts\n")
    parts = dash.config / "parts/ballast"
    parts.mkdir(parents=True, exist_ok=True)
    (parts / "__init__.py").write_text("CONFIG_SCHEMA = {}\n")
    (parts / "ballast.bin").write_bytes((dash.config / "ballast.bin").read_bytes())
    await dash.put("heavy.yaml", text)
    job = await dash.reaches(await dash.submit("heavy.yaml"), "completed")
    expect(job["source"] == "remote", job["source"])


async def test_a_cut_link_does_not_stop_the_build_and_the_dashboard_gets_its_firmware(world):
    dash = await world.offloader()
    kiln = world.kiln(standin=False)
    await kiln.receive()
    await admit(dash, kiln)
    host_name, port = kiln.address.rsplit(":", 1)
    proxy = await world.proxy(host_name, int(port))
    await dash.dash.call("remote_build/edit_pairing_endpoint", pin_sha256=kiln.pin,
                         hostname="127.0.0.1", port=proxy.port)
    await dash.linked()
    await dash.put("cut.yaml", host("cut"))
    job = await dash.submit("cut.yaml")
    await dash.says(job, "Compiling app")
    proxy.cut()
    # A stock dashboard builds it again, wherever its own rules say.
    await dash.reaches(job, "completed", 300)


async def test_stopping_this_receiver_never_ends_a_job_as_cancelled(world):
    dash, kiln = await paired(world, standin=False)
    await dash.put("leaving.yaml", host("leaving"))
    job = await dash.submit("leaving.yaml")
    await dash.says(job, "Compiling app")
    await kiln.stop(signal.SIGTERM)
    await dash.reaches(job, "completed", 300)


async def test_a_killed_receiver_leaves_no_compiler_behind_once_it_is_back(world):
    dash, kiln = await paired(world)
    await dash.put("orphan.yaml", chip("orphan", seconds=600))
    job = await dash.submit("orphan.yaml")
    await dash.says(job, "Building CXX")
    await dash.dash.call("remote_build/unpair", pin_sha256=kiln.pin)
    await kiln.kill()
    await kiln.receive()
    for ours in await kiln.jobs():
        if ours["status"] in ("queued", "running"):
            await kiln.ask("cancel", ours["id"])

    async def quiet():
        return not compilers(kiln)
    await until("no process of the build to be left", quiet, 20)


async def test_forgetting_a_dashboard_ends_its_session_and_it_is_told(world):
    dash, kiln = await paired(world)
    await kiln.ask("offloaders", "forget", await dash.dashboard_id(), "--yes")
    await dash.unlinked()

    async def alerted():
        return (await dash.dash.snapshot()).get("offloader_alerts")
    expect(await until("the dashboard's alert", alerted), "the alert")


async def test_a_rotated_key_is_noticed_and_pairing_again_heals_it(world):
    dash, kiln = await paired(world)
    await kiln.ask("identity", "rotate", "--yes")
    await dash.unlinked()
    kiln.ready["pin_sha256"] = (await kiln.ask("identity"))["pin_sha256"]
    status = await kiln.status()
    kiln.ready["link"] = f"127.0.0.1:{status['listening_port']}"
    await admit(dash, kiln)


async def test_a_rotated_dashboard_has_to_be_forgotten_before_it_pairs_again(world):
    dash, kiln = await paired(world)
    await dash.dash.call("remote_build/rotate_identity")
    await dash.unlinked()
    await kiln.ask("offloaders", "forget", await dash.dashboard_id(), "--yes")
    await admit(dash, kiln)


async def test_a_version_that_cannot_be_provisioned_is_built_by_the_dashboard_itself(world):
    dash = await world.offloader()
    kiln = world.kiln(standin=False)
    # This Kiln has no ESPHome at all, and inside the test network it cannot get one.
    kiln.env.pop("KILN_ESPHOME")
    kiln.env["PATH"] = os.environ["PATH"]
    kiln.env["PIP_INDEX_URL"] = "http://127.0.0.1:9/"
    kiln.env["UV_OFFLINE"] = "1"
    await kiln.receive()
    await admit(dash, kiln)
    await dash.put("elsewhere.yaml", host("elsewhere"))
    job = await dash.reaches(await dash.submit("elsewhere.yaml"), "completed", 300)
    expect(job["source"] == "local", f"built by the dashboard: {job['source']}")


async def test_two_dashboards_with_the_same_device_name_do_not_meet(world):
    dash, kiln = await paired(world)
    other = await world.dashboard("second", standin=False)
    await admit(other, kiln)
    await dash.put("kitchen.yaml", chip("kitchen", size=111_111, seconds=2))
    await other.put("kitchen.yaml", chip("kitchen", size=222_222, seconds=2))
    await other.sends()
    first, second = await dash.submit("kitchen.yaml"), await other.submit("kitchen.yaml")
    await dash.reaches(first, "completed")
    await other.reaches(second, "completed")
    for peer, size in ((dash, 111_111), (other, 222_222)):
        image = peer.config / ".esphome/build/kitchen/.pioenvs/kitchen/firmware.bin"
        expect(image.stat().st_size == size, "each got its own image")


async def test_a_headless_receiver_is_paired_with_its_one_time_key(world):
    dash = await world.offloader()
    kiln = world.kiln()
    await kiln.receive("--bootstrap-key", "ABCD-EFGH-JKMN-PQRS")
    try:
        await dash.pair(kiln, key="ZZZZ-ZZZZ-ZZZZ-ZZZZ")
        expect(False, "a wrong key was taken")
    except Refused as refused:
        expect("no_pairing_window" in str(refused), str(refused))
    answer = await dash.pair(kiln, key="abcd efgh jkmn pqrs")
    expect(answer["status"] == "approved", f"{answer}")
    await dash.linked()


async def test_switching_receiving_off_ends_sessions_and_on_brings_them_back(world):
    dash, kiln = await paired(world)
    await kiln.ask("settings", "set", "receiver=false")
    await dash.unlinked()
    port = kiln.address.rsplit(":", 1)[1]
    await kiln.ask("settings", "set", f"listen_port={port}")
    await kiln.ask("settings", "set", "receiver=true")
    await dash.linked()


async def test_the_queue_is_fair_and_its_status_true(world):
    dash, kiln = await paired(world)
    await dash.put("first.yaml", chip("first", seconds=4))
    job = await dash.submit("first.yaml")
    await dash.says(job, "Building CXX")

    async def busy():
        rows = (await dash.dash.snapshot()).get("peer_queue_status") or []
        return [r for r in rows if r["pin_sha256"] == kiln.pin and not r["idle"]]
    await until("the dashboard to see Kiln busy", busy)
    await dash.reaches(job, "completed")

    async def idle():
        rows = (await dash.dash.snapshot()).get("peer_queue_status") or []
        return [r for r in rows if r["pin_sha256"] == kiln.pin and r["idle"]]
    await until("the dashboard to see Kiln idle", idle)
