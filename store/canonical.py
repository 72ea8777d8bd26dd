"""Canonical bytes and content hashes: the ground under ids, the ledger and every digest.

Canonical JSON is RFC 8785 restricted to what we write (ASCII keys, no floats in event payloads, integers
beyond 2^53 as strings), made by msgspec's sorted order; ``rfc8785`` is the test oracle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

ID_CHARS = 32  # 128 bits of a SHA-256: enough to name content, half the column of a full digest

_encoder = msgspec.json.Encoder(order="sorted")
_row_encoder = msgspec.json.Encoder()


def canonical(value: object) -> bytes:
    """The canonical JSON bytes of ``value``.

    >>> canonical({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    return _encoder.encode(value)


def canonical_text(value: object) -> str:
    """Canonical JSON as text, as it is stored in a VARCHAR column."""
    return _encoder.encode(value).decode()


def digest(data: bytes) -> str:
    """SHA-256 of ``data``, 64 hex characters."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return digest(_encoder.encode(value))


def content_id(*parts: object) -> str:
    """A 128-bit content id over ``parts`` (their canonical JSON array)."""
    return hashlib.sha256(_encoder.encode(parts)).hexdigest()[:ID_CHARS]


def messages_of(text: str) -> list[dict[str, str]]:
    """A bare text is one user message."""
    return [{"content": text, "role": "user"}]


def prompt_id_of(messages: Sequence[object]) -> str:
    """Id of a prompt: the hash of its chat messages (a bare text is one user message).

    >>> prompt_id_of(messages_of("hello"))
    '8be29e58014763516fe1da2bb7cd57d0'
    """
    return content_id("prompt", messages)


def output_id_of(prompt_id: str, model: str, sample_index: int, text: str) -> str:
    """Id of an output: who answered what to which prompt, and the how-manieth answer it is."""
    return content_id("output", prompt_id, model, sample_index, text)


BLOCK = 4096  # rows after which a digest leaves a mark


class RowDigest:
    """SHA-256 over canonical rows in stored order: one JSON array a row, newline-ended.

    Floats are written in their shortest round-trip form (the same on every machine); NULL is ``null``. ``marks`` are
    the first 64 bits of the digest after every BLOCK rows: the first that differs says where a row was changed.
    """

    __slots__ = ("_hash", "marks", "rows")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.rows = 0
        self.marks: list[str] = []

    def update(self, rows: Iterable[Sequence[object]]) -> None:
        """Add rows (tuples in the order of the columns that the closing event names)."""
        rows = rows if isinstance(rows, list) else list(rows)
        while rows:
            room = BLOCK - self.rows % BLOCK
            some, rows = rows[:room], rows[room:]
            self._hash.update(_row_encoder.encode_lines(some))
            self.rows += len(some)
            if not self.rows % BLOCK:
                self.marks.append(self._hash.hexdigest()[:16])

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
