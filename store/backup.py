"""A backup: a copy of a store that is itself a store, made while people work.

The hub streams the bytes (``cut.py``), and the client writes them: it is the caller's file. A process of its own then
opens the copy, folds the log into it, reads all of it and looks whether the chain is whole and ends where the hub said:

    python -P -m store.backup FILE      (prints one line of JSON)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from store import address
from store.errors import InputError, SpiritsafeError, StoreError, WireError
from store.wire import Problem, error_of, problem_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from store.client import Client
    from store.wire import Channel, Response

Progress = Callable[[int, int], None]  # bytes so far, bytes in all
NICE = 19  # the check leaves the machine to those who work
SYNC = 4 << 20  # bytes written at once: the disk syncs acts in between, and not behind all of the copy


class Taken(msgspec.Struct, frozen=True):
    """What the hub says of the copy that it streams."""

    store_id: str
    schema: int
    seq: int
    hash: str
    file: int  # bytes of the file, which come first
    wal: int  # bytes of the log, which follow


class Found(msgspec.Struct, frozen=True):
    """What was found in a copy."""

    store_id: str
    seq: int
    hash: str
    faults: list[str]


@dataclass(frozen=True, slots=True)
class _Draft:
    """The copy while it is being made, and its log beside it."""

    path: Path

    @property
    def wal(self) -> Path:
        return self.path.with_name(self.path.name + ".wal")

    def remove(self) -> None:
        for at in (self.path, self.wal):
            at.unlink(missing_ok=True)


def backup(
    client: Client, path: Path, *, force: bool = False, check: bool = True, progress: Progress | None = None
) -> dict[str, Any]:
    """Copy the client's store to ``path`` (mode 0600) while others write; says what was copied.

    The copy holds every act that was acknowledged before the call. ``check=False``: of the copy only its last event
    is read. Raises InputError where the file is there already or cannot be written, RoleError for who is not the
    owner, StoreError where the copy is not what the hub holds; then no file is left.
    """
    path = path.expanduser().absolute()
    _refuse_used(client.path, path, force=force)
    draft = _Draft(path.with_name(f"{path.name}.part-{os.getpid()}"))

    def receive(response: Response, channel: Channel) -> Taken:
        try:
            taken = msgspec.convert(response.result, Taken)
        except msgspec.ValidationError as error:
            raise WireError(f"no answer of a hub: {error}") from error
        _receive(draft, path, taken, channel, progress)
        return taken

    try:
        taken = client.stream("backup", receive)
        found = _folded(draft, check=check)
        _compare(taken, found, path)
        with _ours(path):
            size = _put_in_place(draft.path, path, force=force)
    finally:
        draft.remove()
    told = {
        "file": str(path),
        "bytes": size,
        "store": taken.store_id,
        "events": taken.seq,
        "head": taken.hash,
    }
    return told | {"checked": check}


def _refuse_used(store: Path, path: Path, *, force: bool) -> None:
    if not path.parent.is_dir():
        raise InputError("no such folder", where=str(path.parent), todo="Make it, or name another file.")
    if path.exists() and store.exists() and path.samefile(store):
        raise InputError("is the store itself", where=str(path), todo="Name another file.")
    if path.is_symlink() or (path.exists() and not (force and path.is_file())):
        raise InputError("is there already", where=str(path), todo="Name another file, or add --force.")
    if path.with_name(path.name + ".wal").exists():
        todo = "Name another file. If no store is in use there any more, remove both."
        raise InputError("has a log beside it: a store is in use there", where=str(path), todo=todo)


@contextlib.contextmanager
def _ours(path: Path) -> Iterator[None]:
    """What goes wrong with the caller's own file is no fault of the hub's, and no reason to ask it again."""
    try:
        yield
    except OSError as error:
        todo = "Free some space, or name a file elsewhere. The store is as it was."
        raise InputError(f"cannot be written: {error.strerror}", where=str(path), todo=todo) from error


def _receive(draft: _Draft, path: Path, taken: Taken, channel: Channel, progress: Progress | None) -> None:
    """The frames into the draft and its log; ``path`` is what an error names."""
    done, whole = 0, taken.file + taken.wal
    with contextlib.ExitStack() as opened:
        with _ours(path):
            draft.remove()
            file = _made(draft.path, opened)
            wal = _made(draft.wal, opened)
        while frame := channel.receive_arrow():
            with _ours(path):
                _write(file if done < taken.file else wal, frame)
                if done // SYNC != (done + len(frame)) // SYNC:
                    os.fdatasync(file)
            done += len(frame)
            if progress is not None:
                progress(done, whole)
    if done != whole:
        raise WireError(f"{done:,} of {whole:,} bytes came")
    if not taken.wal:
        draft.wal.unlink()


def _made(path: Path, opened: contextlib.ExitStack) -> int:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, handle)
    return handle


def _write(handle: int, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[os.write(handle, view) :]


def _folded(draft: _Draft, *, check: bool) -> Found:
    """Open the copy in a process of its own, as a store is opened; what it holds."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "store.backup",
        str(draft.path),
        *([] if check else ["--no-check"]),
    ]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    try:
        if done.returncode == 0:
            return msgspec.json.decode(done.stdout, type=Found)
        raise error_of(msgspec.json.decode(done.stderr.strip().splitlines()[-1], type=Problem))
    except (msgspec.DecodeError, IndexError, UnicodeDecodeError) as error:
        said = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise StoreError(f"the copy could not be looked at: exit {done.returncode}. {said}") from error


