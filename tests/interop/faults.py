"""Bad input and a bad world: each ends in a clear message with nothing lost."""
import contextlib
import signal
import sqlite3
import subprocess

from devices import chip
from receiving import free_port
from world import KILN, expect, until


async def test_an_unknown_device_is_named(world):
    kiln = world.kiln()
    await kiln.serve()
    kiln.put("kitchen.yaml", chip("kitchen"))
    code, text = await kiln.refused("install", "kitchn")
    expect("kitchn" in text, text)


async def test_invalid_yaml_fails_with_what_esphome_says(world):
    kiln = world.kiln(standin=False)
    await kiln.serve()
    kiln.put("broken.yaml", "esphome:\n  name: broken\nhost:\nnonsense_component:\n")
    code, out, err = await kiln.run("compile", "broken", "--wait", "--local")
    expect(code == 1, f"{code} {out} {err}")
    job = (await kiln.jobs())[0]
    expect("nonsense_component" in await kiln.log(job["id"]), "the log names it")


async def test_a_missing_secret_fails_with_its_name(world):
    kiln = world.kiln(standin=False)
    await kiln.serve()
    kiln.put("secretive.yaml", "esphome:\n  name: secretive\n  comment: !secret nowhere\nhost:\n")
    for secrets, named in ((None, "secrets.yaml"), ("other: 1\n", "nowhere")):
        if secrets:
            kiln.put("secrets.yaml", secrets)
        code, out, err = await kiln.run("compile", "secretive", "--wait", "--local")
        expect(code == 1, f"{code} {out} {err}")
        expect(named in out + err, f"the log names it: {out}{err}")


async def test_a_path_outside_the_directory_is_refused(world):
    kiln = world.kiln()
    await kiln.serve()
    await kiln.refused("compile", "../../etc/passwd")


async def test_a_second_node_on_the_same_state_is_refused(world):
    kiln = world.kiln()
    await kiln.serve()
    code, out, err = await kiln.run("serve", "--json")
    expect(code not in (0, 101) and str(kiln.process.pid) in err, f"{code}: {err}")


async def test_without_a_node_every_command_says_how_to_start_one(world):
    kiln = world.kiln()
    for verb in (["status"], ["devices"], ["jobs"], ["install", "x"]):
        code, out, err = await kiln.run(*verb)
        expect(code == 3 and "kiln serve" in err, f"{verb}: {code}: {err}")


async def test_a_taken_port_gives_the_next_one(world):
    import asyncio
    port = free_port()
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", port)
    kiln = world.kiln()
    await kiln.serve("--receiver", "--listen-host", "127.0.0.1", "--listen-port", str(port))
    got = int(kiln.address.rsplit(":", 1)[1])
    expect(port < got <= port + 9, f"{port} was taken, got {got}")
    server.close()


async def test_state_of_a_newer_kiln_is_left_alone(world):
    kiln = world.kiln()
    await kiln.serve()
    await kiln.stop()
    file = next((kiln.home / "state").glob("*.db"), None) or next((kiln.home / "state").glob("*.sqlite*"))
    # Who leaves it open has a lock on it.
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 9999")
    code, out, err = await kiln.run("serve", "--json")
    expect(code not in (0, 101) and "newer" in err, f"{code}: {err}")


async def test_a_damaged_database_is_named_and_left_as_it_is(world):
    kiln = world.kiln()
    await kiln.serve()
    await kiln.stop()
    file = next((kiln.home / "state").glob("*.db"), None) or next((kiln.home / "state").glob("*.sqlite*"))
    data = bytearray(file.read_bytes())
    data[:100] = b"x" * 100
    file.write_bytes(data)
    code, out, err = await kiln.run("serve", "--json")
    expect(code not in (0, 101) and err.strip(), f"{code}: {err}")
    expect(file.read_bytes() == bytes(data), "the file is untouched")


async def test_a_key_of_the_wrong_size_is_never_replaced(world):
    kiln = world.kiln()
    await kiln.serve()
    await kiln.stop()
    keys = [f for f in (kiln.home / "state").rglob("*") if f.is_file() and f.stat().st_size == 32]
    expect(len(keys) == 1, f"one key file: {keys}")
    keys[0].write_bytes(b"short")
    code, out, err = await kiln.run("serve", "--json")
    expect(code not in (0, 101) and "32" in err, f"{code}: {err}")
    expect(keys[0].read_bytes() == b"short", "the key is untouched")


