"""Kiln sends work; a stock dashboard compiles it."""
import asyncio
import os
import signal

from devices import chip, host
from receiving import compilers, free_port
from world import Failed, expect, until


async def paired(world, standin=True, through=None):
    """A Kiln paired with a fresh stock receiver; returns both."""
    receiver = await world.dashboard("receiver", standin=standin)
    kiln = world.kiln("sender")
    await kiln.serve()
    await admit(receiver, kiln, through)
    return receiver, kiln


async def admit(receiver, kiln, through=None):
    await receiver.dash.call("remote_build/set_pairing_window", open=True)
    await kiln.ask("pair", through or receiver.link, "--pin", await receiver.pin(),
                   "--label", "box")
    await approve(receiver)
    await kiln.linked()


async def approve(receiver):
    async def asked():
        return [p["dashboard_id"] for p in await receiver.peers() if p["status"] == "pending"]
    for one in await until("the request at the dashboard", asked):
        await receiver.dash.call("remote_build/approve_peer", dashboard_id=one)


async def compiled(kiln, name, *more):
    """Start a compile; return its job id."""
    answer = await kiln.ask("compile", name, *more)
    jobs = answer["jobs"] if isinstance(answer, dict) else answer
    return jobs[0]["id"]


def image(kiln, name):
    return kiln.config / ".esphome/build" / name / ".pioenvs" / name / "firmware.bin"


async def test_a_chip_is_compiled_there_and_lands_in_the_local_tree(world):
    receiver, kiln = await paired(world)
    kiln.put("far.yaml", chip("far", size=222_000))
    job = await kiln.final(await compiled(kiln, "far"))
    expect(job["status"] == "completed", f"{job['status']}: {job['error']}")
    expect(job["placement"]["on"] == "remote", f"{job['placement']}")
    expect(image(kiln, "far").stat().st_size == 222_000, "the image is here")
    sidecar = (kiln.config / ".esphome/storage/far.yaml.json").read_text()
    expect(str(receiver.config) not in sidecar, "no path of the receiver is kept")


async def other_chip(world, platform):
    receiver, kiln = await paired(world)
    kiln.put("chip.yaml", chip("chip", platform, size=99_000))
    job = await kiln.final(await compiled(kiln, "chip"))
    expect(job["status"] == "completed", f"{job['status']}: {job['error']}")
    found = [f for f in (kiln.config / ".esphome/build/chip").rglob("*")
             if f.is_file() and f.stat().st_size == 99_000]
    expect(found, "the image is here")


async def test_an_esp32_is_compiled_there(world):
    await other_chip(world, "esp32")


async def test_an_rp2040_is_compiled_there(world):
    await other_chip(world, "rp2040")


async def test_a_bk72xx_is_compiled_there(world):
    await other_chip(world, "bk72xx")


async def test_a_platform_that_a_stock_receiver_cannot_ship_ends_with_a_clear_error(world):
    receiver, kiln = await paired(world)
    kiln.put("plain.yaml", host("plain"))
    job = await kiln.final(await compiled(kiln, "plain"), 240)
    # The receiver compiles and then refuses to pack; Kiln says whose fault that is.
    expect(job["status"] == "failed", f"{job}")
    expect("box built it but does not deliver" in job["error"], job["error"])
    expect("[28/28]" in await kiln.log(job["id"]), "what it built is in the log")


async def test_a_failed_compile_there_fails_here_with_a_reason(world):
    receiver, kiln = await paired(world)
    kiln.put("bad.yaml", chip("bad", code=1))
    job = await kiln.final(await compiled(kiln, "bad"))
    expect(job["status"] == "failed" and job["error"], f"{job}")


async def test_its_log_is_followed_live_and_kept(world):
    receiver, kiln = await paired(world)
    kiln.put("wordy.yaml", chip("wordy", lines=800, seconds=1))
    job = await kiln.final(await compiled(kiln, "wordy"))
    text = await kiln.log(job["id"])
    places = [text.find(f"[{n}/800] ") for n in (1, 400, 799, 800)]
    expect(places == sorted(places) and -1 not in places, f"{places}")


