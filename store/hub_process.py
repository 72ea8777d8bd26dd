"""Starting a hub from a client: a process in a session of its own, and how it says that it cannot serve; stopping one.

Of many clients that find no hub at once, one starts it: who holds the gate, a lock on the hub's log. It goes with
its holder, so that a client that dies while its hub starts keeps nobody out.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import ClassVar

import msgspec

from store import address
from store.errors import RoleError, SpiritsafeError, StoreError
from store.wire import PROTOCOL, VERSION, Channel, Hello, Problem, Request, Response, error_of

BUSY = 75  # exit of a hub that found another one serving (EX_TEMPFAIL in sysexits.h)
CHILD = "--child"  # tells the hub to write its problem as JSON into descriptor TOLD
TOLD = 3  # not into its log: that may stand on a disk that is full
GREETING_SECONDS, LEAVING_SECONDS = 5.0, 30.0


class HubProcess:
    """A hub that this process started. It outlives us; we only look whether it is still there."""

    _left: ClassVar[
        list[int]
    ] = []  # that we started and left alone; the dead among them are reaped at the next start

    def __init__(self, store: Path, gate: int) -> None:
        """Start it; ``gate``: a descriptor that holds the gate, closed by ``close``."""
        self.store, self.log, self._gate = store, address.log_path(store), gate
        _reap(self._left)
        self._told, tell = os.pipe()
        log = _open_log(store)  # not the gate's descriptor: the lock would live on in the hub
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-m", "store.hub", CHILD, str(store)],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                    (os.POSIX_SPAWN_DUP2, tell, TOLD),
                ],
                setsid=True,
            )
        finally:
            os.close(log)
            os.close(tell)

    @classmethod
    def start(cls, store: Path) -> HubProcess | None:
        """Start the store's hub, or None where another client is just doing that.

        Raises StoreError where its log cannot be written, or is not ours.
        """
        gate = _open_log(store)
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(store, gate)
        except BlockingIOError:
            os.close(gate)
            return None
        except BaseException:
            os.close(gate)
            raise

    def ended(self) -> bool:
        """Whether it is gone again: idle, stopped, or because another one serves. Raises why it could not serve."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody reaped it for us
            return True
        if pid == 0:
            return False
        code = os.waitstatus_to_exitcode(status)
        if code > 0 and code != BUSY:
            raise self._problem(code)
        return True

    def close(self) -> None:
        """Let others start one, should this one be gone."""
        self._left.append(self._pid)
        os.close(self._gate)
        os.close(self._told)

    def _problem(self, code: int) -> Exception:
        try:
            return error_of(msgspec.json.decode(os.read(self._told, 1 << 16), type=Problem))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return StoreError(
                f"its hub ended with exit {code}", where=str(self.store), todo=f"See {self.log}."
            )


def _reap(pids: list[int]) -> None:
    for pid in list(pids):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            ended = True
        if ended:
            pids.remove(pid)


def _open_log(store: Path) -> int:
    at = address.log_path(store)
    try:
        return address.open_private(at, os.O_RDWR | os.O_APPEND | os.O_CREAT, store=store)
    except OSError as error:
        raise StoreError(
            f"cannot write beside the store: {error.strerror}",
            where=str(at),
            todo="A store needs a folder that you may write to, and space on its disk.",
        ) from error


def dial(store: Path) -> Channel | None:
    """A connection to the store's hub, None where none listens.

    Raises RoleError where it is not open to us, StoreError where who listens is neither the store's owner nor root
    nor we: in a folder that others write to anybody may listen there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address.dialled(address.socket_path(store)) as name:
            sock.connect(name)
        peer = address.peer_of(sock).uid
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        sock.close()
        return None
    except PermissionError as error:
        sock.close()
        raise RoleError(
            "its hub is not open to you", where=str(store), todo="Ask its owner to add you to the group."
        ) from error
    except (OSError, SpiritsafeError):
        sock.close()
        raise
    if peer not in (address.owner_of(store), os.geteuid(), 0):
        sock.close()
        raise StoreError(
            f"its socket is served by {address.user_name(peer)}, who does not own the store",
            where=str(address.socket_path(store)),
            todo="Nothing was said to it. Remove the socket; keep the store in a folder that only its users write to.",
        )
    return Channel(sock)


def stop_hub(store: Path, *, seconds: float = LEAVING_SECONDS) -> int | None:
    """Stop the store's hub, of whatever version, and wait until it has let go of the file; its pid, None if none ran.

    A hub that does not understand us is sent SIGTERM, where the kernel says that it is ours. Raises RoleError where
    it is not ours to stop, StoreError where it is still there after ``seconds``.
    """
    channel = dial(store)
    if channel is None:
        return None
    peer = address.peer_of(channel.sock)
    try:
        watched = os.pidfd_open(
            peer.pid
        )  # before anything is said: later another process may have its number
    except (OSError, ValueError) as error:
        channel.close()
        todo = "Stop it there."
        raise StoreError("its hub runs where we cannot see it", where=str(store), todo=todo) from error
    try:
        if not _asked_to_stop(channel):
            if os.geteuid() not in (peer.uid, 0):
                owner = address.user_name(peer.uid)
                raise RoleError("only the owner stops a hub", where=str(store), todo=f"Ask {owner}.")
            signal.pidfd_send_signal(watched, signal.SIGTERM)
        _await_release(store, watched, peer.pid, seconds)
    finally:
        channel.close()
        os.close(watched)
    return peer.pid


def _asked_to_stop(channel: Channel) -> bool:
    """Ask in our protocol; False where it is not understood or not answered. Raises RoleError where it is refused."""
    channel.deadline = time.monotonic() + GREETING_SECONDS
    try:
        channel.send(Hello(PROTOCOL, VERSION))
        if channel.receive(Response).problem is not None:
            return False
        channel.send(Request("stop"))
        refused = channel.receive(Response).problem
    except EOFError:
        return True  # it is leaving already
    except (SpiritsafeError, OSError):
        return False
    if refused is not None and refused.kind == RoleError.__name__:
        raise error_of(refused)
    return refused is None


def _await_release(store: Path, watched: int, pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([watched], [], [], 0.01)[0] or (pid == os.getpid() and released(store)):
            return
    raise StoreError(
        f"its hub (pid {pid}) does not leave",
        where=str(store),
        todo=f"It may be finishing something; see {address.log_path(store)}. `kill -9 {pid}` loses nothing"
        " that was acknowledged.",
    )


def released(store: Path) -> bool:
    """Whether no hub holds the store: its lock goes last, after the file was written out and closed."""
    try:
        lock = address.open_private(address.lock_path(store), os.O_RDWR, store=store)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
