"""Where things of a store are: the file, its hub's socket, log, lock and head; and who is at the other end.

What stands beside a store may stand in a folder that others write to. So nothing is opened through a symbolic link,
nothing of somebody else's is used, and a client looks who serves before it says anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from store.canonical import digest
from store.errors import InputError, StoreError

DEFAULT_NAME = "spiritsafe.duckdb"
MAX_SOCKET_PATH = 100  # bytes: sun_path holds 108 on Linux, 104 on BSDs
MAX_SOCKET_NAME = 64  # leaves room for /proc/self/fd/… in front


class Peer(NamedTuple):
    """Who is at the other end of a socket, from the kernel."""

    pid: int
    uid: int


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
    """The socket beside the store; under a short name where the store's is long."""
    name = store.name + ".sock"
    if len(os.fsencode(name)) > MAX_SOCKET_NAME:
        name = digest(os.fsencode(store.name))[:32] + ".sock"
    return store.with_name(name)


@contextlib.contextmanager
def dialled(at: Path) -> Iterator[str]:
    """The path ``at`` as bind and connect take it: through its folder's descriptor where it is too long for them."""
    if len(os.fsencode(at)) <= MAX_SOCKET_PATH:
        yield str(at)
        return
    if not sys.platform.startswith("linux"):
        todo = f"Keep the store under a path of at most {MAX_SOCKET_PATH - 5} bytes."
        raise StoreError("its path is too long for a socket", where=str(at), todo=todo)
    folder = os.open(at.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{at.name}"
    finally:
        os.close(folder)


def log_path(store: Path) -> Path:
    """Where the hub writes what went wrong."""
    return store.with_name(store.name + ".log")


def text_path(store: Path) -> Path:
    """The folder of the text index: no evidence, made anew where it is missing."""
    return store.with_name(f".{store.name}.text")


def near_path(store: Path) -> Path:
    """The folder of near-duplicate indexes: no evidence either."""
    return store.with_name(f".{store.name}.near")


def lock_path(store: Path) -> Path:
    """The lock that keeps a second hub out."""
    return store.with_name(store.name + ".lock")


def head_path(store: Path) -> Path:
    """How far the ledger had come; see ``head.py``."""
    return store.with_name(store.name + ".head")


def owner_of(store: Path) -> int:
    """The uid that owns the store; ours where there is none yet."""
    try:
        return store.stat().st_uid
    except FileNotFoundError:
        return os.geteuid()


def open_private(path: Path, flags: int, *, store: Path) -> int:
    """Open or make a file beside the store that nobody else may have put there; a descriptor.

    Raises StoreError for a symbolic link, for what is no plain file of ours or of the store's owner, and for what
    has a second name; OSError as ``os.open`` does.
    """
    todo = "Remove it, and keep the store in a folder that only its users may write to."
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link, a pipe or socket, a folder
            raise StoreError("is no plain file, and is not used", where=str(path), todo=todo) from error
        raise
    found = os.fstat(handle)
    if (
        stat.S_ISREG(found.st_mode)
        and found.st_nlink <= 1
        and found.st_uid in (os.geteuid(), owner_of(store))
    ):
        return handle
    os.close(handle)
    whose = user_name(found.st_uid)
    what = "is no plain file" if not stat.S_ISREG(found.st_mode) else "has a second name"
    if found.st_uid not in (os.geteuid(), owner_of(store)):
        what = f"belongs to {whose}"
    raise StoreError(f"{what}, and is not used", where=str(path), todo=todo)


def user_name(uid: int) -> str:
    """The account's name, or ``uid:1234`` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end, from the kernel. The seam for systems other than Linux."""
    if not sys.platform.startswith("linux"):
        raise StoreError("who calls is asked of the kernel, and that is written for Linux only so far")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return Peer(pid, uid)


def peer_name(connection: socket.socket) -> str:
    """The account at the other end."""
    return user_name(peer_of(connection).uid)


def check_parent(store: Path) -> None:
    """Raise InputError where a store cannot be made."""
    folder = store.parent
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), todo="Make it, or name another --store.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError("cannot write here", where=str(folder), todo="Name a --store in a folder of yours.")
