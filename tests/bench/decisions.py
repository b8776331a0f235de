"""What one scheduler decision costs: the real dashboard's function, and Kiln's, among many peers."""
import re
import time

from esphome_device_builder.helpers.build_scheduler import BuildSchedulerInputs, pick_dispatch_target
from esphome_device_builder.helpers.version_compat import VersionMatchPolicy
from esphome_device_builder.models.remote_build import PeerStatus, StoredPairing

UNITS = {"ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def reference(count: int) -> float:
    """Seconds for one decision of the real function; the same world as decide.rs makes."""
    pins = [f"{n:08x}" + "0" * 56 for n in range(count)]
    pairings = {pin: StoredPairing(
        receiver_hostname="h", receiver_port=1, pin_sha256=pin,
        static_x25519_pub=bytes(32),
        label="receiver", paired_at=float(n * 7919 % count), status=PeerStatus.APPROVED,
        esphome_version="2026.10.1") for n, pin in enumerate(pins)}
    status = {pin: {"receiver_hostname": "h", "receiver_port": 1, "pin_sha256": pin,
                    "idle": n % 3 == 0, "running": n % 3 != 0, "queue_depth": 0}
              for n, pin in enumerate(pins)}
    inputs = BuildSchedulerInputs(
        remote_builds_enabled=True, pairings=pairings, open_peer_links=frozenset(pins),
        peer_queue_status=status, offloader_esphome_version="2026.10.0",
        version_match_policy=VersionMatchPolicy.RELEASE)
    rounds = max(3, 100_000 // count)
    begun = time.perf_counter()
    for _ in range(rounds):
        decision = pick_dispatch_target(inputs)
    took = (time.perf_counter() - begun) / rounds
    if decision.pin_sha256 is None:
        raise RuntimeError(f"nothing was picked: {decision}")
    return took


def of_kiln(text: str) -> dict[int, tuple[float, float]]:
    """Reads what decide.rs printed: count -> (a decision, a decision after a change)."""
    number = r"([\d.]+)(ns|µs|us|ms|s)"
    found = re.findall(rf"(\d+) receivers: decision {number}, with a change before it {number}", text)
    return {int(count): (float(a) * UNITS[u], float(b) * UNITS[v])
            for count, a, u, b, v in found}


def measure(kilns: str, figures) -> None:
    for count, (plain, changed) in of_kiln(kilns).items():
        figures.add(f"decide_{count}_s", "kiln", plain)
        figures.add(f"decide_changed_{count}_s", "kiln", changed)
        for _ in range(3):
            # It keeps no index: a decision costs the same whether something changed or not.
            took = reference(count)
            figures.add(f"decide_{count}_s", "real", took)
            figures.add(f"decide_changed_{count}_s", "real", took)