async def test_waiting_for_a_build_ends_with_its_outcome_as_exit_code(world):
    receiver, kiln = await paired(world)
    kiln.put("good.yaml", chip("good"))
    kiln.put("bad.yaml", chip("bad", code=1))
    code, out, err = await kiln.run("compile", "good", "--wait")
    expect(code == 0, f"{code}: {err}{out}")
    code, out, err = await kiln.run("compile", "bad", "--wait")
    expect(code == 1, f"{code}: {err}{out}")


async def test_cancelling_here_ends_the_build_there(world):
    receiver, kiln = await paired(world)
    kiln.put("slow.yaml", chip("slow", seconds=120))
    job = await compiled(kiln, "slow")
    theirs = await receiver.builds()
    await kiln.ask("cancel", job)
    await receiver.reaches(theirs["job_id"], "cancelled")
    ended = await kiln.final(job)
    expect(ended["status"] == "cancelled", ended["status"])


async def test_cancelling_there_is_told_here(world):
    receiver, kiln = await paired(world)
    kiln.put("slow.yaml", chip("slow", seconds=120))
    job = await compiled(kiln, "slow")
    theirs = await receiver.builds()
    await receiver.dash.call("firmware/cancel", job_id=theirs["job_id"])
    ended = await kiln.final(job)
    expect(ended["status"] == "cancelled", f"{ended}")


async def test_two_devices_wait_for_one_receiver_and_both_are_built(world):
    receiver, kiln = await paired(world)
    for name in ("one", "two"):
        kiln.put(f"{name}.yaml", chip(name, seconds=1))
    ids = [await compiled(kiln, name) for name in ("one", "two")]
    for job in [await kiln.final(one) for one in ids]:
        expect(job["status"] == "completed" and job["placement"]["on"] == "remote", f"{job}")


async def test_a_receiver_that_dies_does_not_lose_the_build(world):
    receiver, kiln = await paired(world)
    kiln.put("tough.yaml", chip("tough", seconds=3))
    job = await compiled(kiln, "tough")
    await receiver.builds()
    os.kill(receiver.info["pid"], signal.SIGKILL)
    ended = await kiln.final(job, 120)
    expect(ended["status"] == "completed", f"{ended}")
    expect(ended["placement"]["on"] == "local", f"built here in the end: {ended['placement']}")


async def test_a_receiver_that_is_stopped_in_mid_build_does_not_lose_the_build(world):
    receiver, kiln = await paired(world)
    kiln.put("slow.yaml", chip("slow", seconds=15))
    job = await compiled(kiln, "slow")
    await receiver.builds()
    await world.stop_dashboard(receiver)
    ended = await kiln.final(job, 120)
    # A stock dashboard that stops calls its builds cancelled or failed, then ends its sessions.
    expect(ended["status"] == "completed", f"{ended}")
    expect(ended["placement"]["on"] == "local", f"built here in the end: {ended['placement']}")


async def through_a_proxy(world):
    """A Kiln paired with a stock receiver through a proxy; returns all three."""
    receiver = await world.dashboard("receiver")
    kiln = world.kiln("sender")
    await kiln.serve()
    where, port = receiver.link.rsplit(":", 1)
    proxy = await world.proxy(where, int(port))
    await admit(receiver, kiln, f"127.0.0.1:{proxy.port}")
    return receiver, kiln, proxy


async def cut_for_a_moment(proxy):
    proxy.cut(stay_down=True)
    await asyncio.sleep(3)
    proxy.heal()


async def built_once(receiver, kiln, job):
    """The job completes, and with it the one build that was begun there."""
    ended = await kiln.final(job, 120)
    expect(ended["status"] == "completed", f"{ended}")
    expect(ended["placement"]["on"] == "remote", f"{ended['placement']}")
    builds = await receiver.dash.call("firmware/get_jobs")
    expect([b["status"] for b in builds] == ["completed"], f"it is not begun again: {builds}")


async def test_a_build_whose_link_is_cut_for_a_moment_goes_on_there_and_is_not_begun_again(world):
    receiver, kiln, proxy = await through_a_proxy(world)
    kiln.put("blip.yaml", chip("blip", seconds=12))
    job = await compiled(kiln, "blip")
    await receiver.builds()
    await cut_for_a_moment(proxy)
    await built_once(receiver, kiln, job)


