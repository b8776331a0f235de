"""A battery that is unplugged and plugged in by a test; Kiln reads it where `KILN_POWER_SUPPLY` says."""


class Battery:
    """A folder that looks like the kernel's list of power supplies."""

    def __init__(self, folder):
        self.folder = folder
        for name, files in {
            "AC": {"type": "Mains", "online": "1"},
            "BAT0": {"type": "Battery", "status": "Charging", "capacity": "80"},
        }.items():
            (self.folder / name).mkdir(parents=True)
            for file, text in files.items():
                (self.folder / name / file).write_text(text + "\n")

    def unplug(self):
        (self.folder / "AC/online").write_text("0\n")
        (self.folder / "BAT0/status").write_text("Discharging\n")

    def plug_in(self):
        (self.folder / "AC/online").write_text("1\n")
        (self.folder / "BAT0/status").write_text("Charging\n")
