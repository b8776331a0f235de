"""Kiln as a whole on a desktop: icon, notifications and window of the real programs, with real panel, notification
daemon, keyring and webview, and a second Kiln to pair and build with. Run as `household` says."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import desktop
from desktop import until
from household import PROGRAMS, ROOT, SHOTS, TESTS, World, close, play, resident, web_process, window_process, windows

sys.path.insert(0, str(TESTS / "interop"))
from battery import Battery  # noqa: E402

LABEL = "100%s%n"
PAGES = ["Overview", "Devices", "Builders", "Activity", "Availability", "Storage", "Settings",
         "Diagnostics"]


def a_start_at_login_shows_the_icon_and_opens_no_window(world):
    began = time.monotonic()
    item = world.start("--hidden")
    icon = time.monotonic() - began
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    # The person who has just logged in uses the computer.
    world.says("Paused: you are using this computer.")
    print(f"        icon after {icon:.2f} s, node after {time.monotonic() - began:.2f} s, "
          f"{resident(world.desk.pid):.0f} MB resident")
    status = world.here.status()
    assert status["sandbox"]["tier"] >= 2, status["sandbox"]
    assert item.tooltip[0] == "Kiln", item.tooltip
    assert not windows() and not window_process()
    assert not (world.here.home / "state/secrets").exists(), "the key is in the keyring"


def the_menu_lends_pauses_and_resumes(world):
    world.here.lend([TESTS, ROOT])
    world.here.ask("settings", "set", "friendly_name=Desk", f"esphome_dir={world.here.config}")
    item = desktop.item()
    world.here.ask("settings", "set", "receiver=false")
    world.says("Building for others is switched off.")
    world.looks("off")
    item.click("Build for others")
    world.says("Ready.")
    world.looks("ready")
    item.click("Pause serving", "For 30 minutes")
    menu = world.says("Paused: by you.")
    assert "Resume serving" in menu, menu
    availability = world.here.status()["availability"]
    assert availability["reason"] == "snoozed" and availability["until"] is not None, availability
    world.looks("paused")
    desktop.screenshot(SHOTS / "app-paused.png")
    item.click("Resume serving")
    world.says("Ready.")
    world.looks("ready")
    installs = [line for line in item.menu() if isinstance(line, list) and line[0] == "Install"]
    assert installs == [["Install", "attic", "garage", "porch", "shed"]], item.menu()


def a_request_to_pair_wants_attention_and_is_rejected_from_the_notification(world):
    world.there.serve("--no-receiver", "--listen-port", "0")
    world.there.ask("settings", "set", "friendly_name=Laptop")
    item = desktop.item()
    world.here.ask("window", "open")
    asking = world.there.pair(world.here)
    until("a notification is shown", lambda: desktop.displayed() == 1)
    world.says("asks to use this computer.")
    assert item.status == "NeedsAttention"
    world.looks("attention")
    assert "Pair requests (1)" in item.menu(), item.menu()
    desktop.screenshot(SHOTS / "app-notification.png")
    desktop.press("Reject")
    out, _ = asking.communicate(timeout=20)
    assert asking.returncode == 1, (asking.returncode, out)
    offered = desktop.buttons()
    assert "Review" in offered and "Reject" in offered, offered
    world.says("Ready.")
    assert item.status == "Active"
    world.looks("ready")
    until("the notification is gone", lambda: desktop.displayed() == 0)
    assert world.here.status()["offloaders"] == []


def review_opens_the_window_and_closing_it_leaves_kiln_in_the_tray(world):
    world.here.ask("window", "open")
    asking = world.there.pair(world.here)
    until("a notification is shown", lambda: desktop.displayed() == 1)
    began = time.monotonic()
    desktop.press("Review")
    window = until("the window is there", windows, 20)[0]
    print(f"        window after {time.monotonic() - began:.2f} s")
    kind = subprocess.run(["xprop", "-id", window, "WM_CLASS"], capture_output=True, text=True).stdout
    entry = (TESTS.parent / "packaging/linux/io.esphome.kiln.desktop").read_text()
    wanted = re.search("StartupWMClass=(.*)", entry)[1]
    assert f'"{wanted}"' in kind, (kind, wanted)
    item = desktop.item()
    close(window)
    until("the window is closed", lambda: not windows() and not window_process())
    until("it is said that Kiln goes on", lambda: desktop.displayed() > 0)
    desktop.close_notifications()
    assert any("tray" in body for _, body in desktop.history()), desktop.history()
    world.here.ask("reject", world.here.status()["requests"][0]["dashboard_id"])
    asking.communicate(timeout=20)
    assert item.tooltip[0] == "Kiln"


def the_first_window_explains_itself_and_every_page_opens(world):
    with world.window() as window:
        window.until("the first run", lambda: "Welcome to Kiln" in window.dialogue())
        window.screenshot(SHOTS / "window-first-run.png")
        assert window.barriers() == [], window.barriers()
        window.click("Next")
        window.until("the second step", lambda: "Where are your configurations?" in window.dialogue())
        window.click("Next")
        window.until("the third step", lambda: "Lend this computer?" in window.dialogue())
        window.click("Yes, lend it")
        window.until("it is done", lambda: window.dialogue() == "")
        for page in PAGES:
            window.go(page)
            wanted = "Ready to build" if page == "Overview" else page
            window.until(f"the page {page}", lambda: window.heading() == wanted)
            window.screenshot(SHOTS / f"window-{page.lower()}.png")
            assert window.barriers() == [], (page, window.barriers())
        assert window.complaints() == [], window.complaints()
    with world.window() as window:
        window.shows("Ready to build")
        assert window.dialogue() == "", "the first run is over"


def start_at_login_is_a_setting_of_the_window(world):
    entry = pathlib.Path(os.environ["XDG_CONFIG_HOME"]) / "autostart/kiln-desktop.desktop"
    with world.window() as window:
        window.go("Settings")
        window.choose("Start at login", "On")
        until("the entry is there", entry.exists)
        text = entry.read_text()
        assert f'Exec="{PROGRAMS}/kiln-desktop" "--hidden"' in text and "\nIcon=kiln\n" in text, text
        # What a desktop does at login; it finds the one that runs.
        subprocess.run(["/usr/bin/gio", "launch", entry], env=world.here.environment, check=True, timeout=20)
        window.choose("Start at login", "Off")
        until("the entry is gone", lambda: not entry.exists())
        assert window.complaints() == [], window.complaints()
    entry.write_text(text.replace("Autostart-enabled=true", "Autostart-enabled=false"))
    with world.window() as window:
        window.go("Settings")
        window.shows("Switched off in the login items of your system.")
    entry.unlink()


def pairing_shows_the_same_emoji_and_is_approved_with_a_click(world):
    with world.window() as window:
        world.here.ask("window", "open")
        # What a toolkit may take for orders to itself.
        world.there.ask("settings", "set", f"friendly_name={LABEL}")
        asking = world.there.pair(world.here)
        window.shows(f"{LABEL} asks to build on this computer.")
        until("a notification is shown", lambda: desktop.displayed() == 1)
        desktop.press("Review")
        window.until("the dialogue", lambda: "Reject" in window.dialogue())
        identity = world.there.status()["identity"]
        title = window.until("whose key it is", lambda: re.search("(?m)^Key of (?!this).*$", window.dialogue()))[0]
        names, digits = window.key(title)
        words = subprocess.run([PROGRAMS / "kiln", "identity"], env=world.there.environment, capture_output=True,
                               text=True, check=True).stdout
        assert digits == identity["pin_sha256"], (digits, identity)
        assert len(names) == 7 and all(name.lower() in words.lower() for name in names), (names, words)
        window.screenshot(SHOTS / "window-request.png")
        assert window.barriers() == [], window.barriers()
        window.click("Approve")
        out, _ = asking.communicate(timeout=20)
        assert asking.returncode == 0, out
        window.until("it is gone", lambda: window.dialogue() == "")
        window.go("Builders")
        window.shows("May use this computer")
        assert len(world.here.status()["offloaders"]) == 1
        assert window.complaints() == [], window.complaints()
    world.says("Ready to build for")


def a_builder_is_added_in_the_window(world):
    world.there.lend([TESTS, ROOT])
    port = until("the other one listens", lambda: world.there.status()["listening_port"])
    world.there.ask("window", "open")
    with world.window() as window:
        window.go("Builders")
        window.click("Add a builder")
        window.type("Address", f"127.0.0.1:{port}")
        window.click("Next")
        title = window.until("whose key it is", lambda: re.search("(?m)^Key of (?!this).*$", window.dialogue()))[0]
        assert window.key(title)[1] == world.there.status()["identity"]["pin_sha256"]
        window.screenshot(SHOTS / "window-pair.png")
        assert window.barriers() == [], window.barriers()
        window.click("They are the same, pair")
        asks, = until("it is asked", lambda: world.there.status()["requests"])
        world.there.ask("approve", asks["dashboard_id"], "--pin", world.here.status()["identity"]["pin_sha256"])
        window.until("it is told", lambda: "builds for you from now on." in window.dialogue())
        window.click("Close")
        assert window.complaints() == [], window.complaints()
    until("they are connected", lambda: world.here.status()["receivers"][0]["link"] == "connected")
    assert any(line[0] == "Builders" for line in desktop.item().menu() if isinstance(line, list))


def an_install_is_followed_in_the_window(world):
    with world.window() as window:
        window.go("Devices")
        window.shows("garage")
        window.click("Install garage")
        # It was never built: it may need a cable.
        window.until("it is asked where it goes", lambda: "Install garage" in window.dialogue())
        window.click("Install")
        world.says("Building garage")
        world.looks("building mine")
        desktop.screenshot(SHOTS / "app-building-mine.png")
        flashed = ROOT / "here-flashed"
        window.until("it is flashed", lambda: flashed.exists() and flashed.read_text() == "garage whole\n", 60)
        window.go("Activity")
        window.shows("Done")
        window.screenshot(SHOTS / "window-activity.png")
        job = world.here.job()
        window.run("location.hash = `#/job/${arguments[0]}`", job["id"])
        window.shows("Successfully compiled program.")
        window.screenshot(SHOTS / "window-job.png")
        window.shows("Built on")
        assert window.barriers() == [], window.barriers()
        assert job["placement"]["on"] == "remote", job
        window.go("Overview")
        window.screenshot(SHOTS / "overview.png")
        assert window.complaints() == [], window.complaints()


def a_dark_desktop_and_large_text_are_followed(world):
    look = pathlib.Path(os.environ["XDG_CONFIG_HOME"]) / "gtk-3.0/settings.ini"
    look.parent.mkdir(exist_ok=True)
    look.write_text("[Settings]\ngtk-application-prefer-dark-theme=1\n")
    # Text of twice the size, as desktops say it.
    resources = ["xprop", "-root", "-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER"]
    subprocess.run([*resources, "Xft.dpi:\t192\n"], check=True)
    with world.window() as window:
        assert window.run("return matchMedia('(prefers-color-scheme: dark)').matches"), "it is dark"
        assert window.run("return innerWidth") == 540, "half of the first window"
        # The driver's clicks miss where text has another size.
        for page in [*PAGES, f"Job/{world.here.job()['id']}"]:
            window.run("location.hash = `#/${arguments[0]}`", page.lower())
            page = page.split("/")[0]
            title = {"Overview": "Not building for others now", "Job": "garage"}.get(page, page)
            window.until(f"the page {page}", lambda: window.heading().startswith(title))
            window.screenshot(SHOTS / f"window-{page.lower()}-dark-large.png")
            assert window.sticks_out() == [], (page, window.sticks_out())
            assert window.barriers() == [], (page, window.barriers())
    look.unlink()
    subprocess.run(["xprop", "-root", "-remove", "RESOURCE_MANAGER"], check=True)


def a_build_that_fails_elsewhere_is_built_here_and_stopped_from_the_menu(world):
    desktop.close_notifications()
    item = desktop.item()
    item.click("Install", "shed")
    until("it is said that it failed", lambda: desktop.displayed() == 1, 60)
    failed = world.here.job()
    assert (failed["status"], failed["placement"]["on"]) == ("failed", "remote"), failed
    desktop.press("Build here")
    world.says("Building shed")
    assert "Open log" in desktop.buttons(), desktop.buttons()
    item.click("Stop this build")
    until("it is stopped", lambda: world.here.job()["status"] == "cancelled")
    assert world.here.job()["placement"]["on"] == "local", world.here.job()


def lines_of_the_menu_open_their_pages(world):
    item = desktop.item()
    builder = next(line for line in item.menu() if line[0] == "Builders")[1]
    with world.window() as window:
        for page, *line in [("Settings", "Settings…"), ("Diagnostics", "Diagnostics…"),
                            ("Diagnostics", "Check for updates"), ("Builders", "Builders", builder)]:
            window.go("Overview")
            item.click(*line)
            window.until(f"{line} opens its page", lambda: window.heading() == page)
        assert window.complaints() == [], window.complaints()


def the_menu_is_seen_in_the_panel(_world):
    def seen():
        desktop.screenshot(SHOTS / "tray.png")
        return (SHOTS / "tray.png").read_bytes()
    before = seen()
    desktop.mouse(17, 16, button=3)
    until("the menu is painted", lambda: seen() != before)
    subprocess.run(["xdotool", "key", "Escape"], check=True)


def a_second_start_shows_the_window_that_there_is(world):
    desktop.close_notifications()
    with world.window() as window:
        window.shows("Ready to build")
        again = subprocess.run([PROGRAMS / "kiln-desktop", "--page", "devices"], env=world.here.environment, timeout=20)
        assert again.returncode == 0
        window.until("its page is shown", lambda: window.heading() == "Devices")
        assert len(window_process()) == 1
    second = subprocess.run([PROGRAMS / "kiln-desktop"], env=world.here.environment, timeout=20)
    assert second.returncode == 0
    until("the window is there", windows, 20)
    assert len(window_process()) == 1 and len(desktop.items()) == 1


def a_window_that_is_killed_takes_nothing_with_it(world):
    window, = window_process()
    os.kill(window, signal.SIGKILL)
    until("it is gone", lambda: not windows())
    until("it is said", lambda: desktop.displayed() == 1)
    assert world.here.status()["availability"]["open"]
    desktop.press("Open")
    again = until("the window is there again", lambda: window_process() != [window] and windows(), 20)
    close(again[0])
    until("the window is closed", lambda: not window_process())
    desktop.close_notifications()


def pages_whose_process_dies_do_not_stay_blank(world):
    subprocess.run([PROGRAMS / "kiln-desktop"], env=world.here.environment, check=True, timeout=20)
    window, = until("the window is there", lambda: windows() and window_process(), 20)
    pages, = until("its pages are shown", lambda: web_process(window))
    os.kill(pages, signal.SIGKILL)
    until("the window is gone", lambda: not window_process())
    until("it is said", lambda: desktop.displayed() == 1)
    desktop.press("Open")
    again = until("the window is there again", lambda: window_process() and windows(), 20)
    close(again[0])
    until("the window is closed", lambda: not window_process())
    desktop.close_notifications()


def without_panel_and_notifications_kiln_works(world):
    for part in ("panel", "notifications"):
        subprocess.run([f"{part}_stop"], check=True)
    with world.window() as window:
        world.here.ask("window", "open")
        asking = world.there.pair(world.here, "--label", "again")
        window.go("Diagnostics")
        window.shows("Your desktop shows no tray icon.")
        for part in ("panel", "notifications"):
            subprocess.run([f"{part}_start"], check=True)
        asking.kill()
        asking.communicate()
    assert desktop.item().tooltip[0] == "Kiln"
    world.here.ask("window", "close")


def quitting_while_another_computer_waits_asks_first(world):
    world.there.ask("compile", "cellar", "--on", world.here.status()["identity"]["pin_sha256"])
    world.says(f"Building cellar for {LABEL}")
    world.looks("building others")
    desktop.screenshot(SHOTS / "app-building-others.png")
    desktop.item().click("Quit")
    question = until("the question is asked", lambda: len(windows()) == 2 and windows(), 20)[-1]
    desktop.screenshot(SHOTS / "app-quit.png")
    close(question)
    until("it is answered", lambda: len(windows()) == 1)
    assert window_process(), "a name that is full of percent signs is a name"
    assert world.desk.poll() is None, "nobody said yes"
    close(windows()[0])
    until("the window is closed", lambda: not window_process())
    until("it is built", lambda: world.there.ask("jobs")["jobs"][0]["status"] == "completed", 60)


def the_battery_pauses(world):
    world.looks("ready")
    BATTERY.unplug()
    # It has to have been ready for a minute.
    menu = world.says("Paused: on battery.", 90)
    assert desktop.item().tooltip[1] in menu[0], (desktop.item().tooltip, menu)
    world.looks("paused")
    desktop.screenshot(SHOTS / "app-battery.png")
    # What follows does not wait for it.
    BATTERY.plug_in()


def the_mains_resume_by_themselves(world):
    # It has to be so for a minute.
    menu = world.says("Ready to build for", 90)
    assert desktop.item().tooltip[1] in menu[0], (desktop.item().tooltip, menu)
    world.looks("ready")


def say_yes(question):
    """Clicks the button at the left of a question of the system's."""
    shape = subprocess.run(["xdotool", "getwindowgeometry", "--shell", question], capture_output=True, text=True,
                           check=True).stdout
    x, y, width, height = (int(re.search(rf"{name}=(-?\d+)", shape)[1]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
    desktop.mouse(x + width // 4, y + height - 18)


def quit_ends_all_of_it_after_a_yes(world):
    world.there.ask("compile", "cellar", "--on", world.here.status()["identity"]["pin_sha256"])
    world.says("Building cellar for")
    desktop.item().click("Quit")
    question = until("the question is asked", lambda: len(windows()) == 2 and windows(), 20)[-1]
    say_yes(question)
    assert world.desk.wait(timeout=30) == 0
    until("the icon is gone", lambda: not desktop.items())
    assert world.here.run("status").returncode == 3
    # It would be built here again as soon as this Kiln is back.
    world.there.ask("cancel", world.there.job()["id"])


def quitting_while_a_device_is_written_ends_after_that(world):
    world.start("--hidden")
    # Nobody waits for a build any more, so that there is no question.
    world.says("Ready to build for")
    until("it is found", lambda: any("porch" in line for line in desktop.item().menu() if line[0] == "Install"))
    desktop.item().click("Install", "porch")
    world.says("Installing porch", 60)
    desktop.item().click("Quit")
    world.says("Kiln ends when porch is installed.")
    assert world.desk.wait(timeout=30) == 0
    world.here.serve("--listen-port", "0")
    assert world.here.job("upload")["status"] == "completed", world.here.job("upload")
    world.here.ask("stop")


def a_window_of_a_node_alone_says_when_it_goes_and_recovers(world):
    world.here.serve("--listen-port", "0")
    with world.window() as window:
        window.shows("Ready to build")
        world.here.end()
        window.shows("Kiln does not run.")
        assert window.heading() == "What this computer does now is not known"
        window.screenshot(SHOTS / "window-gone.png")
        world.here.serve("--listen-port", "0")
        window.until("it is back", lambda: "Kiln does not run." not in window.text()
                     and "Connecting again" not in window.text())
        assert window.heading() == "Ready to build"
        began = time.monotonic()
        world.start("--hidden")
        world.says("Ready to build")
        assert time.monotonic() - began < 60
    desk = world.here.process
    assert world.here.status()["availability"]["open"]
    desktop.item().click("Quit")
    assert desk.wait(timeout=30) == 0
    assert world.here.status()["availability"]["open"], "the node of another process goes on"
    world.here.ask("stop")


def a_strong_contrast_changes_the_look_of_the_icon(world):
    with desktop.Portal() as portal:
        item = world.start("--hidden")
        world.says("Ready to build")
        usual = item.pixels(22)
        world.looks("ready")
        portal.contrast(1)
        until("it is drawn anew", lambda: item.pixels(22) != usual)
        desktop.screenshot(SHOTS / "tray-contrast.png")
        portal.contrast(0)
        until("it is as before", lambda: item.pixels(22) == usual)
        world.looks("ready")
        item.click("Quit")
        assert world.desk.wait(timeout=30) == 0


STORIES = [
    a_start_at_login_shows_the_icon_and_opens_no_window,
    the_menu_lends_pauses_and_resumes,
    a_request_to_pair_wants_attention_and_is_rejected_from_the_notification,
    review_opens_the_window_and_closing_it_leaves_kiln_in_the_tray,
    the_first_window_explains_itself_and_every_page_opens,
    pairing_shows_the_same_emoji_and_is_approved_with_a_click,
    the_battery_pauses,
    a_builder_is_added_in_the_window,
    an_install_is_followed_in_the_window,
    a_dark_desktop_and_large_text_are_followed,
    a_build_that_fails_elsewhere_is_built_here_and_stopped_from_the_menu,
    lines_of_the_menu_open_their_pages,
    the_menu_is_seen_in_the_panel,
    start_at_login_is_a_setting_of_the_window,
    the_mains_resume_by_themselves,
    a_second_start_shows_the_window_that_there_is,
    a_window_that_is_killed_takes_nothing_with_it,
    pages_whose_process_dies_do_not_stay_blank,
    without_panel_and_notifications_kiln_works,
    quitting_while_another_computer_waits_asks_first,
    quit_ends_all_of_it_after_a_yes,
    a_window_of_a_node_alone_says_when_it_goes_and_recovers,
    quitting_while_a_device_is_written_ends_after_that,
    a_strong_contrast_changes_the_look_of_the_icon,
]

BATTERY = Battery(ROOT / "power_supply")
house = World()
house.here.environment["KILN_POWER_SUPPLY"] = str(BATTERY.folder)
# Long enough to be seen.
house.here.put("garage", seconds=3)
house.here.put("attic")
house.here.put("porch", upload=12)
house.here.put("shed", seconds=10, fails="yes")
house.there.put("cellar", seconds=8)
play(house, STORIES)
