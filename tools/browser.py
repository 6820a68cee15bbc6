"""The browser that the site is looked at with: the machine's own, or the package manager's."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

ON_PATH = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
MACOS = (
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Chromium.app/Contents/MacOS/Chromium",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
WINDOWS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_BROWSER = (
    "no Chromium, Chrome or Edge on this machine: install one, or name it in CHROME_BIN, "
    "to have the site looked at in a browser"
)
NO_CHINESE = (
    "no font with Chinese characters on this machine: where the book has some, the print shows "
    "empty boxes"
)


@cache
def find_browser() -> str | None:
    """The path of a browser of Chromium's family, installed if the machine lets us.

    `CHROME_BIN` names one outright; otherwise the usual places are searched, and Debian's
    chromium is installed where we are root and have apt-get.

    Returns
    -------
    str or None
        None if there is none: skip what needs it, with the reason `NO_BROWSER`.

    Raises
    ------
    RuntimeError
        If there is none and `CI` is `true`, so that no public run passes unlooked-at; or if
        `CHROME_BIN` names no file.
    """
    named = os.environ.get("CHROME_BIN")
    if named and not shutil.which(named):
        raise RuntimeError(f"CHROME_BIN names {named!r}, which is no program")
    found = named or _installed() or _install()
    if found is None and os.environ.get("CI") == "true":
        raise RuntimeError(NO_BROWSER)
    return found


def _installed() -> str | None:
    """A browser on the PATH or in the usual folders of macOS and Windows."""
    folders = [
        (Path(os.environ[name]), WINDOWS)
        for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
        if os.environ.get(name)
    ]
    folders += [(Path("/Applications"), MACOS), (Path.home() / "Applications", MACOS)]
    candidates = [*ON_PATH, *(str(folder / path) for folder, paths in folders for path in paths)]
    return next((path for path in map(shutil.which, candidates) if path), None)


def chinese() -> bool:
    """Whether the browser has a font with Chinese characters, installed if the machine lets us.

    Of systems without fontconfig we believe it: they come with one.
    """

    def found() -> bool:
        return bool(
            subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=False).stdout
        )

    if not shutil.which("fc-list") or found():
        return True
    _apt("fonts-noto-cjk", "for the Chinese characters of the print")
    return found()


def _install() -> str | None:
    """Install Debian's chromium where that needs no question; the browser, or None."""
    _apt("chromium", "to look at the site with")
    return _installed()


def _apt(package: str, why: str) -> None:
    """Install a package of Debian's where we are root and have apt-get; else do nothing."""
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"installing {package}, {why}", flush=True)
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", package]):
        subprocess.run(["apt-get", *arguments], env=env, capture_output=True, check=False)
