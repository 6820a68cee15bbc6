"""Run a command where there is no network, so that whatever needs one shows.

Linux can do it for one process and its children: a network namespace with loopback alone (without
which no Jupyter kernel answers). `prefix()` is put before the command; it is empty where the
machine does not allow it.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
from functools import cache


@cache
def prefix() -> list[str]:
    """What to put before a command to take the network from it; empty if that cannot be done."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return []
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *as_root, "--net", sys.executable, "-m", "tools.offline"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else []


def loopback_up() -> None:
    """Switch on the namespace's loopback; `ip link set lo up` does it where there is an ip."""
    import fcntl

    get_flags, set_flags, up = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, get_flags, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags | up))


if __name__ == "__main__":
    loopback_up()
    os.execvp(sys.argv[1], sys.argv[1:])
