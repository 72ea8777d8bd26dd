"""Copying over SSH: OSC 52 where the text is small enough, wrapped for tmux, and always a file as well.

tmux drops OSC 52 silently by default, and no terminal says whether it took it: so we say what was tried.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

MOST = 74_000  # bytes of base64 that terminals take


def osc52(text: str, *, tmux: bool) -> str | None:
    """The escape sequence that sets the clipboard, None where the text is too long for one."""
    body = base64.b64encode(text.encode()).decode()
    if len(body) > MOST:
        return None
    sequence = f"\x1b]52;c;{body}\x07"
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\" if tmux else sequence


def copy(text: str, file: Path, app: Any) -> str:
    """Write ``file`` and send OSC 52; returns what was done, for the reviewer."""
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
    tmux = bool(os.environ.get("TMUX"))
    sequence = osc52(text, tmux=tmux)
    if sequence is None or app._driver is None:  # noqa: SLF001 - Textual has no public way to write a sequence
        return f"written to {file.name} (too long for the terminal's clipboard)"
    app._driver.write(sequence)  # noqa: SLF001
    return f"written to {file.name}, and sent to the clipboard by OSC 52" + (
        " through tmux (needs allow-passthrough)" if tmux else ""
    )
