"""The programs of an unpacked package on a desktop, started as its menu entry says. Run as `household` says; the
programs are those in its `usr/bin`."""
import configparser
import os
import shlex

from desktop import item, until
from household import PROGRAMS, World, close, play, window_process, windows

ID = "io.esphome.kiln"
SHARE = PROGRAMS.parent / "share"


def entry():
    """What the menu reads."""
    read = configparser.ConfigParser(interpolation=None)
    read.optionxform = str
    read.read(SHARE / f"applications/{ID}.desktop", encoding="utf-8")
    return read["Desktop Entry"]


def the_menu_entry_starts_the_desktop_and_its_window(world):
    program, *words = shlex.split(entry()["Exec"])
    world.here.process = world.here.spawn(program, *words)
    assert item().tooltip[0] == "Kiln"
    window, = until("the window is there", windows, 30)
    until("the node answers", lambda: world.here.run("status").returncode == 0)
    for pid in [world.desk.pid, *window_process()]:
        assert os.readlink(f"/proc/{pid}/exe").startswith(str(PROGRAMS)), pid
    close(window)
    until("the window is closed", lambda: not windows() and not window_process())
    assert world.desk.poll() is None, "Kiln stays in the tray"


def its_icon_is_the_one_that_is_named(_world):
    icons = list((SHARE / "icons/hicolor").glob(f"*/apps/{entry()['Icon']}.*"))
    assert len(icons) >= 4, icons


def quit_ends_it(world):
    item().click("Quit")
    assert world.desk.wait(timeout=30) == 0


play(World(), [the_menu_entry_starts_the_desktop_and_its_window, its_icon_is_the_one_that_is_named, quit_ends_it])
