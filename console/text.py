"""Text that models and users wrote, made harmless and measured in terminal cells.

``visible`` comes first: what it returns holds no character that a terminal obeys or hides, so the other
functions measure and cut what is really seen. Terminals disagree on the width of joined emoji; without
joiners and variation selectors a character has one width everywhere, so rows stay aligned.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from rich.cells import cell_len

from console.wrapped import Wrapped, cut_at

__all__ = ["Wrapped", "as_chat", "as_json", "cells", "counted", "fit", "line", "visible", "wrap"]

TAB = 4

# Controls, soft hyphen, joiners, fillers, bidi marks, overrides and isolates, line and paragraph separators,
# variation selectors, byte order mark, annotations, non-characters, lone surrogates, tag characters.
# Written as escapes: nobody should have to trust what cannot be seen in a source file either.
_HOSTILE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# One variation selector after a symbol only says "draw me in colour": the one thing dropped, not shown.
_EMOJI_STYLE = re.compile("([#*0-9\u203c-\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f](?![\ufe00-\ufe0f])")
_PRINTABLE = bytes([10, *range(32, 127)])


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return ``text`` with everything a terminal would obey or hide as visible escapes.

    With ``lines`` newlines stay; without they show as ``⏎``, so the result is one line.

    >>> visible("a\x1b[31mb\u202ec\td\n")
    'a␛[31mb⟨U+202E⟩c   d⏎'
    """
    if not _clean(text):
        text = _EMOJI_STYLE.sub(r"\1", text) if not text.isascii() else text
        if "\t" in text:
            text = text.expandtabs(TAB)
        text = _HOSTILE.sub(lambda match: _escape(match[0]), text)
    return text if lines else text.replace("\n", "⏎")


def _clean(text: str) -> bool:
    if text.isascii():  # a table of bytes is four times as quick as the expression
        return not text.encode("ascii").translate(None, _PRINTABLE)
    return _HOSTILE.search(text) is None


@lru_cache(maxsize=512)
def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun, in the singular where it is one.

    >>> counted(1, "reviewer"), counted(1204, "pair"), counted(0, "reply", "replies")
    ('1 reviewer', '1,204 pairs', '0 replies')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def cells(text: str) -> int:
    """Return the width of visible text in terminal cells.

    >>> cells("abc"), cells("漢字")
    (3, 4)
    """
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int) -> str:
    """Cut or pad one line of visible text to exactly ``width`` cells.

    >>> fit("漢字かな", 5) + "|", fit("ab", 4) + "|"
    ('漢字 |', 'ab  |')
    """
    head = text[:width]
    if head.isascii():
        return head.ljust(width)
    cut, used = cut_at(text, 0, width)
    return text[:cut] + " " * (width - used)


def line(text: str, width: int) -> str:
    """Return any text as one harmless line of exactly ``width`` cells; looks at its head only."""
    return fit(visible(text[: 2 * width + 16]), width)


def wrap(text: str, width: int) -> list[str]:
    """Wrap visible text at spaces into lines of at most ``width`` cells. ``Wrapped`` does it lazily.

    >>> wrap("one two three", 8)
    ['one two', 'three']
    """
    wrapped = Wrapped(text, width)
    return [wrapped.line(i) for i in range(wrapped.count())]


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def as_json(text: str, *, indent: int = 2) -> str | None:
    r"""Return JSON text indented, or ``None`` where it does not parse.

    Only white space changes: numbers, escapes, repeated keys and their order stay as they were written.
    A Markdown fence around it is left out.

    >>> print(as_json('{"a": [1.50, {}], "a": "\\u0041"}'))
    {
      "a": [
        1.50,
        {}
      ],
      "a": "\u0041"
    }
    """
    if fenced := _FENCE.match(text):
        text = fenced[1]
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _indented(_TOKEN.findall(text), indent)


def _indented(words: list[str], indent: int) -> str:
    out: list[str] = []
    depth = 0
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else ""
        if word in ("{", "["):
            out.append(word)
            if following not in ("}", "]"):
                depth += 1
                out.append("\n" + " " * indent * depth)
        elif word in ("}", "]"):
            if words[i - 1] not in ("{", "["):
                depth -= 1
                out.append("\n" + " " * indent * depth)
            out.append(word)
        elif word == ",":
            out.append(",\n" + " " * indent * depth)
        else:
            out.append(": " if word == ":" else word)
    return "".join(out)


def as_chat(messages_json: str) -> str | None:
    r"""Return chat messages as ``role:`` paragraphs, or ``None`` where the text is no list of messages.

    Takes a JSON list of ``{"role", "content"}`` or an object with such a list under ``messages``; content is
    text or a list of parts. What is not text is shown as JSON.

    >>> print(as_chat('[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]'))
    user:
    hi
    <BLANKLINE>
    assistant:
    hello
    """
    try:
        found = json.loads(messages_json)
    except (ValueError, RecursionError):
        return None
    messages = found.get("messages") if isinstance(found, dict) else found
    if not isinstance(messages, list) or not messages:
        return None
    if not all(isinstance(message, dict) and "role" in message for message in messages):
        return None
    return "\n\n".join(f"{message['role']}:\n{_content(message)}" for message in messages)


def _content(message: dict[str, object]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [] if content is None else [content]
    shown = [
        part
        if isinstance(part, str)
        else str(part["text"])
        if isinstance(part, dict) and isinstance(part.get("text"), str)
        else json.dumps(part, ensure_ascii=False)
        for part in parts
    ]
    rest = {k: v for k, v in message.items() if k not in ("role", "content")}
    return "\n".join([*shown, *([json.dumps(rest, ensure_ascii=False)] if rest else [])])
