"""Runs every interop scenario, those of a module, or those whose names contain a given word.

    run.py [--list] [WORD...]

A scenario is an async function `test_...(world)` in one of the scenario modules. Each runs in a
folder of its own; its Kilns' logs stay there when it fails. A module whose scenarios wait more than
they compute says how many of them may run `AT_ONCE`.
"""
import asyncio
import importlib
import inspect
import itertools
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import world  # noqa: E402

MODULES = ["receiving", "boxes", "storage", "guest", "inputs", "wire", "sending", "pairing", "faults",
           "discovery", "takeover", "kills", "matrix"]


def scenarios():
    here = Path(__file__).resolve().parent
    for module in MODULES:
        if not (here / f"{module}.py").exists():
            continue
        loaded = importlib.import_module(module)
        for name, function in inspect.getmembers(loaded, inspect.iscoroutinefunction):
            if name.startswith("test_") and function.__module__ == module:
                yield f"{module}.{name[5:]}", function, getattr(loaded, "AT_ONCE", 1)


async def one(name, function, shared):
    stage = world.World(world.WORK / name.replace(".", "-"), shared)
    try:
        await asyncio.wait_for(function(stage), getattr(function, "seconds", 420))
        return None
    except Exception:  # noqa: BLE001 - every fault of a scenario is its result
        return traceback.format_exc()
    finally:
        await stage.end()


def fits(name, word):
    module, story = name.split(".", 1)
    return module == word if word in MODULES else word in story


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    chosen = [s for s in scenarios() if not words or any(fits(s[0], word) for word in words)]
    if "--list" in sys.argv:
        for name, function, _ in chosen:
            print(f"{name:60} {inspect.getdoc(function) or ''}")
        return 0
    return asyncio.run(run_all(chosen))


async def run_all(chosen):
    failed, shared = [], world.Shared()

    async def play(name, function, room):
        async with room:
            begun = time.monotonic()
            fault = await one(name, function, shared)
            if fault:
                # Real programs on a busy machine: what fails once is tried once more, and told.
                print(f"again  {name.replace('_', ' ')}\n{fault}", flush=True)
                fault = await one(name, function, shared)
            took, words = time.monotonic() - begun, name.replace("_", " ")
            print(f"{'FAILED' if fault else 'ok':6} {took:6.1f} s  {words}", flush=True)
            if fault:
                print(fault, flush=True)
                failed.append(name)

    for _, module in itertools.groupby(chosen, lambda scenario: scenario[0].split(".")[0]):
        # The long ones first: what is left at the end is short.
        module = sorted(module, key=lambda scenario: -getattr(scenario[1], "seconds", 420))
        room = asyncio.Semaphore(module[0][2])
        await asyncio.gather(*(play(name, function, room) for name, function, _ in module))
    await shared.end()
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
