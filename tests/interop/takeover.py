"""A real dashboard is retired and Kiln takes its place: same identity, same peers."""
from sending import approve
from world import Failed, expect, until


async def paired(world):
    """Two dashboards, `old` sending work to `box`."""
    old, box = await world.dashboard("old"), await world.dashboard("box")
    host, port = box.link.rsplit(":", 1)
    where = {"hostname": host, "port": int(port)}
    await box.dash.call("remote_build/set_pairing_window", open=True)
    preview = await old.dash.call("remote_build/preview_pair", **where)
    await old.dash.call("remote_build/request_pair", **where, pin_sha256=preview["pin_sha256"],
                        receiver_label="box", offloader_label="old")
    await approve(box)
    await old.linked()
    return old, box


def contents(folder):
    """Every file of a dashboard's folder, but not what its own version control keeps."""
    files = (f for f in folder.rglob("*") if f.is_file() and ".git" not in f.parts)
    return {f: f.read_bytes() for f in files}


async def test_receivers_of_a_retired_dashboard_serve_kiln(world):
    old, box = await paired(world)
    pin, identity = await old.pin(), await old.dashboard_id()
    kiln = world.kiln()
    code, text = await kiln.refused("import", old.config)
    expect("stop it first" in text, text)
    await world.stop_dashboard(old)
    before = contents(old.config)
    taken = await kiln.ask("import", old.config)
    expect((taken["receivers"], taken["offloaders"]) == (1, 0), f"{taken}")
    expect(contents(old.config) == before, "nothing of the dashboard is changed")
    ready = await kiln.serve()
    expect(ready["pin_sha256"] == pin and ready["dashboard_id"] == identity, f"{ready}")
    row = (await kiln.linked())[0]
    expect(row["pin_sha256"] == await box.pin(), f"{row}")


async def test_offloaders_of_a_retired_dashboard_find_kiln_in_its_place(world):
    old, box = await paired(world)
    pin, host_port = await box.pin(), box.link
    await world.stop_dashboard(box)
    kiln = world.kiln()
    taken = await kiln.ask("import", box.config)
    expect((taken["receivers"], taken["offloaders"]) == (0, 1), f"{taken}")
    host, port = host_port.rsplit(":", 1)
    ready = await kiln.serve("--listen-host", host, "--listen-port", port)
    expect(ready["link"] == host_port, f"it receives where the dashboard did: {ready}")

    async def connected():
        return [p for p in await old.pairings() if p["connected"] and p["pin_sha256"] == pin]
    await until("the offloader to be connected to Kiln", connected)


async def test_a_damaged_key_is_refused_and_nothing_is_made(world):
    old, _ = await paired(world)
    await world.stop_dashboard(old)
    key = old.config / ".device-builder-peer-link-key.bin"
    key.write_bytes(b"short")
    kiln = world.kiln()
    code, text = await kiln.refused("import", old.config)
    expect("32" in text and "backup" in text, text)
    expect(key.read_bytes() == b"short", "the key is untouched")
    ready = await kiln.serve()
    expect(not await kiln.receivers(), f"{ready}")


async def test_own_pairings_are_given_up_only_when_told_to(world):
    old, box = await paired(world)
    await world.stop_dashboard(old)
    await world.stop_dashboard(box)
    kiln = world.kiln()
    await kiln.ask("import", old.config)
    code, text = await kiln.refused("import", box.config)
    expect("--replace" in text, text)
    await kiln.ask("import", old.config)
    await kiln.ask("import", box.config, "--replace")
    await kiln.serve()
    status = await kiln.status()
    if status["receivers"] or len(status["offloaders"]) != 1:
        raise Failed(f"{status}")
