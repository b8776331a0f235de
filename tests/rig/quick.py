"""An `esphome` that does what Kiln asks in a blink, for runs that need hundreds of whole jobs.

    quick.py NOTES [esphome arguments]

It needs nothing but Python. Bundles and build trees look as the real ones do, as far as Kiln reads
them: `compile` plays an ESP8266 build of about a third of a second, with a compiler below it that
ends only when its parent ends it, as one does that a crash leaves behind; a configuration may say
how many lines it prints and in how many seconds (`quick_lines: 5000`, `quick_seconds: 2` in its
substitutions), how many seconds it takes to write it
(`quick_upload: 3`), and that it does not compile (`quick_fails: yes`). `upload` appends one line to the file NOTES when it begins: the device, and `whole`
or `torn` for the image it was to flash.
"""
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

VERSION = "2026.10.0"
LINES = 30
SECONDS = 0.3
UPLOAD = 0.15
IMAGE = 200_000


def bundle(yaml, out):
    manifest = {"manifest_version": 1, "esphome_version": VERSION, "config_filename": yaml.name,
                "config_dir": str(yaml.parent), "files": [], "has_secrets": False}
    with tarfile.open(out, "w:gz") as archive:
        for name, content in (("manifest.json", json.dumps(manifest).encode()),
                              (yaml.name, yaml.read_bytes())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def image_of(data, name):
    return data / "build" / name / ".pioenvs" / name / "firmware.bin"


def sealed(body):
    """The image, with its digest at its end."""
    return body + hashlib.sha256(body).digest()


def compile_(yaml, data):
    name = yaml.stem
    compiler = subprocess.Popen(
        [sys.executable, "-ISc", "import time; time.sleep(600)", str(data / name)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    said = asked(yaml)
    lines, seconds = int(said.get("lines", LINES)), float(said.get("seconds", SECONDS))
    begun = time.monotonic()
    for line in range(1, lines + 1):
        print(f"[{line}/{lines}] Building {name}/part{line}.o", flush=True)
        time.sleep(max(0.0, begun + seconds * line / lines - time.monotonic()))
    if "fails" in said:
        print("ERROR It does not compile.", flush=True)
        compiler.kill()
        compiler.wait()
        return 1
    image = image_of(data, name)
    build = data / "build" / name
    image.parent.mkdir(parents=True, exist_ok=True)
    noise = random.Random(name).randbytes(IMAGE)
    image.write_bytes(sealed(b"\xe9\x01" + name.encode() + b"\0" + noise))
    image.with_name("firmware.elf").write_bytes(b"elf")
    (build / "platformio.ini").write_text(f"[env:{name}]\n")
    (build / "build_info.json").write_text(json.dumps({"config_hash": 7, "build_time": 1}))
    put(data / "storage" / f"{yaml.name}.json", {
        "storage_version": 1, "name": name, "friendly_name": name, "comment": None,
        "esphome_version": VERSION, "src_version": 1, "address": f"{name}.local",
        "esp_platform": "ESP8266", "build_path": str(build), "firmware_bin_path": str(image),
        "loaded_integrations": ["api", "ota"], "no_mdns": False, "framework": "arduino"})
    put(data / "idedata" / f"{name}.json", {
        "prog_path": str(image.with_name("firmware.elf")),
        "cc_path": "/nowhere/.platformio/packages/toolchain-x/bin/x-gcc",
        "cxx_path": "/nowhere/g++", "extra": {"flash_images": []}})
    compiler.kill()
    compiler.wait()
    print("INFO Successfully compiled program.", flush=True)
    return 0


def asked(yaml):
    """What the configuration says of how it is played."""
    return dict(re.findall(r"^  quick_(lines|seconds|upload|fails): (\S+)", yaml.read_text(), re.M))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def upload(yaml, data, notes):
    image = image_of(data, yaml.stem).read_bytes()
    state = "whole" if sealed(image[:-32]) == image else "torn"
    with notes.open("a") as file:
        file.write(f"{yaml.stem} {state}\n")
    print("INFO Uploading", flush=True)
    time.sleep(float(asked(yaml).get("upload", UPLOAD)))
    print("INFO OTA successful", flush=True)


def main():
    notes, *words = sys.argv[1:]
    verbs = ("version", "bundle", "compile", "upload", "clean", "clean-all")
    verb = next((word for word in words if word in verbs), None)
    yaml = next((Path(word) for word in words if word.endswith((".yaml", ".yml"))), None)
    data = Path(os.environ.get("ESPHOME_DATA_DIR") or (yaml or Path()).parent / ".esphome")
    if verb == "version":
        print(f"Version: {VERSION}")
    elif verb == "bundle":
        bundle(yaml, words[words.index("-o") + 1])
    elif verb == "compile":
        return compile_(yaml, data)
    elif verb == "upload":
        upload(yaml, data, Path(notes))
    return 0 if verb else 2


if __name__ == "__main__":
    sys.exit(main())
