"""The hub: the one process that holds a store's DuckDB file, like tmux's server.

    python -P -m store.hub PATH        (started on demand by the first client; ``spiritsafe serve`` in front)

It listens on a Unix socket beside the file, serves each connection on a thread and cursor of its own, and
leaves by itself when nobody was connected for a while.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import IO

import msgspec

from store import address
from store.database import SCHEMA_VERSION, Database
from store.errors import InputError, SpiritsafeError, StoreError, WireError
from store.hub_process import BUSY, CHILD
from store.operations import operate
from store.queues import Queues
from store.session import Caller, Session, Shared
from store.wire import MAX_HELLO, PROTOCOL, VERSION, Channel, Hello, Response, Welcome, problem_of

IDLE_SECONDS = float(os.environ.get("SPIRITSAFE_IDLE_SECONDS", "600"))
IDLE_LOOK = 0.5
HELLO_SECONDS = 5.0
SEND_SECONDS = 30.0  # a client that reads nothing for so long has its connection cut
LOCK_SECONDS = 5.0  # another hub may just be leaving
LEAVE_SECONDS = 5.0  # for requests under way when the hub is asked to leave
MAX_CLAIMED = 64
log = logging.getLogger("spiritsafe.hub")


class BusyError(StoreError):
    """Another hub serves the store."""


class Hub:
    """One store being served."""

    def __init__(
        self, path: Path, *, idle_seconds: float = IDLE_SECONDS, send_seconds: float = SEND_SECONDS
    ) -> None:
        """Take the store's lock, open it, listen. Raises StoreError where any of these cannot be."""
        self.path, self.idle_seconds, self.send_seconds = path, idle_seconds, send_seconds
        self._lock = _take_lock(path)
        try:
            self.database = Database(path, owner=address.user_name(os.getuid()))
        except BaseException:
            self._lock.close()
            raise
        queues = Queues(self.database.store_id)
        self.shared = Shared(self.database, queues, {}, threading.Event(), self.leave)
        self.threads: set[threading.Thread] = set()
        self._connected = threading.Lock()  # guards the next two
        self._channels: set[Channel] = set()
        self._instances: Counter[str] = Counter()
        self.last_seen = time.monotonic()
        self._wake, self._woken = socket.socketpair()
        self.socket = self._listen()

    def _listen(self) -> socket.socket:
        """Bind beside the file. We hold the lock, so a socket that is there already is a dead hub's."""
        at = address.socket_path(self.path)
        at.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(at))
        at.chmod(0o660)
        listener.listen(64)
        return listener

    def serve(self) -> None:
        """Accept clients until asked to leave or idle for long enough."""
        while not self.shared.stop.is_set() and not self._idle():
            ready, _, _ = select.select([self.socket, self._woken], [], [], IDLE_LOOK)
            if self.socket in ready:
                connection, _ = self.socket.accept()
                thread = threading.Thread(target=self._client, args=(connection,), daemon=True)
                self.threads.add(thread)
                thread.start()
        self.close()

    def leave(self) -> None:
        """Ask ``serve`` to come to its end."""
        self.shared.stop.set()
        with contextlib.suppress(OSError):  # it has left already
            self._wake.send(b".")

    def _idle(self) -> bool:
        self.threads = {thread for thread in self.threads if thread.is_alive()}
        if self.threads:
            self.last_seen = time.monotonic()
        return time.monotonic() - self.last_seen > self.idle_seconds

    def _client(self, connection: socket.socket) -> None:
        channel = Channel(connection)
        try:
            caller = self._greet(channel)
        except SpiritsafeError as error:
            self._refuse(channel, error)
            return
        except (EOFError, OSError):
            channel.close()
            return
        with self._connected:
            self._channels.add(channel)
            self._instances[caller.instance] += 1
        try:
            Session(self.shared, channel, caller, operate).run()
        finally:
            self._left(channel, caller.instance)

    def _greet(self, channel: Channel) -> Caller:
        channel.sock.settimeout(HELLO_SECONDS)
        actor = address.peer_name(channel.sock)
        hello = channel.receive(Hello, limit=MAX_HELLO)
        if hello.protocol != PROTOCOL:
            raise WireError(
                f"the hub (spiritsafe {VERSION}, pid {os.getpid()}) speaks protocol {PROTOCOL}, "
                f"the client (spiritsafe {hello.version}) {hello.protocol}",
                todo="`spiritsafe stop` ends this hub; the next command starts one of its own version.",
            )
        claimed = hello.claimed or None
        if claimed is not None and not (claimed.isprintable() and len(claimed) <= MAX_CLAIMED):
            raise InputError(f"a claimed name has at most {MAX_CLAIMED} printable characters")
        database = self.database
        role = "owner" if actor == database.owner else "reviewer"
        welcome = Welcome(
            PROTOCOL, VERSION, SCHEMA_VERSION, database.store_id, str(self.path), os.getpid(), actor, role
        )
        channel.send(Response(result=welcome))
        channel.sock.settimeout(None)
        seconds, rest = divmod(self.send_seconds, 1)
        timeout = struct.pack("ll", int(seconds), int(rest * 1e6))
        channel.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        return Caller(actor, role, claimed, hello.instance or str(id(channel)))

    def _refuse(self, channel: Channel, error: SpiritsafeError) -> None:
        try:
            channel.send(Response(problem=problem_of(error)))
        except OSError:
            log.info("a refused client had left already")
        channel.close()

    def _left(self, channel: Channel, instance: str) -> None:
        """A connection ended; with a client's last one its queues end too, so that no blind one blocks forever."""
        with self._connected:
            self._channels.discard(channel)
            self._instances[instance] -= 1
            gone = self._instances[instance] == 0
            if gone:
                del self._instances[instance]
        if gone and not self.shared.stop.is_set():
            cursor = self.database.connection.cursor()
            self.shared.queues.leave(cursor, instance)
            cursor.close()

    def close(self) -> None:
        """Stop listening, answer what was asked, let no half-written transaction stand, close the file."""
        self.shared.stop.set()
        self.socket.close()
        self._woken.close()
        address.socket_path(self.path).unlink(missing_ok=True)
        with self._connected:
            for channel in self._channels:
                with contextlib.suppress(OSError):  # it is leaving already
                    channel.sock.shutdown(
                        socket.SHUT_RD
                    )  # its session ends when it asks for the next request
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.database.close()
        self._lock.close()
        self._wake.close()


