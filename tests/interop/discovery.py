"""mDNS between Kilns and real dashboards, on the test network's own interface."""
from world import expect, until


async def test_kiln_sees_a_dashboard_and_its_pin(world):
    dash = await world.dashboard("seen", link_host="0.0.0.0")
    kiln = world.kiln()
    await kiln.serve()
    pin = await dash.pin()

    async def seen():
        hosts = (await kiln.status())["discovered"]
        return [h for h in hosts if h["pin_sha256"] == pin]
    host = (await until("the dashboard to be seen", seen))[0]
    expect(host["endpoint"] and host["addresses"], f"{host}")


async def test_a_dashboard_sees_kiln_as_builder_only_while_it_receives(world):
    dash = await world.dashboard("looker", link_host="0.0.0.0")
    kiln = world.kiln()
    await kiln.serve("--receiver", "--listen-host", "0.0.0.0", "--listen-port", "0")

    async def hosts():
        return (await dash.dash.snapshot()).get("hosts") or []

    async def builder():
        return [h for h in await hosts() if h["pin_sha256"] == kiln.pin]
    host = (await until("Kiln to be seen as builder", builder))[0]
    expect(host["remote_build_port"] == int(kiln.address.rsplit(":", 1)[1]), f"{host}")
    await kiln.ask("settings", "set", "receiver=false")

    async def withdrawn():
        return not await builder()
    await until("pin and port to be withdrawn", withdrawn)


async def test_a_pairing_follows_a_dashboard_to_another_port(world):
    dash = await world.dashboard("mover", link_host="0.0.0.0")
    kiln = world.kiln()
    await kiln.serve()
    from sending import admit
    await admit(dash, kiln)
    old = dash.link
    await world.stop_dashboard(dash)
    import json
    info = dash.config.parent / "info.json"
    data = json.loads(info.read_text())
    data["link_port"] = 0
    data.pop("link_port")
    info.write_text(json.dumps(data))
    dash = await world.dashboard("mover", fresh=False, link_host="0.0.0.0")
    expect(dash.link != old, "it moved")
    await kiln.linked(90)
    port = dash.link.rsplit(":", 1)[1]

    async def followed():
        return f":{port}" in str((await kiln.receivers())[0]["endpoint"])
    await until("the endpoint to follow", followed)


async def test_two_kilns_see_each_other_but_not_themselves(world):
    one, two = world.kiln("one"), world.kiln("two")
    await one.serve("--receiver", "--listen-host", "0.0.0.0", "--listen-port", "0")
    await two.serve()

    async def seen():
        return [h for h in (await two.status())["discovered"] if h["pin_sha256"] == one.pin]
    await until("the other Kiln to be seen", seen)
    own = [h for h in (await one.status())["discovered"] if h["pin_sha256"] == one.pin]
    expect(not own, "nobody discovers himself")
