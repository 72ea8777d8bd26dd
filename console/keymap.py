"""The keymap: a TOML file that gives actions other keys. What is wrong in it is said, and its action keeps its own.

    "audit.ok" = "e"
    "judge.next" = ["]", "tab"]

``spiritsafe keys --write FILE`` writes one with everything in it to start from.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from console.actions import ACTIONS, GROUPS, Action, of_screen, shown_keys
from console.key_names import read_key, show_key
from console.text import counted
from store.errors import InputError

LEAVING = ("ctrl+c", "ctrl+q")  # always a way out
CORE_GROUPS = frozenset({"list", "judge", "audit", "disagreements", "duplicates", "semantic"})
CORE = frozenset({"undo", "redo", "back", "close", "palette"})
# Chords that many terminals, or tmux between, never send or send as something else.
UNSENT = re.compile(
    r"ctrl\+(enter|j|tab|space)|alt\+.*|shift\+(up|down|left|right|home|end|enter|space)|ctrl\+shift\+.*"
)
KEYMAP_NAME = "keymap.toml"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a keymap: where (``keymap.toml:3``), what, and what to do."""

    where: str
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.todo}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a keymap says of one action."""

    id: str
    keys: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Keymap:
    """The table of actions that holds, where it came from, and what was wrong there."""

    table: tuple[Action, ...] = ACTIONS
    path: str = ""
    problems: tuple[Problem, ...] = ()

    def said(self) -> str:
        """What is wrong, on one line for a footer; empty where all is well."""
        if not self.problems:
            return ""
        first = self.problems[0]
        told = f"keymap: {counted(len(self.problems), 'problem')}, `spiritsafe keys` tells"
        return f"{told}: {first.where.rpartition('/')[2]}: {first.what}"


def keymap_path(named: str | None = None) -> tuple[Path, bool]:
    """Where the keymap is, and whether somebody named it: an option, SPIRITSAFE_KEYMAP, or the usual place."""
    if given := named or os.environ.get("SPIRITSAFE_KEYMAP"):
        return Path(given).expanduser(), True
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "spiritsafe" / KEYMAP_NAME, False


def load(named: str | None = None) -> Keymap:
    """The keymap that holds here. Never raises: what is wrong is among its problems, and defaults stand in for it."""
    path, asked = keymap_path(named)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        missing = Problem(str(path), "there is no such keymap", f"spiritsafe keys --write {path} makes one.")
        return Keymap(problems=(missing,) if asked else ())
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        return Keymap(problems=(Problem(str(path), f"cannot be read: {told}", "The usual keys hold."),))
    return parse(text, str(path))


def parse(text: str, path: str = KEYMAP_NAME) -> Keymap:
    """The table that a keymap's text makes of ``ACTIONS``.

    >>> found = parse('"audit.ok" = "e"')
    >>> next(a.keys for a in found.table if a.id == "audit.ok"), found.problems
    ('e', ())
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        where = f"{path}:{at[1] if at else len(text.splitlines())}"
        what = f"is not TOML: {re.sub(r' [(]at .*', '', str(error))}"
        return Keymap(path=path, problems=(Problem(where, what, 'A line reads: "audit.ok" = "e".'),))
    lines = dict(_lines(text))
    problems: list[Problem] = []
    entries: dict[str, Entry] = {}
    for name, value in _flat(told):
        line = lines.get(name, 1)
        try:
            entries[name] = _entry(name, value, line)
        except InputError as error:
            problems.append(Problem(f"{path}:{line}", f'"{name}" {error.what}', error.todo))
    problems += _drop_conflicts(entries, path)
    ordered = sorted(problems, key=lambda p: int(p.where.rpartition(":")[2]))
    return Keymap(applied(entries), path, tuple(ordered))


