"""Keys as people write them (``^r``, ``ctrl+r``, ``?``, ``PgDn``) and as Textual names them (``question_mark``)."""

from __future__ import annotations

import unicodedata

from store.errors import InputError

# People's words, in small letters, to Textual's names.
WORDS = {
    "esc": "escape", "escape": "escape", "enter": "enter", "return": "enter", "tab": "tab", "space": "space",
    "spc": "space", "backspace": "backspace", "bs": "backspace", "del": "delete", "delete": "delete",
    "ins": "insert", "insert": "insert", "home": "home", "end": "end", "pgdn": "pagedown", "pgdown": "pagedown",
    "pagedown": "pagedown", "pgup": "pageup", "pageup": "pageup", "up": "up", "down": "down", "left": "left",
    "right": "right", **{f"f{n}": f"f{n}" for n in range(1, 13)},
}  # fmt: skip
SHOWN = {
    "escape": "Esc", "enter": "Enter", "tab": "Tab", "pagedown": "PgDn", "pageup": "PgUp", "home": "Home",
    "end": "End", "delete": "Del", "insert": "Ins", **{f"f{n}": f"F{n}" for n in range(1, 13)},
}  # fmt: skip
MODIFIERS = {
    "ctrl": "ctrl",
    "control": "ctrl",
    "c": "ctrl",
    "alt": "alt",
    "meta": "alt",
    "m": "alt",
    "shift": "shift",
}
# What a terminal sends for these is the same byte.
SAME_BYTE = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+left_square_bracket": "escape"}
# Where Textual's name is not the character's own (https://textual.textualize.io/guide/input).
RENAMED = {
    "solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at", "hyphen_minus": "minus",
    "plus_sign": "plus", "low_line": "underscore",
}  # fmt: skip


def read_key(written: str) -> str:
    """Textual's name of a key. Raises InputError for what is no key.

    >>> [read_key(k) for k in ("^r", "Ctrl+R", "?", "]", "space", "PgDn", "G", "shift+g", "C-x", "ctrl+i")]
    ['ctrl+r', 'ctrl+r', 'question_mark', 'right_square_bracket', 'space', 'pagedown', 'G', 'G', 'ctrl+x', 'tab']
    """
    text = written if written == " " else written.strip()
    if len(text) > 1 and text[0] == "^":
        modifiers, rest = ["ctrl"], text[1:]
    else:
        modifiers, rest = _modifiers(text)
    if not rest:
        raise InputError(
            f"is no key: {written!r}", todo="Write one as k, G, ?, ^r, ctrl+r, space, Enter, PgDn, F2."
        )
    name = "space" if rest == " " else WORDS.get(rest.lower(), "") or named(rest)
    if not name:
        raise InputError(
            f"is no key: {written!r}", todo="Write one as k, G, ?, ^r, ctrl+r, space, Enter, PgDn, F2."
        )
    if "shift" in modifiers and len(rest) == 1 and rest.isalpha():
        modifiers.remove("shift")
        name = rest.upper()
    if "ctrl" in modifiers and len(name) == 1:
        name = name.lower()
    joined = "+".join([*(m for m in ("alt", "ctrl", "shift") if m in modifiers), name])
    return SAME_BYTE.get(joined, joined)


def _modifiers(text: str) -> tuple[list[str], str]:
    """Modifiers before a key, and the key: split at + or -, of which the last may be the key itself."""
    found: list[str] = []
    rest = text
    while len(rest) > 1:
        at = next((i for i, c in enumerate(rest[:-1]) if c in "+-"), 0)
        if not at or (modifier := MODIFIERS.get(rest[:at].lower())) is None:
            break
        found.append(modifier)
        rest = rest[at + 1 :]
    return found, rest


def named(char: str) -> str:
    """Textual's name of one printable character; empty for anything else.

    >>> named("k"), named("?"), named("kk")
    ('k', 'question_mark', '')
    """
    if len(char) != 1 or not char.isprintable():
        return ""
    if char.isalnum():
        return char
    name = unicodedata.name(char, "").lower().replace("-", "_").replace(" ", "_")
    return RENAMED.get(name, name)


_CHARS = {named(chr(code)): chr(code) for code in range(33, 127)}


def show_key(key: str) -> str:
    """A key as people read it.

    >>> [show_key(k) for k in ("ctrl+r", "question_mark", "pagedown", "G", "space", "alt+x", "ctrl+pageup")]
    ['^r', '?', 'PgDn', 'G', 'space', 'alt+x', '^PgUp']
    """
    *modifiers, name = key.split("+")
    shown = SHOWN.get(name) or _CHARS.get(name, name)
    if modifiers == ["ctrl"]:
        return f"^{shown}"
    return "+".join([*modifiers, shown])
