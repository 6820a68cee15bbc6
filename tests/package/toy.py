"""A data set from two tiny packages of our own, for the tests of fetching: no network, no wait.

As a script: ``python toy.py FOLDER`` fetches it in a process of its own, which may be killed.
`FOLDER` holds the wheels and their ``sources.txt``; `MMLEARN_CACHE` says where to keep it.
"""

import hashlib
import os
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

from mmlearn.data import store, unpack

SIZE = 300_000
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: not-there\n"


def make(folder, version="1.0"):
    """Write two wheels and the pins that fit them."""
    folder.mkdir(exist_ok=True)
    pins = ""
    for name in ("toyone", "toytwo"):
        wheel = folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as file:
            noise = np.random.default_rng(len(name + version)).bytes(SIZE)
            file.writestr(f"{name}/__init__.py", "raise ImportError('never import me')")
            file.writestr(f"{name}/data.bin", noise)
            file.writestr(f"{info}/METADATA", METADATA.format(name=name, version=version))
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        pins += f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
    (folder / "sources.txt").write_text(pins, encoding="utf-8")


def take(archives, folder, scratch):
    """Take out the noise, slowly enough that a process may be killed while it does."""
    for name, archive in archives.items():
        with zipfile.ZipFile(archive) as wheel:
            noise = wheel.read(f"{name}/data.bin")
        with (folder / f"{name}.bin").open("wb") as file:
            for start in range(0, len(noise), SIZE // 10):
                file.write(noise[start : start + SIZE // 10])
                time.sleep(0.01)


def install(folder):
    """Make it all the data that there is: `toy` from one package, `toys` from both."""
    store.SOURCES = folder / "sources.txt"
    unpack.BUNDLES = {"toy": (["toyone"], take), "toys": (["toyone", "toytwo"], take)}
    os.environ["PIP_CONFIG_FILE"] = os.devnull
    os.environ["PIP_FIND_LINKS"] = str(folder)
    os.environ["PIP_NO_INDEX"] = "1"


if __name__ == "__main__":
    install(Path(sys.argv[1]))
    try:
        print(unpack.bundle("toy"))
    except store.DataError as error:
        sys.exit(f"DataError: {error}")
