"""``spiritsafe doctor``, the terminal: what it can show, and what tmux or screen lets through."""

from __future__ import annotations

import locale
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

from console.findings import Finding, Part

COLUMNS, LINES = 80, 24  # the least that the screens are made for
MANY_COLOURS = 256
SLOW_ESCAPE = 50  # milliseconds that tmux may hold Esc back before it is felt
ASK_SECONDS = 5.0
PASSTHROUGH_SINCE = (3, 3)  # before, tmux passed everything on
_part = Part("terminal")


def look_at_terminal() -> Iterator[Finding]:
    """TERM, colours, size, encoding, and tmux or screen around it."""
    tty = next((s for s in (sys.stdout, sys.stderr, sys.stdin) if s is not None and s.isatty()), None)
    if tty is None:
        yield _part.ok("terminal", "none here: screens are printed as text")
    yield _term(here=tty is not None)
    if tty is not None:
        yield _colours()
        yield _size(os.get_terminal_size(tty.fileno()))
    yield _encoding()
    if os.environ.get("TMUX"):
        yield from _tmux()
    elif os.environ.get("STY"):
        yield _part.warning(
            "screen", "drops OSC 52: copying (y) only writes a file", "Use tmux, or copy from the file."
        )


def _term(*, here: bool) -> Finding:
    name = os.environ.get("TERM", "")
    if name in ("", "dumb"):
        told = f"TERM is {name or 'not set'}"
        if not here:
            return _part.ok("TERM", told)
        return _part.problem("TERM", f"{told}: no screen can be drawn", "export TERM=xterm-256color")
    return _part.ok("TERM", name)


def _colours() -> Finding:
    if "NO_COLOR" in os.environ:
        return _part.ok("colours", "off by NO_COLOR; marks are letters anyway")
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return _part.ok("colours", "16 million (COLORTERM)")
    found = _terminfo_colours(os.environ.get("TERM", ""))
    if found is None:
        return _part.warning("colours", "nothing known of this TERM", "export TERM=xterm-256color")
    if found < MANY_COLOURS:
        return _part.warning(
            "colours",
            f"{found}: hues come out coarse",
            "export TERM=xterm-256color, where the terminal has them",
        )
    return _part.ok("colours", f"{found:,}")


def _terminfo_colours(term: str) -> int | None:
    """How many colours terminfo says a terminal has; None where it does not know it."""
    try:
        import curses
    except ImportError:  # a Python that was built without it
        return None
    try:
        curses.setupterm(term or "dumb", fd=1)
    except curses.error:
        return None
    return max(0, curses.tigetnum("colors"))


def _size(size: os.terminal_size) -> Finding:
    told = f"{size.columns} × {size.lines}"
    if size.columns < COLUMNS or size.lines < LINES:
        return _part.warning("size", f"{told}, and the screens want {COLUMNS} × {LINES}", "Make it larger.")
    return _part.ok("size", told)


def _encoding() -> Finding:
    named = next((os.environ[n] for n in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(n)), "")
    encoding = locale.getpreferredencoding(do_setlocale=False)
    todo = "export LC_ALL=C.UTF-8"
    if encoding.lower().replace("-", "") != "utf8":
        return _part.problem("encoding", f"{encoding} ({named or 'no locale set'}), not UTF-8", todo)
    if sys.flags.utf8_mode or _coerced():
        return _part.ok("encoding", "UTF-8 by Python's own choice: the locale is not", todo)
    return _part.ok("encoding", f"UTF-8 ({named})")


def _coerced() -> bool:
    """Whether Python itself put a UTF-8 locale in place of C (PEP 538): other programs here still speak C."""
    set_, plain = os.environ.get, ("", "C", "POSIX")
    return (
        set_("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8")
        and not set_("LC_ALL")
        and set_("LANG", "") in plain
    )


# ---- tmux
def _tmux() -> Iterator[Finding]:
    said = _ask("-V")
    if said is None:
        yield _part.warning(
            "tmux", "TMUX is set, and tmux does not answer", "Start a new tmux, or unset TMUX."
        )
        return
    version = tuple(int(n) for n in re.findall(r"\d+", said)[:2])
    yield _part.ok("tmux", said)
    yield _clipboard(version)
    yield _escape_time()
    if _ask("display", "-p", "#{client_utf8}") == "0":
        yield _part.warning("tmux UTF-8", "tmux replaces characters by _", "Attach with: tmux -u attach")


def _clipboard(version: tuple[int, ...]) -> Finding:
    """Whether what the console sends (OSC 52 in a passthrough) reaches the terminal's clipboard."""
    clipboard, through = _ask("show", "-gv", "set-clipboard"), _ask("show", "-gv", "allow-passthrough")
    if through is None and version < PASSTHROUGH_SINCE:
        through = "on (always, in this version)"
    told = f"allow-passthrough {through or 'unknown'}, set-clipboard {clipboard or 'unknown'}"
    if (through or "").startswith(("on", "all")):
        return _part.ok("tmux copy", f"OSC 52 passes: {told}")
    return _part.warning(
        "tmux copy",
        f"OSC 52 is dropped, copying (y) only writes a file: {told}",
        "in ~/.tmux.conf: set -g allow-passthrough on",
    )


def _escape_time() -> Finding:
    said = _ask("show", "-gv", "escape-time") or _ask("show", "-sv", "escape-time") or ""
    if not said.isdigit():
        return _part.warning("tmux Esc", "tmux does not say its escape-time")
    if int(said) > SLOW_ESCAPE:
        return _part.warning(
            "tmux Esc", f"Esc is held back for {said} ms", "in ~/.tmux.conf: set -sg escape-time 10"
        )
    return _part.ok("tmux Esc", f"passed on after {said} ms")


def _ask(*words: str) -> str | None:
    """What tmux answers; None where it does not, or does not know what was asked."""
    if shutil.which("tmux") is None:
        return None
    try:
        done = subprocess.run(
            ["tmux", *words], capture_output=True, text=True, timeout=ASK_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