def _flat(told: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Ids and what stands there: ``"audit.ok" = …``, ``audit.ok = …`` and ``[audit]`` with ``ok = …`` are one."""
    for name, value in told.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Each id with the number of its line."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$", line):
            table = re.sub(r"[\"'\s]", "", head[1]) + "."
        elif named := re.match(r"\s*([\w\"'.\s-]+?)\s*=", line):
            yield table + re.sub(r"[\"'\s]", "", named[1]), number


def _entry(name: str, value: Any, line: int) -> Entry:
    """One line of the keymap; raises InputError for what cannot be meant."""
    known = {action.id: action for action in ACTIONS}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        todo = f'Did you mean "{near[0]}"?' if near else "spiritsafe keys lists the actions."
        raise InputError("is no action", todo=todo)
    action = known[name]
    written = [value] if isinstance(value, str) else value
    if not isinstance(written, list) or not written or not all(isinstance(key, str) for key in written):
        raise InputError("is given no key", todo='Write "k", or ["]", "tab"] for several.')
    keys = tuple(dict.fromkeys(read_key(key) for key in written))
    if action.takes_key and len(keys) != len(action.keys.split(",")):
        raise InputError(
            f"takes one key for each reason, {len(action.keys.split(','))} in all, and was given {len(keys)}",
            todo='Write them in order: ["1", "2", …].',
        )
    for key in keys:
        _refuse(action, key)
    return Entry(name, keys, line)


def _refuse(action: Action, key: str) -> None:
    if key in LEAVING:
        raise InputError(f"is given {show_key(key)}, which always leaves", todo="Choose another key.")
    if UNSENT.fullmatch(key) and (action.group in CORE_GROUPS or action.id in CORE):
        todo = "Choose a letter, a capital, a sign or a function key."
        raise InputError(f"is given {show_key(key)}, which many terminals and tmux never send", todo=todo)


def applied(entries: Mapping[str, Entry]) -> tuple[Action, ...]:
    """The table of actions with other keys."""
    return tuple(replace(a, keys=",".join(entries[a.id].keys)) if a.id in entries else a for a in ACTIONS)


def _drop_conflicts(entries: dict[str, Entry], path: str) -> list[Problem]:
    """Take out, the last line first, what would leave an action without a key; say so."""
    problems = []
    while (clash := next(clashes(entries), None)) is not None:
        one, other, where = clash
        entry = entries.pop(one)
        told = f'"{one}" is given {_shown(entry)}, '
        told += f'the key of "{other}"' if where == "" else f'which leaves "{other}" without a key in {where}'
        todo = f'It keeps {_default(one)}. Choose another key, or give "{other}" one too.'
        problems.append(Problem(f"{path}:{entry.line}", told, todo))
    return problems


def _shown(entry: Entry) -> str:
    return " ".join(show_key(key) for key in entry.keys)


def _default(name: str) -> str:
    return next(shown_keys(action) for action in ACTIONS if action.id == name)


def clashes(entries: Mapping[str, Entry]) -> Iterator[tuple[str, str, str]]:
    """(entry to give up, whom it disturbs, on which screen): two of one group on one key, one that takes the key of
    another group's action on a screen where both work, or an action that had a key on a screen and has none any more."""
    table = applied(entries)
    seen: dict[tuple[str, str], str] = {}
    for action in table:
        for key in action.keys.split(","):
            other = seen.setdefault((action.group, key), action.id)
            if other != action.id and (told := _later(entries, action.id, other)):
                yield told[0], told[1], ""
    yield from _taken(entries, table)
    for name in GROUPS:
        usual, now = ({a.id: a for a in of_screen(name, t)} for t in (ACTIONS, table))
        for lost in sorted(usual.keys() - now.keys()):
            keys = set(entries[lost].keys if lost in entries else usual[lost].keys.split(","))
            takers = [a.id for a in now.values() if keys & set(a.keys.split(","))]
            for taker in takers:
                if told := _later(entries, lost, taker):
                    yield told[0], told[1], name


def _taken(entries: Mapping[str, Entry], table: Sequence[Action]) -> Iterator[tuple[str, str, str]]:
    """Keys that an entry takes from another action though that has others: ``j`` that judges moves no more. Where
    both have the key as usual (``r`` runs at home and reads again elsewhere) it is meant."""
    usual = {action.id: action.keys.split(",") for action in ACTIONS}
    for groups in GROUPS.values():
        holders: dict[str, Action] = {}
        for action in (action for group in groups for action in table if action.group == group):
            for key in action.keys.split(","):
                other = holders.setdefault(key, action)
                meant = key in usual[action.id] and key in usual[other.id]
                if other.id != action.id and not meant and (told := _later(entries, action.id, other.id)):
                    yield told[0], told[1], ""


def _later(entries: Mapping[str, Entry], one: str, other: str) -> tuple[str, str] | None:
    """Of two actions the one that the keymap named later, and the other; None where it names neither."""
    named = sorted((entries[i].line, i) for i in (one, other) if i in entries)
    if not named:
        return None
    last = named[-1][1]
    return last, other if last == one else one


def template() -> str:
    """A keymap with every action and its usual keys, each behind a #."""
    lines = [
        "# Keys of the spiritsafe console. Take the # away from a line and change its key.",
        '# Keys are written as k, G, ?, "^r" or "ctrl+r", space, Enter, Esc, Tab, PgDn, F2; several in [ ].',
        "# The letter behind g, the keys of an open line, ctrl+c and ctrl+q are fixed.",
    ]
    for group in dict.fromkeys(action.group for action in ACTIONS):
        lines += ["", f"# ---- {group}"]
        mine = [action for action in ACTIONS if action.group == group]
        written = [f'"{action.id}" = {_written(action)}' for action in mine]
        width = max(map(len, written))
        lines += [f"# {text:<{width}}  # {action.help}" for text, action in zip(written, mine, strict=True)]
    return "\n".join(lines) + "\n"


def _written(action: Action) -> str:
    """The keys of an action as TOML.

    >>> _written(Action("x", "list", "ctrl+r,backslash", "", "", "x"))
    '["^r", "\\\\\\\\"]'
    """
    keys = [
        '"' + show_key(key).replace("\\", "\\\\").replace('"', '\\"') + '"' for key in action.keys.split(",")
    ]
    return keys[0] if len(keys) == 1 else f"[{', '.join(keys)}]"


def listed(keymap: Keymap) -> list[dict[str, Any]]:
    """Every action with the keys that hold, for ``spiritsafe keys``."""
    usual = {action.id: action.keys for action in ACTIONS}
    return [
        {
            "id": action.id,
            "keys": [show_key(key) for key in action.keys.split(",")],
            "help": action.help,
            "screens": [name for name, groups in GROUPS.items() if action.group in groups],
            "acts": action.acts,
            "remapped": action.keys != usual[action.id],
        }
        for action in keymap.table
    ]


def as_lines(keymap: Keymap) -> list[str]:
    """The same for people, and what is wrong."""
    rows = listed(keymap)
    width = max(len(row["id"]) for row in rows)
    marks = [
        f"{'*' if row['remapped'] else ' '} {row['id']:<{width}}  {' '.join(row['keys']):<18}  {row['help']}"
        for row in rows
    ]
    head = f"keymap {keymap.path} (* its keys)" if keymap.path else "no keymap: the usual keys"
    return [head, *marks, *(str(problem) for problem in keymap.problems)]


def write(path: Path) -> Path:
    """Write a keymap to start from. Raises InputError where a file is there already."""
    if path.exists():
        raise InputError("is there already", where=str(path), todo="Name another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(template(), encoding="utf-8")
    return path
