"""Configurations for scenarios."""

CHIPS = {
    "esp8266": "esp8266:\n  board: d1_mini\n",
    "esp32": "esp32:\n  board: esp32dev\n  framework:\n    type: esp-idf\n",
    "rp2040": "rp2040:\n  board: rpipico\n",
    "bk72xx": "bk72xx:\n  board: generic-bk7231n-qfn32-tuya\n",
}


def chip(name, platform="esp8266", seconds=0.2, size=65536, lines=40, code=0, extra=""):
    """A device whose build the stand-in toolchain plays."""
    return (f'substitutions:\n  standin_bytes: "{size}"\n  standin_seconds: "{seconds}"\n'
            f'  standin_lines: "{lines}"\n  standin_exit: "{code}"\n'
            f"esphome:\n  name: {name}\n{CHIPS[platform]}logger:\n{extra}")


def host(name, api=None, ota=None, password=None, friendly=None, extra=""):
    """A device that is compiled for real, with this machine's compiler."""
    text = f"esphome:\n  name: {name}\n"
    text += f"  friendly_name: {friendly}\n" if friendly else ""
    text += "host:\nlogger:\n"
    text += f"api:\n  port: {api}\n" if api else ""
    text += f"ota:\n  - platform: esphome\n    port: {ota}\n" if ota else ""
    text += f'    password: "{password}"\n' if password else ""
    return text + extra
