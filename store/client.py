"""The client: the one way to a store, for the console, the commands and the jobs.

Connects to the hub of a store, starting it when the caller owns the store, and again when it died: a request
that was cut off is sent again under its own id, so that nothing is lost and nothing happens twice.
Safe to share between threads: each thread has a connection of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from store import acts, address
from store.canonical import RowDigest
from store.errors import RoleError, StoreError
from store.read import Question
from store.records import ARTIFACTS, columns_of, key_of
from store.wire import PROTOCOL, Channel, Hello, Request, Response, Welcome, error_of

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R")
VERSION = "0.1.0"
START_SECONDS = 20.0
RETRIES = 5


class Client:
    """A store, as everything above sees it."""

    def __init__(
        self, path: Path, *, claimed: str | None = None, create: bool = False, start: bool = True
    ) -> None:
        """Connect. Raises StoreError where there is no store or no hub can be had, RoleError where not ours to start."""
        self.path = path
        self._claimed, self._create, self._start = claimed, create, start
        self._local = threading.local()
        self._channels: set[Channel] = set()
        self.welcome = self._connected()[1]

    # ---- connection
    def _connected(self) -> tuple[Channel, Welcome]:
        found: tuple[Channel, Welcome] | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._connect()
            self._local.connection = found
            self._channels.add(found[0])
        return found

    def _connect(self) -> tuple[Channel, Welcome]:
        deadline, started = time.monotonic() + START_SECONDS, None
        while True:
            channel = _dial(self.path)
            if channel is not None:
                try:
                    return channel, self._greet(channel)
                except (EOFError, OSError):
                    channel.close()
            if started is None or (started.poll() not in (None, 0) and _ended_badly(self.path, started)):
                started = self._start_hub()
            if time.monotonic() > deadline:
                raise StoreError(
                    "its hub does not answer",
                    where=str(self.path),
                    todo=f"See {address.log_path(self.path)}.",
                )
            time.sleep(0.02)

    def _greet(self, channel: Channel) -> Welcome:
        channel.send(Hello(PROTOCOL, VERSION, self._claimed))
        answer = channel.receive(Response)
        if answer.problem is not None:
            channel.close()
            raise error_of(answer.problem)
        return msgspec.convert(answer.result, Welcome)

    def _start_hub(self) -> subprocess.Popen[bytes]:
        if not self._start:
            raise StoreError("no hub is running", where=str(self.path))
        if not self.path.exists():
            if not self._create:
                raise StoreError(
                    "no store here",
                    where=str(self.path),
                    todo="`spiritsafe init` makes one; --store names another.",
                )
            address.check_parent(self.path)
        elif self.path.stat().st_uid != os.getuid():
            owner = address.user_name(self.path.stat().st_uid)
            raise RoleError(
                f"belongs to {owner}, and no hub is running",
                where=str(self.path),
                todo=f"Ask {owner} to run: spiritsafe serve {self.path}",
            )
        with address.log_path(self.path).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "store.hub", str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )

    def close(self) -> None:
        """Leave; the hub stays."""
        for channel in self._channels:
            channel.close()
        self._channels.clear()
        self._local = threading.local()

    def _drop(self) -> None:
        found = getattr(self._local, "connection", None)
        if found is not None:
            found[0].close()
            self._channels.discard(found[0])
            self._local.connection = None

    # ---- requests
    def call(self, op: str, *, arrow: bytes | None = None, **args: Any) -> Any:
        """One request, its result. Sent again when the hub went away meanwhile: every operation bears that."""
        return self._request(op, args, arrow, lambda response, _: response.result)

    def _request(
        self, op: str, args: dict[str, Any], arrow: bytes | None, finish: Callable[[Response, Channel], R]
    ) -> R:
        for attempt in range(RETRIES):
            channel = self._connected()[0]
            try:
                channel.send(Request(op, args, arrow is not None))
                if arrow is not None:
                    channel.send_arrow(arrow)
                response = channel.receive(Response)
                if response.problem is not None:
                    raise error_of(response.problem)
                return finish(response, channel)
            except (EOFError, OSError):
                self._drop()
                if attempt == RETRIES - 1:
                    raise
        raise StoreError(
            "its hub keeps going away", where=str(self.path), todo=f"See {address.log_path(self.path)}."
        )

    def ask(self, question: Question[R], **params: Any) -> list[R]:
        """The records that answer a question."""
        rows = self.call("ask", question=question.name, params=params)
        return [question.record(*row) for row in rows]

    def fetch(self, question: Question[Any], **params: Any) -> pa.Table:
        """The same rows as one Arrow table."""
        return self._fetch("fetch", {"question": question.name, "params": params})

    def rows_of_run(self, run_no: int, table: str, columns: list[str]) -> pa.Table:
        """A run's rows of one artifact table, in stored order."""
        return self._fetch("rows_of_run", {"run_no": run_no, "table": table, "columns": columns})

    def _fetch(self, op: str, args: dict[str, Any]) -> pa.Table:
        import pyarrow as pa

        def finish(_: Response, channel: Channel) -> pa.Table:
            tables = [pa.ipc.open_stream(frame).read_all() for frame in _frames(channel)]
            return pa.concat_tables(tables)

        return self._request(op, args, None, finish)

    # ---- acts and runs
    def act(
        self, kind: str, project: str, payload: dict[str, Any], *, act_id: str | None = None
    ) -> dict[str, Any]:
        """Put one act on the ledger, exactly once however often it is sent."""
        answer: dict[str, Any] = self.call(
            "act", id=act_id or acts.new_id(), project=project, kind=kind, payload=payload
        )
        return answer

    def run(self, project: str, stage: str, *, params: dict[str, Any], inputs: dict[str, Any]) -> Run:
        """Open a run; see ``Run``."""
        run_id = acts.new_id()
        payload = {
            "run_id": run_id,
            "stage": stage,
            "params": acts.exact(params),
            "inputs": acts.exact(inputs),
        }
        opened = self.act("run.open", project, payload)
        return Run(self, project, run_id, opened["run_no"])