async def test_a_build_that_ends_while_its_link_is_cut_is_fetched_and_not_begun_again(world):
    receiver, kiln, proxy = await through_a_proxy(world)
    kiln.put("blip.yaml", chip("blip", seconds=3))
    job = await compiled(kiln, "blip")
    build = await receiver.builds()
    proxy.cut(stay_down=True)
    await receiver.reaches(build["job_id"], "completed")
    proxy.heal()
    await built_once(receiver, kiln, job)


async def test_the_sender_is_killed_and_its_job_goes_on_after_the_restart(world):
    receiver, kiln = await paired(world)
    kiln.put("again.yaml", chip("again", seconds=3))
    job = await compiled(kiln, "again")
    await receiver.builds()
    await kiln.kill()
    await kiln.serve()
    ended = await kiln.final(job, 120)
    expect(ended["status"] == "completed", f"{ended}")


async def test_local_is_built_here_although_a_receiver_is_free(world):
    receiver, kiln = await paired(world)
    kiln.put("near.yaml", chip("near"))
    job = await kiln.final(await compiled(kiln, "near", "--local"))
    expect(job["status"] == "completed" and job["placement"]["on"] == "local", f"{job}")


async def test_a_disabled_receiver_is_not_used(world):
    receiver, kiln = await paired(world)
    await kiln.ask("receivers", "disable", "box")
    kiln.put("near.yaml", chip("near"))
    job = await kiln.final(await compiled(kiln, "near"))
    expect(job["status"] == "completed" and job["placement"]["on"] == "local", f"{job}")
    await kiln.ask("receivers", "enable", "box")
    job = await kiln.final(await compiled(kiln, "near"))
    expect(job["placement"]["on"] == "remote", f"{job}")


async def test_a_named_receiver_builds_it(world):
    receiver, kiln = await paired(world)
    kiln.put("there.yaml", chip("there"))
    job = await kiln.final(await compiled(kiln, "there", "--on", "box"))
    expect(job["status"] == "completed" and job["placement"]["on"] == "remote", f"{job}")


async def test_a_wrong_pin_is_refused_and_nothing_is_stored(world):
    receiver = await world.dashboard("receiver")
    kiln = world.kiln("sender")
    await kiln.serve()
    await receiver.dash.call("remote_build/set_pairing_window", open=True)
    code, text = await kiln.refused("pair", receiver.link, "--pin", "ab" * 32)
    expect((await receiver.pin())[:8] in text or "key" in text, text)
    expect(not await kiln.receivers(), "nothing is stored")
    expect(not await receiver.peers(), "nothing was revealed")


async def test_a_closed_window_is_explained(world):
    receiver = await world.dashboard("receiver")
    kiln = world.kiln("sender")
    await kiln.serve()
    code, text = await kiln.refused("pair", receiver.link, "--pin", await receiver.pin())
    expect("window" in text, text)


async def test_an_unreachable_peer_is_explained(world):
    kiln = world.kiln("sender")
    await kiln.serve()
    code, text = await kiln.refused("pair", f"127.0.0.1:{free_port()}", "--pin", "ab" * 32)
    expect("127.0.0.1" in text or "reach" in text or "refused" in text, text)


