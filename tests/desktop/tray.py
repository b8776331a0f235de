"""The icon in a real panel and the notifications of a real daemon: `session python3 tray.py PROBE SCREENSHOTS`.
`PROBE desktop` shows what it is told to and says what comes of it."""
import json
import pathlib
import queue
import subprocess
import sys
import threading

import desktop

STATES = ["attention", "error", "building_mine", "building_others", "paused", "ready", "off"]

MENU = [
    {"label": "Ready_to build for <Garage> & Attic."},
    None,
    {"label": "Pause serving", "items": [{"id": "pause.30m", "label": "For 30 minutes"},
                                         {"id": "pause.2h", "label": "For 2 hours"}]},
    {"id": "open", "label": "Open Kiln"},
    {"id": "quit", "label": "Quit"},
]
READ = ["(Ready_to build for <Garage> & Attic.)", "-", ["Pause serving", "For 30 minutes", "For 2 hours"],
        "Open Kiln", "Quit"]


class Probe:
    """The program under test."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "desktop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, encoding="utf-8")
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def hears(self, expected):
        """Waits for the next line, which has to be this one."""
        line = self.lines.get(timeout=10)
        assert line == expected, f"{line!r} instead of {expected!r}"

    def silent(self):
        assert self.lines.empty(), self.lines.get()

    def order(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def show(self, icon, tooltip="", menu=MENU):
        self.order(show={"icon": icon, "tooltip": tooltip, "menu": menu})
        self.hears("shown")

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0


def the_menu_is_read_and_clicked(probe, shots):
    probe.show("ready", "Ready to build for <Garage> & Attic.")
    item = desktop.item()
    assert item.menu() == READ, item.menu()
    assert item.tooltip == ("Kiln", "Ready to build for &lt;Garage&gt; &amp; Attic."), item.tooltip
    item.click("Open Kiln")
    probe.hears("clicked open")
    item.click("Pause serving", "For 2 hours")
    probe.hears("clicked pause.2h")
    item.activate()
    probe.hears("activated")
    desktop.mouse(17, 16)
    probe.hears("activated")
    desktop.mouse(17, 16, button=3)
    desktop.screenshot(shots / "tray-menu.png")
    subprocess.run(["xdotool", "key", "Escape"], check=True)


def every_state_has_a_shape_of_its_own(probe, shots):
    item, shapes = desktop.item(), {}
    for state in STATES:
        probe.show(state, state)
        shapes[item.shape()] = state
        expected = "NeedsAttention" if state == "attention" else "Active"
        assert item.status == expected, (state, item.status)
        desktop.screenshot(shots / f"tray-{state}.png")
    assert len(shapes) == len(STATES), sorted(shapes.values())


def what_did_not_change_is_not_sent_again(probe, _shots):
    item = desktop.item()
    probe.show("ready", "one")
    with subprocess.Popen(["dbus-monitor", f"sender='{item.name}'"] if item.name.startswith(":")
                          else ["dbus-monitor", "type='signal'"],
                          stdout=subprocess.PIPE, text=True) as monitor:
        signals = queue.Queue()
        threading.Thread(target=lambda: [signals.put(line) for line in monitor.stdout], daemon=True).start()
        seen = []

        def members_until(last):
            while True:
                line = signals.get(timeout=10)
                if "member=" in line and ("StatusNotifierItem" in line or "dbusmenu" in line):
                    seen.append(line.rsplit("member=", 1)[1].strip())
                    if seen[-1] == last:
                        return

        revision = item.revision
        probe.show("ready", "one")
        probe.show("ready", "two")
        members_until("NewToolTip")
        assert seen == ["NewToolTip"], seen
        changed = [{"label": "Other"}, *MENU[1:]]
        probe.show("ready", "two", changed)
        members_until("ItemsPropertiesUpdated")
        assert seen == ["NewToolTip", "ItemsPropertiesUpdated"], seen
        assert item.revision == revision, "a changed label is no new layout"
        probe.show("paused", "two", changed)
        members_until("NewIcon")
        assert seen == ["NewToolTip", "ItemsPropertiesUpdated", "NewIcon"], seen
        probe.show("paused", "two", changed[:-1])
        members_until("LayoutUpdated")
        assert item.revision != revision
        monitor.terminate()


def a_panel_that_is_restarted_shows_the_icon_again(probe, _shots):
    subprocess.run(["panel_stop"], check=True)
    probe.hears("host missing")
    probe.show("building_mine", "while the panel was away")
    subprocess.run(["panel_start"], check=True)
    probe.hears("host here")
    assert desktop.item().tooltip[1] == "while the panel was away"


def a_button_of_a_notification_acts(probe, shots):
    pair = {"id": "pair:attic", "title": "Attic asks to use this computer", "body": "From <b>Attic</b> & more.",
            "buttons": [["review", "Review"], ["reject", "Reject"]]}
    probe.order(notify=pair)
    probe.hears("notified")
    desktop.until("one is shown", lambda: desktop.displayed() == 1)
    desktop.screenshot(shots / "notification.png")
    desktop.press("Reject")
    probe.hears("pressed pair:attic reject")
    assert "Review" in desktop.buttons() and "Reject" in desktop.buttons(), desktop.buttons()
    probe.order(notify=pair)
    probe.hears("notified")
    desktop.open_notification()
    probe.hears("opened pair:attic")
    desktop.close_notifications()


def a_notification_is_replaced_and_withdrawn(probe, _shots):
    for done in [25, 50]:
        probe.order(notify={"id": "many", "title": "Installing 4 devices", "body": f"{done} %", "progress": done})
        probe.hears("notified")
    assert desktop.displayed() == 1, desktop.displayed()
    probe.order(withdraw="many")
    probe.hears("withdrawn")
    desktop.until("it is gone", lambda: desktop.displayed() == 0)
    assert desktop.history()[0] == ("Installing 4 devices", "50 %"), desktop.history()
    probe.order(notify={"id": "gone", "title": "Closed by the person", "body": ""})
    probe.hears("notified")
    desktop.close_notifications()
    probe.hears("closed gone")
    probe.silent()


def no_daemon_is_said_and_one_that_comes_is_used(probe, _shots):
    subprocess.run(["notifications_stop"], check=True)
    probe.order(notify={"id": "a", "title": "A", "body": ""})
    probe.hears("error NoDaemon")
    subprocess.run(["notifications_start"], check=True)
    probe.order(notify={"id": "a", "title": "A", "body": "", "buttons": [["yes", "Yes"]]})
    probe.hears("notified")
    desktop.press("Yes")
    probe.hears("pressed a yes")


def a_daemon_that_is_restarted_loses_ours_and_keeps_what_others_show(probe, _shots):
    desktop.close_notifications()
    probe.order(notify={"id": "ours", "title": "Ours", "body": ""})
    probe.hears("notified")
    subprocess.run(["notifications_stop"], check=True)
    probe.hears("closed ours")
    subprocess.run(["notifications_start"], check=True)
    # It counts from the beginning again.
    subprocess.run(["notify-send", "Of another program"], check=True)
    desktop.until("it is shown", lambda: desktop.displayed() == 1)
    probe.order(withdraw="ours")
    probe.hears("withdrawn")
    assert desktop.displayed() == 1
    probe.order(notify={"id": "ours", "title": "Ours", "body": ""})
    probe.hears("notified")
    assert desktop.displayed() == 2
    desktop.close_notifications()
    probe.hears("closed ours")
    probe.silent()


def strong_contrast_is_heard(_probe, _shots):
    with desktop.Portal() as portal:
        portal.contrast(1)
        probe = Probe(sys.argv[1])
        heard = {probe.lines.get(timeout=10), probe.lines.get(timeout=10)}
        assert heard == {"host here", "contrast high"}, heard
        portal.contrast(0)
        probe.hears("contrast normal")
        probe.end()


STORIES = [
    the_menu_is_read_and_clicked,
    every_state_has_a_shape_of_its_own,
    what_did_not_change_is_not_sent_again,
    a_panel_that_is_restarted_shows_the_icon_again,
    a_button_of_a_notification_acts,
    a_notification_is_replaced_and_withdrawn,
    no_daemon_is_said_and_one_that_comes_is_used,
    a_daemon_that_is_restarted_loses_ours_and_keeps_what_others_show,
    strong_contrast_is_heard,
]


def main():
    program, shots = sys.argv[1], pathlib.Path(sys.argv[2])
    shots.mkdir(parents=True, exist_ok=True)
    # The panel comes after the icon, as it may at a login.
    subprocess.run(["panel_stop"], check=True)
    probe = Probe(program)
    heard = {probe.lines.get(timeout=10), probe.lines.get(timeout=10)}
    assert heard == {"host missing", "contrast normal"}, heard
    subprocess.run(["panel_start"], check=True)
    probe.hears("host here")
    for story in STORIES:
        story(probe, shots)
        print(f"passed  {story.__name__}", flush=True)
    probe.end()
    desktop.until("the icon is gone", lambda: not desktop.items())
    print(f"{len(STORIES)} passed")


main()
