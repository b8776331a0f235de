"""What Kiln costs at a desktop: time to icon and window, memory, wake-ups while nobody does anything, packages.
`session --keyring /usr/bin/python3 desk.py [--quick] --programs FOLDER [--document FILE] PACKAGE...`, in a network of its
own (`tests/rig/net run`)."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "desktop"))
import desktop  # noqa: E402
from desktop import until  # noqa: E402

HOME = Path(os.environ["DESKTOP_DIR"]) / "kiln"


class Desk:
    """One `kiln-desktop` with its node, in a home that is kept between starts."""

    def __init__(self, programs):
        self.programs = programs
        HOME.mkdir()
        esphome = HOME.parent / "esphome"
        quick = Path(__file__).resolve().parent.parent / "rig/quick.py"
        esphome.write_text(f'#!/bin/sh\nexec /usr/bin/python3 {quick} {HOME}/flashed "$@"\n')
        esphome.chmod(0o755)
        self.environment = {**os.environ, "KILN_HOME": str(HOME), "KILN_ESPHOME": str(esphome)}

    def start(self):
        """Returns the seconds until the panel has the icon."""
        begun = time.perf_counter()
        self.process = subprocess.Popen([self.programs / "kiln-desktop", "--hidden"], env=self.environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.item = desktop.item()
        took = time.perf_counter() - begun
        until("the node answers", lambda: self.asks("status").returncode == 0)
        return took

    def asks(self, *words):
        return subprocess.run([self.programs / "kiln", "--json", *words], env=self.environment, capture_output=True)

    def open(self):
        """Opens the window as a click in the menu does. Returns the seconds until it is on the screen."""
        begun = time.perf_counter()
        self.item.click("Open Kiln")
        until("the window is there", windows, 30)
        return time.perf_counter() - begun

    def follows(self, verb):
        """Returns the seconds until the icon says what `kiln pause` or `kiln resume` has changed."""
        before = self.item.tooltip
        begun = time.perf_counter()
        self.asks(verb)
        while self.item.tooltip == before:
            pass
        return time.perf_counter() - begun

    def close(self):
        for pid in named("kiln-window"):
            os.kill(pid, 15)
        until("the window is gone", lambda: not named("kiln-window"))

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def windows():
    return subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "kiln-window"],
                          capture_output=True, text=True).stdout.split()


def named(name):
    return [int(pid) for pid in subprocess.run(["pgrep", "-x", name], capture_output=True, text=True).stdout.split()]


def tree(pid):
    """A process and all that it started."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(process for child in below for process in tree(int(child)))]


def memory(pid, kind):
    """Megabytes (10^6), of `/proc/PID/smaps_rollup` (proc_pid_smaps(5))."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{kind}:\s+(\d+)", text, re.M)[1]) * 1024 / 1e6


def switches(pid):
    """How often each thread of a process went to sleep by itself: each wake-up ends in one."""
    of_thread = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.M)
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {task.name: int(of_thread.search((task / "status").read_text())[1]) for task in tasks}


def wakeups(pid, seconds):
    """Per minute, while nobody does anything, of the threads that were there all the time."""
    before = switches(pid)
    time.sleep(seconds)
    after = switches(pid)
    return sum(count - before[task] for task, count in after.items() if task in before) * 60 / seconds


def measure(programs, turns, quiet):
    desk, figures = Desk(programs), {}

    def add(name, value):
        figures.setdefault(name, []).append(value)
    for turn in range(turns + 1):
        icon = desk.start()
        pid = desk.process.pid
        if turn:
            # The first start makes the identity and reads the programs from the disk.
            add("icon_s", icon)
        if turn == turns:
            break
        desk.stop()
    # Ready to build for others, whatever else this machine does.
    desk.asks("settings", "set", "receiver=true", "idle_minutes=0", "cpu_limit=0", "ram_floor_mb=0", "disk_floor_mb=0",
              "listen_host=127.0.0.1")
    time.sleep(3)
    add("before_rss_mb", memory(pid, "Rss"))
    add("before_pss_mb", memory(pid, "Pss"))
    add("wakeups_lent", wakeups(pid, quiet))
    for _ in range(turns):
        add("pause_s", desk.follows("pause"))
        add("pause_s", desk.follows("resume"))
    desk.asks("settings", "set", "receiver=false")
    time.sleep(2)
    add("wakeups_not_lent", wakeups(pid, quiet))
    for turn in range(turns):
        add("first_window_s" if turn == 0 else "window_s", desk.open())
        time.sleep(1)
        if turn == turns - 1:
            add("open_rss_mb", memory(pid, "Rss"))
            window = [process for found in named("kiln-window") for process in tree(found)]
            add("window_pss_mb", sum(memory(process, "Pss") for process in window))
        desk.close()
    time.sleep(2)
    add("after_rss_mb", memory(pid, "Rss"))
    desk.stop()
    return figures


# label, metric, unit, factor to that unit, aim as text, the most that meets it
ROWS = [
    ("start to icon in the panel", "icon_s", "ms", 1e3, "<= 400 ms", 400),
    ("`kiln pause` or `resume` to the icon's sentence, the program's start included", "pause_s", "ms", 1e3, "<= 200 ms", 200),
    ("icon and node, before the first window: RSS", "before_rss_mb", "MB", 1, "<= 25 MB", 25),
    ("icon and node, before the first window: PSS", "before_pss_mb", "MB", 1, "", None),
    ("icon and node, window open: RSS", "open_rss_mb", "MB", 1, "", None),
    ("icon and node, window closed again: RSS", "after_rss_mb", "MB", 1, "<= 25 MB", 25),
    ("the window with all its processes: PSS", "window_pss_mb", "MB", 1, "", None),
    ("click to first window", "first_window_s", "ms", 1e3, "", None),
    ("click to window, again", "window_s", "ms", 1e3, "<= 1 s", 1000),
    ("wake-ups per minute, nothing lent", "wakeups_not_lent", "", 1, "", None),
    ("wake-ups per minute, ready for others", "wakeups_lent", "", 1, "", None),
    ("deb package", "deb_mb", "MB", 1, "<= 10 MB", 10),
    ("rpm package", "rpm_mb", "MB", 1, "<= 10 MB", 10),
]


def markdown(figures):
    lines = ["| | Kiln | aim | met |", "|---|---|---|---|"]
    for label, metric, unit, factor, aim, most in ROWS:
        if metric in figures:
            value = statistics.median(figures[metric]) * factor
            met = "" if most is None else ("yes" if value <= most else "**no**")
            shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            lines.append(f"| {label} | {shown} {unit} | {aim} | {met} |".replace("  |", " |"))
    return "\n".join(lines) + "\n"


def main(options):
    figures = measure(options.programs, 2 if options.quick else 5, 15 if options.quick else 60)
    for package in options.packages:
        figures[f"{package.suffix[1:]}_mb"] = [package.stat().st_size / 1e6]
    if options.results:
        options.results.write_text(json.dumps(figures, indent=1))
    made = markdown(figures)
    print(made)
    if options.document:
        head, rest = options.document.read_text().split("<!-- desktop -->\n", 1)
        _, tail = rest.split("<!-- desktop end -->", 1)
        options.document.write_text(f"{head}<!-- desktop -->\n{made}<!-- desktop end -->{tail}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--programs", type=Path, required=True)
    p.add_argument("--results", type=Path, help="where all values go, as JSON")
    p.add_argument("--document", type=Path, help="a document with marks around its table")
    p.add_argument("packages", nargs="*", type=Path)
    main(p.parse_args())
