"""Lazy wrapping of long text: only the lines that are looked at are ever cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from rich.cells import get_character_cell_size

# A cell can carry this many zero-width marks before the line is cut: a stack of a million is an attack.
MARKS = 8


@lru_cache(maxsize=8192)
def _width_of(char: str) -> int:
    return get_character_cell_size(char)


def cut_at(text: str, start: int, width: int) -> tuple[int, int]:
    """Return the index where ``width`` cells from ``start`` are full, and the cells used up to there."""
    used = 0
    limit = min(len(text), start + width * (1 + MARKS))
    for i in range(start, limit):
        size = _width_of(text[i])
        if used + size > width:
            return i, used
        used += size
    return limit, used


@dataclass(slots=True)
class Wrapped:
    """Visible text cut into lines of at most ``width`` cells, as far as anybody asked.

    With ``words`` a line breaks at its last space, else exactly at the width. ``starts[i]`` is where line
    ``i`` begins in the text and ``ends[i]`` where it ends, line break or swallowed space not included.
    """

    text: str
    width: int
    words: bool = True
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    _next: int | None = 0

    def __post_init__(self) -> None:
        self.width = max(2, self.width)  # one wide character must fit

    @property
    def known(self) -> int:
        """How many lines are cut so far."""
        return len(self.starts)

    @property
    def complete(self) -> bool:
        """Whether the last line is among the known ones."""
        return self._next is None

    def reach(self, lines: int) -> int:
        """Cut until ``lines`` lines are known or the text ends; return how many are known."""
        while self._next is not None and len(self.starts) < lines:
            self._cut(self._next)
        return len(self.starts)

    def count(self) -> int:
        """Cut everything and return the number of lines (at least 1)."""
        while self._next is not None:
            self._cut(self._next)
        return len(self.starts)

    def line(self, i: int) -> str:
        """Return line ``i``; ``IndexError`` beyond the last."""
        self.reach(i + 1)
        return self.text[self.starts[i] : self.ends[i]]

    def _cut(self, start: int) -> None:
        text, width = self.text, self.width
        head = text[start : start + width + 1]
        if head.isascii():
            newline = head.find("\n")
            end = start + (newline if newline >= 0 else min(len(head), width))
        else:
            newline = text.find("\n", start, start + width * (1 + MARKS))
            end = cut_at(text, start, width)[0]
            end = min(end, newline) if newline >= 0 else end
        self.starts.append(start)
        if end >= len(text):
            self.ends.append(end)
            self._next = None
        elif text[end] == "\n":
            self.ends.append(end)
            self._next = end + 1
        else:
            self._break(start, end)

    def _break(self, start: int, end: int) -> None:
        """End a line that is full at ``end``, at its last space if it has one."""
        space = self.text.rfind(" ", start, end + 1) if self.words else -1
        if space > start and self.text[start:space].strip():
            self.ends.append(space)
            self._next = space + 1
        else:
            self.ends.append(end)
            self._next = end
