"""The mark of a verdict in the gutter of a list: a letter, never only a colour. Shared by hub and console."""

from __future__ import annotations

LETTERS = {
    "ok": "a", "unsure": "z", "left": "<", "right": ">", "both": "=", "keep": "a", "choose": "r", "distinct": "n",
    "escalate": "z",
}  # fmt: skip


def letter(verdict: str, reason: int | None) -> str:
    """The reason's digit where there is one, else the key that gave the verdict.

    >>> letter("bad", 3), letter("ok", None)
    ('3', 'a')
    """
    return str(reason) if reason is not None else LETTERS[verdict]
