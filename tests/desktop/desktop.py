"""What a person does at a desktop, over D-Bus and with the mouse: look at the tray, open its menu, click; read
notifications and press their buttons. To be used inside `session`; needs python3-dbus."""
import os
import subprocess
import time

import dbus

WATCHER = "org.kde.StatusNotifierWatcher"
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"


def until(what, question, seconds=10.0):
    """Asks again until the answer is one, and returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"did not come true within {seconds} s: {what}")
        time.sleep(0.02)


def _bus():
    return dbus.SessionBus()


class Item:
    """One icon in the panel."""

    def __init__(self, name, path):
        self.name, self.path = name, path

    def asked(self, name):
        item = _bus().get_object(self.name, self.path)
        return item.Get(ITEM, name, dbus_interface=dbus.PROPERTIES_IFACE)

    @property
    def tooltip(self):
        """Title and text."""
        _, _, title, text = self.asked("ToolTip")
        return str(title), str(text)

    @property
    def status(self):
        return str(self.asked("Status"))

    def pixels(self, size):
        """Alpha, red, green and blue of each pixel of the picture of this size."""
        name = "AttentionIconPixmap" if self.status == "NeedsAttention" else "IconPixmap"
        for width, height, data in self.asked(name):
            if width == height == size:
                return bytes(data)
        raise AssertionError(f"no picture of {size} pixels")

    def shape(self, size=22):
        """The picture as lines of # and space."""
        data = self.pixels(size)
        alpha = ["#" if data[4 * i] > 127 else " " for i in range(size * size)]
        return "\n".join("".join(alpha[y * size:(y + 1) * size]) for y in range(size))

    def activate(self):
        """Clicks the icon itself."""
        item = _bus().get_object(self.name, self.path)
        item.Activate(0, 0, dbus_interface=ITEM)

    def _menu(self):
        menu = _bus().get_object(self.name, str(self.asked("Menu")))
        return dbus.Interface(menu, MENU)

    def _layout(self):
        """Number, properties and children of every line."""
        return self._menu().GetLayout(0, -1, dbus.Array([], "s"))[1]

    @property
    def revision(self):
        """Changes when the layout of the menu does."""
        return int(self._menu().GetLayout(0, 0, dbus.Array([], "s"))[0])

    def menu(self):
        """The menu as a person reads it: labels, `-` for a line, (label) for what cannot be clicked, lists for
        submenus."""
        return [_read(line) for line in self._layout()[2]]

    def click(self, *labels):
        """Clicks the line of this label; of several, the last one in the submenus of the others."""
        until(f"{labels} is clicked", lambda: self._clicked(labels))

    def _clicked(self, labels):
        line = self._layout()
        for label in labels:
            line = _find(line, label)
        try:
            self._menu().Event(line[0], "clicked", dbus.Int32(0), dbus.UInt32(0))
        except dbus.DBusException as error:
            # The menu became another one while its lines were read.
            assert error.get_dbus_name() == "org.freedesktop.DBus.Error.InvalidArgs", error
            return False
        return True


def _label(properties):
    # Two underscores are one; a single one would be a shortcut.
    return str(properties.get("label", "")).replace("__", "_")


def _read(line):
    _, properties, children = line
    if properties.get("type") == "separator":
        return "-"
    label = _label(properties)
    if not properties.get("enabled", True):
        return f"({label})"
    return [label, *(_read(child) for child in children)] if children else label


def _find(line, label):
    for child in line[2]:
        if _label(child[1]) == label:
            return child
    raise AssertionError(f"no {label!r} in {[_label(child[1]) for child in line[2]]}")


def items():
    """Every icon that the panel knows."""
    if not _bus().name_has_owner(WATCHER):
        return []
    watcher = _bus().get_object(WATCHER, "/StatusNotifierWatcher")
    known = watcher.Get(WATCHER, "RegisteredStatusNotifierItems", dbus_interface=dbus.PROPERTIES_IFACE)
    found = []
    for item in known:
        name, slash, path = str(item).partition("/")
        found.append(Item(name, "/" + path if slash else "/StatusNotifierItem"))
    return found


def panel_process():
    """The process that collects the icons."""
    return int(_bus().get_object("org.freedesktop.DBus", "/").GetConnectionUnixProcessID(
        WATCHER, dbus_interface="org.freedesktop.DBus"))


