"""Where things of a store are: the file, its hub's socket, log and lock; and who is at the other end."""

from __future__ import annotations

import os
import pwd
import socket
import struct
import sys
from pathlib import Path

from store.canonical import digest
from store.errors import InputError, StoreError

DEFAULT_NAME = "spiritsafe.duckdb"
MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 on BSDs


def find_store(given: str | None) -> Path:
    """The store that a command means: --store, SPIRITSAFE_STORE, or ./spiritsafe.duckdb searched upwards.

    With none of them, the path where a new one would be: in the working directory.
    """
    if named := given or os.environ.get("SPIRITSAFE_STORE"):
        path = Path(named).expanduser().absolute()
        return path / DEFAULT_NAME if path.is_dir() else path
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / DEFAULT_NAME).exists():
            return folder / DEFAULT_NAME
    return here / DEFAULT_NAME


def socket_path(store: Path) -> Path:
    """The socket beside the store, or in a private folder of the store's owner where that path would be too long."""
    beside = store.with_name(store.name + ".sock")
    if len(os.fsencode(beside)) <= MAX_SOCKET_PATH:
        return beside
    uid = store.stat().st_uid if store.exists() else os.getuid()
    folder = Path(f"/tmp/spiritsafe-{uid}")  # noqa: S108 - private, checked below
    if uid == os.getuid():
        folder.mkdir(mode=0o700, exist_ok=True)
    if folder.exists() and (folder.is_symlink() or folder.lstat().st_uid != uid):
        raise StoreError(
            "belongs to somebody else",
            where=str(folder),
            todo=f"Remove it, or keep the store under a path of at most {MAX_SOCKET_PATH - 5} bytes.",
        )
    return folder / f"{digest(os.fsencode(store))[:32]}.sock"


def log_path(store: Path) -> Path:
    """Where the hub writes what went wrong."""
    return store.with_name(store.name + ".log")


def lock_path(store: Path) -> Path:
    """The lock that keeps a second hub out."""
    return store.with_name(store.name + ".lock")


def user_name(uid: int) -> str:
    """The account's name, or ``uid:1234`` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"


def peer_name(connection: socket.socket) -> str:
    """Who is at the other end, from the kernel. The seam for systems other than Linux."""
    if not sys.platform.startswith("linux"):
        raise StoreError("who calls is asked of the kernel, and that is written for Linux only so far")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return user_name(uid)


def check_parent(store: Path) -> None:
    """Raise InputError where a store cannot be made."""
    folder = store.parent
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), todo="Make it, or name another --store.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError("cannot write here", where=str(folder), todo="Name a --store in a folder of yours.")