async def test_a_missing_key_is_never_replaced(world):
    kiln = world.kiln()
    await kiln.serve()
    await kiln.stop()
    keys = [f for f in (kiln.home / "state").rglob("*") if f.is_file() and f.stat().st_size == 32]
    keys[0].unlink()
    code, out, err = await kiln.run("serve", "--json")
    expect(code not in (0, 101) and err.strip(), f"{code}: {err}")


async def test_a_bad_setting_changes_nothing(world):
    kiln = world.kiln()
    await kiln.serve()
    before = await kiln.ask("settings", "get")
    await kiln.refused("settings", "set", "include_local=true", "cleanup_ttl_seconds=5")
    await kiln.refused("settings", "set", "version_policy=sometimes")
    await kiln.refused("settings", "set", "no_such_setting=1")
    expect(await kiln.ask("settings", "get") == before, "unchanged")


async def test_settings_survive_kill_minus_nine(world):
    kiln = world.kiln()
    await kiln.serve()
    await kiln.ask("settings", "set", "include_local=true")
    await kiln.kill()
    await kiln.serve()
    expect("true" in str((await kiln.ask("settings", "get"))).lower(), "kept")


async def test_the_signal_to_stop_ends_it_within_seconds_and_with_zero(world):
    kiln = world.kiln()
    await kiln.receive()
    await kiln.stop(signal.SIGTERM)
    expect(kiln.process.returncode == 0, f"exit {kiln.process.returncode}")


async def test_help_lists_every_verb(world):
    kiln = world.kiln()
    code, out, err = await kiln.run("--help")
    for verb in ("serve status identity discover pair receivers offloaders window requests approve "
                 "reject devices install compile clean jobs logs cancel env settings import").split():
        expect(verb in out, f"{verb} is missing in {KILN} --help")


async def test_one_of_several_devices_that_is_unknown_does_not_stop_the_others(world):
    kiln = world.kiln()
    await kiln.serve()
    kiln.put("one.yaml", chip("one"))
    kiln.put("two.yaml", chip("two"))
    code, text = await kiln.refused("compile", "one", "nowhere", "two", "--local")
    expect("nowhere" in text, text)
    expect({job["configuration"] for job in await kiln.jobs()} == {"one.yaml", "two.yaml"}, text)
    for job in await kiln.jobs():
        ended = await kiln.final(job["id"])
        expect(ended["status"] == "completed", f"{ended}")


async def test_a_waiting_build_is_taken_back_and_built_here(world):
    receiver, kiln = world.kiln("receiver"), world.kiln("sender")
    await receiver.receive()
    await kiln.serve()
    await receiver.ask("window", "open")
    await kiln.ask("pair", receiver.address, "--pin", receiver.pin, "--label", "box")
    await receiver.ask("approve", kiln.ready["dashboard_id"])
    await kiln.linked()
    kiln.put("slow.yaml", chip("slow", seconds=5))
    there = (await kiln.ask("compile", "slow"))["jobs"][0]["id"]
    await until("the build to run there", lambda: running(receiver))
    here = (await kiln.ask("build-here", there))["jobs"][0]["id"]
    expect((await kiln.final(there))["status"] == "cancelled", "the other one ends")
    ended = await kiln.final(here)
    expect(ended["status"] == "completed" and ended["placement"]["on"] == "local", f"{ended}")


async def running(kiln):
    return [job for job in await kiln.jobs() if job["status"] == "running"]


async def test_a_receiver_without_disk_space_says_so_and_the_sender_loses_nothing(world):
    receiver, kiln = world.kiln("receiver"), world.kiln("sender")
    cache = receiver.home / "cache"
    cache.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "kiln-full", cache], check=True)
    try:
        await receiver.receive()
        await kiln.serve()
        await receiver.ask("window", "open")
        await kiln.ask("pair", receiver.address, "--pin", receiver.pin, "--label", "box")
        await receiver.ask("approve", kiln.ready["dashboard_id"])
        await kiln.linked()
        # On so small a disk it would take no builds at all.
        await receiver.ask("settings", "set", "disk_floor_mb=0")

        async def taken():
            queue = (await kiln.receivers())[0]["queue"]
            return queue and not queue["absence"]
        await until("builds to be taken", taken, 150)
        kiln.put("big.yaml", chip("big", size=4_000_000))
        job = await kiln.final((await kiln.ask("compile", "big", "--on", "box"))["jobs"][0]["id"])
        expect(job["status"] == "failed" and job["error"], f"{job}")
        expect(len(await kiln.receivers()) == 1, "the pairing is kept")
        await kiln.linked()
    finally:
        await receiver.kill()
        subprocess.run(["umount", "-l", cache], check=True)