def _compare(taken: Taken, found: Found, path: Path) -> None:
    faults = list(found.faults)
    if (found.store_id, found.seq, found.hash) != (taken.store_id, taken.seq, taken.hash):
        faults.append(f"it ends at event {found.seq:,}, and the hub was at event {taken.seq:,}")
    if faults:
        raise StoreError(
            f"the copy is not what the hub holds: {faults[0]}",
            where=str(path),
            todo="It was removed. Make the backup again; `spiritsafe verify` looks at the store itself.",
        )


def _put_in_place(draft: Path, path: Path, *, force: bool) -> int:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    if force:
        draft.replace(path)
        address.head_path(path).unlink(missing_ok=True)  # it was that of what stood there before
    else:
        try:
            os.link(draft, path)  # unlike a rename it never replaces what came meanwhile
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if path.exists():
                raise
            draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


# ---- the process that looks at a copy
def look(path: Path, *, check: bool) -> Found:
    """Open a copy (which folds its log in), read all of it where ``check`` says so, and close it again.

    Raises StoreError where it is no store, or damaged.
    """
    import duckdb

    from store.canonical import digest
    from store.ledger import verify_chain
    from store.opening import open_file, unopened
    from store.rows import one_row, one_value

    con = open_file(path)
    try:
        con.execute("set threads = 1")
        store_id = one_value(con, "select value from meta where key = 'store_id'")
        root = digest(store_id.encode())
        seq, hash_ = one_row(con, "select seq, hash from event order by seq desc limit 1") or (0, root)
        faults = verify_chain(con, root) if check else []
        if check:
            _read_all(con)
    except duckdb.Error as error:
        raise unopened(path, str(error)) from error
    finally:
        con.close()
    return Found(store_id, seq, hash_, faults)


def _read_all(con: DuckDBPyConnection) -> None:
    """Read every column of every table: each block's checksum is looked at on the way. Raises duckdb.Error."""
    tables = "select table_name from duckdb_tables() where database_name = current_database()"
    for (table,) in con.execute(tables).fetchall():
        con.execute(f'select max(hash(t)) from "{table}" t').fetchall()  # noqa: S608 - the catalog's own names


def main(argv: list[str] | None = None) -> int:
    """Look at one copy; prints what was found, or on standard error why it is none (exit 5)."""
    parser = argparse.ArgumentParser(
        prog="python -P -m store.backup", description="Look at a copy of a store."
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--no-check", action="store_true")
    options = parser.parse_args(argv)
    os.nice(NICE)
    try:
        found = look(options.path, check=not options.no_check)
    except SpiritsafeError as error:
        sys.stderr.write(msgspec.json.encode(problem_of(error)).decode() + "\n")
        return error.exit_code
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
