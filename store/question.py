"""What a read is: a name, a record, one SQL text. The questions themselves are in ``read.py`` and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """A named read: SQL with named parameters, and the record that a row becomes."""

    name: str
    record: type[R]
    sql: str
