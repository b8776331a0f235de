"""Plays services of a Linux system and desktop on a private bus, as Kiln's adapters ask them.

    services.py SERVICE...      profiles network login mutter screensaver

Lines of JSON come in: {"set": [SERVICE, NAME, VALUE]} changes what it says, {"sleep": true} tells that
the system goes to sleep, and false that it woke up, {"login": [NAME, PROPERTIES]} adds a session from
elsewhere, and {"logout": NAME} ends it. Lines of JSON go out: {"taken": [WHAT, MODE]} and
{"released": [WHAT, MODE]} for every inhibitor lock. Needs python3-dbus and python3-gi.
"""
import json
import os
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

PROPERTIES = "org.freedesktop.DBus.Properties"
LOGIN = "org.freedesktop.login1"


def tell(**words):
    print(json.dumps(words), flush=True)


class Service(dbus.service.Object):
    """Something with properties."""

    def __init__(self, bus, name, path, **said):
        self.bus_name, self.said = dbus.service.BusName(name, bus), said
        super().__init__(self.bus_name, path)

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v")
    def Get(self, _interface, name):
        return self.said[name]

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, _interface):
        return self.said


class Login(Service):
    """The login manager, with one session at this machine, and those from elsewhere that are added."""

    SESSION = "/org/freedesktop/login1/session/_31"

    def __init__(self, bus):
        super().__init__(bus, LOGIN, "/org/freedesktop/login1")
        self.session = Service(bus, LOGIN, self.SESSION, IdleHint=dbus.Boolean(False),
                               IdleSinceHintMonotonic=dbus.UInt64(0), LidClosed=dbus.Boolean(False),
                               Docked=dbus.Boolean(False))
        self.said, self.elsewhere = self.session.said, {}

    def adds(self, name, said):
        path = f"/org/freedesktop/login1/session/{name}"
        kinds = {"Remote": dbus.Boolean, "Leader": dbus.UInt32, "IdleHint": dbus.Boolean,
                 "IdleSinceHintMonotonic": dbus.UInt64}
        typed = {key: kinds.get(key, dbus.String)(value) for key, value in said.items()}
        self.elsewhere[name] = Service(self.bus_name.get_bus(), LOGIN, path, **typed)

    def removes(self, name):
        self.elsewhere.pop(name).remove_from_connection()

    @dbus.service.method(f"{LOGIN}.Manager", out_signature="a(susso)")
    def ListSessions(self):
        user = (dbus.UInt32(os.getuid()), "owner")
        far = [(name, *user, "", dbus.ObjectPath(f"/org/freedesktop/login1/session/{name}"))
               for name in self.elsewhere]
        return [("1", *user, "seat0", dbus.ObjectPath(self.SESSION)), *far]

    @dbus.service.method(f"{LOGIN}.Manager", in_signature="ssss", out_signature="h")
    def Inhibit(self, what, _who, _why, mode):
        ours, theirs = os.pipe()

        def closed(*_):
            os.close(ours)
            tell(released=[what, mode])
            return False
        GLib.io_add_watch(ours, GLib.IO_HUP, closed)
        tell(taken=[what, mode])
        handed = dbus.types.UnixFd(theirs)
        os.close(theirs)
        return handed

    @dbus.service.signal(f"{LOGIN}.Manager", signature="b")
    def PrepareForSleep(self, goes):
        pass


class Mutter(Service):
    """GNOME's count of milliseconds without input."""

    @dbus.service.method("org.gnome.Mutter.IdleMonitor", out_signature="t")
    def GetIdletime(self):
        return self.said["idle"]


class ScreenSaver(Service):
    """KDE's."""

    @dbus.service.method("org.freedesktop.ScreenSaver", out_signature="u")
    def GetSessionIdleTime(self):
        return self.said["idle"]


PLAYED = {
    "profiles": lambda bus: Service(
        bus, "org.freedesktop.UPower.PowerProfiles", "/org/freedesktop/UPower/PowerProfiles",
        ActiveProfile="balanced", PerformanceDegraded=""),
    "network": lambda bus: Service(
        bus, "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager",
        Metered=dbus.UInt32(4)),
    "login": Login,
    "mutter": lambda bus: Mutter(
        bus, "org.gnome.Mutter.IdleMonitor", "/org/gnome/Mutter/IdleMonitor/Core", idle=0),
    "screensaver": lambda bus: ScreenSaver(
        bus, "org.freedesktop.ScreenSaver", "/ScreenSaver", idle=0),
}


def main():
    DBusGMainLoop(set_as_default=True)
    bus, loop = dbus.SessionBus(), GLib.MainLoop()
    services = {name: PLAYED[name](bus) for name in sys.argv[1:]}

    def ordered(*_):
        # Unbuffered: what waits in a buffer wakes nobody.
        lines = os.read(0, 65_536).splitlines()
        if not lines:
            loop.quit()
            return False
        for line in lines:
            order = json.loads(line)
            if "sleep" in order:
                services["login"].PrepareForSleep(order["sleep"])
            elif "login" in order:
                services["login"].adds(*order["login"])
            elif "logout" in order:
                services["login"].removes(order["logout"])
            else:
                service, name, value = order["set"]
                said = services[service].said
                said[name] = type(said[name])(value)
        return True
    GLib.io_add_watch(0, GLib.IO_IN | GLib.IO_HUP, ordered)
    tell(ready=True)
    loop.run()


if __name__ == "__main__":
    main()