def item(title="Kiln"):
    """Waits for the icon of this title."""
    def there():
        for one in items():
            try:
                if str(one.asked("Title")) == title:
                    return one
            except dbus.DBusException:
                pass
        return None
    return until(f"{title} is in the panel", there)


def screenshot(path):
    """Keeps what is on the screen as a PNG."""
    subprocess.run(["import", "-window", "root", str(path)], check=True)


def mouse(x, y, button=1):
    subprocess.run(["xdotool", "mousemove", str(x), str(y), "click", str(button)], check=True)


def _dunst(*words):
    return subprocess.run(["dunstctl", *words], check=True, capture_output=True, text=True).stdout.strip()


def displayed():
    """How many notifications are on the screen."""
    return int(_dunst("count", "displayed"))


def press(label):
    """Presses the button of this label on the newest notification."""
    folder = os.environ["DESKTOP_DIR"]
    with open(os.path.join(folder, "pick"), "w", encoding="utf-8") as pick:
        pick.write(label)
    _dunst("context")


def buttons():
    """What the newest notification offered when a button was pressed."""
    with open(os.path.join(os.environ["DESKTOP_DIR"], "offered"), encoding="utf-8") as offered:
        return offered.read()


def open_notification():
    """Clicks the newest notification itself."""
    _dunst("action")


def close_notifications():
    _dunst("close-all")


def history():
    """Summary and text of the notifications that are closed, the newest first."""
    import json
    closed = json.loads(_dunst("history"))["data"][0]
    return [(one["summary"]["data"], one["body"]["data"]) for one in closed]


def _keyring():
    """The Secret Service, and the path of the keyring that is used."""
    service = _bus().get_object("org.freedesktop.secrets", "/org/freedesktop/secrets")
    secrets = dbus.Interface(service, "org.freedesktop.Secret.Service")
    return service, secrets, secrets.ReadAlias("default")


def lock_keyring():
    """Locks the keyring, as it is after a login that did not open it."""
    _, secrets, keyring = _keyring()
    locked, prompt = secrets.Lock([keyring])
    assert len(locked) == 1 and prompt == "/", (locked, prompt)


def unlock_keyring():
    """Opens it again, with the password that `session` gave it."""
    service, secrets, keyring = _keyring()
    _, session = secrets.OpenSession("plain", dbus.String("", variant_level=1))
    password = dbus.Struct((session, dbus.ByteArray(b""), dbus.ByteArray(b"\n"), "text/plain"), signature="oayays")
    # What the login does; the public interface would open a window that asks for the password.
    service.UnlockWithMasterPassword(
        keyring, password, dbus_interface="org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface")


class Portal:
    """A settings portal, as desktops bring one: a program of its own, because it has to answer while a test waits."""

    _PROGRAM = """
import sys, dbus, dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib
DBusGMainLoop(set_as_default=True)
SETTINGS = "org.freedesktop.portal.Settings"

class Settings(dbus.service.Object):
    value = dbus.UInt32(0)
    @dbus.service.method(SETTINGS, in_signature="ss", out_signature="v")
    def ReadOne(self, namespace, key):
        return self.value
    @dbus.service.signal(SETTINGS, signature="ssv")
    def SettingChanged(self, namespace, key, value):
        pass
    def set(self, source, condition):
        self.value = dbus.UInt32(int(sys.stdin.readline() or "0"))
        self.SettingChanged("org.freedesktop.appearance", "contrast", self.value)
        print("set", flush=True)
        return True

bus = dbus.SessionBus()
name = dbus.service.BusName("org.freedesktop.portal.Desktop", bus)
settings = Settings(bus, "/org/freedesktop/portal/desktop")
GLib.io_add_watch(0, GLib.IO_IN, settings.set)
GLib.MainLoop().run()
"""

    def __enter__(self):
        self._process = subprocess.Popen(["/usr/bin/python3", "-c", self._PROGRAM], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        until("the portal is there", lambda: _bus().name_has_owner("org.freedesktop.portal.Desktop"))
        return self

    def contrast(self, wanted):
        """0 for normal, 1 for strong."""
        self._process.stdin.write(f"{wanted}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "set\n"

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
