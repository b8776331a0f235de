"""What is missing on a desktop, or goes away: each ends in a state that says what is wrong, and recovers. Run as
`household` says."""
import contextlib
import os
import signal
import subprocess

import desktop
from desktop import until
from household import DEVICE, PROGRAMS, ROOT, SHOTS, TESTS, World, close, play, skip_welcome, window_process, windows


def a_keyring_that_is_locked_at_login_is_said_and_the_identity_stays(world):
    desktop_of(world)
    world.looks("ready")
    key = world.here.status()["identity"]["pin_sha256"]
    quit_(world)
    desktop.lock_keyring()
    item = world.start("--hidden")
    menu = world.says("keyring")
    assert item.tooltip[1] in menu[0], (item.tooltip, menu)
    world.looks("error")
    until("it is said", lambda: desktop.displayed() == 1)
    assert world.here.run("status").returncode == 3, "nothing is served with another identity"
    with world.window() as window:
        window.shows("keyring")
        window.screenshot(SHOTS / "fault-keyring.png")
        desktop.unlock_keyring()
        window.click("Try again")
        window.shows("Ready to build")
        skip_welcome(window)
        assert window.complaints() == [], window.complaints()
    assert world.here.status()["identity"]["pin_sha256"] == key
    until("it is taken back", lambda: "Kiln cannot work yet" in dict(desktop.history()))
    desktop.close_notifications()


def without_a_panel_everything_is_in_the_window_and_that_is_said_once(world):
    quit_(world)
    subprocess.run(["panel_stop"], check=True)
    world.here.process = world.here.spawn("kiln-desktop", "--hidden")
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    with world.window() as window:
        window.go("Diagnostics")
        window.shows("Your desktop shows no tray icon.")
        # A panel may come half a minute after the login.
        until("it is said", lambda: desktop.displayed() == 1, 60)
        desktop.close_notifications()
        assert "no tray icons" in desktop.history()[0][1], desktop.history()
        window.go("Overview")
        window.click("Pause")
        window.click("For 30 minutes")
        window.shows("Not building for others now")
        subprocess.run(["panel_start"], check=True)
        world.says("Paused: by you.")
        window.go("Diagnostics")
        window.until("it is noticed", lambda: "Your desktop shows no tray icon." not in window.text())
        window.go("Overview")
        window.click("Resume")
        window.shows("Ready to build")
        assert window.complaints() == [], window.complaints()


def a_panel_that_hangs_holds_up_nothing_but_the_icon(world):
    quit_(world)
    panel = desktop.panel_process()
    os.kill(panel, signal.SIGSTOP)
    try:
        world.here.process = world.here.spawn("kiln-desktop", "--hidden")
        until("the node answers", lambda: world.here.run("status").returncode == 0)
        subprocess.run([PROGRAMS / "kiln-desktop"], env=world.here.environment, check=True, timeout=20)
        close(until("the window is there", windows, 20)[0])
        until("the window is closed", lambda: not window_process())
        world.here.end()
        world.here.process = world.here.spawn("kiln-desktop", "--hidden")
        until("the node answers", lambda: world.here.run("status").returncode == 0)
    finally:
        os.kill(panel, signal.SIGCONT)
    world.says("Ready.")
    desktop.close_notifications()


def without_notifications_the_icon_and_the_window_tell_who_asks(world):
    subprocess.run(["notifications_stop"], check=True)
    world.there.serve("--no-receiver", "--listen-port", "0")
    world.there.ask("settings", "set", "friendly_name=Laptop")
    world.here.ask("window", "open")
    asking = world.there.pair(world.here)
    world.says("asks to use this computer.")
    assert desktop.item().status == "NeedsAttention"
    world.looks("attention")
    desktop.item().click("Pair requests (1)")
    until("the window is there", windows, 20)
    close(windows()[0])
    until("the window is closed", lambda: not window_process())
    with world.window() as window:
        window.go("Diagnostics")
        window.shows("Nothing on your desktop shows notifications.")
        window.click("Review…")
        window.click("Reject")
        assert asking.wait(timeout=20) == 1
        assert window.complaints() == [], window.complaints()
    subprocess.run(["notifications_start"], check=True)
    asking = world.there.pair(world.here)
    until("who comes later is told by notification", lambda: desktop.displayed() == 1)
    desktop.press("Reject")
    assert asking.wait(timeout=20) == 1
    until("nothing is left", lambda: desktop.displayed() == 0)
    quit_(world)


def a_display_that_is_lost_takes_the_window_and_nothing_else(world):
    with another_display() as (display, server):
        world.here.environment["DISPLAY"] = display
        world.start("--hidden")
        until("the node answers", lambda: world.here.run("status").returncode == 0)
        desktop.item().activate()
        until("the window is there", window_process, 20)
        until("it is seen there", lambda: windows(display), 20)
        server.kill()
        server.wait()
        until("it is gone", lambda: not window_process())
        until("it is said", lambda: desktop.displayed() == 1)
        desktop.press("Open again")
        until("it is tried", lambda: "there is no display" in (ROOT / "here.log").read_text(), 20)
        until("it is said what works instead", lambda: any("in a terminal" in text for text in said()))
        assert world.here.status()["availability"]["open"]
        world.says("Ready")
        world.here.environment["DISPLAY"] = os.environ["DISPLAY"]
    quit_(world)


def an_engine_that_is_killed_under_the_window_goes_on_with_the_build(world):
    world.here.put("shed", "substitutions:\n  quick_lines: 400\n  quick_seconds: 8\n" + DEVICE)
    world.here.serve("--listen-port", "0")
    with world.window() as window:
        world.here.ask("compile", "shed", "--local")
        window.run("location.hash = `#/job/${arguments[0]}`", world.here.job()["id"])
        window.shows("/400]")
        world.here.process.send_signal(signal.SIGKILL)
        world.here.process.wait()
        window.shows("Kiln does not run.")
        assert "/400]" in window.text(), "what was seen stays"
        window.screenshot(SHOTS / "fault-engine.png")
        world.here.serve("--listen-port", "0")
        window.until("it is followed again", lambda: "Kiln does not run." not in window.text())
        window.shows("Successfully compiled program.")
        until("it is done", lambda: world.here.job()["status"] == "completed")
        assert window.complaints() == [], window.complaints()


def said():
    """What notifications have said, the shown ones as well."""
    desktop.close_notifications()
    return [body for _, body in desktop.history()]


def desktop_of(world):
    """Starts the desktop as at a login, and lends the computer."""
    world.start("--hidden")
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    world.here.lend([TESTS, ROOT])
    world.here.ask("settings", "set", f"esphome_dir={world.here.config}")
    world.says("Ready.")


def quit_(world):
    desktop.item().click("Quit")
    assert world.desk.wait(timeout=30) == 0


@contextlib.contextmanager
def another_display():
    """A second X server, and its name."""
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24"], pass_fds=[write],
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        name = f":{told.readline().strip()}"
    try:
        yield name, server
    finally:
        server.kill()
        server.wait()


STORIES = [
    a_keyring_that_is_locked_at_login_is_said_and_the_identity_stays,
    a_panel_that_hangs_holds_up_nothing_but_the_icon,
    without_a_panel_everything_is_in_the_window_and_that_is_said_once,
    without_notifications_the_icon_and_the_window_tell_who_asks,
    a_display_that_is_lost_takes_the_window_and_nothing_else,
    an_engine_that_is_killed_under_the_window_goes_on_with_the_build,
]

play(World(), STORIES)
