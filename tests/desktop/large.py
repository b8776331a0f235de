"""The window of a house with very much in it: 500 devices, a log of 100,000 lines, and how smoothly it is drawn. Frame
times are measured and printed; what is asserted is that little is drawn and that the page can be used meanwhile. Run
as `household` says."""
import re
import statistics
import subprocess

import desktop
import webdriver
from desktop import until
from household import DEVICE, ROOT, SHOTS, TESTS, World, play, skip_welcome

DEVICES, LINES = 500, 100_000
# Most elements that a page may have, however much there is to show; a page of a small house has some hundreds.
ELEMENTS = 2_500

# Notes when each frame begins, until it is asked for them; `step` does something in each.
_FRAMES = """
window.frames = [];
const step = new Function(arguments[0]);
const on = (at) => { window.frames?.push(at); step(); if (window.frames) requestAnimationFrame(on); };
requestAnimationFrame(on);
"""
_TOLD = "const all = window.frames; window.frames = null; return all;"


def frames(window, what, step, done, seconds=60):
    """Prints how long frames took while something went on in the page."""
    window.run(_FRAMES.replace("new Function(arguments[0])", "() => {" + step + "}"))
    window.until(what, done, seconds)
    at = window.run(_TOLD)
    times = sorted(b - a for a, b in zip(at, at[1:]))
    print(f"        {what}: {len(times)} frames, median {statistics.median(times):.0f} ms, "
          f"95 % within {times[len(times) * 95 // 100]:.0f} ms, longest {times[-1]:.0f} ms")


def drawn(window):
    """How many elements the page has; few, whatever there is to show."""
    count = window.run("return document.querySelectorAll('*').length")
    assert count < ELEMENTS, count
    return count


def five_hundred_devices_are_listed_filtered_and_chosen(world):
    for n in range(DEVICES):
        world.here.put(f"device-{n:03}")
    world.start("--hidden")
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    world.here.lend([TESTS, ROOT])
    world.here.ask("settings", "set", f"esphome_dir={world.here.config}")
    with world.window() as window:
        skip_welcome(window)
        frames(window, "nothing happens", "", lambda: window.run("return window.frames.length > 100"))
        window.go("Devices")
        window.until("all are there", lambda: f"{DEVICES} devices" in window.text(), 60)
        frames(window, "500 devices are scrolled through",
               "const rows = document.querySelector('.rows'); rows.scrollTop += 397;",
               lambda: window.run("const rows = document.querySelector('.rows');"
                                  "return rows.scrollTop + rows.clientHeight >= rows.scrollHeight - 1"))
        window.shows("device-499")
        print(f"        {drawn(window)} elements")
        window.screenshot(SHOTS / "large-devices.png")
        window.type("Find a device", "device-25")
        window.shows("10 devices")
        window.click("Choose all that are shown")
        window.shows("10 chosen")
        window.click("Choose none")
        window.type("Find a device", "device-257")
        window.shows("1 device")
        window.click("Install device-257")
        # It was never built: it may need a cable.
        window.until("it is asked where it goes", lambda: "Install device-257" in window.dialogue())
        window.click("Install")
        window.until("it is flashed", lambda: (ROOT / "here-flashed").exists(), 60)
        assert window.complaints() == [], window.complaints()


def a_log_that_rushes_by_can_be_read(world):
    world.here.put("rush", f"substitutions:\n  quick_lines: {LINES}\n  quick_seconds: 20\n" + DEVICE)
    with world.window() as window:
        world.here.ask("compile", "rush", "--local")
        until("it runs", lambda: world.here.job()["status"] == "running")
        window.run("location.hash = `#/job/${arguments[0]}`", world.here.job()["id"])
        window.until("the log is there", lambda: last(window) > 1000)
        window.press("[role=log]", webdriver.HOME)
        window.until("it stays where it was scrolled to", lambda: not window.pressed("Follow"))
        window.until("its beginning is seen", lambda: window.run(
            "return document.querySelector('[role=log]').scrollTop") == 0)
        seen = last(window)
        later = world.here.job()["progress"]
        until("it goes on", lambda: world.here.job()["progress"] > later)
        assert last(window) == seen < 1000, "nothing moves under the reader"
        window.click("Follow")
        frames(window, f"{LINES} lines arrive and are followed", "", lambda: last(window) == LINES)
        window.until("it is done", lambda: world.here.job()["status"] == "completed")
        print(f"        {drawn(window)} elements")
        began = window.run("return performance.now()")
        window.type("Search in log", f"part{LINES // 2}.o")
        window.shows("1 of 1")
        print(f"        found after {window.run('return performance.now()') - began:.0f} ms")
        assert f"[{LINES // 2}/{LINES}]" in window.text()
        window.screenshot(SHOTS / "large-log.png")
        window.run("document.querySelector('[role=log]').scrollTop = 0")
        frames(window, f"{LINES} lines are scrolled through",
               "const log = document.querySelector('[role=log]'); log.scrollTop += 9973;",
               lambda: last(window) == LINES)
        drawn(window)
        window.go("Overview")
        assert window.complaints() == [], window.complaints()


def a_long_build_is_told_when_it_is_done_and_a_click_leads_to_it(world):
    world.here.put("long", seconds=61)
    desktop.close_notifications()
    with world.window() as window:
        window.shows("Overview")
        elsewhere(window)
        world.here.ask("compile", "long", "--local")
        until("it is told", lambda: desktop.displayed() == 1, 90)
        assert world.here.job()["status"] == "completed"
        desktop.screenshot(SHOTS / "large-done.png")
        desktop.open_notification()
        window.until("its page is shown", lambda: window.heading() == "long")
        window.shows("Successfully compiled program.")
        assert window.complaints() == [], window.complaints()
    desktop.close_notifications()
    assert [title for title, _ in desktop.history()][:1] == ["long is built"], desktop.history()


def many_builds_are_told_in_one_notification_that_leads_to_all_of_them(world):
    names = [f"many-{n}" for n in range(4)]
    for name in names:
        world.here.put(name, seconds=16)
    with world.window() as window:
        window.shows("Overview")
        elsewhere(window)
        world.here.ask("compile", *names, "--local")
        until("the first is told", lambda: desktop.displayed() == 1, 60)
        desktop.screenshot(SHOTS / "large-many.png")
        desktop.open_notification()
        window.until("all are shown", lambda: window.heading() == "Activity")
        until("all are done", lambda: all(job["status"] == "completed" for job in world.here.ask("jobs")["jobs"]), 90)
        assert desktop.displayed() == 0, "who looks at it is not told"
        assert window.complaints() == [], window.complaints()


def elsewhere(window):
    """Takes the focus away from the window: who looks at it needs no notification."""
    # Where nothing manages windows, the one below the pointer has it.
    subprocess.run(["xdotool", "mousemove", "9999", "9999"], check=True)
    window.until("the window has no focus", lambda: not window.run("return document.hasFocus()"))


def last(window):
    """The number of the last compile step that is seen."""
    steps = re.findall(r"(?m)^\[(\d+)/", window.run(
        "return [...document.querySelectorAll('[role=log] .line')].map((e) => e.innerText).join('\\n')"))
    return int(steps[-1]) if steps else 0


play(World(), [
    five_hundred_devices_are_listed_filtered_and_chosen,
    a_log_that_rushes_by_can_be_read,
    a_long_build_is_told_when_it_is_done_and_a_click_leads_to_it,
    many_builds_are_told_in_one_notification_that_leads_to_all_of_them,
])
