"""``spiritsafe doctor``: what spiritsafe stands on, looked at from outside. It starts no hub and makes no file.

Versions and environment are here; terminal, store and stages have modules of their own. To add a look: a
function that yields findings, and a line in ``look``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import groupby

from console.findings import Finding, Part
from console.output import emit
from console.text import visible
from store.wire import VERSION

NAMED = ("duckdb", "textual")  # dependencies with a line of their own; the others share one
LEAST_ROOM = 30  # columns
UNLISTED = ("dev",)  # extras for those who work on spiritsafe itself
VARIABLES = ("SPIRITSAFE_STORE", "SPIRITSAFE_PROJECT", "XDG_STATE_HOME")
_REQUIREMENT = re.compile(
    r"""(?P<name>[\w.-]+)(\[.*?\])?\s*(?P<bounds>[^;]*)(;.*extra\s*==\s*["'](?P<extra>\w+))?"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Whether a hub may be started."""
    parser.add_argument(
        "--start", action="store_true", help="start the hub where none runs, if the store is yours"
    )


def doctor(options: argparse.Namespace) -> int:
    """Say what is well and what is not; exit 1 where something is a problem."""
    found = list(look(options))
    count = {state: sum(f.state == state for f in found) for state in ("problem", "warning")}
    if options.json:
        told = {f"{state}s": n for state, n in count.items()}
        emit(options, told | {"findings": [asdict(f) for f in found]})
    else:
        sys.stdout.write(as_text(found, count))
    return int(count["problem"] > 0)


def look(options: argparse.Namespace) -> Iterator[Finding]:
    """Everything that doctor looks at, in the order in which it is shown."""
    from console.doctor_store import look_at_store
    from console.doctor_terminal import look_at_terminal

    yield from look_at_versions()
    yield from look_at_environment()
    yield from look_at_terminal()
    yield from look_at_store(options)


def as_text(found: list[Finding], count: dict[str, int]) -> str:
    """The findings as people read them: a block for each part, what to do below what was found."""
    lines = []
    width = max(len(f.where) for f in found)
    for part, findings in groupby(found, key=lambda f: f.part):
        lines.append(part)
        for f in findings:
            lines += _wrapped(f"  {f.state:<7}  {visible(f.where):<{width}}  ", visible(f.what))
            if f.todo:
                lines += _wrapped(f"  {'':<7}  {'':<{width}}  ", f"→ {visible(f.todo)}")
    told = [f"{n} {state}{'' if n == 1 else 's'}" for state, n in count.items() if n]
    return "\n".join([*lines, ", ".join(told) or "all is well", ""])


def _wrapped(head: str, text: str) -> list[str]:
    """``text`` behind ``head``, in lines that fit a terminal; where there is none, in one, for grep."""
    if not sys.stdout.isatty():
        return [head + text]
    room = max(LEAST_ROOM, shutil.get_terminal_size().columns - len(head))
    pieces = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [head + pieces[0], *(" " * len(head) + piece for piece in pieces[1:])]


# ---- versions
@dataclass(frozen=True, slots=True)
class Requirement:
    """A line of the package's own metadata: a distribution, its bounds, and the extra it belongs to."""

    name: str
    bounds: str
    extra: str

    @property
    def version(self) -> str | None:
        """What is installed of it."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    def allows(self, version: str) -> bool:
        """Whether a version is within the bounds.

        >>> Requirement("duckdb", "<3,>=2.0", "").allows("2.0.1"), Requirement("x", "<3,>=2.1", "").allows("2.0")
        (True, False)
        """
        have = _numbers(version)
        tests = {">=": have.__ge__, "<": have.__lt__, "==": have.__eq__}
        pairs = re.findall(r"(>=|==|<)\s*([\w.]+)", self.bounds)
        return all(tests[sign](_numbers(bound)) for sign, bound in pairs)

    @property
    def install(self) -> str:
        """The command that puts it right."""
        return f"pip install '{self.name}{self.bounds}'" if not self.extra else _install(self.extra)


def requirement(text: str) -> Requirement:
    """One ``Requires-Dist`` line.

    >>> requirement('scipy<2,>=1.17; extra == "train"')
    Requirement(name='scipy', bounds='<2,>=1.17', extra='train')
    """
    found = _REQUIREMENT.match(text)
    if found is None:
        return Requirement(text, "", "")
    return Requirement(found["name"], (found["bounds"] or "").strip(), found["extra"] or "")


def requirements() -> list[Requirement] | None:
    """What this installation says it needs; None where spiritsafe runs from its sources, uninstalled."""
    try:
        return [requirement(text) for text in metadata.requires("spiritsafe") or ()]
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(n) for n in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:4]]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _install(extra: str) -> str:
    return f"pip install 'spiritsafe[{extra}]'"


def look_at_versions() -> Iterator[Finding]:
    """spiritsafe, Python, every dependency within its bounds, every extra."""
    part = Part("versions")
    yield part.ok("spiritsafe", VERSION)
    yield part.ok("python", f"{platform.python_version()}  {sys.executable}")
    needed = requirements()
    if needed is None:
        yield part.warning("packages", "spiritsafe is not installed, only its sources run", "pip install .")
        return
    base = [r for r in needed if not r.extra]
    yield from (_one(part, r) for r in base if r.name in NAMED)
    rest = [(r, _one(part, r)) for r in base if r.name not in NAMED]
    yield part.ok("packages", ", ".join(f"{r.name} {f.what}" for r, f in rest if f.state == "ok"))
    yield from (f for _, f in rest if f.state != "ok")
    for extra in dict.fromkeys(r.extra for r in needed if r.extra and r.extra not in UNLISTED):
        yield _extra(part, extra, [r for r in needed if r.extra == extra])


def _one(part: Part, needed: Requirement) -> Finding:
    version = needed.version
    if version is None:
        return part.problem(needed.name, "is missing", needed.install)
    if not needed.allows(version):
        return part.problem(needed.name, f"is {version}, where {needed.bounds} is due", needed.install)
    return part.ok(needed.name, version)


def _extra(part: Part, extra: str, needed: list[Requirement]) -> Finding:
    where, versions = f"[{extra}]", {r.name: r.version for r in needed}
    here = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = ", ".join(name for name, version in versions.items() if version is None)
    wrong = [f"{r.name} {r.version}" for r in needed if r.version and not r.allows(r.version)]
    if wrong:
        bounds = ", ".join(f"{r.name}{r.bounds}" for r in needed)
        return part.warning(where, f"{', '.join(wrong)}, where {bounds} is due", _install(extra))
    if missing and here:
        return part.warning(where, f"in part: {here}; without {missing}", _install(extra))
    return part.ok(where, here) if here else part.ok(where, f"not here: {missing}", _install(extra))


# ---- environment
def look_at_environment() -> Iterator[Finding]:
    """Variables that change what spiritsafe does. Of keys only that they are set: never their value."""
    part = Part("environment")
    for name in VARIABLES:
        yield part.ok(name, os.environ.get(name) or "not set")
    idle = os.environ.get("SPIRITSAFE_IDLE_SECONDS")
    try:
        float(idle or 0)
        yield part.ok("SPIRITSAFE_IDLE_SECONDS", idle or "not set: a hub leaves after 600 s without a client")
    except ValueError:
        yield part.problem(
            "SPIRITSAFE_IDLE_SECONDS",
            f"{idle!r} is no number: no hub can start",
            "Unset it, or give seconds.",
        )
    keys = sorted(name for name in os.environ if name.endswith("_API_KEY"))
    yield part.ok("*_API_KEY", ", ".join(f"{name} set" for name in keys) or "none set")
