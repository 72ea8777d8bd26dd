"""What the tests of faults share: a small disk, processes of other accounts, hubs to kill, stores to damage."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import address
from store.client import Client
from store.errors import StoreError
from store.hub_process import released, stop_hub

TORTURE = bool(os.environ.get("SPIRITSAFE_TORTURE"))
NOBODY = 65534
# Imported while still root: Python itself may be installed where others cannot read.
IMPORTED = """
import os, socket, sys
from pathlib import Path
from store import backup, hub_process
from store.client import Client
from store.errors import SpiritsafeError
from store.hub_process import stop_hub
"""
OK = {"queue": "audit", "subject": "s1", "verdict": "ok"}


@contextlib.contextmanager
def mounted(at: Path, options: str) -> Iterator[Path]:
    """A file system of its own in memory; skips where that is not ours to make."""
    if os.getuid() != 0:
        pytest.skip("only root mounts a file system")
    at.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", at], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.decode().strip()}")
    try:
        yield at
    finally:
        for store in at.glob("*.duckdb"):
            with contextlib.suppress(StoreError):
                stop_hub(store)
        while subprocess.run(["umount", at], capture_output=True, check=False).returncode:
            pass  # a hub that let go of its store is a process for some moments more


class Disk:
    """A small disk that can be filled to the last byte, and freed again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Leave so many bytes free."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(self._ballast, max(0, self._ballast.stat().st_size - leave))

    def free(self) -> None:
        """Give back what ``fill`` took."""
        self._ballast.unlink(missing_ok=True)


def reachable(path: Path) -> None:
    """Let others pass through the folders above ``path`` that pytest keeps to itself."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.getuid() and "pytest" in str(folder):
            folder.chmod(0o755)


def kill_hub(client: Client) -> None:
    """SIGKILL the hub that ``client`` talked to, and wait until it has let go of the store."""
    os.kill(client.welcome.pid, signal.SIGKILL)
    while not released(client.path):
        pass


def as_somebody_else(code: str, *words: object, group: int = NOBODY) -> subprocess.Popen[str]:
    """Python run by the account ``nobody`` with what IMPORTED names; skips where we are not root."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    become = f"{IMPORTED}\nos.setgroups([]); os.setgid({group}); os.setuid({NOBODY})\n"
    return subprocess.Popen(
        [sys.executable, "-c", become + code, *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
    )  # fmt: skip


def said_by(process: subprocess.Popen[str]) -> str:
    """All that it says, once it is over."""
    return process.communicate(timeout=60)[0]


@contextlib.contextmanager
def dialled(path: Path) -> Iterator[socket.socket]:
    """A bare connection to the store's hub."""
    with socket.socket(socket.AF_UNIX) as sock:
        with address.dialled(address.socket_path(path)) as name:
            sock.connect(name)
        sock.settimeout(20)
        yield sock


def acknowledged(client: Client, count: int, *, start: int = 0) -> list[str]:
    """Make comments until ``count`` are acknowledged; their act ids."""
    ids = [f"act-{n}" for n in range(start, start + count)]
    for act_id in ids:
        client.act("comment", "demo", {"subject": act_id, "text": "x"}, act_id=act_id)
    return ids


def comments(client: Client) -> list[str]:
    """The ids of the comments that the ledger holds, in its order."""
    text = "select id from event where kind = 'comment' order by seq"
    return [row[0] for row in client.call("sql", text=text, limit=1_000_000)["rows"]]


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
