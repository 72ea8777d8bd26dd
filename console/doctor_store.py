"""``spiritsafe doctor``, the store: its file, its hub and what the hub says, as far as one may look.

From outside nothing is made: no hub, no lock, no folder. With --start the caller's own hub is started, as any
other command would.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.doctor_log import is_recent, last_error
from console.doctor_stages import look_at_stages
from console.findings import Finding, Part
from console.output import open_store, project_of
from store import address
from store.errors import SpiritsafeError, StoreError
from store.wire import VERSION

if TYPE_CHECKING:
    from store.client import Client

MAGIC, MAGIC_AT = b"DUCK", 8  # of every DuckDB file
LEAST_FREE = 64 << 20  # bytes: below, the next import fails
LITTLE_FREE = 1 << 30
ANSWER_SECONDS = 60.0  # a hub that is asked for its whole chain may take a while, and no longer
_part = Part("store")


def look_at_store(options: argparse.Namespace) -> Iterator[Finding]:
    """The file, the folder, the hub; then, where the hub could be asked, the stages too."""
    client: Client | None = None
    try:
        path = address.find_store(options.store)
        yield _part.ok("path", f"{path}  ({_found_by(options)})")
        outside = _outside(path)
        yield from outside
        if path.exists() and all(f.state != "problem" for f in outside):
            client, finding = _connect(options, path)
            yield finding
    except OSError as error:  # of a folder that the caller may not look into
        what = f"{error.filename or 'its hub'}: {error.strerror}"
        yield _part.problem("reach", what, "Name a --store that you may read.")
    if client is not None:
        yield from _inside(client)
    yield from look_at_stages(*_project(options, client))


def _found_by(options: argparse.Namespace) -> str:
    if options.store:
        return "by --store"
    return "by SPIRITSAFE_STORE" if os.environ.get("SPIRITSAFE_STORE") else "searched from here upwards"


def _missing(path: Path) -> Finding:
    named = path.name != address.DEFAULT_NAME or path.parent != Path.cwd()
    todo = "`spiritsafe demo` shows a sample project; `spiritsafe init NAME` starts one."
    if not path.parent.is_dir():
        return _part.problem("file", f"no such folder: {path.parent}", "Make it, or name another --store.")
    return _part.warning("file", "not there", todo) if named else _part.ok("file", "none yet", todo)


# ---- from outside
def size_on_disk(path: Path) -> tuple[int, int]:
    """Bytes of the store's file, and of the log of what is not written into it yet."""
    wal = path.with_name(path.name + ".wal")
    return _size(path), _size(wal)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the log comes and goes
        return 0


def _outside(path: Path) -> list[Finding]:
    """What file, folder, disk and log show to anybody who may read them."""
    if not path.exists():
        return [_missing(path)]
    try:
        about = path.stat()
        with path.open("rb") as file:
            head = file.read(MAGIC_AT + len(MAGIC))
    except OSError as error:
        yours = (
            "Its owner must add you to the group of the file." if isinstance(error, PermissionError) else ""
        )
        return [_part.problem("file", f"cannot be read: {error.strerror}", yours)]
    if head[MAGIC_AT:] != MAGIC:
        return [_part.problem("file", "is no DuckDB file, so no store", "Name another with --store.")]
    found = [_whose(path, about), _folder(path, about), _disk(path)]
    log = address.log_path(path)
    if said := last_error(log):
        say = _part.warning if is_recent(log) else _part.ok
        found.append(say("log", said, f"See {log}."))
    return found


def _whose(path: Path, about: os.stat_result) -> Finding:
    data, wal = size_on_disk(path)
    owner = address.user_name(about.st_uid)
    told = f"{data:,} bytes + {wal:,} in its write-ahead log, {owner}'s, {stat.filemode(about.st_mode)}"
    if about.st_mode & stat.S_IRWXO:
        return _part.warning("file", f"{told}: open to everybody here", f"chmod o-rwx {path}")
    return _part.ok("file", told)


