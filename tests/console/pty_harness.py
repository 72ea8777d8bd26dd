"""A terminal for tests: a real pty, a real screen (pyte), bytes counted, keys sent by name.

    with Terminal([sys.executable, "app.py"], 80, 24) as term:
        term.wait_for("LOADED")
        term.keys("j j enter")
        assert "row 2" in term.text()

It answers the queries that a real terminal answers, each one once and also when it is cut between reads.
Nothing sleeps: output is read until it has been quiet for a while or a pattern stands on the screen.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from pathlib import Path
from typing import Self

import pyte

KEYS = {
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "home": "\x1b[H", "end": "\x1b[F", "pageup": "\x1b[5~", "pagedown": "\x1b[6~",
    "enter": "\r", "tab": "\t", "shift+tab": "\x1b[Z", "escape": "\x1b", "space": " ",
    "backspace": "\x7f", "delete": "\x1b[3~", "f1": "\x1bOP", "f2": "\x1bOQ",
}  # fmt: skip
REPLIES = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b]11;?\x1b\\": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
}
QUERY = re.compile(b"|".join(re.escape(query) for query in REPLIES))
# What pyte does not know and would print: kitty keyboard modes and mode queries.
UNKNOWN = re.compile(rb"\x1b\[[<>=?]?[0-9;]*(?:u|\$p)|\x1b\[>[0-9;]*[a-z]")
UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;?<>=$ ]*|\][^\x07\x1b]*)?\Z")


def key_bytes(name: str) -> bytes:
    """The bytes a terminal sends for a key: a name, ``ctrl+x`` or the character itself."""
    if name in KEYS:
        return KEYS[name].encode()
    if match := re.fullmatch(r"ctrl\+([a-z])", name):
        return bytes([ord(match[1]) & 0x1F])
    return name.encode()


class Terminal:
    """A child process under a pty of ``cols`` x ``rows``, and everything it wrote."""

    def __init__(
        self,
        argv: list[str],
        cols: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        *,
        answers: bool = True,
    ) -> None:
        self.cols, self.rows, self.answers = cols, rows, answers
        self.raw = bytearray()
        self.returncode: int | None = None
        self._screen = pyte.Screen(cols, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._rest = b""
        dropped = ("COLORTERM", "NO_COLOR", "TERM_PROGRAM", "TMUX", "LINES", "COLUMNS")
        full = {k: v for k, v in os.environ.items() if k not in dropped}
        full |= {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | (env or {})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                os.execvpe(argv[0], argv, full)  # noqa: S606 - our own program
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- in

    def keys(self, script: str, *, quiet: float = 0.15) -> int:
        """Press the keys of a script one after the other; return the bytes written in answer."""
        return sum(self.bytes_for(name, quiet=quiet) for name in script.split())

    def type(self, text: str, *, quiet: float = 0.15) -> int:
        """Type text, spaces too."""
        self.send(text.encode())
        return self.until_quiet(quiet)

    def bytes_for(self, key: str, *, quiet: float = 0.15) -> int:
        """Press one key, read until output is quiet, and return how many bytes came."""
        self.send(key_bytes(key))
        return self.until_quiet(quiet)

    def send(self, data: bytes) -> None:
        """Write bytes as the keyboard would, waiting for nothing."""
        os.write(self.fd, data)

    def resize(self, cols: int, rows: int) -> int:
        """Resize the terminal; return the bytes written in answer."""
        self.cols, self.rows = cols, rows
        self._screen.resize(rows, cols)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        return self.until_quiet(0.4)

    # ---- out

    def screen(self) -> list[str]:
        """The screen now, line by line, without trailing spaces."""
        self._poll(0)
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """The screen now as one text."""
        return "\n".join(self.screen())

    def wait_for(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """Read until a regular expression stands on the screen; ``AssertionError`` with the screen if not."""
        end = time.monotonic() + timeout
        while True:
            if match := re.search(pattern, "\n".join(self._screen.display), re.MULTILINE):
                return match
            left = end - time.monotonic()
            if left <= 0 or not (self._poll(left) or self.alive):
                raise AssertionError(f"no {pattern!r} on the screen:\n{self.text()}")

    def until_quiet(self, quiet: float = 0.15, limit: float = 10.0) -> int:
        """Read until nothing came for ``quiet`` seconds; return how many bytes did."""
        before, end = len(self.raw), time.monotonic() + limit
        while time.monotonic() < end and self._poll(quiet):
            pass
        return len(self.raw) - before

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode is None

    def wait(self, timeout: float = 10.0) -> int:
        """Read until the child ends; return its exit status."""
        end = time.monotonic() + timeout
        while self.alive:
            self._poll(0.05)
            if time.monotonic() > end:
                raise AssertionError(f"still running:\n{self.text()}")
        return self.returncode or 0

    def cpu_ms(self) -> float:
        """Processor time of the child so far, all its threads."""
        total = 0
        for stat in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, IndexError):
                total += int(stat.read_text().split()[0])
        return total / 1e6

    def close(self) -> None:
        """End the child if it still runs."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + 2
            if self.alive:
                os.kill(self.pid, sign)
            while self.alive and time.monotonic() < end:
                self._poll(0.05)
        os.close(self.fd)

    def _poll(self, timeout: float) -> bytes:
        """Read one chunk and answer what it asks; ``b""`` when nothing came in time."""
        if not select.select([self.fd], [], [], max(0.0, timeout))[0]:
            return b""
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the child closed its end
            return b""
        self.raw += data
        whole = self._rest + data
        cut = UNFINISHED.search(whole)
        whole, self._rest = (whole[: cut.start()], whole[cut.start() :]) if cut else (whole, b"")
        if self.answers:
            for query in QUERY.finditer(whole):
                os.write(self.fd, REPLIES[query[0]])
        self._stream.feed(UNKNOWN.sub(b"", whole))
        return data
