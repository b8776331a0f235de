"""Kiln to Kiln, and the bundle step: one node sends, another compiles with the stand-in."""


async def measure(kiln, folder, figures, runs, say):
    say("later")
