"""Asks an ESPHome device, over its native API, who it is: one line of JSON.

    device.py PORT      (with a Python that has esphome, and so aioesphomeapi)
"""
import asyncio
import json
import sys

from aioesphomeapi import APIClient


async def main():
    client = APIClient("127.0.0.1", int(sys.argv[1]), None)
    await client.connect(login=True)
    info = await client.device_info()
    await client.disconnect()
    print(json.dumps({"name": info.name, "friendly_name": info.friendly_name,
                      "esphome_version": info.esphome_version,
                      "compiled": info.compilation_time}))

asyncio.run(asyncio.wait_for(main(), 10))