def _take_lock(path: Path) -> IO[str]:
    """Hold the store's lock file for the life of the process; raises BusyError when another hub keeps it."""
    at = address.lock_path(path)
    try:
        handle = at.open("a+")
    except OSError as error:
        todo = "A store needs a folder that you may write to."
        raise StoreError(f"cannot write here: {error.strerror}", where=str(at), todo=todo) from error
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                handle.close()
                raise BusyError("another hub serves this store", where=str(path)) from error
            time.sleep(0.05)
        else:
            return handle


def main(argv: list[str] | None = None) -> int:
    """Serve one store; exit 0 when idle or stopped, 75 where another hub serves it, 5 when it cannot be served."""
    parser = argparse.ArgumentParser(prog="python -P -m store.hub", description="Serve one spiritsafe store.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--stay", action="store_true", help="do not leave when idle")
    parser.add_argument(CHILD, action="store_true", help="started by a client: say problems in JSON")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    path = options.path.absolute()
    os.umask(0o007)
    os.chdir("/")
    try:
        hub = Hub(path, idle_seconds=float("inf") if options.stay else IDLE_SECONDS)
    except SpiritsafeError as error:
        told = msgspec.json.encode(problem_of(error)).decode() if options.child else f"spiritsafe: {error}"
        sys.stderr.write(told + "\n")
        return BUSY if isinstance(error, BusyError) else error.exit_code
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: hub.leave())
    hub.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