async def test_something_that_is_no_peer_is_explained(world):
    async def hello(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kiln = world.kiln("sender")
    await kiln.serve()
    await kiln.refused("pair", f"127.0.0.1:{port}", "--pin", "ab" * 32)
    server.close()


async def test_a_headless_dashboard_is_paired_with_its_one_time_key(world):
    receiver = await world.dashboard("headless", headless=True)
    kiln = world.kiln("sender")
    await kiln.serve()
    await kiln.ask("pair", receiver.link, "--pin", receiver.info["pin_sha256"],
                   "--key", receiver.info["pairing_key"], "--label", "box")
    await kiln.linked()
    kiln.put("far.yaml", chip("far"))
    job = await kiln.final(await compiled(kiln, "far"))
    expect(job["status"] == "completed" and job["placement"]["on"] == "remote", f"{job}")


async def test_being_forgotten_by_the_receiver_raises_an_alert_until_paired_again(world):
    receiver, kiln = await paired(world)
    mine = [p["dashboard_id"] for p in await receiver.peers()][0]
    await receiver.dash.call("remote_build/remove_peer", dashboard_id=mine)
    await receiver.dash.call("remote_build/set_settings", enabled=False)
    await receiver.dash.call("remote_build/set_settings", enabled=True)

    async def alerted():
        return (await kiln.status())["alerts"]
    alerts = await until("the alert", alerted)
    expect(alerts[0]["kind"] == "peer_revoked", f"{alerts}")
    await admit(receiver, kiln)
    expect(not (await kiln.status())["alerts"], "pairing again solves it")


async def test_a_rotated_receiver_raises_an_alert_with_the_other_key(world):
    receiver, kiln = await paired(world)
    await receiver.dash.call("remote_build/rotate_identity")

    async def alerted():
        return (await kiln.status())["alerts"]
    alerts = await until("the alert", alerted)
    expect(alerts[0]["kind"] == "pin_mismatch", f"{alerts}")
    expect(alerts[0]["observed_pin_sha256"] == await receiver.pin(), f"{alerts}")


async def test_forgetting_a_receiver_is_remembered_over_a_restart(world):
    receiver, kiln = await paired(world)
    await kiln.ask("receivers", "forget", "box", "--yes")
    expect(not await kiln.receivers(), "gone")
    await kiln.stop()
    await kiln.serve()
    expect(not await kiln.receivers(), "still gone")


async def test_a_pairing_survives_kill_minus_nine(world):
    receiver, kiln = await paired(world)
    await kiln.kill()
    await kiln.serve()
    await kiln.linked()


async def test_an_endpoint_is_edited_only_when_the_pinned_key_answers(world):
    receiver, kiln = await paired(world)
    where, port = receiver.link.rsplit(":", 1)
    proxy = await world.proxy(where, int(port))
    await kiln.refused("receivers", "endpoint", "box", f"127.0.0.1:{free_port()}")
    await kiln.ask("receivers", "endpoint", "box", f"127.0.0.1:{proxy.port}")
    await kiln.linked()
    expect(f":{proxy.port}" in str((await kiln.receivers())[0]["endpoint"]), "moved")


async def test_a_foreign_version_is_provisioned_or_built_here(world):
    # The receiver runs in a network without package index: it cannot provision.
    receiver, kiln = await paired(world)
    kiln.put("other.yaml", chip("other"))
    await kiln.stop()
    script = kiln.folder / "other-esphome"
    script.write_text("#!/bin/sh\nfor last; do :; done\ncase $last in version) echo 'Version: 2026.10.0b6';; "
                      f"*) exec {kiln.env['KILN_ESPHOME']} \"$@\";; esac\n")
    script.chmod(0o755)
    kiln.env["KILN_ESPHOME"] = str(script)
    await kiln.serve()
    await kiln.linked()

    async def known():
        return (await kiln.status())["identity"]["esphome_version"] == "2026.10.0b6"
    await until("Kiln to know its own version", known)
    job = await kiln.final(await compiled(kiln, "other"), 300)
    expect(job["status"] == "completed", f"{job}")
    expect(job["placement"]["on"] == "local", f"{job['placement']}")


async def test_exact_required_refuses_when_no_receiver_fits(world):
    receiver, kiln = await paired(world)
    await kiln.ask("settings", "set", "version_policy=exact_required")
    await world.stop_dashboard(receiver)

    async def lost():
        return [r for r in await kiln.receivers() if r["link"] != "connected"]
    await until("the link to be lost", lost)
    kiln.put("strict.yaml", chip("strict"))
    code, text = await kiln.refused("compile", "strict")
    expect("receiver" in text or "version" in text, text)


async def test_remote_builds_switched_off_are_built_here(world):
    receiver, kiln = await paired(world)
    await kiln.ask("settings", "set", "remote_builds=false")
    kiln.put("near.yaml", chip("near"))
    job = await kiln.final(await compiled(kiln, "near"))
    expect(job["placement"]["on"] == "local", f"{job}")


async def test_build_environment_of_a_receiver_is_reset(world):
    receiver, kiln = await paired(world)
    answer = await kiln.ask("env", "reset", "--on", "box", "--yes")
    jobs = answer["jobs"] if isinstance(answer, dict) else answer
    job = await kiln.final(jobs[0]["id"])
    expect(job["status"] == "completed", f"{job}")


async def test_two_kilns_install_a_real_device(world):
    receiver, kiln = world.kiln("receiver", standin=False), world.kiln("sender", standin=False)
    await receiver.receive()
    await kiln.serve()
    await receiver.ask("window", "open")
    await kiln.ask("pair", receiver.address, "--pin", receiver.pin, "--label", "box")
    await receiver.ask("approve", kiln.ready["dashboard_id"])
    await kiln.linked()
    api, ota = free_port(), free_port()
    kiln.put("real.yaml", host("real", api, ota, password="secret", friendly="One"))
    first = await kiln.final(await compiled(kiln, "real", "--on", "box"), 300)
    expect(first["status"] == "completed", f"{first}")
    program = kiln.config / ".esphome/build/real/.pioenvs/real/program"
    folder = world.folder / "device"
    folder.mkdir()
    copy = folder / "real"
    copy.write_bytes(program.read_bytes())
    copy.chmod(0o755)
    device = await asyncio.create_subprocess_exec(
        copy, cwd=folder, env={"HOME": str(folder)}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    try:
        kiln.put("real.yaml", host("real", api, ota, password="secret", friendly="Two"))
        code, out, err = await kiln.run("install", "real", "--port", "127.0.0.1", "--wait")
        expect(code == 0, f"{code}: {err}{out}")

        async def flashed():
            return copy.read_bytes() == program.read_bytes()
        await until("the device to run the new program", flashed)
        kiln.put("real.yaml", host("real", api, ota, password="wrong", friendly="Three"))
        code, out, err = await kiln.run("install", "real", "--port", "127.0.0.1", "--wait")
        expect(code == 1, f"a wrong OTA password fails: {code}: {err}{out}")
        device.send_signal(signal.SIGKILL)
        await device.wait()
        code, out, err = await kiln.run("install", "real", "--port", "127.0.0.1", "--wait")
        expect(code == 1, f"an absent device fails: {code}: {err}{out}")
    finally:
        if device.returncode is None:
            device.kill()


async def two_kilns(world):
    """A Kiln paired with another that receives, through a proxy; returns all three."""
    receiver, kiln = world.kiln("receiver"), world.kiln("sender")
    await receiver.receive()
    await kiln.serve()
    where, port = receiver.address.rsplit(":", 1)
    proxy = await world.proxy(where, int(port))
    await receiver.ask("window", "open")
    await kiln.ask("pair", f"127.0.0.1:{proxy.port}", "--pin", receiver.pin, "--label", "box")
    await receiver.ask("approve", kiln.ready["dashboard_id"])
    await kiln.linked()
    return receiver, kiln, proxy


async def runs_at(receiver):
    async def there():
        return [j for j in await receiver.jobs() if j["status"] == "running"]
    await until("the build to run there", there)


async def test_between_kilns_a_build_whose_link_is_cut_for_a_moment_is_taken_up_with_its_output(world):
    receiver, kiln, proxy = await two_kilns(world)
    kiln.put("blip.yaml", chip("blip", seconds=12))
    job = await compiled(kiln, "blip")
    await runs_at(receiver)
    await cut_for_a_moment(proxy)
    ended = await kiln.final(job, 120)
    expect(ended["status"] == "completed", f"{ended}")
    builds = await receiver.jobs()
    expect([b["status"] for b in builds] == ["completed"], f"it is not begun again: {builds}")
    log = await kiln.log(job)
    expect("[40/40]" in log, f"what it said after that is in the log: {log}")


async def test_between_kilns_an_orphaned_build_leaves_no_compiler(world):
    receiver, kiln, _ = await two_kilns(world)
    kiln.put("slow.yaml", chip("slow", seconds=300))
    job = await compiled(kiln, "slow")
    await runs_at(receiver)
    await kiln.ask("cancel", job)
    expect((await kiln.final(job))["status"] == "cancelled", "cancelled")

    async def quiet():
        return not compilers(receiver)
    try:
        await until("no process to be left", quiet, 15)
    except Failed:
        raise Failed("\n".join(compilers(receiver))) from None