def _folder(path: Path, about: os.stat_result) -> Finding:
    if about.st_uid != os.getuid():
        return _part.ok("folder", str(path.parent))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        told = "not writable: lock, log and socket must stand beside the store"
        return _part.problem("folder", told, f"chmod u+wx {path.parent}, or move the store.")
    return _part.ok("folder", f"{path.parent}, writable")


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    told = f"{free / (1 << 30):,.1f} GiB free"
    if free < LEAST_FREE:
        return _part.problem("disk", told, "Make room: nothing can be written any more.")
    if free < max(LITTLE_FREE, sum(size_on_disk(path))):
        return _part.warning("disk", f"{told}: less than a backup or a large import takes", "Make room.")
    return _part.ok("disk", told)


# ---- the hub
def _connect(options: argparse.Namespace, path: Path) -> tuple[Client | None, Finding]:
    """The hub that runs, or with --start the one that any command would start; None and why there is none."""
    try:
        client = open_store(options, start=options.start and path.stat().st_uid == os.getuid())
    except SpiritsafeError as error:
        return None, _no_hub(path, error)
    return client, _hub(client)


def _hub(client: Client) -> Finding:
    w = client.welcome
    told = f"runs: spiritsafe {w.version}, pid {w.pid}, schema {w.schema}; you are {client.who}, {w.role}"
    if w.version != VERSION:
        return _part.warning(
            "hub", f"{told}; this command is {VERSION}", "`spiritsafe stop` ends the old one."
        )
    return _part.ok("hub", told)


def _no_hub(path: Path, error: SpiritsafeError) -> Finding:
    if error.what == "no hub is running":
        return _none_runs(path)
    return _part.problem("hub", error.what, error.todo)


def _none_runs(path: Path) -> Finding:
    uid = path.stat().st_uid
    if is_held(address.lock_path(path)):
        told = f"does not answer, and its lock is held{_holder(address.lock_path(path))}"
        return _part.problem(
            "hub",
            told,
            f"It may be starting or leaving: look again. Else end it, and see {address.log_path(path)}.",
        )
    if uid != os.getuid():
        owner = address.user_name(uid)
        return _part.warning(
            "hub", f"none runs, and only {owner} may start it", f"Ask {owner} to run: spiritsafe serve {path}"
        )
    return _part.ok(
        "hub", "none runs; the next command starts it", "doctor --start starts it now, and looks inside."
    )


def is_held(lock: Path) -> bool:
    """Whether a hub holds this lock. One that is not there is not made."""
    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _holder(lock: Path) -> str:
    """Who holds a lock, as far as the kernel tells."""
    try:
        inode = lock.stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return ""
    for line in locks.splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
            return f" by pid {words[4]}"
    return ""


# ---- from inside
def _inside(client: Client) -> Iterator[Finding]:
    """What the hub says of what it holds."""
    try:
        held = _within(lambda: client.call("status"))
        chain = _within(lambda: client.call("chain"))
    except SpiritsafeError as error:
        yield _part.problem("hub", error.what, error.todo)
        return
    seq, head = chain["head"]
    if chain["faults"]:
        told = f"{len(chain['faults'])} of its links are broken, first: {chain['faults'][0]}"
        yield _part.problem(
            "chain", told, "spiritsafe verify tells all. Do not go on: keep the file, take a backup."
        )
    else:
        yield _part.ok(
            "chain",
            f"whole: {seq:,} event{'' if seq == 1 else 's'}, head {head[:16]}…, owner {held['owner']}",
        )


def _within(ask: Callable[[], Any]) -> Any:
    """The answer, or StoreError where it takes longer than ANSWER_SECONDS: a hub that hangs must not hang us."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(ask())
        except SpiritsafeError as error:
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if not answers:
        raise StoreError(
            f"did not answer within {ANSWER_SECONDS:g} s", todo="See its log; `spiritsafe stop`."
        )
    if isinstance(answers[0], SpiritsafeError):
        raise answers[0]
    return answers[0]


def _project(options: argparse.Namespace, client: Client | None) -> tuple[Client | None, str, str]:
    """The client, the project that is meant, and where there is none, why."""
    if client is None:
        return None, "", "no hub was asked"
    try:
        return client, project_of(options, client), ""
    except SpiritsafeError as error:
        return client, "", f"{error.what} ({error.todo})" if error.todo else error.what
