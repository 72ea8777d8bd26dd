"""A process that runs plain checks: started by ``check_apart.py``, one a core.

Reads frames from its standard input (eight bytes of length, then msgpack): first the checks and the contract's codes,
then batches. Answers each with a frame. It leaves when its input ends, as it does when whoever started it is killed.
"""

from __future__ import annotations

import sys
from typing import IO, TypeVar

import msgspec

from engine.clean.outcome import Check, Said
from engine.clean.runners import Batch, Plain
from store.errors import InputError

T = TypeVar("T", bound=msgspec.Struct)
SIZE = 8  # bytes of a frame's length


class Begin(msgspec.Struct, array_like=True):
    """What every batch is checked for: (kind, options, name) of each check, and code → label."""

    checks: list[tuple[str, dict[str, object], str]]
    codes: dict[str, str]


class Asked(msgspec.Struct, array_like=True):
    """A batch, as columns."""

    texts: list[str]
    references: list[str | None]
    tokens: list[int | None]


class Told(msgspec.Struct, array_like=True):
    """(passed, details) of each check; or what is wrong with a check's options, where it is, what to do."""

    said: list[tuple[bytes, list[str]]] = []
    problem: tuple[str, str, str] | None = None


def put(stream: IO[bytes], message: msgspec.Struct) -> None:
    """Write one frame."""
    body = msgspec.msgpack.encode(message)
    stream.write(len(body).to_bytes(SIZE, "big"))
    stream.write(body)
    stream.flush()


def got(stream: IO[bytes], kind: type[T]) -> T | None:
    """The next frame; None where the stream ended."""
    size = stream.read(SIZE)
    if len(size) < SIZE:
        return None
    body = stream.read(int.from_bytes(size, "big"))
    return msgspec.msgpack.decode(body, type=kind)


def main() -> None:
    """Serve until the input ends."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    begin = got(questions, Begin)
    if begin is None:
        return
    plain = [Plain(Check(*check), begin.codes) for check in begin.checks]
    while (asked := got(questions, Asked)) is not None:
        put(answers, _told(plain, asked))


def _told(plain: list[Plain], asked: Asked) -> Told:
    batch = Batch("", [], asked.texts, asked.references, asked.tokens, [])
    try:
        found = [Said.of(one.results(batch)) for one in plain]
    except InputError as error:  # a schema may turn out wrong with an output
        return Told(problem=(error.what, error.where, error.todo))
    return Told([(one.passed, one.details) for one in found])


if __name__ == "__main__":
    main()
