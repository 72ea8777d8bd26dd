"""The hub: the one process that holds a store's DuckDB file, like tmux's server.

    python -P -m store.hub PATH        (started on demand by the first client; ``spiritsafe serve`` in front)

It listens on a Unix socket beside the file, serves each client on a thread and cursor of its own, and leaves
by itself when nobody was connected for a while.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO

from store import address
from store.database import SCHEMA_VERSION, Database
from store.errors import SpiritsafeError, StoreError, WireError
from store.queues import Queues
from store.session import Session, Shared
from store.wire import MAX_HELLO, PROTOCOL, Channel, Hello, Response, Welcome, problem_of

VERSION = "0.1.0"
IDLE_SECONDS = float(os.environ.get("SPIRITSAFE_IDLE_SECONDS", "600"))
HELLO_SECONDS = 5.0
log = logging.getLogger("spiritsafe.hub")


class Hub:
    """One store being served."""

    def __init__(self, path: Path, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.path, self.idle_seconds = path, idle_seconds
        self._lock = _take_lock(path)
        os.umask(0o007)
        self.database = Database(path, owner=address.user_name(os.getuid()))
        self.shared = Shared(self.database, Queues(self.database.connection.cursor()), {}, threading.Event())
        self.clients: set[threading.Thread] = set()
        self.last_seen = time.monotonic()
        self.socket = self._listen()

    def _listen(self) -> socket.socket:
        """Bind beside the file. We hold the lock, so a socket that is there already is a dead hub's."""
        at = address.socket_path(self.path)
        at.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(at))
        at.chmod(0o660)
        listener.listen(64)
        listener.settimeout(0.5)
        return listener

    def serve(self) -> None:
        """Accept clients until asked to stop or idle for long enough."""
        while not self.shared.stop.is_set():
            try:
                connection, _ = self.socket.accept()
            except TimeoutError:
                if self._idle():
                    break
                continue
            except OSError:
                break
            thread = threading.Thread(target=self._client, args=(connection,), daemon=True)
            self.clients.add(thread)
            thread.start()
        self.close()

    def _idle(self) -> bool:
        self.clients = {thread for thread in self.clients if thread.is_alive()}
        if self.clients:
            self.last_seen = time.monotonic()
        return time.monotonic() - self.last_seen > self.idle_seconds

    def _client(self, connection: socket.socket) -> None:
        channel = Channel(connection)
        try:
            connection.settimeout(HELLO_SECONDS)
            actor = address.peer_name(connection)
            hello = channel.receive(Hello, limit=MAX_HELLO)
            connection.settimeout(None)
            if hello.protocol != PROTOCOL:
                raise WireError(
                    f"the hub (spiritsafe {VERSION}, pid {os.getpid()}) speaks protocol {PROTOCOL}, "
                    f"the client (spiritsafe {hello.version}) {hello.protocol}",
                    todo="`spiritsafe stop` ends this hub; the next command starts one of its own version.",
                )
        except SpiritsafeError as error:
            self._refuse(channel, error)
            return
        except (EOFError, OSError):
            channel.close()
            return
        role = "owner" if actor == self.database.owner else "reviewer"
        database = self.database
        welcome = Welcome(
            PROTOCOL, VERSION, SCHEMA_VERSION, database.store_id, str(self.path), os.getpid(), actor, role
        )
        try:
            channel.send(Response(result=welcome))
        except OSError:
            channel.close()
            return
        Session(self.shared, channel, actor, role, hello.claimed).run()

    def _refuse(self, channel: Channel, error: SpiritsafeError) -> None:
        try:
            channel.send(Response(problem=problem_of(error)))
        except OSError:
            log.info("a refused client had left already")
        channel.close()

    def close(self) -> None:
        """Stop listening, let no half-written transaction stand, close the file."""
        self.socket.close()
        self.database.close()
        address.socket_path(self.path).unlink(missing_ok=True)
        self._lock.close()


def _take_lock(path: Path) -> IO[str]:
    """Hold the store's lock file for the life of the process; raises StoreError when another hub has it."""
    handle = address.lock_path(path).open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise StoreError("another hub serves this store", where=str(path)) from error
    return handle


def main(argv: list[str] | None = None) -> int:
    """Serve one store; exit 0 when idle or stopped, 5 when the store cannot be served."""
    parser = argparse.ArgumentParser(prog="python -P -m store.hub", description="Serve one spiritsafe store.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--stay", action="store_true", help="do not leave when idle")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        hub = Hub(options.path.absolute(), idle_seconds=float("inf") if options.stay else IDLE_SECONDS)
    except SpiritsafeError as error:
        print(f"spiritsafe: {error}", file=sys.stderr)  # noqa: T201 - the client reads this from the log
        return error.exit_code
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: hub.shared.stop.set())
    hub.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