class Run:
    """An open run: append rows to its tables, then close it; until then nobody sees them."""

    BATCH = 122_880  # one DuckDB row group: such a transaction bypasses the log

    def __init__(self, client: Client, project: str, run_id: str, run_no: int) -> None:
        self.client, self.project, self.run_id, self.run_no = client, project, run_id, run_no
        self._digests: dict[str, RowDigest] = {}

    def next_seq(self, table: str) -> int:
        """The seq that the next row of ``table`` will have."""
        return self._digests[table].rows if table in self._digests else 0

    def add(self, table: str, records: Iterable[Any]) -> int:
        """Append records; ``run_no`` and key are filled in here. Returns how many."""
        names = columns_of(table)
        count = 0
        for chunk in _chunks(records, 20_000):
            first = self.next_seq(table)
            rows = [
                (self.run_no, key_of(self.run_no, first + i), *(getattr(record, n) for n in names[2:]))
                for i, record in enumerate(chunk)
            ]
            self._send(table, rows)
            count += len(rows)
        return count

    def add_table(self, table: str, batch: pa.Table) -> int:
        """Append an Arrow table that has every column of ``table`` already, keys included."""
        names = list(columns_of(table))
        for start in range(0, batch.num_rows, self.BATCH):
            part = batch.slice(start, self.BATCH).select(names)
            self._append(
                table, part, list(zip(*(column.to_pylist() for column in part.columns), strict=True))
            )
        return int(batch.num_rows)

    def _send(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        names, schema = columns_of(table), arrow_schema(table)
        columns = list(zip(*rows, strict=True)) or [() for _ in names]
        arrays = [
            pa.array(values, schema.field(name).type) for name, values in zip(names, columns, strict=True)
        ]
        self._append(table, pa.Table.from_arrays(arrays, schema=schema), rows)

    def _append(self, table: str, batch: pa.Table, rows: list[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        digest = self._digests.setdefault(table, RowDigest())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_table(batch)
        body = sink.getvalue().to_pybytes()
        self.client.call("append", run_no=self.run_no, table=table, first_seq=digest.rows, arrow=body)
        digest.update([tuple(_hex(v) for v in row) for row in rows] if table == "file" else rows)

    def close(self, result: dict[str, Any] | None = None) -> dict[str, Any]:
        """Close the run: its rows are seen from here on. Returns the closing act's answer."""
        tables = {
            table: {"rows": d.rows, "columns": list(columns_of(table)), "sha256": d.hexdigest()}
            for table, d in self._digests.items()
        }
        payload = {"run_no": self.run_no, "tables": tables, "result": acts.exact(result or {})}
        return self.client.act("run.close", self.project, payload)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of what was added so far, by table."""
        return {table: d.hexdigest() for table, d in self._digests.items()}


def _hex(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def arrow_schema(table: str) -> pa.Schema:
    """The Arrow schema of an artifact table, from its record's annotations."""
    import pyarrow as pa

    types = {
        "int": pa.int64(),
        "str": pa.string(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "bytes": pa.binary(),
    }
    annotations = ARTIFACTS[table].__annotations__
    return pa.schema([(name, types[annotations[name].split(" ")[0]]) for name in columns_of(table)])


def _frames(channel: Channel) -> Iterator[bytes]:
    while frame := channel.receive_arrow():
        yield frame


def _chunks(records: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _dial(path: Path) -> Channel | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(str(address.socket_path(path)))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except PermissionError as error:
        sock.close()
        raise RoleError(
            "its hub is not open to you", where=str(path), todo="Ask its owner to add you to the group."
        ) from error
    return Channel(sock)


def _ended_badly(path: Path, started: subprocess.Popen[bytes]) -> bool:
    """Whether to start another hub: one that lost a race may have lost to one that was just leaving.

    Any other hub that could not start said why in its log: raise that.
    """
    tail = address.log_path(path).read_text(errors="replace").strip().splitlines()[-2:]
    if any("another hub serves" in line for line in tail):
        time.sleep(0.1)
        return True
    text = " ".join(line.strip() for line in tail if line.strip())
    raise StoreError(
        f"its hub ended with exit {started.returncode}: {text.removeprefix('spiritsafe: ')}"
        if text
        else f"its hub ended with exit {started.returncode}",
        where=str(path),
        todo=f"See {address.log_path(path)}.",
    )
